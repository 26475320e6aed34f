package e2e

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/internal/lab"
)

// pools is the walk-through's configuration and pools of further kinds, for
// Services that ask for them.
const pools = good + `- name: small
  protocol: bgp
  auto-assign: false
  addresses:
  - 172.19.101.8-172.19.101.9
- name: wide
  protocol: bgp
  auto-assign: false
  addresses:
  - 172.19.102.0/24
  bgp-advertisements:
  - aggregation-length: 24
    communities:
    - 65211:100
- name: flat
  protocol: layer2
  auto-assign: false
  addresses:
  - 10.10.2.240-10.10.2.249
`

// What Services ask for and get: addresses, announcements, and what becomes of
// packets of real clients. It ends with what the product's accounts may do.
func TestServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure(pools)
	w.mirrors()
	for _, ask := range []struct {
		name string
		run  func(world)
	}{
		{"contradictory requests", contradictoryRequests},
		{"exhausted pool", exhaustedPool},
		{"layer 2 pool", layer2Pool},
		{"aggregated announcement", aggregatedAnnouncement},
		{"excluded node", excludedNode},
		{"peer of some nodes", peerOfSomeNodes},
		{"node ports", nodePorts},
		{"external addresses", externalAddresses},
		{"source ranges", sourceRanges},
		{"affinity", affinity},
		{"datagrams", datagrams},
		{"hairpin", hairpin},
		{"API server from a pod", apiServerFromPod},
		{"least privilege", leastPrivilege},
		{"local endpoints", localEndpoints},
	} {
		t.Run(ask.name, func(t *testing.T) { ask.run(w.in(t)) })
	}
}

// A Service that asks for what can't be gets an event that says why; nobody else
// notices.
func contradictoryRequests(w world) {
	untouched := func() string {
		return w.sh("kubectl get svc ng-svc kubernetes -o jsonpath={.items[*].metadata.resourceVersion}")
	}
	before := untouched()
	for _, request := range []struct {
		name, annotations, spec string
		event                   []string
	}{
		{"nowhere", "metallb.io/address-pool: moon", "", []string{"AllocationFailed", `there is no pool "moon"`}},
		{"outside", "metallb.io/loadBalancerIPs: 192.0.2.1", "", []string{"AllocationFailed", "192.0.2.1"}},
		{"taken", "", "loadBalancerIP: " + lab.VIP, []string{"AllocationFailed", lab.VIP, "default/ng-svc"}},
		{"elsewhere", "metallb.io/address-pool: small", "loadBalancerIP: 172.19.100.77", []string{"AllocationFailed", "172.19.100.77", "small"}},
		{"twice", "metallb.io/loadBalancerIPs: 172.19.100.7", "loadBalancerIP: 172.19.100.8", []string{"LoadBalancerFailed", "172.19.100.7", "172.19.100.8"}},
		{"nonsense", "metallb.io/loadBalancerIPs: first", "", []string{"LoadBalancerFailed", `"first" is not an IP address`}},
	} {
		w.apply(balanced(request.name, "80", request.annotations, request.spec))
		w.says("kubectl get events --field-selector type=Warning,involvedObject.name="+request.name, request.event...)
		if got := w.ingress(request.name); got != "" {
			w.t.Errorf("%s has %s", request.name, got)
		}
	}
	// A request that can be granted is, the others notwithstanding.
	w.patch("twice", `{"spec":{"loadBalancerIP":null}}`)
	if got := w.allocated("twice"); got != "172.19.100.7" {
		w.t.Errorf("corrected, it has %s", got)
	}
	w.routed("172.19.100.7", w.addrs()...)
	if now := untouched(); now != before {
		w.t.Errorf("versions of the other Services are %s, were %s", now, before)
	}
	w.remove("nowhere", "outside", "taken", "elsewhere", "twice", "nonsense")
	w.routed("172.19.100.7")
}

// Who comes too late waits, and is served by itself once there is something.
func exhaustedPool(w world) {
	const small = "metallb.io/address-pool: small"
	w.apply(balanced("first", "80", small, ""))
	first := w.allocated("first")
	w.apply(balanced("second", "80", small, ""))
	if second := w.allocated("second"); second == first {
		w.t.Errorf("both have %s", first)
	}
	w.apply(balanced("third", "80", small, ""))
	w.says("kubectl get events --field-selector type=Warning,involvedObject.name=third", "AllocationFailed", "no free IPv4 address", "small")
	if got := w.ingress("third"); got != "" {
		w.t.Errorf("the third has %s", got)
	}
	w.remove("first")
	if got := w.allocated("third"); got != first {
		w.t.Errorf("the third has %s, though %s was given back", got, first)
	}
	w.routed(first, w.addrs()...)
	w.served(first, 5)
	w.remove("second", "third")
	w.routed(first)
}

