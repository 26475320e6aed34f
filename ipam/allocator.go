package ipam

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// Assignment is what a Service holds: at most one address of each family.
type Assignment struct {
	Addrs []netip.Addr

	// Pool is the pool of the first address. The second may be of another.
	Pool string
}

// Outcome is what became of one Service's claim.
type Outcome struct {
	Service *pharos.Service
	Assignment

	// Reason is why.IPAllocated where the Service has what it asks for,
	// why.AdditionalAssignFailed where it lacks a second family it could do
	// without, and otherwise why it has nothing. It may also say what is wrong
	// with a request while the Service keeps what it had.
	Reason why.Reason

	// Lost says why the Service does not keep the addresses that it held or that
	// its status named; its zero value, that it keeps them or had none.
	Lost why.Reason
}

// Allocator holds who has which address. It is not safe for use by several
// goroutines. Times that it is given must not go back.
//
// What it knows of cool-downs is of its own time: one that starts anew finds
// addresses in statuses, but not who had one before, so it begins with none
// cooling down.
type Allocator struct {
	pools      pools
	namespaces map[string]map[string]string // labels
	claims     map[pharos.Name]*claim
	inside     map[string]map[*claim]struct{} // claims by namespace
	held       map[netip.Addr]*holding
	cooling    cooling
	waiting    map[*claim]struct{} // claims that a freed address may help
	reclaimed  bool                // an address that may be shared cools down no more
}

// claim is a Service that wants an address.
type claim struct {
	Outcome
	key   groupKey
	ports []port

	// adopted says, while it is decided on, that what the claim holds was found
	// in a status.
	adopted bool
}

// New returns an Allocator without pools and claims.
func New() *Allocator {
	return &Allocator{
		namespaces: map[string]map[string]string{},
		claims:     map[pharos.Name]*claim{},
		inside:     map[string]map[*claim]struct{}{},
		held:       map[netip.Addr]*holding{},
		cooling:    newCooling(),
		waiting:    map[*claim]struct{}{},
	}
}

// SetPools replaces the pools and decides on all claims anew, each keeping what
// it holds where the new pools allow. It returns the outcome of every claim.
func (a *Allocator) SetPools(now time.Time, ps []pharos.Pool) []Outcome {
	// Claims go on naming what they held: decide takes it for a wish.
	clear(a.held)
	a.pools = newPools(ps)
	a.cooling.retime(func(addr netip.Addr) (time.Duration, bool) {
		s := a.pools.of(addr)
		if s != nil {
			s.cooling++
		}
		return s.coolDown(), s != nil
	})
	a.expire(now)
	services := make([]*pharos.Service, 0, len(a.claims))
	for _, c := range a.claims {
		services = append(services, c.Service)
	}
	return a.decide(now, services, true)
}

// SetNamespaces takes namespaces that are new or changed, and the names of those
// that are gone, and returns the outcomes that may differ from before: those of
// Services of these namespaces whose pool admits them no more, or that wait, and
// of the waiting ones that this helped.
func (a *Allocator) SetNamespaces(now time.Time, changed []*pharos.Namespace, gone []string) []Outcome {
	freed := a.expire(now)
	var undecided []*pharos.Service
	look := func(name string) {
		for c := range a.inside[name] {
			if _, waits := a.waiting[c]; waits || !a.admitted(c, c.Service) {
				undecided = append(undecided, c.Service)
				freed = freed || len(c.Addrs) > 0
			}
		}
	}
	for _, ns := range changed {
		if !maps.Equal(a.namespaces[ns.Name], ns.Labels) {
			a.namespaces[ns.Name] = ns.Labels
			look(ns.Name)
		}
	}
	for _, name := range gone {
		if len(a.namespaces[name]) > 0 {
			delete(a.namespaces, name)
			look(name)
		}
	}
	return a.decide(now, undecided, freed)
}

