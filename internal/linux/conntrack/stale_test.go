package conntrack_test

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/table"
	"github.com/pharoslb/pharos/internal/linux/conntrack"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

// family is the addresses of one family.
type family struct {
	name                       string
	number                     netlink.InetFamily
	client, vip, inside        netip.Addr
	stays, drains, left, never netip.AddrPort
}

var families = []family{{
	"IPv4", unix.AF_INET, netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.96.0.1"),
	netip.MustParseAddrPort("10.244.1.1:8080"), netip.MustParseAddrPort("10.244.1.2:8080"),
	netip.MustParseAddrPort("10.244.1.3:8080"), netip.MustParseAddrPort("10.244.1.4:8080"),
}, {
	"IPv6", unix.AF_INET6, netip.MustParseAddr("fd09::1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("fd96::1"),
	netip.MustParseAddrPort("[fd44:1::1]:8080"), netip.MustParseAddrPort("[fd44:1::2]:8080"),
	netip.MustParseAddrPort("[fd44:1::3]:8080"), netip.MustParseAddrPort("[fd44:1::4]:8080"),
}}

// service has a direct frontend and one that is not, for TCP and UDP each, and pods that are
// ready beside one that drains.
func (f *family) service(ready ...netip.AddrPort) *dataplane.Service {
	s := &dataplane.Service{}
	owners := []table.Endpoint{{Addr: f.drains, Node: "n1", Draining: true}}
	var backends []dataplane.Backend
	for _, a := range ready {
		owners = append(owners, table.Endpoint{Addr: a, Node: "n1"})
		backends = append(backends, dataplane.Backend{Addr: a, Node: "n1", Local: true})
	}
	for i, protocol := range []pharos.Protocol{pharos.TCP, pharos.UDP} {
		s.Groups = append(s.Groups, dataplane.Group{
			Protocol: protocol, IPv6: f.vip.Is6(), Table: table.New(owners), Backends: backends,
		})
		for _, addr := range []netip.Addr{f.vip, f.inside} {
			s.Frontends = append(s.Frontends, dataplane.Frontend{
				Target:  dataplane.Target{Addr: addr, Protocol: protocol, Port: 80},
				Outside: i, Inside: i, Direct: addr == f.vip,
			})
		}
	}
	return s
}

// connection is an entry of the kernel's table: from the client's port to a frontend, which
// led it to a pod.
type connection struct {
	protocol uint8
	to       netip.AddrPort
	pod      netip.AddrPort
}

// remember has the kernel track connections, whose ports on the client's side count from 1.
func remember(t *testing.T, ns *netns.NS, f *family, all []connection) {
	t.Helper()
	for i, c := range all {
		flow := &netlink.ConntrackFlow{FamilyType: uint8(f.number), TimeOut: 3600}
		flow.Forward = netlink.IPTuple{
			Protocol: c.protocol, SrcIP: f.client.AsSlice(), SrcPort: uint16(1 + i), DstIP: c.to.Addr().AsSlice(), DstPort: c.to.Port(),
		}
		flow.Reverse = netlink.IPTuple{
			Protocol: c.protocol, SrcIP: c.pod.Addr().AsSlice(), SrcPort: c.pod.Port(), DstIP: f.client.AsSlice(), DstPort: uint16(1 + i),
		}
		if c.protocol == unix.IPPROTO_TCP {
			flow.ProtoInfo = &netlink.ProtoInfoTCP{State: nlTCPEstablished}
		}
		if err := ns.Do(func() error { return netlink.ConntrackCreate(netlink.ConntrackTable, f.number, flow) }); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
}

// nlTCPEstablished is TCP_CONNTRACK_ESTABLISHED of linux/netfilter/nf_conntrack_tcp.h.
const nlTCPEstablished = 3

// remembered returns the client's ports that the kernel knows connections of.
func remembered(t *testing.T, ns *netns.NS, f *family) (ports []int) {
	t.Helper()
	err := ns.Do(func() error {
		flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, f.number)
		for _, flow := range flows {
			ports = append(ports, int(flow.Forward.SrcPort))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	return ports
}

// When pods of a Service are gone, the kernel forgets UDP that leads to them, and of TCP what
// came to a direct frontend. Nothing else: not what drains, not what was never translated,
// and TCP through other frontends ends by itself.
func TestConnectionsToLostPods(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			ns, err := netns.New("node")
			if err != nil {
				t.Fatal(err)
			}
			defer ns.Close()
			vip, inside, other := netip.AddrPortFrom(f.vip, 80), netip.AddrPortFrom(f.inside, 80), netip.AddrPortFrom(f.vip, 443)
			const tcp, udp = unix.IPPROTO_TCP, unix.IPPROTO_UDP
			all := []struct {
				what string
				connection
				forgotten bool
			}{
				{"TCP, direct, to a pod that is there", connection{tcp, vip, f.stays}, false},
				{"TCP, direct, to a pod that drains", connection{tcp, vip, f.drains}, false},
				{"TCP, direct, to a pod that is gone", connection{tcp, vip, f.left}, true},
				{"TCP, direct, to a pod of long ago", connection{tcp, vip, f.never}, true},
				{"TCP, direct, that nothing translated", connection{tcp, vip, vip}, false},
				{"TCP, not direct, to a pod that is gone", connection{tcp, inside, f.left}, false},
				{"TCP to another frontend", connection{tcp, other, f.left}, false},
				{"UDP, direct, to a pod that is there", connection{udp, vip, f.stays}, false},
				{"UDP, direct, to a pod that is gone", connection{udp, vip, f.left}, true},
				{"UDP, direct, that nothing translated", connection{udp, vip, vip}, true},
				{"UDP, not direct, to a pod that is gone", connection{udp, inside, f.left}, true},
				{"UDP to another frontend", connection{udp, other, f.left}, false},
			}
			var connections []connection
			var want []int
			for i, c := range all {
				connections = append(connections, c.connection)
				if !c.forgotten {
					want = append(want, 1+i)
				}
			}
			remember(t, ns, &f, connections)
			stale := conntrack.Stale{}
			stale.Note(f.service(f.stays, f.left), f.service(f.stays))
			n, err := stale.Flush(ns.Fd())
			if err != nil || int(n) != len(all)-len(want) {
				t.Errorf("%d connections are forgotten, error %v; want %d", n, err, len(all)-len(want))
			}
			left := remembered(t, ns, &f)
			for i, c := range all {
				if there := slices.Contains(left, 1+i); there == c.forgotten {
					t.Errorf("%s: forgotten is %v", c.what, !there)
				}
			}
			if len(stale) != 0 {
				t.Errorf("still stale: %v", stale)
			}
		})
	}
}
