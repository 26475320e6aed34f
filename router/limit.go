package router

import (
	"maps"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

// defaultThreshold is the share of its limit, in percent, at which a neighbor is
// warned of.
const defaultThreshold = 75

// PrefixLimit is how many prefixes of a family a neighbor may announce
// (maximum-prefix).
type PrefixLimit struct {
	Max       int // 0 means rib.DefaultLimit
	Threshold int // percent of Max at which the log has a warning, 1 to 100; 0 means 75
	// WarningOnly leaves the session up above Max; prefixes above it are taken, up to
	// rib.DefaultLimit.
	WarningOnly bool
	// Restart is how long a neighbor is shut that had more than Max; 0: until it is
	// cleared or configured anew.
	Restart time.Duration
}

func (l PrefixLimit) max() int {
	if l.Max == 0 {
		return rib.DefaultLimit
	}
	return l.Max
}

// hard is the number of prefixes that the table takes.
func (l PrefixLimit) hard() int {
	if l.WarningOnly {
		return max(l.max(), rib.DefaultLimit)
	}
	return l.max()
}

func (l PrefixLimit) threshold() int {
	percent := l.Threshold
	if percent == 0 {
		percent = defaultThreshold
	}
	return (l.max()*percent + 99) / 100
}

// trip is a neighbor that is shut for exceeding its limit.
type trip struct {
	until time.Time // zero: until somebody clears it
}

// refusal is a neighbor that the speaker is to be told of.
type refusal struct {
	peer string
	say  *wire.Notification
}

// count looks at how many prefixes a neighbor has after an UPDATE.
func (r *Router) count(n *Neighbor, peer string, f wire.Family, t *rib.Table, within bool, now time.Time) {
	limit := n.MaxPrefixes[f]
	s := side{peer, f}
	switch have := t.Live(peer); {
	case !within && !limit.WarningOnly:
		r.trip(s, limit, now)
	case have < limit.threshold():
		delete(r.warned, s)
	case limit.WarningOnly && (have > limit.max() || !within):
		if r.warned[s] < 2 {
			r.warned[s] = 2
			r.log.Warn("neighbor exceeds its maximum of prefixes", "peer", peer, "family", f.String(), "maximum", limit.max())
		}
	default:
		if r.warned[s] < 1 {
			r.warned[s] = 1
			r.log.Warn("neighbor comes near its maximum of prefixes", "peer", peer, "family", f.String(), "prefixes", have, "maximum", limit.max())
		}
	}
}

// trip has the neighbor shut. What it sent up to here stays until its session is
// closed.
func (r *Router) trip(s side, limit PrefixLimit, now time.Time) {
	if r.tripped[s.peer] != nil {
		return
	}
	v := &trip{}
	if limit.Restart > 0 {
		v.until = now.Add(limit.Restart)
	}
	r.tripped[s.peer] = v
	r.refusals = append(r.refusals, refusal{s.peer, wire.MaxPrefixes(s.family, uint32(limit.max()))})
	r.log.Error("neighbor exceeds its maximum of prefixes and is shut", "peer", s.peer, "family", s.family.String(), "maximum", limit.max(), "for", limit.Restart.String())
}

// readmit lets neighbors in again whose time has come.
func (r *Router) readmit(now time.Time) {
	for peer, v := range r.tripped {
		if !v.until.IsZero() && !now.Before(v.until) {
			delete(r.tripped, peer)
			r.readmitted = append(r.readmitted, peer)
		}
	}
}

// forget drops what is known of a neighbor that is none any more.
func (r *Router) forget(peer string) {
	for _, t := range r.tables {
		t.Forget(peer)
	}
	of := func(s side) bool { return s.peer == peer }
	maps.DeleteFunc(r.keeps, func(s side, _ *keep) bool { return of(s) })
	maps.DeleteFunc(r.refreshes, func(s side, _ time.Time) bool { return of(s) })
	maps.DeleteFunc(r.warned, func(s side, _ int) bool { return of(s) })
	delete(r.tripped, peer)
	delete(r.downSince, peer)
	delete(r.ended, peer)
	delete(r.addrs, peer)
	delete(r.dynamic, peer)
	delete(r.awaited, peer)
}
