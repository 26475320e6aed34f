package dataplane

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// proxyNameLabel on a Service gives it to another proxy, as it does for
// kube-proxy.
const proxyNameLabel = "service.kubernetes.io/service-proxy-name"

// Options say what a Planner plans for.
type Options struct {
	// Node is the name of the node whose data plane is planned.
	Node string

	// PodCIDRs are the sources that count as this node's own pods; none means
	// the pod CIDRs of its Node object. Without any, no source does, and nothing
	// is masqueraded for coming from elsewhere.
	PodCIDRs []netip.Prefix

	// NodePorts are the addresses of the node that serve node ports, as networks
	// that hold them; none means all but loopback.
	NodePorts []netip.Prefix

	// Mode is that of Services that ask for none; the zero value means NAT.
	Mode pharos.DataPlaneMode

	// Beside has the planner plan direct frontends alone: another proxy does
	// everything else.
	Beside bool
}

// Planner turns Snapshots into States. It keeps the plan of each Service, so
// that a Plan costs what changed since the one before. It must not be used from
// several goroutines at once.
type Planner struct {
	options Options
	last    *pharos.Snapshot
	state   *State
	fates   map[string]fate          // by node
	wanted  map[pharos.Name]*Service // before conflicts are settled
	claims  map[Target][]claim
}

// NewPlanner returns a Planner that has planned nothing yet.
func NewPlanner(options Options) *Planner {
	return &Planner{
		options: options,
		last:    &pharos.Snapshot{},
		state:   &State{},
		wanted:  map[pharos.Name]*Service{},
		claims:  map[Target][]claim{},
	}
}

// Plan returns what the data plane shall do now. The result shares with the
// one before what is the same.
func (p *Planner) Plan(snapshot *pharos.Snapshot) *State {
	node := p.node(snapshot)
	siblings, fates := p.look(snapshot)
	dirty := map[pharos.Name]bool{}
	if !node.Equal(&p.state.Node) {
		// Every plan may depend on the own node; it changes about as often as it boots.
		for name := range snapshot.Services.All() {
			dirty[name] = true
		}
	}
	for name := range snapshot.Services.Diff(p.last.Services) {
		dirty[name] = true
	}
	for name := range snapshot.Endpoints.Diff(p.last.Endpoints) {
		dirty[name] = true
	}
	p.concerned(snapshot, fates, dirty)
	p.fates = fates
	services := p.state.Services
	for name := range p.plan(snapshot, &node, dirty) {
		if s := p.settle(name); s == nil {
			services = services.Without(name)
		} else if old, ok := services.Get(name); !ok || !old.Equal(s) {
			services = services.With(name, s)
		}
	}
	p.last = snapshot
	p.state = &State{Revision: snapshot.Revision, Node: node, Siblings: siblings, Services: services}
	return p.state
}

// plan renews the plans of the dirty Services and their claims, and returns the
// names whose outcome may be another one now.
func (p *Planner) plan(snapshot *pharos.Snapshot, node *Node, dirty map[pharos.Name]bool) map[pharos.Name]bool {
	affected := map[pharos.Name]bool{}
	for name := range dirty {
		var is *Service
		service, ok := snapshot.Services.Get(name)
		if ok {
			endpoints, _ := snapshot.Endpoints.Get(name)
			is = p.planService(service, endpoints, node)
		}
		was := p.wanted[name]
		if was != nil && is != nil && was.Equal(is) {
			if old, _ := p.last.Services.Get(name); old != nil && old.Created.Equal(service.Created) {
				continue
			}
		}
		affected[name] = true
		if was != nil {
			p.unclaim(was, affected)
			delete(p.wanted, name)
		}
		if is != nil {
			p.claim(is, service.Created, affected)
			p.wanted[name] = is
		}
	}
	return affected
}

// node returns what the Snapshot says of the planner's own node. Where it says
// nothing, the node is what it was: somebody deleted the object, not the machine.
func (p *Planner) node(snapshot *pharos.Snapshot) Node {
	n, ok := snapshot.Nodes.Get(p.options.Node)
	if !ok && p.state.Node.Name != "" {
		return p.state.Node
	}
	node := Node{Name: p.options.Node, PodCIDRs: p.options.PodCIDRs, NodePorts: p.options.NodePorts}
	if ok {
		node.Addresses = n.Addresses
		if len(node.PodCIDRs) == 0 {
			node.PodCIDRs = n.PodCIDRs
		}
	}
	return node
}

