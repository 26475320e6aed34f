package lan

import (
	"encoding/binary"
	"net/netip"
	"regexp"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/layer2"
)

// Requests of rtnetlink(7): a header, and attributes that the kernel selects by.

func linkRequest() []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	const skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS
	return append(b, attribute(unix.IFLA_EXT_MASK, skipStats)...)
}

func addrRequest() []byte {
	b := make([]byte, unix.SizeofIfAddrmsg)
	b[0] = unix.AF_INET6
	return b
}

// routeRequest is for the unicast routes of the main table by way of a link.
func routeRequest(family uint8, link int) []byte {
	b := make([]byte, unix.SizeofRtMsg)
	b[0], b[4], b[7] = family, unix.RT_TABLE_MAIN, unix.RTN_UNICAST
	return append(b, attribute(unix.RTA_OIF, uint32(link))...)
}

func attribute(kind uint16, value uint32) []byte {
	b := binary.NativeEndian.AppendUint16(nil, 8)
	b = binary.NativeEndian.AppendUint16(b, kind)
	return binary.NativeEndian.AppendUint32(b, value)
}

// attributes walks over those of a message, whose header is size octets long.
func attributes(b []byte, size int, each func(kind uint16, value []byte)) {
	for b = b[size:]; len(b) >= 4; {
		n, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if n < 4 || n > len(b) {
			return
		}
		each(kind&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

func number(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

// link is what RTM_NEWLINK says.
type link struct {
	family   uint8
	hardware uint16
	index    int
	flags    uint32
	name     string
	mac      []byte
	master   uint32
	downs    uint32
}

func parseLink(b []byte) (l link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return link{}, false
	}
	ne := binary.NativeEndian
	l = link{family: b[0], hardware: ne.Uint16(b[2:]), index: int(int32(ne.Uint32(b[4:]))), flags: ne.Uint32(b[8:])}
	attributes(b, unix.SizeofIfInfomsg, func(kind uint16, value []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.name = unix.ByteSliceToString(value)
		case unix.IFLA_ADDRESS:
			l.mac = value
		case unix.IFLA_MASTER:
			l.master = number(value)
		case unix.IFLA_CARRIER_DOWN_COUNT:
			l.downs = number(value)
		}
	})
	return l, l.index > 0 && l.name != ""
}

// nic says what to make of a link, given its link-local address, if it has one.
func (l link) nic(exclude []*regexp.Regexp, local netip.Addr) nic {
	n := nic{downs: l.downs, linkLocal: local}
	n.Name, n.Index = l.name, l.index
	if len(l.mac) == len(n.MAC) {
		n.MAC = layer2.MAC(l.mac)
	}
	n.IPv4 = l.state(exclude)
	if n.IPv6 = n.IPv4; n.IPv6 == layer2.Usable && !local.IsValid() {
		n.IPv6 = layer2.NoLinkLocal
	}
	return n
}

func (l link) state(exclude []*regexp.Regexp) layer2.LinkState {
	for _, x := range exclude {
		if x.MatchString(l.name) {
			return layer2.Excluded
		}
	}
	const running = unix.IFF_RUNNING | unix.IFF_LOWER_UP
	switch {
	case l.hardware != unix.ARPHRD_ETHER || len(l.mac) != len(layer2.MAC{}):
		return layer2.NotEthernet
	case l.flags&unix.IFF_BROADCAST == 0:
		return layer2.NoBroadcast
	case l.flags&unix.IFF_NOARP != 0:
		return layer2.NoARP
	case l.master != 0:
		return layer2.Enslaved
	case l.flags&unix.IFF_UP == 0:
		return layer2.Down
	case l.flags&running != running:
		return layer2.NoCarrier
	}
	return layer2.Usable
}

// parseLinkLocal reads RTM_NEWADDR, if it is of a link-local address that can be used.
func parseLinkLocal(b []byte) (index int, addr netip.Addr, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg || b[0] != unix.AF_INET6 {
		return 0, netip.Addr{}, false
	}
	flags := uint32(b[2])
	attributes(b, unix.SizeofIfAddrmsg, func(kind uint16, value []byte) {
		switch kind {
		case unix.IFA_FLAGS:
			flags = number(value)
		case unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(value)
		}
	})
	tentative := flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0
	return int(number(b[4:])), addr, addr.Is6() && addr.IsLinkLocalUnicast() && !tentative && flags&unix.IFA_F_DADFAILED == 0
}

// route is what RTM_NEWROUTE says.
type route struct {
	dst       netip.Prefix
	link      int
	table     uint32
	kind      uint8
	throughGW bool // by way of a gateway, or several ways
}

// isSubnet says if the destination is on the link itself.
func (r route) isSubnet() bool {
	return r.table == unix.RT_TABLE_MAIN && r.kind == unix.RTN_UNICAST && !r.throughGW &&
		r.dst.Bits() > 0 && !r.dst.Addr().IsLinkLocalUnicast() && !r.dst.Addr().IsMulticast()
}

func parseRoute(b []byte) (r route, ok bool) {
	if len(b) < unix.SizeofRtMsg {
		return route{}, false
	}
	dst := netip.IPv4Unspecified()
	if b[0] == unix.AF_INET6 {
		dst = netip.IPv6Unspecified()
	}
	r = route{table: uint32(b[4]), kind: b[7]}
	attributes(b, unix.SizeofRtMsg, func(kind uint16, value []byte) {
		switch kind {
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(value)
		case unix.RTA_OIF:
			r.link = int(number(value))
		case unix.RTA_TABLE:
			r.table = number(value)
		case unix.RTA_GATEWAY, unix.RTA_VIA, unix.RTA_MULTIPATH:
			r.throughGW = true
		}
	})
	r.dst = netip.PrefixFrom(dst, int(b[1]))
	return r, r.dst.IsValid() && (b[0] == unix.AF_INET || b[0] == unix.AF_INET6)
}

// matters says if the links may be other ones after a message. Those of containers come
// and go all the time, as do routes through gateways: a change of theirs does not.
func matters(m netlink.Message, dull map[int]string) bool {
	switch uint16(m.Header.Type) {
	case unix.RTM_NEWLINK:
		l, ok := parseLink(m.Data)
		name, known := dull[l.index]
		return ok && l.family != unix.AF_BRIDGE && !(known && name == l.name)
	case unix.RTM_DELLINK:
		l, ok := parseLink(m.Data)
		return ok && l.family != unix.AF_BRIDGE
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if len(m.Data) < unix.SizeofIfAddrmsg {
			return false
		}
		_, known := dull[int(number(m.Data[4:]))]
		return !known
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		r, ok := parseRoute(m.Data)
		_, known := dull[r.link]
		return ok && !known && r.isSubnet()
	}
	return false
}
