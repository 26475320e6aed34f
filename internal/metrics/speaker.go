package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/speaker"
)

// Speaker adds a speaker's metrics and makes its health the Set's.
func (s *Set) Speaker(status func() speaker.Status, healthy func() error) {
	c := &scrape{}
	up := c.desc("metallb_bgp_session_up", "Whether the BGP session with the peer is established.", "peer")
	updates := c.desc("metallb_bgp_updates_total", "UPDATE messages sent to the peer.", "peer")
	announced := c.desc("metallb_bgp_announced_prefixes_total", "Prefixes that the peer holds from this node.", "peer")
	pending := c.desc("metallb_bgp_pending_prefixes_total", "Prefixes that the peer is yet to be told of.", "peer")
	paths := newPaths(c)
	service := c.desc("metallb_speaker_announced", "Addresses of Services that this node announces.", "service", "protocol", "node", "ip")
	silent := c.desc("pharos_speaker_unannounced_addresses", "Addresses of Services that this node does not announce, by reason.", "reason")
	members := c.desc("pharos_speaker_members", "Speakers known to be alive, this one included.")
	client := newClient(c)

	c.collect = func(emit func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
		st := status()
		peers, watched := map[string]bool{}, map[string]bool{}
		for i := range st.Sessions {
			ses := &st.Sessions[i]
			peer := ses.Addr.String()
			if peers[peer] { // from another source address
				peer += " " + ses.Peer
			}
			peers[peer] = true
			established := ses.State == bgp.Established.String()
			waiting := ses.Pending
			if !established {
				waiting = ses.Desired
			}
			emit(up, gauge, boolean(established), peer)
			emit(updates, counter, float64(ses.Sent.Updates), peer)
			emit(announced, gauge, float64(ses.Advertised), peer)
			emit(pending, gauge, float64(waiting), peer)
			if ses.BFD != nil {
				path := ses.Addr.Addr().String()
				if watched[path] { // from another source address, or to another port
					path += " " + ses.Peer
				}
				watched[path] = true
				paths.emit(emit, ses.BFD, path)
			}
		}
		reasons := map[string]int{}
		for i := range st.Services {
			svc := &st.Services[i]
			for _, a := range svc.Addresses {
				if a.Protocol != "" {
					emit(service, gauge, 1, svc.Name.String(), string(a.Protocol), st.Node, a.Addr.String())
				} else {
					reasons[a.Reason.Code.String()]++
				}
			}
		}
		for reason, n := range reasons {
			emit(silent, gauge, float64(n), reason)
		}
		emit(members, gauge, float64(len(st.Members.Members)))
		client.emit(emit, st.Updates, st.UpdateErrors, st.Config.Loaded, st.Config.Stale)
	}
	s.registry.MustRegister(c)
	s.ready = healthy
}

// paths are the metrics of BFD sessions, by the peer's address as MetalLB has them.
type paths struct{ up, in, out, echoIn, echoOut, ups, downs *prometheus.Desc }

func newPaths(c *scrape) paths {
	return paths{
		up:      c.desc("metallb_bfd_session_up", "Whether the BFD session with the peer is up.", "peer"),
		in:      c.desc("metallb_bfd_control_packet_input", "BFD control packets received from the peer.", "peer"),
		out:     c.desc("metallb_bfd_control_packet_output", "BFD control packets sent to the peer.", "peer"),
		echoIn:  c.desc("metallb_bfd_echo_packet_input", "BFD echo packets that came back from the peer.", "peer"),
		echoOut: c.desc("metallb_bfd_echo_packet_output", "BFD echo packets sent to the peer.", "peer"),
		ups:     c.desc("metallb_bfd_session_up_events", "How often the BFD session came up.", "peer"),
		downs:   c.desc("metallb_bfd_session_down_events", "How often the BFD session went down.", "peer"),
	}
}

func (p paths) emit(emit func(*prometheus.Desc, prometheus.ValueType, float64, ...string), b *speaker.BFD, peer string) {
	emit(p.up, gauge, boolean(b.State == bfd.Up.String()), peer)
	emit(p.in, counter, float64(b.Received), peer)
	emit(p.out, counter, float64(b.Sent), peer)
	emit(p.echoIn, counter, float64(b.EchoesReceived), peer)
	emit(p.echoOut, counter, float64(b.EchoesSent), peer)
	emit(p.ups, counter, float64(b.Ups), peer)
	emit(p.downs, counter, float64(b.Downs), peer)
}

// client is what MetalLB tells of every daemon's view of Kubernetes.
type client struct{ updates, errors, loaded, stale *prometheus.Desc }

func newClient(c *scrape) client {
	return client{
		updates: c.desc("metallb_k8s_client_updates_total", "Changes of Kubernetes objects worked in."),
		errors:  c.desc("metallb_k8s_client_update_errors_total", "Changes of Kubernetes objects that could not be worked in."),
		loaded:  c.desc("metallb_k8s_client_config_loaded_bool", "Whether a configuration is in force."),
		stale:   c.desc("metallb_k8s_client_config_stale_bool", "Whether the configuration in force is not the newest."),
	}
}

func (c client) emit(emit func(*prometheus.Desc, prometheus.ValueType, float64, ...string), updates, errs uint64, loaded, stale bool) {
	emit(c.updates, counter, float64(updates))
	emit(c.errors, counter, float64(errs))
	emit(c.loaded, gauge, boolean(loaded))
	emit(c.stale, gauge, boolean(stale))
}
