package interop

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

// bird runs BIRD on the switch.
func (l *lab) bird(conf string) (restart func()) {
	l.t.Helper()
	file := l.file("bird.conf", `
router id 1.1.1.1;
protocol device {}
protocol kernel kernel4 { ipv4 { export all; }; merge paths on; }
protocol kernel kernel6 { ipv6 { export all; }; merge paths on; }
protocol static static4 { ipv4; route 203.0.113.0/24 blackhole; }
protocol static static6 { ipv6; route 2001:db8:fffe::/48 blackhole; }
`+conf)
	start := func() func() {
		stop := l.run("bird", "-f", "-c", file, "-s", "bird.ctl", "-P", "bird.pid")
		l.eventually("BIRD's socket", func() error {
			_, err := l.birdc("show status")
			return err
		})
		return stop
	}
	stop := start()
	return func() {
		stop()
		stop = start()
	}
}

func (l *lab) birdc(command string) (string, error) {
	return l.ask("birdc", append([]string{"-s", l.dir + "/bird.ctl"}, strings.Fields(command)...)...)
}

// birdPeer is a session of BIRD's with one node, over IPv4 or IPv6, with both
// families.
func birdPeer(name string, local, remote netip.Addr, extra string) string {
	return fmt.Sprintf(`
protocol bgp %s {
	local %v as %d;
	neighbor %v as %d;
	connect delay time 1; connect retry time 1; error wait time 1, 2;
	%s
	ipv4 { import all; export where proto = "static4"; next hop address %v; };
	ipv6 { import all; export where proto = "static6"; next hop address %v; };
}
`, name, local, switchAS, remote, nodeAS, extra, switch4, switch6)
}

// wantBIRD waits for BIRD's detailed answer about a prefix to have all of the
// words; without words, for the prefix to be gone.
func (l *lab) wantBIRD(prefix string, words ...string) {
	l.t.Helper()
	l.eventually("BIRD's route to "+prefix, func() error {
		out, err := l.birdc("show route all for " + prefix)
		switch gone := strings.Contains(out, "Network not found"); {
		case err != nil && !strings.Contains(out, "not found"):
			return err
		case len(words) == 0 && !gone:
			return fmt.Errorf("still there:\n%s", out)
		}
		for _, w := range words {
			if !strings.Contains(out, w) {
				return fmt.Errorf("no %q in:\n%s", w, out)
			}
		}
		return nil
	})
}

