package rib

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/pharoslb/pharos/bgp/wire"
)

// candidate makes an external path of AS 65001 by way of 10.0.0.n, n the order.
func candidate(n int, change func(*Path)) *Path {
	addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
	p := &Path{
		Source:  &Source{Name: addr.String(), Addr: addr, AS: 65001, RouterID: addr},
		Attrs:   newAttrs(&wire.Attrs{ASPath: wire.Sequence(65001)}, 0, ""),
		NextHop: addr, Order: uint64(n),
	}
	if change != nil {
		change(p)
	}
	return p
}

func path4(asns ...uint32) func(*Path) {
	return func(p *Path) {
		p.Attrs.ASPath = wire.Sequence(asns...)
		p.Attrs.PathLen = len(asns)
		p.Attrs.NeighborAS, _ = p.Attrs.ASPath.First()
	}
}

func med(v uint32) func(*Path) { return func(p *Path) { p.Attrs.MED = wire.Some(v) } }

func internal(p *Path) { p.Source.Internal = true; path4()(p) }

func both(fs ...func(*Path)) func(*Path) {
	return func(p *Path) {
		for _, f := range fs {
			f(p)
		}
	}
}

// Each row is two paths of which the second is better by one step of the decision
// and worse by every later one, as far as that is possible.
func TestDecisionSteps(t *testing.T) {
	worse := func(p *Path) { p.Order = 99; p.Source.RouterID = netip.MustParseAddr("250.0.0.1") }
	for _, row := range []struct {
		why    Reason
		policy Policy
		a, b   func(*Path)
	}{
		{why: Deleted, a: func(p *Path) { p.Fault = Deleted }, b: both(worse, path4(65001, 1, 2))},
		{why: NextHopUnreachable, a: func(p *Path) { p.Fault = NextHopUnreachable }, b: worse},
		{why: Weight, a: func(p *Path) { p.Attrs.LocalPref = wire.Some(500) }, b: both(worse, func(p *Path) { p.Weight = 1 })},
		{why: LocalPref, a: nil, b: both(worse, path4(65001, 1), func(p *Path) { p.Attrs.LocalPref = wire.Some(101) })},
		{why: LocalPref, a: func(p *Path) { p.Attrs.LocalPref = wire.Some(0) }, b: worse},
		{why: LocallyOriginated, a: nil, b: both(worse, path4(65001, 1), func(p *Path) { p.Local = true })},
		{why: ASPathLength, a: path4(65001, 1), b: both(worse, func(p *Path) { p.Attrs.Origin = wire.OriginIncomplete })},
		{why: Origin, a: func(p *Path) { p.Attrs.Origin = wire.OriginIncomplete }, b: both(worse, med(9), func(p *Path) { p.Attrs.Origin = wire.OriginEGP })},
		{why: MED, a: med(10), b: both(worse, med(9))},
		{why: MED, a: med(1), b: worse},
		{why: MED, policy: Policy{AlwaysCompareMED: true}, a: both(path4(65002), med(10)), b: both(worse, med(9))},
		{why: MED, policy: Policy{MissingMEDWorst: true}, a: nil, b: both(worse, med(9))},
		{why: Newer, policy: Policy{MissingMEDWorst: true}, a: func(p *Path) { p.Order = 50 }, b: both(worse, path4(65002), med(9), func(p *Path) { p.Order = 49 })},
		{why: Internal, a: both(internal, path4(65001)), b: both(worse, func(p *Path) { p.Metric = 10 })},
		{why: Metric, a: func(p *Path) { p.Metric = 20 }, b: both(worse, func(p *Path) { p.Metric = 10 })},
		{why: Newer, a: func(p *Path) { p.Order = 50 }, b: func(p *Path) { p.Order = 49; p.Source.RouterID = netip.MustParseAddr("250.0.0.1") }},
		{why: RouterID, policy: Policy{CompareRouterID: true}, a: nil, b: func(p *Path) { p.Order = 99; p.Source.RouterID = netip.MustParseAddr("1.0.0.1") }},
		{why: RouterID, a: internal, b: both(internal, func(p *Path) { p.Order = 99; p.Source.RouterID = netip.MustParseAddr("1.0.0.1") })},
		{why: RouterID, a: internal, b: both(internal, func(p *Path) { p.Attrs.OriginatorID = netip.MustParseAddr("1.0.0.1") })},
		{
			why: ClusterList, a: both(internal, func(p *Path) {
				p.Attrs.OriginatorID = netip.MustParseAddr("1.1.1.1")
				p.Attrs.ClusterList = []netip.Addr{netip.MustParseAddr("2.2.2.2")}
			}),
			b: both(internal, func(p *Path) { p.Attrs.OriginatorID = netip.MustParseAddr("1.1.1.1") }),
		},
		{
			why: PeerAddress, a: both(internal, func(p *Path) { p.Attrs.OriginatorID = netip.MustParseAddr("1.1.1.1") }),
			b: both(internal, func(p *Path) {
				p.Attrs.OriginatorID = netip.MustParseAddr("1.1.1.1")
				p.Source.Addr = netip.MustParseAddr("9.0.0.1")
			}),
		},
	} {
		t.Run(row.why.String(), func(t *testing.T) {
			a, b := candidate(1, row.a), candidate(2, row.b)
			for _, paths := range [][]*Path{{a, b}, {b, a}} {
				got := Decide(row.policy, paths, nil)
				ia, ib := slices.Index(paths, a), slices.Index(paths, b)
				if !got[ib].Best || got[ib].Why != OK || got[ia].Best || got[ia].Why != row.why {
					t.Errorf("worse %+v, better %+v", got[ia], got[ib])
				}
			}
		})
	}
}