// planService returns what the data plane does for one Service, conflicts with
// others aside, or nil where that is nothing.
func (p *Planner) planService(service *pharos.Service, endpoints *pharos.Endpoints, node *Node) *Service {
	_, foreign := service.Labels[proxyNameLabel]
	if service.Type == pharos.ExternalName || len(service.ClusterIPs) == 0 || foreign {
		return nil
	}
	if endpoints == nil {
		endpoints = &pharos.Endpoints{}
	}
	b := builder{
		service: service, endpoints: endpoints, node: node, fates: p.fates,
		was: p.wanted[service.Name], plan: &Service{Name: service.Name},
	}
	b.mode(p.options.Mode)
	for _, port := range service.Ports {
		for _, addr := range service.ClusterIPs {
			b.internal(port, addr)
		}
		if service.Type == pharos.LoadBalancer {
			for _, addr := range service.Ingress {
				b.external(port, LoadBalancer, addr, port.Port)
			}
		}
		for _, addr := range service.ExternalIPs {
			b.external(port, ExternalIP, addr, port.Port)
		}
		if port.NodePort != 0 {
			for _, family := range families(service.ClusterIPs) {
				b.external(port, NodePort, family, port.NodePort)
			}
		}
	}
	slices.SortStableFunc(b.plan.Frontends, func(x, y Frontend) int { return x.Compare(y.Target) })
	// One address may be named twice; the first kind of Kind's order holds.
	b.plan.Frontends = slices.CompactFunc(b.plan.Frontends, func(x, y Frontend) bool { return x.Target == y.Target })
	if p.options.Beside {
		b.beside()
		if len(b.plan.Frontends) == 0 && b.plan.ModeRefused == (why.Reason{}) {
			return nil
		}
		return b.plan
	}
	if service.ExternalLocal && service.HealthCheckNodePort != 0 {
		b.plan.Health = Health{Port: service.HealthCheckNodePort, Endpoints: readyHere(endpoints, node, service.ClusterIPs[0].Is6())}
	}
	return b.plan
}

// families returns the unspecified address of each family among addrs, IPv4
// first.
func families(addrs []netip.Addr) []netip.Addr {
	var result []netip.Addr
	for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Is4() == any.Is4() }) {
			result = append(result, any)
		}
	}
	return result
}

// readyHere counts the pods on the node that are ready, by their addresses of
// one family.
func readyHere(endpoints *pharos.Endpoints, node *Node, ipv6 bool) int {
	seen := map[netip.Addr]bool{}
	for i := range endpoints.Backends {
		if b := &endpoints.Backends[i]; b.Ready && b.Node == node.Name && b.Addr.Is6() == ipv6 {
			seen[b.Addr] = true
		}
	}
	return len(seen)
}

type builder struct {
	service   *pharos.Service
	endpoints *pharos.Endpoints
	node      *Node
	fates     map[string]fate
	direct    bool
	was       *Service // the plan before, or nil
	plan      *Service
}

// internal adds a ClusterIP's frontend. The internal traffic policy holds for
// it, wherever the packet comes from.
func (b *builder) internal(port pharos.ServicePort, addr netip.Addr) {
	scope := Cluster
	if b.service.InternalLocal {
		scope = Local
	}
	group := b.group(port, addr.Is6(), scope)
	masquerade := MasqueradeNever
	if slices.ContainsFunc(b.node.PodCIDRs, func(p netip.Prefix) bool { return p.Addr().Is6() == addr.Is6() }) {
		masquerade = MasqueradeForeign
	}
	b.plan.Frontends = append(b.plan.Frontends, Frontend{
		Target: Target{addr, port.Protocol, port.Port}, Kind: ClusterIP, Port: port.Name,
		Outside: group, Inside: group, Masquerade: masquerade,
	})
}

