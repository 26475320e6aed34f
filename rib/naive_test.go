package rib

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/bgp/wire"
)

// naive is a table that keeps everything in one list, oldest path first, and knows no
// numbers, counts or hop objects.
type naive struct {
	paths      []*naivePath
	limit      map[int]int
	refreshing map[int]bool
	index      int // of the interface that reaches the next hops; 0: none does
}

type naivePath struct {
	node   int
	prefix netip.Prefix
	id     uint32
	text   string // of the attributes and the next hop
	noLong bool
	state  state
	again  bool // announced since the refresh began
}

func (m *naive) count(n int, s state) (c int) {
	for _, p := range m.paths {
		if p.node == n && p.state == s {
			c++
		}
	}
	return c
}

func (m *naive) drop(n int, goes func(*naivePath) bool) {
	m.paths = slices.DeleteFunc(m.paths, func(p *naivePath) bool { return p.node == n && goes(p) })
}

func (m *naive) each(n int, f func(*naivePath)) {
	for _, p := range m.paths {
		if p.node == n {
			f(p)
		}
	}
}

func (m *naive) announce(n int, prefix netip.Prefix, id uint32, text string, noLong bool) (taken bool) {
	at := slices.IndexFunc(m.paths, func(p *naivePath) bool { return p.node == n && p.prefix == prefix && p.id == id })
	full := m.count(n, live) >= m.limit[n]
	fresh := &naivePath{node: n, prefix: prefix, id: id, text: text, noLong: noLong, again: true}
	switch {
	case at < 0 && full, at >= 0 && full && m.paths[at].state != live:
		return false
	case at < 0:
		m.paths = append(m.paths, fresh)
	case m.paths[at].state != deleted && m.paths[at].text == text:
		m.paths[at] = fresh
	default:
		m.paths = append(slices.Delete(m.paths, at, at+1), fresh)
	}
	return true
}

func (m *naive) down(n int) {
	m.refreshing[n] = false
	if m.count(n, live) > 0 {
		m.drop(n, func(p *naivePath) bool { return p.state != live })
	} else {
		m.drop(n, func(p *naivePath) bool { return p.state == deleted })
	}
	m.each(n, func(p *naivePath) { p.state = deleted })
}

func (m *naive) retain(n int) {
	m.refreshing[n] = false
	m.drop(n, func(p *naivePath) bool { return p.state == deleted || p.state == stale })
	m.each(n, func(p *naivePath) {
		if p.state == live {
			p.state = stale
		}
	})
}

// longLive is not told which of too many paths go: it takes that from the table.
func (m *naive) longLive(n int, stays func(*naivePath) bool) {
	m.drop(n, func(p *naivePath) bool { return p.state == stale && (p.noLong || !stays(p)) })
	m.each(n, func(p *naivePath) {
		if p.state == stale {
			p.state = longLived
		}
	})
}

func (m *naive) refreshEnd(n int) {
	if m.refreshing[n] {
		m.drop(n, func(p *naivePath) bool { return p.state == live && !p.again })
	}
	m.refreshing[n] = false
}

// resolve makes the paths that come to be usable the youngest, in the order that they
// had within a prefix.
func (m *naive) resolve(index int) {
	if m.index == 0 && index != 0 {
		kept, renewed := []*naivePath{}, []*naivePath{}
		for _, p := range m.paths {
			if p.state == deleted {
				kept = append(kept, p)
			} else {
				renewed = append(renewed, p)
			}
		}
		m.paths = append(kept, renewed...)
	}
	m.index = index
}

// view is what the table shows of a prefix.
func (m *naive) view(prefix netip.Prefix) string {
	var out []string
	for _, p := range m.paths {
		if p.prefix == prefix {
			out = append(out, fmt.Sprint(p.node, p.id, p.text, p.state, p.state == deleted || m.index == 0))
		}
	}
	return strings.Join(out, "\n")
}

func (t *Table) naiveView(prefix netip.Prefix) string {
	number := t.entries.Find(prefix)
	if number == 0 {
		return ""
	}
	var out []string
	for at := t.entries.At(number).oldest; at != 0; at = t.paths.At(at).next {
		p := t.paths.At(at)
		v := t.expand(p)
		out = append(out, fmt.Sprint(int(v.Source.Addr.As4()[3]), v.ID, fmt.Sprint(v.Attrs.MED.Or(0), v.Attrs.Communities, v.NextHop), p.state, v.Fault != OK))
	}
	return strings.Join(out, "\n")
}

