package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/speaker"
)

// perSession is a metric of each session with a peer.
type perSession struct {
	name, help string
	kind       prometheus.ValueType
	value      func(s *speaker.Session) float64
}

// sessionMetrics are metallb_bgp_… as MetalLB's native and FRR modes have them. All
// but pending_prefixes_total are frrk8s_bgp_… too.
var sessionMetrics = []perSession{
	{"session_up", "Whether the BGP session with the peer is established.", gauge, func(s *speaker.Session) float64 { return boolean(established(s)) }},
	{"updates_total", "UPDATE messages sent to the peer.", counter, func(s *speaker.Session) float64 { return float64(s.Sent.Updates) }},
	{"announced_prefixes_total", "Prefixes that the peer holds from this node.", gauge, func(s *speaker.Session) float64 { return float64(s.Advertised) }},
	{"pending_prefixes_total", "Prefixes that the peer is yet to be told of.", gauge, pending},
	{"opens_sent", "OPEN messages sent to the peer.", counter, func(s *speaker.Session) float64 { return float64(s.Sent.Opens) }},
	{"opens_received", "OPEN messages received from the peer.", counter, func(s *speaker.Session) float64 { return float64(s.Received.Opens) }},
	{"notifications_sent", "NOTIFICATION messages sent to the peer.", counter, func(s *speaker.Session) float64 { return float64(s.Sent.Notifications) }},
	{"updates_total_received", "UPDATE messages received from the peer.", counter, func(s *speaker.Session) float64 { return float64(s.Received.Updates) }},
	{"keepalives_sent", "KEEPALIVE messages sent to the peer.", counter, func(s *speaker.Session) float64 { return float64(s.Sent.Keepalives) }},
	{"keepalives_received", "KEEPALIVE messages received from the peer.", counter, func(s *speaker.Session) float64 { return float64(s.Received.Keepalives) }},
	{"route_refresh_sent", "ROUTE-REFRESH messages sent to the peer.", counter, func(s *speaker.Session) float64 { return float64(s.Sent.RouteRefreshes) }},
	{"total_sent", "Messages sent to the peer.", counter, func(s *speaker.Session) float64 { return float64(s.Sent.Total()) }},
	{"total_received", "Messages received from the peer.", counter, func(s *speaker.Session) float64 { return float64(s.Received.Total()) }},
}

// received is frrk8s_bgp_received_prefixes_total: a speaker takes no routes.
var received = perSession{"received_prefixes_total", "Prefixes taken from the peer: none.", gauge, func(*speaker.Session) float64 { return 0 }}

// pathMetrics are metallb_bfd_… and frrk8s_bfd_…, of sessions that BFD watches.
var pathMetrics = []perSession{
	{"session_up", "Whether the BFD session with the peer is up.", gauge, func(s *speaker.Session) float64 { return boolean(s.BFD.State == bfd.Up.String()) }},
	{"control_packet_input", "BFD control packets received from the peer.", counter, func(s *speaker.Session) float64 { return float64(s.BFD.Received) }},
	{"control_packet_output", "BFD control packets sent to the peer.", counter, func(s *speaker.Session) float64 { return float64(s.BFD.Sent) }},
	{"echo_packet_input", "BFD echo packets that came back from the peer.", counter, func(s *speaker.Session) float64 { return float64(s.BFD.EchoesReceived) }},
	{"echo_packet_output", "BFD echo packets sent to the peer.", counter, func(s *speaker.Session) float64 { return float64(s.BFD.EchoesSent) }},
	{"session_up_events", "How often the BFD session came up.", counter, func(s *speaker.Session) float64 { return float64(s.BFD.Ups) }},
	{"session_down_events", "How often the BFD session went down.", counter, func(s *speaker.Session) float64 { return float64(s.BFD.Downs) }},
	{"zebra_notifications", "How often BGP was told of a change of the BFD session.", counter, func(s *speaker.Session) float64 { return float64(s.BFD.Ups + s.BFD.Downs) }},
}

func established(s *speaker.Session) bool { return s.State == bgp.Established.String() }

func pending(s *speaker.Session) float64 {
	if !established(s) {
		return float64(s.Desired)
	}
	return float64(s.Pending)
}

// family is a set of metrics of which a session has all, under one name for the peer.
type family struct {
	metrics []perSession
	descs   []*prometheus.Desc // with label peer
	inVRF   []*prometheus.Desc // with labels peer and vrf
	peer    func(s *speaker.Session) string
	has     func(s *speaker.Session) bool
	seen    map[string]bool // label values of this scrape
}

// families are all metrics of sessions. What MetalLB's native mode has goes by address
// and port, and so do the names that only its FRR mode has; frr-k8s and BFD go by the
// address alone. Sessions in a VRF have it as a label besides; in the default VRF there
// is none, as in native mode, which for a query is the same as an empty one.
func families(c *scrape) []*family {
	endpoint := func(s *speaker.Session) string { return s.Endpoint() }
	host := func(s *speaker.Session) string { return s.Host() }
	all := func(*speaker.Session) bool { return true }
	watched := func(s *speaker.Session) bool { return s.BFD != nil }
	frrk8s := []perSession{received}
	for _, m := range sessionMetrics {
		if m.name != "pending_prefixes_total" {
			frrk8s = append(frrk8s, m)
		}
	}
	list := []*family{
		newFamily(c, "metallb_bgp_", sessionMetrics, endpoint, all),
		newFamily(c, "frrk8s_bgp_", frrk8s, host, all),
		newFamily(c, "metallb_bfd_", pathMetrics, host, watched),
		newFamily(c, "frrk8s_bfd_", pathMetrics, host, watched),
	}
	return list
}

func newFamily(c *scrape, prefix string, metrics []perSession, peer func(*speaker.Session) string, has func(*speaker.Session) bool) *family {
	f := &family{metrics: metrics, peer: peer, has: has}
	for _, m := range metrics {
		f.descs = append(f.descs, c.desc(prefix+m.name, m.help, "peer"))
		// Not described to the registry, which takes one set of labels for a name.
		f.inVRF = append(f.inVRF, prometheus.NewDesc(prefix+m.name, m.help, []string{"peer", "vrf"}, nil))
	}
	return f
}

// emit tells of one session. Two that would have the same labels are told apart by the
// peers' names: they differ in their source address, or in the port.
func (f *family) emit(emit func(*prometheus.Desc, prometheus.ValueType, float64, ...string), s *speaker.Session) {
	if !f.has(s) {
		return
	}
	peer := f.peer(s)
	if f.seen[peer+" "+s.VRF] {
		peer += " " + s.Peer
	}
	f.seen[peer+" "+s.VRF] = true
	for i, m := range f.metrics {
		if s.VRF == "" {
			emit(f.descs[i], m.kind, m.value(s), peer)
		} else {
			emit(f.inVRF[i], m.kind, m.value(s), peer, s.VRF)
		}
	}
}
