package fib

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/pharoslb/pharos/rib"
)

func node(n int) rib.Hop {
	return rib.Hop{Addr: netip.AddrFrom4([4]byte{10, 10, 2, byte(n)}), Index: 2}
}

func nodes(ns ...int) rib.HopSet {
	var hops []rib.Hop
	for _, n := range ns {
		hops = append(hops, node(n))
	}
	return rib.NewHopSet(hops...)
}

func vip(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 19, byte(n >> 8), byte(n)}), 32)
}

func routes(set rib.HopSet, vips ...int) []rib.Route {
	var out []rib.Route
	for _, n := range vips {
		out = append(out, rib.Route{Prefix: vip(n), Hops: set})
	}
	return out
}

// memory does what the kernel would do with ops, and refuses what it would refuse.
type memory struct {
	hops   map[uint32]place
	groups map[uint32][]member
	routes map[netip.Prefix]uint32

	resilient map[uint32]bool
	flushed   int // routes that went with their group
}

func newMemory() *memory {
	return &memory{hops: map[uint32]place{}, groups: map[uint32][]member{}, routes: map[netip.Prefix]uint32{}, resilient: map[uint32]bool{}}
}

func (k *memory) do(ops []op) error {
	for _, o := range ops {
		switch o.verb {
		case addHop:
			if _, ok := k.hops[o.id]; ok {
				return fmt.Errorf("%v: exists", o)
			}
			k.hops[o.id] = o.hop
		case addGroup, replaceGroup:
			if _, ok := k.groups[o.id]; ok != (o.verb == replaceGroup) {
				return fmt.Errorf("%v: exists is %v", o, ok)
			}
			for _, m := range o.members {
				if _, ok := k.hops[m.id]; !ok {
					return fmt.Errorf("%v: no next hop %d", o, m.id)
				}
			}
			if o.verb == replaceGroup && o.resilient != k.resilient[o.id] {
				return fmt.Errorf("%v: of the other kind", o)
			}
			k.groups[o.id], k.resilient[o.id] = o.members, o.resilient
		case setRoute:
			if _, ok := k.groups[o.id]; !ok {
				return fmt.Errorf("%v: no group %d", o, o.id)
			}
			k.routes[o.prefix] = o.id
		case removeRoute:
			if _, ok := k.routes[o.prefix]; !ok {
				return fmt.Errorf("%v: there is none", o)
			}
			delete(k.routes, o.prefix)
		case removeGroup:
			for p, id := range k.routes {
				if id == o.id { // as the kernel does; who counts on it is to have it for many
					delete(k.routes, p)
					k.flushed++
				}
			}
			delete(k.groups, o.id)
			delete(k.resilient, o.id)
		case removeHop:
			for id, members := range k.groups {
				if slices.ContainsFunc(members, func(m member) bool { return m.id == o.id }) {
					return fmt.Errorf("%v: group %d uses it", o, id)
				}
			}
			delete(k.hops, o.id)
		}
	}
	return nil
}

func (k *memory) view() map[netip.Prefix]rib.HopSet {
	out := map[netip.Prefix]rib.HopSet{}
	for p, id := range k.routes {
		var hops []rib.Hop
		for _, m := range k.groups[id] {
			at := k.hops[m.id]
			hops = append(hops, rib.Hop{Addr: at.addr, Index: at.index, Weight: m.weight})
		}
		out[p] = rib.NewHopSet(hops...)
	}
	return out
}

func verbs(ops []op) []verb {
	var out []verb
	for _, o := range ops {
		out = append(out, o.verb)
	}
	return out
}