// An address of a layer 2 pool is announced by the one node that MetalLB would elect, and
// not over BGP.
func layer2Pool(w world) {
	w.apply(balanced("flat", "80", "metallb.io/address-pool: flat", ""))
	addr := w.allocated("flat")
	var candidates []election.Candidate
	for _, n := range w.Topology().Nodes {
		candidates = append(candidates, election.Candidate{Node: n.Name})
	}
	owner := election.Elect(netip.MustParseAddr(addr), candidates, "")
	for _, n := range w.Topology().Nodes {
		told, because := "no, notOwner: node "+owner+" announces "+addr, "notOwner: node "+owner
		if n.Name == owner {
			told, because = "by layer2", `announcing from node "`+owner+`" with protocol "layer2"`
		}
		w.shows(n.Name, []string{"default/flat", addr, told}, product, "status")
		w.shows(n.Name, []string{because}, product, "explain", "flat")
	}
	// What came later is announced already.
	w.apply(balanced("later", "80", "", ""))
	w.routed(w.allocated("later"), w.addrs()...)
	w.routed(addr)
	w.remove("flat", "later")
}

// Two Services of one aggregate: it is announced as long as there is one.
func aggregatedAnnouncement(w world) {
	const wide, aggregate = "metallb.io/address-pool: wide", "172.19.102.0/24"
	w.apply(balanced("one", "80", wide, ""))
	w.apply(balanced("two", "80", wide, ""))
	one, two := w.allocated("one"), w.allocated("two")
	w.routed(aggregate, w.addrs()...)
	w.switchShows("show ip bgp "+aggregate, aggregate, "Community: 65211:100")
	w.served(one, 5)
	w.served(two, 5)
	w.routed(one) // no host route
	w.remove("one")
	w.apply(balanced("later", "80", "", ""))
	w.routed(w.allocated("later"), w.addrs()...)
	w.routed(aggregate, w.addrs()...)
	w.served(two, 5)
	w.remove("two", "later")
	w.routed(aggregate)
}

// A node with the well-known label announces nothing, until the label goes.
func excludedNode(w world) {
	node := w.Topology().Nodes[2]
	const label = "node.kubernetes.io/exclude-from-external-load-balancers"
	w.sh("kubectl label node " + node.Name + " " + label + "=")
	w.routed(lab.VIP, slices.DeleteFunc(w.addrs(), func(a string) bool { return a == node.Addr.String() })...)
	w.shows(node.Name, []string{"nodeLabeledExcludeBalancers"}, product, "explain", "ng-svc")
	w.served(lab.VIP, 10)
	w.sh("kubectl label node " + node.Name + " " + label + "-")
	w.routed(lab.VIP, w.addrs()...)
}

// A peer with node selectors has sessions with those nodes alone.
func peerOfSomeNodes(w world) {
	node := w.Topology().Nodes[0]
	w.configure(strings.Replace(pools, "  my-asn: 65211\n", "  my-asn: 65211\n  node-selectors:\n  - match-labels:\n      kubernetes.io/hostname: "+node.Name+"\n", 1))
	w.routed(lab.VIP, node.Addr.String())
	for _, other := range w.Topology().Nodes[1:] {
		out, err := w.Output(w.t.Context(), other.Name, "ss", "-Htn", "state", "established", "dport = :179")
		if err != nil || out != "" {
			w.t.Errorf("%s has a session: %s (%v)", other.Name, out, err)
		}
	}
	w.served(lab.VIP, 10)
	w.configure(pools)
	w.routed(lab.VIP, w.addrs()...)
}

// Every node answers at a Service's node port, with any pod.
func nodePorts(w world) {
	w.apply(balanced("open", mirrorTCP, "", ""))
	defer w.remove("open")
	port := w.field("svc open", ".spec.ports[0].nodePort")
	for _, n := range w.Topology().Nodes {
		if pods := met(w.meetings(lab.Client, "tcp", net.JoinHostPort(n.Addr.String(), port), 30)); len(pods) != 3 {
			w.t.Errorf("at %s answered %v", n.Name, pods)
		}
	}
}

// What is routed to a node for an external address is served there.
func externalAddresses(w world) {
	const external = "172.19.200.1"
	node := w.Topology().Nodes[1]
	w.apply(balanced("owned", mirrorTCP, "", "externalIPs: ["+external+"]"))
	defer w.remove("owned")
	for _, action := range []string{"add", "del"} {
		if _, err := w.Output(w.t.Context(), lab.Switch, "ip", "route", action, external, "via", node.Addr.String()); err != nil {
			w.t.Fatal(err)
		}
		if action == "add" {
			if pods := met(w.meetings(lab.Client, "tcp", net.JoinHostPort(external, mirrorTCP), 30)); len(pods) != 3 {
				w.t.Errorf("answered %v", pods)
			}
		}
	}
}

