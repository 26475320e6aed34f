package cluster

import (
	"context"
	"net/netip"
	"os/exec"
)

// kubeProxyUser is who kube-proxy is to the API server, which has a role ready
// for it.
const kubeProxyUser = "kube-proxy"

// KubeProxyHealth is where a node's kube-proxy tells that it has programmed the
// kernel.
const KubeProxyHealth = "127.0.0.1:10256"

// KubeProxyConfig is the kubeconfig file of kube-proxy; it names no other files.
func (c *Cluster) KubeProxyConfig() string { return c.layout.kubeconfig(kubeProxyUser) }

// KubeProxy prepares the real kube-proxy of a node, in a mode of its own:
// iptables, nftables or ipvs. pods is the node's pod network. It is to be
// started in the node's namespace, with KubeProxyConfig as its standard input:
// the node may not see where that file is.
func (c *Cluster) KubeProxy(node, mode string, pods netip.Prefix) *exec.Cmd {
	return c.command(context.Background(), kubeProxyUser,
		"--kubeconfig=/dev/stdin",
		"--hostname-override="+node,
		"--proxy-mode="+mode,
		"--detect-local-mode=ClusterCIDR", "--cluster-cidr="+pods.String(),
		"--healthz-bind-address="+KubeProxyHealth,
		"--metrics-bind-address=127.0.0.1:10249",
		// Many nodes share this kernel, and its connection table.
		"--conntrack-max-per-core=0",
	)
}
