package ipam

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/pharoslb/pharos/why"
)

// choose finds addresses of the families that a claim lacks and that it names no
// address of: what is reserved for it, or what a pool has that may serve it. One
// pool that has both families goes before two pools that have one each. The reason
// says what is still lacking.
func (a *Allocator) choose(c *claim, want families) ([]netip.Addr, why.Reason) {
	var missing, open []family
	var picked [2]netip.Addr // by family
	var blocked []string
	var beside *stock // has the other family
	if len(c.Addrs) > 0 {
		beside = a.pools.of(c.Addrs[0])
	}
	for _, f := range want.all {
		if slices.ContainsFunc(c.Addrs, func(has netip.Addr) bool { return familyOf(has) == f }) {
			continue
		}
		missing = append(missing, f)
		addr, ok := a.reservation(c, f)
		if !ok {
			open = append(open, f)
		} else if no := a.obstacle(c, addr, false); no.Code != why.OK {
			blocked = append(blocked, no.String()+", and reserved for this Service")
		} else {
			picked[f], beside = addr, a.pools.of(addr)
		}
	}
	candidates, none := a.candidates(c)
	if c.adopted && want.optional {
		// Whoever gave out the one address had no second in its pool, and was
		// content: a start is no reason to change a status. When something is
		// given back, other pools are tried as well.
		if candidates, none = nil, a.excluded(beside, c.Service); none == "" {
			candidates = []*stock{beside}
		}
	}
	a.pick(c, open, candidates, beside, &picked)

	var addrs []netip.Addr
	var lacking []family
	for _, f := range missing {
		if picked[f].IsValid() {
			addrs = append(addrs, picked[f])
		} else {
			lacking = append(lacking, f)
		}
	}
	switch {
	case len(lacking) == 0:
		return addrs, why.Reason{}
	case want.optional || len(c.Addrs) > 0:
	default:
		addrs = nil
		lacking = missing
	}
	if none == "" && len(open) > 0 {
		none = "no free " + families{lacking, want.optional}.String() + " address in " + list(candidates)
		for _, s := range candidates {
			if s.full(c.Service, s.taking(c.Service, addrs)) {
				none += "; " + s.exhausted(c.Service)
			} else if s.cooling > 0 {
				none += "; what was given back of " + s.String() + " cools down for " + s.coolDown().String()
			}
		}
	}
	reason := why.Reason{Code: why.AllocationFailed, Detail: strings.Join(blocked, "; ")}
	if len(open) > 0 {
		reason.Detail = strings.Join(append(blocked, none), "; ")
	}
	if has := append(slices.Clone(c.Addrs), addrs...); len(has) > 0 {
		reason.Detail += ", to go with " + has[0].String()
		if want.optional {
			reason.Code = why.AdditionalAssignFailed
		}
	}
	return addrs, reason
}

// pick takes an address of each of the families from the candidates, in their
// order, as far as they have them.
func (a *Allocator) pick(c *claim, open []family, candidates []*stock, beside *stock, picked *[2]netip.Addr) {
	if len(open) == 2 {
		for _, s := range candidates {
			first, ok := a.lowest(s, open[0], c, 0)
			if !ok {
				continue
			}
			if second, ok := a.lowest(s, open[1], c, s.taking(c.Service, []netip.Addr{first})); ok {
				picked[open[0]], picked[open[1]] = first, second
				return
			}
		}
	}
	if beside != nil && a.admits(beside, c.Service) && (c.Service.RequestedPool == "" || c.Service.RequestedPool == beside.pool.Name) {
		candidates = append([]*stock{beside}, candidates...)
	}
	pick := func(open ...family) (got [2]netip.Addr, all bool) {
		got, all = *picked, true
		for _, f := range open {
			all = slices.ContainsFunc(candidates, func(s *stock) (ok bool) {
				taking := 0
				if other := got[1-f]; other.IsValid() {
					taking = s.taking(c.Service, []netip.Addr{other})
				}
				got[f], ok = a.lowest(s, f, c, taking)
				return ok
			}) && all
		}
		return got, all
	}
	got, all := pick(open...)
	if !all && len(open) == 2 {
		// The first may have taken what the quota left of the only pool of the second.
		if other, all := pick(open[1], open[0]); all {
			got = other
		}
	}
	*picked = got
}

// reservation returns the address of a family that is reserved for a claim, and
// whether there is one where the claim wants it.
func (a *Allocator) reservation(c *claim, f family) (netip.Addr, bool) {
	for _, addr := range a.pools.reservedFor[c.Service.Name] {
		if familyOf(addr) == f && (c.Service.RequestedPool == "" || c.Service.RequestedPool == a.pools.of(addr).pool.Name) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// candidates returns the pools that may serve a claim which names no address, in
// the order in which they are tried, or says why there is none.
func (a *Allocator) candidates(c *claim) ([]*stock, string) {
	svc := c.Service
	if name := svc.RequestedPool; name != "" {
		s := a.pools.named(name)
		if s == nil {
			return nil, `there is no pool "` + name + `"` + a.pools.others()
		}
		if text := a.excluded(s, svc); text != "" {
			return nil, text
		}
		return []*stock{s}, ""
	}
	found := a.pools.open
	if len(a.pools.pinned) > 0 {
		found = nil
		for _, s := range a.pools.pinned {
			if a.admits(s, svc) {
				found = append(found, s)
			}
		}
		found = append(found, a.pools.open...)
	}
	switch {
	case len(found) > 0:
		return found, ""
	case len(a.pools.byName) == 0:
		return nil, "no pool is configured"
	case len(a.pools.pinned) == 0:
		return nil, "every pool has auto-assign off, and the Service names none"
	}
	return nil, "no pool is for this Service: " + a.excluded(a.pools.pinned[0], svc)
}
