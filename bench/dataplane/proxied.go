package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// proxyName is the row of the real kube-proxy.
const proxyName = "kube-proxy, nftables mode"

// proxied is the Service that the real kube-proxy carries, and its one endpoint.
const proxied = `apiVersion: v1
kind: Service
metadata: {name: bench}
spec: {type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 80, targetPort: 8080, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: bench-1, labels: {kubernetes.io/service-name: bench}}
addressType: IPv4
ports: [{name: "", port: 8080, protocol: UDP}]
endpoints: [{addresses: [ADDRESS], conditions: {ready: true}}]
`

// newProxied returns the first node of a lab whose control plane the real kube-proxy
// follows.
func newProxied(b *testing.B) (*site, error) {
	ctx, stop := context.WithCancel(context.Background())
	b.Cleanup(stop)
	l, err := lab.Start(ctx, lab.Options{Dir: b.TempDir(), Until: lab.StageCluster, KubeProxy: "nftables", Progress: func(string, string) {}})
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() { l.Close() })
	plan := l.Topology().Nodes[0]
	node, err := l.NS(plan.Name)
	if err != nil {
		return nil, err
	}
	segment, err := l.NS(lab.Segment)
	if err != nil {
		return nil, err
	}
	if err := l.StartKubeProxy(ctx, plan.Name); err != nil {
		return nil, err
	}
	pod, err := netns.New("pod")
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() { pod.Close() })
	addrs := map[bool]netip.Addr{true: last(plan.Pods, 77), false: last(l.Topology().Nodes[1].Pods, 77)}
	gateway := netip.MustParseAddr("169.254.1.1")
	for _, step := range []func() error{
		func() error { return netns.Veth(node, "bench0", pod, "eth0") },
		func() error { return node.AddLinkRoute(netip.PrefixFrom(addrs[true], 32), "bench0") },
		func() error { return node.AddAddr("bench0", netip.PrefixFrom(gateway, 32)) },
		func() error { return pod.AddAddr("eth0", netip.PrefixFrom(addrs[true], 32)) },
		func() error { return pod.AddLinkRoute(netip.PrefixFrom(gateway, 32), "eth0") },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	s := &site{name: proxyName, node: node, vip: func(bool) netip.AddrPort { return netip.MustParseAddrPort("192.0.2.10:80") }}
	file := filepath.Join(b.TempDir(), "bench.yaml")
	s.choose = func(local bool) {
		if err := os.WriteFile(file, []byte(strings.Replace(proxied, "ADDRESS", addrs[local].String(), 1)), 0o600); err != nil {
			b.Fatal(err)
		}
		for _, args := range [][]string{
			{"apply", "-f", file},
			{"patch", "svc", "bench", "--subresource=status", "--type=merge", "-p", `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.10"}]}}}`},
		} {
			if _, err := l.Kubectl(ctx, args...); err != nil {
				b.Fatal(err)
			}
		}
		if err := programmed(ctx, node, addrs[local], addrs[!local]); err != nil {
			b.Fatal(err)
		}
	}
	s.wire(b, segment, "port-node0", pod)
	return s, nil
}

// programmed returns when kube-proxy's rules lead to an address, and to another one no more.
func programmed(ctx context.Context, node *netns.NS, want, gone netip.Addr) error {
	for deadline := time.Now().Add(time.Minute); ; {
		rules, err := node.Output(ctx, "nft", "list", "table", "ip", "kube-proxy")
		if err == nil && strings.Contains(rules, want.String()) && strings.Contains(rules, "192.0.2.10") && !strings.Contains(rules, gone.String()) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kube-proxy does not lead to %s (%v):\n%s", want, err, rules)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// last returns an address of an IPv4 network by its last byte.
func last(p netip.Prefix, b byte) netip.Addr {
	a := p.Addr().As4()
	a[3] = b
	return netip.AddrFrom4(a)
}
