package bfd

import "time"

// heap orders sessions by when they are due. Each has four children: sessions move
// down far more often than up, and a flat tree is in fewer cache lines.
type heap []*session

const fanout = 4

// set puts a session at its place for a time; zero takes it out.
func (h *heap) set(x *session, due time.Time) {
	switch {
	case due.IsZero():
		h.remove(x)
	case x.due.IsZero():
		x.due, x.index = due, len(*h)
		*h = append(*h, x)
		h.up(x.index)
	case !due.Equal(x.due):
		sooner := due.Before(x.due)
		x.due = due
		if sooner {
			h.up(x.index)
		} else {
			h.down(x.index)
		}
	}
}

func (h *heap) remove(x *session) {
	if x.due.IsZero() {
		return
	}
	i, last := x.index, len(*h)-1
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	x.due = time.Time{}
	if i < last {
		h.down(i)
		h.up(i)
	}
}

// first is the session that is due first; nil: none is.
func (h heap) first() *session {
	if len(h) == 0 {
		return nil
	}
	return h[0]
}

func (h heap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h heap) up(i int) {
	for i > 0 {
		parent := (i - 1) / fanout
		if !h[i].due.Before(h[parent].due) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h heap) down(i int) {
	for {
		least := i
		for c := i*fanout + 1; c <= i*fanout+fanout && c < len(h); c++ {
			if h[c].due.Before(h[least].due) {
				least = c
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}
