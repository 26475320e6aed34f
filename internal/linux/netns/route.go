package netns

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// AddLinkRoute adds a route to a prefix that is reached directly on a device,
// without a gateway.
func (n *NS) AddLinkRoute(prefix netip.Prefix, device string) error {
	l, err := n.device(device)
	if err != nil {
		return err
	}
	route := &netlink.Route{Dst: ipNet(prefix), LinkIndex: l.Attrs().Index, Scope: netlink.SCOPE_LINK}
	if err := n.link.RouteAdd(route); err != nil {
		return fmt.Errorf("%s: add route %s dev %s: %w", n.name, prefix, device, err)
	}
	return nil
}

// ReplaceRoute puts a route by way of gateways, among which connections are
// spread, in the place of the one to the same prefix if there is one. An mtu
// other than zero is the largest packet that the route takes.
func (n *NS) ReplaceRoute(prefix netip.Prefix, mtu int, gateways ...netip.Addr) error {
	route := &netlink.Route{Dst: ipNet(prefix), MTU: mtu, MTULock: mtu != 0}
	if len(gateways) == 1 {
		route.Gw = gateways[0].AsSlice()
	} else {
		for _, g := range gateways {
			route.MultiPath = append(route.MultiPath, &netlink.NexthopInfo{Gw: g.AsSlice()})
		}
	}
	if err := n.link.RouteReplace(route); err != nil {
		return fmt.Errorf("%s: replace route %s via %v: %w", n.name, prefix, gateways, err)
	}
	return nil
}
