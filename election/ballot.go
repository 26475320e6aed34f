package election

import (
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// Ballot is what the nodes and the layer 2 advertisements of one pool say about who may
// announce the pool's addresses, whichever Service has them. It is immutable.
type Ballot struct {
	pool    string
	nodes   []string     // by name
	barred  []why.Reason // of each node; OK: it may announce
	adverts []advert
	limited bool // an advertisement names interfaces
}

// advert is an advertisement as the nodes fare with it.
type advert struct {
	*pharos.Advertisement
	selects []bool // by node
	weights []int  // by node: preferences that match it
}

// NewBallot takes those advertisements that are of mode Layer2 and cover the pool.
// Nodes may come in any order. Unless ignoreExclude, nodes with pharos.ExcludeLabel may
// not announce.
func NewBallot(pool string, nodes []*pharos.Node, adverts []pharos.Advertisement, ignoreExclude bool) *Ballot {
	b := &Ballot{pool: pool}
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b *pharos.Node) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range nodes {
		var r why.Reason
		switch {
		case n.NetworkUnavailable:
			r = why.New(why.NodeNetworkUnavailable, "node %s has condition NetworkUnavailable", n.Name)
		case n.Excluded() && !ignoreExclude:
			r = why.New(why.NodeLabeledExcludeBalancers, "node %s has label %s", n.Name, pharos.ExcludeLabel)
		}
		b.nodes, b.barred = append(b.nodes, n.Name), append(b.barred, r)
	}
	for i := range adverts {
		a := &adverts[i]
		if a.Mode != pharos.Layer2 || !a.Covers(pool) {
			continue
		}
		ad := advert{Advertisement: a, selects: make([]bool, len(nodes)), weights: make([]int, len(nodes))}
		b.limited = b.limited || len(a.Interfaces) > 0
		for n, node := range nodes {
			ad.selects[n] = pharos.MatchesAny(a.NodeSelectors, node.Labels)
			for _, p := range a.Preferred {
				if p.Nodes.Matches(node.Labels) {
					ad.weights[n] += p.Weight
				}
			}
		}
		b.adverts = append(b.adverts, ad)
	}
	return b
}

// Empty reports whether no layer 2 advertisement covers the pool.
func (b *Ballot) Empty() bool { return len(b.adverts) == 0 }

// SelectsServices reports whether one of the advertisements is for some Services alone.
func (b *Ballot) SelectsServices() bool {
	return slices.ContainsFunc(b.adverts, func(a advert) bool { return len(a.ServiceSelectors) > 0 })
}

// Request is a Service, as far as an election asks.
type Request struct {
	Labels map[string]string
	// Local is traffic policy Local: only nodes with an endpoint can serve.
	Local bool
	// Serving are the nodes of the endpoints that can serve, sorted; one entry for each
	// endpoint, or for each node.
	Serving []string
	// Alive reports whether a node's speaker is alive. Nil: all are.
	Alive func(node string) bool
}

// serves reports whether a node can serve the Service's clients.
func (r *Request) serves(node string) bool {
	if !r.Local {
		return len(r.Serving) > 0
	}
	_, ok := slices.BinarySearch(r.Serving, node)
	return ok
}

// Candidates returns the nodes that may announce an address of the Service, by name.
func (b *Ballot) Candidates(r *Request) []Candidate {
	matching := b.matching(r.Labels)
	if len(matching) == 0 || len(r.Serving) == 0 {
		return nil
	}
	list := make([]Candidate, 0, len(b.nodes))
	for n := range b.nodes {
		if c, reason := b.candidate(n, matching, r); reason == why.OK {
			list = append(list, c)
		}
	}
	return list
}

// Candidate returns what one node is in the election, or why it is no candidate.
func (b *Ballot) Candidate(node string, r *Request) (Candidate, why.Reason) {
	n, known := slices.BinarySearch(b.nodes, node)
	if !known {
		return Candidate{}, why.New(why.NoMatchingAdvertisement, "the cluster has no node %s", node)
	}
	matching := b.matching(r.Labels)
	c, code := b.candidate(n, matching, r)
	switch code {
	case why.OK:
		return c, why.Reason{}
	case why.NodeNetworkUnavailable, why.NodeLabeledExcludeBalancers:
		return Candidate{}, b.barred[n]
	case why.NoLocalEndpoints:
		return Candidate{}, why.New(code, "traffic policy is Local, and no endpoint on node %s can serve", node)
	case why.NoEndpoints:
		return Candidate{}, why.New(code, "no endpoint can serve")
	case why.NotOwner:
		return Candidate{}, why.New(code, "the speaker of node %s is not alive", node)
	}
	switch {
	case len(b.adverts) == 0:
		return Candidate{}, why.New(code, "no layer 2 advertisement covers pool %q", b.pool)
	case len(matching) == 0:
		return Candidate{}, why.New(code, "the layer 2 advertisements of pool %q select other Services", b.pool)
	}
	return Candidate{}, why.New(code, "the layer 2 advertisements of pool %q select other nodes than %s", b.pool, node)
}

// candidate judges node n by the advertisements that match the Service. Its code says
// why the node is no candidate: NotOwner where its speaker is not alive.
func (b *Ballot) candidate(n int, matching []*advert, r *Request) (Candidate, why.Code) {
	c := Candidate{Node: b.nodes[n]}
	selected := false
	for _, a := range matching {
		// The preferences of an advertisement count on the nodes that it selects.
		if a.selects[n] {
			selected = true
			c.Weight += a.weights[n]
		}
	}
	switch {
	case b.barred[n].Code != why.OK:
		return c, b.barred[n].Code
	case !selected:
		return c, why.NoMatchingAdvertisement
	case !r.serves(c.Node) && r.Local:
		return c, why.NoLocalEndpoints
	case !r.serves(c.Node):
		return c, why.NoEndpoints
	case r.Alive != nil && !r.Alive(c.Node):
		return c, why.NotOwner
	}
	return c, why.OK
}

// matching returns the advertisements that are for a Service with these labels.
func (b *Ballot) matching(labels map[string]string) []*advert {
	list := make([]*advert, 0, len(b.adverts))
	for i := range b.adverts {
		if a := &b.adverts[i]; pharos.MatchesAny(a.ServiceSelectors, labels) {
			list = append(list, a)
		}
	}
	return list
}

// Limited reports whether one of the advertisements names interfaces.
func (b *Ballot) Limited() bool { return b.limited }

// Interfaces returns the interfaces that node may announce the Service's addresses on,
// sorted: those of all advertisements that select both. Nil, with true: any interface.
// False: no advertisement does.
func (b *Ballot) Interfaces(node string, labels map[string]string) ([]string, bool) {
	n, ok := slices.BinarySearch(b.nodes, node)
	if !ok {
		return nil, false
	}
	var list []string
	found := false
	for _, a := range b.matching(labels) {
		if !a.selects[n] {
			continue
		}
		found = true
		if len(a.Interfaces) == 0 {
			return nil, true
		}
		list = append(list, a.Interfaces...)
	}
	slices.Sort(list)
	return slices.Compact(list), found
}
