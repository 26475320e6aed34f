package fib

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Of linux/nexthop.h.
const (
	groupTypeResilient = 1 // NEXTHOP_GRP_TYPE_RES

	nhaResGroup                = 12
	nhaResGroupBuckets         = 1
	nhaResGroupIdleTimer       = 2
	nhaResGroupUnbalancedTimer = 3

	userHZ = 100 // the unit of timers
)

const (
	// buckets of a resilient group: each is a share of the flows. Weights up to 1 in
	// 256 so are kept.
	buckets = 256
	// idleTime is how long a bucket must have had no packet for another next hop to
	// take it over, so that no flow is moved.
	idleTime = 20 * time.Second
	// unbalancedTime is when busy buckets are moved nevertheless, so that the shares
	// are right; 0: never.
	unbalancedTime = 0 * time.Second
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
		if o.resilient {
			r.attr16(unix.NHA_GROUP_TYPE, groupTypeResilient)
			at := r.nest(nhaResGroup)
			r.attr16(nhaResGroupBuckets, buckets)
			r.attr32(nhaResGroupIdleTimer, uint32(idleTime.Seconds()*userHZ))
			r.attr32(nhaResGroupUnbalancedTimer, uint32(unbalancedTime.Seconds()*userHZ))
			r.nested(at)
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
