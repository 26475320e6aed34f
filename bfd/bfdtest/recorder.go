package bfdtest

import (
	"sync"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bfd"
)

// Recorder is a bfd.Handler that remembers.
type Recorder struct {
	mu      sync.Mutex
	changes map[string][]bfd.Change
	more    chan struct{} // closed and replaced with each change
}

// NewRecorder returns one that has heard nothing.
func NewRecorder() *Recorder {
	return &Recorder{changes: make(map[string][]bfd.Change), more: make(chan struct{})}
}

// StateChanged is bfd.Handler's.
func (r *Recorder) StateChanged(c bfd.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes[c.Name] = append(r.changes[c.Name], c)
	close(r.more)
	r.more = make(chan struct{})
}

// Changes are all of a session's, the oldest first.
func (r *Recorder) Changes(name string) []bfd.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]bfd.Change(nil), r.changes[name]...)
}

// State is what a session last changed to; Down if nothing was heard of it.
func (r *Recorder) State(name string) bfd.State {
	if c := r.Changes(name); len(c) > 0 {
		return c[len(c)-1].To
	}
	return bfd.Down
}

// Ups counts a session's changes to Up.
func (r *Recorder) Ups(name string) (n int) {
	for _, c := range r.Changes(name) {
		if c.To == bfd.Up {
			n++
		}
	}
	return n
}

// WaitState waits until a session's last change was to this state, and returns the change.
// It fails the test after a minute.
func (r *Recorder) WaitState(t testing.TB, name string, to bfd.State) bfd.Change {
	t.Helper()
	late := time.After(time.Minute)
	for {
		r.mu.Lock()
		c, more := r.changes[name], r.more
		r.mu.Unlock()
		if len(c) > 0 && c[len(c)-1].To == to {
			return c[len(c)-1]
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("session %s did not come to %v: %+v", name, to, c)
		}
	}
}
