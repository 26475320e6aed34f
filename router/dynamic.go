package router

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos/bgp"
)

const (
	// defaultPeerTimeout is how long a dynamic neighbor is known after its session ended.
	defaultPeerTimeout = 30 * time.Second
	// trippedTimeout is how long one is that is shut until somebody clears it: for as
	// long as the speaker keeps it out at least.
	trippedTimeout = time.Hour
)

// dynamic is a neighbor that a prefix of the configuration admitted. The speaker gave
// it its name.
type dynamic struct {
	addr     netip.Addr
	template string    // name of the prefix
	gone     time.Time // when its session ended; zero: it is up
}

// neighbor returns the settings of a neighbor: its own, or those of the prefix that
// admitted it. The caller holds mu.
func (r *Router) neighbor(peer string) *Neighbor {
	if n := r.byName[peer]; n != nil {
		return n
	}
	if d := r.dynamic[peer]; d != nil {
		return r.byName[d.template]
	}
	return nil
}

// admit makes a neighbor known that the speaker let in by a prefix, unless it is not
// configured any more.
func (r *Router) admit(peer string, s *bgp.SessionStatus) *Neighbor {
	n := r.byName[s.Config.Template]
	if n == nil || !n.Prefix.IsValid() {
		return nil
	}
	r.dynamic[peer] = &dynamic{addr: remoteAddr(s), template: s.Config.Template}
	return n
}

// retire forgets dynamic neighbors that have been away for long, and of which nothing
// stale is used.
func (r *Router) retire(now time.Time) {
	for peer, d := range r.dynamic {
		if n := r.neighbor(peer); n == nil || !d.gone.IsZero() && !now.Before(r.retireAt(peer, d, n)) {
			r.forget(peer)
		}
	}
}

// retireAt is when a dynamic neighbor without a session is forgotten: not while stale
// paths of it are used, nor before it is let in again, which nobody else thinks of.
func (r *Router) retireAt(peer string, d *dynamic, n *Neighbor) time.Time {
	at := d.gone.Add(n.peerTimeout())
	for _, f := range families {
		if k := r.keeps[side{peer, f}]; k != nil && k.phase != shown && at.Before(k.until) {
			at = k.until
		}
	}
	if v := r.tripped[peer]; v != nil {
		wait := v.until
		if wait.IsZero() {
			wait = d.gone.Add(trippedTimeout)
		}
		if at.Before(wait) {
			at = wait
		}
	}
	return at
}

// dynamicNames are the dynamic neighbors by address.
func (r *Router) dynamicNames() []string {
	var names []string
	for peer := range r.dynamic {
		names = append(names, peer)
	}
	slices.SortFunc(names, func(a, b string) int { return r.dynamic[a].addr.Compare(r.dynamic[b].addr) })
	return names
}
