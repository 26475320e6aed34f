package rib

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/pharoslb/pharos/bgp/wire"
)

// A neighbor's paths to one prefix are told apart by their identifiers (RFC 7911).
func TestSeveralPathsOfOneNeighbor(t *testing.T) {
	tab := newTable()
	name := node(112).String()
	send := func(id uint32, hop int, prefixes ...netip.Prefix) {
		_, u := announce(hop, prefixes...)
		u.NLRIPaths = slices.Repeat([]uint32{id}, len(prefixes))
		tab.Update(name, u, at(int(id)))
	}
	send(1, 20, vip(1), vip(2))
	send(2, 21, vip(1))
	send(3, 20, vip(1))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 20, 21)}, Route{vip(2), hopsVia(7, 20)})
	e, _ := tab.Lookup(vip(1))
	if len(e.Paths) != 3 || e.Paths[0].ID != 3 || e.Paths[0].WhyNotUsed != NextHopInUse {
		t.Errorf("%s", text(e))
	}
	send(2, 22, vip(1)) // replaces its own
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 20, 22)})
	tab.Update(name, &wire.Update{Withdrawn: []netip.Prefix{vip(1), vip(2)}, WithdrawnPaths: []uint32{1, 9}}, at(9))
	wantRoutes(t, tab.Decide(nil))
	tab.Update(name, &wire.Update{Withdrawn: []netip.Prefix{vip(1)}, WithdrawnPaths: []uint32{3}}, at(9))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 22)})

	for id := range uint32(maxPathsPerPrefix + 5) {
		send(100+id, 30, vip(2))
	}
	if s, _ := tab.Source(name); s.Rejected[TooManyPaths] != 6 {
		t.Errorf("%+v", s)
	}
	tab.Forget(name)
	tab.Decide(nil)
	if s := tab.Summary(); s.Paths != 0 || s.Networks != 0 || s.Attributes != 0 || len(tab.hopByKey) != 0 {
		t.Errorf("something is left: %+v", s)
	}
}

func TestIdentifiersBreakTiesLast(t *testing.T) {
	a, b := candidate(1, internal), candidate(1, internal)
	a.Source, a.ID, b.ID = b.Source, 2, 1
	got := Decide(Policy{}, []*Path{a, b}, nil)
	if !got[1].Best || got[0].Why != PathIdentifier {
		t.Errorf("%+v", got)
	}
}

// Whoever is about to go is used only where nobody else is (RFC 8326).
func TestGracefulShutdown(t *testing.T) {
	leaving := func(p *Path) { p.Attrs.leaving = true }
	for _, row := range []struct {
		policy Policy
		a      func(*Path)
		why    Reason
	}{
		{Policy{}, leaving, GracefulShutdown},
		{Policy{}, both(leaving, func(p *Path) { p.Attrs.LocalPref = wire.Some(500) }), GracefulShutdown},
		{Policy{IgnoreGracefulShutdown: true}, both(leaving, med(9)), MED},
		{Policy{}, both(leaving, internal), Internal},
	} {
		a, b := candidate(1, row.a), candidate(2, nil)
		if row.why == Internal {
			path4(65001)(a)
		}
		if got := Decide(row.policy, []*Path{a, b}, nil); !got[1].Best || got[0].Why != row.why {
			t.Errorf("%+v: %+v, want %v", row.policy, got, row.why)
		}
	}
	tab := newTable()
	tab.feed(at(1))(announce(113, vip(1)))
	name, u := announce(112, vip(1))
	u.Attrs.Communities = []wire.Community{wire.CommunityGracefulShutdown}
	tab.Update(name, u, at(2))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 113)})
	tab.feed(at(3))(withdraw(113, vip(1)))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 112)})
}

// A neighbor is drained by hand, whether it says that it goes or not.
func TestDrain(t *testing.T) {
	tab := newTable()
	tab.SetPolicy(Policy{MaxPaths: 4, IgnoreGracefulShutdown: true})
	tab.feed(at(1))(announce(112, vip(1), vip(2)))
	tab.feed(at(2))(announce(113, vip(1)))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 112, 113)}, Route{vip(2), hopsVia(7, 112)})
	before, _ := tab.Lookup(vip(1))
	for range 2 { // the second time it is nothing new
		tab.Drain(node(112).String(), true)
		tab.Drain("nobody", true)
		tab.feed(at(3))(announce(112, vip(3)))
	}
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 113)}, Route{vip(3), hopsVia(7, 112)})
	after, _ := tab.Lookup(vip(1))
	if why := after.Paths[1].Why; why != GracefulShutdown || !after.Paths[1].Source.Draining || before.Paths[1].Source.Draining {
		t.Errorf("not best for %v: %s", why, text(after))
	}
	tab.Drain(node(112).String(), false)
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 112, 113)})
}

