package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// fibTable is what a kernel's table says about vips. A set of next hops is a bit mask:
// bit i is farAddrs[i], the last bit anything else.
type fibTable struct {
	routes []fibRoute // by number
	// direct counts the routes without next-hop object by their set, shared those with
	// one by its id.
	direct  map[uint8]int
	shared  map[uint32]int
	hops    map[uint32]uint8    // a next-hop object's own address
	members map[uint32][]uint32 // a group's
}

type fibRoute struct {
	there  bool
	object uint32 // id; 0: none
	set    uint8
}

const elsewhere = 1 << 7

// Attributes of linux/rtnetlink.h and linux/nexthop.h.
const (
	rtaNexthopID = 30
	attrMask     = 0x3fff // without NLA_F_NESTED
)

func newFIBTable() *fibTable {
	return &fibTable{direct: map[uint8]int{}, shared: map[uint32]int{}, hops: map[uint32]uint8{}, members: map[uint32][]uint32{}}
}

// count is how many vips have a route.
func (t *fibTable) count() (n int) {
	for _, m := range t.direct {
		n += m
	}
	for id, m := range t.shared {
		if t.set(id) != 0 {
			n += m
		}
	}
	return n
}

// using is how many vips have a route by way of that far address.
func (t *fibTable) using(i int) (n int) {
	for set, m := range t.direct {
		if set&(1<<i) != 0 {
			n += m
		}
	}
	for id, m := range t.shared {
		if t.set(id)&(1<<i) != 0 {
			n += m
		}
	}
	return n
}

// set is what a next-hop object leads to; a route by way of one that is gone is gone.
func (t *fibTable) set(id uint32) uint8 {
	set := t.hops[id]
	for _, member := range t.members[id] {
		set |= t.hops[member]
	}
	return set
}

// has complains unless n vips have a route.
func has(n int) func(*fibTable) error {
	return func(t *fibTable) error {
		if have := t.count(); have != n {
			return fmt.Errorf("%d routes in the kernel instead of %d", have, n)
		}
		return nil
	}
}

// apply takes one message of rtnetlink.
func (t *fibTable) apply(kind uint16, body []byte) {
	switch kind {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		t.applyRoute(kind == unix.RTM_NEWROUTE, body)
	case unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		t.applyNexthop(kind == unix.RTM_NEWNEXTHOP, body)
	}
}

func (t *fibTable) applyRoute(there bool, body []byte) {
	// struct rtmsg: family, destination's length, …, table, …, type
	if len(body) < unix.SizeofRtMsg || body[0] != unix.AF_INET || body[1] != 32 || body[4] != unix.RT_TABLE_MAIN {
		return
	}
	r := fibRoute{there: there}
	at, ours := 0, false
	attributes(body[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch {
		case kind == unix.RTA_DST && len(value) == 4:
			at, ours = number([4]byte(value))
		case kind == unix.RTA_GATEWAY && len(value) == 4:
			r.set |= bit(value)
		case kind == rtaNexthopID && len(value) == 4:
			r.object = binary.NativeEndian.Uint32(value)
		case kind == unix.RTA_MULTIPATH:
			r.set |= multipath(value)
		}
	})
	if !ours {
		return
	}
	if at >= len(t.routes) {
		t.routes = append(t.routes, make([]fibRoute, max(at+1, 2*len(t.routes))-len(t.routes))...)
	}
	t.tell(&t.routes[at], -1)
	t.routes[at] = r
	t.tell(&r, 1)
}

func (t *fibTable) tell(r *fibRoute, n int) {
	switch {
	case !r.there:
	case r.object != 0:
		t.shared[r.object] += n
	default:
		t.direct[r.set] += n
	}
}

func (t *fibTable) applyNexthop(there bool, body []byte) {
	if len(body) < unix.SizeofNhmsg {
		return
	}
	var id uint32
	var members []uint32
	set := uint8(elsewhere)
	attributes(body[unix.SizeofNhmsg:], func(kind uint16, value []byte) {
		switch {
		case kind == unix.NHA_ID && len(value) == 4:
			id = binary.NativeEndian.Uint32(value)
		case kind == unix.NHA_GATEWAY && len(value) == 4:
			set = bit(value)
		case kind == unix.NHA_GROUP:
			for ; len(value) >= 8; value = value[8:] { // struct nexthop_grp
				members = append(members, binary.NativeEndian.Uint32(value))
			}
		}
	})
	delete(t.hops, id)
	delete(t.members, id)
	switch {
	case !there:
	case members != nil:
		t.members[id] = members
	default:
		t.hops[id] = set
	}
}

// multipath is the set of an RTA_MULTIPATH's next hops.
func multipath(b []byte) (set uint8) {
	for len(b) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			break
		}
		attributes(b[unix.SizeofRtNexthop:size], func(kind uint16, value []byte) {
			if kind == unix.RTA_GATEWAY && len(value) == 4 {
				set |= bit(value)
			}
		})
		b = b[min(len(b), (size+3)&^3):]
	}
	return set
}

func bit(gateway []byte) uint8 {
	for i, a := range farAddrs {
		if a == netip.AddrFrom4([4]byte(gateway)) {
			return 1 << i
		}
	}
	return elsewhere
}

// attributes walks over netlink attributes.
func attributes(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&attrMask, b[unix.SizeofRtAttr:size])
		b = b[min(len(b), (size+3)&^3):]
	}
}
