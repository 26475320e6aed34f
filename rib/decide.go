package rib

import (
	"cmp"
	"math"
	"slices"
)

// Policy is how a table decides.
type Policy struct {
	// MaxPaths and MaxPathsInternal are how many external and internal paths may
	// be used at once (maximum-paths, maximum-paths ibgp). Below 2: the best alone.
	MaxPaths, MaxPathsInternal int
	// Relax lets paths be used together whose AS_PATHs are only equally long
	// (bestpath as-path multipath-relax).
	Relax bool
	// CompareRouterID makes the router ID, not the age, break ties between external
	// paths (bestpath compare-routerid).
	CompareRouterID bool
	// AlwaysCompareMED compares MULTI_EXIT_DISC between paths of different neighboring
	// ASes, too (bestpath always-compare-med); MissingMEDWorst counts none as the
	// highest one, not the lowest (bestpath med missing-as-worst).
	AlwaysCompareMED, MissingMEDWorst bool
	// IgnoreGracefulShutdown takes the community GRACEFUL_SHUTDOWN for one like any
	// other. Unset, external paths that carry it have the local preference 0, so that
	// they are used no more while others are there (RFC 8326 §4.2; graceful-shutdown
	// aware).
	IgnoreGracefulShutdown bool
	// LinkBandwidth spreads packets over several paths in proportion to their link
	// bandwidth communities, where all of them carry one. Unset: equally.
	LinkBandwidth bool
}

// Verdict is what the decision came to for one path.
type Verdict struct {
	Best bool `json:"best,omitempty"`
	// Multipath says that the path is used besides the best one, or is the best of
	// several that are used.
	Multipath bool `json:"multipath,omitempty"`
	// Why the path is not the best; OK if it is.
	Why Reason `json:"why,omitempty"`
	// WhyNotUsed is why the path is not used besides the best one; OK if it is used.
	WhyNotUsed Reason `json:"whyNotUsed,omitempty"`
}

// Used says that packets take the path.
func (v Verdict) Used() bool { return v.Best || v.Multipath }

// Decide chooses among the paths to one prefix. It appends a Verdict for each
// path, in their order, to out, and changes nothing else.
//
// MED is compared only between paths of the same neighboring AS, so the paths are
// first grouped by it and each group sends its best (RFC 4271 §9.1.2.2 c): the
// outcome does not depend on the order of paths.
func Decide(policy Policy, paths []*Path, out []Verdict) []Verdict {
	start := len(out)
	best := -1
	var champions map[uint32]*Path
	for i, p := range paths {
		out = append(out, Verdict{Why: p.Fault, WhyNotUsed: p.Fault})
		if p.Fault != OK {
			continue
		}
		switch {
		case best < 0:
			best = i
		case champions != nil || p.Attrs.NeighborAS != paths[best].Attrs.NeighborAS:
			if champions == nil {
				champions = groups(policy, paths)
			}
		default:
			if c, _ := policy.compare(p, paths[best]); c < 0 {
				best = i
			}
		}
	}
	if best < 0 {
		return out
	}
	if champions != nil {
		best = -1
		for i, p := range paths {
			if p.Fault != OK || champions[p.Attrs.NeighborAS] != p {
				continue
			}
			if best < 0 {
				best = i
			} else if c, _ := policy.compare(p, paths[best]); c < 0 {
				best = i
			}
		}
	}
	verdicts := out[start:]
	verdicts[best].Best = true
	tied := make([]int, 0, 16)
	for i, p := range paths {
		if i == best || p.Fault != OK {
			continue
		}
		v := &verdicts[i]
		v.Why, v.WhyNotUsed = lost(policy, p, paths[best], champions), NotBestEnough
		if v.Why >= Newer {
			tied = append(tied, i)
		}
	}
	policy.multipath(paths, verdicts, best, tied)
	return out
}

// groups returns the best path of each neighboring AS.
func groups(policy Policy, paths []*Path) map[uint32]*Path {
	champions := make(map[uint32]*Path)
	for _, p := range paths {
		if p.Fault != OK {
			continue
		}
		champion := champions[p.Attrs.NeighborAS]
		if champion != nil {
			if c, _ := policy.compare(p, champion); c > 0 {
				continue
			}
		}
		champions[p.Attrs.NeighborAS] = p
	}
	return champions
}

// lost says at which step p lost to the best path, be it by way of the champion
// of its own group.
func lost(policy Policy, p, best *Path, champions map[uint32]*Path) Reason {
	if champion := champions[p.Attrs.NeighborAS]; champion != nil && champion != p && champion != best {
		if _, why := policy.compare(p, champion); why < Newer {
			return why
		}
	}
	_, why := policy.compare(p, best)
	return why
}