// MED is compared within a neighboring AS only. The triangle that has no best path
// in pairs: a beats b by MED, b beats c by age, c beats a by age.
func TestMEDIsComparedWithinOneAS(t *testing.T) {
	a := candidate(3, med(1))
	b := candidate(1, med(2))
	c := candidate(2, path4(65002))
	for _, paths := range permutations([]*Path{a, b, c}) {
		got := Decide(Policy{MaxPaths: 8, Relax: true}, paths, nil)
		if v := got[slices.Index(paths, c)]; !v.Best || !v.Multipath {
			t.Errorf("c: %+v", v)
		}
		if v := got[slices.Index(paths, a)]; v.Best || !v.Multipath || v.Why != Newer {
			t.Errorf("a: %+v", v)
		}
		if v := got[slices.Index(paths, b)]; v.Used() || v.Why != MED || v.WhyNotUsed != NotBestEnough {
			t.Errorf("b: %+v", v)
		}
	}
}

func TestMultipath(t *testing.T) {
	for _, row := range []struct {
		name   string
		policy Policy
		paths  []*Path
		used   []int    // orders, best first
		why    []Reason // WhyNotUsed of all, by position
	}{
		{
			"off by default", Policy{},
			[]*Path{candidate(1, nil), candidate(2, nil)}, []int{1}, []Reason{OK, MultipathOff},
		},
		{
			"one is off too", Policy{MaxPaths: 1, MaxPathsInternal: 8},
			[]*Path{candidate(1, nil), candidate(2, nil)}, []int{1}, []Reason{OK, MultipathOff},
		},
		{
			"the oldest, as many as allowed", Policy{MaxPaths: 2},
			[]*Path{candidate(3, nil), candidate(1, nil), candidate(2, nil)}, []int{1, 2}, []Reason{MultipathFull, OK, OK},
		},
		{
			"equally long is not equal", Policy{MaxPaths: 4},
			[]*Path{candidate(1, nil), candidate(2, path4(65002)), candidate(3, nil)}, []int{1, 3}, []Reason{OK, ASPathDiffers, OK},
		},
		{
			"unless relaxed", Policy{MaxPaths: 4, Relax: true},
			[]*Path{candidate(1, nil), candidate(2, path4(65002)), candidate(3, path4(65003, 1))}, []int{1, 2}, []Reason{OK, OK, NotBestEnough},
		},
		{
			"each next hop once", Policy{MaxPaths: 4},
			[]*Path{candidate(1, nil), candidate(2, func(p *Path) { p.NextHop = netip.MustParseAddr("10.0.0.1") }), candidate(3, nil)},
			[]int{1, 3},
			[]Reason{OK, NextHopInUse, OK},
		},
		{
			"unusable ones are not counted", Policy{MaxPaths: 2},
			[]*Path{candidate(1, func(p *Path) { p.Fault = Deleted }), candidate(2, nil), candidate(3, nil)},
			[]int{2, 3},
			[]Reason{Deleted, OK, OK},
		},
		{
			"internal paths have their own number", Policy{MaxPaths: 8, MaxPathsInternal: 2},
			[]*Path{candidate(1, internal), candidate(2, internal), candidate(3, internal)}, []int{1, 2}, []Reason{OK, OK, MultipathFull},
		},
		{
			"external and internal never together", Policy{MaxPaths: 8, MaxPathsInternal: 8},
			[]*Path{candidate(1, both(internal, path4(65001))), candidate(2, nil)}, []int{2}, []Reason{NotBestEnough, OK},
		},
		{
			"communities do not matter", Policy{MaxPaths: 8},
			[]*Path{candidate(1, nil), candidate(2, func(p *Path) { p.Attrs.Communities = []wire.Community{1} })}, []int{1, 2}, []Reason{OK, OK},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := Decide(row.policy, row.paths, nil)
			var used []int
			for i, p := range row.paths {
				if got[i].WhyNotUsed != row.why[i] {
					t.Errorf("path %d is not used because of %q, want %q", p.Order, got[i].WhyNotUsed, row.why[i])
				}
				if got[i].Best && int(p.Order) != row.used[0] {
					t.Errorf("path %d is the best, want %d", p.Order, row.used[0])
				}
				if got[i].Multipath != (got[i].Used() && len(row.used) > 1) {
					t.Errorf("path %d: multipath %v with %d used", p.Order, got[i].Multipath, len(row.used))
				}
				if got[i].Used() {
					used = append(used, int(p.Order))
				}
			}
			slices.Sort(used)
			if !slices.Equal(used, row.used) {
				t.Errorf("used %v, want %v", used, row.used)
			}
		})
	}
}

