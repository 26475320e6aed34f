package dataplane

import (
	"maps"

	"github.com/pharoslb/pharos"
)

// The ranks of endpoints that can serve: new connections go to the best that there
// are. Those of the others live on.
const (
	stays      = iota // it is ready
	leaves            // it is ready, and its node is being drained
	terminates        // it terminates and still serves (KEP-1669)
	useless           // it can't serve
)

// rank says how an endpoint fares.
func (b *builder) rank(e *pharos.Backend) int {
	switch {
	case e.Ready && b.drained[e.Node]:
		return leaves
	case e.Ready:
		return stays
	case e.Serving && e.Terminating:
		return terminates
	}
	return useless
}

// drained returns the nodes that are being drained.
func drained(snapshot *pharos.Snapshot) map[string]bool {
	set := map[string]bool{}
	for name, n := range snapshot.Nodes.All() {
		if n.Drain.Asked {
			set[name] = true
		}
	}
	return set
}

// concerned adds the Services with endpoints on nodes whose drain begins or ends.
func (p *Planner) concerned(snapshot *pharos.Snapshot, drained map[string]bool, dirty map[pharos.Name]bool) {
	if maps.Equal(drained, p.drained) {
		return
	}
	for name, endpoints := range snapshot.Endpoints.All() {
		for i := range endpoints.Backends {
			if node := endpoints.Backends[i].Node; drained[node] != p.drained[node] {
				dirty[name] = true
				break
			}
		}
	}
}
