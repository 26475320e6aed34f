package pharos

import (
	"net/netip"
	"reflect"

	"github.com/pharoslb/pharos/why"
)

// Gate decides which configuration is in force: the newest one, unless it would
// take addresses away that are in use. Controller and speaker each have one, so
// that both decide by one rule. A Gate is a plain value; its zero value has
// nothing in force.
//
//   - The ConfigMap's configuration (Config.Reassign false) is refused as a whole
//     while one of the addresses in use would be in no pool.
//   - With resources the controller goes ahead and gives the Services others; a
//     speaker waits for that, so that nothing is withdrawn before.
//   - No pools at all is no order to take every address away: such a
//     configuration is refused as long as addresses are in use.
//   - At a start nothing is in force that could be kept, so the newest
//     configuration is taken, unless it has no pools. What then has an address of
//     no pool is for package ipam to keep.
//
// What is refused is looked at again with every Snapshot, at the cost of one
// look at the address that stands in the way.
type Gate struct {
	Config *Config    // in force; nil: none yet
	Reason why.Reason // why the newest is not in force; OK where it is

	// Waits says that addresses have to be given up before their pool goes even
	// where they are given anew: it is set by who announces them.
	Waits bool

	accepted *Config // as the Snapshot has it: equal to Config
	refused  *Config // would orphan blocker
	blocker  use
}

// Uses are the addresses in use, as a role knows them.
type Uses interface {
	// InUse returns every address in use with one Service that has it.
	InUse() map[netip.Addr]Name
	// Uses reports whether the Service has the address.
	Uses(name Name, addr netip.Addr) bool
}

type use struct {
	addr netip.Addr
	name Name
}

// Step works a Snapshot in, and reports whether another configuration is in
// force now.
func (g *Gate) Step(snap *Snapshot, uses Uses) (changed bool) {
	switch next := snap.Config; {
	case next == nil || next == g.accepted:
		g.refused = nil
		g.Reason = snap.Problem
		if next == nil && g.Reason.Code == why.OK {
			g.Reason = why.Reason{Code: why.ConfigMissing}
		}
	case g.Config != nil && reflect.DeepEqual(next, g.Config):
		// Read anew and the same: what is in force stays, and with it all that was
		// made of it.
		g.accepted, g.refused, g.Reason = next, nil, snap.Problem
	case next == g.refused && uses.Uses(g.blocker.name, g.blocker.addr):
		if snap.Problem.Code != why.OK { // a still newer one cannot even be read
			g.Reason = snap.Problem
		}
	default:
		if orphans := g.orphans(next, uses); len(orphans) > 0 {
			g.refused = next
			g.Reason = orphans[0]
			if more := len(orphans) - 1; more > 0 {
				g.Reason = why.New(why.ConfigOrphans, "%s, and %d more", orphans[0], more)
			}
			g.Reason.Detail += "; delete the Service or keep the range"
			if snap.Problem.Code != why.OK {
				g.Reason = snap.Problem
			}
			return false
		}
		g.Config, g.accepted, g.refused, g.Reason = next, next, nil, snap.Problem
		return true
	}
	return false
}

// Refused returns the newest configuration if it would take addresses away, and
// otherwise nil.
func (g *Gate) Refused() *Config { return g.refused }

// orphans tells what stands in the way of a configuration, and notes the first
// of it.
func (g *Gate) orphans(next *Config, uses Uses) []why.Reason {
	if len(next.Pools) > 0 && (g.Config == nil || next.Reassign && !g.Waits) {
		return nil
	}
	used := uses.InUse()
	orphans := next.Orphans(used)
	if len(orphans) == 0 {
		return nil
	}
	g.blocker = use{}
	for a, name := range used {
		if next.PoolOf(a) != nil {
			continue
		}
		if order := name.Compare(g.blocker.name); !g.blocker.addr.IsValid() || order < 0 || order == 0 && a.Less(g.blocker.addr) {
			g.blocker = use{a, name}
		}
	}
	return orphans
}

// Noted are the addresses in use as far as statuses tell: those that Services of
// a load balancer class show, and that a pool of Config has. Where Config is nil
// an address counts where the pool that it was taken from is noted beside it: it
// may be anybody's otherwise.
type Noted struct {
	Services Map[Name, *Service]
	Class    string
	Config   *Config
}

// InUse returns every address in use with the first Service by name that has it.
func (n Noted) InUse() map[netip.Addr]Name {
	used := map[netip.Addr]Name{}
	for name, svc := range n.Services.All() {
		for _, a := range svc.Ingress {
			if !n.counts(svc, a) {
				continue
			}
			if other, ok := used[a]; !ok || name.Compare(other) < 0 {
				used[a] = name
			}
		}
	}
	return used
}

// Uses reports whether the Service has the address.
func (n Noted) Uses(name Name, addr netip.Addr) bool {
	svc, ok := n.Services.Get(name)
	if !ok {
		return false
	}
	for _, a := range svc.Ingress {
		if a == addr {
			return n.counts(svc, a)
		}
	}
	return false
}

func (n Noted) counts(svc *Service, a netip.Addr) bool {
	switch {
	case svc.Type != LoadBalancer || svc.Class != n.Class:
		return false
	case n.Config == nil:
		return svc.AllocatedFrom != ""
	}
	return n.Config.PoolOf(a) != nil
}
