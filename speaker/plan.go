package speaker

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// Plan is what one node does about one Service.
type Plan struct {
	Service pharos.Name

	// Trail is what led there, the deciding reason last: NodeAssigned, or why
	// nothing is announced from this node.
	Trail why.Trail

	// Addresses are the Service's, announced or not, in the status's order.
	Addresses []Address

	// Nodes are all nodes that announce one of the addresses, sorted, whether
	// this one does or not; peered those that do over BGP.
	Nodes  []string
	peered []string
}

// Address is one address of a Service.
type Address struct {
	Addr   netip.Addr
	Pool   string     // empty where none has it
	Reason why.Reason // NodeAssigned, or why it is not announced from this node
	Routes []Route    // empty unless announced over BGP
	Layer2 *Segment   // nil: no layer 2 advertisement covers the pool
}

// Route is a prefix to announce with an Offer's attributes to the Offer's peers.
type Route struct {
	Prefix netip.Prefix
	Offer  *Offer
	// Last marks it to be used only where there is no other (RFC 8326): it is about to
	// be withdrawn.
	Last bool
}

// Announced reports whether this node announces one of the addresses.
func (p *Plan) Announced() bool {
	return slices.ContainsFunc(p.Addresses, func(a Address) bool { return len(a.Routes) > 0 || a.here() })
}

// here reports whether this node announces the address on layer 2.
func (a *Address) here() bool { return a.Layer2 != nil && a.Layer2.Here }

// over returns the protocols that this node announces one of the addresses over.
func (p *Plan) over() (bgp, segment bool) {
	for i := range p.Addresses {
		bgp, segment = bgp || len(p.Addresses[i].Routes) > 0, segment || p.Addresses[i].here()
	}
	return bgp, segment
}

// reason is the deciding one.
func (p *Plan) reason() why.Reason { return p.Trail[len(p.Trail)-1] }

// refuse ends the plan with nothing announced anywhere.
func (p *Plan) refuse(code why.Code, format string, args ...any) Plan {
	r := why.New(code, format, args...)
	p.Trail = append(p.Trail, r)
	for i := range p.Addresses {
		p.Addresses[i].Reason = r
	}
	return *p
}

// Plan decides about one Service, whatever the node's data plane does. eps may be nil:
// it has no endpoints. Each address is decided on its own, so that one that no pool has
// does not take the others down.
func (v *View) Plan(svc *pharos.Service, eps *pharos.Endpoints) Plan {
	return v.PlanWith(svc, eps, &Kernel{})
}

// PlanWith is Plan with regard to what the node's data plane holds of the Service.
func (v *View) PlanWith(svc *pharos.Service, eps *pharos.Endpoints, kernel *Kernel) Plan {
	p := Plan{Service: svc.Name}
	switch {
	case svc.Type != pharos.LoadBalancer:
		return p.refuse(why.NotLoadBalancer, "type is %s", svc.Type)
	case svc.Class != v.opt.Class:
		return p.refuse(why.ClassMismatch, "load balancer class is %q, this speaker serves %q", svc.Class, v.opt.Class)
	case len(svc.Ingress) == 0:
		return p.refuse(why.NoIPAllocated, "")
	}
	p.Addresses = make([]Address, 0, len(svc.Ingress))
	for i, a := range svc.Ingress {
		if !slices.Contains(svc.Ingress[:i], a) {
			p.Addresses = append(p.Addresses, Address{Addr: a})
		}
	}
	if v.cfg == nil {
		return p.refuse(why.ConfigMissing, "")
	}

	serving := servable(eps)
	here, decisive := v.endpointsReason(svc, eps, serving)
	leaves := v.phase == LastResort || svc.ExternalLocal && v.terminates(eps)
	var last why.Reason
	for i := range p.Addresses {
		a := &p.Addresses[i]
		v.address(&p, a, svc, serving)
		switch held := kernel.verdict(a.Addr, svc.ExternalLocal); {
		case a.Reason.Code != why.OK:
		case v.phase == Gone:
			a.Routes, a.Reason = nil, v.drained()
		case decisive:
			a.Routes, a.Reason = nil, here
		case held.Code != why.OK:
			a.Routes, a.Reason = nil, held
		}
		for j := range a.Routes {
			a.Routes[j].Last = leaves
		}
		v.segment(&p, a, svc, serving, kernel)
		switch {
		case a.Reason.Code == why.OK, a.here():
			a.Reason = why.Reason{Code: why.NodeAssigned}
		case a.Layer2 != nil && !v.pools[a.Pool].peered():
			a.Reason = a.Layer2.Reason
		}
		last = a.Reason
	}
	if !p.Announced() {
		p.Trail = append(p.Trail, last)
		return p
	}
	p.Trail = append(p.Trail, here)
	bgp, segment := p.over()
	switch {
	case bgp && v.phase == LastResort:
		p.Trail = append(p.Trail, why.New(why.NodeDraining, "node %s is being drained: its routes are marked as the last resort", v.opt.Node))
	case bgp && leaves:
		p.Trail = append(p.Trail, why.New(why.NodeDraining, "all endpoints on node %s terminate: its routes are marked as the last resort", v.opt.Node))
	}
	if bgp {
		p.Trail = append(p.Trail, announcement([]string{v.opt.Node}, pharos.BGP))
	}
	if segment {
		p.Trail = append(p.Trail, announcement([]string{v.opt.Node}, pharos.Layer2))
	}
	return p
}

