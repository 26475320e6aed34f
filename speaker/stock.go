package speaker

import (
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/why"
)

// stock is a pool as announced. Where no advertisement selects Services, all is
// worked out beforehand; otherwise a choice is put together for each Service.
type stock struct {
	candidates []candidate
	clashes    []clash
	selective  bool             // an advertisement is for some Services alone
	ballot     *election.Ballot // nil: no advertisement of mode Layer2 covers the pool
	nodeFit    why.Reason
	all        choice // what Services get unless selective
}

// peered reports whether the pool is meant for BGP, perhaps besides layer 2.
func (st *stock) peered() bool { return len(st.candidates) > 0 }

// candidate is one advertisement of mode BGP that covers a pool.
type candidate struct {
	adv     *pharos.Advertisement
	offer   *Offer   // nil: this node makes none
	selects bool     // it selects this node
	peers   bool     // it has peers on this node, usable or not
	nodes   []string // all that announce by it, sorted
}

// clash is two candidates that give one prefix different local preferences.
type clash struct {
	a, b   int      // indices of candidates
	length [2]bool  // whether they aggregate alike, for IPv4 and IPv6
	nodes  []string // where both go to the same peer, sorted
	reason why.Reason
}

// choice is what an advertised pool comes to for one Service.
type choice struct {
	// reason says why this node announces none of the pool's addresses; its
	// code is OK where it does.
	reason why.Reason
	offers []*Offer // this node's; empty unless reason is OK
	nodes  []string // all that announce the pool's addresses, sorted
	// clashes are those that keep nodes from announcing after all.
	clashes []*clash
}

// stock works out how a pool is announced. nodes are sorted by name.
func (v *View) stock(pool string, self *pharos.Node, nodes []*pharos.Node) *stock {
	st := &stock{nodeFit: v.fit(self)}
	for i := range v.cfg.Advertisements {
		a := &v.cfg.Advertisements[i]
		switch {
		case !a.Covers(pool):
		case a.Mode == pharos.Layer2:
			if st.ballot == nil {
				st.ballot = election.NewBallot(pool, nodes, v.cfg.Advertisements, v.opt.IgnoreExcludeLabel)
			}
		default:
			st.candidates = append(st.candidates, v.candidate(a, self, nodes))
			st.selective = st.selective || len(a.ServiceSelectors) > 0
		}
	}
	st.findClashes(v, nodes)
	st.all = v.choose(st, pool, nil)
	return st
}

func (v *View) candidate(a *pharos.Advertisement, self *pharos.Node, nodes []*pharos.Node) candidate {
	c := candidate{adv: a, selects: pharos.MatchesAny(a.NodeSelectors, self.Labels)}
	peers := v.peersOf(a, self)
	c.peers = len(peers) > 0
	// What the engine can't be given, such as a second peer of the same address,
	// is left out here and told of in problems.
	peers = slices.DeleteFunc(peers, func(key string) bool { return !v.usable(key) })
	if c.selects && len(peers) > 0 && v.fit(self).Code == why.OK {
		c.offer = &Offer{Advertisement: a, Peers: peers}
	}
	for _, n := range nodes {
		announces := c.offer != nil
		if n.Name != self.Name {
			announces = pharos.MatchesAny(a.NodeSelectors, n.Labels) && v.fit(n).Code == why.OK && v.reaches(a, n)
		}
		if announces {
			c.nodes = append(c.nodes, n.Name)
		}
	}
	return c
}

