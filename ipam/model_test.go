package ipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// cluster is the model that the property test plays against: the Services with
// the statuses that were written, and all else that the Allocator was told. It
// judges by brute force.
type cluster struct {
	now        time.Time
	pools      []pharos.Pool
	namespaces map[string]*pharos.Namespace
	services   map[pharos.Name]*pharos.Service
	alloc      *Allocator

	had   map[pharos.Name][]netip.Addr // what each had at the last check
	users map[netip.Addr][]pharos.Name // the same by address
	// adopted are those found with addresses at the last restart: who has one of
	// two families need not get the other at once.
	adopted map[pharos.Name]bool

	freed map[netip.Addr]modelledRest  // since the last restart
	seen  map[pharos.Name][]netip.Addr // statuses before the last operation
	uids  map[pharos.Name]string       // of those in had
}

type modelledRest struct {
	since, until time.Time
	formers      []pharos.Name
}

// write puts outcomes into statuses, as the controller does; some are seen only
// later.
func (c *cluster) write(rng *rand.Rand, outcomes []Outcome) {
	for _, o := range outcomes {
		if rng.IntN(4) == 0 {
			continue
		}
		c.writeOne(o)
	}
}

func (c *cluster) writeOne(o Outcome) {
	s := *c.services[o.Service.Name]
	if slices.Equal(s.Ingress, o.Addrs) && s.AllocatedFrom == o.Pool {
		return
	}
	s.Ingress, s.AllocatedFrom = o.Addrs, o.Pool
	c.services[s.Name] = &s
	c.alloc.Update(c.now, []*pharos.Service{&s}, nil)
}

func (c *cluster) poolOf(a netip.Addr) *pharos.Pool {
	for i := range c.pools {
		if c.pools[i].Contains(a) {
			return &c.pools[i]
		}
	}
	return nil
}

func (c *cluster) reservedFor(a netip.Addr) []pharos.Name {
	var names []pharos.Name
	if p := c.poolOf(a); p != nil {
		for _, r := range p.Reservations {
			if r.Addr == a {
				names = append(names, r.Service)
			}
		}
	}
	return names
}

func (c *cluster) admits(p *pharos.Pool, s *pharos.Service) bool {
	var labels map[string]string
	if ns := c.namespaces[s.Name.Namespace]; ns != nil {
		labels = ns.Labels
	}
	return p.Allocation.Admits(s.Name.Namespace, labels, s.Labels)
}

// check holds the Allocator to its promises.
func (c *cluster) check() error {
	users, byName, uids := map[netip.Addr][]pharos.Name{}, map[pharos.Name][]netip.Addr{}, map[pharos.Name]string{}
	for n, s := range c.services {
		o, ok := c.alloc.Claim(n)
		if !ok || o.Service != s {
			return fmt.Errorf("%s: the claim is of %p, want %p", n, o.Service, s)
		}
		byName[n], uids[n] = o.Addrs, s.UID
		for _, a := range o.Addrs {
			users[a] = append(users[a], n)
		}
		if err := c.fits(s, o); err != nil {
			return fmt.Errorf("%s has %s: %w", n, render(o), err)
		}
	}
	for a, by := range users {
		for i, n := range by {
			for _, m := range by[:i] {
				if !mayShare(c.services[n], c.services[m]) {
					return fmt.Errorf("%s is given to %s and %s", a, n, m)
				}
			}
		}
	}
	c.passTime()
	if err := c.news(users, byName); err != nil {
		return err
	}
	if err := c.counts(users); err != nil {
		return err
	}
	for a, by := range c.users {
		if p := c.poolOf(a); len(users[a]) == 0 && p != nil {
			c.freed[a] = modelledRest{c.now, c.now.Add(p.CoolDown), by}
		}
	}
	for a := range users {
		delete(c.freed, a)
	}
	c.passTime()
	c.had, c.users, c.uids = byName, users, uids
	for n, s := range c.services {
		o, _ := c.alloc.Claim(n)
		if addrs, ok := c.available(s, o); ok {
			return fmt.Errorf("%s waits with %v (%s), but could have %v", n, o.Addrs, o.Reason, addrs)
		}
	}
	return nil
}

