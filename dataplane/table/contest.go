package table

import "slices"

// contest is the endpoints of a table, and how each takes part.
type contest struct {
	rankers  []ranker
	current  []bool // it may be a slot's current owner
	previous []bool // it may be a slot's previous owner
	weighted bool   // weights differ
}

func newContest(owners []Endpoint) *contest {
	c := &contest{
		rankers: make([]ranker, len(owners)), current: make([]bool, len(owners)), previous: make([]bool, len(owners)),
	}
	all := !slices.ContainsFunc(owners, func(e Endpoint) bool { return !e.Draining })
	for i, e := range owners {
		// A port has no part in ranks: a client that sticks to a pod sticks to all its
		// ports. But one pod's two endpoints are two.
		port := uint16(0)
		if i > 0 && owners[i-1].Addr.Addr() == e.Addr.Addr() {
			port = e.Addr.Port()
		}
		c.rankers[i] = newRanker(e.Addr.Addr(), port, e.Weight)
		c.current[i], c.previous[i] = !e.Draining || all, !e.Dead
		c.weighted = c.weighted || c.rankers[i].weight != c.rankers[0].weight
	}
	return c
}

// standing is a slot's owners so far, and their keys.
type standing struct {
	Slot
	best, next key
}

// slot returns a slot's owners.
func (c *contest) slot(s int) Slot {
	st := standing{Slot: Slot{None, None}}
	for i := range c.rankers {
		// Most are in a stratum too low to be anything.
		if st.Previous != None && !c.weighted && c.rankers[i].stratum(s) < uint32(min(st.best.rank, st.next.rank)>>(64-sizeBits)) {
			continue
		}
		c.enter(&st, s, i)
	}
	return st.Slot
}

// enter has an endpoint compete for a slot. In which order they enter does not
// matter: no two have equal keys.
func (c *contest) enter(st *standing, s, i int) {
	k := c.rankers[i].key(s, c.weighted)
	switch {
	case c.current[i] && (st.Current == None || k.beats(st.best)):
		if st.Current != None && c.previous[st.Current] && (st.Previous == None || st.best.beats(st.next)) {
			st.Previous, st.next = st.Current, st.best
		}
		st.Current, st.best = uint16(i), k
	case c.previous[i] && (st.Previous == None || k.beats(st.next)):
		st.Previous, st.next = uint16(i), k
	}
}