// Update takes Services that are new or changed, and the names of those that
// want no address any more, and returns the outcomes that may differ from
// before: those of the changed Services and of the waiting ones that it helped.
func (a *Allocator) Update(now time.Time, changed []*pharos.Service, gone []pharos.Name) []Outcome {
	freed := a.expire(now)
	for _, name := range slices.SortedFunc(slices.Values(gone), pharos.Name.Compare) {
		freed = a.drop(now, name) || freed
	}
	var undecided []*pharos.Service
	var outcomes []Outcome
	for _, svc := range changed {
		c := a.claims[svc.Name]
		switch {
		case c == nil:
			undecided = append(undecided, svc)
		case c.Service.UID != svc.UID: // deleted and made again
			freed = a.drop(now, svc.Name) || freed
			undecided = append(undecided, svc)
		case a.sameClaim(c, svc):
			c.Service, c.Lost = svc, why.Reason{}
			outcomes = append(outcomes, c.Outcome)
		default:
			// Fewer ports or another key may make room for somebody else.
			freed = freed || len(c.Addrs) > 0
			undecided = append(undecided, svc)
		}
	}
	return append(outcomes, a.decide(now, undecided, freed)...)
}

// Step lets time pass, and returns the outcomes of waiting Services that it
// helped.
func (a *Allocator) Step(now time.Time) []Outcome {
	if !a.expire(now) {
		return nil
	}
	return a.decide(now, nil, true)
}

// Deadline returns when Step is due: the end of the next cool-down. It is the
// zero time where there is none.
func (a *Allocator) Deadline() time.Time { return a.cooling.deadline() }

// Claim returns the outcome of a Service's claim, and whether there is one.
func (a *Allocator) Claim(name pharos.Name) (Outcome, bool) {
	c := a.claims[name]
	if c == nil {
		return Outcome{}, false
	}
	return c.Outcome, true
}

// InUse returns every address that is held, with one Service that holds it.
func (a *Allocator) InUse() map[netip.Addr]pharos.Name {
	in := make(map[netip.Addr]pharos.Name, len(a.held))
	for addr, h := range a.held {
		in[addr] = h.users[0].Service.Name
	}
	return in
}

// Uses reports whether the Service holds the address.
func (a *Allocator) Uses(name pharos.Name, addr netip.Addr) bool {
	c := a.claims[name]
	return c != nil && slices.Contains(c.Addrs, addr)
}

// drop forgets a claim, and reports whether it held an address.
func (a *Allocator) drop(now time.Time, name pharos.Name) bool {
	c := a.claims[name]
	if c == nil {
		return false
	}
	had := c.Addrs
	a.release(c)
	delete(a.claims, name)
	delete(a.inside[name.Namespace], c)
	if len(a.inside[name.Namespace]) == 0 {
		delete(a.inside, name.Namespace)
	}
	delete(a.waiting, c)
	for _, addr := range had {
		a.cool(now, addr, name)
	}
	return len(had) > 0
}

// sameClaim reports whether a changed Service asks for nothing else than before
// and its status contradicts nothing.
func (a *Allocator) sameClaim(c *claim, now *pharos.Service) bool {
	was := c.Service
	if !maps.Equal(was.Labels, now.Labels) {
		if _, waits := a.waiting[c]; waits || !a.admitted(c, now) {
			return false
		}
	}
	return len(c.Addrs) > 0 && subset(now.Ingress, c.Addrs) &&
		slices.Equal(was.ClusterIPs, now.ClusterIPs) && slices.Equal(was.Requested, now.Requested) &&
		was.RequestedPool == now.RequestedPool && was.Refused == now.Refused && was.DualStack == now.DualStack &&
		was.RequireDualStack == now.RequireDualStack && c.key == keyOf(now) && slices.Equal(c.ports, portsOf(now))
}

func subset(part, whole []netip.Addr) bool {
	return !slices.ContainsFunc(part, func(a netip.Addr) bool { return !slices.Contains(whole, a) })
}

