package rib

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func segment(index int) Networks {
	return NewNetworks([]Connected{
		{Prefix: netip.MustParsePrefix("10.10.2.210/24"), Index: index, Device: "Ethernet1-1"},
		{Prefix: netip.MustParsePrefix("2001:db8::210/64"), Index: index, Device: "Ethernet1-1"},
	})
}

func node(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 10, 2, byte(n)}) }

func vip(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 19, byte(n >> 8), byte(n)}), 32)
}

// newTable is the walk-through's switch with its three neighbors up.
func newTable() *Table {
	t := NewTable(wire.IPv4Unicast, 65210, netip.MustParseAddr("1.1.1.1"))
	t.SetPolicy(Policy{MaxPaths: 3})
	t.Resolve(segment(7), start)
	for n := 112; n <= 114; n++ {
		t.Up(Source{Name: node(n).String(), Addr: node(n), AS: 65211, RouterID: node(n)})
	}
	return t
}

func announce(n int, prefixes ...netip.Prefix) (string, *wire.Update) {
	return node(n).String(), &wire.Update{
		Attrs: &wire.Attrs{Origin: wire.OriginIncomplete, ASPath: wire.Sequence(65211), NextHop: node(n)},
		NLRI:  prefixes,
	}
}

func withdraw(n int, prefixes ...netip.Prefix) (string, *wire.Update) {
	return node(n).String(), &wire.Update{Withdrawn: prefixes}
}

func (t *Table) feed(at time.Time) func(string, *wire.Update) {
	return func(name string, u *wire.Update) { t.Update(name, u, at) }
}

func hopsVia(index int, nodes ...int) HopSet {
	var hops []Hop
	for _, n := range nodes {
		hops = append(hops, Hop{Addr: node(n), Index: index})
	}
	return NewHopSet(hops...)
}

func wantRoutes(t *testing.T, got []Route, want ...Route) {
	t.Helper()
	slices.SortFunc(got, func(a, b Route) int { return a.Prefix.Addr().Compare(b.Prefix.Addr()) })
	if !slices.Equal(got, want) {
		t.Errorf("changed routes %s\nwant %s", text(got), text(want))
	}
}

func text(v any) string { b, _ := json.Marshal(v); return string(b) }

// The walk-through's steps 7 and 10: three next hops, the node with the best path
// goes and comes back.
func TestLifeOfARoute(t *testing.T) {
	tab := newTable()
	tab.feed(at(1))(announce(112, vip(1)))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 112)})
	tab.feed(at(2))(announce(114, vip(1)))
	tab.feed(at(3))(announce(113, vip(1)))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 112, 113, 114)})

	e, ok := tab.Lookup(vip(1))
	if !ok || len(e.Paths) != 3 || e.Paths[0].NextHop != node(113) || e.Best().NextHop != node(112) || e.Best().Since != at(1) {
		t.Fatalf("entry %s", text(e))
	}
	if why := e.Paths[0].Why; why != Newer {
		t.Errorf("113 is not best because of %v", why)
	}

	// Saying the same again changes nothing, not even the age.
	tab.feed(at(9))(announce(112, vip(1)))
	wantRoutes(t, tab.Decide(nil))

	tab.Down(node(112).String())
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 113, 114)})
	e, _ = tab.Lookup(vip(1))
	if len(e.Paths) != 3 || e.Best().NextHop != node(114) || e.Paths[2].Fault != Deleted {
		t.Errorf("after the loss: %s", text(e))
	}

	tab.Up(Source{Name: node(112).String(), Addr: node(112), AS: 65211, RouterID: node(112)})
	tab.feed(at(20))(announce(112, vip(1)))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 112, 113, 114)})
	tab.Purge(node(112).String())
	wantRoutes(t, tab.Decide(nil))
	if e, _ = tab.Lookup(vip(1)); e.Best().NextHop != node(114) || e.Paths[0].NextHop != node(112) || e.Paths[0].Since != at(20) {
		t.Errorf("after the return the best must stay and the returned be the newest: %s", text(e))
	}

	for n := 112; n <= 114; n++ {
		tab.feed(at(30))(withdraw(n, vip(1)))
	}
	wantRoutes(t, tab.Decide(nil), Route{vip(1), HopSet{}})
	if s := tab.Summary(); s.Networks != 0 || s.Paths != 0 || s.Attributes != 0 || tab.entries.Len() != 0 {
		t.Errorf("something is left: %+v", s)
	}
}