// findClashes notes which candidates cannot both be followed: a prefix has one local
// preference. One that sets none goes with every other.
func (st *stock) findClashes(v *View, nodes []*pharos.Node) {
	for i := range st.candidates {
		for j := range i {
			a, b := st.candidates[j].adv, st.candidates[i].adv
			if a.LocalPref == nil || b.LocalPref == nil || *a.LocalPref == *b.LocalPref {
				continue
			}
			c := clash{a: j, b: i, length: [2]bool{a.AggregationLength == b.AggregationLength, a.AggregationLengthV6 == b.AggregationLengthV6}}
			if c.length == [2]bool{} {
				continue
			}
			for _, n := range nodes {
				if _, ok := slices.BinarySearch(st.candidates[i].nodes, n.Name); !ok {
					continue
				}
				if _, ok := slices.BinarySearch(st.candidates[j].nodes, n.Name); ok && overlap(v.peersOf(a, n), v.peersOf(b, n)) {
					c.nodes = append(c.nodes, n.Name)
				}
			}
			if len(c.nodes) > 0 {
				c.reason = why.New(why.ConflictingAdvertisements, "advertisement %s says local preference %d and advertisement %s says %d, to the same peer",
					where(a.Name, a.Origin), *a.LocalPref, where(b.Name, b.Origin), *b.LocalPref)
				st.clashes = append(st.clashes, c)
			}
		}
	}
}

// overlap tells whether sorted lists have an element in common.
func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool {
		_, ok := slices.BinarySearch(b, s)
		return ok
	})
}

// choose puts together what a Service of these labels gets; without a Service it is
// what one gets that every advertisement selects.
func (v *View) choose(st *stock, pool string, svc *pharos.Service) choice {
	var c choice
	matched := make([]bool, len(st.candidates))
	var any, selects, peers bool
	for i := range st.candidates {
		k := &st.candidates[i]
		if svc != nil && !pharos.MatchesAny(k.adv.ServiceSelectors, svc.Labels) {
			continue
		}
		matched[i], any = true, true
		selects, peers = selects || k.selects, peers || k.selects && k.peers
		c.nodes = union(c.nodes, k.nodes)
		if k.offer != nil {
			c.offers = append(c.offers, k.offer)
		}
	}
	for i := range st.clashes {
		if k := &st.clashes[i]; matched[k.a] && matched[k.b] {
			c.clashes = append(c.clashes, k)
		}
	}
	switch {
	case len(st.candidates) == 0 && st.ballot != nil:
		c.reason = why.New(why.NoMatchingAdvertisement, "no BGP advertisement covers pool %q", pool)
	case len(st.candidates) == 0:
		c.reason = why.New(why.NoMatchingAdvertisement, "no advertisement covers pool %q", pool)
	case !any:
		c.reason = why.New(why.NoMatchingAdvertisement, "the advertisements of pool %q select other Services", pool)
	case !selects:
		c.reason = why.New(why.NoMatchingAdvertisement, "the advertisements of pool %q select other nodes than %s", pool, v.opt.Node)
	case st.nodeFit.Code != why.OK:
		c.reason = st.nodeFit
	case !peers:
		c.reason = why.New(why.NoPeers, "no BGP peer of pool %q selects node %s", pool, v.opt.Node)
	case len(c.offers) == 0:
		c.reason = why.New(why.NoPeers, "no usable BGP peer selects node %s", v.opt.Node)
	}
	return c
}

// clashFor returns the clash that keeps this node from announcing an address; nil:
// there is none.
func (c *choice) clashFor(a netip.Addr, node string) *clash {
	for _, k := range c.clashes {
		if _, here := slices.BinarySearch(k.nodes, node); here && k.length[family(a)] {
			return k
		}
	}
	return nil
}

// announcers returns the nodes that announce an address of the pool while every
// endpoint can serve.
func (c *choice) announcers(a netip.Addr) []string {
	nodes := c.nodes
	for _, k := range c.clashes {
		if k.length[family(a)] {
			nodes = slices.DeleteFunc(slices.Clone(nodes), func(n string) bool {
				_, clashes := slices.BinarySearch(k.nodes, n)
				return clashes
			})
		}
	}
	return nodes
}

// family is 0 for IPv4 and 1 for IPv6.
func family(a netip.Addr) int {
	if a.Is6() {
		return 1
	}
	return 0
}

// where names an object of the configuration, with the place where it is written.
func where(name, origin string) string {
	if origin == "" {
		return `"` + name + `"`
	}
	return `"` + name + `" (` + origin + ")"
}
