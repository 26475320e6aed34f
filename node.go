package pharos

import "net/netip"

// ExcludeLabel takes a node out of external load balancing by its presence.
const ExcludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers"

// Node is one machine of the cluster.
type Node struct {
	Name      string
	Labels    map[string]string
	Addresses []netip.Addr   // internal addresses, in the API's order
	PodCIDRs  []netip.Prefix // the node's share of the pod network

	// NetworkUnavailable is the condition of that name being true; NotReady is
	// the condition Ready being anything else than true: the kubelet has not been
	// heard of, or says so.
	NetworkUnavailable bool
	NotReady           bool
}

// Excluded reports whether the node carries ExcludeLabel.
func (n *Node) Excluded() bool {
	_, ok := n.Labels[ExcludeLabel]
	return ok
}
