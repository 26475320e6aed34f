package election

import (
	"slices"
	"time"
)

// Quorum tells when a node has lost touch with most of the speakers, so that it may be
// the one that is cut off while the others announce its addresses. The zero value never
// tells so; set After. It is plain data: who calls Step brings the clock.
//
// Counted are the speakers that this node has known alive, itself among them, but for
// those that said goodbye, those whose nodes the cluster no longer has, and those that
// were silent for longer than Forget while most of the others were heard. A node is in
// touch while it hears more than half of these, or half of them with the first by name
// among it: of two equal halves one goes on. Two speakers are a special case: when one is
// silent, the other can't tell who is cut off, and an address that nobody answers for is
// worse than one that two may answer for. So a node that knows but one other is never
// fenced.
type Quorum struct {
	// After is how long a node without touch goes on; 0: for ever.
	After time.Duration
	// Forget is how long a silent speaker is counted; 0: until it says goodbye or its
	// node goes.
	Forget time.Duration

	silent map[string]time.Time // of every speaker counted, since when; zero: it is heard
	lost   time.Time            // since when there is no touch; zero: there is
	fenced bool
}

// Hearing is what a node hears of the speakers.
type Hearing struct {
	Alive []string // names of their nodes; the own one is always counted
	Left  []string // those that said goodbye
	// Exists reports whether the cluster has a node of that name. Nil: all are there.
	Exists func(node string) bool
}

// Step takes in what is heard now, and reports whether the node is fenced: it must not
// answer for any address.
func (q *Quorum) Step(now time.Time, self string, h Hearing) bool {
	if q.silent == nil {
		q.silent = map[string]time.Time{}
	}
	q.silent[self] = time.Time{}
	for _, name := range h.Alive {
		q.silent[name] = time.Time{}
	}
	for name, since := range q.silent {
		switch {
		case name == self || slices.Contains(h.Alive, name):
		case slices.Contains(h.Left, name), h.Exists != nil && !h.Exists(name):
			delete(q.silent, name)
		case since.IsZero():
			q.silent[name] = now
		}
	}
	if q.inTouch() {
		q.forget(now)
		q.lost, q.fenced = time.Time{}, false
		return false
	}
	if q.lost.IsZero() {
		q.lost = now
	}
	q.fenced = q.After > 0 && now.Sub(q.lost) >= q.After
	return q.fenced
}

// inTouch reports whether enough of the speakers are heard.
func (q *Quorum) inTouch() bool {
	if len(q.silent) <= 2 {
		return true
	}
	heard, first := 0, ""
	for name, since := range q.silent {
		if since.IsZero() {
			heard++
		}
		if first == "" || name < first {
			first = name
		}
	}
	return 2*heard > len(q.silent) || 2*heard == len(q.silent) && q.silent[first].IsZero()
}

// forget counts those no longer that have been silent for long.
func (q *Quorum) forget(now time.Time) {
	for name, since := range q.silent {
		if q.Forget > 0 && !since.IsZero() && now.Sub(since) >= q.Forget {
			delete(q.silent, name)
		}
	}
}

// InTouch reports whether enough of the speakers were heard when Step was called last.
func (q *Quorum) InTouch() bool { return q.lost.IsZero() }

// Fenced returns what Step returned last.
func (q *Quorum) Fenced() bool { return q.fenced }

// Counts returns how many of the counted speakers are heard.
func (q *Quorum) Counts() (heard, counted int) {
	for _, since := range q.silent {
		if since.IsZero() {
			heard++
		}
	}
	return heard, len(q.silent)
}

// Deadline is when Step has to be called at the latest, even if nothing else is heard;
// zero: never.
func (q *Quorum) Deadline() time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if !q.lost.IsZero() {
		if q.After > 0 && !q.fenced {
			sooner(q.lost.Add(q.After))
		}
		return next
	}
	for _, since := range q.silent {
		if q.Forget > 0 && !since.IsZero() {
			sooner(since.Add(q.Forget))
		}
	}
	return next
}