// Who is not in a Service's source ranges gets no answer of its address.
func sourceRanges(w world) {
	client := w.Topology().Client.Addr().String()
	w.apply(balanced("fenced", mirrorTCP, "", "loadBalancerSourceRanges: ["+client+"/32]"))
	defer w.remove("fenced")
	vip := net.JoinHostPort(w.allocated("fenced"), mirrorTCP)
	w.meetings(lab.Client, "tcp", vip, 10)
	w.patch("fenced", `{"spec":{"loadBalancerSourceRanges":["192.0.2.0/24"]}}`)
	w.eventually("the client is shut out", func() error { return w.silent(lab.Client, vip, 3) })
	// The ranges are about this address: others lead to the same pods.
	clusterIP := w.field("svc fenced", ".spec.clusterIP")
	w.meetings(w.Topology().Nodes[0].Name, "tcp", net.JoinHostPort(clusterIP, mirrorTCP), 5)
	w.patch("fenced", `{"spec":{"loadBalancerSourceRanges":["192.0.2.0/24","`+client+`/32"]}}`)
	w.meetings(lab.Client, "tcp", vip, 10)
}

// With affinity a client stays with one pod, as far as one node can tell.
func affinity(w world) {
	w.apply(balanced("sticky", mirrorTCP, "", "sessionAffinity: ClientIP"))
	defer w.remove("sticky")
	addr := net.JoinHostPort(w.Topology().Nodes[0].Addr.String(), w.field("svc sticky", ".spec.ports[0].nodePort"))
	if pods := met(w.meetings(lab.Client, "tcp", addr, 20)); len(pods) != 1 {
		w.t.Errorf("one client was answered by %v", pods)
	}
	w.patch("sticky", `{"spec":{"sessionAffinity":"None"}}`)
	w.eventually("the client meets another pod", func() error {
		if pods := met(w.meetings(lab.Client, "tcp", addr, 20)); len(pods) != 3 {
			return fmt.Errorf("answered %v", pods)
		}
		return nil
	})
}

// UDP is served as TCP is: the answer comes from the address that was asked.
func datagrams(w world) {
	w.apply(strings.Replace(balanced("datagrams", mirrorUDP, "", ""), "{port: "+mirrorUDP+"}", "{port: "+mirrorUDP+", protocol: UDP}", 1))
	defer w.remove("datagrams")
	addr := net.JoinHostPort(w.allocated("datagrams"), mirrorUDP)
	// Nobody sends a datagram again that comes to a node before the Service does.
	for _, n := range w.Topology().Nodes {
		w.meetings(n.Name, "udp", addr, 1)
	}
	if pods := met(w.meetings(lab.Client, "udp", addr, 40)); len(pods) != 3 {
		w.t.Errorf("answered %v", pods)
	}
}

// A pod reaches itself by its own Service's addresses.
func hairpin(w world) {
	w.apply(balanced("mirror", mirrorTCP, "", ""))
	defer w.remove("mirror")
	pod := w.pods()[0]
	for _, addr := range []string{w.allocated("mirror"), w.field("svc mirror", ".spec.clusterIP")} {
		pods := met(w.meetings("pod/"+pod, "tcp", net.JoinHostPort(addr, mirrorTCP), 40))
		if len(pods) != 3 || pods[pod] == 0 {
			w.t.Errorf("%s calls %s and is answered by %v", pod, addr, pods)
		}
	}
}

// authorized is a shell line that asks the API server at its cluster IP for a
// path, as a pod does: verified, with the pod's own token. It prints the status.
func authorized(path string) []string {
	const dir = "/var/run/secrets/kubernetes.io/serviceaccount"
	return []string{"sh", "-c", fmt.Sprintf(`curl -sS -o /dev/null -w '%%{http_code}' --max-time 10 --cacert %[1]s/ca.crt -H "Authorization: Bearer $(cat %[1]s/token)" https://10.233.0.1%[2]s`, dir, path)}
}

// The first Service of every cluster is served by the proxy too.
func apiServerFromPod(w world) {
	pod := "pod/metallb-system/" + w.component("metallb-system", "component=controller", "")
	for range 10 {
		out, err := w.Output(w.t.Context(), pod, authorized("/version")...)
		if err != nil || out != "200" {
			w.t.Fatalf("/version: %q, %v", out, err)
		}
	}
}

