package table

import "slices"

// With returns the table of other endpoints: the same as New, bit for bit, at a
// cost of those slots that the difference concerns.
func (t *Table) With(endpoints []Endpoint) *Table {
	next := &Table{Owners: normal(endpoints)}
	if slices.Equal(next.Owners, t.Owners) {
		return t
	}
	was, is := newContest(t.Owners), newContest(next.Owners)
	kept, entering := is.since(was, t.Owners, next.Owners)
	if 2*len(entering) > len(next.Owners) {
		return New(endpoints)
	}
	for s, old := range t.Slots {
		if !kept.has(old.Current) || !kept.has(old.Previous) {
			next.Slots[s] = is.slot(s)
			continue
		}
		st := newStanding(Slot{kept.index(old.Current), kept.index(old.Previous)})
		if len(entering) > 0 && st.Current != None {
			st.best = is.key(s, int(st.Current))
		}
		if len(entering) > 0 && st.Previous != None {
			st.next = is.key(s, int(st.Previous))
		}
		for _, i := range entering {
			is.enter(&st, i, is.key(s, i))
		}
		next.Slots[s] = st.owners()
	}
	next.Generation = next.digest()
	return next
}

// moved holds the new index of each owner that takes part as before; None for the
// others, and for those that are not ready: behind them may be another.
type moved []uint16

func (m moved) index(i uint16) uint16 {
	if i == None {
		return None
	}
	return m[i]
}

// has reports whether a slot's owner takes part as before. That there is none may
// stay so.
func (m moved) has(i uint16) bool { return i == None || m[i] != None }

// since compares the owners of two contests, both sorted by address: it returns
// where the kept ones of the first are in the second, and who is there besides.
func (c *contest) since(old *contest, was, is []Endpoint) (moved, []int) {
	kept := make(moved, len(was))
	var entering []int
	i := 0
	for j := range was {
		kept[j] = None
		for ; i < len(is) && is[i].Addr.Compare(was[j].Addr) < 0; i++ {
			entering = append(entering, i)
		}
		if i == len(is) || is[i].Addr != was[j].Addr {
			continue
		}
		if !c.unready[i] && !old.unready[j] && c.rankers[i] == old.rankers[j] && c.current[i] == old.current[j] && c.previous[i] == old.previous[j] {
			kept[j] = uint16(i)
		} else {
			entering = append(entering, i)
		}
		i++
	}
	for ; i < len(is); i++ {
		entering = append(entering, i)
	}
	return kept, entering
}
