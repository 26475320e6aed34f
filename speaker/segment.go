package speaker

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/why"
)

// Segment is what becomes of an address on layer 2.
type Segment struct {
	Owner string // the node that announces it, as far as this one knows; empty: none
	// Here: this node announces it, on Interfaces; none of those means on any.
	Here       bool
	Interfaces []string
	Reason     why.Reason // NodeAssigned, or why this node does not announce it
}

// key is what the election hashes for a Service: its first address, so that a
// Service of two families has one announcer.
func key(svc *pharos.Service) netip.Addr { return svc.Ingress[0] }

// segment decides who announces an address on layer 2, if its pool asks for that.
func (v *View) segment(p *Plan, a *Address, svc *pharos.Service, serving []string, kernel *Kernel) {
	st := v.pools[a.Pool]
	if st == nil || st.ballot == nil {
		return
	}
	s := &Segment{}
	a.Layer2 = s
	s.Reason = v.elect(p, a, s, st.ballot, svc, serving, kernel)
	if s.Owner != "" {
		p.Nodes = union(p.Nodes, []string{s.Owner})
	}
	if s.Reason.Code == why.OK {
		s.Here, s.Reason = true, why.Reason{Code: why.NodeAssigned}
	}
}

// elect sets the owner and the interfaces, and returns why this node does not
// announce the address; OK where it does.
func (v *View) elect(p *Plan, a *Address, s *Segment, b *election.Ballot, svc *pharos.Service, serving []string, kernel *Kernel) why.Reason {
	switch {
	case v.crowd.reason.Code != why.OK:
		return v.crowd.reason
	case svc.SharingKey != "" && b.SelectsServices():
		// Another Service with the address may be selected by other advertisements,
		// and have another owner.
		return why.New(why.SharedIPWithServiceSelector, "the Service may share address %s, and a layer 2 advertisement of pool %q is for some Services alone", a.Addr, a.Pool)
	}
	ask := v.request(svc, serving)
	candidates := v.able(b, a.Addr, svc, b.Candidates(&ask))
	s.Owner = v.winner(svc, candidates)
	own, barred := b.Candidate(v.opt.Node, &ask)
	switch {
	case s.Owner == "" && barred.Code != why.OK:
		return barred
	case s.Owner == "":
		return why.New(why.NotOwner, "no node can announce %s", a.Addr)
	case s.Owner != v.opt.Node && barred.Code != why.OK && barred.Code != why.NotOwner:
		return why.New(why.NotOwner, "node %s announces %s; this one could not: %s", s.Owner, a.Addr, barred)
	case s.Owner != v.opt.Node:
		return why.New(why.NotOwner, "node %s announces %s", s.Owner, a.Addr)
	}
	s.Interfaces, _ = b.Interfaces(v.opt.Node, svc.Labels)
	p.Trail = append(p.Trail, why.New(why.OK, "of %s, this node is elected to announce %s on layer 2%s%s",
		nodesOf(candidates), a.Addr, weighed(own.Weight), on(s.Interfaces)))
	if v.crowd.fenced.Code != why.OK {
		return v.crowd.fenced
	}
	if v.crowd.keeps != nil && !v.crowd.keeps[a.Addr] {
		return why.New(why.Fenced, "this node hears too few of the other speakers to take %s over: it may be cut off from the one that announces it", a.Addr)
	}
	links := v.crowd.links
	if len(links) > 0 && layer2.ReachOf(links, layer2.Announcement{Addr: a.Addr, Interfaces: s.Interfaces}) == layer2.Unreachable {
		return why.New(why.AnnounceFailed, "this node is elected to announce %s and has no interface for it: %s", a.Addr, unusable(links, a.Addr, s.Interfaces))
	}
	if v.phase == Gone {
		return v.drained()
	}
	held := *kernel
	held.Late = false // nobody would answer in this node's place
	return held.verdict(a.Addr, svc.ExternalLocal)
}

// request is what an election asks of a Service.
func (v *View) request(svc *pharos.Service, serving []string) election.Request {
	return election.Request{Labels: svc.Labels, Local: svc.ExternalLocal, Serving: serving, Alive: v.crowd.alive}
}

// able leaves out the candidates that have told of no link that the address could be
// announced on, and of the others those that are being drained, unless that leaves
// nobody.
func (v *View) able(b *election.Ballot, addr netip.Addr, svc *pharos.Service, candidates []election.Candidate) []election.Candidate {
	candidates = without(candidates, func(c election.Candidate) bool { return !v.fits(b, addr, svc, c.Node) })
	return without(candidates, func(c election.Candidate) bool { return v.drainsAt(c.Node) })
}

