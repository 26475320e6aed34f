package lab

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"sync"

	"github.com/pharoslb/pharos/internal/lab/kubelet"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// node is one machine: the hardware under a kubelet. Pods are joined to it by
// routed cables, as Calico does, not by a bridge: a reply from a pod to its
// neighbour on the same node then passes the node's connection tracking too,
// without br_netfilter.
//
//	pod eth0 10.233.93.2/32 ── vethNNNNNNNN 10.233.93.1/32 [node] eth0 10.10.2.112/24 ── segment
type node struct {
	plan NodePlan
	net  *network
	port string // its port on the segment

	mu   sync.Mutex
	ns   *netns.NS // nil: powered off
	used map[netip.Addr]bool
	last netip.Addr // handed out latest; addresses rest before they are used again
}

func newNode(n *network, index int) *node {
	plan := n.plan.Nodes[index]
	return &node{
		plan: plan, net: n, port: fmt.Sprintf("port-node%d", index),
		used: map[netip.Addr]bool{}, last: gateway(plan.Pods),
	}
}

// gateway is the node's own address on its pods' cables.
func gateway(pods netip.Prefix) netip.Addr { return pods.Masked().Addr().Next() }

// on makes the machine's namespace and plugs its cable in.
func (n *node) on() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ns != nil {
		return nil
	}
	ns, err := n.net.machine(n.plan, n.port)
	if err != nil {
		return err
	}
	n.ns = ns
	return nil
}

// unplug cuts the cable: nothing that the machine says from now on is heard.
func (n *node) unplug() error { return n.net.segment.Down(n.port) }

// off destroys the machine's namespace, whose processes have ended before.
func (n *node) off() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ns == nil {
		return nil
	}
	err := errors.Join(n.net.segment.Delete(n.port), n.ns.Close())
	n.ns = nil
	return err
}

func (n *node) Name() string             { return n.plan.Name }
func (n *node) PodCIDRs() []netip.Prefix { return []netip.Prefix{n.plan.Pods} }

func (n *node) Addrs() []netip.Addr {
	if n.plan.Addr6.IsValid() {
		return []netip.Addr{n.plan.Addr, n.plan.Addr6}
	}
	return []netip.Addr{n.plan.Addr}
}

// NS is the machine's namespace, nil while it is powered off.
func (n *node) NS() *netns.NS {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ns
}

// AddPod gives a pod a namespace and the next free address.
func (n *node) AddPod(_ context.Context, pod kubelet.PodRef) (kubelet.PodNet, error) {
	machine := n.NS()
	if machine == nil {
		return kubelet.PodNet{}, fmt.Errorf("node %s is powered off", n.plan.Name)
	}
	addr, err := n.take()
	if err != nil {
		return kubelet.PodNet{}, err
	}
	hash := fnv.New32a()
	hash.Write([]byte(pod.UID))
	device := fmt.Sprintf("veth%08x", hash.Sum32())
	ns, err := netns.New("pod/" + pod.Name)
	if err != nil {
		n.release(addr)
		return kubelet.PodNet{}, err
	}
	via := gateway(n.plan.Pods)
	err = first(
		func() error { return netns.Veth(ns, uplink, machine, device) },
		func() error { return machine.AddAddr(device, host(via)) },
		func() error { return machine.AddLinkRoute(host(addr), device) },
		func() error { return ns.AddAddr(uplink, host(addr)) },
		func() error { return ns.AddLinkRoute(host(via), uplink) },
		func() error { return ns.AddRoute(everywhere, via) },
	)
	remove := func() error {
		// The cable goes at once, and with it the route to the address; the
		// namespace may linger until the kernel has swept it.
		err := ns.Delete(uplink)
		n.release(addr)
		return errors.Join(err, ns.Close())
	}
	if err != nil {
		remove()
		return kubelet.PodNet{}, fmt.Errorf("network of pod %s: %w", pod.Name, err)
	}
	return kubelet.PodNet{NS: ns, Addrs: []netip.Addr{addr}, Close: remove}, nil
}

// take hands out the pod network's next free address.
func (n *node) take() (netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pods := n.plan.Pods.Masked()
	for a := n.last.Next(); ; a = a.Next() {
		if !pods.Contains(a) || !pods.Contains(a.Next()) { // the end, and the broadcast address
			a = gateway(pods)
		}
		if a != gateway(pods) && !n.used[a] {
			n.used[a], n.last = true, a
			return a, nil
		}
		if a == n.last {
			return netip.Addr{}, fmt.Errorf("node %s: no free address in %s", n.plan.Name, pods)
		}
	}
}

func (n *node) release(a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.used, a)
}
