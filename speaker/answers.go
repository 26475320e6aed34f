package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/why"
)

// answers are the addresses that this node answers for: its own, and those that it
// hands over. It is plain data; its caller brings the clock.
type answers struct {
	own  map[netip.Addr]map[pharos.Name][]string // which interfaces each Service's plan allows
	late map[netip.Addr]handover
	// claimant returns the node that has been heard to announce an address already.
	claimant func(netip.Addr) string
	// changed says that list has another answer than when it was asked last.
	changed bool
	went    []netip.Addr // that came here or went since moved was called last
}

// handover is an address that another node announces from now on: it is answered for
// until that node is heard to announce it, or time is up.
type handover struct {
	interfaces map[pharos.Name][]string
	to         string
	until      time.Time
}

func newAnswers(claimant func(netip.Addr) string) *answers {
	return &answers{claimant: claimant, own: map[netip.Addr]map[pharos.Name][]string{}, late: map[netip.Addr]handover{}}
}

// replace counts a Service's old plan out and its new one in; either may be nil. What
// another node is to announce that is alive is handed over until then.
func (a *answers) replace(was, is *Plan, until time.Time) {
	if is != nil {
		for i := range is.Addresses {
			if ad := &is.Addresses[i]; ad.here() {
				a.add(ad.Addr, is.Service, ad.Layer2.Interfaces)
			}
		}
	}
	if was == nil {
		return
	}
	for i := range was.Addresses {
		ad := &was.Addresses[i]
		if !ad.here() || is != nil && is.answers(ad.Addr) {
			continue
		}
		to := ""
		if is != nil {
			to = is.owner(ad.Addr)
		}
		a.remove(ad.Addr, was.Service, to, until)
	}
}

// answers reports whether the plan has this node announce an address on layer 2.
func (p *Plan) answers(addr netip.Addr) bool {
	return slices.ContainsFunc(p.Addresses, func(a Address) bool { return a.Addr == addr && a.here() })
}

// owner returns the other node that announces an address on layer 2 by the plan; empty:
// none does.
func (p *Plan) owner(addr netip.Addr) string {
	for i := range p.Addresses {
		if a := &p.Addresses[i]; a.Addr == addr && a.Layer2 != nil && a.Layer2.Reason.Code == why.NotOwner {
			return a.Layer2.Owner
		}
	}
	return ""
}

func (a *answers) add(addr netip.Addr, svc pharos.Name, interfaces []string) {
	claims := a.own[addr]
	if claims == nil {
		claims = map[pharos.Name][]string{}
		a.own[addr] = claims
		a.went = append(a.went, addr)
		a.changed = true
	}
	if had, ok := claims[svc]; !ok || !slices.Equal(had, interfaces) {
		claims[svc] = interfaces
		a.changed = true
	}
	delete(a.late, addr)
}

func (a *answers) remove(addr netip.Addr, svc pharos.Name, to string, until time.Time) {
	claims := a.own[addr]
	if len(claims) == 1 {
		if _, ok := claims[svc]; ok && to != "" && a.claimant(addr) != to {
			a.late[addr] = handover{interfaces: maps.Clone(claims), to: to, until: until}
		}
	}
	delete(claims, svc)
	if len(claims) == 0 {
		delete(a.own, addr)
		a.went = append(a.went, addr)
	}
	a.changed = true
}

// moved returns the addresses that came here or went since it was called last.
func (a *answers) moved() []netip.Addr {
	list := a.went
	a.went = nil
	return list
}

// taken says that another node has been heard to announce an address.
func (a *answers) taken(addr netip.Addr) {
	if _, ok := a.late[addr]; ok {
		delete(a.late, addr)
		a.changed = true
	}
}

// expire ends the handovers whose time is up.
func (a *answers) expire(now time.Time) {
	for addr, h := range a.late {
		if !now.Before(h.until) {
			delete(a.late, addr)
			a.changed = true
		}
	}
}

// hasten ends the handovers by then at the latest.
func (a *answers) hasten(until time.Time) {
	for addr, h := range a.late {
		if until.Before(h.until) {
			h.until = until
			a.late[addr] = h
		}
	}
}

// deadline is when expire has to be called; zero: never.
func (a *answers) deadline() time.Time {
	var next time.Time
	for _, h := range a.late {
		if next.IsZero() || h.until.Before(next) {
			next = h.until
		}
	}
	return next
}

// addresses are those that are answered for.
func (a *answers) addresses() map[netip.Addr]bool {
	out := make(map[netip.Addr]bool, len(a.own)+len(a.late))
	for addr := range a.own {
		out[addr] = true
	}
	for addr := range a.late {
		out[addr] = true
	}
	return out
}

// list is what the Announcer is to announce.
func (a *answers) list() []layer2.Announcement {
	a.changed = false
	out := make([]layer2.Announcement, 0, len(a.own)+len(a.late))
	mention := func(addr netip.Addr, claims map[pharos.Name][]string) {
		for _, interfaces := range claims {
			out = append(out, layer2.Announcement{Addr: addr, Interfaces: interfaces})
		}
	}
	for addr, claims := range a.own {
		mention(addr, claims)
	}
	for addr, h := range a.late {
		mention(addr, h.interfaces)
	}
	slices.SortFunc(out, func(a, b layer2.Announcement) int { return a.Addr.Compare(b.Addr) })
	return out
}
