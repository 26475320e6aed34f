package bgp_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

var (
	hostA = netip.MustParseAddr("192.0.2.1") // AS 65001
	hostB = netip.MustParseAddr("192.0.2.2") // AS 65002
	hostC = netip.MustParseAddr("192.0.2.3")
	both  = []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast}
)

func at(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, bgp.Port) }

// conf is the configuration on host local for its peer on host remote.
func conf(local, remote netip.Addr) bgp.Config {
	as := map[netip.Addr]uint32{hostA: 65001, hostB: 65002, hostC: 65003}
	return bgp.Config{
		Name: remote.String(), LocalAS: as[local], RemoteAS: as[remote],
		RouterID: local, LocalAddr: local, RemoteAddr: remote, Families: both,
		NextHopIPv6: netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: local.As4()[3]}),
	}
}

// pass lets time pass, on the fake clock of the test's bubble.
func pass(d time.Duration) { <-time.After(d) }

// host is a speaker on the network.
type host struct {
	*bgp.Server
	heard *bgptest.Recorder
	stop  func()
}

// speak runs a speaker on a host; listens says if it takes connections.
func speak(t *testing.T, n *bgptest.Net, addr netip.Addr, listens bool, peers ...bgp.Config) *host {
	t.Helper()
	h := &host{heard: bgptest.NewRecorder()}
	opt := bgp.Options{Dialer: n.Dialer(addr), Handler: h.heard}
	if listens {
		opt.Listener, opt.ListenAddrs = n.Listen, []netip.AddrPort{at(addr)}
	}
	s, err := bgp.NewServer(opt)
	if err != nil {
		t.Fatal(err)
	}
	h.Server = s
	if err := s.SetPeers(peers); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	h.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(h.stop)
	return h
}

func announce(h *host, peer netip.Addr, a *bgp.Attrs, prefixes ...string) {
	var changes []bgp.Change
	for _, p := range bgptest.Prefixes(prefixes...) {
		changes = append(changes, bgp.Change{Peer: peer.String(), Prefix: p, Attrs: a})
	}
	h.Apply(changes)
}

func TestRoutesPassInBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		a := speak(t, n, hostA, true, conf(hostA, hostB))
		passive := conf(hostB, hostA)
		passive.Passive = true
		b := speak(t, n, hostB, true, passive)
		attrs := &bgp.Attrs{Origin: wire.OriginIncomplete, Communities: []wire.Community{65001<<16 | 7}}
		announce(a, hostB, attrs, "172.19.100.1/32", "2001:db8:100::1/128")
		got := b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32", "2001:db8:100::1/128")
		r := got.Routes[netip.MustParsePrefix("172.19.100.1/32")]
		if r.NextHop != hostA || r.ASPath.String() != "65001" || r.Origin != wire.OriginIncomplete ||
			r.LocalPref.Set || r.MED.Set || len(r.Communities) != 1 || r.Communities[0].String() != "65001:7" {
			t.Errorf("got %+v", r)
		}
		r6 := got.Routes[netip.MustParsePrefix("2001:db8:100::1/128")]
		if r6.NextHop6 != netip.MustParseAddr("2001:db8::1") {
			t.Errorf("IPv6 next hop %v", r6.NextHop6)
		}
		announce(b, hostA, attrs, "198.51.100.0/24")
		a.heard.WaitRoutes(t, hostB.String(), "198.51.100.0/24")
		announce(a, hostB, nil, "172.19.100.1/32")
		b.heard.WaitRoutes(t, hostA.String(), "2001:db8:100::1/128")
		h := b.heard.Heard(hostA.String())
		if !slices.Equal(h.Ends, both) {
			t.Errorf("End-of-RIB for %v, want %v", h.Ends, both)
		}
		a.stop()
		down := b.heard.WaitDown(t, hostA.String(), 1).Downs[0]
		if down.Cause != bgp.CausePeerNotification || down.Notification.Code != 6 || down.Notification.Subcode != 2 {
			t.Errorf("b was told %v", down)
		}
	})
}
