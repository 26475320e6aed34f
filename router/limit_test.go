package router

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

func vips(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("172.19.100.%d/32", i))
	}
	return out
}

func limited(l PrefixLimit) Config {
	c := config()
	c.Neighbors[0].MaxPrefixes = map[wire.Family]PrefixLimit{wire.IPv4Unicast: l}
	return c
}

func (b *bench) reconfigure(c Config) {
	b.t.Helper()
	if err := b.Set(c); err != nil {
		b.t.Fatal(err)
	}
}

func TestPrefixLimitShutsTheNeighbor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.reconfigure(limited(PrefixLimit{Max: 2}))
		b.up(112, 113)
		b.announce(112, vips(3)...)
		b.announce(112, vips(5)...)
		b.later(0)
		if want := wire.MaxPrefixes(wire.IPv4Unicast, 2); !slices.Equal(b.speaker.refused(), []string{name(112) + " " + want.String()}) {
			t.Errorf("refused %q", b.speaker.refused())
		}
		b.speaker.handler.Closed(name(112), bgp.Down{})
		b.want("shut", "")
		if s := b.Status(); !s.Neighbors[0].Tripped || s.Neighbors[1].Tripped {
			t.Errorf("status %+v", s.Neighbors)
		}
		b.reconfigure(limited(PrefixLimit{Max: 2}))
		if !b.Status().Neighbors[0].Tripped {
			t.Error("the same configuration let the neighbor in again")
		}
		b.reconfigure(limited(PrefixLimit{Max: 3}))
		if resets := b.speaker.resets(); b.Status().Neighbors[0].Tripped || !slices.Equal(resets, []string{name(112)}) {
			t.Errorf("another limit did not let the neighbor in again: resets %q", resets)
		}
	})
}

func TestPrefixLimitIsClearedByHandOrTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.reconfigure(limited(PrefixLimit{Max: 2, Restart: 3 * time.Minute}))
		for range 2 {
			b.up(112)
			b.announce(112, vips(3)...)
			b.later(0)
			b.speaker.handler.Closed(name(112), bgp.Down{})
			b.later(179 * time.Second)
			if resets := b.speaker.resets(); !b.Status().Neighbors[0].Tripped || len(resets) > 0 {
				t.Errorf("before its time: resets %q", resets)
			}
			b.later(2 * time.Second)
			if resets := b.speaker.resets(); b.Status().Neighbors[0].Tripped || !slices.Equal(resets, []string{name(112)}) {
				t.Errorf("after its time: resets %q", resets)
			}
		}
		b.up(112)
		b.announce(112, vips(3)...)
		b.later(0)
		if ok := b.Clear(name(112)); !ok || b.Status().Neighbors[0].Tripped || !slices.Equal(b.speaker.resets(), []string{name(112)}) {
			t.Error("not cleared")
		}
		if ok := b.Clear(""); !ok || len(b.speaker.resets()) != 3 {
			t.Error("not cleared")
		}
		if ok := b.Clear("10.10.2.9"); ok {
			t.Error("a stranger was cleared")
		}
	})
}

func TestPrefixLimitWarns(t *testing.T) {
	for _, row := range []struct {
		limit   PrefixLimit
		n       int
		warned  int
		refused bool
	}{
		{PrefixLimit{Max: 8}, 5, 0, false},
		{PrefixLimit{Max: 8}, 6, 1, false},
		{PrefixLimit{Max: 8, Threshold: 100}, 7, 0, false},
		{PrefixLimit{Max: 8, Threshold: 100}, 8, 1, false},
		{PrefixLimit{Max: 8, Threshold: 1}, 1, 1, false},
		{PrefixLimit{Max: 8, WarningOnly: true}, 8, 1, false},
		{PrefixLimit{Max: 8, WarningOnly: true}, 9, 2, false},
		{PrefixLimit{Max: 8}, 9, 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil)
			defer b.finish()
			b.reconfigure(limited(row.limit))
			b.up(112)
			b.announce(112, vips(row.n)...)
			b.locked(func() {
				if got := b.warned[side{name(112), wire.IPv4Unicast}]; got != row.warned || len(b.speaker.refused()) > 0 != row.refused {
					t.Errorf("%+v, %d prefixes: warned %d, refused %q", row.limit, row.n, got, b.speaker.refused())
				}
				if want := min(row.n, row.limit.hard()); b.kernel.Len() != want {
					t.Errorf("%+v: %d routes, want %d", row.limit, b.kernel.Len(), want)
				}
			})
		})
	}
}

func dynamicConfig() Config {
	c := config()
	n := neighbor(0)
	n.Addr, n.Prefix = netip.Addr{}, netip.MustParsePrefix("10.10.2.0/24")
	n.MaxPrefixes = map[wire.Family]PrefixLimit{wire.IPv4Unicast: {Max: 2}}
	c.Neighbors = []Neighbor{neighbor(112), n}
	return c
}