// fits judges what one Service has by itself.
func (c *cluster) fits(s *pharos.Service, o Outcome) error {
	if len(o.Addrs) > 2 || len(o.Addrs) == 2 && o.Addrs[0].Is4() == o.Addrs[1].Is4() {
		return fmt.Errorf("too many")
	}
	for i, a := range o.Addrs {
		p := c.poolOf(a)
		switch {
		case p == nil:
			return fmt.Errorf("%s is in no pool", a)
		case i == 0 && p.Name != o.Pool:
			return fmt.Errorf("%s is of %s", a, p.Name)
		case s.RequestedPool != "" && s.RequestedPool != p.Name:
			return fmt.Errorf("wants pool %s", s.RequestedPool)
		case !c.admits(p, s) && !slices.Contains(c.reservedFor(a), s.Name):
			return fmt.Errorf("pool %s is not for it", p.Name)
		case !slices.ContainsFunc(s.ClusterIPs, func(ip netip.Addr) bool { return ip.Is4() == a.Is4() }):
			return fmt.Errorf("the Service has no such family")
		}
	}
	if len(o.Addrs) > 0 && len(s.Requested) > 0 && !(subset(s.Requested, o.Addrs) && subset(o.Addrs, s.Requested)) {
		return fmt.Errorf("wants %v", s.Requested)
	}
	return nil
}

// news judges what Services have that they had not at the last check.
func (c *cluster) news(users map[netip.Addr][]pharos.Name, byName map[pharos.Name][]netip.Addr) error {
	type share struct{ namespace, pool string }
	gained := map[share]bool{}
	for n, addrs := range byName {
		s := c.services[n]
		var had []netip.Addr
		if c.uids[n] == s.UID {
			had = c.had[n]
		}
		for _, a := range addrs {
			if slices.Contains(had, a) || slices.Contains(c.seen[n], a) {
				continue
			}
			p := c.poolOf(a)
			if p == nil {
				return fmt.Errorf("%s is given %s, which is in no pool", n, a)
			}
			owners := c.reservedFor(a)
			own := slices.Contains(owners, n)
			if len(owners) > 0 && !own {
				return fmt.Errorf("%s is given %s, which is reserved for %v", n, a, owners)
			}
			if r, ok := c.resting(a); ok && r.until.After(c.now) && !slices.Contains(r.formers, n) {
				return fmt.Errorf("%s is given %s, which %v gave back", n, a, r.formers)
			}
			beside := slices.ContainsFunc(append(slices.Clone(had), c.seen[n]...), p.Contains)
			if p.ManualOnly && !own && !beside && s.RequestedPool != p.Name && len(s.Requested) == 0 &&
				!slices.ContainsFunc(addrs, func(o netip.Addr) bool { return o != a && p.Contains(o) && slices.Contains(c.reservedFor(o), n) }) {
				return fmt.Errorf("%s is given %s of %s, which it did not ask for", n, a, p.Name)
			}
			// Beside one of its namespace that kept it, an address costs nothing.
			before := slices.ContainsFunc(users[a], func(m pharos.Name) bool {
				return m != n && m.Namespace == n.Namespace && (slices.Contains(c.had[m], a) || slices.Contains(c.seen[m], a))
			})
			if !own && !before {
				gained[share{n.Namespace, p.Name}] = true
			}
		}
	}
	for i := range c.pools {
		p := &c.pools[i]
		for ns := range c.namespaces {
			most, limited := quotaOf(p, ns)
			ordinary := 0
			for a, by := range users {
				if p.Contains(a) && slices.ContainsFunc(by, func(n pharos.Name) bool {
					return n.Namespace == ns && !slices.Contains(c.reservedFor(a), n)
				}) {
					ordinary++
				}
			}
			if limited && ordinary > most && gained[share{ns, p.Name}] {
				return fmt.Errorf("namespace %s holds %d of %s, allowed are %d", ns, ordinary, p.Name, most)
			}
		}
	}
	return nil
}

