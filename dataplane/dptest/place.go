package dptest

import (
	"net/netip"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// Place is where a connection starts.
type Place int

// The places of the World.
const (
	Client  Place = iota // outside the cluster
	Client2              // the same machine's other address
	Node1                // the node with the data plane under test
	Pod1                 // on that node
	Pod2
	Pod3 // on the other node
	places
)

var placeNames = [places]string{"client", "client 2", "node", "pod 1", "pod 2", "pod 3"}

// String returns the place's name.
func (p Place) String() string { return placeNames[p] }

// NodeName is the name of the node with the data plane under test; its sibling
// has none.
const (
	NodeName  = "n1"
	OtherNode = "n2"
)

// Family is the World as one address family sees it.
type Family struct {
	Name      string
	Addrs     [places]netip.Addr
	Other     netip.Addr   // of n2
	Segment   netip.Prefix // the length of addresses on the segment
	PodNets   [2]netip.Prefix
	Gateways  [2]netip.Addr // of the pods, on either node
	Services  netip.Prefix  // all addresses of Services
	ClusterIP func(i byte) netip.Addr
	VIP       func(i byte) netip.Addr
	any       netip.Addr
}

// Families are both address families.
var Families = []*Family{
	family("IPv4", "10.0.0.0/24", "10.244.1.0/24", "10.244.2.0/24", "10.96.0.0/16", netip.IPv4Unspecified()),
	family("IPv6", "fd00:a::/64", "fd00:244:1::/64", "fd00:244:2::/64", "fd00:96::/32", netip.IPv6Unspecified()),
}

func family(name, segment, net1, net2, services string, any netip.Addr) *Family {
	f := &Family{
		Name: name, Segment: netip.MustParsePrefix(segment), Services: netip.MustParsePrefix(services), any: any,
		PodNets: [2]netip.Prefix{netip.MustParsePrefix(net1), netip.MustParsePrefix(net2)},
	}
	f.Addrs = [places]netip.Addr{
		Client: host(f.Segment, 100), Client2: host(f.Segment, 101), Node1: host(f.Segment, 1),
		Pod1: host(f.PodNets[0], 11), Pod2: host(f.PodNets[0], 12), Pod3: host(f.PodNets[1], 11),
	}
	f.Other = host(f.Segment, 2)
	f.Gateways = [2]netip.Addr{host(f.PodNets[0], 1), host(f.PodNets[1], 1)}
	f.ClusterIP = func(i byte) netip.Addr { return host(f.Services, i) }
	f.VIP = func(i byte) netip.Addr { return host(f.Services, 128+i) }
	return f
}

// host returns an address of a network by its last byte.
func host(p netip.Prefix, last byte) netip.Addr {
	b := p.Addr().AsSlice()
	b[len(b)-1] = last
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Packet returns the first packet of a connection.
func (f *Family) Packet(from Place, to netip.Addr, port uint16, protocol pharos.Protocol) dataplane.Packet {
	return dataplane.Packet{Src: f.Addrs[from], Dst: netip.AddrPortFrom(to, port), Protocol: protocol, Own: from == Node1}
}

// Nodes are the World's nodes as the API has them.
func Nodes() pharos.Map[string, *pharos.Node] {
	n1, n2 := &pharos.Node{Name: NodeName}, &pharos.Node{Name: OtherNode}
	for _, f := range Families {
		n1.Addresses, n1.PodCIDRs = append(n1.Addresses, f.Addrs[Node1]), append(n1.PodCIDRs, f.PodNets[0])
		n2.Addresses, n2.PodCIDRs = append(n2.Addresses, f.Other), append(n2.PodCIDRs, f.PodNets[1])
	}
	return pharos.MapOf(map[string]*pharos.Node{NodeName: n1, OtherNode: n2})
}