func TestPurgeRemovesWhatDidNotComeBack(t *testing.T) {
	tab := newTable()
	tab.feed(at(1))(announce(112, vip(1), vip(2)))
	tab.Decide(nil)
	tab.Down(node(112).String())
	wantRoutes(t, tab.Decide(nil), Route{vip(1), HopSet{}}, Route{vip(2), HopSet{}})
	if s, _ := tab.Source(node(112).String()); s.Paths != 0 || s.Deleted != 2 {
		t.Errorf("after the loss: %+v", s)
	}
	if _, ok := tab.Lookup(vip(2)); !ok {
		t.Error("the deleted path is not shown")
	}
	tab.feed(at(2))(announce(112, vip(1)))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 112)})
	tab.Purge(node(112).String())
	wantRoutes(t, tab.Decide(nil))
	if _, ok := tab.Lookup(vip(2)); ok {
		t.Error("the path that did not come back is still there")
	}
	tab.Forget(node(112).String())
	wantRoutes(t, tab.Decide(nil), Route{vip(1), HopSet{}})
	if _, ok := tab.Source(node(112).String()); ok || len(tab.attrsByKey) != 0 {
		t.Error("a forgotten neighbor is still known")
	}
	tab.feed(at(3))(announce(112, vip(3)))
	wantRoutes(t, tab.Decide(nil))
}

// A neighbor that sends other prefixes in each session and never End-of-RIB must
// not fill the table with what it left behind.
func TestFlappingNeighborLeavesOneSessionsPaths(t *testing.T) {
	tab := newTable()
	name := node(112).String()
	for i := range 200 {
		tab.feed(at(i))(announce(112, vip(i), vip(i+1)))
		tab.Decide(nil)
		tab.Down(name)
		tab.Decide(nil)
	}
	if s, _ := tab.Source(name); s.Deleted != 2 || s.Paths != 0 || tab.entries.Len() != 2 || tab.Summary().Paths != 2 {
		t.Errorf("after 200 sessions: %+v, %d entries, %+v", s, tab.entries.Len(), tab.Summary())
	}
	if _, ok := tab.Lookup(vip(200)); !ok {
		t.Error("the last session's path is not shown")
	}
}

func TestNextHopsMustBeConnected(t *testing.T) {
	tab := newTable()
	name, u := announce(112, vip(1))
	u.Attrs.NextHop = netip.MustParseAddr("192.0.2.1")
	tab.Update(name, u, at(1))
	wantRoutes(t, tab.Decide(nil))
	e, _ := tab.Lookup(vip(1))
	if e.Paths[0].Fault != NextHopUnreachable || e.Paths[0].Why != NextHopUnreachable || e.Best() != nil {
		t.Errorf("an unreachable next hop: %s", text(e))
	}
	name, u = announce(113, vip(2))
	u.Attrs.NextHop = node(210) // our own address
	tab.Update(name, u, at(1))
	wantRoutes(t, tab.Decide(nil))

	tab.Resolve(NewNetworks([]Connected{
		{Prefix: netip.MustParsePrefix("10.10.2.210/24"), Index: 7},
		{Prefix: netip.MustParsePrefix("192.0.2.9/24"), Index: 8},
	}), at(5))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), NewHopSet(Hop{Addr: netip.MustParseAddr("192.0.2.1"), Index: 8})})
	if e, _ = tab.Lookup(vip(1)); e.Paths[0].Since != at(5) {
		t.Error("a path that came to be usable keeps an old age")
	}
	tab.feed(at(6))(announce(112, vip(3)))
	tab.Decide(nil)
	// The device was replaced: same network, another number.
	tab.Resolve(segment(9), at(7))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), HopSet{}}, Route{vip(3), hopsVia(9, 112)})
	tab.Resolve(Networks{}, at(8))
	wantRoutes(t, tab.Decide(nil), Route{vip(3), HopSet{}})
}

func TestWhatIsNotTaken(t *testing.T) {
	for _, row := range []struct {
		why    Reason
		change func(*wire.Attrs)
	}{
		{LocalASInPath, func(a *wire.Attrs) { a.ASPath = wire.Sequence(65211, 65210) }},
		{OwnOriginator, func(a *wire.Attrs) { a.OriginatorID = netip.MustParseAddr("1.1.1.1") }},
		{OwnOriginator, func(a *wire.Attrs) { a.ClusterList = []netip.Addr{netip.MustParseAddr("1.1.1.1")} }},
	} {
		tab := newTable()
		tab.feed(at(1))(announce(112, vip(1)))
		tab.Decide(nil)
		name, u := announce(112, vip(1))
		row.change(u.Attrs)
		tab.Update(name, u, at(2))
		wantRoutes(t, tab.Decide(nil), Route{vip(1), HopSet{}})
		if s, _ := tab.Source(name); s.Rejected[row.why] != 1 || s.Paths != 0 {
			t.Errorf("%v: %+v", row.why, s)
		}
		if len(tab.attrsByKey) != 0 {
			t.Errorf("%v: attributes are kept", row.why)
		}
	}
}

