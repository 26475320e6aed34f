package table

import "slices"

// contest is the endpoints of a table, and how each takes part.
type contest struct {
	rankers  []ranker
	current  []bool // it may be a slot's current owner
	previous []bool // it may be a slot's previous owner,
	unready  []bool // but only where it beats the current one
	weighted bool   // weights differ
}

func newContest(owners []Endpoint) *contest {
	c := &contest{
		rankers: make([]ranker, len(owners)), current: make([]bool, len(owners)),
		previous: make([]bool, len(owners)), unready: make([]bool, len(owners)),
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
		c.current[i], c.previous[i], c.unready[i] = !e.Unready && (!e.Draining || all), !e.Dead, e.Unready
		c.weighted = c.weighted || c.rankers[i].weight != c.rankers[0].weight
	}
	return c
}

// standing is a slot's owners so far, the best of those that are not ready, and
// their keys.
type standing struct {
	Slot
	unready           uint16
	best, next, third key
}

func newStanding(s Slot) standing { return standing{Slot: s, unready: None} }

// owners returns the slot's owners when all have entered.
func (st *standing) owners() Slot {
	if st.unready != None && st.Current != None && st.third.beats(st.best) {
		st.Previous = st.unready
	}
	return st.Slot
}

// slot returns a slot's owners.
func (c *contest) slot(s int) Slot {
	st := newStanding(Slot{None, None})
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
	return st.owners()
}

// enter has an endpoint compete for a slot with its key. In which order they enter
// does not matter: no two have equal keys.
func (c *contest) enter(st *standing, i int, k key) {
	switch {
	case c.unready[i]:
		if c.previous[i] && (st.unready == None || k.beats(st.third)) {
			st.unready, st.third = uint16(i), k
		}
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