func (b *bench) admitted(n int, preserved ...wire.Family) {
	b.speaker.handler.Established(name(n), bgp.SessionStatus{
		RemoteID: netip.MustParseAddr(name(n)), RemoteAddr: netip.AddrPortFrom(netip.MustParseAddr(name(n)), 50000), Preserved: preserved,
		Config: bgp.Config{Template: "10.10.2.0/24"},
	})
}

func (b *bench) neighbors() []string {
	var out []string
	for _, n := range b.Status().Neighbors {
		s := n.Addr.String()
		if n.Dynamic {
			s += " dynamic"
		}
		out = append(out, s)
	}
	return out
}

// Neighbors of a prefix have its settings, are shown while they exist, and are
// forgotten some time after their session.
func TestDynamicNeighbors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.reconfigure(dynamicConfig())
		if p := b.speaker.peers["10.10.2.0/24"]; p.RemotePrefix != netip.MustParsePrefix("10.10.2.0/24") || p.DynamicTimeout != 30*time.Second || len(b.speaker.peers) != 2 {
			t.Errorf("peers %v", b.speaker.peers)
		}
		b.admitted(120)
		b.admitted(113)
		b.up(112)
		b.announce(113, "172.19.100.1/32")
		b.announce(120, "172.19.100.1/32")
		b.want("two of the prefix", "172.19.100.1/32 via 113 120")
		if got := b.neighbors(); !slices.Equal(got, []string{"10.10.2.112", "10.10.2.113 dynamic", "10.10.2.120 dynamic"}) {
			t.Errorf("neighbors %q", got)
		}
		b.announce(120, "172.19.100.2/32", "172.19.100.3/32")
		b.later(0)
		if len(b.speaker.refused()) != 1 {
			t.Errorf("the prefix's limit did not count: refused %q", b.speaker.refused())
		}
		b.speaker.handler.Closed(name(120), bgp.Down{})
		b.want("one is gone", "172.19.100.1/32 via 113")
		if got := b.shown("172.19.100.1/32"); got != "120x 113" {
			t.Errorf("shown are %q", got)
		}
		b.Clear(name(120)) // of having been shut
		b.speaker.resets()
		b.later(29 * time.Second)
		if got := b.neighbors(); len(got) != 3 {
			t.Errorf("neighbors %q", got)
		}
		b.later(2 * time.Second)
		if got := b.neighbors(); !slices.Equal(got, []string{"10.10.2.112", "10.10.2.113 dynamic"}) || b.shown("172.19.100.1/32") != "113" {
			t.Errorf("neighbors %q, shown %q", got, b.shown("172.19.100.1/32"))
		}
		if ok := b.Clear(name(113)); !ok || !slices.Equal(b.speaker.resets(), []string{name(113)}) {
			t.Error("not cleared")
		}

		// One that restarts is not forgotten while its paths are used.
		b.speaker.handler.Closed(name(113), restart(2*time.Minute, 0))
		b.later(time.Minute)
		b.want("restarting", "172.19.100.1/32 via 113")
		b.admitted(113, wire.IPv4Unicast)
		b.later(time.Minute)
		b.want("back", "172.19.100.1/32 via 113")
		c := dynamicConfig()
		c.Neighbors = c.Neighbors[:1]
		b.reconfigure(c)
		b.want("the prefix is not configured any more", "")
		if got := b.neighbors(); !slices.Equal(got, []string{"10.10.2.112"}) {
			t.Errorf("neighbors %q", got)
		}
		b.announce(113, "172.19.100.1/32")
		b.admitted(114)
		b.want("strangers do not count", "")
	})
}

// A neighbor of a prefix that gets settings of its own is none of the prefix's any more.
func TestDynamicNeighborIsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.reconfigure(dynamicConfig())
		b.admitted(113)
		b.announce(113, "172.19.100.1/32")
		b.want("of the prefix", "172.19.100.1/32 via 113")
		c := dynamicConfig()
		c.Neighbors = append(c.Neighbors, neighbor(113))
		b.reconfigure(c)
		b.speaker.handler.Closed(name(113), bgp.Down{})
		b.up(113)
		b.announce(113, "172.19.100.1/32")
		b.later(time.Hour)
		b.want("configured", "172.19.100.1/32 via 113")
		if got := b.neighbors(); !slices.Equal(got, []string{"10.10.2.112", "10.10.2.113"}) {
			t.Errorf("neighbors %q", got)
		}
	})
}