// without leaves out those candidates, unless that leaves nobody.
func without(candidates []election.Candidate, out func(election.Candidate) bool) []election.Candidate {
	if !slices.ContainsFunc(candidates, out) {
		return candidates
	}
	if left := slices.DeleteFunc(slices.Clone(candidates), out); len(left) > 0 {
		return left
	}
	return candidates
}

// drainsAt reports whether a node is being drained.
func (v *View) drainsAt(node string) bool {
	_, ok := slices.BinarySearch(v.drains, node)
	return ok
}

// fits reports whether a node has a link, as far as it told, on which the Service's
// advertisements let it announce an address.
func (v *View) fits(b *election.Ballot, addr netip.Addr, svc *pharos.Service, node string) bool {
	var interfaces []string
	if b.Limited() {
		interfaces, _ = b.Interfaces(node, svc.Labels)
	}
	return v.crowd.reaches(node, addr, interfaces)
}

// winner is the candidate that announces a Service's addresses.
func (v *View) winner(svc *pharos.Service, candidates []election.Candidate) string {
	if node, ok := v.crowd.seats[key(svc)]; ok && slices.ContainsFunc(candidates, func(c election.Candidate) bool { return c.Node == node }) {
		return node
	}
	return election.Elect(key(svc), candidates, v.crowd.holds(key(svc)))
}

// holds returns who holds an address, where holding it counts.
func (c *crowd) holds(addr netip.Addr) string {
	if !c.policy.Sticky || c.holder == nil {
		return ""
	}
	return c.holder(addr)
}

// contests reports whether a node might take one of a planned Service's addresses from
// its owner. It is asked of every Service when a node joins, and may err on one side:
// what it returns false for stays as it is.
func (v *View) contests(p *Plan, svc *pharos.Service, serving []string, node string) bool {
	ask := v.request(svc, serving)
	return slices.ContainsFunc(p.Addresses, func(a Address) bool {
		if a.Layer2 == nil || a.Layer2.Owner == node {
			return false
		}
		b := v.pools[a.Pool].ballot
		c, reason := b.Candidate(node, &ask)
		if reason.Code != why.OK {
			return false
		}
		owner, reason := b.Candidate(a.Layer2.Owner, &ask)
		if reason.Code != why.OK || v.drainsAt(a.Layer2.Owner) ||
			v.fits(b, a.Addr, svc, node) && !v.fits(b, a.Addr, svc, a.Layer2.Owner) {
			return true
		}
		return election.Beats(key(svc), c, owner) || v.crowd.holds(key(svc)) == node
	})
}

// seat is a Service's place in an election that spreads addresses.
func (v *View) seat(svc *pharos.Service, serving []string) (election.Seat, bool) {
	if v.cfg == nil || svc.Class != v.opt.Class || len(svc.Ingress) == 0 {
		return election.Seat{}, false
	}
	pool := v.cfg.PoolOf(key(svc))
	if pool == nil || v.pools[pool.Name].ballot == nil {
		return election.Seat{}, false
	}
	b := v.pools[pool.Name].ballot
	if svc.SharingKey != "" && b.SelectsServices() {
		return election.Seat{}, false
	}
	ask := v.request(svc, serving)
	s := election.Seat{Addr: key(svc), Candidates: v.able(b, key(svc), svc, b.Candidates(&ask)), Holder: v.crowd.holds(key(svc))}
	return s, len(s.Candidates) > 0
}

func nodesOf(candidates []election.Candidate) string {
	list := make([]string, len(candidates))
	for i, c := range candidates {
		list[i] = c.Node
	}
	return names(list)
}

func weighed(weight int) string {
	if weight == 0 {
		return ""
	}
	return ", as it is preferred"
}

func on(interfaces []string) string {
	if len(interfaces) == 0 {
		return ""
	}
	return " on " + strings.Join(interfaces, ", ")
}

// unusable says of each interface that an address might be announced on why it can't.
func unusable(links []layer2.LinkStatus, addr netip.Addr, interfaces []string) string {
	if len(interfaces) == 0 {
		for i := range links {
			interfaces = append(interfaces, links[i].Name)
		}
	}
	var parts []string
	for _, name := range interfaces {
		i := slices.IndexFunc(links, func(l layer2.LinkStatus) bool { return l.Name == name })
		switch {
		case i < 0:
			parts = append(parts, name+" does not exist")
		case links[i].State(addr) != layer2.Excluded || len(parts) == 0 && name == interfaces[len(interfaces)-1]:
			parts = append(parts, name+" is "+links[i].State(addr).String())
		}
	}
	if len(parts) == 0 {
		return "it has none"
	}
	const most = 8
	if len(parts) > most {
		parts = append(parts[:most], "and others")
	}
	return strings.Join(parts, ", ")
}
