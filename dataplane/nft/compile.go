package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos/dataplane"
)

// compiled is one Service as it is in the kernel.
type compiled struct {
	service  *dataplane.Service
	slots    map[dataplane.GroupKey][]netip.AddrPort
	elements []element
	stuck    []stuck
	carried  map[dataplane.Target]carried // direct frontends
}

// planned returns what was compiled; nil, if nothing was.
func (c *compiled) planned() *dataplane.Service {
	if c == nil {
		return nil
	}
	return c.service
}

// stuck is a group with session affinity: chains and sets of its own.
type stuck struct {
	family *family
	chains []chain
	sets   []spec
}

// compile turns a Service into elements. The slots that its backends had before
// decide where they stay, so that the difference is small; number numbers
// nodes.
func compile(s *dataplane.Service, slots map[dataplane.GroupKey][]netip.AddrPort, number numbering) *compiled {
	c := &compiled{service: s, slots: make(map[dataplane.GroupKey][]netip.AddrPort, len(s.Groups))}
	for i := range s.Groups {
		c.group(&s.Groups[i], slots[s.Groups[i].Key()])
	}
	for i := range s.Frontends {
		c.frontend(&s.Frontends[i])
	}
	c.direct(s, number)
	return c
}

func (c *compiled) add(set setID, key, value, comment string) {
	c.elements = append(c.elements, element{set: set, key: key, value: value, comment: comment})
}

func (c *compiled) group(g *dataplane.Group, slots []netip.AddrPort) {
	wanted := make([]netip.AddrPort, 0, len(g.Backends))
	for i := range g.Backends[:min(len(g.Backends), maxBackends)] {
		wanted = append(wanted, g.Backends[i].Addr)
	}
	f := families[0]
	if g.IPv6 {
		f = families[1]
	}
	c.slots[g.Key()] = place(slots, wanted)
	for i := range g.Backends {
		if b := &g.Backends[i]; b.Local {
			a := address(b.Addr.Addr())
			c.add(hairpins.in(f, 0), a+a, "", "")
		}
	}
	if g.Affinity > 0 && len(wanted) > 0 {
		chains, sets := f.stick(c.stickyName(g), protocolNumbers[g.Protocol], stickyFor(g.Affinity), wanted)
		c.stuck = append(c.stuck, stuck{f, chains, sets})
	}
}

// stickyFor rounds up: a part of a second would be no affinity at all.
func stickyFor(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }

// stickyName is the name of a group's chain. A Service's and a port's name have
// no slash.
func (c *compiled) stickyName(g *dataplane.Group) string {
	return fmt.Sprintf("sticky/%s/%s/%s/%s", c.service.Name, g.Port, g.Protocol, g.Scope)
}

func (c *compiled) frontend(fe *dataplane.Frontend) {
	general, own := frontendPath, frontendInsidePath
	if fe.Kind == dataplane.NodePort {
		general, own = nodePortPath, nodePortInsidePath
	}
	f, key := familyOf(fe.Addr), targetKey(fe.Target)
	c.path(f, general, key, fe, &c.service.Groups[fe.Outside])
	if fe.Inside != fe.Outside {
		c.path(f, own, key, fe, &c.service.Groups[fe.Inside])
	}
	switch fe.Masquerade {
	case dataplane.MasqueradeEverybody:
		c.add(everybody.on(general).in(f, 0), key, "", "")
	case dataplane.MasqueradeForeign:
		c.add(foreign.on(general).in(f, 0), key, "", "")
	case dataplane.MasqueradeOwnNode:
		c.add(ownNode.on(general).in(f, 0), key, "", "")
	}
	if fe.Sources != nil {
		c.sources(f, key, fe.Sources)
	}
	switch fe.Kind {
	case dataplane.ClusterIP:
		c.add(clusterIPs.in(f, 0), address(fe.Addr), "", "")
	case dataplane.LoadBalancer, dataplane.ExternalIP:
		c.add(announcedIPs.in(f, 0), address(fe.Addr), "", "")
	}
}

// path adds what leads packets on one path from a frontend to a group.
func (c *compiled) path(f *family, p path, key string, fe *dataplane.Frontend, g *dataplane.Group) {
	c.add(targets.on(p).in(f, 0), key, "", c.comment(fe))
	slots := c.slots[g.Key()]
	switch {
	case len(slots) == 0 && g.Empty == dataplane.Drop:
		c.add(dropped.on(p).in(f, 0), key, "", "")
	case len(slots) == 0:
		c.add(rejected.on(p).in(f, 0), key, "", "")
	case g.Affinity > 0:
		c.add(sticky.on(p).in(f, 0), key, c.stickyName(g), "")
	default:
		c.add(class.on(p).in(f, len(slots)), key, "", "")
		for i, b := range slots {
			c.add(backends.on(p).in(f, 0), key+mark(uint32(i)), endpoint(b), "")
		}
	}
}

// place puts the wanted backends into slots 0 to len(wanted)-1, those that have
// such a slot already into the same one, and leaves slots alone. A removed
// backend's slot goes to a new one or else to the last.
func place(slots, wanted []netip.AddrPort) []netip.AddrPort {
	if slices.Equal(slots, wanted) {
		return slots
	}
	missing := make(map[netip.AddrPort]bool, len(wanted))
	for _, b := range wanted {
		missing[b] = true
	}
	result := make([]netip.AddrPort, len(wanted))
	for i, b := range slots[:min(len(slots), len(wanted))] {
		if missing[b] {
			result[i] = b
			delete(missing, b)
		}
	}
	next := 0
	for _, b := range wanted { // in order, so that the result is one and the same
		if !missing[b] {
			continue
		}
		for result[next].IsValid() {
			next++
		}
		result[next] = b
	}
	return result
}
