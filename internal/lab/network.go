package lab

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

const (
	bridge = "br0"  // the segment's bridge
	uplink = "eth0" // the one device of client, control plane and pods; a node's on the segment
)

// network is the part of the topology that stays while machines come and go.
type network struct {
	plan                         Topology
	segment, control, sw, client *netns.NS
}

// newNetwork lays the cables between segment, control plane, switch and
// client. The switch's ports have no address: its own configuration says which.
func newNetwork(plan Topology) (*network, error) {
	n := &network{plan: plan}
	if err := n.build(); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *network) build() error {
	for _, m := range []struct {
		ns   **netns.NS
		name string
	}{{&n.segment, Segment}, {&n.control, Control}, {&n.sw, Switch}, {&n.client, Client}} {
		ns, err := netns.New(m.name)
		if err != nil {
			return err
		}
		*m.ns = ns
	}
	return first(
		func() error { return n.segment.AddBridge(bridge) },
		func() error { return n.plug(n.sw, SegmentPort, "port-switch") },
		func() error { return n.plug(n.control, uplink, "port-control") },
		func() error { return n.address(n.control, n.plan.Control) },
		func() error { return n.podRoutes(n.control, "") },
		func() error { return netns.Veth(n.client, uplink, n.sw, ClientPort) },
		func() error { return n.client.AddAddr(uplink, n.plan.Client) },
		func() error { return n.client.AddRoute(everywhere, n.plan.Gateway) },
	)
}

// plug joins a namespace's device to the segment.
func (n *network) plug(ns *netns.NS, device, port string) error {
	if err := netns.Veth(ns, device, n.segment, port); err != nil {
		return err
	}
	return n.segment.Enslave(port, bridge)
}

// address gives a machine its place on the segment, with the switch as the way
// out. Its hardware address follows from the other, so that a machine comes back
// from a reboot with the network card that its neighbors remember.
func (n *network) address(ns *netns.NS, a netip.Addr) error {
	card, err := ns.Link().LinkByName(uplink)
	if err != nil {
		return fmt.Errorf("%s: device %s: %w", ns.Name(), uplink, err)
	}
	ip := a.As4()
	if err := ns.Link().LinkSetHardwareAddr(card, net.HardwareAddr{0x02, 0, ip[0], ip[1], ip[2], ip[3]}); err != nil {
		return fmt.Errorf("%s: set hardware address: %w", ns.Name(), err)
	}
	if err := ns.AddAddr(uplink, netip.PrefixFrom(a, n.plan.Segment.Bits())); err != nil {
		return err
	}
	return ns.AddRoute(everywhere, n.plan.Switch)
}

// podRoutes leads to every node's pods by way of that node, except self's.
func (n *network) podRoutes(ns *netns.NS, self string) error {
	for _, node := range n.plan.Nodes {
		if node.Name == self {
			continue
		}
		if err := ns.AddRoute(node.Pods, node.Addr); err != nil {
			return err
		}
	}
	return nil
}

// machine makes a node's namespace and plugs it in.
func (n *network) machine(plan NodePlan, port string) (*netns.NS, error) {
	ns, err := netns.New(plan.Name)
	if err != nil {
		return nil, err
	}
	steps := []func() error{
		func() error { return ns.Sysctl("net.ipv4.ip_forward", "1") },
	}
	// A new namespace inherits these from the host; the lab's machines start
	// with what the kernel starts with.
	for _, key := range []string{"arp_ignore", "arp_announce", "rp_filter"} {
		for _, device := range []string{"all", "default"} {
			steps = append(steps, func() error { return ns.Sysctl("net.ipv4.conf."+device+"."+key, strconv.Itoa(0)) })
		}
	}
	steps = append(steps,
		func() error { return n.plug(ns, uplink, port) },
		func() error { return n.address(ns, plan.Addr) },
		func() error { return n.podRoutes(ns, plan.Name) },
	)
	if plan.Addr6.IsValid() {
		steps = append(steps, func() error { return ns.AddAddr(uplink, netip.PrefixFrom(plan.Addr6, n.plan.Segment6.Bits())) })
	}
	if err := first(steps...); err != nil {
		ns.Close()
		return nil, fmt.Errorf("node %s: %w", plan.Name, err)
	}
	return ns, nil
}

// close gives the namespaces up; what is plugged into them goes with them.
func (n *network) close() {
	for _, ns := range []*netns.NS{n.client, n.sw, n.control, n.segment} {
		if ns != nil {
			ns.Close()
		}
	}
}

// first runs steps until one fails.
func first(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