// Whatever the paths, their order in the list does not matter, exactly one of the
// usable ones is best, and no limit is exceeded.
func TestDecideProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		var paths []*Path
		for n := range 1 + r.IntN(6) {
			paths = append(paths, candidate(n+1, func(p *Path) {
				path4([]uint32{65001 + r.Uint32N(2), 7}[:1+r.IntN(2)]...)(p)
				if r.IntN(2) == 0 {
					med(r.Uint32N(2))(p)
				}
				p.Attrs.Origin = wire.Origin(r.IntN(2))
				p.Source.Internal = r.IntN(3) == 0
				p.Order = uint64(r.IntN(1000))*10 + uint64(n)
				if r.IntN(5) == 0 {
					p.Fault = NextHopUnreachable
				}
			}))
		}
		policy := Policy{MaxPaths: r.IntN(4), MaxPathsInternal: r.IntN(4), Relax: r.IntN(2) == 0, CompareRouterID: r.IntN(2) == 0}
		want := map[*Path]Verdict{}
		usable, best, used := 0, 0, 0
		for i, v := range Decide(policy, paths, nil) {
			want[paths[i]] = v
			if paths[i].Fault == OK {
				usable++
			} else if v.Used() {
				t.Fatalf("round %d: an unusable path is used: %+v", round, v)
			}
			if v.Best {
				best++
			}
			if v.Used() {
				used++
			}
			if v.Used() != (v.WhyNotUsed == OK) || v.Best != (v.Why == OK) {
				t.Fatalf("round %d: reasons and verdict disagree: %+v", round, v)
			}
		}
		if best != min(usable, 1) || used > max(1, policy.MaxPaths, policy.MaxPathsInternal) {
			t.Fatalf("round %d: %d usable, %d best, %d used, %+v", round, usable, best, used, policy)
		}
		r.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		for i, v := range Decide(policy, paths, nil) {
			if want[paths[i]] != v {
				t.Fatalf("round %d: order matters: %+v, then %+v", round, want[paths[i]], v)
			}
		}
	}
}

func permutations(paths []*Path) [][]*Path {
	if len(paths) == 1 {
		return [][]*Path{paths}
	}
	var out [][]*Path
	for i := range paths {
		rest := append(slices.Clone(paths[:i]), paths[i+1:]...)
		for _, p := range permutations(rest) {
			out = append(out, append([]*Path{paths[i]}, p...))
		}
	}
	return out
}

func TestReasonsHaveTexts(t *testing.T) {
	seen := map[string]bool{}
	for r := range reasonsEnd {
		if r.String() == "" || seen[r.String()] {
			t.Errorf("reason %d has no text of its own", r)
		}
		seen[r.String()] = true
		var back Reason
		if text, _ := r.MarshalText(); back.UnmarshalText(text) != nil || back != r {
			t.Errorf("%v does not survive its text", r)
		}
	}
	if fmt.Sprint(reasonsEnd) != "reason "+fmt.Sprint(uint8(reasonsEnd)) {
		t.Error(reasonsEnd)
	}
}
