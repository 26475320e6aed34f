package controller

import (
	"net/netip"
	"reflect"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// inUse returns the addresses that Services have of us. Before any
// configuration is in force, that is what an earlier run noted in statuses; an
// address without its pool beside it may be anybody's.
func (c *core) inUse(snap *pharos.Snapshot) map[netip.Addr]pharos.Name {
	if c.config != nil {
		return c.alloc.InUse()
	}
	used := map[netip.Addr]pharos.Name{}
	for name, svc := range snap.Services.All() {
		if !c.serves(svc) || svc.AllocatedFrom == "" {
			continue
		}
		for _, a := range svc.Ingress {
			if other, ok := used[a]; !ok || name.Compare(other) < 0 {
				used[a] = name
			}
		}
	}
	return used
}

// gate decides which configuration is in force, and reports whether that is
// another one now.
func (c *core) gate(snap *pharos.Snapshot, fx *effects) bool {
	was := c.reason
	changed := false
	candidate := snap.Config
	switch {
	case candidate == nil || candidate == c.accepted:
		c.refused = nil
		c.reason = snap.Problem
		if candidate == nil && c.reason.Code == why.OK {
			c.reason = why.Reason{Code: why.ConfigMissing}
		}
	case c.config != nil && reflect.DeepEqual(candidate, c.config):
		c.accepted, c.refused, c.reason = candidate, nil, snap.Problem
	case candidate == c.refused && c.blocked():
		if snap.Problem.Code != why.OK { // a still newer one cannot even be read
			c.reason = snap.Problem
		}
	default:
		used := c.inUse(snap)
		if orphans := candidate.Orphans(used); len(orphans) > 0 {
			c.refused, c.blocker = candidate, firstOrphan(candidate, used)
			c.reason = orphans[0]
			if more := len(orphans) - 1; more > 0 {
				c.reason = why.New(why.ConfigOrphans, "%s, and %d more", orphans[0], more)
			}
			if snap.Problem.Code != why.OK {
				c.reason = snap.Problem
			}
			break
		}
		changed = true
		c.updates++
		if c.config != nil || c.reason.Code != why.OK {
			fx.events = append(fx.events, event{reason: why.New(why.ConfigLoaded, "in force: %d pools, %d peers", len(candidate.Pools), len(candidate.Peers))})
		}
		c.config, c.accepted, c.refused, c.reason = candidate, candidate, nil, snap.Problem
	}
	if c.reason != was && c.reason.Code != why.OK {
		c.errors++
		fx.events = append(fx.events, event{reason: c.reason})
	}
	return changed
}

// blocked reports whether the refused configuration would still orphan the
// address that it was refused for: it spares looking at all addresses in use.
func (c *core) blocked() bool {
	if c.config == nil {
		return false
	}
	_, held := c.alloc.Holder(c.blocker)
	return held
}

// firstOrphan is the address that Config.Orphans names first.
func firstOrphan(config *pharos.Config, used map[netip.Addr]pharos.Name) netip.Addr {
	var first netip.Addr
	for a, name := range used {
		if config.PoolOf(a) != nil {
			continue
		}
		if order := name.Compare(used[first]); !first.IsValid() || order < 0 || order == 0 && a.Compare(first) < 0 {
			first = a
		}
	}
	return first
}
