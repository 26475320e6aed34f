package ipam

import (
	"math"
	"net/netip"

	"github.com/pharoslb/pharos"
)

// Usage counts one pool's addresses. A count ends at the largest int64, where
// larger IPv6 pools stay.
//
// Total leaves out what AvoidBuggyIPs skips. It is the sum of Used, which are
// held, each once however many Services share it; Reserved, which are kept for a
// Service and not held; Cooling, which were given back too lately; and Free.
type Usage struct {
	Pool     string `json:"pool"`
	Services int    `json:"services"` // that hold an address of the pool
	IPv4     Count  `json:"ipv4"`
	IPv6     Count  `json:"ipv6"`
}

// Count counts addresses of one family.
type Count struct {
	Total    int64 `json:"total"`
	Used     int64 `json:"used"`
	Reserved int64 `json:"reserved,omitempty"`
	Cooling  int64 `json:"cooling,omitempty"`
	Free     int64 `json:"free"`
}

// Usage returns the counts of every pool, sorted by name. It costs by the pools,
// their reservations, and what cools down.
func (a *Allocator) Usage() []Usage {
	type withheld struct{ reserved, cooling [2]uint64 }
	of := map[*stock]*withheld{}
	for _, s := range a.pools.byName {
		of[s] = &withheld{}
	}
	for addr := range a.pools.reserved {
		if a.held[addr] == nil {
			of[a.pools.of(addr)].reserved[familyOf(addr)]++
		}
	}
	for addr := range a.cooling.at {
		if s := a.pools.of(addr); s != nil && s.pool.Contains(addr) && len(a.pools.reserved[addr]) == 0 {
			of[s].cooling[familyOf(addr)]++
		}
	}
	out := make([]Usage, 0, len(a.pools.byName))
	for _, s := range a.pools.byName {
		count := func(f family) Count {
			l, w := &s.lines[f], of[s]
			free := l.total - l.used - w.reserved[f] - w.cooling[f]
			return Count{signed(l.total), signed(l.used), signed(w.reserved[f]), signed(w.cooling[f]), signed(free)}
		}
		out = append(out, Usage{s.pool.Name, s.services, count(ipv4), count(ipv6)})
	}
	return out
}

func signed(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

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
