package fib

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/rib"
)

const (
	// Protocol marks our routes and next hops in the kernel (ip route show proto
	// 179): BGP's port, a number that rt_protos(5) gives to nobody.
	Protocol = 179
	// Metric is our routes' metric: above what others give theirs by default (0,
	// DHCP 1024 and below, IPv6 1024), so that a connected or static route wins, as
	// NX-OS's administrative distances have it.
	Metric = 2179
)

// rtaNexthopID is RTA_NH_ID of linux/rtnetlink.h.
const rtaNexthopID = 30

// FIB is our part of the main routing table of one network namespace: that of the
// thread that called Open. It is not safe for concurrent use.
type FIB struct {
	socket   *socket
	model    *model
	messages []message
	ops      []op
}

// Open reads what an earlier run left behind and adopts it. It changes nothing.
func Open() (*FIB, error) {
	s, err := openSocket()
	if err != nil {
		return nil, err
	}
	f := &FIB{socket: s}
	if f.model, err = f.load(); err != nil {
		s.close()
		return nil, fmt.Errorf("read the kernel's routes: %w", err)
	}
	return f, nil
}

// Close gives the socket up and leaves the routes in place.
func (f *FIB) Close() { f.socket.close() }

// Len is the number of our routes, adopted ones included.
func (f *FIB) Len() int { return len(f.model.routes) }

// Apply gives each prefix these next hops, in place of those it had; a prefix
// without any is removed. What is so already costs nothing. On an error the rest
// has been done; Verify mends what is mendable.
func (f *FIB) Apply(routes []rib.Route) error {
	return f.run(f.model.plan(routes, f.ops[:0]))
}

// Sweep removes adopted routes that Apply was not asked for since Open.
func (f *FIB) Sweep() error {
	return f.run(f.model.sweep(f.ops[:0]))
}

// Flush removes all our routes.
func (f *FIB) Flush() error {
	var all []rib.Route
	for prefix := range f.model.routes {
		all = append(all, rib.Route{Prefix: prefix})
	}
	return f.Apply(all)
}

// Verify compares the kernel's table with what Apply was asked for, mends the
// differences, and returns how many messages that took.
func (f *FIB) Verify() (int, error) {
	fresh, err := f.load()
	if err != nil {
		return 0, fmt.Errorf("read the kernel's routes: %w", err)
	}
	old := f.model
	fresh.last = max(fresh.last, old.last)
	var routes []rib.Route
	for prefix, g := range old.routes {
		if !old.stale[prefix] {
			routes = append(routes, rib.Route{Prefix: prefix, Hops: g.set})
		}
	}
	for prefix := range fresh.routes {
		if old.routes[prefix] == nil {
			routes = append(routes, rib.Route{Prefix: prefix})
		}
		if !old.stale[prefix] {
			delete(fresh.stale, prefix)
		}
	}
	f.model = fresh
	ops := fresh.plan(routes, f.ops[:0])
	n := len(ops)
	return n, f.run(ops)
}

// run has the kernel do ops.
func (f *FIB) run(ops []op) error {
	f.ops = ops[:0]
	if len(ops) == 0 {
		return nil
	}
	f.messages = f.messages[:0]
	for _, o := range ops {
		f.messages = append(f.messages, encode(o))
	}
	var errs []error
	failed := 0
	err := f.socket.do(f.messages, func(i int, err error) {
		if ops[i].gone(err) {
			return
		}
		if failed++; failed <= 3 {
			errs = append(errs, fmt.Errorf("%s: %w", ops[i], err))
		}
	})
	clear(f.messages)
	if failed > 3 {
		errs = append(errs, fmt.Errorf("and %d more", failed-3))
	}
	return errors.Join(append(errs, err)...)
}

// gone says that an error means no more than that what is to be removed is not
// there any more: the kernel removes what was by way of a device with the device.
func (o op) gone(err error) bool {
	switch o.verb {
	case removeRoute, removeGroup, removeHop:
		return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT)
	}
	return false
}

// String says what was to be done.
func (o op) String() string {
	switch o.verb {
	case addHop:
		return fmt.Sprintf("add next hop %v on interface %d", o.hop.Addr, o.hop.Index)
	case replaceGroup, addGroup:
		return fmt.Sprintf("set group %d of %d next hops", o.id, len(o.ids))
	case setRoute:
		return fmt.Sprintf("set route %v", o.prefix)
	case removeRoute:
		return fmt.Sprintf("remove route %v", o.prefix)
	case removeGroup:
		return fmt.Sprintf("remove group %d", o.id)
	}
	return fmt.Sprintf("remove next hop %d", o.id)
}