// Sessions over IPv4 and over IPv6, each signed, each with routes of both families
// in both directions.
func TestBIRDBothWays(t *testing.T) {
	need(t, "bird", "birdc")
	l := newLab(t, 1)
	m := l.nodes[0]
	restart := l.bird(birdPeer("over4", switch4, m.v4, `password "correct-horse"; passive;`) +
		birdPeer("over6", switch6, m.v6, `password "battery-staple";`))
	over4 := m.peer(func(c *bgp.Config) { c.Name, c.Password = "over4", "correct-horse" })
	over6 := m.peer(func(c *bgp.Config) {
		c.Name, c.Password = "over6", "battery-staple"
		c.LocalAddr, c.RemoteAddr = m.v6, switch6
		c.NextHopIPv4, c.NextHopIPv6 = m.v4, netip.Addr{}
		c.Passive = true // BIRD dials
	})
	s := l.speak(m, over4, over6)
	med := uint32(7)
	attrs := &bgp.Attrs{
		Origin: wire.OriginIncomplete, MED: &med, Prepend: 1,
		Communities:      []wire.Community{nodeAS<<16 | 100},
		LargeCommunities: []wire.LargeCommunity{{Global: nodeAS, Local1: 1, Local2: 2}},
	}
	s.announce("over4", attrs, "172.19.100.4/32", "2001:db8:100::4/128")
	s.announce("over6", attrs, "172.19.100.6/32", "2001:db8:100::6/128")
	for _, r := range []struct{ prefix, hop, proto string }{
		{"172.19.100.4/32", "10.10.2.112", "over4"},
		{"2001:db8:100::4/128", "2001:db8:2::112", "over4"},
		{"172.19.100.6/32", "10.10.2.112", "over6"},
		{"2001:db8:100::6/128", "2001:db8:2::112", "over6"},
	} {
		l.wantBIRD(r.prefix, "["+r.proto, "BGP.origin: Incomplete", "BGP.as_path: 65211 65211", "BGP.next_hop: "+r.hop,
			"BGP.med: 7", "BGP.community: (65211,100)", "BGP.large_community: (65211, 1, 2)")
		l.wantKernel(r.prefix, r.hop)
	}
	for _, peer := range []string{"over4", "over6"} {
		h := s.heard.WaitRoutes(t, peer, "203.0.113.0/24", "2001:db8:fffe::/48")
		r4, r6 := h.Routes[netip.MustParsePrefix("203.0.113.0/24")], h.Routes[netip.MustParsePrefix("2001:db8:fffe::/48")]
		if r4.NextHop != switch4 || r6.NextHop6 != switch6 || r4.ASPath.String() != "65210" {
			t.Errorf("%s: %+v, %+v", peer, r4, r6)
		}
	}
	for _, st := range s.Status() {
		if in := st.Name == "over6"; st.Incoming != in || !st.Authenticated || st.State != bgp.Established {
			t.Errorf("%s: incoming %v, authenticated %v, %v", st.Name, st.Incoming, st.Authenticated, st.State)
		}
	}

	// What is sent again on request.
	before := s.Status()[0].Sent.Updates
	if _, err := l.birdc("reload in over4"); err != nil {
		t.Fatal(err)
	}
	l.eventually("an answer to BIRD's route refresh", func() error {
		if st := s.Status()[0]; st.Sent.Updates < before+2 || st.Received.RouteRefreshes < 2 {
			return fmt.Errorf("%d UPDATEs more, %d requests", st.Sent.Updates-before, st.Received.RouteRefreshes)
		}
		return nil
	})
	l.wantBIRD("172.19.100.4/32", "BGP.next_hop: 10.10.2.112")

	s.announce("over4", nil, "172.19.100.4/32")
	l.wantBIRD("172.19.100.4/32")
	s.announce("over6", nil, "2001:db8:100::6/128")
	l.wantBIRD("2001:db8:100::6/128")

	// BIRD is killed and comes back; both sessions do.
	ups := []int{s.heard.Heard("over4").Ups, s.heard.Heard("over6").Ups}
	restart()
	for i, peer := range []string{"over4", "over6"} {
		s.heard.WaitUp(t, peer, ups[i]+1)
		s.heard.WaitRoutes(t, peer, "203.0.113.0/24", "2001:db8:fffe::/48")
	}
	l.wantBIRD("172.19.100.6/32", "[over6")

	// We take one peer away; the other does not notice.
	up6 := s.heard.Heard("over6").Ups
	l.must(s.SetPeers([]bgp.Config{over6}))
	l.eventually("BIRD's reason", func() error {
		out, err := l.birdc("show protocols all over4")
		if err == nil && !strings.Contains(out, "Peer de-configured") {
			err = fmt.Errorf("no \"Peer de-configured\" in:\n%s", out)
		}
		return err
	})
	l.wantBIRD("2001:db8:100::4/128")
	if h := s.heard.Heard("over6"); h.Ups != up6 || !h.Up {
		t.Errorf("over6: %v", h.Story)
	}
}

// Three speakers, one address, BIRD's kernel; and a table of some size, which is
// withdrawn when its origin's machine loses its link.
func TestBIRDSpreadsAndForgets(t *testing.T) {
	need(t, "bird", "birdc")
	l := newLab(t, 3)
	var conf strings.Builder
	for i, m := range l.nodes {
		conf.WriteString(birdPeer(fmt.Sprintf("node%d", i+1), switch4, m.v4, ""))
	}
	l.bird(conf.String())
	attrs := &bgp.Attrs{Origin: wire.OriginIncomplete}
	var table []bgp.Change
	for i := range 5000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 20, byte(i >> 8), byte(i)}), 32)
		table = append(table, bgp.Change{Peer: "switch", Prefix: p, Attrs: attrs})
	}
	var speakers []*speaker
	for _, m := range l.nodes {
		s := l.speak(m, m.peer())
		s.announce("switch", attrs, "172.19.100.1/32")
		speakers = append(speakers, s)
	}
	speakers[2].Apply(table)
	count := func(want int) {
		t.Helper()
		l.eventually(fmt.Sprintf("%d routes of node 3 in BIRD", want), func() error {
			out, err := l.birdc("show route protocol node3 count")
			if err == nil && !slices.ContainsFunc(strings.Split(out, "\n"), func(s string) bool {
				return strings.HasPrefix(s, fmt.Sprintf("%d of ", want)) && strings.HasSuffix(s, "master4")
			}) {
				err = fmt.Errorf("%s", out)
			}
			return err
		})
	}
	count(5001)
	l.wantKernel("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114")
	if st := speakers[2].Status()[0]; st.Advertised != 5001 || st.Sent.Updates > 30 {
		t.Errorf("%d advertised in %d UPDATEs", st.Advertised, st.Sent.Updates)
	}
	cut := time.Now()
	l.must(l.nodes[2].Down("eth0"))
	l.wantKernel("172.19.100.1/32", "10.10.2.112", "10.10.2.113")
	t.Logf("BIRD's kernel forgot a node without a link after %v", time.Since(cut))
	d := speakers[2].heard.WaitDown(t, "switch", 1).Downs[0]
	if d.Cause != bgp.CauseHoldTimer {
		t.Errorf("the node's session ended with %v", d)
	}
	l.must(l.nodes[2].Up("eth0"))
	l.wantKernel("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114")
	count(5001)
}
