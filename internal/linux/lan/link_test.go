package lan_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/pharoslb/pharos/arp"
	"github.com/pharoslb/pharos/internal/linux/lan"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/ndp"
)

// Devices of all kinds, and what is made of them, as they change.
func TestLinkStates(t *testing.T) {
	t.Parallel()
	m, far := newMachine(t, "speaker"), newMachine(t, "far")
	for i := range 6 {
		name := fmt.Sprintf("eth%d", i)
		cable(t, m, name, far, name)
	}
	cable(t, m, "cali123", far, "cali")
	must(t, m.AddBridge("br0"), m.Enslave("eth1", "br0"), m.Down("eth2"), far.Down("eth3"), m.Link().LinkSetARPOff(m.device(t, "eth4")))
	must(t, m.Sysctl("net.ipv6.conf.eth5.disable_ipv6", "1"))
	must(t, m.Link().LinkAdd(&netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "mac0", ParentIndex: m.device(t, "eth0").Attrs().Index}, Mode: netlink.MACVLAN_MODE_BRIDGE}), m.Up("mac0"))
	s := start(t, m, exclude("^cali.*", "^tun"))
	s.link(t, "eth0", layer2.Usable)
	s.link(t, "mac0", layer2.Usable)
	s.link(t, "br0", layer2.Usable)
	s.link(t, "eth1", layer2.Enslaved)
	s.link(t, "eth2", layer2.Down)
	s.link(t, "eth3", layer2.NoCarrier)
	s.link(t, "eth4", layer2.NoARP)
	s.link(t, "eth5", layer2.Usable, layer2.NoLinkLocal)
	s.link(t, "cali123", layer2.Excluded)
	s.link(t, "lo", layer2.NotEthernet)
	if names := func() (out []string) {
		for _, l := range s.Links() {
			out = append(out, l.Name)
		}
		return out
	}(); !slices.IsSorted(names) {
		t.Errorf("links are %v", names)
	}

	must(t, m.Up("eth2"), far.Up("eth3"), m.Link().LinkSetARPOn(m.device(t, "eth4")), m.Sysctl("net.ipv6.conf.eth5.disable_ipv6", "0"))
	must(t, m.Link().LinkSetNoMaster(m.device(t, "eth1")))
	for i := range 6 {
		s.link(t, fmt.Sprintf("eth%d", i), layer2.Usable)
	}
	s.link(t, "br0", layer2.NoCarrier)
	// An excluded one gets another name, and the other way round.
	must(t, m.Down("cali123"), m.Link().LinkSetName(m.device(t, "cali123"), "lan0"), m.Up("lan0"))
	s.link(t, "lan0", layer2.Usable)
	must(t, m.Down("lan0"), m.Link().LinkSetName(m.device(t, "lan0"), "tun0"), m.Up("tun0"))
	s.link(t, "tun0", layer2.Excluded)
	must(t, m.Delete("tun0"))
	eventually(t, func() error {
		for _, l := range s.Links() {
			if l.Name == "tun0" {
				return fmt.Errorf("%s is still there", l.Name)
			}
		}
		return nil
	})
}

// A port of a bridge is silent; the bridge answers through it.
func TestPort(t *testing.T) {
	t.Parallel()
	m, far := newMachine(t, "speaker"), newMachine(t, "far")
	cable(t, m, "eth1", far, "eth1")
	must(t, m.AddBridge("br0"))
	// Another MAC than its port's.
	must(t, m.Link().LinkSetHardwareAddr(m.device(t, "br0"), hardware(layer2.MAC{2, 0, 0, 0, 0, 0xb0})), m.Enslave("eth1", "br0"))
	tap := newTap(t, far, "eth1")
	s := start(t, m)
	s.announce(vip4.String())
	s.on(t, vip4.String(), layer2.OffSubnet, "br0")
	s.link(t, "eth1", layer2.Enslaved)
	tap.want(t, arp.Probe(m.mac(t, "br0"), vip4).Append(nil), ofKernel(vip4))
	// And the other way round.
	must(t, m.Link().LinkSetNoMaster(m.device(t, "eth1")))
	s.on(t, vip4.String(), layer2.OffSubnet, "eth1")
	tap.want(t, arp.Probe(m.mac(t, "eth1"), vip4).Append(nil), func([]byte) bool { return true })
}