// Whatever happens to a table, it holds what a naive one would, and its counts and
// references are those of what it holds.
func TestTableHoldsWhatANaiveOneDoes(t *testing.T) {
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 11))
		tab := newTable()
		m := &naive{limit: map[int]int{}, refreshing: map[int]bool{}, index: 7}
		for n := 112; n <= 114; n++ {
			m.limit[n] = DefaultLimit
		}
		for step := range 500 {
			n := 112 + r.IntN(3)
			name := node(n).String()
			done := ""
			switch r.IntN(30) {
			case 0:
				done = "down"
				tab.Down(name)
				m.down(n)
			case 1:
				done = "retain"
				tab.Retain(name)
				m.retain(n)
			case 2, 3:
				done = "long-live"
				before := m.count(n, stale)
				tab.LongLive(name)
				m.longLive(n, func(p *naivePath) bool {
					number := tab.entries.Find(p.prefix)
					at, _ := tab.of(tab.entries.At(number), tab.sourceByName[name], p.id)
					return at != 0
				})
				if got := m.count(n, longLived); got > m.limit[n] && before > 0 {
					t.Fatalf("seed %d, step %d: %d long-lived paths, limit %d", seed, step, got, m.limit[n])
				}
			case 4:
				done = "purge"
				tab.Purge(name)
				m.drop(n, func(p *naivePath) bool { return p.state != live })
			case 5:
				done = "refresh begins"
				tab.RefreshBegin(name)
				m.refreshing[n] = true
				m.each(n, func(p *naivePath) { p.again = false })
			case 6:
				done = "refresh ends"
				tab.RefreshEnd(name)
				m.refreshEnd(n)
			case 7:
				done = "links"
				index := []int{0, 7, 8}[r.IntN(3)]
				tab.Resolve([]Networks{{}, segment(7), segment(8)}[max(0, index-6)], at(step))
				m.resolve(index)
			case 8:
				done = "limit"
				m.limit[n] = 2 + r.IntN(8)
				tab.SetLimit(name, m.limit[n])
			case 9:
				done = "forget"
				tab.Forget(name)
				tab.Up(Source{Name: name, Addr: node(n), AS: 65211, RouterID: node(n)})
				m.drop(n, func(*naivePath) bool { return true })
				m.refreshing[n], m.limit[n] = false, DefaultLimit
			default:
				done = "update"
				_, u := announce(n+10*r.IntN(2), vip(r.IntN(6)), vip(r.IntN(6)))
				u.Attrs.MED = wire.Some(r.Uint32N(3))
				u.NLRIPaths = []uint32{r.Uint32N(3), r.Uint32N(3)}
				if r.IntN(4) == 0 {
					u.Attrs.Communities = []wire.Community{communityNoLongLived}
				}
				u.Withdrawn, u.WithdrawnPaths = []netip.Prefix{vip(r.IntN(6))}, []uint32{r.Uint32N(3)}
				within := tab.Update(name, u, at(step))
				m.drop(n, func(p *naivePath) bool { return p.prefix == u.Withdrawn[0] && p.id == u.WithdrawnPaths[0] })
				all := true
				for i, p := range u.NLRI {
					text := fmt.Sprint(u.Attrs.MED.Or(0), u.Attrs.Communities, u.Attrs.NextHop)
					all = m.announce(n, p, u.NLRIPaths[i], text, len(u.Attrs.Communities) > 0) && all
				}
				if within != all {
					t.Fatalf("seed %d, step %d: within the limit is %v", seed, step, within)
				}
			}
			if r.IntN(2) == 0 {
				tab.Decide(nil)
			}
			for i := range 6 {
				if got, want := tab.naiveView(vip(i)), m.view(vip(i)); got != want {
					t.Fatalf("seed %d, step %d, %s of %d: %v\n%s\nwant\n%s", seed, step, done, n, vip(i), got, want)
				}
			}
			m.check(t, tab)
		}
	}
}

// check compares what the table counts.
func (m *naive) check(t *testing.T, tab *Table) {
	t.Helper()
	attrs, hops, used := map[string]int{}, map[string]int{}, map[string]int{}
	for _, p := range m.paths {
		text := strings.Fields(p.text)
		hop := fmt.Sprint(p.node, " ", text[len(text)-1])
		attrs[strings.TrimSuffix(p.text, text[len(text)-1])]++
		hops[hop]++
		if p.state != deleted {
			used[hop]++
		}
	}
	if len(attrs) != len(tab.attrsByKey) || len(attrs) != tab.attrs.Len() || len(hops) != len(tab.hopByKey) || len(hops) != tab.hops.Len() || len(m.paths) != tab.paths.Len() {
		t.Fatalf("%d attributes, %d hops, %d paths, want %d, %d, %d", tab.attrs.Len(), tab.hops.Len(), tab.paths.Len(), len(attrs), len(hops), len(m.paths))
	}
	for _, a := range tab.attrsByKey {
		if want := attrs[fmt.Sprint(a.MED.Or(0), " ", a.Communities, " ")]; a.refs != want {
			t.Fatalf("attributes are held %d times, want %d", a.refs, want)
		}
	}
	for k, number := range tab.hopByKey {
		h := tab.hops.At(number)
		hop := fmt.Sprint(int((*tab.sources.At(k.source)).info.Addr.As4()[3]), " ", k.addr)
		if h.paths != hops[hop] || h.used != used[hop] {
			t.Fatalf("next hop %s has %d paths, %d in use, want %d, %d", hop, h.paths, h.used, hops[hop], used[hop])
		}
	}
	for n := 112; n <= 114; n++ {
		for s := range states {
			if got, want := tab.sourceByName[node(n).String()].count[s], m.count(n, s); got != want {
				t.Fatalf("%d has %d paths in state %d, want %d", n, got, s, want)
			}
		}
	}
}
