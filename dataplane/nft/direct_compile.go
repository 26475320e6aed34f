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

// tables notes the difference between the tables of what a Service was and is.
func (c *change) tables(was, is *compiled, self string, number numbering) {
	var old, new map[dataplane.Target]carried
	if was != nil {
		old = was.carried
	}
	if is != nil {
		new = is.carried
	}
	note := func(target dataplane.Target, was, is carried) {
		if was.table != nil && is.table != nil && was.kind != is.kind {
			c.slots = append(c.slots, slotChange{target, was, carried{}, self, number}, slotChange{target, carried{}, is, self, number})
			return
		}
		c.slots = append(c.slots, slotChange{target, was, is, self, number})
	}
	for target, o := range old {
		if n := new[target]; o != n {
			note(target, o, n)
		}
	}
	for target, n := range new {
		if _, known := old[target]; !known {
			note(target, carried{}, n)
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