// A device that is deleted and made again while an address is announced answers for it.
func TestDeviceIsMadeAnew(t *testing.T) {
	t.Parallel()
	client, m := newMachine(t, "client"), newMachine(t, "speaker")
	s := start(t, m)
	s.announce(vip4.String(), vip6.String())
	for range 3 {
		cable(t, client, "eth0", m, "eth0")
		m.addr(t, "eth0", "192.0.2.2/24", "2001:db8::2/64")
		client.addr(t, "eth0", "192.0.2.1/24", "2001:db8::1/64")
		for _, vip := range vips {
			s.on(t, vip.String(), layer2.OnSubnet, "eth0")
			client.resolves(t, vip, m.mac(t, "eth0"))
		}
		must(t, m.Delete("eth0"))
		for _, vip := range vips {
			s.on(t, vip.String(), layer2.Unreachable)
		}
	}
}

// A link that loses its carrier, for long or for a moment, hears of the addresses once
// when it is back; while it has none, another one is taken.
func TestCarrier(t *testing.T) {
	t.Parallel()
	s, far, tap := pair(t)
	s.local(t, "eth0")
	s.link(t, "eth0", layer2.Usable)
	s.announce(vip4.String(), vip6.String())
	rounds := func(want uint64) {
		t.Helper()
		eventually(t, func() error {
			if a4, a6 := s.address(vip4), s.address(vip6); a4.Gratuitous != 2*want || a6.Gratuitous != want {
				return fmt.Errorf("%d frames of IPv4, %d of IPv6; want %d rounds", a4.Gratuitous, a6.Gratuitous, want)
			}
			return nil
		})
	}
	rounds(5)
	must(t, far.Down("eth0"))
	s.link(t, "eth0", layer2.NoCarrier)
	s.on(t, vip4.String(), layer2.Unreachable)
	must(t, far.Up("eth0"))
	s.on(t, vip4.String(), layer2.OffSubnet, "eth0")
	rounds(10)
	must(t, far.Down("eth0"), far.Up("eth0")) // so fast that it may not be seen
	rounds(15)
	// And no more: a device that changes otherwise is not announced on again.
	m := s.machine
	m.addr(t, "eth0", "198.51.100.1/24")
	eventually(t, func() error {
		for _, l := range s.Links() {
			if l.Name == "eth0" && slices.Contains(l.Prefixes, netip.MustParsePrefix("198.51.100.0/24")) {
				return nil
			}
		}
		return fmt.Errorf("%+v", s.Links())
	})
	rounds(15)
	// Another MAC is another story.
	fresh := layer2.MAC{2, 0, 0, 0, 0, 0x77}
	must(t, m.Link().LinkSetHardwareAddr(m.device(t, "eth0"), hardware(fresh)))
	tap.want(t, arp.Announce(fresh, vip4)[0].Append(nil), func(f []byte) bool { return true })
	rounds(20)
}

// two is a speaker with two cables, and a tap at the end of each.
func two(t *testing.T, options ...func(*lan.Options)) (s *speaker, taps [2]*tap) {
	m := newMachine(t, "speaker")
	for i := range taps {
		far := newMachine(t, "far")
		must(t, far.Sysctl("net.ipv6.conf.default.disable_ipv6", "1"))
		cable(t, m, fmt.Sprintf("eth%d", i), far, "eth0")
		taps[i] = newTap(t, far, "eth0")
	}
	m.addr(t, "eth0", "192.0.2.2/24", "2001:db8::2/64")
	m.addr(t, "eth1", "10.0.0.2/8")
	return start(t, m, options...), taps
}

