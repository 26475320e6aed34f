package ipam

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// keep lets a claim have what its Service's status says, or what it had, as far
// as that is allowed. The status goes first: where it differs, somebody else gave
// that address out, and clients may use it already.
func (a *Allocator) keep(c *claim, had []netip.Addr) {
	wishes := [][]netip.Addr{had}
	if !subset(c.Service.Ingress, had) {
		wishes = [][]netip.Addr{c.Service.Ingress, had}
	}
	for _, wish := range wishes {
		if len(wish) == 0 {
			continue
		}
		kept, refusal := a.keepable(c, wish)
		if refusal.Code != why.OK && c.Lost.Code == why.OK {
			lost := slices.DeleteFunc(slices.Clone(wish), func(addr netip.Addr) bool { return slices.Contains(kept, addr) })
			code := why.ClearAssignment
			if refusal.Code == why.NoLBIPFamilies {
				code = refusal.Code
			}
			c.Lost = why.New(code, "%s is taken back: %s", join(lost), refusal)
		}
		if len(kept) > 0 {
			a.hold(c, kept)
			c.adopted = len(had) == 0
			return
		}
	}
}

// keepable returns which of the addresses the claim may have further on, and why
// not the first of those that it may not. Requested addresses are kept all or
// none.
func (a *Allocator) keepable(c *claim, wish []netip.Addr) (kept []netip.Addr, refusal why.Reason) {
	svc := c.Service
	want, refusal := familiesOf(svc)
	if refusal.Code != why.OK {
		return nil, refusal
	}
	if len(svc.Requested) > 0 && !(len(wish) == len(svc.Requested) && subset(wish, svc.Requested)) {
		return nil, why.New(why.AllocationFailed, "%s is requested", join(svc.Requested))
	}
	for _, addr := range wish {
		var no why.Reason
		switch other := slices.IndexFunc(kept, func(k netip.Addr) bool { return familyOf(k) == familyOf(addr) }); {
		case !slices.Contains(want.all, familyOf(addr)):
			no = misfit([]netip.Addr{addr}, want)
		case other >= 0:
			no = why.New(why.NoLBIPFamilies, "the Service has %s already, and one address of a family is all it may have", kept[other])
		default:
			no = a.obstacle(c, addr, true)
		}
		if no.Code == why.OK {
			kept = append(kept, addr)
			continue
		}
		if len(svc.Requested) > 0 {
			return nil, no
		}
		if refusal.Code == why.OK {
			refusal = no
		}
	}
	return kept, refusal
}

// obstacle says why a claim may not have an address, be it given or, with
// keeping, kept. What the claim holds itself is released before.
//
// A reservation admits the Service that it names, whatever Services the pool is
// otherwise for. It takes nothing away from who has the address already.
func (a *Allocator) obstacle(c *claim, addr netip.Addr, keeping bool) why.Reason {
	svc := c.Service
	refuse := func(format string, args ...any) why.Reason { return why.New(why.AllocationFailed, format, args...) }
	s := a.pools.of(addr)
	switch {
	case s == nil:
		return refuse("%s is in no pool", addr)
	case s.pool.AvoidBuggyIPs && pharos.Buggy(addr):
		return refuse("%s leaves out addresses that end in .0 or .255, as %s does", s, addr)
	case svc.RequestedPool != "" && svc.RequestedPool != s.pool.Name:
		return refuse("%s is in %s, not in %s as requested", addr, s, svc.RequestedPool)
	}
	owners := a.pools.reserved[addr]
	own := slices.Contains(owners, svc.Name)
	if !own {
		if len(owners) > 0 && !keeping {
			return refuse("%s is reserved for %s", addr, names(owners))
		}
		if text := a.excluded(s, svc); text != "" {
			return refuse("%s", text)
		}
	}
	if h := a.held[addr]; h != nil {
		if conflict := h.conflict(c); conflict != "" {
			return refuse("%s is in use by %s", addr, conflict)
		}
	}
	if r, ok := a.cooling.at[addr]; ok && r.former != svc.Name {
		return refuse("%s cools down: %s gave it back, and nobody else gets it before %s", addr, r.former, r.until.UTC().Format("2006-01-02 15:04:05 MST"))
	}
	return why.Reason{}
}

// admitted reports whether the pools of all that a claim holds are for the
// Service, which may differ from the claim's by its labels.
func (a *Allocator) admitted(c *claim, svc *pharos.Service) bool {
	for _, addr := range c.Addrs {
		s := a.pools.of(addr)
		if !slices.Contains(a.pools.reserved[addr], svc.Name) && !a.admits(s, svc) {
			return false
		}
	}
	return true
}

func (a *Allocator) admits(s *stock, svc *pharos.Service) bool {
	return s.pool.Allocation.Admits(svc.Name.Namespace, a.namespaces[svc.Name.Namespace], svc.Labels)
}

// excluded says why a pool is not for a Service, or "".
func (a *Allocator) excluded(s *stock, svc *pharos.Service) string {
	if a.admits(s, svc) {
		return ""
	}
	only := s.pool.Allocation
	namespace := pharos.Allocation{Namespaces: only.Namespaces, NamespaceSelectors: only.NamespaceSelectors}
	if !namespace.Admits(svc.Name.Namespace, a.namespaces[svc.Name.Namespace], nil) {
		groups := slices.Clone(only.Namespaces)
		for _, sel := range only.NamespaceSelectors {
			groups = append(groups, fmt.Sprintf("those labeled %q", sel))
		}
		return fmt.Sprintf("%s is for other namespaces than %s: %s", s, svc.Name.Namespace, few(groups))
	}
	var groups []string
	for _, sel := range only.ServiceSelectors {
		groups = append(groups, fmt.Sprintf("%q", sel))
	}
	return fmt.Sprintf("%s is for Services with other labels: %s", s, few(groups))
}
