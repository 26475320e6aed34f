package bgp

import (
	"slices"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// beginRefresh carries out what resend asked for, family by family: what is sent is
// to be sent again, and enclosed by markers if the peer knows them (RFC 7313 §4). A
// family whose refresh is under way waits for the end of it, and one whose End-of-RIB is
// still to come for that: the RFC forbids to begin before.
func (t *adjOut) beginRefresh(dst []byte, n *tallied) []byte {
	var begun []wire.Family
	t.refresh = slices.DeleteFunc(t.refresh, func(f wire.Family) bool {
		if slices.ContainsFunc(t.markers, func(m marker) bool { return t.out.session.EnhancedRefresh && m.family == f }) {
			return false
		}
		begun = append(begun, f)
		return true
	})
	if len(begun) == 0 {
		return dst
	}
	t.all(func(e *entry) {
		if e.sent != nil && slices.Contains(begun, wire.FamilyOf(e.prefix)) {
			e.again = true
			t.mark(e)
		}
	})
	if !t.out.session.EnhancedRefresh {
		return dst
	}
	for _, f := range begun {
		dst = wire.AppendRouteRefresh(dst, wire.RouteRefresh{Family: f, Subtype: wire.RefreshBegin})
		n.refreshes++
		t.markers = append(t.markers, marker{after: t.dirty.pushed, family: f, enhanced: true})
	}
	return dst
}

// appendMarkers appends the markers whose time has come.
func (t *adjOut) appendMarkers(dst []byte, now time.Time, n *tallied) []byte {
	t.markers = slices.DeleteFunc(t.markers, func(m marker) bool {
		switch {
		case t.dirty.popped < m.after || t.partial && !m.enhanced:
			return false
		case m.enhanced:
			dst = wire.AppendRouteRefresh(dst, wire.RouteRefresh{Family: m.family, Subtype: wire.RefreshEnd})
			n.refreshes++
		default:
			dst = wire.AppendEndOfRIB(dst, m.family)
			n.updates++
			for i := range t.families {
				if t.families[i].Family == m.family {
					t.families[i].EndOfRIBSent = now
				}
			}
		}
		return true
	})
	return dst
}

// complete lets End-of-RIB follow what is wanted now.
func (t *adjOut) complete() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partial = false
	if t.out == nil {
		return
	}
	for i := range t.markers {
		t.markers[i].after = t.dirty.pushed
	}
	t.owner.poke()
}

// fifo is a queue of entries, each in it at most once.
type fifo struct {
	items          []*entry
	head           int
	pushed, popped uint64 // ever
}

func (q *fifo) len() int   { return len(q.items) - q.head }
func (q *fifo) grow(n int) { q.items = slices.Grow(q.items, n) }
func (q *fifo) push(e *entry) {
	if q.head > len(q.items)/2 { // the front half is used up: its memory serves again
		q.items = append(q.items[:0], q.items[q.head:]...)
		q.head = 0
	}
	q.items = append(q.items, e)
	q.pushed++
}

func (q *fifo) pop() *entry {
	e := q.items[q.head]
	q.items[q.head] = nil
	q.popped++
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return e
}
