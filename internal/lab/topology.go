package lab

import (
	"encoding/binary"
	"net/netip"
)

// Topology is the lab's addressing plan.
type Topology struct {
	// Segment is the layer-2 segment of nodes, control plane and switch.
	Segment netip.Prefix
	// Switch is the switch's address there, which its own configuration sets;
	// the nodes' default gateway.
	Switch netip.Addr
	// Control is the API server's address on the segment.
	Control netip.Addr
	// Nodes are the cluster's machines.
	Nodes []NodePlan
	// Client is the client's address, with the prefix of its network, behind
	// the switch's second port.
	Client netip.Prefix
	// Gateway is the switch's address there, the client's default gateway.
	Gateway netip.Addr
	// Segment6 is the segment's IPv6 network, from which nodes have addresses too,
	// and Services6 the one of Services' cluster addresses: the cluster is of two
	// families then, its pods of IPv4 alone. Both are zero in one of IPv4.
	Segment6, Services6 netip.Prefix
}

// NodePlan is one machine's addresses.
type NodePlan struct {
	Name  string
	Addr  netip.Addr   // on the segment
	Addr6 netip.Addr   // on Segment6; zero in a cluster of IPv4
	Pods  netip.Prefix // its pod network; the first address is the pods' gateway
}

// The switch's ports, as its configuration's Ethernet1/1 and Ethernet1/2 are
// called in Linux, where a device's name can't have a slash.
const (
	SegmentPort = "Ethernet1-1"
	ClientPort  = "Ethernet1-2"
)

// Walkthrough is the topology of the walk-through:
//
//	client ── Ethernet1-2 [switch] Ethernet1-1 ──┬── cy01-net112   pods 10.233.93.0/24
//	                                             ├── cy01-net113   pods 10.233.119.0/24
//	                                             ├── cy01-net114   pods 10.233.64.0/24
//	                                             └── control       API server, port 6443
func Walkthrough() Topology {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	return Topology{
		Segment: prefix("10.10.2.0/24"),
		Switch:  addr("10.10.2.210"),
		Control: addr("10.10.2.100"),
		Nodes: []NodePlan{
			{Name: "cy01-net112", Addr: addr("10.10.2.112"), Pods: prefix("10.233.93.0/24")},
			{Name: "cy01-net113", Addr: addr("10.10.2.113"), Pods: prefix("10.233.119.0/24")},
			{Name: "cy01-net114", Addr: addr("10.10.2.114"), Pods: prefix("10.233.64.0/24")},
		},
		Client:  prefix("172.16.100.231/24"),
		Gateway: addr("172.16.100.210"),
	}
}

// DualStack is the walk-through's topology, with IPv6 beside IPv4:
//
//	segment fd10:10:2::/64, nodes ::112 to ::114; Services fd10:233::/112
func DualStack() Topology {
	t := Walkthrough()
	t.Segment6, t.Services6 = netip.MustParsePrefix("fd10:10:2::/64"), netip.MustParsePrefix("fd10:233::/112")
	for i, last := range []uint16{0x112, 0x113, 0x114} {
		a := t.Segment6.Addr().As16()
		binary.BigEndian.PutUint16(a[14:], last)
		t.Nodes[i].Addr6 = netip.AddrFrom16(a)
	}
	return t
}

// everywhere is the destination of a default route.
var everywhere = netip.PrefixFrom(netip.IPv4Unspecified(), 0)

// host is a prefix of one address.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
