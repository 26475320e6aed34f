package lan

import (
	"encoding/binary"
	"net/netip"
	"regexp"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/layer2"
)

func TestState(t *testing.T) {
	good := link{
		hardware: unix.ARPHRD_ETHER, name: "eth0", index: 3, mac: make([]byte, 6),
		flags: unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP | unix.IFF_BROADCAST | unix.IFF_MULTICAST,
	}
	for _, r := range []struct {
		name string
		edit func(*link)
		want layer2.LinkState
	}{
		{"good", func(*link) {}, layer2.Usable},
		{"excluded, and down", func(l *link) { l.name, l.flags = "veth7", 0 }, layer2.Excluded},
		{"excluded loopback", func(l *link) { l.name, l.hardware = "lo", unix.ARPHRD_LOOPBACK }, layer2.Excluded},
		{"tunnel", func(l *link) { l.hardware = unix.ARPHRD_NONE }, layer2.NotEthernet},
		{"InfiniBand", func(l *link) { l.hardware, l.mac = unix.ARPHRD_INFINIBAND, make([]byte, 20) }, layer2.NotEthernet},
		{"odd address", func(l *link) { l.mac = nil }, layer2.NotEthernet},
		{"point to point", func(l *link) { l.flags &^= unix.IFF_BROADCAST }, layer2.NoBroadcast},
		{"no ARP", func(l *link) { l.flags |= unix.IFF_NOARP }, layer2.NoARP},
		{"port, without carrier", func(l *link) { l.master, l.flags = 4, unix.IFF_UP|unix.IFF_BROADCAST }, layer2.Enslaved},
		{"down", func(l *link) { l.flags &^= unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP }, layer2.Down},
		{"no carrier", func(l *link) { l.flags &^= unix.IFF_RUNNING | unix.IFF_LOWER_UP }, layer2.NoCarrier},
		{"no carrier since a moment ago", func(l *link) { l.flags &^= unix.IFF_LOWER_UP }, layer2.NoCarrier},
		{"dormant", func(l *link) { l.flags &^= unix.IFF_RUNNING }, layer2.NoCarrier},
	} {
		l := good
		r.edit(&l)
		if got := l.state([]*regexp.Regexp{regexp.MustCompile("^lo$"), regexp.MustCompile("^veth.*")}); got != r.want {
			t.Errorf("%s: %v, want %v", r.name, got, r.want)
		}
	}
	if n := good.nic(nil, netip.Addr{}); n.IPv4 != layer2.Usable || n.IPv6 != layer2.NoLinkLocal {
		t.Errorf("without link-local address: %+v", n)
	}
}

func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func number32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func message(kind uint16, header []byte, attrs ...[]byte) netlink.Message {
	m := netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: header}
	for _, a := range attrs {
		m.Data = append(m.Data, a...)
	}
	return m
}

func TestMatters(t *testing.T) {
	ifinfo := func(family uint8, index uint32) []byte {
		return append(append([]byte{family, 0, 1, 0}, number32(index)...), make([]byte, 8)...)
	}
	ifaddr := func(index uint32) []byte { return append([]byte{unix.AF_INET6, 64, 0, 0}, number32(index)...) }
	rt := func(table, kind uint8) []byte { return []byte{unix.AF_INET, 24, 0, 0, table, 0, 0, kind, 0, 0, 0, 0} }
	name := func(s string) []byte { return attr(unix.IFLA_IFNAME, append([]byte(s), 0)) }
	dst, oif := attr(unix.RTA_DST, []byte{192, 0, 2, 0}), func(i uint32) []byte { return attr(unix.RTA_OIF, number32(i)) }
	dull := map[int]string{7: "veth7"}
	for _, r := range []struct {
		name string
		m    netlink.Message
		want bool
	}{
		{"a link", message(unix.RTM_NEWLINK, ifinfo(0, 3), name("eth0")), true},
		{"an excluded one, not known", message(unix.RTM_NEWLINK, ifinfo(0, 8), name("veth8")), true},
		{"an excluded one, again", message(unix.RTM_NEWLINK, ifinfo(0, 7), name("veth7")), false},
		{"an excluded one, under another name", message(unix.RTM_NEWLINK, ifinfo(0, 7), name("eth7")), true},
		{"an excluded one goes", message(unix.RTM_DELLINK, ifinfo(0, 7), name("veth7")), true},
		{"it leaves a bridge", message(unix.RTM_DELLINK, ifinfo(unix.AF_BRIDGE, 7), name("veth7")), false},
		{"an address", message(unix.RTM_NEWADDR, ifaddr(3)), true},
		{"one of a container", message(unix.RTM_DELADDR, ifaddr(7)), false},
		{"a subnet", message(unix.RTM_NEWROUTE, rt(254, unix.RTN_UNICAST), dst, oif(3)), true},
		{"a subnet goes", message(unix.RTM_DELROUTE, rt(254, unix.RTN_UNICAST), dst, oif(3)), true},
		{"a container's", message(unix.RTM_NEWROUTE, rt(254, unix.RTN_UNICAST), dst, oif(7)), false},
		{"by way of a gateway", message(unix.RTM_NEWROUTE, rt(254, unix.RTN_UNICAST), dst, oif(3), attr(unix.RTA_GATEWAY, []byte{192, 0, 2, 1})), false},
		{"another table", message(unix.RTM_NEWROUTE, rt(254, unix.RTN_UNICAST), dst, oif(3), attr(unix.RTA_TABLE, number32(1000))), false},
		{"the table of own addresses", message(unix.RTM_NEWROUTE, rt(255, unix.RTN_LOCAL), dst, oif(3)), false},
		{"the default", message(unix.RTM_NEWROUTE, []byte{unix.AF_INET, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0}, oif(3)), false},
		{"something else", message(unix.RTM_NEWNEIGH, ifinfo(0, 3)), false},
		{"too short", message(unix.RTM_NEWADDR, []byte{10}), false},
	} {
		if got := matters(r.m, dull); got != r.want {
			t.Errorf("%s: %v", r.name, got)
		}
	}
}

// Messages cut anywhere do no harm.
func TestCutMessages(t *testing.T) {
	whole := message(0, make([]byte, 16), attr(unix.IFLA_IFNAME, []byte("eth0\x00")), attr(unix.IFLA_MASTER, number32(4)), attr(unix.IFLA_CARRIER_DOWN_COUNT, number32(4)),
		attr(unix.RTA_DST, []byte{1, 2}), attr(unix.RTA_OIF, []byte{1}), attr(unix.IFA_FLAGS, nil)).Data
	for n := range len(whole) + 1 {
		parseLink(whole[:n])
		parseLinkLocal(append([]byte{unix.AF_INET6}, whole[:n]...))
		parseRoute(append([]byte{unix.AF_INET6}, whole[:n]...))
	}
	// Lengths that make no sense.
	for _, b := range [][]byte{{0, 0, 0, 0}, {3, 0, 0, 0}, {255, 255, 0, 0}, {5, 0, 1, 0, 9}} {
		parseLink(append(make([]byte, 16), b...))
	}
}