func linkBandwidth(kind byte, v float32) wire.ExtCommunity {
	c := wire.ExtCommunity{kind, 4, 0xfe, 0xbb}
	binary.BigEndian.PutUint32(c[4:], math.Float32bits(v))
	return c
}

func TestLinkBandwidth(t *testing.T) {
	nan := float32(math.NaN())
	for _, row := range []struct {
		bandwidths [3]float32 // of 112, 113, 114; 0: none
		want       [3]int
	}{
		{[3]float32{1.25e9, 1.25e9, 1.25e9}, [3]int{}},
		{[3]float32{2.5e9, 1.25e9, 1.25e9}, [3]int{2, 1, 1}},
		{[3]float32{1e9, 3e9, 2e9}, [3]int{85, 256, 171}},
		{[3]float32{1, 1e12, 5e11}, [3]int{1, 256, 128}},
		{[3]float32{1e9, 3e9, 0}, [3]int{}},
		{[3]float32{1e9, 3e9, nan}, [3]int{}},
		{[3]float32{1e9, -3e9, 1e9}, [3]int{}},
	} {
		tab := newTable()
		tab.SetPolicy(Policy{MaxPaths: 3, LinkBandwidth: true})
		var hops []Hop
		for i, v := range row.bandwidths {
			name, u := announce(112+i, vip(1))
			if v != 0 {
				u.Attrs.ExtCommunities = []wire.ExtCommunity{{0, 2, 9}, linkBandwidth(byte(i%2)<<6, v)}
			}
			tab.Update(name, u, at(i))
			hops = append(hops, Hop{node(112 + i), 7, row.want[i]})
		}
		wantRoutes(t, tab.Decide(nil), Route{vip(1), NewHopSet(hops...)})
		tab.SetPolicy(Policy{MaxPaths: 3})
		tab.Decide(nil)
		if e, _ := tab.Lookup(vip(1)); e.Hops != hopsVia(7, 112, 113, 114) {
			t.Errorf("%v: without the policy the hops are %v", row.bandwidths, e.Hops.Hops())
		}
	}
	if v := bandwidth([]wire.ExtCommunity{linkBandwidth(0x40, 7), linkBandwidth(0, 5)}); v != 5 {
		t.Errorf("of two the lower counts, not %v", v)
	}
}

// RFC 9234 §5: what we are to the neighbor, and what the route came with.
func TestRouteLeaks(t *testing.T) {
	const theirs, other = 65211, 64999
	for _, row := range []struct {
		role   wire.Role
		came   uint32
		leak   bool
		stored uint32
	}{
		{wire.RoleProvider, 0, false, 0},
		{wire.RoleProvider, theirs, true, theirs},
		{wire.RoleRouteServer, other, true, other},
		{wire.RoleRouteServer, 0, false, 0},
		{wire.RoleCustomer, 0, false, theirs},
		{wire.RoleCustomer, other, false, other},
		{wire.RoleRouteServerClient, 0, false, theirs},
		{wire.RoleRouteServerClient, other, false, other},
		{wire.RolePeer, 0, false, theirs},
		{wire.RolePeer, theirs, false, theirs},
		{wire.RolePeer, other, true, other},
	} {
		tab := newTable()
		name, u := announce(112, vip(1))
		u.Attrs.OnlyToCustomer = row.came
		tab.Up(Source{Name: name, Addr: node(112), AS: theirs, RouterID: node(112), Role: &row.role})
		tab.Update(name, u, at(1))
		tab.Decide(nil)
		e, _ := tab.Lookup(vip(1))
		if p := e.Paths[0]; (p.Why == RouteLeak) != row.leak || p.Best == row.leak || p.Attrs.OnlyToCustomer != row.stored {
			t.Errorf("we are %v, it came with %d: %+v, kept with %d", row.role, row.came, p.Verdict, p.Attrs.OnlyToCustomer)
		}
		// Nobody said what we are to each other.
		tab.Up(Source{Name: name, Addr: node(112), AS: theirs, RouterID: node(112)})
		tab.Update(name, u, at(2))
		tab.Decide(nil)
		if e, _ := tab.Lookup(vip(1)); !e.Paths[0].Best || e.Paths[0].Attrs.OnlyToCustomer != row.came {
			t.Errorf("without roles: %s", text(e))
		}
	}
}

