package router

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

// event is what a session's goroutine hands to the loop: one of its fields besides
// peer is set.
type event struct {
	session   uint64 // its number
	peer      string
	up        *bgp.SessionStatus
	update    *wire.Update
	endOfRIB  wire.Family
	refresh   wire.Family // begins
	refreshed wire.Family // ended
	down      *bgp.Down
	abandoned bool // retained routes are not to be
}

// send queues an event; a full queue keeps the session waiting, and through TCP
// the neighbor.
func (r *Router) send(e event) {
	if n, ok := r.current.Load(e.peer); ok {
		e.session = n.(uint64)
	}
	select {
	case r.events <- e:
	case <-r.done:
	}
}

// Established is of bgp.Handler.
func (r *Router) Established(peer string, s bgp.SessionStatus) {
	r.current.Store(peer, r.sessionCount.Add(1))
	r.send(event{peer: peer, up: &s})
}

// Update is of bgp.Handler.
func (r *Router) Update(peer string, u *wire.Update) {
	if large(u) {
		select {
		case r.larges <- struct{}{}:
		case <-r.done:
			return
		}
	}
	r.send(event{peer: peer, update: u})
}

// large says that few such UPDATEs may wait at a time.
func large(u *wire.Update) bool { return len(u.NLRI)+len(u.Withdrawn) > batch }

// recycle gives an UPDATE back whose routes the tables have copied, or do not want.
func (r *Router) recycle(u *wire.Update) {
	if large(u) {
		<-r.larges
	}
	bgp.Recycle(u)
}

// EndOfRIB is of bgp.Handler.
func (r *Router) EndOfRIB(peer string, f wire.Family) { r.send(event{peer: peer, endOfRIB: f}) }

// Refresh is of bgp.Handler: there is nothing that neighbors are sent.
func (r *Router) Refresh(string, wire.Family) {}

// RefreshBegin is of bgp.Handler.
func (r *Router) RefreshBegin(peer string, f wire.Family) { r.send(event{peer: peer, refresh: f}) }

// RefreshEnd is of bgp.Handler.
func (r *Router) RefreshEnd(peer string, f wire.Family) { r.send(event{peer: peer, refreshed: f}) }

// Abandoned is of bgp.Handler. It belongs to no session, and follows the end of the one
// whose routes were retained.
func (r *Router) Abandoned(peer string) {
	select {
	case r.events <- event{peer: peer, abandoned: true, session: r.sessionCount.Add(1)}:
	case <-r.done:
	}
}

// Closed is of bgp.Handler. It overtakes whatever else waits, as packets depend on it;
// unless routes are retained, which then are those that the session told of to its end.
func (r *Router) Closed(peer string, why bgp.Down) {
	e := event{peer: peer, down: &why}
	queue := r.urgent
	if len(why.Retain) > 0 {
		queue = r.events
	}
	if n, ok := r.current.LoadAndDelete(peer); ok {
		e.session = n.(uint64)
	}
	select {
	case queue <- e:
	case <-r.done:
	}
}

// overtaken says that the session of an event has ended, and its end been acted upon:
// be it its own or that of a later one, which overtook an end that did not.
func (r *Router) overtaken(e event) bool {
	if e.session > r.ended[e.peer] {
		if e.down != nil {
			r.ended[e.peer] = e.session
		}
		return false
	}
	if e.update != nil {
		r.recycle(e.update)
	}
	return true
}

// handle works on one event. The caller holds mu.
func (r *Router) handle(e event, now time.Time) {
	if r.overtaken(e) {
		return
	}
	n := r.neighbor(e.peer)
	if e.up != nil && r.byName[e.peer] == nil {
		n = r.admit(e.peer, e.up)
	}
	if n == nil { // its last words after it was removed
		if e.update != nil {
			r.recycle(e.update)
		}
		return
	}
	if r.avoided && e.down == nil {
		// What is avoided has to be decided without before anything brings it back: a
		// decision that comes to the same as before the loss would not reach the kernel.
		r.flush()
	}
	none := wire.Family{}
	switch {
	case e.up != nil:
		r.established(n, e.peer, e.up, now)
	case e.update != nil:
		for f, t := range r.tables {
			within := t.Update(e.peer, e.update, now)
			r.count(n, e.peer, f, t, within, now)
		}
		r.recycle(e.update)
	case e.down != nil:
		// The groups of next hops are rid of those that are lost before anything else
		// is done: that is what packets depend on.
		r.avoid(r.close(e.peer, e.down, now))
		r.downSince[e.peer] = now
		if d := r.dynamic[e.peer]; d != nil {
			d.gone = now
		}
	case e.abandoned:
		r.avoid(r.close(e.peer, &bgp.Down{}, now))
	case e.refresh != none:
		if t := r.tables[e.refresh]; t != nil {
			t.RefreshBegin(e.peer)
			r.refreshes[side{e.peer, e.refresh}] = now.Add(refreshTime)
		}
	case e.refreshed != none:
		r.refreshed(side{e.peer, e.refreshed})
	case e.endOfRIB != none:
		r.complete(side{e.peer, e.endOfRIB})
		if waits := r.awaited[e.peer]; waits != nil {
			if delete(waits, e.endOfRIB); len(waits) == 0 {
				delete(r.awaited, e.peer)
			}
		}
	}
}

// established makes a neighbor known to the tables.
func (r *Router) established(n *Neighbor, peer string, s *bgp.SessionStatus, now time.Time) {
	addr := n.Addr
	if a := remoteAddr(s); a.IsValid() {
		addr = a
	}
	r.addrs[peer] = addr
	for f, t := range r.tables {
		t.Up(rib.Source{
			Name: peer, Addr: addr, AS: n.remoteAS(s), RouterID: s.RemoteID,
			Internal: n.AS == n.localAS(&r.config), Limit: n.MaxPrefixes[f].hard(),
			LocalAS: n.LocalAS, Role: n.Role, Interface: n.Interface, Draining: n.Draining,
		})
	}
	r.back(n, peer, s.Preserved, now)
}

// remoteAddr is the address of a neighbor as its session has it.
func remoteAddr(s *bgp.SessionStatus) netip.Addr {
	if a := s.RemoteAddr.Addr(); a.IsValid() {
		return a
	}
	return s.Config.RemoteAddr
}

// avoid has the kernel forward by next hops no more that no path leads to.
func (r *Router) avoid(hops []rib.Hop) {
	hops = slices.DeleteFunc(hops, func(h rib.Hop) bool {
		for _, t := range r.tables {
			if t.Uses(h) { // of the other family (RFC 8950)
				return true
			}
		}
		return false
	})
	if len(hops) == 0 {
		return
	}
	r.avoided = true
	if err := r.opt.FIB.Avoid(hops); err != nil {
		r.refused(err)
	}
}