// decide keeps, releases and allocates, each over all the Services before the
// next, so that nobody is given what another one may keep. With freed, those
// that wait get their chance too.
func (a *Allocator) decide(now time.Time, services []*pharos.Service, freed bool) []Outcome {
	type undecided struct {
		*claim
		had []netip.Addr
	}
	all := make([]undecided, 0, len(services))
	for _, svc := range services {
		c := a.claim(svc.Name)
		u := undecided{c, c.Addrs}
		a.release(c)
		delete(a.waiting, c)
		c.Outcome = Outcome{Service: svc}
		c.key, c.ports = keyOf(svc), portsOf(svc)
		all = append(all, u)
	}
	// Whoever holds addresses goes before who merely has them in its status.
	slices.SortFunc(all, func(u, v undecided) int {
		if (len(u.had) > 0) != (len(v.had) > 0) {
			return len(v.had) - len(u.had)
		}
		return older(u.claim, v.claim)
	})
	needy := make([]*claim, 0, len(all)) // one that keeps an address may lack a second
	for _, u := range all {
		a.keep(u.claim, u.had)
		needy = append(needy, u.claim)
	}
	for _, u := range all {
		for _, addr := range u.had {
			a.cool(now, addr, u.Service.Name)
		}
	}
	before := map[*claim]Outcome{}
	if freed {
		for c := range a.waiting {
			before[c] = c.Outcome
			c.Lost = why.Reason{}
			needy = append(needy, c)
		}
	}
	slices.SortFunc(needy, older)
	for round := needy; len(round) > 0; {
		for _, c := range round {
			a.allocate(c)
		}
		round = nil
		if a.reclaimed {
			a.reclaimed = false
			// What cooled down for somebody is in use, and may be shared again.
			for c := range a.waiting {
				if _, ok := before[c]; !ok && !slices.Contains(needy, c) {
					before[c] = c.Outcome
					needy = append(needy, c)
				}
				round = append(round, c)
			}
			slices.SortFunc(round, older)
		}
	}

	outcomes := make([]Outcome, 0, len(all))
	for _, u := range all {
		u.adopted = false
		if u.Lost.Code != why.OK && subset(u.Service.Ingress, u.Addrs) && subset(u.had, u.Addrs) {
			u.Lost = why.Reason{} // it got the same again
		}
		outcomes = append(outcomes, u.Outcome)
	}
	for _, c := range needy {
		if was, waited := before[c]; waited && (was.Reason != c.Reason || len(was.Addrs) != len(c.Addrs)) {
			outcomes = append(outcomes, c.Outcome)
		}
	}
	return outcomes
}

// claim returns the claim of a Service, which is new if need be.
func (a *Allocator) claim(name pharos.Name) *claim {
	c := a.claims[name]
	if c == nil {
		c = &claim{}
		a.claims[name] = c
		if a.inside[name.Namespace] == nil {
			a.inside[name.Namespace] = map[*claim]struct{}{}
		}
		a.inside[name.Namespace][c] = struct{}{}
	}
	return c
}

// older orders claims by their Services' creation, then name.
func older(c, o *claim) int {
	if order := c.Service.Created.Compare(o.Service.Created); order != 0 {
		return order
	}
	return c.Service.Name.Compare(o.Service.Name)
}

// allocate gives a claim what it lacks, or notes why not and lets it wait.
func (a *Allocator) allocate(c *claim) {
	delete(a.waiting, c)
	svc := c.Service
	want, refusal := familiesOf(svc)
	if svc.Refused.Code != why.OK {
		refusal = svc.Refused
	}
	switch {
	case refusal.Code != why.OK:
		c.Reason = refusal
		return
	case len(svc.Requested) > 0 && len(c.Addrs) > 0: // just these
		if !want.exactly(svc.Requested) {
			c.Reason = misfit(svc.Requested, want)
		}
		return
	case len(svc.Requested) > 0:
		if c.Reason = a.requested(c, want); c.Reason.Code != why.OK {
			a.waiting[c] = struct{}{}
			return
		}
		a.hold(c, svc.Requested)
		return
	case len(c.Addrs) == len(want.all):
		return
	}
	addrs, refusal := a.choose(c, want)
	if len(addrs) > 0 {
		a.hold(c, append(slices.Clone(c.Addrs), addrs...))
	}
	if refusal.Code != why.OK {
		c.Reason = refusal
		a.waiting[c] = struct{}{}
	}
}