// address decides about one address as if every endpoint could serve. Its
// reason is OK where the pool and the node speak for it.
func (v *View) address(p *Plan, a *Address, svc *pharos.Service, serving []string) {
	pool := v.cfg.PoolOf(a.Addr)
	if pool == nil {
		a.Reason = why.New(why.IPNotAllowed, "address %s is in no pool", a.Addr)
		return
	}
	st := v.pools[pool.Name]
	chosen := &st.all
	if st.selective {
		own := v.choose(st, pool.Name, svc)
		chosen = &own
	}
	a.Pool, a.Reason = pool.Name, chosen.reason
	p.peered = union(p.peered, announcers(svc, v.staying(chosen.announcers(a.Addr)), serving))
	p.Nodes = union(p.Nodes, p.peered)
	p.Trail = append(p.Trail, why.New(why.OK, "address %s is in pool %s", a.Addr, where(pool.Name, pool.Origin)))
	if c := chosen.clashFor(a.Addr, v.opt.Node); c != nil {
		a.Reason = c.reason
		return
	}
	for _, o := range chosen.offers {
		prefix := o.Advertisement.Prefix(a.Addr)
		a.Routes = append(a.Routes, Route{Prefix: prefix, Offer: o})
		p.Trail = append(p.Trail, why.New(why.OK, "advertisement %s offers %s to %v%s",
			where(o.Advertisement.Name, o.Advertisement.Origin), prefix, o.Peers, selectedBy(o.Advertisement, svc)))
	}
	if st.selective {
		for i := range st.candidates {
			if c := st.candidates[i].adv; !pharos.MatchesAny(c.ServiceSelectors, svc.Labels) {
				p.Trail = append(p.Trail, why.New(why.OK, "advertisement %s selects other Services: %s", where(c.Name, c.Origin), anyOf(c.ServiceSelectors)))
			}
		}
	}
}

// selectedBy tells which selector of an advertisement a Service has to thank.
func selectedBy(a *pharos.Advertisement, svc *pharos.Service) string {
	for _, s := range a.ServiceSelectors {
		if s.Matches(svc.Labels) {
			return ", as the Service matches " + selector(s)
		}
	}
	return ""
}

// anyOf lists selectors of which one has to match.
func anyOf(selectors []pharos.Selector) string {
	var texts []string
	for _, s := range selectors {
		texts = append(texts, selector(s))
	}
	return strings.Join(texts, " or ")
}

// selector renders a selector; the empty one matches everything.
func selector(s pharos.Selector) string {
	if len(s) == 0 {
		return "everything"
	}
	return s.String()
}

// endpointsReason says what the endpoints mean for this node, and whether that
// keeps it from announcing.
func (v *View) endpointsReason(svc *pharos.Service, eps *pharos.Endpoints, serving []string) (why.Reason, bool) {
	total := 0
	if eps != nil {
		total = len(eps.Backends)
	}
	switch {
	case svc.ExternalLocal:
		local := 0
		for _, node := range serving {
			if node == v.opt.Node {
				local++
			}
		}
		if local == 0 {
			return why.New(why.NoLocalEndpoints, "traffic policy is Local, and of %d endpoints none on node %s can serve", total, v.opt.Node), true
		}
		return why.New(why.OK, "traffic policy is Local, and %d endpoints on node %s can serve", local, v.opt.Node), false
	case total == 0:
		return why.New(why.NoEndpoints, "there are no endpoints"), true
	case len(serving) == 0:
		return why.New(why.NoEndpoints, "none of %d endpoints can serve", total), true
	}
	return why.New(why.OK, "%d of %d endpoints can serve", len(serving), total), false
}

// terminates reports whether the endpoints on this node that can serve all terminate.
func (v *View) terminates(eps *pharos.Endpoints) bool {
	return eps != nil && !slices.ContainsFunc(eps.Backends, func(b pharos.Backend) bool { return b.Ready && b.Node == v.opt.Node })
}

// drained says that the node's drain is over.
func (v *View) drained() why.Reason {
	return why.New(why.NodeDraining, "node %s is drained: it is cordoned, and has the annotation %s", v.opt.Node, pharos.DrainAnnotation)
}

// servable returns the nodes of the endpoints that can serve, one entry for
// each endpoint, sorted.
func servable(eps *pharos.Endpoints) []string {
	if eps == nil {
		return nil
	}
	var nodes []string
	for i := range eps.Backends {
		if b := &eps.Backends[i]; b.Servable() {
			nodes = append(nodes, b.Node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// announcers returns which of the nodes announce a Service's address, given the
// nodes of the endpoints that can serve.
func announcers(svc *pharos.Service, able, serving []string) []string {
	if len(serving) == 0 {
		return nil
	}
	if !svc.ExternalLocal {
		return able
	}
	var nodes []string
	for _, n := range able {
		if _, ok := slices.BinarySearch(serving, n); ok {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// staying leaves out the nodes that are being drained: others are to be looked at,
// though they may announce for a while.
func (v *View) staying(nodes []string) []string {
	if len(v.drains) == 0 {
		return nodes
	}
	return slices.DeleteFunc(slices.Clone(nodes), v.drainsAt)
}

// union merges sorted lists. Where one is empty or both are the same it copies
// nothing.
func union(a, b []string) []string {
	if len(a) == 0 || slices.Equal(a, b) {
		return b
	}
	if len(b) == 0 {
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