// The product's accounts may do what it does, and nothing besides: tried with
// their own tokens, and asked of the API server.
func leastPrivilege(w world) {
	node := w.Topology().Nodes[0].Name
	for pod, paths := range map[string]map[string]string{
		w.component("metallb-system", "component=speaker", node): {
			"/api/v1/services": "200",
			"/api/v1/namespaces/metallb-system/configmaps?fieldSelector=metadata.name%3Dconfig": "200",
			"/api/v1/namespaces/metallb-system/configmaps":                                      "403",
			"/api/v1/namespaces/metallb-system/secrets":                                         "403",
			// Peers' passwords are read by name, and which names there will be the
			// manifest can't know; the chart's speaker.passwordSecrets names them.
			"/api/v1/namespaces/metallb-system/secrets/memberlist":    "200",
			"/api/v1/namespaces/kube-system/secrets/memberlist":       "403",
			"/api/v1/namespaces/kube-system/configmaps/pharos-proxy":  "403",
			"/apis/apps/v1/namespaces/metallb-system/daemonsets":      "403",
			"/apis/coordination.k8s.io/v1/namespaces/default/leases/": "403",
		},
		w.component("metallb-system", "component=controller", ""): {
			"/api/v1/services": "200",
			"/api/v1/namespaces/metallb-system/secrets/memberlist": "403",
			"/api/v1/nodes": "403",
		},
	} {
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			out, err := w.Output(w.t.Context(), "pod/metallb-system/"+pod, authorized(path)...)
			if err != nil || out != paths[path] {
				w.t.Errorf("%s gets %s: %q, %v; want %s", pod, path, out, err, paths[path])
			}
		}
	}
	const controller, speaker, proxy = "metallb-system:controller", "metallb-system:speaker", "kube-system:pharos-proxy"
	for _, right := range []struct {
		account, what string
		want          bool
	}{
		{controller, "patch services --subresource=status", true},
		{controller, "update services --subresource=status", false},
		{controller, "patch services", false},
		{controller, "update services", false},
		{controller, "create services", false},
		{controller, "delete services", false},
		{controller, "get secrets -n metallb-system", false},
		{speaker, "patch services --subresource=status", false},
		{speaker, "patch services", false},
		{speaker, "patch nodes", false},
		{speaker, "update configmaps/config -n metallb-system", false},
		{speaker, "create events", true},
		{proxy, "watch endpointslices.discovery.k8s.io", true},
		{proxy, "patch services --subresource=status", false},
		{proxy, "get secrets -n kube-system", false},
		{proxy, "patch nodes", false},
	} {
		// The answer no is an exit status too.
		out, _ := w.Shell(w.t.Context(), "kubectl auth can-i "+right.what+" --as system:serviceaccount:"+right.account)
		if got := strings.TrimSpace(out); got != map[bool]string{true: "yes", false: "no"}[right.want] {
			w.t.Errorf("may %s %s? %s", right.account, right.what, got)
		}
	}
}

// With externalTrafficPolicy Local the pod sees its client, and a node without
// pods says so to whoever checks its health, and is not routed to.
func localEndpoints(w world) {
	client := w.Topology().Client.Addr()
	w.apply(balanced("shared", mirrorTCP, "", ""))
	w.apply(balanced("local", mirrorTCP, "", "externalTrafficPolicy: Local"))
	shared, local := w.allocated("shared"), w.allocated("local")
	w.routed(local, w.addrs()...)
	for _, m := range w.meetings(lab.Client, "tcp", net.JoinHostPort(shared, mirrorTCP), 10) {
		if m.seen == client {
			w.t.Errorf("with policy Cluster, %s sees the client, whom its answer would not reach by the way it came", m.pod)
		}
	}
	meetings := w.meetings(lab.Client, "tcp", net.JoinHostPort(local, mirrorTCP), 40)
	for _, m := range meetings {
		if m.seen != client {
			w.t.Errorf("%s sees %s", m.pod, m.seen)
		}
	}
	if pods := met(meetings); len(pods) != 3 {
		w.t.Errorf("answered %v", pods)
	}
	port := w.field("svc local", ".spec.healthCheckNodePort")
	healthy := func(nodes []string) {
		w.t.Helper()
		for _, n := range w.Topology().Nodes {
			status := "503"
			if slices.Contains(nodes, n.Name) {
				status = "200"
			}
			w.shows(lab.Client, []string{status}, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", net.JoinHostPort(n.Addr.String(), port))
		}
	}
	healthy(slices.Collect(maps.Values(w.places())))

	w.sh("kubectl scale rs ng-test-rs --replicas=2")
	var nodes []string
	w.eventually("two pods are left", func() error {
		if nodes = slices.Collect(maps.Values(w.places())); len(nodes) != 2 {
			return fmt.Errorf("%v", nodes)
		}
		return nil
	})
	w.routed(local, w.addrsOf(nodes...)...)
	w.routed(shared, w.addrs()...)
	healthy(nodes)
	for _, m := range w.meetings(lab.Client, "tcp", net.JoinHostPort(local, mirrorTCP), 20) {
		if m.seen != client {
			w.t.Errorf("%s sees %s", m.pod, m.seen)
		}
	}
	w.remove("local", "shared")
	w.sh("kubectl scale rs ng-test-rs --replicas=3")
	w.routed(local)
}
