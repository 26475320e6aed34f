package ebpf

import (
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/table"
)

// wanted is a direct frontend as the programs shall have it, whatever numbers it
// gets there.
type wanted struct {
	service  pharos.Name
	target   dataplane.Target
	table    *table.Table
	affinity bool
	sources  []netip.Prefix
	guarded  bool
	pods     []directTarget // of this node, that get new connections
}

func (w *wanted) equal(other *wanted) bool {
	return w.service == other.service && w.target == other.target && w.table.Equal(other.table) && w.affinity == other.affinity &&
		w.guarded == other.guarded && slices.Equal(w.sources, other.sources) && slices.Equal(w.pods, other.pods)
}

// carries reports whether the programs carry a frontend, as far as its group and protocol
// go. They don't:
//
//   - SCTP, whose checksum (CRC32c, RFC 9260 appendix A) can't be brought up to date
//     without reading the whole packet;
//   - endpoints whose node nobody knows, to which no node could deliver.
func carries(f *dataplane.Frontend, g *dataplane.Group) bool {
	return f.Direct && protocolNumbers[f.Protocol] != 0 && placed(g)
}

// placed reports whether the nodes of all of a group's endpoints are known.
func placed(g *dataplane.Group) bool {
	return g.Table != nil && !slices.ContainsFunc(g.Table.Owners, func(e table.Endpoint) bool { return e.Node == "" })
}

// compile returns a Service's frontends that the programs carry.
func compile(node string, s *dataplane.Service) []*wanted {
	var all []*wanted
	for i := range s.Frontends {
		f := &s.Frontends[i]
		g := &s.Groups[f.Outside]
		if !carries(f, g) {
			continue
		}
		w := &wanted{service: s.Name, target: f.Target, table: g.Table, affinity: g.Affinity > 0, sources: f.Sources, guarded: f.Sources != nil}
		for _, b := range g.Backends {
			if b.Node == node {
				w.pods = append(w.pods, podOf(b.Addr, f.Protocol))
			}
		}
		all = append(all, w)
	}
	return all
}

// rest returns what is left of a Service for nftables: what comes from inside, and all
// that the programs don't carry. SCTP stays direct there; where an endpoint's node
// is unknown it is mode nat, for whoever answers has to be asked by an address of this node's.
func rest(s *dataplane.Service) *dataplane.Service {
	if !slices.ContainsFunc(s.Frontends, func(f dataplane.Frontend) bool { return f.Direct }) {
		return s
	}
	left := *s
	left.Frontends = slices.Clone(s.Frontends)
	for i := range left.Frontends {
		f := &left.Frontends[i]
		switch {
		case !f.Direct || f.Protocol == pharos.SCTP && placed(&s.Groups[f.Outside]):
		case carries(f, &s.Groups[f.Outside]):
			f.Direct = false
		default:
			f.Direct, f.Masquerade = false, dataplane.MasqueradeEverybody
		}
	}
	return &left
}

// numbers are what a frontend's element has of its own.
type numbers struct{ meter, version, guard uint32 }

// image writes a frontend's element and returns the owners that it has no room for.
// node gives the number of a node.
func (w *wanted) image(v *directFrontend, n numbers, node func(string) uint16) []directOwner {
	*v = directFrontend{Meter: n.meter, Version: n.version, Guard: n.guard}
	if w.affinity {
		v.Flags |= flagByAddress
	}
	if w.guarded {
		v.Flags |= flagGuarded
	}
	for i, s := range w.table.Slots {
		v.Slots[i] = uint32(s.Current) | uint32(s.Previous)<<16
	}
	var further []directOwner
	for i := range w.table.Owners {
		e := &w.table.Owners[i]
		o := directOwner{Addr: addrOf(e.Addr.Addr()), Port: wire(e.Addr.Port()), Node: node(e.Node)}
		if e.Draining {
			o.Draining = 1
		}
		if i < inlined {
			v.Owners[i] = o
		} else {
			further = append(further, o)
		}
	}
	return further
}
