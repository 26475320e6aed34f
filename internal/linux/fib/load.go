package fib

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// load reads our routes, groups and next hops from the kernel. All routes are
// stale in the model that it returns.
func (f *FIB) load(resilient bool) (*model, error) {
	for range 5 {
		m, err := f.dump(resilient)
		if !errors.Is(err, unix.EINTR) {
			return m, err
		}
		// The table changed while it was read: read it again.
	}
	return nil, errors.New("the kernel's tables change too fast to be read")
}

func (f *FIB) dump(resilient bool) (*model, error) {
	m := newModel(resilient)
	hops := make(map[uint32]place)
	groups := make(map[uint32]nexthop)
	err := f.socket.dump(unix.RTM_GETNEXTHOP, make([]byte, unix.SizeofNhmsg), func(body []byte) {
		o, ok := decodeNexthop(body)
		if !ok {
			return
		}
		if o.id > firstID {
			m.taken[o.id] = true
			m.last = max(m.last, o.id)
		}
		if o.protocol != Protocol {
			return
		}
		if o.members != nil {
			groups[o.id] = o
		} else {
			hops[o.id] = o.hop
		}
	})
	if err != nil {
		return nil, err
	}
	// After messages that did not get through, there may be two objects of a kind.
	var twins []op
	for _, id := range slices.Sorted(maps.Keys(hops)) {
		h := hops[id]
		if m.hops[h] != nil {
			twins = append(twins, op{verb: removeHop, id: id, stray: true})
			continue
		}
		m.hops[h] = &hop{id: id}
		m.idleHops = append(m.idleHops, h)
	}
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		m.adopt(id, groups[id].members, groups[id].resilient, hops)
		if m.groups[id] == nil {
			m.strays = append(m.strays, op{verb: removeGroup, id: id, stray: true})
		}
	}
	m.strays = append(m.strays, twins...)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		header := []byte{family, 0, 0, 0, unix.RT_TABLE_MAIN, Protocol, 0, 0, 0, 0, 0, 0}
		err := f.socket.dump(unix.RTM_GETROUTE, header, func(body []byte) {
			prefix, id, ok := decodeRoute(body)
			if !ok {
				return
			}
			g := m.groups[id]
			if g == nil {
				g = m.other
			}
			g.routes++
			*m.routes.At(m.routes.Insert(prefix)) = route{g, true}
			m.stale++
		})
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, err
		}
	}
	return m, nil
}

// nexthop is a next-hop object: a group if it has members.
type nexthop struct {
	id        uint32
	protocol  uint8
	hop       place
	members   []member
	resilient bool
}

func decodeNexthop(b []byte) (o nexthop, ok bool) {
	if len(b) < unix.SizeofNhmsg {
		return o, false
	}
	ne := binary.NativeEndian
	o.protocol = b[2]
	attrs(b[unix.SizeofNhmsg:], func(kind uint16, value []byte) {
		switch {
		case kind == unix.NHA_ID && len(value) == 4:
			o.id = ne.Uint32(value)
		case kind == unix.NHA_OIF && len(value) == 4:
			o.hop.index = int(ne.Uint32(value))
		case kind == unix.NHA_GROUP_TYPE && len(value) == 2:
			o.resilient = ne.Uint16(value) == groupTypeResilient
		case kind == unix.NHA_GATEWAY:
			o.hop.addr, _ = netip.AddrFromSlice(value)
		case kind == unix.NHA_GROUP:
			o.members = []member{}
			for b := range slices.Chunk(value, unix.SizeofNexthopGrp) {
				if len(b) == unix.SizeofNexthopGrp {
					o.members = append(o.members, member{ne.Uint32(b), int(b[4]) + 1})
				}
			}
		}
	})
	return o, o.id != 0
}

// decodeRoute returns a route of ours and the group that it uses.
func decodeRoute(b []byte) (prefix netip.Prefix, id uint32, ok bool) {
	if len(b) < unix.SizeofRtMsg || b[4] != unix.RT_TABLE_MAIN || b[5] != Protocol {
		return prefix, 0, false
	}
	ne := binary.NativeEndian
	addr := netip.IPv6Unspecified()
	if b[0] == unix.AF_INET {
		addr = netip.IPv4Unspecified()
	}
	var metric uint32
	attrs(b[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch {
		case kind == unix.RTA_DST:
			addr, _ = netip.AddrFromSlice(value)
		case kind == unix.RTA_PRIORITY && len(value) == 4:
			metric = ne.Uint32(value)
		case kind == rtaNexthopID && len(value) == 4:
			id = ne.Uint32(value)
		}
	})
	prefix = netip.PrefixFrom(addr, int(b[1]))
	return prefix, id, prefix.IsValid() && metric == Metric
}