// RFC 8950: IPv4 routes by IPv6 next hops, link-local ones on the session's interface.
func TestIPv6NextHops(t *testing.T) {
	nets := []Connected{
		{Prefix: netip.MustParsePrefix("fe80::210/64"), Index: 7, Device: "Ethernet1-1"},
		{Prefix: netip.MustParsePrefix("fe80::210/64"), Index: 8, Device: "Ethernet1-2"},
		{Prefix: netip.MustParsePrefix("2001:db8::210/64"), Index: 8, Device: "Ethernet1-2"},
		{Prefix: netip.MustParsePrefix("10.10.2.210/24"), Index: 9, Device: "Ethernet1-3"},
	}
	for _, row := range []struct {
		session, device, hop string
		index                int
	}{
		{"fe80::112%Ethernet1-1", "", "fe80::112", 7},
		{"fe80::112%Ethernet1-2", "", "fe80::112", 8},
		{"fe80::112%8", "", "fe80::112", 8},
		{"2001:db8::112", "", "fe80::112", 8},
		{"10.10.2.112", "Ethernet1-1", "fe80::112", 7},
		{"2001:db8::112", "", "2001:db8::99", 8},
		{"10.10.9.112", "", "fe80::112", 0},
		{"fe80::112%Ethernet1-9", "", "fe80::112", 0},
		{"fe80::112%Ethernet1-1", "", "fe80::210", 0}, // our own
		{"fe80::112%Ethernet1-1", "", "2001:db8::210", 0},
		{"10.10.2.112", "", "::ffff:10.10.2.112", 0}, // not on 10.10.2.0/24 for that
	} {
		tab := NewTable(wire.IPv4Unicast, 65210, netip.MustParseAddr("1.1.1.1"))
		tab.Up(Source{Name: "n", Addr: netip.MustParseAddr(row.session), AS: 65211, RouterID: node(112), Interface: row.device})
		hop := netip.MustParseAddr(row.hop)
		tab.Resolve(NewNetworks(nets), start)
		tab.Update("n", &wire.Update{Attrs: &wire.Attrs{ASPath: wire.Sequence(65211), NextHop: hop}, NLRI: []netip.Prefix{vip(1)}}, start)
		var want []Route
		if row.index != 0 {
			want = []Route{{vip(1), NewHopSet(Hop{Addr: hop, Index: row.index})}}
		}
		wantRoutes(t, tab.Decide(nil), want...)
	}
}

// A link has a name and a number; either way a neighbor on it is the same next hop.
func TestOneLinkHasOneNextHop(t *testing.T) {
	tab := newTable()
	tab.Resolve(NewNetworks([]Connected{{Prefix: netip.MustParsePrefix("fe80::210/64"), Index: 8, Device: "Ethernet1-2"}}), at(0))
	hop := netip.MustParseAddr("fe80::112")
	for _, session := range []string{"fe80::112%8", "fe80::112%Ethernet1-2"} {
		tab.Up(Source{Name: session, Addr: netip.MustParseAddr(session), AS: 65211, RouterID: node(112)})
		tab.Update(session, &wire.Update{
			Attrs: &wire.Attrs{ASPath: wire.Sequence(65211), NextHop: hop, NextHop6: hop}, NLRI: []netip.Prefix{vip(1)},
		}, at(1))
	}
	wantRoutes(t, tab.Decide(nil), Route{vip(1), NewHopSet(Hop{Addr: hop, Index: 8})})
	if e, _ := tab.Lookup(vip(1)); e.Paths[0].WhyNotUsed != NextHopInUse {
		t.Errorf("the other is not used for %v", e.Paths[0].WhyNotUsed)
	}
}

