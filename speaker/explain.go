package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/why"
)

// Explain returns every reason for what the node does about a Service, the
// deciding one last. It also tells what becomes of the decision: which peers lack a
// route although their sessions are up, and what other Services make of it.
func (s *Speaker) Explain(name pharos.Name) why.Trail {
	s.mu.Lock()
	snap, view := s.snap, s.view
	svc, ok := snap.Services.Get(name)
	eps, _ := snap.Endpoints.Get(name)
	var told Kernel
	if ok {
		told = s.kernel.about(svc, eps, s.plans[name], time.Now())
	}
	waits := !s.kernel.state.Settled
	s.mu.Unlock()
	switch {
	case !ok:
		return why.Trail{why.New(why.NotLoadBalancer, "there is no Service %s", name)}
	case view == nil || !snap.Synced:
		return why.Trail{{Code: why.NotSynced}}
	}
	p := view.PlanWith(svc, eps, &told)
	if waits && p.Announced() {
		return why.Trail{why.New(why.DataPlaneAwaited, "this speaker has just begun, and finds out what the node's data plane serves")}
	}
	if len(p.Trail) == 0 || !p.Announced() {
		return p.Trail
	}
	last := len(p.Trail) - 1
	return slices.Concat(p.Trail[:last], s.outvoted(&p), s.missing(view, &p), p.Trail[last:])
}

// outvoted tells of prefixes that other Services share, by advertisements of another
// local preference: the highest of all is what peers are told.
func (s *Speaker) outvoted(p *Plan) (trail why.Trail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range p.Addresses {
		for _, r := range p.Addresses[i].Routes {
			own := r.Offer.Advertisement
			for _, c := range s.table.claims[r.Prefix] {
				other := c.offer.Advertisement
				if own.LocalPref == nil || other.LocalPref == nil || *own.LocalPref == *other.LocalPref || !overlap(c.offer.Peers, r.Offer.Peers) {
					continue
				}
				trail = append(trail, why.New(why.ConflictingAdvertisements,
					"advertisement %s says local preference %d of %s, and another Service has advertisement %s say %d; peers are told the higher",
					where(own.Name, own.Origin), *own.LocalPref, r.Prefix, where(other.Name, other.Origin), *other.LocalPref))
			}
		}
	}
	return trail
}

// missing tells which peers with a session lack a route that is meant for them.
func (s *Speaker) missing(v *View, p *Plan) (trail why.Trail) {
	live := s.edge.Sessions.Status()
	for i := range v.sessions {
		ses := &v.sessions[i]
		at := slices.IndexFunc(live, func(l bgp.SessionStatus) bool { return l.Name == ses.config.Name })
		if ses.refused.Code != why.OK || at < 0 || live[at].State != bgp.Established {
			continue
		}
		var wanted []netip.Prefix
		for j := range p.Addresses {
			for _, r := range p.Addresses[j].Routes {
				if slices.Contains(r.Offer.Peers, ses.config.Name) && !slices.Contains(wanted, r.Prefix) {
					wanted = append(wanted, r.Prefix)
				}
			}
		}
		for j, has := range s.edge.Sessions.Holds(ses.config.Name, wanted) {
			if !has {
				trail = append(trail, why.New(why.AnnounceFailed, "peer %q does not have %s: %s", ses.peer, wanted[j], lack(&live[at], wanted[j])))
			}
		}
	}
	return trail
}

// lack guesses from a session's status why the peer has no route to a prefix.
func lack(l *bgp.SessionStatus, p netip.Prefix) string {
	family := wire.FamilyOf(p)
	switch carried := slices.ContainsFunc(l.Families, func(f bgp.FamilyStatus) bool { return f.Family == family }); {
	case !carried && len(l.Config.Families) == 0 && p.Addr().Is4() != l.Config.RemoteAddr.Is4():
		return "its session carries one address family; dualStackAddressFamily makes it two"
	case !carried:
		return "it did not agree to carry routes of that family"
	case p.Addr().Is6() && l.Config.RemoteAddr.Is4() && !l.Config.NextHopIPv6.IsValid():
		return "the node has no IPv6 address that could be the next hop"
	case l.Pending > 0:
		return "it is about to be told"
	}
	return "the session cannot carry it"
}
