package router

import (
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

const (
	// keepDeleted is how long the paths of a session that ended are shown when the
	// neighbor does not come back.
	keepDeleted = 90 * time.Second
	// defaultStaleTime is how long stale paths are used that a neighbor which is back
	// neither announces again nor ends its table without.
	defaultStaleTime = 300 * time.Second
	// refreshTime is how long a neighbor has to end a route refresh (RFC 7313 §4).
	refreshTime = 5 * time.Minute
)

// side is a neighbor in one address family.
type side struct {
	peer   string
	family wire.Family
}

// keep is what is kept of a side whose session ended, and until when.
type keep struct {
	phase     phase
	until     time.Time
	longLived time.Duration // after waiting
	longUntil time.Time     // when long-lived stale paths go; zero: there are none
}

// phase says what is kept.
type phase uint8

const (
	shown   phase = iota // deleted paths; they are shown
	waiting              // stale ones; the neighbor is to come back (RFC 4724 §4.2)
	lasting              // long-lived stale ones (RFC 9494 §4.2)
	syncing              // either; the neighbor is back and announces them again
)

// close lets the paths of a session that ended go, or marks those stale that are to be
// retained, and returns the next hops that none leads to any more.
func (r *Router) close(peer string, why *bgp.Down, now time.Time) []rib.Hop {
	var lost []rib.Hop
	for f, t := range r.tables {
		s := side{peer, f}
		delete(r.refreshes, s)
		retain := retention(why, f)
		if retain == nil || retain.Restart+retain.LongLived <= 0 {
			lost = append(lost, t.Down(peer)...)
			r.keeps[s] = &keep{phase: shown, until: now.Add(keepDeleted)}
			continue
		}
		t.Retain(peer)
		k := &keep{phase: waiting, until: now.Add(retain.Restart), longLived: retain.LongLived}
		if old := r.keeps[s]; old != nil {
			k.longUntil = old.longUntil
		}
		r.keeps[s] = k
	}
	return lost
}

func retention(why *bgp.Down, f wire.Family) *bgp.Retention {
	for i := range why.Retain {
		if why.Retain[i].Family == f {
			return &why.Retain[i]
		}
	}
	return nil
}

// back is called when a neighbor is back that says which families it forwarded by
// meanwhile. Of the others nothing stale is kept (RFC 4724 §4.2).
func (r *Router) back(n *Neighbor, peer string, preserved []wire.Family, now time.Time) {
	for f, t := range r.tables {
		s := side{peer, f}
		k := r.keeps[s]
		switch {
		case k == nil || k.phase == shown:
		case has(preserved, f):
			k.phase, k.until = syncing, now.Add(n.staleTime())
			if !k.longUntil.IsZero() {
				k.until = earlier(k.until, k.longUntil)
			}
		default:
			t.Purge(peer)
			delete(r.keeps, s)
		}
	}
}

// complete is called when a neighbor has sent its whole table.
func (r *Router) complete(s side) {
	if t := r.tables[s.family]; t != nil {
		t.Purge(s.peer)
	}
	delete(r.keeps, s)
}

// expire acts where the time of what is kept has come.
func (r *Router) expire(now time.Time) {
	for s, k := range r.keeps {
		t := r.tables[s.family]
		if k.phase == waiting && !k.longUntil.IsZero() && !now.Before(k.longUntil) {
			// What an earlier session left does not live longer for this one's end.
			t.Expire(s.peer)
			k.longUntil = time.Time{}
		}
		switch {
		case now.Before(k.until):
		case k.phase != waiting:
			t.Purge(s.peer)
			delete(r.keeps, s)
		case k.longLived > 0:
			t.LongLive(s.peer)
			if k.longUntil.IsZero() {
				k.longUntil = now.Add(k.longLived)
			}
			k.phase, k.until = lasting, k.longUntil
		default:
			r.avoid(t.Down(s.peer))
			k.phase, k.until = shown, now.Add(keepDeleted)
		}
	}
	for s, at := range r.refreshes {
		if !now.Before(at) {
			r.log.Warn("neighbor did not end its route refresh", "peer", s.peer, "family", s.family.String())
			r.refreshed(s)
		}
	}
}

// refreshed is called when a neighbor has sent its table again, or had the time to.
func (r *Router) refreshed(s side) {
	if t := r.tables[s.family]; t != nil {
		t.RefreshEnd(s.peer)
	}
	delete(r.refreshes, s)
}

// keepDeadline is when expire has something to do, if that is before next.
func (r *Router) keepDeadline(next time.Time) time.Time {
	for _, k := range r.keeps {
		next = earlier(next, k.until)
		if k.phase == waiting && !k.longUntil.IsZero() {
			next = earlier(next, k.longUntil)
		}
	}
	for _, at := range r.refreshes {
		next = earlier(next, at)
	}
	return next
}

func has(families []wire.Family, f wire.Family) bool {
	for _, o := range families {
		if o == f {
			return true
		}
	}
	return false
}
