package ipam

import (
	"cmp"
	"container/heap"
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
)

// rest is an address that was given back and is given to nobody but its former
// holder before until.
type rest struct {
	since, until time.Time
	former       pharos.Name
}

// cooling are the addresses that cool down.
type cooling struct {
	at        map[netip.Addr]rest
	byService map[pharos.Name][]netip.Addr
	ends      ends // of all in at, and of some that ended otherwise
}

func newCooling() cooling {
	return cooling{at: map[netip.Addr]rest{}, byService: map[pharos.Name][]netip.Addr{}}
}

func (c *cooling) begin(addr netip.Addr, r rest) {
	c.at[addr] = r
	c.byService[r.former] = append(c.byService[r.former], addr)
	heap.Push(&c.ends, end{r.until, addr})
}

// stop ends a cool-down, and reports whether there was one.
func (c *cooling) stop(addr netip.Addr) bool {
	r, ok := c.at[addr]
	if !ok {
		return false
	}
	delete(c.at, addr)
	of := c.byService[r.former]
	i := slices.Index(of, addr)
	if of = slices.Delete(of, i, i+1); len(of) > 0 {
		c.byService[r.former] = of
	} else {
		delete(c.byService, r.former)
	}
	if len(c.ends) > 2*len(c.at)+64 {
		c.sweep()
	}
	return true
}

// sweep leaves out of ends what ended otherwise.
func (c *cooling) sweep() {
	c.ends = c.ends[:0]
	for addr, r := range c.at {
		c.ends = append(c.ends, end{r.until, addr})
	}
	heap.Init(&c.ends)
}

// retime has every cool-down last as long as it now should. Of an address that is
// in no pool at the moment it lasts as it did.
func (c *cooling) retime(coolDown func(netip.Addr) (time.Duration, bool)) {
	for addr, r := range c.at {
		if d, ok := coolDown(addr); ok {
			r.until = r.since.Add(d)
			c.at[addr] = r
		}
	}
	c.sweep()
}

// next returns the first end.
func (c *cooling) next() (end, bool) {
	for len(c.ends) > 0 {
		first := c.ends[0]
		if r, ok := c.at[first.addr]; ok && r.until.Equal(first.at) {
			return first, true
		}
		heap.Pop(&c.ends)
	}
	return end{}, false
}

func (c *cooling) deadline() time.Time {
	first, _ := c.next()
	return first.at
}

// coolDown is how long addresses of a pool cool down; those of none do not.
func (s *stock) coolDown() time.Duration {
	if s == nil {
		return 0
	}
	return s.pool.CoolDown
}

// cool begins the cool-down of an address that a Service gave back, where its
// pool has one and nobody else holds it.
func (a *Allocator) cool(now time.Time, addr netip.Addr, former pharos.Name) {
	s := a.pools.of(addr)
	if d := s.coolDown(); d > 0 && a.held[addr] == nil {
		a.wake(addr)
		a.cooling.begin(addr, rest{now, now.Add(d), former})
		s.cooling++
	}
}

// wake ends a cool-down, and reports whether there was one.
func (a *Allocator) wake(addr netip.Addr) bool {
	cooled := a.cooling.stop(addr)
	if s := a.pools.of(addr); cooled && s != nil {
		s.cooling--
	}
	return cooled
}

// expire ends the cool-downs that are over, and reports whether there were any.
func (a *Allocator) expire(now time.Time) bool {
	ended := false
	for {
		first, ok := a.cooling.next()
		if !ok || first.at.After(now) {
			return ended
		}
		a.wake(first.addr)
		if s := a.pools.span(first.addr); s != nil {
			s.stock.lines[familyOf(first.addr)].giveBack(place{s.index, first.addr})
		}
		ended = true
	}
}

type end struct {
	at   time.Time
	addr netip.Addr
}

// ends is a heap, the earliest on top.
type ends []end

func (h ends) Len() int { return len(h) }
func (h ends) Less(i, j int) bool {
	return cmp.Or(h[i].at.Compare(h[j].at), h[i].addr.Compare(h[j].addr)) < 0
}
func (h ends) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is heap.Interface's.
func (h *ends) Push(x any) { *h = append(*h, x.(end)) }

// Pop is heap.Interface's.
func (h *ends) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