func encode(o op) message {
	switch o.verb {
	case addHop:
		m := message{kind: unix.RTM_NEWNEXTHOP, flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL, body: nexthopHeader(familyOf(o.hop.Addr))}
		m.attr32(unix.NHA_ID, o.id)
		m.attr32(unix.NHA_OIF, uint32(o.hop.Index))
		m.attr(unix.NHA_GATEWAY, o.hop.Addr.AsSlice())
		return m
	case addGroup, replaceGroup:
		m := message{kind: unix.RTM_NEWNEXTHOP, flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL, body: nexthopHeader(unix.AF_UNSPEC)}
		if o.verb == replaceGroup {
			m.flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
		}
		m.attr32(unix.NHA_ID, o.id)
		var members []byte
		for _, id := range o.ids {
			members = binary.NativeEndian.AppendUint32(members, id)
			members = append(members, 0, 0, 0, 0) // weight 1, as the kernel counts from 0
		}
		m.attr(unix.NHA_GROUP, members)
		return m
	case removeGroup, removeHop:
		m := message{kind: unix.RTM_DELNEXTHOP, body: make([]byte, unix.SizeofNhmsg)}
		m.attr32(unix.NHA_ID, o.id)
		return m
	case setRoute:
		m := message{kind: unix.RTM_NEWROUTE, flags: unix.NLM_F_CREATE | unix.NLM_F_REPLACE, body: routeHeader(o.prefix, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST)}
		m.attr(unix.RTA_DST, o.prefix.Addr().AsSlice())
		m.attr32(unix.RTA_PRIORITY, Metric)
		m.attr32(rtaNexthopID, o.id)
		return m
	}
	m := message{kind: unix.RTM_DELROUTE, body: routeHeader(o.prefix, unix.RT_SCOPE_NOWHERE, unix.RTN_UNSPEC)}
	m.attr(unix.RTA_DST, o.prefix.Addr().AsSlice())
	m.attr32(unix.RTA_PRIORITY, Metric)
	return m
}

// nexthopHeader is a struct nhmsg.
func nexthopHeader(family uint8) []byte {
	return append(make([]byte, 0, 64), family, 0, Protocol, 0, 0, 0, 0, 0)
}

// routeHeader is a struct rtmsg.
func routeHeader(p netip.Prefix, scope, kind uint8) []byte {
	return append(make([]byte, 0, 56), familyOf(p.Addr()), uint8(p.Bits()), 0, 0, unix.RT_TABLE_MAIN, Protocol, scope, kind, 0, 0, 0, 0)
}

func familyOf(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// load reads our routes, groups and next hops from the kernel. All routes are
// stale in the model that it returns.
func (f *FIB) load() (*model, error) {
	for range 5 {
		m, err := f.dump()
		if !errors.Is(err, unix.EINTR) {
			return m, err
		}
		// The table changed while it was read: read it again.
	}
	return nil, errors.New("the kernel's tables change too fast to be read")
}

func (f *FIB) dump() (*model, error) {
	m := newModel()
	hops := make(map[uint32]rib.Hop)
	members := make(map[uint32][]uint32)
	err := f.socket.dump(message{kind: unix.RTM_GETNEXTHOP, body: make([]byte, unix.SizeofNhmsg)}, func(body []byte) {
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
			members[o.id] = o.members
		} else {
			hops[o.id] = o.hop
		}
	})
	if err != nil {
		return nil, err
	}
	for id, h := range hops {
		if m.hops[h] == nil {
			m.hops[h] = &hop{id: id}
		}
		m.idleHops = append(m.idleHops, h)
	}
	for id, ids := range members {
		var set []rib.Hop
		for _, member := range ids {
			if h, ok := hops[member]; ok && m.hops[h].id == member {
				set = append(set, h)
			}
		}
		if len(set) != len(ids) {
			continue // not as we make them; no route is taken to use it
		}
		g := &group{id: id, set: rib.NewHopSet(set...)}
		m.groups[id] = g
		if m.bySet[g.set] == nil {
			m.bySet[g.set] = g
		}
		for _, h := range set {
			m.hops[h].groups++
		}
		m.idle = append(m.idle, g)
	}
	other := &group{}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		header := []byte{family, 0, 0, 0, unix.RT_TABLE_MAIN, Protocol, 0, 0, 0, 0, 0, 0}
		err := f.socket.dump(message{kind: unix.RTM_GETROUTE, body: header}, func(body []byte) {
			prefix, id, ok := decodeRoute(body)
			if !ok {
				return
			}
			g := m.groups[id]
			if g == nil {
				g = other
			}
			g.routes++
			m.routes[prefix], m.stale[prefix] = g, true
		})
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, err
		}
	}
	return m, nil
}

// nexthop is a next-hop object: a group if it has members.
type nexthop struct {
	id       uint32
	protocol uint8
	hop      rib.Hop
	members  []uint32
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
			o.hop.Index = int(ne.Uint32(value))
		case kind == unix.NHA_GATEWAY:
			o.hop.Addr, _ = netip.AddrFromSlice(value)
		case kind == unix.NHA_GROUP:
			o.members = []uint32{}
			for member := range slices.Chunk(value, unix.SizeofNexthopGrp) {
				if len(member) == unix.SizeofNexthopGrp {
					o.members = append(o.members, ne.Uint32(member))
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
