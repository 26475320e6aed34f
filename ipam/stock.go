package ipam

import (
	"cmp"
	"container/heap"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
)

// pools finds pools by name and by address.
type pools struct {
	byName []*stock // sorted
	auto   []*stock // those that give without being named, sorted
	spans  []span   // all ranges, sorted by address
}

type span struct {
	pharos.Range
	stock *stock
	index int // in its line
}

func newPools(ps []pharos.Pool) pools {
	var out pools
	for _, p := range ps {
		s := &stock{pool: p}
		for _, r := range p.Ranges {
			l := &s.lines[familyOf(r.First)]
			out.spans = append(out.spans, span{r, s, len(l.ranges)})
			l.ranges = append(l.ranges, r)
		}
		for f := range s.lines {
			s.lines[f].begin(p.AvoidBuggyIPs)
		}
		out.byName = append(out.byName, s)
	}
	slices.SortFunc(out.byName, func(s, o *stock) int { return cmp.Compare(s.pool.Name, o.pool.Name) })
	slices.SortFunc(out.spans, func(s, o span) int { return s.First.Compare(o.First) })
	for _, s := range out.byName {
		if !s.pool.ManualOnly {
			out.auto = append(out.auto, s)
		}
	}
	return out
}

// named returns the pool of that name, or nil.
func (p *pools) named(name string) *stock {
	i, ok := slices.BinarySearchFunc(p.byName, name, func(s *stock, name string) int { return cmp.Compare(s.pool.Name, name) })
	if !ok {
		return nil
	}
	return p.byName[i]
}

// span returns the range that has the address, or nil.
func (p *pools) span(a netip.Addr) *span {
	i, found := slices.BinarySearchFunc(p.spans, a, func(s span, a netip.Addr) int { return s.First.Compare(a) })
	if !found {
		i--
	}
	if i < 0 || !p.spans[i].Contains(a) {
		return nil
	}
	return &p.spans[i]
}

// of returns the pool that has the address, or nil.
func (p *pools) of(a netip.Addr) *stock {
	if s := p.span(a); s != nil {
		return s.stock
	}
	return nil
}

// stock is one pool's addresses.
type stock struct {
	pool  pharos.Pool
	lines [2]line // by family
}

// String returns pool and its name.
func (s *stock) String() string { return "pool " + s.pool.Name }

// line is one family's addresses of a pool in the order in which they are given
// out. Which of them are free is for Allocator.held to say: cursor and heap only
// know where to look.
type line struct {
	ranges []pharos.Range
	avoid  bool // IPv4 addresses that end in .0 or .255
	total  uint64
	used   uint64

	// From cursor on no address was found free yet; before it, every free one is
	// in back.
	cursor place
	done   bool // the cursor is past the end
	back   places
	queued map[netip.Addr]struct{} // what is in back

	groups map[groupKey]*group
}

// place is an address and its position in a line: the ranges come in the
// operator's order.
type place struct {
	index int
	addr  netip.Addr
}

func (p place) compare(o place) int {
	if c := cmp.Compare(p.index, o.index); c != 0 {
		return c
	}
	return p.addr.Compare(o.addr)
}

func (l *line) begin(avoid bool) {
	l.avoid = avoid
	l.queued = map[netip.Addr]struct{}{}
	l.groups = map[groupKey]*group{}
	l.done = len(l.ranges) == 0
	if !l.done {
		l.cursor = place{0, l.ranges[0].First}
	}
	for _, r := range l.ranges {
		l.total = saturate(l.total, size(r, avoid))
	}
}

// free returns the first address that isn't held.
func (l *line) free(held map[netip.Addr]*holding) (place, bool) {
	for len(l.back) > 0 {
		first := l.back[0]
		if held[first.addr] == nil {
			return first, true
		}
		heap.Pop(&l.back)
		delete(l.queued, first.addr)
	}
	for !l.done {
		if held[l.cursor.addr] == nil && !(l.avoid && pharos.Buggy(l.cursor.addr)) {
			return l.cursor, true
		}
		l.advance()
	}
	return place{}, false
}

func (l *line) advance() {
	if l.cursor.addr != l.ranges[l.cursor.index].Last {
		l.cursor.addr = l.cursor.addr.Next()
		return
	}
	if l.cursor.index+1 == len(l.ranges) {
		l.done = true
		return
	}
	l.cursor = place{l.cursor.index + 1, l.ranges[l.cursor.index+1].First}
}

// giveBack notes that an address became free.
func (l *line) giveBack(p place) {
	if !l.done && p.compare(l.cursor) >= 0 {
		return // the cursor will meet it
	}
	if _, ok := l.queued[p.addr]; ok {
		return
	}
	l.queued[p.addr] = struct{}{}
	heap.Push(&l.back, p)
}

// places is a heap, the first place on top.
type places []place

func (h places) Len() int           { return len(h) }
func (h places) Less(i, j int) bool { return h[i].compare(h[j]) < 0 }
func (h places) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is heap.Interface's.
func (h *places) Push(x any) { *h = append(*h, x.(place)) }

// Pop is heap.Interface's.
func (h *places) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// size counts a range's addresses, up to the largest uint64.
func size(r pharos.Range, avoid bool) uint64 {
	if r.First.Is4() {
		first, last := number(r.First), number(r.Last)
		n := last - first + 1
		if avoid {
			// Of every 256, those that end in 0 and in 255.
			n -= (last+256)/256 - (first+255)/256
			n -= (last+1)/256 - first/256
		}
		return n
	}
	first, last := r.First.As16(), r.Last.As16()
	high, low := uint64(0), uint64(0)
	borrow := uint64(0)
	for i := range 16 {
		j := 15 - i
		d := uint64(last[j]) - uint64(first[j]) - borrow
		borrow = d >> 63
		if i < 8 {
			low |= (d & 0xff) << (8 * i)
		} else {
			high |= (d & 0xff) << (8 * (i - 8))
		}
	}
	if high > 0 {
		return math.MaxUint64
	}
	return saturate(low, 1)
}

func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
}

func saturate(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// Usage counts one pool's addresses. Totals leave out what AvoidBuggyIPs skips,
// and end at the largest uint64.
type Usage struct {
	Pool      string `json:"pool"`
	TotalIPv4 uint64 `json:"totalIPv4"`
	UsedIPv4  uint64 `json:"usedIPv4"`
	TotalIPv6 uint64 `json:"totalIPv6"`
	UsedIPv6  uint64 `json:"usedIPv6"`
}

// Usage returns the counts of every pool, sorted by name. A shared address
// counts once.
func (a *Allocator) Usage() []Usage {
	out := make([]Usage, 0, len(a.pools.byName))
	for _, s := range a.pools.byName {
		v4, v6 := &s.lines[ipv4], &s.lines[ipv6]
		out = append(out, Usage{s.pool.Name, v4.total, v4.used, v6.total, v6.used})
	}
	return out
}

// others names the pools that there are, for who asked for one that is not: the
// first few, and how many more.
func (p *pools) others() string {
	const most = 5
	var names []string
	for i, s := range p.byName {
		if i == most {
			names = append(names, fmt.Sprintf("%d more", len(p.byName)-most))
			break
		}
		names = append(names, s.pool.Name)
	}
	if len(names) == 0 {
		return ""
	}
	return ", there are: " + strings.Join(names, ", ")
}
