package speaker

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/election"
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
	// ForwardingLost says that the node began to carry traffic anew together with
	// the speaker, as after a reboot: peers that kept its routes are to drop them.
	ForwardingLost bool
	// DrainTime is how long routes are marked as the last resort before the speaker ends;
	// 0: not at all. NodeDrainTime is the same for a node that is being drained; 0 means
	// the constant DrainTime.
	DrainTime     time.Duration
	NodeDrainTime time.Duration
	// Policy is how layer 2 elections depart from MetalLB's rule. It applies while all
	// speakers that are alive have the same one.
	Policy election.Policy
	// FenceAfter is how long a node that has lost touch with most of the speakers goes
	// on answering for layer 2 addresses; 0: for ever.
	FenceAfter time.Duration
}

// View is what a configuration means on the nodes of a cluster, as one of them
// sees it: everything about an announcement that does not depend on the
// Service. It is immutable.
type View struct {
	opt      Options
	cfg      *pharos.Config
	sessions []session // of this node, those that must not be as well
	problems []why.Reason
	pools    map[string]*stock
	crowd    *crowd   // who takes part in elections; not nil
	phase    Phase    // of the own node's drain
	drains   []string // nodes that are being drained, sorted
}

// among returns the View as it is among others that are alive.
func (v *View) among(c *crowd) *View {
	out := *v
	out.crowd = c
	return &out
}

// at returns the View as it is in a phase of the own node's drain.
func (v *View) at(phase Phase) *View {
	out := *v
	out.phase = phase
	return &out
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
	v := &View{opt: opt, cfg: cfg, pools: map[string]*stock{}, crowd: everybody(opt.Node)}
	if self.Drain.Asked {
		v.phase = LastResort
	}
	for name, n := range nodes.All() {
		if n.Drain.Asked {
			v.drains = append(v.drains, name)
		}
	}
	slices.Sort(v.drains)
	if cfg == nil {
		return v
	}
	v.sessions, v.problems = sessions(opt, cfg, self)
	var all []*pharos.Node
	for _, n := range nodes.All() {
		if n.Name != self.Name {
			all = append(all, n)
		}
	}
	all = append(all, self)
	slices.SortFunc(all, func(a, b *pharos.Node) int { return strings.Compare(a.Name, b.Name) })
	for i := range cfg.Pools {
		name := cfg.Pools[i].Name
		v.pools[name] = v.stock(name, self, all)
	}
	return v
}

// fit says why a node announces nothing whatsoever; its code is OK where it may.
func (v *View) fit(n *pharos.Node) why.Reason {
	switch {
	case n.NetworkUnavailable:
		return why.New(why.NodeNetworkUnavailable, "node %s has condition NetworkUnavailable", n.Name)
	case n.Excluded() && !v.opt.IgnoreExcludeLabel:
		return why.New(why.NodeLabeledExcludeBalancers, "node %s has label %s", n.Name, pharos.ExcludeLabel)
	}
	return why.Reason{}
}

// peersOf returns the sessions of node n that an advertisement goes to. It
// applies to every node alike, so that each knows what the others do.
func (v *View) peersOf(a *pharos.Advertisement, n *pharos.Node) []string {
	var keys []string
	for i := range v.cfg.Peers {
		if p := &v.cfg.Peers[i]; goesTo(a, p, n) {
			keys = append(keys, sessionKey(p))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// reaches tells whether peersOf returns any.
func (v *View) reaches(a *pharos.Advertisement, n *pharos.Node) bool {
	return slices.ContainsFunc(v.cfg.Peers, func(p pharos.Peer) bool { return goesTo(a, &p, n) })
}

// goesTo tells whether an advertisement goes to a peer of node n.
func goesTo(a *pharos.Advertisement, p *pharos.Peer, n *pharos.Node) bool {
	return p.Refused.Code == why.OK && (len(a.Peers) == 0 || slices.Contains(a.Peers, p.Name)) && pharos.MatchesAny(p.NodeSelectors, n.Labels)
}

// usable tells whether the engine has a session of that key.
func (v *View) usable(key string) bool {
	return slices.ContainsFunc(v.sessions, func(s session) bool { return s.config.Name == key && s.refused.Code == why.OK })
}

// configs are the sessions that the engine is to have.
func (v *View) configs() []bgp.Config {
	list := make([]bgp.Config, 0, len(v.sessions))
	for i := range v.sessions {
		if s := &v.sessions[i]; s.refused.Code == why.OK {
			list = append(list, s.config)
		}
	}
	return list
}

// same reports whether both views decide everything alike among the same crowd.
func (v *View) same(other *View) bool {
	return other != nil && v.cfg == other.cfg && v.phase == other.phase && slices.Equal(v.drains, other.drains) && reflect.DeepEqual(v.sessions, other.sessions) &&
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