func TestLimit(t *testing.T) {
	tab := newTable()
	name := node(112).String()
	tab.Up(Source{Name: name, Addr: node(112), AS: 65211, RouterID: node(112), Limit: 2})
	if ok := tab.Update(announceAt(112, at(1), vip(1), vip(2))); !ok {
		t.Error("refused within the limit")
	}
	if ok := tab.Update(announceAt(112, at(1), vip(2), vip(3))); ok {
		t.Error("the limit was not noticed")
	}
	if s, _ := tab.Source(name); s.Paths != 2 || s.Rejected[LimitExceeded] != 1 {
		t.Errorf("%+v", s)
	}
	if _, ok := tab.Lookup(vip(3)); ok {
		t.Error("a prefix above the limit was taken")
	}
}

// A neighbor that gives every path a lot of attributes of its own is bounded, too.
func TestAttributesAreBounded(t *testing.T) {
	tab := newTable()
	name := node(112).String()
	tab.Up(Source{Name: name, Addr: node(112), AS: 65211, RouterID: node(112), Limit: 10})
	send := func(n, node int) {
		name, u := announce(node, vip(n))
		u.Attrs.Communities = make([]wire.Community, 4000) // 16 kB
		u.Attrs.MED = wire.Some(uint32(n))
		tab.Update(name, u, at(n))
	}
	held := func() (n int) {
		for i := range 10 {
			if _, ok := tab.Lookup(vip(i)); ok {
				n++
			}
		}
		return n
	}
	for i := range 10 {
		send(i, 112)
	}
	if s, _ := tab.Source(name); s.Paths != 4 || s.Rejected[AttributesExceeded] != 6 || tab.attrs.Len() != 4 {
		t.Errorf("%d paths, %d attributes: %v", s.Paths, tab.attrs.Len(), s.Rejected)
	}
	send(3, 112) // nothing new
	send(9, 113) // not its
	send(9, 112)
	if s, _ := tab.Source(name); held() != 5 || s.Paths != 5 {
		t.Errorf("%d prefixes, %d of its paths", held(), s.Paths)
	}
	tab.feed(at(20))(withdraw(112, vip(0)))
	send(8, 112)
	if held() != 5 {
		t.Errorf("%d prefixes after one made room", held())
	}
	tab.Forget(node(113).String())
	tab.Forget(name)
	if tab.Decide(nil); tab.attrs.Len() != 0 {
		t.Errorf("%d attributes are left", tab.attrs.Len())
	}
}

func announceAt(n int, now time.Time, prefixes ...netip.Prefix) (string, *wire.Update, time.Time) {
	name, u := announce(n, prefixes...)
	return name, u, now
}

func TestOtherFamiliesAreLeftAlone(t *testing.T) {
	tab := newTable()
	name, u := announce(112, vip(1), netip.MustParsePrefix("2001:db8:1::/64"))
	u.Attrs.NextHop6 = netip.MustParseAddr("2001:db8::112")
	tab.Update(name, u, at(1))
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 112)})

	six := NewTable(wire.IPv6Unicast, 65210, netip.MustParseAddr("1.1.1.1"))
	six.Resolve(segment(7), start)
	six.Up(Source{Name: name, Addr: node(112), AS: 65211, RouterID: node(112)})
	six.Update(name, u, at(1))
	wantRoutes(t, six.Decide(nil), Route{netip.MustParsePrefix("2001:db8:1::/64"), NewHopSet(Hop{Addr: netip.MustParseAddr("2001:db8::112"), Index: 7})})
}

func TestPolicyChangeIsDecidedAnew(t *testing.T) {
	tab := newTable()
	for n := 112; n <= 114; n++ {
		tab.feed(at(n))(announce(n, vip(1)))
	}
	tab.Decide(nil)
	tab.SetPolicy(Policy{MaxPaths: 3})
	if tab.Dirty() != 0 {
		t.Error("the same policy is a change")
	}
	tab.SetPolicy(Policy{})
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 112)})
}