// multipath picks the paths used besides the best one from those that tie with it.
func (policy Policy) multipath(paths []*Path, verdicts []Verdict, best int, tied []int) {
	limit := policy.MaxPaths
	if paths[best].Source.Internal {
		limit = policy.MaxPathsInternal
	}
	slices.SortFunc(tied, func(i, j int) int {
		c, _ := policy.tieBreak(paths[i], paths[j])
		return c
	})
	used := append(make([]int, 0, 16), best)
	for _, i := range tied {
		p, v := paths[i], &verdicts[i]
		switch {
		case limit < 2:
			v.WhyNotUsed = MultipathOff
		case !policy.Relax && !p.Attrs.ASPath.Equal(paths[best].Attrs.ASPath):
			v.WhyNotUsed = ASPathDiffers
		case slices.ContainsFunc(used, func(u int) bool { return paths[u].NextHop == p.NextHop }):
			v.WhyNotUsed = NextHopInUse
		case len(used) >= limit:
			v.WhyNotUsed = MultipathFull
		default:
			v.Multipath, v.WhyNotUsed = true, OK
			used = append(used, i)
		}
	}
	verdicts[best].Multipath = len(used) > 1
}

// compare tells which of two usable paths is better, below zero for a, and at
// which step; b wins if it is zero.
func (policy Policy) compare(a, b *Path) (int, Reason) {
	x, y := a.Attrs, b.Attrs
	// RFC 9494 §4.3: least preferred, whatever else speaks for it.
	if a.longLived() != b.longLived() {
		return either(b.longLived()), LongLivedStale
	}
	if c := cmp.Compare(b.Weight, a.Weight); c != 0 {
		return c, Weight
	}
	if c := cmp.Compare(policy.localPref(b), policy.localPref(a)); c != 0 {
		worse := a
		if c < 0 {
			worse = b
		}
		if policy.leaving(worse) {
			return c, GracefulShutdown
		}
		return c, LocalPref
	}
	if a.Local != b.Local {
		return either(a.Local), LocallyOriginated
	}
	if c := cmp.Compare(x.PathLen, y.PathLen); c != 0 {
		return c, ASPathLength
	}
	if c := cmp.Compare(x.Origin, y.Origin); c != 0 {
		return c, Origin
	}
	if x.NeighborAS == y.NeighborAS || policy.AlwaysCompareMED {
		none := uint32(0) // RFC 4271 §9.1.2.2 c: no MED counts as the lowest one
		if policy.MissingMEDWorst {
			none = math.MaxUint32
		}
		if c := cmp.Compare(x.MED.Or(none), y.MED.Or(none)); c != 0 {
			return c, MED
		}
	}
	if a.Source.Internal != b.Source.Internal {
		return either(b.Source.Internal), Internal
	}
	if c := cmp.Compare(a.Metric, b.Metric); c != 0 {
		return c, Metric
	}
	return policy.tieBreak(a, b)
}

// tieBreak decides between paths that are equally good.
func (policy Policy) tieBreak(a, b *Path) (int, Reason) {
	if !a.Source.Internal && !policy.CompareRouterID {
		if c := cmp.Compare(a.Order, b.Order); c != 0 {
			return c, Newer
		}
	}
	if c := a.routerID().Compare(b.routerID()); c != 0 {
		return c, RouterID
	}
	if c := cmp.Compare(len(a.Attrs.ClusterList), len(b.Attrs.ClusterList)); c != 0 {
		return c, ClusterList
	}
	if c := a.Source.Addr.Compare(b.Source.Addr); c != 0 {
		return c, PeerAddress
	}
	return cmp.Compare(a.ID, b.ID), PathIdentifier
}

// leaving says that the path's origin asks not to be used any more (RFC 8326), or that we
// were told not to. In an internal session the former is for the router to say that has
// the external one, by LOCAL_PREF.
func (policy Policy) leaving(p *Path) bool {
	return p.Source.Draining || p.Attrs.leaving && !p.Source.Internal && !policy.IgnoreGracefulShutdown
}

// localPref is LOCAL_PREF as the decision counts it.
func (policy Policy) localPref(p *Path) uint32 {
	if policy.leaving(p) {
		return 0
	}
	return p.Attrs.LocalPref.Or(DefaultLocalPref)
}

func either(first bool) int {
	if first {
		return -1
	}
	return 1
}
