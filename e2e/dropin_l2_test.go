package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pharoslb/pharos/internal/lab"
)

// lan are the addresses of the nodes' own segment that the layer 2 cases use.
func lan(name, addresses, advertisement string) string {
	return manual(name, addresses) + object("L2Advertisement", name, "\nipAddressPools: ["+name+"]\n"+advertisement)
}

// elected is the node that MetalLB's rule has announce an address, of some: the
// least digest of name and address. It is computed here once more, so that the
// product's own computation is held to it.
func elected(addr string, nodes ...string) string {
	return slices.MinFunc(nodes, func(a, b string) int {
		x, y := sha256.Sum256([]byte(a+"#"+addr)), sha256.Sum256([]byte(b+"#"+addr))
		return slices.Compare(x[:], y[:])
	})
}

// nodes are the names of all nodes.
func (w world) nodes() []string {
	var names []string
	for _, n := range w.Topology().Nodes {
		names = append(names, n.Name)
	}
	return names
}

// mac is a node's hardware address on the segment.
func (w world) mac(node string) string {
	w.t.Helper()
	out, err := w.Output(w.t.Context(), node, "ip", "-o", "link", "show", "eth0")
	f := strings.Fields(out)
	i := slices.Index(f, "link/ether")
	if err != nil || i < 0 {
		w.t.Fatalf("%s: %v", out, err)
	}
	return f[i+1]
}

// answerer asks a neighbour on the segment anew for an address, and returns the
// hardware address that it hears: nobody, if none.
func (w world) answerer(addr string) (string, error) {
	// The control plane's machine is on the segment, and has no route that BGP
	// made; of IPv6 the switch alone is.
	asker, family, url := lab.Control, "-4", "http://"+addr
	if strings.Contains(addr, ":") {
		asker, family, url = lab.Switch, "-6", "http://["+addr+"]"
	}
	w.Output(w.t.Context(), asker, "ip", family, "neigh", "flush", "to", addr)
	w.Output(w.t.Context(), asker, "curl", "-s", "--connect-timeout", "1", url) // what is asked for is the neighbour, not the page
	out, err := w.Output(w.t.Context(), asker, "ip", family, "neigh", "show", addr)
	if err != nil {
		return "", err
	}
	if f := strings.Fields(out); slices.Contains(f, "lladdr") {
		return f[slices.Index(f, "lladdr")+1], nil
	}
	return "nobody", nil
}

// answered waits until a node is heard for an address; an empty one means that
// nobody is.
func (w world) answered(addr, node string) {
	w.t.Helper()
	want := "nobody"
	if node != "" {
		want = w.mac(node)
	}
	w.eventually(fmt.Sprintf("%s (%s) answers for %s", node, want, addr), func() error {
		got, err := w.answerer(addr)
		if err == nil && got != want {
			err = errors.New(got + " does")
		}
		return err
	})
}