func quotaOf(p *pharos.Pool, ns string) (int, bool) {
	n, ok := p.Quota[ns]
	if !ok {
		n, ok = p.Quota[pharos.AnyNamespace]
	}
	return n, ok
}

// resting returns who gave an address back since the last restart, if nobody
// had it since: at an earlier check, or in the operation that is being judged.
func (c *cluster) resting(a netip.Addr) (modelledRest, bool) {
	r, rests := c.freed[a]
	if !rests {
		r, rests = modelledRest{c.now, c.now.Add(c.poolOf(a).CoolDown), c.users[a]}, len(c.users[a]) > 0
	}
	// One who had it has it again, and others may share it then.
	again := slices.ContainsFunc(r.formers, func(n pharos.Name) bool {
		o, _ := c.alloc.Claim(n)
		return slices.Contains(o.Addrs, a)
	})
	return r, rests && !again
}

// passTime forgets what has cooled down.
func (c *cluster) passTime() {
	for a, r := range c.freed {
		for i := range c.pools { // one that leaves out the address now counts too
			if p := &c.pools[i]; slices.ContainsFunc(p.Ranges, func(r pharos.Range) bool { return r.Contains(a) }) {
				r.until = r.since.Add(p.CoolDown)
			}
		}
		if c.freed[a] = r; !r.until.After(c.now) {
			delete(c.freed, a)
		}
	}
}

func (c *cluster) counts(users map[netip.Addr][]pharos.Name) error {
	if held := c.alloc.InUse(); len(held) != len(users) {
		return fmt.Errorf("%d addresses are in use, Services have %d", len(held), len(users))
	}
	cooling := map[string]int{}
	for a := range c.alloc.cooling.at {
		if s := c.alloc.pools.of(a); s != nil {
			cooling[s.pool.Name]++
		}
	}
	for i, u := range c.alloc.Usage() {
		p := c.pools[i]
		if s := c.alloc.pools.named(p.Name); s.cooling != cooling[p.Name] {
			return fmt.Errorf("of %s %d are counted to cool down, %d do", p.Name, s.cooling, cooling[p.Name])
		}
		var want [2]int64
		services := map[pharos.Name]bool{}
		for a, by := range users {
			if p.Contains(a) {
				want[familyOf(a)]++
				for _, n := range by {
					services[n] = true
				}
			}
		}
		if u.Pool != p.Name || u.IPv4.Used != want[0] || u.IPv6.Used != want[1] || u.Services != len(services) {
			return fmt.Errorf("usage of %s is %+v, Services (%d) have %v", p.Name, u, len(services), want)
		}
		for _, n := range []Count{u.IPv4, u.IPv6} {
			if n.Total != n.Used+n.Reserved+n.Cooling+n.Free || n.Free < 0 {
				return fmt.Errorf("usage of %s does not add up: %+v", p.Name, n)
			}
		}
	}
	return nil
}