func TestSummaryCounts(t *testing.T) {
	tab := newTable()
	for n := 112; n <= 114; n++ {
		tab.feed(at(n))(announce(n, vip(1)))
	}
	name, u := announce(112, vip(2))
	u.Attrs.ASPath = wire.Sequence(65211, 65000)
	u.Attrs.Communities = []wire.Community{1, 2}
	tab.Update(name, u, at(1))
	tab.Decide(nil)
	got := tab.Summary()
	want := Summary{Version: got.Version, Networks: 2, Paths: 4, Attributes: 2, ASPaths: 2, ASPathHops: 3, Communities: 1}
	if got != want || got.Version != 3 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// However announcements, withdrawals, losses and returns are mixed, the table comes
// to what one fed with the outcome alone comes to, and what it handed out adds up
// to what it holds.
func TestAnyOrderComesToTheSame(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		tab := newTable()
		kernel := map[netip.Prefix]HopSet{}
		type key struct {
			node   int
			prefix netip.Prefix
		}
		state := map[key]*wire.Update{}
		order := []key{} // oldest first
		forget := func(k key) {
			delete(state, k)
			order = slices.DeleteFunc(order, func(o key) bool { return o == k })
		}
		for step := range 300 {
			n, p := 112+r.IntN(3), vip(r.IntN(8))
			k := key{n, p}
			switch r.IntN(8) {
			case 0:
				tab.Down(node(n).String())
				for i := range 8 {
					forget(key{n, vip(i)})
				}
			case 1:
				tab.Purge(node(n).String())
			case 2, 3:
				tab.feed(at(step))(withdraw(n, p))
				forget(k)
			default:
				name, u := announce(n, p)
				u.Attrs.MED = wire.Some(r.Uint32N(2))
				if old := state[k]; old == nil || !old.Attrs.Equal(u.Attrs) {
					forget(k)
					order = append(order, k)
				}
				state[k] = u
				tab.Update(name, u, at(step))
			}
			if r.IntN(4) == 0 {
				apply(kernel, tab.Decide(nil))
			}
		}
		apply(kernel, tab.Decide(nil))

		fresh := newTable()
		want := map[netip.Prefix]HopSet{}
		for i, k := range order {
			fresh.Update(node(k.node).String(), state[k], at(i))
		}
		apply(want, fresh.Decide(nil))
		if !reflect.DeepEqual(kernel, want) {
			t.Fatalf("seed %d: handed out %v\nwant %v", seed, kernel, want)
		}
		for n := 112; n <= 114; n++ {
			tab.Purge(node(n).String())
		}
		apply(kernel, tab.Decide(nil))
		if !reflect.DeepEqual(kernel, want) {
			t.Fatalf("seed %d: purging changed routes", seed)
		}
		a, b := tab.Entries(), fresh.Entries()
		if len(a) != len(b) {
			t.Fatalf("seed %d: %d entries, want %d", seed, len(a), len(b))
		}
		for i := range a {
			for j := range a[i].Paths {
				x, y := a[i].Paths[j], b[i].Paths[j]
				if x.Verdict != y.Verdict || x.NextHop != y.NextHop {
					t.Fatalf("seed %d: %v: %+v, want %+v", seed, a[i].Prefix, x, y)
				}
			}
		}
		for n := 112; n <= 114; n++ {
			tab.Forget(node(n).String())
		}
		apply(kernel, tab.Decide(nil))
		if len(kernel) != 0 || tab.entries.Len() != 0 || len(tab.attrsByKey) != 0 || tab.paths.Len() != 0 || len(tab.hopByKey) != 0 {
			t.Fatalf("seed %d: left %d routes, %d entries, %d attributes, %d paths", seed, len(kernel), tab.entries.Len(), len(tab.attrsByKey), tab.paths.Len())
		}
	}
}

func apply(kernel map[netip.Prefix]HopSet, routes []Route) {
	for _, r := range routes {
		if r.Hops.Len() == 0 {
			delete(kernel, r.Prefix)
		} else {
			kernel[r.Prefix] = r.Hops
		}
	}
}

func TestHopSets(t *testing.T) {
	six := Hop{Addr: netip.MustParseAddr("fe80::1"), Index: 2}
	hop := func(n int) Hop { return Hop{Addr: node(n), Index: 1} }
	a, b := NewHopSet(hop(2), six, hop(1)), NewHopSet(six, hop(1), hop(2), six)
	if a != b || a.Len() != 3 || !slices.Equal(a.Hops(), []Hop{hop(1), hop(2), six}) {
		t.Errorf("%v, %v", a.Hops(), b.Hops())
	}
	if (HopSet{}).Len() != 0 || NewHopSet() != (HopSet{}) {
		t.Error("the empty set is not the zero value")
	}
	var back HopSet
	if err := json.Unmarshal([]byte(text(a)), &back); err != nil || back != a {
		t.Errorf("%s: %v", text(a), err)
	}
}

func TestCovering(t *testing.T) {
	tab := newTable()
	tab.feed(at(1))(announce(112, netip.MustParsePrefix("172.19.0.0/16"), vip(1)))
	tab.Decide(nil)
	for addr, want := range map[string]string{"172.19.0.1": "172.19.0.1/32", "172.19.0.2": "172.19.0.0/16"} {
		if e, ok := tab.Covering(netip.MustParseAddr(addr)); !ok || e.Prefix.String() != want {
			t.Errorf("%s: %v", addr, e.Prefix)
		}
	}
	if _, ok := tab.Covering(netip.MustParseAddr("10.0.0.1")); ok {
		t.Error("10.0.0.1 is covered")
	}
}