// An address is announced where its subnet is, or if that is nowhere, everywhere, and
// follows the links and the routes.
func TestSubnets(t *testing.T) {
	t.Parallel()
	s, _ := two(t)
	s.link(t, "eth0", layer2.Usable)
	s.link(t, "eth1", layer2.Usable)
	s.announce(vip4.String(), vip6.String(), "10.1.1.1", "198.51.100.1", "2001:db8:1::1,eth1", "192.0.2.101,eth1")
	s.on(t, vip4.String(), layer2.OnSubnet, "eth0")
	s.on(t, vip6.String(), layer2.OnSubnet, "eth0")
	s.on(t, "10.1.1.1", layer2.OnSubnet, "eth1")
	s.on(t, "198.51.100.1", layer2.OffSubnet, "eth0", "eth1")
	s.on(t, "2001:db8:1::1", layer2.OffSubnet, "eth1")
	s.on(t, "192.0.2.101", layer2.OffSubnet, "eth1")

	// A route through a gateway makes no subnet, one to the link itself does.
	must(t, s.AddRoute(netip.MustParsePrefix("198.51.100.0/24"), netip.MustParseAddr("192.0.2.1")))
	must(t, s.AddLinkRoute(netip.MustParsePrefix("198.51.100.0/25"), "eth1"), s.AddLinkRoute(netip.MustParsePrefix("2001:db8:1::/64"), "eth1"))
	s.on(t, "198.51.100.1", layer2.OnSubnet, "eth1")
	s.on(t, "2001:db8:1::1", layer2.OnSubnet, "eth1")

	must(t, s.Down("eth0"))
	s.on(t, vip4.String(), layer2.OffSubnet, "eth1")
	s.on(t, vip6.String(), layer2.OffSubnet, "eth1")
	must(t, s.Up("eth0"))
	s.on(t, vip4.String(), layer2.OnSubnet, "eth0")
	must(t, s.Down("eth0"), s.Down("eth1"))
	for _, a := range []string{vip4.String(), vip6.String(), "10.1.1.1", "192.0.2.101"} {
		s.on(t, a, layer2.Unreachable)
	}
	// Whoever plans comes to the same answer, for addresses that nobody set too.
	if r := layer2.ReachOf(s.Links(), layer2.Announcement{Addr: netip.MustParseAddr("10.9.9.9")}); r != layer2.Unreachable {
		t.Errorf("10.9.9.9 is %v", r)
	}
}

// An interface that is not named, and one that is excluded, hear nothing and get no
// answer.
func TestInterfaces(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name     string
		announce string
		options  []func(*lan.Options)
	}{
		{"selected", vip4.String() + ",eth0", nil},
		{"excluded", vip4.String(), []func(*lan.Options){exclude("^eth1$")}},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s, taps := two(t, r.options...)
			s.announce(r.announce)
			s.on(t, vip4.String(), layer2.OnSubnet, "eth0")
			peer := layer2.MAC{2, 0, 0, 0, 0, 9}
			ask := func(i int) arp.Packet {
				p := arp.Packet{Dst: arp.Broadcast, Src: peer, Op: arp.Request, SenderMAC: peer, SenderIP: netip.MustParseAddr("192.0.2.1"), TargetIP: vip4}
				taps[i].send(t, p.Append(nil))
				return p
			}
			ask(1)
			own := arp.Packet{Dst: arp.Broadcast, Src: peer, Op: arp.Request, SenderMAC: peer, SenderIP: netip.MustParseAddr("10.0.0.1"), TargetIP: netip.MustParseAddr("10.0.0.2")}
			taps[1].send(t, own.Append(nil)) // the kernel answers this one
			for {
				f := taps[1].next(t)
				if bytes.Contains(f, vip4.AsSlice()) {
					t.Errorf("heard %x", f)
				}
				if bytes.Equal(f, own.Answer(s.mac(t, "eth1")).Append(nil)) {
					break
				}
			}
			question := ask(0)
			taps[0].want(t, question.Answer(s.mac(t, "eth0")).Append(nil), func(f []byte) bool {
				p, err := arp.Parse(f)
				return err != nil || p.Op == arp.Request || p.Dst == arp.Broadcast
			})
		})
	}
}

// Addresses that end alike share a group, and a group is left with its last address.
func TestGroups(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	s.local(t, "eth0")
	s.link(t, "eth0", layer2.Usable)
	joined := func(addr string, want bool) {
		t.Helper()
		group := ndp.SolicitedNode(netip.MustParseAddr(addr))
		eventually(t, func() error {
			if got := slices.Contains(s.groups(t), group); got != want {
				return fmt.Errorf("in %v: %v", group, got)
			}
			return nil
		})
	}
	s.announce("2001:db8::5:100", "2001:db8:1::5:100", "2001:db8::5:200")
	joined("2001:db8::5:100", true)
	joined("2001:db8::5:200", true)
	s.announce("2001:db8:1::5:100")
	joined("2001:db8::5:200", false)
	joined("2001:db8::5:100", true)
	s.announce(vip4.String())
	joined("2001:db8::5:100", false)
	s.announce("2001:db8::5:100")
	joined("2001:db8::5:100", true)
	s.stop()
	joined("2001:db8::5:100", false)

	// More than one socket can be in.
	m := start(t, s.machine)
	const many = 5000
	var list []string
	for i := range many {
		list = append(list, fmt.Sprintf("2001:db8::7:%x", i))
	}
	m.announce(list...)
	m.on(t, list[many-1], layer2.OffSubnet, "eth0")
	eventually(t, func() error {
		if n := len(m.groups(t)); n < many {
			return fmt.Errorf("in %d groups", n)
		}
		return nil
	})
}
