package dataplane

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
)

// fate is what plans depend on of a node; the zero value is that of a node nobody
// knows.
type fate struct {
	ipv4, ipv6 bool // packets of the family can be sent on to it: its address is known
	alive      bool // it is ready
	drained    bool // it is being drained
}

func (f fate) reachable(ipv6 bool) bool { return ipv6 && f.ipv6 || !ipv6 && f.ipv4 }

// look returns the Snapshot's other nodes, by name, and the fates of all nodes.
// Both are those of the Planner's last Snapshot where no node differs. The own node
// is there, whether the API knows it or not.
func (p *Planner) look(snapshot *pharos.Snapshot) ([]Sibling, map[string]fate) {
	if p.fates != nil && !differ(snapshot.Nodes, p.last.Nodes) {
		return p.state.Siblings, p.fates
	}
	siblings := make([]Sibling, 0, snapshot.Nodes.Len())
	fates := make(map[string]fate, snapshot.Nodes.Len()+1)
	fates[p.options.Node] = fate{ipv4: true, ipv6: true, alive: true}
	for name, n := range snapshot.Nodes.All() {
		s, f := Sibling{Name: name}, fate{alive: !n.NotReady, drained: n.Drain.Asked}
		for _, ipv6 := range []bool{false, true} {
			if i := slices.IndexFunc(n.Addresses, func(a netip.Addr) bool { return a.Is6() == ipv6 }); i >= 0 {
				s.Addresses = append(s.Addresses, n.Addresses[i])
				f.ipv4, f.ipv6 = f.ipv4 || !ipv6, f.ipv6 || ipv6
			}
		}
		if fates[name] = f; name != p.options.Node {
			siblings = append(siblings, s)
		}
	}
	slices.SortFunc(siblings, func(a, b Sibling) int { return cmp.Compare(a.Name, b.Name) })
	return siblings, fates
}

func differ[K, V comparable](a, b pharos.Map[K, V]) bool {
	for range a.Diff(b) {
		return true
	}
	return false
}

// concerned adds the Services with endpoints on nodes whose fate is another one
// now. In mode nat no more of it counts than whether the node is drained.
func (p *Planner) concerned(snapshot *pharos.Snapshot, fates map[string]fate, dirty map[pharos.Name]bool) {
	if maps.Equal(fates, p.fates) {
		return
	}
	for name, endpoints := range snapshot.Endpoints.All() {
		drain, other := false, false
		for i := range endpoints.Backends {
			node := endpoints.Backends[i].Node
			is, was := fates[node], p.fates[node]
			drain, other = drain || is.drained != was.drained, other || is != was
		}
		if drain || other && p.wantsDirect(snapshot, name) {
			dirty[name] = true
		}
	}
}

func (p *Planner) wantsDirect(snapshot *pharos.Snapshot, name pharos.Name) bool {
	s, ok := snapshot.Services.Get(name)
	return ok && cmp.Or(s.Mode, p.options.Mode) == pharos.Direct
}

// The ranks of endpoints: new connections go to the best that there are. Those of
// the others live on.
const (
	stays      = iota // it is ready
	leaves            // it is ready, and its node is being drained
	terminates        // it terminates and still serves (KEP-1669)
	pauses            // it gets no new connections in any case
)

// rank says how an endpoint fares.
func (b *builder) rank(e *pharos.Backend) int {
	switch {
	case e.Ready && b.fates[e.Node].drained:
		return leaves
	case e.Ready:
		return stays
	case e.Serving && e.Terminating:
		return terminates
	}
	return pauses
}
