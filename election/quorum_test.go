package election

import (
	"strings"
	"testing"
	"time"
)

func TestQuorum(t *testing.T) {
	type step struct {
		at     int // seconds
		alive  string
		left   string
		gone   string // nodes that the cluster no longer has
		fenced bool
	}
	for _, r := range []struct {
		name  string
		after int
		self  string
		steps []step
	}{
		{"alone", 5, "a", []step{{0, "a", "", "", false}, {100, "", "", "", false}}},
		{"of two the other is silent", 5, "a", []step{{0, "a b", "", "", false}, {10, "a", "", "", false}, {100, "a", "", "", false}}},
		{"of three one is silent", 5, "a", []step{{0, "a b c", "", "", false}, {10, "a b", "", "", false}, {50, "a b", "", "", false}}},
		{"of three two are silent", 5, "a", []step{{0, "a b c", "", "", false}, {10, "a", "", "", false}, {14, "a", "", "", false}, {15, "a", "", "", true},
			{500, "a", "", "", true}, {501, "a c", "", "", false}}},
		{"touch is back in time, and lost again", 5, "a", []step{{0, "a b c", "", "", false}, {10, "a", "", "", false}, {14, "a b", "", "", false}, {15, "a", "", "", false},
			{19, "a", "", "", false}, {20, "a", "", "", true}}},
		{"two said goodbye", 5, "a", []step{{0, "a b c", "", "", false}, {10, "a", "b c", "", false}, {100, "a", "b c", "", false}}},
		{"two nodes are gone for good", 5, "a", []step{{0, "a b c", "", "", false}, {10, "a", "", "", false}, {20, "a", "", "", true}, {21, "a", "", "b c", false}}},
		{"one after the other", 5, "a", []step{{0, "a b c", "", "", false}, {10, "a b", "", "", false}, {70, "a b", "", "", false}, {80, "a", "", "", false}, {200, "a", "", "", false}}},
		{"one shortly after the other", 5, "a", []step{{0, "a b c", "", "", false}, {10, "a b", "", "", false}, {69, "a b", "", "", false}, {69, "a", "", "", false}, {90, "a", "", "", true}}},
		{"half with the first", 5, "b", []step{{0, "a b c d", "", "", false}, {10, "a b", "", "", false}, {60, "a b", "", "", false}}},
		{"half without the first", 5, "c", []step{{0, "a b c d", "", "", false}, {10, "c d", "", "", false}, {15, "c d", "", "", true}}},
		{"never", 0, "a", []step{{0, "a b c", "", "", false}, {10, "a", "", "", false}, {1000, "a", "", "", false}}},
	} {
		start := time.Unix(1e9, 0)
		q := Quorum{After: time.Duration(r.after) * time.Second, Forget: time.Minute}
		for i, s := range r.steps {
			h := Hearing{Alive: strings.Fields(s.alive), Left: strings.Fields(s.left), Exists: func(n string) bool { return !strings.Contains(s.gone, n) }}
			if got := q.Step(start.Add(time.Duration(s.at)*time.Second), r.self, h); got != s.fenced || got != q.Fenced() {
				t.Errorf("%s, step %d: fenced %v", r.name, i, got)
			}
		}
	}
}

// Who calls Step at Deadline alone comes to the same answer as who calls it always.
func TestQuorumSaysWhenToAskAgain(t *testing.T) {
	start := time.Unix(1e9, 0)
	q := Quorum{After: 5 * time.Second, Forget: time.Minute}
	q.Step(start, "a", Hearing{Alive: []string{"a", "b", "c"}})
	if !q.Deadline().IsZero() {
		t.Errorf("deadline %v without need", q.Deadline())
	}
	q.Step(start, "a", Hearing{Alive: []string{"a", "b"}})
	if got := q.Deadline().Sub(start); got != time.Minute {
		t.Errorf("c is forgotten after %v", got)
	}
	if heard, counted := q.Counts(); heard != 2 || counted != 3 {
		t.Errorf("%d of %d", heard, counted)
	}
	q.Step(start, "a", Hearing{Alive: []string{"a"}})
	if got := q.Deadline().Sub(start); got != 5*time.Second {
		t.Errorf("fenced after %v", got)
	}
	if !q.Step(q.Deadline(), "a", Hearing{Alive: []string{"a"}}) || !q.Deadline().IsZero() {
		t.Errorf("not fenced at the deadline, or another deadline %v", q.Deadline())
	}
}