func TestLocalASOfASession(t *testing.T) {
	tab := newTable()
	name, u := announce(112, vip(1))
	tab.Up(Source{Name: name, Addr: node(112), AS: 65211, RouterID: node(112), LocalAS: 64700})
	for as, taken := range map[uint32]bool{64700: false, 65210: false, 64701: true} {
		u.Attrs.ASPath = wire.Sequence(65211, as)
		tab.Update(name, u, at(1))
		if _, ok := tab.Lookup(vip(1)); ok != taken {
			t.Errorf("AS %d in the path: taken %v", as, ok)
		}
	}
}

// Whatever happens to a table, what it decided is what Decide says of the paths that
// it shows, and its counts are those of the paths that there are.
func TestTableDecidesAsDecideDoes(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 7))
		tab := newTable()
		kernel := map[netip.Prefix]HopSet{}
		policies := []Policy{{MaxPaths: 3}, {MaxPaths: 2, Relax: true, LinkBandwidth: true}, {CompareRouterID: true, MaxPaths: 8}}
		for step := range 400 {
			n := 112 + r.IntN(3)
			name := node(n).String()
			switch r.IntN(24) {
			case 0:
				tab.Down(name)
			case 1:
				tab.Retain(name)
			case 2:
				tab.LongLive(name)
			case 3:
				tab.Purge(name)
			case 4:
				tab.RefreshBegin(name)
			case 5:
				tab.RefreshEnd(name)
			case 6:
				tab.SetPolicy(policies[r.IntN(len(policies))])
			case 7:
				tab.Resolve([]Networks{{}, segment(7), segment(8)}[r.IntN(3)], at(step))
			case 8:
				tab.Forget(name)
				tab.Up(Source{Name: name, Addr: node(n), AS: 65211, RouterID: node(n), Internal: r.IntN(3) == 0, Limit: 1 + r.IntN(12)})
			default:
				_, u := announce(n+10*r.IntN(2), vip(r.IntN(6)), vip(r.IntN(6)))
				u.NLRIPaths = []uint32{r.Uint32N(2), r.Uint32N(2)}
				if r.IntN(2) == 0 {
					u.Attrs.ExtCommunities = []wire.ExtCommunity{linkBandwidth(0x40, float32(1+r.IntN(3)))}
				}
				if r.IntN(4) == 0 {
					u.Attrs.Communities = []wire.Community{[]wire.Community{0xffff0000, 0xffff0006, 0xffff0007}[r.IntN(3)]}
				}
				u.Withdrawn = []netip.Prefix{vip(r.IntN(6))}
				tab.Update(name, u, at(step))
			}
			if r.IntN(3) > 0 {
				continue
			}
			apply(kernel, tab.Decide(nil))
			paths := 0
			for _, e := range tab.Entries() {
				var refs []*Path
				for i := range e.Paths {
					refs = append(refs, &e.Paths[i].Path)
				}
				slices.Reverse(refs)
				want := Decide(tab.policy, refs, nil)
				used := 0
				for i, p := range slices.Backward(e.Paths) {
					if p.Verdict != want[len(want)-1-i] {
						t.Fatalf("seed %d: %v: %+v, want %+v", seed, e.Prefix, p.Verdict, want[len(want)-1-i])
					}
					if p.Used() {
						used++
					}
				}
				if e.Hops.Len() != used || kernel[e.Prefix] != e.Hops {
					t.Fatalf("seed %d: %v has %d hops of %d paths used, and was handed out %d", seed, e.Prefix, e.Hops.Len(), used, kernel[e.Prefix].Len())
				}
				paths += len(e.Paths)
				delete(kernel, e.Prefix)
			}
			if len(kernel) != 0 {
				t.Fatalf("seed %d: handed out and not there: %v", seed, kernel)
			}
			for _, route := range tab.Routes() {
				kernel[route.Prefix] = route.Hops
			}
			counted := 0
			for n := 112; n <= 114; n++ {
				if s, ok := tab.Source(node(n).String()); ok {
					counted += s.Paths + s.Deleted
				}
			}
			if paths != counted || paths != tab.Summary().Paths {
				t.Fatalf("seed %d: %d paths, counted %d and %d", seed, paths, counted, tab.Summary().Paths)
			}
		}
		for n := 112; n <= 114; n++ {
			tab.Forget(node(n).String())
		}
		tab.Decide(nil)
		if tab.entries.Len()+tab.paths.Len()+tab.attrs.Len()+tab.hops.Len()+tab.sources.Len()+len(tab.hopByKey)+len(tab.attrsByKey) != 0 {
			t.Fatalf("seed %d: something is left", seed)
		}
	}
}
