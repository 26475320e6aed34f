package ipam

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/why"
)

// lowest returns the first address of a pool's line that the claim may have: it
// is free, or was the claim's own before it cooled down, or may be shared. The
// claim is about to take so many more of the pool.
func (a *Allocator) lowest(s *stock, f family, c *claim, taking int) (netip.Addr, bool) {
	l := &s.lines[f]
	if s.full(c.Service, taking) {
		return a.lowestOfNamespace(s, f, c)
	}
	best, ok := l.free(a.unavailable)
	for _, addr := range a.cooling.byService[c.Service.Name] {
		span := a.pools.span(addr)
		if span == nil || span.stock != s || familyOf(addr) != f || len(a.pools.reserved[addr]) > 0 || !s.pool.Contains(addr) {
			continue
		}
		if p := (place{span.index, addr}); !ok || p.compare(best) < 0 {
			best, ok = p, true
		}
	}
	if g := l.groups[c.key]; g != nil && c.key.sharing != "" {
		if shared, found := g.first(c, a.held); found && (!ok || shared.compare(best) < 0) {
			return shared.addr, true
		}
	}
	return best.addr, ok
}

// lowestOfNamespace returns the first address that the claim may share and that
// its namespace has already, so that it counts against no quota.
func (a *Allocator) lowestOfNamespace(s *stock, f family, c *claim) (netip.Addr, bool) {
	g := s.lines[f].groups[c.key]
	if g == nil || c.key.sharing == "" {
		return netip.Addr{}, false
	}
	var best place
	ok := false
	for addr := range s.usedBy[c.Service.Name.Namespace] {
		if p, in := g.members[addr]; in && a.held[addr].conflict(c) == "" && (!ok || p.compare(best) < 0) {
			best, ok = p, true
		}
	}
	return best.addr, ok
}

// unavailable reports whether an address is held, reserved or cooling down.
func (a *Allocator) unavailable(addr netip.Addr) bool {
	if a.held[addr] != nil || len(a.pools.reserved[addr]) > 0 {
		return true
	}
	_, cools := a.cooling.at[addr]
	return cools
}

// hold lets a claim have the addresses, of which it may hold some already. They
// have to be allowed.
func (a *Allocator) hold(c *claim, addrs []netip.Addr) {
	for _, addr := range addrs {
		h := a.held[addr]
		if h == nil {
			span := a.pools.span(addr)
			h = &holding{place: place{span.index, addr}, stock: span.stock}
			h.stock.lines[familyOf(addr)].used++
			a.held[addr] = h
			if a.wake(addr) && c.key.sharing != "" {
				a.reclaimed = true
			}
		}
		if slices.Contains(h.users, c) {
			continue
		}
		if !slices.ContainsFunc(c.Addrs, h.stock.pool.Contains) {
			h.stock.services++
		}
		c.Addrs = append(c.Addrs, addr)
		h.users = append(h.users, c)
		h.stock.use(c.Service.Name.Namespace, addr)
		if c.key.sharing != "" {
			a.share(c, h)
		}
	}
	a.describe(c)
}

// share lets a holding's further users find it.
func (a *Allocator) share(c *claim, h *holding) {
	if h.ports == nil {
		h.ports = map[port]*claim{}
	}
	for _, p := range c.ports {
		h.ports[p] = c
	}
	if len(h.users) > 1 || len(a.pools.reserved[h.addr]) > 0 {
		return
	}
	groups := h.stock.lines[familyOf(h.addr)].groups
	g := groups[c.key]
	if g == nil {
		g = &group{members: map[netip.Addr]place{}}
		g.forget()
		groups[c.key] = g
	}
	g.join(h.place)
}

// describe says what a claim holds.
func (a *Allocator) describe(c *claim) {
	c.Pool = a.held[c.Addrs[0]].stock.pool.Name
	text := ""
	for i, addr := range c.Addrs {
		if i > 0 {
			text += " and "
		}
		text += addr.String()
		if s := a.held[addr].stock; i+1 == len(c.Addrs) || a.held[c.Addrs[i+1]].stock != s {
			text += " from " + s.String()
		}
	}
	c.Reason = why.New(why.IPAllocated, "assigned %s", text)
	for _, addr := range c.Addrs {
		if owners := a.pools.reserved[addr]; len(owners) > 0 && !slices.Contains(owners, c.Service.Name) {
			c.Reason.Detail += fmt.Sprintf("; %s is reserved for %s, and this Service keeps it until it gives it up", addr, names(owners))
		}
	}
}

// release takes all that a claim holds.
func (a *Allocator) release(c *claim) {
	var of *stock
	for _, addr := range c.Addrs {
		h := a.held[addr]
		if h == nil {
			continue
		}
		i := slices.Index(h.users, c)
		if i < 0 {
			continue
		}
		h.users = slices.Delete(h.users, i, i+1)
		for _, p := range c.ports {
			if h.ports[p] == c {
				delete(h.ports, p)
			}
		}
		if len(h.users) == 0 {
			delete(a.held, addr)
		}
		s := h.stock
		if s != of {
			s.services--
			of = s
		}
		s.unuse(c.Service.Name.Namespace, addr)
		l := &s.lines[familyOf(addr)]
		if g := l.groups[c.key]; g != nil {
			if len(h.users) > 0 {
				g.reopen(h.place, c.ports)
			} else if delete(g.members, addr); len(g.members) == 0 {
				delete(l.groups, c.key)
			}
		}
		if len(h.users) == 0 {
			l.used--
			l.giveBack(h.place)
		}
	}
	c.Assignment = Assignment{}
}
