package kubelet

import (
	"context"
	"net/netip"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// Machine is the hardware under one kubelet, and its pod network: what the
// topology provides. Its methods are called from several goroutines, and anew
// after each PowerOn: a machine may come back with another namespace.
type Machine interface {
	// Name is the node's name and host name.
	Name() string
	// Addrs are the node's addresses; the first is its InternalIP, the one
	// that pods see as status.hostIP.
	Addrs() []netip.Addr
	// PodCIDRs are the node's pod networks, one per IP family.
	PodCIDRs() []netip.Prefix
	// NS is the node's own network namespace, where its hostNetwork pods run
	// and where the kubelet dials and listens. It stays open from PowerOn (or
	// Run) until PowerOff (or Run) returned.
	NS() *netns.NS
	// AddPod gives a pod a namespace of its own with an address from PodCIDRs,
	// reachable from the node and by its routes.
	AddPod(ctx context.Context, pod PodRef) (PodNet, error)
}

// PodRef names one pod for good: a pod recreated under the same name has
// another UID.
type PodRef struct {
	Namespace, Name, UID string
}

// PodNet is the network of one pod.
type PodNet struct {
	// NS is open until Close is called.
	NS *netns.NS
	// Addrs are the pod's addresses, the primary one first; not empty.
	Addrs []netip.Addr
	// Close gives address and namespace back. It is called once, when no
	// process of the pod is left.
	Close func() error
}