var layer2Cases = []dropIn{
	{name: "layer 2 address as MetalLB elects", apply: lan("flat", "10.10.2.224-10.10.2.239", ""), check: func(w world) {
		for i := range 4 {
			name := fmt.Sprintf("flat-%d", i)
			w.service(name, from("flat"), "")
			addr := w.allocated(name)
			owner := elected(addr, w.nodes()...)
			w.answered(addr, owner)
			w.served(addr, 3)
			w.says("kubectl get events --field-selector involvedObject.name="+name, "nodeAssigned", owner, `protocol "layer2"`)
			w.says("kubectl get servicel2status -n metallb-system -l metallb.io/service-name="+name+" -o 'jsonpath={.items[*].status}'", owner)
		}
	}},
	{name: "layer 2 address of IPv6", apply: lan("flat-six", "10.10.2.202/32, fd10:10:2::e0-fd10:10:2::ef", ""), check: func(w world) {
		// The lab's pods are of IPv4 alone, so that a Service of IPv6 alone would
		// have no endpoints. Both addresses are the first one's owner's.
		w.service("flat-six", from("flat-six"), "ipFamilyPolicy: RequireDualStack")
		w.given("flat-six", "10.10.2.202", "fd10:10:2::e0")
		owner := elected("10.10.2.202", w.nodes()...)
		w.answered("10.10.2.202", owner)
		w.answered("fd10:10:2::e0", owner)
	}},
	{name: "layer 2 on some nodes", apply: manual("few", "10.10.2.216/30") + object("L2Advertisement", "few", `
ipAddressPoolSelectors: [{matchLabels: {pool: few}}]
nodeSelectors: [{matchLabels: {kubernetes.io/hostname: cy01-net114}}]
interfaces: [eth0]`), check: func(w world) {
		w.service("few", from("few"), "")
		w.answered(w.allocated("few"), "cy01-net114")
		w.says("kubectl get servicel2status -n metallb-system -l metallb.io/service-name=few -o 'jsonpath={.items[*].status}'", "cy01-net114", "eth0")
	}},
	{name: "layer 2 on an interface that is not there", apply: lan("nic", "10.10.2.220/32", "interfaces: [eth7]\n"), check: func(w world) {
		w.service("nic", from("nic"), "")
		addr := w.allocated("nic")
		w.says("kubectl get events --field-selector type=Warning,involvedObject.name=nic", "announceFailed", "eth7")
		w.answered(addr, "")
	}},
	{name: "preferred nodes of layer 2", apply: lan("liked", "10.10.2.221/32", `preferredNodeSelectors:
- {weight: 10, preference: {matchLabels: {kubernetes.io/hostname: cy01-net112}}}
- {weight: 10, preference: {matchLabels: {kubernetes.io/hostname: cy01-net113}}}
- {weight: 5, preference: {matchLabels: {kubernetes.io/hostname: cy01-net113}}}
`), check: func(w world) {
		w.service("liked", from("liked"), "")
		addr := w.allocated("liked")
		w.answered(addr, "cy01-net113")
		const label = "node.kubernetes.io/exclude-from-external-load-balancers"
		w.sh("kubectl label node cy01-net113 " + label + "=")
		w.answered(addr, "cy01-net112")
		w.sh("kubectl label node cy01-net113 " + label + "-")
		w.answered(addr, "cy01-net113")
	}},
	{name: "layer 2 for some Services", apply: manual("chosen", "10.10.2.200-10.10.2.201") + object("L2Advertisement", "chosen", `
ipAddressPools: [chosen]
serviceSelectors: [{matchLabels: {public: "true"}}]`), check: func(w world) {
		w.service("chosen", from("chosen"), "")
		addr := w.allocated("chosen")
		w.answered(addr, "")
		w.sh("kubectl label svc chosen public=true")
		w.answered(addr, elected(addr, w.nodes()...))
	}},
	{name: "BGP and layer 2 at once", apply: lan("two-ways", "10.10.2.212/31", "") + object("BGPAdvertisement", "two-ways", "\nipAddressPools: [two-ways]"), check: func(w world) {
		w.service("two-ways", from("two-ways"), "")
		addr := w.allocated("two-ways")
		w.answered(addr, elected(addr, w.nodes()...))
		w.routed(addr, w.addrs()...)
	}},
	{name: "layer 2 where endpoints are", apply: lan("local", "10.10.2.214/31", ""), check: func(w world) {
		w.service("local", from("local"), "externalTrafficPolicy: Local")
		addr := w.allocated("local")
		w.answered(addr, elected(addr, w.nodes()...))
		w.patch("local", `{"spec":{"selector":{"app":"nobody"}}}`)
		w.answered(addr, "")
	}},
	{name: "layer 2 owner loses its power", apply: lan("moving", "10.10.2.208/30", ""), check: func(w world) {
		w.service("moving", from("moving"), "")
		addr := w.allocated("moving")
		owner := elected(addr, w.nodes()...)
		w.answered(addr, owner)
		if err := w.PowerOff(owner); err != nil {
			w.t.Fatal(err)
		}
		heir := elected(addr, slices.DeleteFunc(w.nodes(), func(n string) bool { return n == owner })...)
		w.answered(addr, heir)
		if err := w.PowerOn(owner); err != nil {
			w.t.Fatal(err)
		}
		if err := w.Ready(w.t.Context(), owner); err != nil {
			w.t.Fatal(err)
		}
		w.answered(addr, owner)
	}},
	{name: "layer 2 owner that no other speaker hears", apply: lan("lonely", "10.10.2.206/31", ""), check: func(w world) {
		w.service("lonely", from("lonely"), "")
		addr := w.allocated("lonely")
		owner := elected(addr, w.nodes()...)
		w.answered(addr, owner)
		cut := func(rule ...string) {
			if _, err := w.Output(w.t.Context(), owner, append([]string{"nft"}, rule...)...); err != nil {
				w.t.Fatal(err)
			}
		}
		cut("add table inet trial; add chain inet trial in { type filter hook input priority 0; }; add rule inet trial in meta l4proto { tcp, udp } th dport 7946 drop; add rule inet trial in meta l4proto { tcp, udp } th sport 7946 drop")
		at := w.addrsOf(owner)[0]
		w.measures(owner, at, "pharos_layer2_fenced 1")
		heir := elected(addr, slices.DeleteFunc(w.nodes(), func(n string) bool { return n == owner })...)
		w.answered(addr, heir)
		for range 10 { // and nobody else
			if got, err := w.answerer(addr); err != nil || got != w.mac(heir) {
				w.t.Errorf("%s answers for %s, and %s is to alone: %v", got, addr, heir, err)
			}
		}
		cut("delete table inet trial")
		w.measures(owner, at, "pharos_layer2_fenced 0")
		w.answered(addr, owner)
	}},
	{name: "ConfigMap's layer 2 pool", check: func(w world) {
		w.configure("address-pools:\n- name: old-flat\n  protocol: layer2\n  auto-assign: false\n  addresses: [10.10.2.204/31]\n")
		w.finally(func() { w.sh("kubectl delete configmap -n metallb-system config") })
		w.service("old-flat", from("old-flat"), "")
		addr := w.allocated("old-flat")
		w.answered(addr, elected(addr, w.nodes()...))
	}},
}
