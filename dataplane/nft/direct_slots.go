package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/table"
)

// slotChange is the difference between two tables of one frontend, of the same
// kind where there are two. A table's slots are hundreds of elements, and there may
// be thousands of tables. So they are never made elements of: both sides are
// computed when the transaction is, and what differs is written straight into it.
type slotChange struct {
	target  dataplane.Target
	was, is carried
	self    string // the node
	number  numbering
}

// share is what a node's kernel holds of a slot.
type share struct {
	pod    netip.AddrPort // of this node, that gets the slot's packets; not valid: none
	second uint32         // number of the previous owner's node; zero: it has none
	remote bool           // another node owns the slot
	owner  uint32         // that node's number
}

// shares is what it holds of a table.
type shares [table.Size]share

// fill computes what the node self holds of a table.
func (all *shares) fill(t *table.Table, self string, number numbering) {
	if t == nil {
		return
	}
	numbers := make([]uint32, len(t.Owners))
	for i := range t.Owners {
		numbers[i] = number(t.Owners[i].Node)
	}
	for n, s := range t.Slots {
		if s.Current == table.None {
			continue
		}
		own := &all[n]
		previous := &table.Endpoint{Node: self, Draining: true} // stands for none
		if s.Previous != table.None {
			previous = &t.Owners[s.Previous]
		}
		if current := &t.Owners[s.Current]; current.Node == self {
			own.pod = current.Addr
			if previous.Node != self {
				own.second = numbers[s.Previous]
			}
			continue
		}
		own.remote, own.owner = true, numbers[s.Current]
		if previous.Node == self && !previous.Draining {
			// A node whose table is older may still send new connections here.
			own.pod = previous.Addr
		}
	}
}

// write adds to the batch what is to be removed, or to be added.
func (c *slotChange) write(b *batch, add bool) {
	from, to := c.was, c.is
	if add {
		from, to = to, from
	}
	if from.table == nil {
		return
	}
	var side, other shares
	side.fill(from.table, c.self, c.number)
	other.fill(to.table, c.self, c.number)
	six, key := c.target.Addr.Is6(), targetKey(c.target)
	b.slots(slotsOf(from.kind).in(owner(six), 0), key, add, func(n int, value []byte) bool {
		s, o := &side[n], &other[n]
		if !s.pod.IsValid() || s.pod == o.pod && s.second == o.second {
			return false
		}
		size := copy(value, s.pod.Addr().AsSlice())
		binary.BigEndian.PutUint16(value[size:], s.pod.Port())
		binary.NativeEndian.PutUint32(value[size+4:], s.second)
		return true
	})
	b.slots(ownersOf(from.kind).in(ingress(six), 0), key, add, func(n int, value []byte) bool {
		s, o := &side[n], &other[n]
		if !s.remote || o.remote && s.owner == o.owner {
			return false
		}
		binary.NativeEndian.PutUint32(value, s.owner^sendOn^sendSecond)
		binary.NativeEndian.PutUint32(value[4:], s.owner)
		return true
	})
}

// slots adds one message about slots of a target, those for which value returns
// true, having written what the map says of the slot. All elements look the same but
// for two places.
func (b *batch) slots(set setID, target string, add bool, value func(slot int, value []byte) bool) {
	spec := set.spec()
	_, size := concat(spec.data)
	scratch := make([]byte, size)
	model := element{set: set, key: target + mark(0), value: string(scratch)}
	var one attributes
	one.nest(unix.NFTA_LIST_ELEM, func(a *attributes) { model.encode(a, add) })
	slotAt := 3*unix.SizeofNlAttr + len(target) // in the element, its key and that one's value
	valueAt := slotAt + 4 + 2*unix.SizeofNlAttr

	n := uint64(0)
	message := set.family().elementsOf(set, add, func(list *attributes) {
		for slot := range table.Size {
			if !value(slot, scratch) {
				continue
			}
			if n == 0 {
				*list = append(make(attributes, 0, len(*list)+len(one)*table.Size), *list...)
			}
			at := len(*list)
			*list = append(*list, one...)
			binary.NativeEndian.PutUint32((*list)[at+slotAt:], uint32(slot))
			if add {
				copy((*list)[at+valueAt:], scratch)
			}
			n++
		}
	})
	if n == 0 {
		return
	}
	if add {
		b.added += n
	} else {
		b.removed += n
	}
	b.do(message, func() string { return fmt.Sprintf("%d slots of %x in %s", n, target, set) })
}
