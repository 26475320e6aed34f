package speaker

import (
	"hash/fnv"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// tell logs what a new plan changes, and records the event nodeAssigned where
// it is this node's turn. Either plan may be nil. A whole rebuild makes an event
// only of Services that were announced by nobody: a node that comes or goes
// would otherwise make one of every Service there is.
func (s *Speaker) tell(was, is *Plan, rebuild bool) {
	switch here, before := is != nil && is.Announced(), was != nil && was.Announced(); {
	case here && (!before || !sameAddresses(was, is)):
		s.log.Info("service announced", "service", is.Service, "addresses", addresses(is))
	case before && !here && is != nil:
		s.log.Info("service withdrawn", "service", is.Service, "reason", is.reason().Code, "detail", is.reason().String())
	case before && !here:
		s.log.Info("service withdrawn", "service", was.Service, "reason", "serviceDeleted")
	}
	if is == nil {
		return
	}
	s.tellSegment(was, is)
	if len(is.peered) == 0 || spokesman(is.Service, is.peered) != s.opt.Node {
		return
	}
	if was != nil && sameAddresses(was, is) && len(was.peered) > 0 && (rebuild || slices.Equal(was.peered, is.peered)) {
		return
	}
	s.recorder.Service(is.Service, announcement(is.peered, pharos.BGP))
}

// tellSegment records what only the owner of a layer 2 address can tell: that it
// announces it from now on, or that it should and can't.
func (s *Speaker) tellSegment(was, is *Plan) {
	_, here := is.over()
	if before := was != nil; here {
		if before {
			_, before = was.over()
		}
		if !before || !sameAddresses(was, is) {
			s.recorder.Service(is.Service, announcement([]string{s.opt.Node}, pharos.Layer2))
		}
	}
	for i := range is.Addresses {
		seg := is.Addresses[i].Layer2
		if seg == nil || seg.Owner != s.opt.Node || seg.Here || was != nil && was.says(seg.Reason) {
			continue
		}
		switch seg.Reason.Code {
		case why.Fenced, why.NodeDraining:
			continue // the node itself tells of it, once
		case why.DataPlaneAwaited, why.DataPlaneBehind:
			continue // as a rule it is over in milliseconds
		}
		s.recorder.Service(is.Service, seg.Reason)
		s.log.Warn("address is not announced on layer 2", "service", is.Service, "address", is.Addresses[i].Addr, "reason", seg.Reason.Code, "detail", seg.Reason.String())
	}
}

// says reports whether the plan gives that reason for an address on layer 2.
func (p *Plan) says(r why.Reason) bool {
	return slices.ContainsFunc(p.Addresses, func(a Address) bool { return a.Layer2 != nil && a.Layer2.Reason == r })
}

// announcement is the event's text, as MetalLB words it; it names a node each
// in an event of its own, we all of them in one.
func announcement(nodes []string, mode pharos.Mode) why.Reason {
	noun := "node"
	if len(nodes) > 1 {
		noun = "nodes"
	}
	return why.New(why.NodeAssigned, "announcing from %s %s with protocol %q", noun, names(nodes), mode)
}

func sameAddresses(a, b *Plan) bool {
	return slices.EqualFunc(a.Addresses, b.Addresses, func(a, b Address) bool { return a.Addr == b.Addr })
}

func addresses(p *Plan) []string {
	var list []string
	for _, a := range p.Addresses {
		if len(a.Routes) > 0 || a.here() {
			list = append(list, a.Addr.String())
		}
	}
	return list
}

// spokesman is the one node of several that speaks for all about a Service: the
// one of the highest rendezvous hash. All nodes agree on it without a word, and
// Services are spread over nodes.
func spokesman(svc pharos.Name, nodes []string) string {
	if len(nodes) == 1 {
		return nodes[0]
	}
	var best string
	var highest uint64
	for _, n := range nodes {
		h := fnv.New64a()
		for _, part := range []string{n, "#", svc.Namespace, "/", svc.Name} {
			h.Write([]byte(part))
		}
		if w := mix(h.Sum64()); best == "" || w > highest || w == highest && n < best {
			best, highest = n, w
		}
	}
	return best
}

// mix spreads what differs in a hash over all its bits, as the comparison of
// hashes looks at the high ones first (the finalizer of SplitMix64).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
