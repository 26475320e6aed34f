package nft

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"

	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/table"
)

// carried is a direct frontend as it is in the kernel.
type carried struct {
	kind  kind // of frontends
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
func (c *compiled) direct(s *dataplane.Service, number numbering) {
	for i := range s.Frontends {
		fe := &s.Frontends[i]
		if !carries(s, fe) {
			continue
		}
		g := &s.Groups[fe.Outside]
		at := carried{directPorts, g.Table}
		if g.Affinity > 0 {
			at.kind = directClients
		}
		if c.carried == nil {
			c.carried = map[dataplane.Target]carried{}
		}
		c.carried[fe.Target] = at
		key, name := targetKey(fe.Target), c.comment(fe)+at.stamp(number)
		for _, f := range []*family{owner(fe.Addr.Is6()), ingress(fe.Addr.Is6())} {
			c.add(at.kind.in(f, 0), key, "", name)
			c.add(directAddrs.in(f, 0), address(fe.Addr), "", "")
		}
		if fe.Sources != nil {
			c.sources(ingress(fe.Addr.Is6()), key, fe.Sources)
		}
	}
}

// numbering says which number a node has, whether it is known otherwise or not;
// zero stands for none.
type numbering func(node string) uint32

// stamp tells what elements of the table are in the kernel: those that follow from
// its owners and slots and from the numbers of the nodes.
func (c carried) stamp(number numbering) string {
	h := fnv.New64a()
	b := binary.BigEndian.AppendUint64(nil, c.table.Generation)
	for i := range c.table.Owners {
		b = binary.BigEndian.AppendUint32(b, number(c.table.Owners[i].Node))
	}
	h.Write(b)
	return fmt.Sprintf(" #%016x", h.Sum64())
}

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
		return endpoint(previous.Addr) + mark(0), both(number(current.Node))
	}
	return "", both(number(current.Node))
}

// both is a node as it is told in either case.
func both(number uint32) string { return mark(number^sendOn^sendSecond) + mark(number) }

// slotChange is the difference between two tables of one frontend.
func (c *change) slotChange(target dataplane.Target, was, is carried, self string, number numbering) {
	if was.table != nil && is.table != nil && was.kind != is.kind {
		c.slotChange(target, was, carried{}, self, number)
		was = carried{}
	}
	kind, key := max(was.kind, is.kind), targetKey(target)
	pairs := [2]setID{slotsOf(kind).in(owner(target.Addr.Is6()), 0), ownersOf(kind).in(ingress(target.Addr.Is6()), 0)}
	for n := range table.Size {
		var old, new [2]string
		old[0], old[1] = was.slot(n, self, number)
		new[0], new[1] = is.slot(n, self, number)
		for i, set := range pairs {
			if old[i] == new[i] {
				continue
			}
			key := key + mark(uint32(n))
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
	var old, new map[dataplane.Target]carried
	if was != nil {
		old = was.carried
	}
	if is != nil {
		new = is.carried
	}
	for target, o := range old {
		if n := new[target]; o != n {
			c.slotChange(target, o, n, self, number)
		}
	}
	for target, n := range new {
		if _, known := old[target]; !known {
			c.slotChange(target, carried{}, n, self, number)
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
