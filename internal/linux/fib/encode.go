package fib

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// write appends the operation as a message.
func (o *op) write(r *request) {
	switch o.verb {
	case addHop:
		r.begin(unix.RTM_NEWNEXTHOP, unix.NLM_F_CREATE|unix.NLM_F_EXCL, familyOf(o.hop.addr), 0, Protocol, 0, 0, 0, 0, 0)
		r.attr32(unix.NHA_ID, o.id)
		r.attr32(unix.NHA_OIF, uint32(o.hop.index))
		r.attrAddr(unix.NHA_GATEWAY, o.hop.addr)
	case addGroup, replaceGroup:
		flags := uint16(unix.NLM_F_CREATE | unix.NLM_F_EXCL)
		if o.verb == replaceGroup {
			flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
		}
		r.begin(unix.RTM_NEWNEXTHOP, flags, unix.AF_UNSPEC, 0, Protocol, 0, 0, 0, 0, 0)
		r.attr32(unix.NHA_ID, o.id)
		r.attrHeader(unix.NHA_GROUP, len(o.members)*unix.SizeofNexthopGrp)
		for _, m := range o.members {
			r.buf = binary.NativeEndian.AppendUint32(r.buf, m.id)
			r.buf = append(r.buf, uint8(m.weight-1), 0, 0, 0) // the kernel counts weights from 0
		}
	case removeGroup, removeHop:
		r.begin(unix.RTM_DELNEXTHOP, 0, make([]byte, unix.SizeofNhmsg)...)
		r.attr32(unix.NHA_ID, o.id)
	case setRoute:
		r.begin(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE,
			familyOf(o.prefix.Addr()), uint8(o.prefix.Bits()), 0, 0, unix.RT_TABLE_MAIN, Protocol, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0)
		r.attrAddr(unix.RTA_DST, o.prefix.Addr())
		r.attr32(unix.RTA_PRIORITY, Metric)
		r.attr32(rtaNexthopID, o.id)
	case removeRoute:
		r.begin(unix.RTM_DELROUTE, 0,
			familyOf(o.prefix.Addr()), uint8(o.prefix.Bits()), 0, 0, unix.RT_TABLE_MAIN, Protocol, unix.RT_SCOPE_NOWHERE, unix.RTN_UNSPEC, 0, 0, 0, 0)
		r.attrAddr(unix.RTA_DST, o.prefix.Addr())
		r.attr32(unix.RTA_PRIORITY, Metric)
	}
}

func familyOf(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
