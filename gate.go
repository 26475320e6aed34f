package pharos

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	"github.com/pharoslb/pharos/why"
)

// Gate decides which configuration is in force: the newest one, unless it would
// take addresses away that are in use. Controller and speaker each have one, so
// that both decide by one rule, before and after a restart. A Gate is a plain
// value; its zero value has nothing in force.
//
//   - The ConfigMap's configuration (Config.Reassign false) is refused as a whole
//     while one of the addresses in use would be in no pool.
//   - With resources the controller goes ahead and gives the Services others; a
//     speaker waits for that, so that nothing is withdrawn before.
//   - No pools at all is no order to take every address away: such a
//     configuration is refused as long as addresses are in use.
//   - Nor is a pool that was never right since a start: what an earlier run gave
//     out of it, when it was, no controller gives others for at its start.
//   - At a start nothing is in force. A controller that refuses gives out nothing
//     new, and all stays as it is. A speaker would have every Service without
//     routes because of one: it takes the newest, with the same reason beside it,
//     and announces what that has a pool for.
//
// What is refused is looked at again with every Snapshot, at the cost of one
// look at the address that stands in the way.
type Gate struct {
	Config *Config    // in force; nil: none yet
	Reason why.Reason // why the newest is not in force as it is; OK where it is

	// Announces is set by a role that announces addresses, and does not give them
	// out.
	Announces bool

	accepted *Config    // as the Snapshot has it: equal to Config
	refused  *Config    // would orphan blocker
	begun    *Config    // accepted at a start, though it may orphan blocker
	blocker  use        // not valid: begun is yet to be judged
	orphans  why.Reason // what it stands for
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
	g.Reason = snap.Problem // of a still newer one, which cannot even be read
	switch next := snap.Config; {
	case next == nil || next == g.accepted:
		g.refused = nil
		if next == nil && g.Reason.Code == why.OK {
			g.Reason = why.Reason{Code: why.ConfigMissing}
		}
	case g.Config != nil && reflect.DeepEqual(next, g.Config):
		// Read anew and the same: what is in force stays, and with it all that was
		// made of it.
		if g.begun == g.accepted {
			g.begun = next
		}
		g.accepted, g.refused = next, nil
	case g.Announces && g.Config == nil:
		g.Config, g.accepted, g.begun = next, next, next
		changed = true
	case g.mayTake(next, snap, uses) || !g.blocked(next == g.refused, next, uses):
		g.Config, g.accepted, g.refused, g.begun = next, next, nil, nil
		changed = true
	default:
		g.refused = next
		g.Reason = cmp.Or(g.Reason, g.orphans)
	}
	if g.begun != nil && g.begun == snap.Config && snap.Synced {
		if g.blocked(g.blocker.addr.IsValid(), g.begun, uses) {
			g.Reason = cmp.Or(g.Reason, g.orphans)
		} else {
			g.begun = nil
		}
	}
	return changed
}

// mayTake reports whether a configuration may take addresses away.
func (g *Gate) mayTake(next *Config, snap *Snapshot, uses Uses) bool {
	return len(next.Pools) > 0 && next.Reassign && !g.Announces && (g.Config != nil || !leavesOut(next, snap, uses))
}

// leavesOut reports whether an address in use is of a pool that a configuration
// lacks because it is wrong as it is written now: until it is corrected, or deleted,
// nobody has said that its addresses are to go.
func leavesOut(next *Config, snap *Snapshot, uses Uses) bool {
	has := map[string]bool{}
	for i := range next.Pools {
		has[next.Pools[i].Name] = true
	}
	missing := map[string]bool{}
	legacy := false // whose pools have any name
	for _, p := range snap.Problems {
		missing[p.Object.Name] = missing[p.Object.Name] || p.Object.Kind == "IPAddressPool"
		legacy = legacy || p.Object.Kind == "ConfigMap" && !strings.HasPrefix(p.Field, "data.") && p.Reason.Code == why.ConfigInvalid
	}
	for addr, name := range uses.InUse() {
		svc, ok := snap.Services.Get(name)
		if ok && !has[svc.AllocatedFrom] && (legacy || missing[svc.AllocatedFrom]) && next.PoolOf(addr) == nil {
			return true
		}
	}
	return false
}

// blocked reports whether a configuration would take addresses away, and notes
// the first one. One that is judged again is blocked as long as that one is in
// use.
func (g *Gate) blocked(again bool, next *Config, uses Uses) bool {
	if again && uses.Uses(g.blocker.name, g.blocker.addr) {
		return true
	}
	g.blocker = use{}
	used := uses.InUse()
	orphans := next.Orphans(used)
	if len(orphans) == 0 {
		return false
	}
	for a, name := range used {
		if next.PoolOf(a) != nil {
			continue
		}
		if order := name.Compare(g.blocker.name); !g.blocker.addr.IsValid() || order < 0 || order == 0 && a.Less(g.blocker.addr) {
			g.blocker = use{a, name}
		}
	}
	g.orphans = orphans[0]
	if more := len(orphans) - 1; more > 0 {
		g.orphans.Detail += fmt.Sprintf(", and %d more", more)
	}
	g.orphans.Detail += "; delete the Service or keep the range"
	return true
}

// Refused returns the newest configuration if it would take addresses away, and
// otherwise nil.
func (g *Gate) Refused() *Config { return g.refused }

// Noted are the addresses in use as far as statuses tell: those that Services of
// a load balancer class show with a pool noted beside them, or that a pool of
// Config, which may be nil, has. Others may be anybody's.
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
	return svc.Type == LoadBalancer && svc.Class == n.Class &&
		(svc.AllocatedFrom != "" || n.Config != nil && n.Config.PoolOf(a) != nil)
}
