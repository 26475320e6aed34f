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
