package ipvs

import (
	"slices"

	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/table"
)

// direct reports whether a frontend's packets from outside go to the owner of
// their connection. The kernel's own table says who that is, not the group's: all
// nodes have to run this driver.
func direct(f *dataplane.Frontend, g *dataplane.Group) bool { return f.Direct && g.Table != nil }

// mh is the setting of a virtual service whose destinations follow from the
// packet alone. A destination that drains keeps its slots, as the kernel's table is
// made of the last weights that were not zero; only new connections, and those
// that this node knows nothing of, fall back to others.
func mh(g *dataplane.Group) setting {
	s := setting{scheduler: "mh", flags: flagFallback | flagPort}
	if g.Affinity > 0 {
		s.flags = flagFallback // the client's address alone decides
	}
	return s
}

// owners returns the destinations of a direct group, the same in the same order
// on all nodes: this node's pods are translated, packets to others sent on. One that
// only keeps what it has is none where its node is dead: so its clients hear a reset.
func owners(g *dataplane.Group, node string) []dest {
	all := !slices.ContainsFunc(g.Table.Owners, func(e table.Endpoint) bool { return !e.Draining })
	result := make([]dest, 0, len(g.Table.Owners))
	for _, e := range g.Table.Owners {
		d := dest{e.Addr, 1, route}
		if e.Unready || e.Draining && !all {
			if e.Dead {
				continue
			}
			d.weight = 0
		}
		if e.Node == node {
			d.method = masq
		}
		result = append(result, d)
	}
	return result
}
