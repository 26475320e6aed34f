package nft

import (
	"net/netip"

	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/table"
)

// carried is a group of direct frontends as it is in the kernel.
type carried struct {
	ipv6  bool
	id    uint32 // of its table in the kernel
	table *table.Table
}

// carries tells frontends that are carried by a table. Without owners a direct one
// is refused as any other.
func carries(s *dataplane.Service, fe *dataplane.Frontend) bool {
	t := s.Groups[fe.Outside].Table
	return fe.Direct && t != nil && len(t.Owners) > 0
}

// direct adds a Service's direct frontends, the elements of tables aside: they are
// too many to be kept.
func (c *compiled) direct(s *dataplane.Service, id func(dataplane.GroupKey) uint32) {
	for i := range s.Frontends {
		fe := &s.Frontends[i]
		g := &s.Groups[fe.Outside]
		if !carries(s, fe) {
			continue
		}
		at, known := c.carried[g.Key()]
		if !known {
			if c.carried == nil {
				c.carried = map[dataplane.GroupKey]carried{}
			}
			at = carried{fe.Addr.Is6(), id(g.Key()), g.Table}
			c.carried[g.Key()] = at
		}
		k := directPorts
		if g.Affinity > 0 {
			k = directClients
		}
		key, name := targetKey(fe.Target), c.comment(fe)
		for _, f := range []*family{owner(at.ipv6), ingress(at.ipv6)} {
			c.add(k.in(f, 0), key, mark(at.id), name)
			c.add(directAddrs.in(f, 0), address(fe.Addr), "", "")
		}
		if fe.Sources != nil {
			c.sources(ingress(at.ipv6), key, fe.Sources)
		}
	}
}

// numbering says which number a node has, whether it is known otherwise or not;
// zero stands for none.
type numbering func(node string) uint32

// slots returns the elements of a slot: who gets a packet at an owner's node, and
// which node does at an ingress. A value that is empty stands for none.
func (c carried) slot(n int, self string, number numbering) (owner, ingress string) {
	if c.table == nil {
		return "", ""
	}
	s := c.table.Slots[n]
	if s.Current == table.None {
		return "", ""
	}
	current := &c.table.Owners[s.Current]
	var previous *table.Endpoint
	if s.Previous != table.None {
		previous = &c.table.Owners[s.Previous]
	}
	switch {
	case current.Node == self && (previous == nil || previous.Node == self):
		return endpoint(current.Addr) + mark(0), ""
	case current.Node == self:
		return endpoint(current.Addr) + mark(number(previous.Node)), ""
	case previous != nil && previous.Node == self && !previous.Draining:
		// A node whose table is older may still send new connections here.
		return endpoint(previous.Addr) + mark(0), mark(number(current.Node))
	}
	return "", mark(number(current.Node))
}

// slotChange is the difference between two tables of one group.
func (c *change) slotChange(was, is carried, self string, number numbering) {
	at := is
	if is.table == nil {
		at = was
	}
	pairs := [2]setID{slots.in(owner(at.ipv6), 0), owners.in(ingress(at.ipv6), 0)}
	if was.table != nil && is.table != nil && was.id != is.id {
		c.slotChange(was, carried{}, self, number)
		was = carried{}
	}
	for n := range table.Size {
		var old, new [2]string
		old[0], old[1] = was.slot(n, self, number)
		new[0], new[1] = is.slot(n, self, number)
		for i, set := range pairs {
			if old[i] == new[i] {
				continue
			}
			key := mark(at.id) + mark(uint32(n))
			if old[i] != "" {
				c.remove = append(c.remove, element{set: set, key: key, value: old[i]})
			}
			if new[i] != "" {
				c.add = append(c.add, element{set: set, key: key, value: new[i]})
			}
		}
	}
}

// tables notes the difference between the tables of what a Service was and is.
func (c *change) tables(was, is *compiled, self string, number numbering) {
	var old, new map[dataplane.GroupKey]carried
	if was != nil {
		old = was.carried
	}
	if is != nil {
		new = is.carried
	}
	for key, o := range old {
		if n := new[key]; o != n {
			c.slotChange(o, n, self, number)
		}
	}
	for key, n := range new {
		if _, known := old[key]; !known {
			c.slotChange(carried{}, n, self, number)
		}
	}
}

// sources admits clients' networks.
func (c *compiled) sources(f *family, key string, networks []netip.Prefix) {
	c.add(guarded.in(f, 0), key, "", "")
	for _, p := range networks {
		c.elements = append(c.elements, element{set: allowed.in(f, 0), key: key + address(p.Addr()), end: key + address(lastOf(p))})
	}
}

// comment names a frontend for people who list the tables.
func (c *compiled) comment(fe *dataplane.Frontend) string {
	name := c.service.Name.String()
	if fe.Port != "" {
		name += ":" + fe.Port
	}
	return name + " " + fe.Kind.String()
}
