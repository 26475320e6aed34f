package dataplane

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane/table"
	"github.com/pharoslb/pharos/why"
)

// mode decides how the Service is carried, and says where that is not as it asks.
func (b *builder) mode(fallback pharos.DataPlaneMode) {
	b.plan.ModeRefused = b.service.ModeRefused
	b.direct = cmp.Or(b.service.Mode, fallback) == pharos.Direct
	if !b.direct {
		return
	}
	for _, ipv6 := range []bool{false, true} {
		if b.wants(ipv6) {
			b.inspect(ipv6)
		}
	}
}

// wants reports whether the Service has frontends of the family that may be direct.
func (b *builder) wants(ipv6 bool) bool {
	of := func(a netip.Addr) bool { return a.Is6() == ipv6 }
	return slices.ContainsFunc(b.service.ExternalIPs, of) || b.service.Type == pharos.LoadBalancer && slices.ContainsFunc(b.service.Ingress, of)
}

// inspect refuses mode direct where nothing could be sent on to endpoints of the
// family.
func (b *builder) inspect(ipv6 bool) {
	usable, reachable := false, false
	for i := range b.endpoints.Backends {
		e := &b.endpoints.Backends[i]
		if e.Addr.Is6() != ipv6 || b.rank(e) == pauses {
			continue
		}
		if e.Node == "" {
			b.refuse(why.New(why.NodeUnknown, "the node of endpoint %s is not known, so nobody could keep its connections", e.Addr))
			return
		}
		usable, reachable = true, reachable || b.fates[e.Node].reachable(ipv6)
	}
	switch {
	case reachable || !usable:
	case ipv6:
		b.refuse(why.New(why.NodeUnknown, "the nodes of its IPv6 endpoints have no known IPv6 address"))
	default:
		b.refuse(why.New(why.NodeUnknown, "the nodes of its IPv4 endpoints have no known IPv4 address"))
	}
}

func (b *builder) refuse(r why.Reason) { b.direct, b.plan.ModeRefused = false, r }

// table gives a group its table. Endpoints on nodes that nobody knows an address
// of in the endpoint's family, as one that was deleted, get nothing while there are
// others. Where none can get new connections there are no owners at all: nobody
// announces the address.
func (b *builder) table(group int) {
	g := &b.plan.Groups[group]
	if g.Table != nil {
		return
	}
	var owners, unknown []table.Endpoint
	for rank := stays; rank <= pauses; rank++ {
		// Where every ready one is on a node that is drained, those get the new connections.
		draining := rank == terminates || rank == leaves && len(owners) > 0
		for _, e := range b.collect(g.Key(), func(e *pharos.Backend) bool { return b.rank(e) == rank }) {
			fate := b.fates[e.Node]
			reachable := fate.reachable(g.IPv6)
			owner := table.Endpoint{
				Addr: e.Addr, Node: e.Node, Draining: draining, Unready: rank == pauses, Dead: !fate.alive || !reachable,
			}
			if reachable {
				owners = append(owners, owner)
			} else if rank != pauses {
				unknown = append(unknown, owner)
			}
		}
	}
	if !slices.ContainsFunc(owners, func(e table.Endpoint) bool { return !e.Unready }) {
		owners = unknown
	}
	g.Table = b.renew(g.Key(), owners)
}

// renew returns the table of the owners, made of the one before if there is one.
func (b *builder) renew(key GroupKey, owners []table.Endpoint) *table.Table {
	if b.was != nil {
		for i := range b.was.Groups {
			if g := &b.was.Groups[i]; g.Table != nil && g.Key() == key {
				return g.Table.With(owners)
			}
		}
	}
	return table.New(owners)
}

// beside leaves direct frontends alone in the plan.
func (b *builder) beside() {
	b.plan.Frontends = slices.DeleteFunc(b.plan.Frontends, func(f Frontend) bool { return !f.Direct })
}