// available tells of a Service that waits what it could have: that nobody waits
// without need is meant so that there is nothing for it.
func (c *cluster) available(s *pharos.Service, o Outcome) ([]netip.Addr, bool) {
	if o.Reason.Code != why.AllocationFailed && o.Reason.Code != why.AdditionalAssignFailed {
		return nil, false
	}
	if c.adopted[s.Name] && len(o.Addrs) == 1 && !s.RequireDualStack {
		return nil, false
	}
	if len(s.Requested) > 0 {
		want, _ := familiesOf(s)
		ok := len(o.Addrs) == 0 && want.exactly(s.Requested) && !slices.ContainsFunc(s.Requested, func(a netip.Addr) bool {
			return !c.may(s, a)
		}) && c.affords(s, s.Requested)
		return s.Requested, ok
	}
	var sets [2][]netip.Addr
	for f := range sets {
		lacks := slices.ContainsFunc(s.ClusterIPs, func(a netip.Addr) bool { return familyOf(a) == family(f) }) &&
			!slices.ContainsFunc(o.Addrs, func(a netip.Addr) bool { return familyOf(a) == family(f) })
		if lacks {
			sets[f] = c.choices(s, family(f))
		}
	}
	if len(s.ClusterIPs) == 2 && s.RequireDualStack && len(o.Addrs) == 0 {
		for _, v4 := range sets[0] {
			for _, v6 := range sets[1] {
				if c.affords(s, []netip.Addr{v4, v6}) {
					return []netip.Addr{v4, v6}, true
				}
			}
		}
		return nil, false
	}
	for _, a := range append(sets[0], sets[1]...) {
		if c.affords(s, []netip.Addr{a}) {
			return []netip.Addr{a}, true
		}
	}
	return nil, false
}

// choices are all addresses of a family that a Service may be given without
// asking for one.
func (c *cluster) choices(s *pharos.Service, f family) []netip.Addr {
	var out, own []netip.Addr
	for i := range c.pools {
		p := &c.pools[i]
		if s.RequestedPool != "" && s.RequestedPool != p.Name {
			continue
		}
		for _, r := range p.Ranges {
			for a := r.First; r.Contains(a); a = a.Next() {
				if familyOf(a) != f || !p.Contains(a) {
					continue
				}
				if slices.Contains(c.reservedFor(a), s.Name) {
					own = append(own, a)
				} else if c.may(s, a) && (s.RequestedPool != "" || !p.ManualOnly) {
					out = append(out, a)
				}
			}
		}
	}
	if len(own) > 0 { // this one or none
		return slices.DeleteFunc(own[:1], func(a netip.Addr) bool { return !c.may(s, a) })
	}
	return out
}

// may reports whether a Service may have an address, quota aside.
func (c *cluster) may(s *pharos.Service, a netip.Addr) bool {
	p := c.poolOf(a)
	if p == nil || s.RequestedPool != "" && s.RequestedPool != p.Name {
		return false
	}
	owners := c.reservedFor(a)
	own := slices.Contains(owners, s.Name)
	if len(owners) > 0 && !own || !own && !c.admits(p, s) {
		return false
	}
	if r, cools := c.alloc.cooling.at[a]; cools && r.former != s.Name {
		return false
	}
	return !slices.ContainsFunc(c.users[a], func(n pharos.Name) bool { return !mayShare(s, c.services[n]) })
}

// affords reports whether the quota of a Service's namespace leaves room for the
// addresses.
func (c *cluster) affords(s *pharos.Service, addrs []netip.Addr) bool {
	for i := range c.pools {
		p := &c.pools[i]
		most, limited := quotaOf(p, s.Name.Namespace)
		ours := map[netip.Addr]bool{}
		for a, by := range c.users {
			if p.Contains(a) && slices.ContainsFunc(by, func(n pharos.Name) bool { return n.Namespace == s.Name.Namespace }) {
				ours[a] = true
			}
		}
		costs := false
		for _, a := range addrs {
			if p.Contains(a) && !ours[a] {
				ours[a] = true
				costs = costs || !slices.Contains(c.reservedFor(a), s.Name)
			}
		}
		if limited && costs && len(ours) > most {
			return false
		}
	}
	return true
}

func mayShare(s, o *pharos.Service) bool {
	if s.SharingKey == "" || s.SharingKey != o.SharingKey {
		return false
	}
	backend := func(s *pharos.Service) string {
		if s.ExternalLocal {
			return s.Selector
		}
		return ""
	}
	if backend(s) != backend(o) {
		return false
	}
	return !slices.ContainsFunc(s.Ports, func(p pharos.ServicePort) bool {
		return slices.ContainsFunc(o.Ports, func(q pharos.ServicePort) bool { return p.Protocol == q.Protocol && p.Port == q.Port })
	})
}
