package speaker

import (
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// Intent is what the speaker of one node would do about one address.
type Intent struct {
	Service pharos.Name
	Node    string
	Addr    netip.Addr

	// Peers are the peers' names in the configuration, sorted; empty: it is not
	// announced over BGP.
	Peers []string

	// Layer2 says that the node announces the address on layer 2, on Interfaces, or
	// on any where there are none.
	Layer2     bool
	Interfaces []string

	Reason why.Reason // NodeAssigned, or why it is not announced from this node
}

// Preview tells what speakers would do about the addresses that Services have, if
// one ran on each node of a Snapshot and all were alive: node by node, by name, and
// Service by Service. It does nothing. Options.Node is of no matter.
func Preview(opt Options, snap *pharos.Snapshot) iter.Seq[Intent] {
	return func(yield func(Intent) bool) {
		var nodes []*pharos.Node
		for _, n := range snap.Nodes.All() {
			nodes = append(nodes, n)
		}
		slices.SortFunc(nodes, func(a, b *pharos.Node) int { return strings.Compare(a.Name, b.Name) })
		for _, n := range nodes {
			opt.Node = n.Name
			v := NewView(opt, snap.Config, n, snap.Nodes)
			for name, svc := range snap.Services.All() {
				eps, _ := snap.Endpoints.Get(name)
				p := v.Plan(svc, eps)
				for i := range p.Addresses {
					if !yield(v.intent(&p, &p.Addresses[i])) {
						return
					}
				}
			}
		}
	}
}

func (v *View) intent(p *Plan, a *Address) Intent {
	in := Intent{Service: p.Service, Node: v.opt.Node, Addr: a.Addr, Reason: a.Reason}
	for _, r := range a.Routes {
		for _, key := range r.Offer.Peers {
			in.Peers = append(in.Peers, v.peerNames(key)...)
		}
	}
	slices.Sort(in.Peers)
	in.Peers = slices.Compact(in.Peers)
	if a.here() {
		in.Layer2, in.Interfaces = true, a.Layer2.Interfaces
	}
	return in
}

// peerNames returns the peers that have a session of that key on the node: several
// that are equal have one.
func (v *View) peerNames(key string) []string {
	var list []string
	for i := range v.sessions {
		if s := &v.sessions[i]; s.config.Name == key && s.refused.Code == why.OK {
			list = append(list, s.peer)
		}
	}
	return list
}
