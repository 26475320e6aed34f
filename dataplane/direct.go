package dataplane

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane/table"
)

// siblings returns the Snapshot's other nodes, by name, and the names of those
// that aren't ready.
func (p *Planner) siblings(snapshot *pharos.Snapshot) ([]Sibling, map[string]bool) {
	var siblings []Sibling
	dead := map[string]bool{}
	for name, n := range snapshot.Nodes.All() {
		if name == p.options.Node {
			continue
		}
		if n.NotReady {
			dead[name] = true
		}
		s := Sibling{Name: name}
		for _, ipv6 := range []bool{false, true} {
			if i := slices.IndexFunc(n.Addresses, func(a netip.Addr) bool { return a.Is6() == ipv6 }); i >= 0 {
				s.Addresses = append(s.Addresses, n.Addresses[i])
			}
		}
		siblings = append(siblings, s)
	}
	slices.SortFunc(siblings, func(a, b Sibling) int { return cmp.Compare(a.Name, b.Name) })
	return siblings, dead
}

// table gives a group its table.
func (b *builder) table(group int) {
	g := &b.plan.Groups[group]
	if g.Table != nil {
		return
	}
	var owners []table.Endpoint
	for rank := stays; rank <= terminates; rank++ {
		// Where every ready one is on a node that is drained, those get the new connections.
		draining := rank == terminates || rank == leaves && len(owners) > 0
		for _, e := range b.collect(g.Key(), func(e *pharos.Backend) bool { return b.rank(e) == rank }) {
			owners = append(owners, table.Endpoint{Addr: e.Addr, Node: e.Node, Draining: draining, Dead: b.dead[e.Node]})
		}
	}
	g.Table = table.New(owners)
}

// beside leaves direct frontends alone in the plan.
func (b *builder) beside() {
	b.plan.Frontends = slices.DeleteFunc(b.plan.Frontends, func(f Frontend) bool { return !f.Direct })
}
