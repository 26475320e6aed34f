package ipam

import (
	"net/netip"
	"slices"
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

// exactly reports whether there is one address of each family.
func (f families) exactly(addrs []netip.Addr) bool {
	return len(addrs) == len(f.all) && !slices.ContainsFunc(f.all, func(f family) bool {
		return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return familyOf(a) == f })
	})
}

func misfit(addrs []netip.Addr, want families) why.Reason {
	return why.New(why.AllocationFailed, "%s does not fit the Service's families, %s", join(addrs), want)
}

// requested says why a claim may not have the addresses that its Service asks
// for. They may be of two pools.
func (a *Allocator) requested(c *claim, want families) why.Reason {
	svc := c.Service
	if !want.exactly(svc.Requested) {
		return misfit(svc.Requested, want)
	}
	for _, addr := range svc.Requested {
		if no := a.obstacle(c, addr, false); no.Code != why.OK {
			return no
		}
	}
	for i, addr := range svc.Requested {
		s := a.pools.of(addr)
		if !slices.Contains(a.pools.reserved[addr], svc.Name) && s.costs(svc, addr) && s.full(svc, s.taking(svc, svc.Requested[:i])) {
			return why.New(why.AllocationFailed, "%s", s.exhausted(svc))
		}
	}
	return why.Reason{}
}

// few names the first few of many.
func few(names []string) string {
	const most = 5
	text := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		text += ", …"
	}
	return text
}

// list names pools for a message.
func list(pools []*stock) string {
	var names []string
	for _, s := range pools {
		names = append(names, s.pool.Name)
	}
	if len(pools) == 1 {
		return "pool " + few(names)
	}
	return "pools " + few(names)
}

func names(of []pharos.Name) string {
	var texts []string
	for _, n := range of {
		texts = append(texts, n.String())
	}
	return few(texts)
}

func join(addrs []netip.Addr) string {
	texts := make([]string, 0, len(addrs))
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, " and ")
}
