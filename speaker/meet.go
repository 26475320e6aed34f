package speaker

import (
	"net/netip"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/why"
)

// meet takes in who is alive and what links there are. It returns the Services that may
// have another owner now.
func (s *Speaker) meet(now time.Time) map[pharos.Name]bool {
	l := &s.segments
	was := l.crowd
	l.crowd = s.assemble(now)
	if s.view == nil {
		return nil
	}
	s.view = s.view.among(l.crowd)
	if !s.synced {
		return nil
	}
	concerned := map[pharos.Name]bool{}
	if !l.crowd.alike(was) {
		for _, list := range l.owners {
			include(concerned, list)
		}
	} else {
		s.compare(was, concerned)
	}
	if s.edge.Membership != nil && l.crowd.policy.Sticky {
		s.claimed(concerned)
	}
	s.spread(concerned)
	return concerned
}

func include(set, more map[pharos.Name]bool) {
	for name := range more {
		set[name] = true
	}
}

// compare adds the Services whose owner may be another one because of nodes that came,
// went, or have other links than before.
func (s *Speaker) compare(was *crowd, concerned map[pharos.Name]bool) {
	l := &s.segments
	lost, won := l.crowd.differ(was)
	for _, node := range lost {
		include(concerned, l.owners[node])
	}
	if l.crowd.fenced != was.fenced || (l.crowd.keeps == nil) != (was.keeps == nil) || !sameStates(l.crowd.links, was.links) {
		include(concerned, l.owners[s.opt.Node])
	}
	if len(won) == 0 {
		return
	}
	include(concerned, l.owners[""])
	for _, list := range l.owners {
		for name := range list {
			svc, ok := s.snap.Services.Get(name)
			if !ok || concerned[name] || len(svc.Ingress) == 0 {
				continue
			}
			eps, _ := s.snap.Endpoints.Get(name)
			serving := servable(eps)
			for _, node := range won {
				if s.view.contests(s.plans[name], svc, serving, node) {
					concerned[name] = true
					break
				}
			}
		}
	}
}

// claimed adds the Services whose address another node was heard to hold.
func (s *Speaker) claimed(concerned map[pharos.Name]bool) {
	heard := map[netip.Addr]bool{}
	for _, a := range s.edge.Membership.Heard() {
		heard[a] = true
	}
	if len(heard) == 0 {
		return
	}
	for _, list := range s.segments.owners {
		for name := range list {
			if p := s.plans[name]; len(p.Addresses) > 0 && heard[p.Addresses[0].Addr] {
				concerned[name] = true
			}
		}
	}
}

// spread elects with bounded loads, where that is the policy, and adds the Services that
// have another place than before. It looks at all of them.
func (s *Speaker) spread(concerned map[pharos.Name]bool) {
	l := &s.segments
	was := l.crowd.seats
	if l.crowd.policy.Spread == 0 || s.view == nil {
		return
	}
	var seats []election.Seat
	services := map[netip.Addr][]pharos.Name{}
	at := map[netip.Addr]int{}
	for name, svc := range s.snap.Services.All() {
		if svc.Type != pharos.LoadBalancer {
			continue
		}
		eps, _ := s.snap.Endpoints.Get(name)
		seat, ok := s.view.seat(svc, servable(eps))
		if !ok {
			continue
		}
		services[seat.Addr] = append(services[seat.Addr], name)
		if i, shared := at[seat.Addr]; !shared {
			at[seat.Addr] = len(seats)
			seats = append(seats, seat)
		} else if first := services[seat.Addr][0]; name.Compare(first) < 0 {
			seats[i] = seat // of several Services with the address, the first by name speaks
			list := services[seat.Addr]
			list[0], list[len(list)-1] = name, first
		}
	}
	next := *l.crowd
	next.seats = election.Spread(seats, l.crowd.policy.Spread)
	l.crowd = &next
	s.view = s.view.among(l.crowd)
	for addr, names := range services {
		if next.seats[addr] != was[addr] {
			for _, name := range names {
				concerned[name] = true
			}
		}
	}
}

// sameStates reports whether links can be used for the same.
func sameStates(a, b []layer2.LinkStatus) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || a[i].IPv4 != b[i].IPv4 || a[i].IPv6 != b[i].IPv6 {
			return false
		}
	}
	return true
}

// assemble puts the crowd together, and tells the others of this node.
func (s *Speaker) assemble(now time.Time) *crowd {
	l := &s.segments
	if s.edge.Layer2 == nil {
		c := everybody(s.opt.Node)
		c.reason = why.New(why.AnnounceFailed, "this speaker announces nothing on layer 2")
		return c
	}
	l.links = s.edge.Layer2.Links()
	own := Facts{Leaving: l.leaving, Policy: s.opt.Policy, Links: linksOf(l.links), Partial: len(l.links) == 0}
	if s.kernel.ails(now) {
		// Others are elected as if it had no link, and nobody falls silent where that is so
		// of all nodes: rules stay in kernels while proxies are away.
		for i := range own.Links {
			own.Links[i].IPv4, own.Links[i].IPv6 = false, false
		}
	}
	c := everybody(s.opt.Node)
	if m := s.edge.Membership; m != nil {
		st := m.Status()
		own.Ready, own.Acting = l.begin.step(now, s.opt.Node, s.snap, len(l.links) > 0 && s.view != nil && s.kernel.fit(), &st)
		own = m.Tell(own) // who knew more of itself would elect another than the others do
		l.judge.know(st.Members)
		c = gather(s.opt.Node, own, &st)
		if r := s.kernel.unfit(); r.Code != why.OK && c.reason.Code == why.NotSynced {
			c.reason = r
		}
		c.holder = m.Holder
		s.fence(now, c, &st)
	} else {
		c.policy = election.Policy{Spread: s.opt.Policy.Spread} // nobody knows who holds what
	}
	c.links, c.seats = l.links, l.crowd.seats
	if c.policy.Spread == 0 {
		c.seats = nil
	}
	return c
}

// fence finds out whether this node has lost touch with most of the speakers. From then
// on it takes nothing over, and after a while it is quiet.
func (s *Speaker) fence(now time.Time, c *crowd, st *MembershipStatus) {
	l := &s.segments
	if c.members == nil {
		return
	}
	was := l.crowd.fenced
	h := election.Hearing{Left: st.Left}
	for i := range st.Members {
		if m := &st.Members[i]; m.leaving() {
			h.Left = append(h.Left, m.Name)
		} else {
			h.Alive = append(h.Alive, m.Name)
		}
	}
	if s.snap.Synced {
		h.Exists = func(node string) bool { _, ok := s.snap.Nodes.Get(node); return ok }
	}
	switch fenced := l.quorum.Step(now, s.opt.Node, h); {
	case fenced && was.Code == why.OK:
		heard, counted := l.quorum.Counts()
		c.fenced = why.New(why.Fenced, "node %s hears %d of %d speakers, so that it may be cut off from those that announce its layer 2 addresses now: it answers for none until it hears more",
			s.opt.Node, heard, counted)
		s.recorder.Node(s.opt.Node, c.fenced)
		s.log.Warn("fenced: no layer 2 address is answered for", "heard", heard, "of", counted)
	case fenced:
		c.fenced = was
	case was.Code != why.OK:
		s.log.Info("in touch with most of the speakers again")
	}
	if s.opt.FenceAfter > 0 && !l.quorum.InTouch() {
		if c.keeps = l.crowd.keeps; c.keeps == nil {
			c.keeps = l.answers.addresses()
		}
	}
}
