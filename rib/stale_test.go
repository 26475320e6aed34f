package rib

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/bgp/wire"
)

// marks are the paths to a prefix, newest first: host, and x deleted, S stale, L
// long-lived stale, > best, | used as well.
func (t *Table) marks(n int) string {
	e, _ := t.Lookup(vip(n))
	var out []string
	for _, p := range e.Paths {
		s := strings.TrimPrefix(p.NextHop.String(), "10.10.2.")
		switch {
		case p.Fault == Deleted:
			s += "x"
		case p.LongLived:
			s += "L"
		case p.Stale:
			s += "S"
		}
		switch {
		case p.Best:
			s += ">"
		case p.Multipath:
			s += "|"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func wantMarks(t *testing.T, tab *Table, want ...string) {
	t.Helper()
	for i, w := range want {
		if got := tab.marks(i + 1); got != w {
			t.Errorf("paths to vip %d are %q, want %q", i+1, got, w)
		}
	}
}

// A neighbor restarts: its paths are used meanwhile, those that it announces again
// keep their age, the others go at its End-of-RIB.
func TestGracefulRestart(t *testing.T) {
	tab := newTable()
	name := node(112).String()
	tab.feed(at(1))(announce(112, vip(1), vip(2)))
	tab.feed(at(2))(announce(113, vip(1)))
	tab.Decide(nil)
	tab.Retain(name)
	wantRoutes(t, tab.Decide(nil))
	wantMarks(t, tab, "113| 112S>", "112S>")
	if s, _ := tab.Source(name); s.Paths != 2 || s.Stale != 2 || s.Deleted != 0 {
		t.Errorf("%+v", s)
	}
	tab.feed(at(9))(announce(112, vip(1)))
	wantRoutes(t, tab.Decide(nil))
	wantMarks(t, tab, "113| 112>", "112S>")
	if e, _ := tab.Lookup(vip(1)); e.Best().Since != at(1) {
		t.Error("a path that was announced again lost its age")
	}
	tab.Purge(name)
	wantRoutes(t, tab.Decide(nil), Route{vip(2), HopSet{}})
	wantMarks(t, tab, "113| 112>", "")

	// It restarts again, and does not come back.
	tab.Retain(name)
	tab.Down(name)
	wantRoutes(t, tab.Decide(nil), Route{vip(1), hopsVia(7, 113)})
	wantMarks(t, tab, "113> 112x")
}

// RFC 4724 §4.2: what was stale when the neighbor restarts again is removed.
func TestConsecutiveRestarts(t *testing.T) {
	tab := newTable()
	name := node(112).String()
	tab.feed(at(1))(announce(112, vip(1), vip(2)))
	tab.Retain(name)
	tab.feed(at(2))(announce(112, vip(2)))
	tab.Retain(name)
	tab.Decide(nil)
	wantMarks(t, tab, "", "112S>")
	tab.feed(at(3))(withdraw(112, vip(2)))
	wantRoutes(t, tab.Decide(nil), Route{vip(2), HopSet{}})
}

func TestLongLivedStale(t *testing.T) {
	tab := newTable()
	name := node(112).String()
	tab.feed(at(1))(announce(112, vip(1), vip(2)))
	_, u := announce(112, vip(3))
	u.Attrs.Communities = []wire.Community{communityNoLongLived}
	tab.Update(name, u, at(1))
	tab.feed(at(2))(announce(113, vip(2)))
	tab.Decide(nil)
	tab.Retain(name)
	tab.LongLive(name)
	wantRoutes(t, tab.Decide(nil), Route{vip(2), hopsVia(7, 113)}, Route{vip(3), HopSet{}})
	wantMarks(t, tab, "112L>", "113> 112L", "")
	e, _ := tab.Lookup(vip(2))
	if p := e.Paths[1]; p.Why != LongLivedStale || !slices.Contains(p.Attrs.Communities, communityLongLivedStale) {
		t.Errorf("%+v with %v", p.Verdict, p.Attrs.Communities)
	}
	// It is back, and restarts again: what is long-lived stays (RFC 9494 §4.2).
	tab.feed(at(3))(announce(112, vip(2)))
	wantRoutes(t, tab.Decide(nil), Route{vip(2), hopsVia(7, 112, 113)})
	tab.Retain(name)
	wantMarks(t, tab, "112L>", "113| 112S>")
	tab.Purge(name)
	wantRoutes(t, tab.Decide(nil), Route{vip(1), HopSet{}}, Route{vip(2), hopsVia(7, 113)})

	// Somebody else kept it for long (RFC 9494 §4.3).
	_, u = announce(114, vip(2))
	u.Attrs.Communities = []wire.Community{communityLongLivedStale}
	u.Attrs.LocalPref = wire.Some(500)
	tab.Update(node(114).String(), u, at(4))
	wantRoutes(t, tab.Decide(nil))
	if e, _ := tab.Lookup(vip(2)); e.Paths[0].Why != LongLivedStale {
		t.Errorf("%+v", e.Paths[0].Verdict)
	}
}

// A neighbor that restarts again and again with other prefixes each time fills the
// table no further than its limit lets it, thrice.
func TestRestartsAreBounded(t *testing.T) {
	tab := newTable()
	name := node(112).String()
	tab.Up(Source{Name: name, Addr: node(112), AS: 65211, RouterID: node(112), Limit: 10})
	for i := range 50 {
		for j := range 10 {
			tab.feed(at(i))(announce(112, vip(10*i+j)))
		}
		if s, _ := tab.Source(name); s.Paths+s.Deleted > 30 {
			t.Fatalf("after %d restarts: %+v", i, s)
		}
		tab.Retain(name)
		if i%3 > 0 {
			tab.LongLive(name)
		}
		tab.Decide(nil)
	}
	if s, _ := tab.Source(name); len(s.Rejected) != 0 {
		t.Errorf("rejected %v", s.Rejected)
	}
}

func TestEnhancedRefresh(t *testing.T) {
	tab := newTable()
	name := node(112).String()
	tab.feed(at(1))(announce(112, vip(1), vip(2), vip(3)))
	tab.Decide(nil)
	tab.RefreshEnd(name)
	wantRoutes(t, tab.Decide(nil))
	tab.RefreshBegin(name)
	tab.feed(at(2))(announce(112, vip(1)))
	wantRoutes(t, tab.Decide(nil))
	_, u := announce(112, vip(3), vip(4))
	u.Attrs.MED = wire.Some(9)
	tab.Update(name, u, at(3))
	tab.RefreshEnd(name)
	wantRoutes(t, tab.Decide(nil), Route{vip(2), HopSet{}}, Route{vip(4), hopsVia(7, 112)})
	tab.RefreshEnd(name)
	// A session that ends takes its refresh with it.
	tab.RefreshBegin(name)
	tab.Retain(name)
	tab.RefreshEnd(name)
	wantRoutes(t, tab.Decide(nil))
	wantMarks(t, tab, "112S>", "", "112S>", "112S>")
}

// What Down says is lost is used by nobody else's paths.
func TestDownTellsLostNextHops(t *testing.T) {
	tab := newTable()
	tab.feed(at(1))(announce(112, vip(1)))
	tab.feed(at(1))(announce(113, vip(1)))
	_, u := announce(112, vip(2)) // 114 says that 112 leads there, too
	tab.Update(node(114).String(), u, at(1))
	if got := tab.Down(node(112).String()); len(got) != 0 {
		t.Errorf("lost %v", got)
	}
	if got := tab.Down(node(113).String()); !slices.Equal(got, []Hop{{Addr: node(113), Index: 7}}) {
		t.Errorf("lost %v", got)
	}
	if got := tab.Down("stranger"); got != nil {
		t.Errorf("lost %v", got)
	}
}

func TestUnreachableNextHopsOfDeletedPathsStayDeleted(t *testing.T) {
	tab := newTable()
	tab.feed(at(1))(announce(112, vip(1)))
	tab.Down(node(112).String())
	tab.Resolve(Networks{}, at(2))
	tab.Resolve(segment(7), at(3))
	wantRoutes(t, tab.Decide(nil))
	wantMarks(t, tab, "112x")
	if e, _ := tab.Lookup(vip(1)); e.Paths[0].Since != at(1) {
		t.Error("a deleted path was renewed")
	}
	if p, ok := tab.Lookup(netip.Prefix{}); ok {
		t.Errorf("no prefix has %v", p)
	}
}
