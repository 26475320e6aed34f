package ipam

import (
	"net/netip"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// family is an IP version.
type family uint8

const (
	ipv4 family = iota
	ipv6
)

// String returns IPv4 or IPv6.
func (f family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// families are what a Service wants addresses of, the primary one first.
type families struct {
	all      []family
	optional bool // the first that can be had is enough
}

// familiesOf reads the families off the cluster IPs: the API server has settled
// them there.
func familiesOf(svc *pharos.Service) (families, why.Reason) {
	var f families
	for _, a := range svc.ClusterIPs {
		if len(f.all) == 0 || f.all[0] != familyOf(a) && len(f.all) == 1 {
			f.all = append(f.all, familyOf(a))
		}
	}
	switch {
	case len(f.all) == 0:
		return f, why.Reason{Code: why.NoClusterIPs}
	case svc.RequireDualStack && len(f.all) < 2:
		return f, why.New(why.NotEnoughClusterIPs, "ipFamilyPolicy RequireDualStack, but the only cluster IP is %s", svc.ClusterIPs[0])
	}
	f.optional = len(f.all) == 2 && !svc.RequireDualStack
	return f, why.Reason{}
}

func (f families) String() string {
	if len(f.all) == 1 {
		return f.all[0].String()
	}
	if f.optional {
		return "IPv4 or IPv6"
	}
	return "IPv4 and IPv6"
}

// allowed tells which pool lets a claim have just these addresses, or why none
// does. What the claim holds itself is released before.
func (a *Allocator) allowed(c *claim, addrs []netip.Addr) (*stock, why.Reason) {
	refuse := func(format string, args ...any) (*stock, why.Reason) {
		return nil, why.New(why.AllocationFailed, format, args...)
	}
	svc := c.Service
	want, refusal := familiesOf(svc)
	if refusal.Code != why.OK {
		return nil, refusal
	}
	if len(svc.Requested) > 0 && !(len(addrs) == len(svc.Requested) && subset(addrs, svc.Requested)) {
		return refuse("%s is requested", join(svc.Requested))
	}
	// Requested addresses fit the families exactly; for what is kept, one of two
	// may do.
	exact := !want.optional || len(svc.Requested) > 0
	if len(addrs) > len(want.all) || exact && len(addrs) < len(want.all) || len(addrs) == 2 && familyOf(addrs[0]) == familyOf(addrs[1]) {
		return refuse("%s does not fit the Service's families, %s", join(addrs), want)
	}
	for _, addr := range addrs {
		if len(want.all) == 1 && familyOf(addr) != want.all[0] {
			return refuse("%s does not fit the Service's families, %s", addr, want)
		}
	}
	var from *stock
	for _, addr := range addrs {
		s := a.pools.of(addr)
		switch {
		case s == nil:
			return refuse("%s is in no pool", addr)
		case s.pool.AvoidBuggyIPs && pharos.Buggy(addr):
			return refuse("%s leaves out addresses that end in .0 or .255, as %s does", s, addr)
		case from != nil && from != s:
			return refuse("%s are of two pools, %s and %s", join(addrs), from.pool.Name, s.pool.Name)
		case svc.RequestedPool != "" && svc.RequestedPool != s.pool.Name:
			return refuse("%s is in %s, not in %s as requested", addr, s, svc.RequestedPool)
		}
		if h := a.held[addr]; h != nil {
			if conflict := h.conflict(c); conflict != "" {
				return refuse("%s is in use by %s", addr, conflict)
			}
		}
		from = s
	}
	return from, why.Reason{}
}

// choose finds addresses for a claim that names none: in the pool that it names,
// or in the first that has some.
func (a *Allocator) choose(c *claim, want families) (*stock, []netip.Addr, why.Reason) {
	candidates := a.pools.byName
	if name := c.Service.RequestedPool; name != "" {
		s := a.pools.named(name)
		if s == nil {
			return nil, nil, why.New(why.AllocationFailed, "there is no pool %q%s", name, a.pools.others())
		}
		candidates = []*stock{s}
	} else if candidates = a.pools.auto; len(candidates) == 0 {
		if len(a.pools.byName) == 0 {
			return nil, nil, why.New(why.AllocationFailed, "no pool is configured")
		}
		return nil, nil, why.New(why.AllocationFailed, "every pool has auto-assign off, and the Service names none")
	}
	sets := [][]family{want.all}
	if want.optional {
		sets = append(sets, want.all[:1], want.all[1:])
	}
	for _, set := range sets {
		for _, s := range candidates {
			addrs := make([]netip.Addr, 0, len(set))
			for _, f := range set {
				if addr, ok := a.lowest(s, f, c); ok {
					addrs = append(addrs, addr)
				}
			}
			if len(addrs) == len(set) {
				return s, addrs, why.Reason{}
			}
		}
	}
	return nil, nil, why.New(why.AllocationFailed, "no free %s address in %s", want, list(candidates))
}

// list names pools for a message, the first few.
func list(pools []*stock) string {
	const most = 5
	var names []string
	for _, s := range pools[:min(len(pools), most)] {
		names = append(names, s.pool.Name)
	}
	text := strings.Join(names, ", ")
	if len(pools) > most {
		text += ", …"
	}
	if len(pools) == 1 {
		return "pool " + text
	}
	return "pools " + text
}

func join(addrs []netip.Addr) string {
	texts := make([]string, 0, len(addrs))
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, " and ")
}
