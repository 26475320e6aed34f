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
	floor := uint32(0) // lower strata can't be anything any more
	for i := range c.rankers {
		r := &c.rankers[i]
		stratum := r.stratum(s)
		if stratum < floor {
			continue
		}
		c.enter(&st, i, r.key(r.within(s, stratum), c.weighted))
		if !c.weighted && st.Previous != None {
			floor = uint32(min(st.best.rank, st.next.rank) >> (64 - sizeBits))
		}
	}
	return st.Slot
}

// enter has an endpoint compete for a slot with its key. In which order they enter
// does not matter: no two have equal keys.
func (c *contest) enter(st *standing, i int, k key) {
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

// key returns an endpoint's key in a slot.
func (c *contest) key(s, i int) key {
	r := &c.rankers[i]
	return r.key(r.rank(s), c.weighted)
}
