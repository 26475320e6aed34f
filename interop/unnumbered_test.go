package interop

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/radv"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// unnumbered runs a speaker whose peers are found on their interfaces, as long as
// the test runs.
func (l *lab) unnumbered(m machine, peers ...bgp.Config) *speaker {
	l.t.Helper()
	s := l.serve(m, []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), bgp.Port)}, peers...)
	finder, err := radv.New(radv.Options{Do: m.Do})
	l.must(err)
	var interfaces []string
	for _, c := range peers {
		interfaces = append(interfaces, c.Interface)
	}
	finder.Set(interfaces)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- finder.Run(ctx) }()
	go func() {
		for {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-finder.Changed():
				if err := s.SetPeers(bgp.Resolve(peers, finder.Neighbors())); err != nil {
					l.t.Error(err)
				}
			}
		}
	}()
	l.t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				l.t.Error(err)
			}
		}
	})
	return s
}

// cable joins two machines; nothing but link-local addresses is on it.
func (l *lab) cable(a machine, deviceA string, b machine, deviceB string) {
	l.t.Helper()
	l.must(netns.Veth(a.NS, deviceA, b.NS, deviceB))
}

// linkLocal is a device's link-local address.
func (l *lab) linkLocal(m machine, device string) (found netip.Addr) {
	l.t.Helper()
	l.eventually("link-local address of "+device, func() error {
		link, err := m.Link().LinkByName(device)
		if err != nil {
			return err
		}
		addrs, err := m.Link().AddrList(link, unix.AF_INET6)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if a.IP.IsLinkLocalUnicast() {
				found, _ = netip.AddrFromSlice(a.IP)
				return nil
			}
		}
		return fmt.Errorf("none")
	})
	return found
}

// link is the configuration for the peer on an interface.
func (m machine) link(device string, local, remote uint32, edit ...func(*bgp.Config)) bgp.Config {
	c := bgp.Config{Name: device, Interface: device, LocalAS: local, RemoteAS: remote, RouterID: m.v4, Families: both, TTLSecurity: 1}
	for _, f := range edit {
		f(&c)
	}
	return c
}

// Two of ours over two cables without an address: IPv4 and IPv6 routes pass in both
// directions; a cable is cut and healed, and only its session notices. The cables'
// names differ at the two ends.
func TestUnnumberedBetweenOurs(t *testing.T) {
	t.Parallel()
	need(t, "dumpcap", "tshark")
	l := newLab(t, 1)
	node := l.nodes[0]
	l.cable(l.sw, "swp1", node, "up1")
	l.cable(l.sw, "swp2", node, "up2")
	defer l.capture("swp1").check("bgp")
	defer l.capture("swp2").check("bgp")
	password := func(c *bgp.Config) { c.Password = "correct-horse" }
	s := l.unnumbered(l.sw, l.sw.link("swp1", switchAS, nodeAS, password), l.sw.link("swp2", switchAS, nodeAS))
	n := l.unnumbered(node, node.link("up1", nodeAS, switchAS, password), node.link("up2", nodeAS, switchAS))
	for _, device := range []string{"up1", "up2"} {
		n.announce(device, &bgp.Attrs{}, "172.19.100.1/32", "2001:db8:100::1/128")
	}
	s.announce("swp1", &bgp.Attrs{}, "198.51.100.0/24")
	for device, far := range map[string]string{"swp1": "up1", "swp2": "up2"} {
		h := s.heard.WaitRoutes(t, device, "172.19.100.1/32", "2001:db8:100::1/128")
		for p, a := range h.Routes {
			if hop := a.NextHopFor(p); hop != l.linkLocal(node, far) {
				t.Errorf("%v on %s by %v, want %v", p, device, hop, l.linkLocal(node, far))
			}
		}
	}
	n.heard.WaitRoutes(t, "up1", "198.51.100.0/24")

	l.must(node.Down("up1"))
	s.heard.WaitDown(t, "swp1", 1)
	n.heard.WaitDown(t, "up1", 1)
	l.must(node.Up("up1"))
	s.heard.WaitRoutes(t, "swp1", "172.19.100.1/32", "2001:db8:100::1/128")
	n.heard.WaitRoutes(t, "up1", "198.51.100.0/24")
	if h := s.heard.Heard("swp2"); h.Ups != 1 || !h.Up {
		t.Errorf("the other cable's session: %v", h.Story)
	}
}

// FRR with "neighbor swp1 interface": it finds us by our advertisements and we find
// it by its own. IPv4 routes go over IPv6 next hops (RFC 8950), into FRR's kernel,
// too.
func TestFRRUnnumbered(t *testing.T) {
	t.Parallel()
	need(t, "vtysh", frrLib+"/bgpd", "dumpcap", "tshark")
	l := newLab(t, 1)
	node := l.nodes[0]
	l.cable(l.sw, "swp1", node, "up1")
	defer l.capture("swp1").check("bgp")
	l.frr(fmt.Sprintf(`router bgp %d
 bgp router-id 1.1.1.1
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor swp1 interface remote-as external
 neighbor swp1 timers connect 1
 address-family ipv4 unicast
  network 198.51.100.0/24
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:ffff::/48
  neighbor swp1 activate
 exit-address-family
`, switchAS))
	s := l.unnumbered(node, node.link("up1", nodeAS, switchAS, func(c *bgp.Config) { c.TTLSecurity = 0 }))
	s.announce("up1", &bgp.Attrs{}, "172.19.100.1/32", "2001:db8:100::1/128")
	check := func() {
		t.Helper()
		// FRR sends us our own routes back, too.
		theirs := bgptest.Prefixes("198.51.100.0/24", "2001:db8:ffff::/48")
		h := s.heard.Wait(t, "up1", "FRR's routes", func(h bgptest.Heard) bool {
			return h.Up && h.Routes[theirs[0]] != nil && h.Routes[theirs[1]] != nil
		})
		far := l.linkLocal(l.sw, "swp1")
		for _, p := range theirs {
			if a := h.Routes[p]; a.NextHopFor(p) != far && a.LinkLocal != far {
				t.Errorf("%v by %v and %v, want %v", p, a.NextHopFor(p), a.LinkLocal, far)
			}
		}
		own := l.linkLocal(node, "up1").String()
		l.wantFRR("ipv4", "172.19.100.1/32", nil, own)
		l.wantFRR("ipv6", "2001:db8:100::1/128", nil, own)
		l.eventually("FRR's kernel routes", func() error {
			for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
				routes, err := l.sw.Link().RouteList(nil, family)
				if err != nil {
					return err
				}
				if !slices.ContainsFunc(routes, func(r netlink.Route) bool {
					return r.Dst != nil && slices.Contains([]string{"172.19.100.1/32", "2001:db8:100::1/128"}, r.Dst.String())
				}) {
					return fmt.Errorf("family %d: %v", family, routes)
				}
			}
			return nil
		})
	}
	check()
	if st := s.Status()[0]; st.RemoteAS != switchAS || st.RemoteAddr.Addr().Zone() != "up1" {
		t.Errorf("status %+v", st)
	}
	out, err := l.vtysh("show bgp neighbors swp1")
	l.must(err)
	if !strings.Contains(out, "Extended nexthop") {
		t.Errorf("FRR was offered no extended next hop:\n%s", out)
	}
	// The cable is cut and healed.
	l.must(node.Down("up1"))
	s.heard.WaitDown(t, "up1", 1)
	l.must(node.Up("up1"))
	s.heard.Wait(t, "up1", "the next session", func(h bgptest.Heard) bool { return h.Up && h.Ups > 1 })
	check()
}
