package dptest

import (
	"fmt"
	"net/netip"
)

// FleetFamily is the Fleet as one address family sees it.
type FleetFamily struct {
	Name     string
	Outside  netip.Prefix   // where the clients are
	Clients  []netip.Addr   // all of one machine
	Segments []netip.Prefix // where the nodes are; the second is the split one's
	Nodes    []netip.Addr
	PodNets  []netip.Prefix
	Services netip.Prefix

	everything netip.Prefix
}

// clients is how many addresses the client has: each brings its own ports.
const clients = 8

func fleetFamilies(split bool) []*FleetFamily {
	v4 := &FleetFamily{
		Name: "IPv4", Outside: netip.MustParsePrefix("10.9.0.0/24"), Services: netip.MustParsePrefix("10.96.0.0/24"),
		everything: netip.PrefixFrom(netip.IPv4Unspecified(), 0),
	}
	v6 := &FleetFamily{
		Name: "IPv6", Outside: netip.MustParsePrefix("fd00:9::/64"), Services: netip.MustParsePrefix("fd00:96::/112"),
		everything: netip.PrefixFrom(netip.IPv6Unspecified(), 0),
	}
	for i := range 2 {
		v4.Segments = append(v4.Segments, netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", i)))
		v6.Segments = append(v6.Segments, netip.MustParsePrefix(fmt.Sprintf("fd00:0:%d::/64", i+1)))
	}
	for i := range fleetNodes {
		v4.PodNets = append(v4.PodNets, netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", i+1)))
		v6.PodNets = append(v6.PodNets, netip.MustParsePrefix(fmt.Sprintf("fd00:244:%d::/64", i+1)))
	}
	for _, f := range []*FleetFamily{v4, v6} {
		for i := range clients {
			f.Clients = append(f.Clients, host(f.Outside, byte(100+i)))
		}
		for i := range fleetNodes {
			segment := f.Segments[0]
			if split && i == fleetNodes-1 {
				segment = f.Segments[1]
			}
			f.Nodes = append(f.Nodes, host(segment, byte(i+1)))
		}
	}
	return []*FleetFamily{v4, v6}
}

// gateway returns the router's address on a segment.
func (f *FleetFamily) gateway(segment int) netip.Addr { return host(f.Segments[segment], 254) }

// VIP is the load balancer's address of the Service, ClusterIP its own.
func (f *FleetFamily) VIP() netip.AddrPort { return netip.AddrPortFrom(host(f.Services, 129), 80) }

// ClusterIP is the Service's own address.
func (f *FleetFamily) ClusterIP() netip.AddrPort { return netip.AddrPortFrom(host(f.Services, 1), 80) }

// is6 reports whether it is IPv6.
func (f *FleetFamily) is6() bool { return f.Outside.Addr().Is6() }

// index is 0 for IPv4 and 1 for IPv6.
func (f *FleetFamily) index() int {
	if f.is6() {
		return 1
	}
	return 0
}

// Families are both address families of the Fleet.
func (f *Fleet) Families() []*FleetFamily { return f.routes }