// A neighbor of a prefix that is shut for exceeding its limit is let in again when it
// is time, however long its session is over.
func TestDynamicNeighborIsLetInAgain(t *testing.T) {
	for _, restart := range []time.Duration{0, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil)
			defer b.finish()
			c := dynamicConfig()
			c.Neighbors[1].MaxPrefixes = map[wire.Family]PrefixLimit{wire.IPv4Unicast: {Max: 2, Restart: restart}}
			b.reconfigure(c)
			b.admitted(113)
			b.announce(113, vips(3)...)
			b.later(0)
			b.speaker.handler.Closed(name(113), bgp.Down{})
			b.later(4 * time.Minute)
			if got := b.neighbors(); len(got) != 2 || len(b.speaker.resets()) != 0 {
				t.Errorf("restart %v: neighbors %q", restart, got)
			}
			if restart == 0 {
				b.Clear(name(113))
			}
			b.later(2 * time.Minute)
			if got := b.speaker.resets(); !slices.Equal(got, []string{name(113)}) {
				t.Errorf("restart %v: reset %q", restart, got)
			}
			if got := b.neighbors(); len(got) != 1 {
				t.Errorf("restart %v: neighbors %q", restart, got)
			}
		})
	}
}

// Another limit counts for the session that is up.
func TestPrefixLimitChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.reconfigure(limited(PrefixLimit{Max: 2}))
		b.up(112)
		b.announce(112, vips(2)...)
		b.later(0)
		b.reconfigure(limited(PrefixLimit{Max: 3}))
		b.announce(112, vips(3)...)
		b.later(0)
		if got := b.speaker.refused(); len(got) != 0 {
			t.Errorf("refused %q under the higher limit", got)
		}
		b.reconfigure(limited(PrefixLimit{Max: 1}))
		b.announce(112, vips(3)...)
		b.later(0)
		if got := b.speaker.refused(); len(got) != 0 {
			t.Errorf("refused %q for what was there", got)
		}
		b.announce(112, vips(4)...)
		b.later(0)
		if got := b.speaker.refused(); len(got) != 1 {
			t.Errorf("refused %q under the lower limit", got)
		}
	})
}

// A session with an AS number of its own is external or internal by that one.
func TestLocalAS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		c := config()
		c.Neighbors[0].LocalAS = 64700
		b.reconfigure(c)
		if p := b.speaker.peers[name(112)]; p.LocalAS != 64700 {
			t.Errorf("local AS %d", p.LocalAS)
		}
		b.up(112)
		for _, as := range []uint32{64700, 65210} {
			b.speaker.handler.Update(name(112), &wire.Update{
				Attrs: &wire.Attrs{ASPath: wire.Sequence(65211, as), NextHop: netip.MustParseAddr(name(112))},
				NLRI:  []netip.Prefix{netip.MustParsePrefix("172.19.100.1/32")},
			})
			b.want("a loop", "")
		}
	})
}

// The routes of an unnumbered neighbor go by its link.
func TestUnnumberedNeighbor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(b *bench) {
			b.links.nets = []rib.Connected{{Prefix: netip.MustParsePrefix("fe80::210/64"), Index: 3, Device: "Ethernet1-2"}}
		})
		defer b.finish()
		c := config()
		role := wire.RoleProvider
		c.Neighbors = []Neighbor{{
			Interface: "Ethernet1-2", AS: 65211, HoldTime: 9 * time.Second, Families: []wire.Family{wire.IPv4Unicast},
			Role: &role, AddPath: true, GracefulRestart: &bgp.GracefulRestart{},
		}}
		b.reconfigure(c)
		if p := b.speaker.peers["Ethernet1-2"]; !p.Unnumbered() ||
			p.Role != &role || p.AddPath != wire.AddPathReceive || p.GracefulRestart == nil {
			t.Errorf("peer %+v", p)
		}
		there := netip.MustParseAddr("fe80::112%Ethernet1-2")
		b.speaker.handler.Established("Ethernet1-2", bgp.SessionStatus{RemoteID: netip.MustParseAddr(name(112)), RemoteAddr: netip.AddrPortFrom(there, 179)})
		hop := netip.MustParseAddr("fe80::112")
		for i, otc := range []uint32{0, 64999} { // what has been to a peer or provider may not come from a customer
			b.speaker.handler.Update("Ethernet1-2", &wire.Update{
				Attrs: &wire.Attrs{ASPath: wire.Sequence(65211), NextHop: hop, OnlyToCustomer: otc},
				NLRI:  []netip.Prefix{netip.MustParsePrefix(vips(2)[i])},
			})
		}
		b.want("by the link", "172.19.100.0/32 via fe80::112")
		if s := b.Status().Neighbors[0]; s.Addr != there {
			t.Errorf("shown with %v", s.Addr)
		}
	})
}
