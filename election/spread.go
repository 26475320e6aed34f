package election

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
)

// Seat is an address that is to be announced by one of its candidates.
type Seat struct {
	Addr       netip.Addr
	Candidates []Candidate
	Holder     string // keeps it if it can, as in Rank; empty: nobody does
}

// Spread elects an announcer for each address so that no node has more than its bound
// while another candidate has room: consistent hashing with bounded loads. An address
// goes to the first of its ranked candidates that has room; addresses whose candidates
// are all full go to the one of them with the least, the first of several. The result
// does not depend on the order of seats. Addresses without candidates are not in it.
//
// A change of one address or node may move others, as many as have to make room.
func Spread(seats []Seat, factor float64) map[netip.Addr]string {
	seats = slices.Clone(seats)
	slices.SortFunc(seats, func(a, b Seat) int { return a.Addr.Compare(b.Addr) })
	bound := Bound(seats, factor)
	load := map[string]int{}
	out := make(map[netip.Addr]string, len(seats))
	// First what can stay where it is: what has to move shall not drive it away.
	var rest []*Seat
	for i := range seats {
		s := &seats[i]
		switch {
		case len(s.Candidates) == 0:
		case s.Holder != "" && load[s.Holder] < bound && Elect(s.Addr, s.Candidates, s.Holder) == s.Holder:
			load[s.Holder]++
			out[s.Addr] = s.Holder
		default:
			rest = append(rest, s)
		}
	}
	for _, s := range rest {
		node := place(s, load, bound)
		load[node]++
		out[s.Addr] = node
	}
	return out
}

// Bound is how many addresses a node may have: the average over all nodes that are a
// candidate of one, times the factor, rounded up. A factor below 1 counts as 1.
func Bound(seats []Seat, factor float64) int {
	nodes := map[string]bool{}
	n := 0
	for i := range seats {
		if len(seats[i].Candidates) > 0 {
			n++
		}
		for _, c := range seats[i].Candidates {
			nodes[c.Node] = true
		}
	}
	if len(nodes) == 0 {
		return 0
	}
	return int(math.Ceil(max(factor, 1) * float64(n) / float64(len(nodes))))
}

// place returns the candidate that an address goes to.
func place(s *Seat, load map[string]int, bound int) string {
	if best := Elect(s.Addr, s.Candidates, s.Holder); load[best] < bound {
		return best // most often; the rest need not be ranked
	}
	ranked := Rank(s.Addr, s.Candidates, s.Holder)
	for _, node := range ranked {
		if load[node] < bound {
			return node
		}
	}
	return slices.MinFunc(ranked, func(a, b string) int { return cmp.Compare(load[a], load[b]) })
}
