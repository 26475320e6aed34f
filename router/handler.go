package router

import (
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

// event is what a session's goroutine hands to the loop: one of its fields besides
// peer is set.
type event struct {
	peer     string
	up       *bgp.SessionStatus
	update   *wire.Update
	endOfRIB wire.Family
	down     bool
}

// send queues an event; a full queue keeps the session waiting, and through TCP
// the neighbor.
func (r *Router) send(e event) {
	select {
	case r.events <- e:
	case <-r.done:
	}
}

// Established is of bgp.Handler.
func (r *Router) Established(peer string, s bgp.SessionStatus) { r.send(event{peer: peer, up: &s}) }

// Update is of bgp.Handler.
func (r *Router) Update(peer string, u *wire.Update) { r.send(event{peer: peer, update: u}) }

// EndOfRIB is of bgp.Handler.
func (r *Router) EndOfRIB(peer string, f wire.Family) { r.send(event{peer: peer, endOfRIB: f}) }

// Refresh is of bgp.Handler: there is nothing that neighbors are sent.
func (r *Router) Refresh(string, wire.Family) {}

// RefreshBegin is of bgp.Handler.
func (r *Router) RefreshBegin(string, wire.Family) {}

// RefreshEnd is of bgp.Handler.
func (r *Router) RefreshEnd(string, wire.Family) {}

// Closed is of bgp.Handler.
func (r *Router) Closed(peer string, _ bgp.Down) { r.send(event{peer: peer, down: true}) }

// handle works on one event. The caller holds mu.
func (r *Router) handle(e event, now time.Time) {
	n := r.config.neighbor(e.peer)
	if n == nil {
		return // its last words after it was removed
	}
	switch {
	case e.up != nil:
		for f, t := range r.tables {
			t.Up(rib.Source{
				Name: e.peer, Addr: n.Addr, AS: n.AS, RouterID: e.up.RemoteID,
				Internal: n.AS == r.config.AS, Limit: n.MaxPrefixes[f],
			})
		}
	case e.update != nil:
		for f, t := range r.tables {
			if !t.Update(e.peer, e.update, now) && !r.tripped[e.peer] {
				// What was sent up to here stays until the session is closed.
				r.tripped[e.peer], r.tripping = true, true
				r.log.Error("neighbor exceeds its maximum of prefixes and is shut until cleared", "peer", e.peer, "family", f.String())
			}
		}
	case e.down:
		for _, t := range r.tables {
			t.Down(e.peer)
		}
		r.gone[e.peer] = now.Add(keepDeleted)
		r.downSince[e.peer] = now
	case e.endOfRIB != wire.Family{}:
		if t := r.tables[e.endOfRIB]; t != nil {
			t.Purge(e.peer)
		}
		if waits := r.awaited[e.peer]; waits != nil {
			if delete(waits, e.endOfRIB); len(waits) == 0 {
				delete(r.awaited, e.peer)
			}
		}
	}
}
