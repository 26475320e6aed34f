package dataplane

import (
	"cmp"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane/table"
	"github.com/pharoslb/pharos/why"
)

// mode decides how the Service is carried, and says where that is not as it asks.
func (b *builder) mode(fallback pharos.DataPlaneMode) {
	b.plan.ModeRefused = b.service.ModeRefused
	b.direct = cmp.Or(b.service.Mode, fallback) == pharos.Direct
	if external := len(b.service.ExternalIPs) > 0 || b.service.Type == pharos.LoadBalancer; !b.direct || !external {
		return // no frontend can be direct, and none asks to be
	}
	usable, reachable := false, false
	for i := range b.endpoints.Backends {
		e := &b.endpoints.Backends[i]
		if b.rank(e) == pauses {
			continue
		}
		if e.Node == "" {
			b.refuse(why.New(why.NodeUnknown, "the node of endpoint %s is not known, so nobody could keep its connections", e.Addr))
			return
		}
		usable, reachable = true, reachable || b.fates[e.Node].reachable
	}
	if usable && !reachable {
		b.refuse(why.New(why.NodeUnknown, "the nodes of its endpoints have no known address"))
	}
}

func (b *builder) refuse(r why.Reason) { b.direct, b.plan.ModeRefused = false, r }

// table gives a group its table. Endpoints on nodes that nobody knows an address
// of, as one that was deleted, get nothing while there are others. Where none can
// get new connections there are no owners at all: nobody announces the address.
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
			owner := table.Endpoint{
				Addr: e.Addr, Node: e.Node, Draining: draining, Unready: rank == pauses, Dead: !fate.alive || !fate.reachable,
			}
			if fate.reachable {
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
