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
	spans  []span   // all ranges, sorted by address

	// Pools that give without being named: those for some Services, by priority,
	// 0 last, and then name; and those for all, by name.
	pinned, open []*stock

	reserved    map[netip.Addr][]pharos.Name
	reservedFor map[pharos.Name][]netip.Addr // by the pools' names
}

type span struct {
	pharos.Range
	stock *stock
	index int // in its line
}

func newPools(ps []pharos.Pool) pools {
	out := pools{reserved: map[netip.Addr][]pharos.Name{}, reservedFor: map[pharos.Name][]netip.Addr{}}
	for _, p := range ps {
		s := &stock{pool: p, usedBy: map[string]map[netip.Addr]int{}}
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
		switch {
		case s.pool.ManualOnly:
		case s.pool.Allocation != nil:
			out.pinned = append(out.pinned, s)
		default:
			out.open = append(out.open, s)
		}
		for _, r := range s.pool.Reservations {
			if s.pool.Contains(r.Addr) && !slices.Contains(out.reserved[r.Addr], r.Service) {
				out.reserved[r.Addr] = append(out.reserved[r.Addr], r.Service)
				out.reservedFor[r.Service] = append(out.reservedFor[r.Service], r.Addr)
			}
		}
	}
	slices.SortStableFunc(out.pinned, func(s, o *stock) int { return cmp.Compare(s.rank(), o.rank()) })
	return out
}

// rank orders pinned pools.
func (s *stock) rank() int {
	if s.pool.Allocation.Priority == 0 {
		return math.MaxInt
	}
	return s.pool.Allocation.Priority
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
	pool     pharos.Pool
	lines    [2]line // by family
	services int     // that hold one of them
	cooling  int     // how many of them cool down

	// usedBy are the addresses that the Services of a namespace hold, with how
	// many hold each. It is kept where there is a quota.
	usedBy map[string]map[netip.Addr]int
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

// free returns the first address that nothing stands in the way of. What becomes
// available behind the cursor has to be given back.
func (l *line) free(unavailable func(netip.Addr) bool) (place, bool) {
	for len(l.back) > 0 {
		first := l.back[0]
		if !unavailable(first.addr) {
			return first, true
		}
		heap.Pop(&l.back)
		delete(l.queued, first.addr)
	}
	for !l.done {
		if !(l.avoid && pharos.Buggy(l.cursor.addr)) && !unavailable(l.cursor.addr) {
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
	if !l.done && p.compare(l.cursor) >= 0 || l.avoid && pharos.Buggy(p.addr) {
		return // the cursor will meet it, or nobody may have it
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