// external adds a frontend that the external traffic policy holds for. With
// policy Local, packets from inside are as good as packets that went out and
// came back at a node of their choice: they reach every endpoint.
func (b *builder) external(port pharos.ServicePort, kind Kind, addr netip.Addr, number uint16) {
	inside := b.group(port, addr.Is6(), Cluster)
	outside, masquerade := inside, MasqueradeEverybody
	direct := b.direct && kind != NodePort
	if direct {
		// The source stays, so an answer to the node itself would miss it.
		masquerade = MasqueradeOwnNode
		b.table(inside)
	} else if b.service.ExternalLocal {
		outside, masquerade = b.group(port, addr.Is6(), Local), MasqueradeOwnNode
	}
	f := Frontend{
		Target: Target{addr, port.Protocol, number}, Kind: kind, Port: port.Name,
		Outside: outside, Inside: inside, Direct: direct, Masquerade: masquerade,
	}
	if kind == LoadBalancer && len(b.service.SourceRanges) > 0 {
		f.Sources = sources(b.service.SourceRanges, addr, b.node)
	}
	b.plan.Frontends = append(b.plan.Frontends, f)
}

// group returns the index of the Service's group of that kind, and makes it if
// need be.
func (b *builder) group(port pharos.ServicePort, ipv6 bool, scope Scope) int {
	key := GroupKey{port.Name, port.Protocol, ipv6, scope}
	if i := slices.IndexFunc(b.plan.Groups, func(g Group) bool { return g.Key() == key }); i >= 0 {
		return i
	}
	g := Group{
		Port: port.Name, Protocol: port.Protocol, IPv6: ipv6, Scope: scope,
		Backends: b.backends(key), Affinity: b.service.Affinity, Empty: Reject,
	}
	if scope == Local && len(g.Backends) == 0 {
		elsewhere := key
		elsewhere.Scope = Cluster
		if len(b.backends(elsewhere)) > 0 {
			g.Empty = Drop
		}
	}
	b.plan.Groups = append(b.plan.Groups, g)
	return len(b.plan.Groups) - 1
}

// backends returns the endpoints of a group that get new connections: those of the
// best rank that there is.
func (b *builder) backends(key GroupKey) []Backend {
	for rank := stays; rank <= terminates; rank++ {
		if found := b.collect(key, func(e *pharos.Backend) bool { return b.rank(e) == rank }); len(found) > 0 {
			return found
		}
	}
	return nil
}

func (b *builder) collect(key GroupKey, usable func(*pharos.Backend) bool) []Backend {
	var found []Backend
	for i := range b.endpoints.Backends {
		e := &b.endpoints.Backends[i]
		local := e.Node == b.node.Name
		if e.Addr.Is6() != key.IPv6 || key.Scope == Local && !local || !usable(e) {
			continue
		}
		for _, port := range e.Ports {
			if port.Name == key.Port && port.Protocol == key.Protocol && port.Port != 0 {
				found = append(found, Backend{Addr: netip.AddrPortFrom(e.Addr, port.Port), Node: e.Node, Local: local})
			}
		}
	}
	slices.SortFunc(found, func(x, y Backend) int { return cmp.Or(x.Addr.Compare(y.Addr), cmp.Compare(x.Node, y.Node)) })
	return slices.CompactFunc(found, func(x, y Backend) bool { return x.Addr == y.Addr })
}

// sources returns the admitted networks of a frontend's own family, each once
// and none inside another. Where the node itself is admitted, so is the
// frontend's address: a node that holds it itself sends from it.
func sources(ranges []netip.Prefix, addr netip.Addr, node *Node) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(ranges)+1)
	ownNode := false
	for _, r := range ranges {
		if r.Addr().Is6() == addr.Is6() {
			all = append(all, r.Masked())
			ownNode = ownNode || slices.ContainsFunc(node.Addresses, r.Contains)
		}
	}
	if ownNode {
		all = append(all, netip.PrefixFrom(addr, addr.BitLen()))
	}
	slices.SortFunc(all, func(x, y netip.Prefix) int {
		return cmp.Or(x.Addr().Compare(y.Addr()), cmp.Compare(x.Bits(), y.Bits()))
	})
	kept := all[:0]
	for _, p := range all {
		if n := len(kept); n > 0 && kept[n-1].Contains(p.Addr()) {
			continue
		}
		kept = append(kept, p)
	}
	return kept
}