func TestPlan(t *testing.T) {
	m := newModel(false)
	for _, step := range []struct {
		name   string
		routes []rib.Route
		want   []verb
	}{
		{"a first route", routes(nodes(1, 2, 3), 1), []verb{addHop, addHop, addHop, addGroup, setRoute}},
		{"the same again", routes(nodes(3, 2, 1), 1), nil},
		{"a second one shares the group", routes(nodes(1, 2, 3), 2), []verb{setRoute}},
		{"one moves", routes(nodes(1, 2), 2), []verb{addGroup, setRoute}},
		{"and back: its group has nobody left", routes(nodes(1, 2, 3), 2), []verb{setRoute, removeGroup}},
		{"a next hop is lost: the group is replaced", routes(nodes(2, 3), 1, 2), []verb{replaceGroup, removeHop}},
		{"and comes back", routes(nodes(1, 2, 3), 1, 2), []verb{addHop, replaceGroup}},
		{"one route goes", routes(rib.HopSet{}, 2), []verb{removeRoute}},
		{"one that was not there", routes(rib.HopSet{}, 9), nil},
		{"the last one goes", routes(rib.HopSet{}, 1), []verb{removeRoute, removeGroup, removeHop, removeHop, removeHop}},
	} {
		if got := verbs(m.plan(step.routes, nil)); !slices.Equal(got, step.want) {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
	if m.routes.Len()+len(m.groups)+len(m.hops)+len(m.bySet)+len(m.taken) != 0 {
		t.Errorf("something is left: %+v", m)
	}
}

// However many routes use a neighbor, its loss is one message, and comes first.
func TestLossOfANeighborIsOneMessage(t *testing.T) {
	m := newModel(false)
	var all, after []rib.Route
	for n := range 5000 {
		all = append(all, routes(nodes(1, 2, 3), n)...)
		after = append(after, routes(nodes(2, 3), n)...)
	}
	// A few others go by one neighbor alone, or by the two that stay.
	all = append(append(all, routes(nodes(1), 6000)...), routes(nodes(2, 3), 6001)...)
	after = append(after, routes(rib.HopSet{}, 6000)...)
	m.plan(all, nil)
	got := verbs(m.plan(after, nil))
	if want := []verb{replaceGroup, removeRoute, removeGroup, removeHop}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestSweepRemovesWhatWasAdopted(t *testing.T) {
	m, kernel := newModel(false), newMemory()
	if err := kernel.do(m.plan(append(routes(nodes(1), 1, 2), routes(nodes(2), 3)...), nil)); err != nil {
		t.Fatal(err)
	}
	for _, r := range m.routes.All() {
		r.stale = true
		m.stale++
	}
	if ops := m.plan(routes(nodes(1), 1), nil); len(ops) != 0 {
		t.Errorf("asking for an adopted route costs %v", ops)
	}
	if err := kernel.do(m.sweep(nil)); err != nil {
		t.Fatal(err)
	}
	if want := map[netip.Prefix]rib.HopSet{vip(1): nodes(1)}; !reflect.DeepEqual(kernel.view(), want) {
		t.Errorf("left %v, want %v", kernel.view(), want)
	}
	if len(kernel.groups) != 1 || len(kernel.hops) != 1 {
		t.Errorf("unused objects are left: %+v", kernel)
	}
}

// Whatever is asked for, in whatever portions, the kernel is never told what it
// would refuse, and ends with exactly that.
func TestPlanProperties(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		m, kernel := newModel(false), newMemory()
		want := map[netip.Prefix]rib.HopSet{}
		for range 200 {
			var change []rib.Route
			for _, n := range r.Perm(12)[:1+r.IntN(12)] {
				var ns []int
				for node := 1; node <= 3; node++ {
					if r.IntN(3) > 0 {
						ns = append(ns, node)
					}
				}
				if r.IntN(3) == 0 {
					ns = []int{1, 2} // so that whole groups move
				}
				set := nodes(ns...)
				change = append(change, rib.Route{Prefix: vip(n), Hops: set})
				if set.Len() == 0 {
					delete(want, vip(n))
				} else {
					want[vip(n)] = set
				}
			}
			if r.IntN(4) == 0 {
				// What is avoided is told first; the plan comes to the same.
				if err := kernel.do(m.avoid([]rib.Hop{node(1 + r.IntN(3))}, nil)); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				change = all(want)
			}
			if err := kernel.do(m.plan(change, nil)); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if got := kernel.view(); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d: kernel has %v\nwant %v", seed, got, want)
			}
			if kernel.flushed > 0 {
				t.Fatalf("seed %d: a group was removed that had routes", seed)
			}
			if r.IntN(20) == 0 {
				on := !m.resilient
				if err := kernel.do(m.plan(m.choose(on), nil)); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if got := kernel.view(); !reflect.DeepEqual(got, want) {
					t.Fatalf("seed %d: after another kind of groups was chosen, the kernel has %v\nwant %v", seed, got, want)
				}
				for id := range kernel.groups {
					if kernel.resilient[id] != on {
						t.Fatalf("seed %d: a group of the other kind is left", seed)
					}
				}
			}
			if len(kernel.groups) != len(m.groups) || len(kernel.hops) != len(m.hops) {
				t.Fatalf("seed %d: objects are left over", seed)
			}
		}
	}
}

func all(want map[netip.Prefix]rib.HopSet) []rib.Route {
	var out []rib.Route
	for n := range 12 {
		out = append(out, rib.Route{Prefix: vip(n), Hops: want[vip(n)]})
	}
	return out
}

// A lost neighbor is taken out of all groups at once; what is decided afterwards costs
// nothing where it is the same.
func TestAvoidComesBeforeThePlan(t *testing.T) {
	m, kernel := newModel(false), newMemory()
	routes := append(append(routes(nodes(1, 2, 3), 1, 2, 3), routes(nodes(1, 2), 4)...), routes(nodes(1), 5)...)
	if err := kernel.do(m.plan(routes, nil)); err != nil {
		t.Fatal(err)
	}
	ops := m.avoid([]rib.Hop{node(1)}, nil)
	if got := verbs(ops); !slices.Equal(got, []verb{replaceGroup, replaceGroup}) {
		t.Errorf("%v", got)
	}
	for i := range routes {
		routes[i].Hops = []rib.HopSet{nodes(2, 3), nodes(2, 3), nodes(2, 3), nodes(2), {}}[i]
	}
	if err := kernel.do(ops); err != nil {
		t.Fatal(err)
	}
	if got := verbs(m.plan(routes, nil)); !slices.Equal(got, []verb{removeRoute, removeGroup, removeHop}) {
		t.Errorf("%v", got)
	}
	if got := m.avoid([]rib.Hop{node(1), node(9)}, nil); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// Many routes that lose their only neighbor go with their group, also where some others
// find another way; few are removed one by one, and so are those of a group that stays.
func TestManyRoutesGoWithTheirGroup(t *testing.T) {
	for _, row := range []struct {
		name  string
		moved int // of 3000, to others; the rest is removed
		stay  int
		one   int // removed one by one
	}{
		{"all go", 0, 0, 0},
		{"some find another way", 500, 0, 0},
		{"so few go", 1500, 0, 1500},
		{"one stays", 0, 1, 2999},
	} {
		m, kernel := newModel(false), newMemory()
		var before, after []rib.Route
		want := map[netip.Prefix]rib.HopSet{}
		for n := range 3000 {
			before = append(before, rib.Route{Prefix: vip(n), Hops: nodes(1)})
			switch {
			case n < row.stay:
				want[vip(n)] = nodes(1)
				continue
			case n < row.stay+row.moved:
				want[vip(n)] = nodes(2)
			}
			after = append(after, rib.Route{Prefix: vip(n), Hops: want[vip(n)]})
		}
		// Somebody joins the group that the others leave.
		before = append(before, rib.Route{Prefix: vip(5000), Hops: nodes(3)})
		if err := kernel.do(m.plan(before, nil)); err != nil {
			t.Fatal(err)
		}
		joins := row.name == "some find another way"
		if want[vip(5000)] = nodes(3); joins {
			want[vip(5000)] = nodes(1)
			after = append(after, rib.Route{Prefix: vip(5000), Hops: nodes(1)})
		}
		ops := m.plan(after, nil)
		one := 0
		for _, o := range ops {
			if o.verb == removeRoute {
				one++
			}
		}
		if one != row.one {
			t.Errorf("%s: %d routes are removed one by one, want %d", row.name, one, row.one)
		}
		if err := kernel.do(ops); err != nil {
			t.Fatal(err)
		}
		if got := kernel.view(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the kernel has %d routes, want %d", row.name, len(got), len(want))
		}
		if len(kernel.groups) != len(m.groups) || len(kernel.hops) != len(m.hops) || len(kernel.routes) != m.routes.Len() {
			t.Errorf("%s: model and kernel differ", row.name)
		}
	}
}
