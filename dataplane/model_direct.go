package dataplane

import (
	"net/netip"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane/table"
)

// Slot returns the slot of the group's Table that a client's packet belongs to.
func (g *Group) Slot(client netip.Addr, port uint16) int {
	if g.Affinity > 0 {
		return table.HashClient(client)
	}
	return table.Hash(client, port)
}

// direct answers where a packet of a direct frontend goes whose connection this
// node does not know, or, as an ingress, does not look up.
//
//	sender         first of a connection         any other
//	network        the current owner's node, unmarked; here, as below
//	  at the current owner:
//	any node       accept                        the previous owner's node, marked;
//	                                             reset, where that is here, or it was marked already
//	  elsewhere, because the tables of sender and receiver differ:
//	unmarked       accept for the previous       the current owner's node, marked
//	               owner if it is here and stays,
//	               else as the others
//	marked         accept for the previous       reset
//	               owner if it is here, else drop
//
// The mark is SecondChance; what carries it is never forwarded. So a packet is
// forwarded twice at most, also while no two tables agree. In mode direct a driver
// may drop the first packet of a connection where the tables differ: its client
// asks again, and by then they don't.
func (m *Model) direct(p Packet, g *Group) Answer {
	slot := g.Table.Slots[g.Slot(p.Src, p.SrcPort)]
	if slot.Current == table.None {
		return Answer{Action: refuse(p, g.Empty)}
	}
	first := !p.Error && !(p.Ongoing && p.Protocol == pharos.TCP)
	current := &g.Table.Owners[slot.Current]
	var previous *table.Endpoint
	if slot.Previous != table.None {
		previous = &g.Table.Owners[slot.Previous]
	}
	second := previous != nil && m.here(previous)
	switch {
	case m.here(current) && first:
		return m.deliver(current)
	case m.here(current):
		if previous != nil && !second && p.From != SecondChanced {
			return Answer{Action: Forward, Node: previous.Node, As: SecondChanced}
		}
	case p.From == Network:
		return Answer{Action: Forward, Node: current.Node, As: ForwardedOn}
	case first && second && (p.From == SecondChanced || !previous.Draining):
		return m.deliver(previous)
	case p.From == ForwardedOn:
		return Answer{Action: Forward, Node: current.Node, As: SecondChanced}
	case first:
		return Answer{Action: Drop}
	}
	return Answer{Action: refuse(p, Reject)}
}

// refuse returns what a packet that nobody gets comes to: errors are never
// answered (RFC 1122, section 3.2.2).
func refuse(p Packet, a Action) Action {
	if p.Error {
		return Drop
	}
	return a
}

func (m *Model) here(e *table.Endpoint) bool { return e.Node == m.state.Node.Name }

func (m *Model) deliver(e *table.Endpoint) Answer {
	return Answer{Action: Accept, Backends: []Backend{{Addr: e.Addr, Node: e.Node, Local: true}}}
}

// connection is what a node remembers a connection by.
type connection struct {
	client netip.AddrPort
	target Target
}

func (p *Packet) connection() connection {
	return connection{netip.AddrPortFrom(p.Src, p.SrcPort), Target{p.Dst.Addr(), p.Protocol, p.Dst.Port()}}
}

// known answers for a packet of a connection that this node remembers. A UDP
// connection ends with its backend's share in new ones: it has no other end.
func (m *Model) known(p Packet, group *Group) (Answer, bool) {
	was, ok := m.connections[p.connection()]
	if !ok || group == nil || p.Protocol == pharos.UDP && !group.has(was.Backends[0].Addr) {
		return Answer{}, false
	}
	return was, true
}

func (g *Group) has(backend netip.AddrPort) bool {
	for i := range g.Backends {
		if g.Backends[i].Addr == backend {
			return true
		}
	}
	return false
}
