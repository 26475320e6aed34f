package dataplane

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// Fleet is the data planes of a cluster's nodes in memory: it tells what becomes
// of a packet that reaches one of them, whoever is asked for it after that.
//
//	f := NewFleet(1)
//	f.Apply(stateOf1)                       // each node's own, by a Planner of its own
//	f.Apply(stateOf2)
//	f.Send(now, "n1", syn).Backend()        // and the owner remembers the connection
//	f.Send(now, "n2", segment).Backend()    // n1 is withdrawn: still the same
//
// What a driver has to do is the backend, or the reset; it may take a shorter way
// there, as one does that remembers connections at the ingress too. With all
// States of one Snapshot a packet is forwarded at most twice; while they differ,
// too. Memory grows with every connection: this is for tests.
//
// It belongs to one goroutine.
type Fleet struct {
	seed  uint64
	nodes map[string]*Model
}

// NewFleet returns a Fleet without nodes. Where backends are chosen by chance, as
// in mode nat, the choices follow from seed.
func NewFleet(seed uint64) *Fleet { return &Fleet{seed: seed, nodes: map[string]*Model{}} }

// Apply makes the node of the state do what it says. The connections that it
// remembers stay, as those of a kernel do while its agent restarts.
func (f *Fleet) Apply(state *State) {
	m := f.nodes[state.Node.Name]
	if m == nil {
		f.seed++
		m = NewModel(f.seed)
		f.nodes[state.Node.Name] = m
	}
	m.Apply(context.Background(), state)
}

// PowerOff takes a node away, with what it remembers; Apply brings it back.
func (f *Fleet) PowerOff(node string) { delete(f.nodes, node) }

// Path is the way of a packet.
type Path struct {
	Nodes  []string // that it came to, the ingress first
	Answer Answer   // of the last one; what reaches a node without power is dropped
}

// Backend returns who got the packet, or the zero value where nobody did.
func (p Path) Backend() netip.AddrPort {
	if p.Answer.Action != Accept {
		return netip.AddrPort{}
	}
	return p.Answer.Backends[0].Addr
}

// SecondChance reports whether the packet's last way was a second chance.
func (p Path) SecondChance() bool { return p.Answer.As == SecondChanced }

// Send sends a packet from the network to a node, or has that node send it where
// it is its Own.
func (f *Fleet) Send(now time.Time, ingress string, p Packet) Path {
	path := Path{Nodes: []string{ingress}}
	as := p.From
	for node := ingress; ; {
		m := f.nodes[node]
		if m == nil {
			path.Answer = Answer{Action: Drop, As: as}
			return path
		}
		p.From = as
		answer := m.Send(now, p)
		if answer.Action != Forward {
			answer.As = as
			path.Answer = answer
			return path
		}
		node, as = answer.Node, answer.As
		path.Nodes = append(path.Nodes, node)
	}
}

// Nodes returns the names of the nodes that have power, sorted.
func (f *Fleet) Nodes() []string {
	var names []string
	for name := range f.nodes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
