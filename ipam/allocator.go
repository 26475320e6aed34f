package ipam

import (
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// Assignment is what a Service holds: at most one address of each family, all
// from one pool.
type Assignment struct {
	Addrs []netip.Addr
	Pool  string
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
// goroutines.
type Allocator struct {
	pools   pools
	claims  map[pharos.Name]*claim
	held    map[netip.Addr]*holding
	waiting map[*claim]struct{} // claims that a freed address may help
}

// claim is a Service that wants an address.
type claim struct {
	Outcome
	key   groupKey
	ports []port
}

// New returns an Allocator without pools and claims.
func New() *Allocator {
	return &Allocator{
		claims:  map[pharos.Name]*claim{},
		held:    map[netip.Addr]*holding{},
		waiting: map[*claim]struct{}{},
	}
}

// SetPools replaces the pools and decides on all claims anew, each keeping what
// it holds where the new pools allow. It returns the outcome of every claim.
func (a *Allocator) SetPools(ps []pharos.Pool) []Outcome {
	// Claims go on naming what they held: decide takes it for a wish.
	clear(a.held)
	a.pools = newPools(ps)
	services := make([]*pharos.Service, 0, len(a.claims))
	for _, c := range a.claims {
		services = append(services, c.Service)
	}
	return a.decide(services, true)
}

// Update takes Services that are new or changed, and the names of those that
// want no address any more, and returns the outcomes that may differ from
// before: those of the changed Services and of the waiting ones that it helped.
func (a *Allocator) Update(changed []*pharos.Service, gone []pharos.Name) []Outcome {
	freed := false
	for _, name := range gone {
		freed = a.drop(name) || freed
	}
	var undecided []*pharos.Service
	var outcomes []Outcome
	for _, svc := range changed {
		c := a.claims[svc.Name]
		switch {
		case c == nil:
			undecided = append(undecided, svc)
		case c.Service.UID != svc.UID: // deleted and made again
			freed = a.drop(svc.Name) || freed
			undecided = append(undecided, svc)
		case sameClaim(c, svc):
			c.Service, c.Lost = svc, why.Reason{}
			outcomes = append(outcomes, c.Outcome)
		default:
			// Fewer ports or another key may make room for somebody else.
			freed = freed || len(c.Addrs) > 0
			undecided = append(undecided, svc)
		}
	}
	return append(outcomes, a.decide(undecided, freed)...)
}

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

// Holder returns a Service that holds the address, and whether one does.
func (a *Allocator) Holder(addr netip.Addr) (pharos.Name, bool) {
	h := a.held[addr]
	if h == nil {
		return pharos.Name{}, false
	}
	return h.users[0].Service.Name, true
}

// drop forgets a claim, and reports whether it held an address.
func (a *Allocator) drop(name pharos.Name) bool {
	c := a.claims[name]
	if c == nil {
		return false
	}
	held := len(c.Addrs) > 0
	a.release(c)
	delete(a.claims, name)
	delete(a.waiting, c)
	return held
}

// sameClaim reports whether a changed Service asks for nothing else than before
// and its status contradicts nothing.
func sameClaim(c *claim, now *pharos.Service) bool {
	was := c.Service
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
func (a *Allocator) decide(services []*pharos.Service, freed bool) []Outcome {
	type undecided struct {
		*claim
		had []netip.Addr
	}
	all := make([]undecided, 0, len(services))
	for _, svc := range services {
		c := a.claims[svc.Name]
		if c == nil {
			c = &claim{}
			a.claims[svc.Name] = c
		}
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
	before := map[*claim]Outcome{}
	if freed {
		for c := range a.waiting {
			before[c] = c.Outcome
			c.Lost = why.Reason{}
			needy = append(needy, c)
		}
	}
	slices.SortFunc(needy, older)
	for _, c := range needy {
		a.allocate(c)
	}

	outcomes := make([]Outcome, 0, len(all))
	for _, u := range all {
		outcomes = append(outcomes, u.Outcome)
	}
	for _, c := range needy {
		if was, waited := before[c]; waited && (was.Reason != c.Reason || len(was.Addrs) != len(c.Addrs)) {
			outcomes = append(outcomes, c.Outcome)
		}
	}
	return outcomes
}

// older orders claims by their Services' creation, then name.
func older(c, o *claim) int {
	if order := c.Service.Created.Compare(o.Service.Created); order != 0 {
		return order
	}
	return c.Service.Name.Compare(o.Service.Name)
}

// keep lets a claim have what its Service's status says, or what it had, if that
// is allowed. The status goes first: where it differs, somebody else gave that
// address out, and clients may use it already.
func (a *Allocator) keep(c *claim, had []netip.Addr) {
	wishes := [][]netip.Addr{had}
	if !subset(c.Service.Ingress, had) {
		wishes = [][]netip.Addr{c.Service.Ingress, had}
	}
	for _, wish := range wishes {
		if len(wish) == 0 {
			continue
		}
		s, refusal := a.allowed(c, wish)
		if refusal.Code == why.OK {
			a.hold(c, s, wish)
			return
		}
		if c.Lost.Code == why.OK {
			c.Lost = why.New(why.ClearAssignment, "%s is taken back: %s", join(wish), refusal)
		}
	}
}

// allocate gives a claim what it lacks, or notes why not and lets it wait.
func (a *Allocator) allocate(c *claim) {
	if len(c.Addrs) > 0 {
		a.topUp(c)
		return
	}
	svc := c.Service
	delete(a.waiting, c)
	if svc.Refused.Code != why.OK {
		c.Reason = svc.Refused
		return
	}
	want, refusal := familiesOf(svc)
	if refusal.Code != why.OK {
		c.Reason = refusal
		return
	}
	if len(svc.Requested) > 0 {
		s, refusal := a.allowed(c, svc.Requested)
		if refusal.Code != why.OK {
			c.Reason = refusal
			a.waiting[c] = struct{}{}
			return
		}
		a.hold(c, s, svc.Requested)
		return
	}
	s, addrs, refusal := a.choose(c, want)
	if refusal.Code != why.OK {
		c.Reason = refusal
		a.waiting[c] = struct{}{}
		return
	}
	a.hold(c, s, addrs)
	if len(addrs) < len(want.all) {
		a.topUp(c)
	}
}

// topUp gives a claim of two families the one that it lacks, from the same pool.
func (a *Allocator) topUp(c *claim) {
	delete(a.waiting, c)
	want, refusal := familiesOf(c.Service)
	if refusal.Code != why.OK || len(want.all) == len(c.Addrs) || len(c.Service.Requested) > 0 {
		return
	}
	s := a.pools.named(c.Pool)
	for _, f := range want.all {
		if familyOf(c.Addrs[0]) == f {
			continue
		}
		if addr, ok := a.lowest(s, f, c); ok {
			a.hold(c, s, append(slices.Clone(c.Addrs), addr))
			return
		}
		c.Reason = why.New(why.AdditionalAssignFailed, "%s has no %s address to go with %s", s, f, c.Addrs[0])
		a.waiting[c] = struct{}{}
	}
}
