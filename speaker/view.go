package speaker

import (
	"reflect"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// Options are what makes one speaker differ from another.
type Options struct {
	// Node is the name of the node that the speaker runs on. Required.
	Node string
	// Class is the loadBalancerClass served; empty serves the Services that
	// name none.
	Class string
	// IgnoreExcludeLabel announces from nodes that carry pharos.ExcludeLabel
	// too.
	IgnoreExcludeLabel bool
}

// View is what a configuration means on the nodes of a cluster, as one of them
// sees it: everything about an announcement that does not depend on the
// Service. It is immutable.
type View struct {
	opt      Options
	cfg      *pharos.Config
	sessions []session // of this node
	problems []why.Reason
	pools    map[string]*stock
}

// stock is a pool as announced.
type stock struct {
	// reason says why this node announces none of the pool's addresses; its
	// code is OK where it does.
	reason why.Reason
	offers []*Offer // this node's; empty unless reason is OK
	nodes  []string // all that announce the pool's addresses, sorted
	layer2 bool     // the pool is meant for layer 2, perhaps besides BGP
}

// Offer is one advertisement as one node makes it. It is immutable, and shared
// by the routes of all addresses that it covers.
type Offer struct {
	Advertisement *pharos.Advertisement
	Peers         []string // keys of the node's sessions, sorted; not empty
}

// NewView works out what cfg means for node self, given all nodes of the
// cluster. A nil cfg is one that was never there.
func NewView(opt Options, cfg *pharos.Config, self *pharos.Node, nodes pharos.Map[string, *pharos.Node]) *View {
	v := &View{opt: opt, cfg: cfg, pools: map[string]*stock{}}
	if cfg == nil {
		return v
	}
	v.sessions, v.problems = sessions(cfg, self)
	usable := map[string]bool{}
	for _, s := range v.sessions {
		usable[s.config.Name] = true
	}
	for i := range cfg.Pools {
		name := cfg.Pools[i].Name
		st := &stock{}
		for _, a := range cfg.Advertisements {
			st.layer2 = st.layer2 || a.Mode == pharos.Layer2 && a.Covers(name)
		}
		st.offers, st.reason = v.offers(name, self)
		for _, offer := range st.offers {
			// What the engine can't be given, such as a second peer of the same
			// address, is left out here and told of in problems.
			offer.Peers = slices.DeleteFunc(offer.Peers, func(key string) bool { return !usable[key] })
		}
		st.offers = slices.DeleteFunc(st.offers, func(o *Offer) bool { return len(o.Peers) == 0 })
		if st.reason.Code == why.OK && len(st.offers) == 0 {
			st.reason = why.New(why.NoPeers, "no usable BGP peer selects node %s", self.Name)
		}
		for _, n := range nodes.All() {
			other := st.reason
			if n.Name != self.Name {
				_, other = v.offers(name, n)
			}
			if other.Code == why.OK {
				st.nodes = append(st.nodes, n.Name)
			}
		}
		slices.Sort(st.nodes)
		v.pools[name] = st
	}
	return v
}

// offers returns what a node announces a pool's addresses with, or why it does
// not. It applies to every node alike, so that each knows what the others do.
func (v *View) offers(pool string, n *pharos.Node) ([]*Offer, why.Reason) {
	var modes []pharos.Mode
	var selected []*pharos.Advertisement
	for i := range v.cfg.Advertisements {
		a := &v.cfg.Advertisements[i]
		if !a.Covers(pool) {
			continue
		}
		modes = append(modes, a.Mode)
		if a.Mode == pharos.BGP && a.Selects(pool, n.Labels) {
			selected = append(selected, a)
		}
	}
	switch {
	case len(modes) > 0 && !slices.Contains(modes, pharos.BGP):
		return nil, why.New(why.ProtocolUnsupported, "pool %q is to be announced by layer 2 alone, which this version does not do; give it protocol bgp", pool)
	case len(modes) == 0:
		return nil, why.New(why.NoMatchingAdvertisement, "no advertisement covers pool %q", pool)
	case len(selected) == 0:
		return nil, why.New(why.NoMatchingAdvertisement, "the advertisements of pool %q select other nodes than %s", pool, n.Name)
	case n.NetworkUnavailable:
		return nil, why.New(why.NodeNetworkUnavailable, "node %s has condition NetworkUnavailable", n.Name)
	case n.Excluded() && !v.opt.IgnoreExcludeLabel:
		return nil, why.New(why.NodeLabeledExcludeBalancers, "node %s has label %s", n.Name, pharos.ExcludeLabel)
	}
	var offers []*Offer
	for _, a := range selected {
		if peers := v.peersOf(a, n); len(peers) > 0 {
			offers = append(offers, &Offer{Advertisement: a, Peers: peers})
		}
	}
	if len(offers) == 0 {
		return nil, why.New(why.NoPeers, "no BGP peer of pool %q selects node %s", pool, n.Name)
	}
	return offers, why.Reason{}
}

// peersOf returns the sessions of node n that an advertisement goes to.
func (v *View) peersOf(a *pharos.Advertisement, n *pharos.Node) []string {
	var keys []string
	for i := range v.cfg.Peers {
		p := &v.cfg.Peers[i]
		if (len(a.Peers) == 0 || slices.Contains(a.Peers, p.Name)) && pharos.MatchesAny(p.NodeSelectors, n.Labels) {
			keys = append(keys, sessionKey(p))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// same reports whether both views decide everything alike.
func (v *View) same(other *View) bool {
	return other != nil && v.cfg == other.cfg && reflect.DeepEqual(v.sessions, other.sessions) &&
		slices.Equal(v.problems, other.problems) && reflect.DeepEqual(v.pools, other.pools)
}

// names lists node names for people: quoted, and not without end.
func names(nodes []string) string {
	const most = 16
	var b strings.Builder
	for i, n := range nodes {
		if i == most {
			b.WriteString(" and others")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(`"` + n + `"`)
	}
	return b.String()
}
