package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func pool(name string, prefixes ...string) pharos.Pool {
	p := pharos.Pool{Name: name}
	for _, s := range prefixes {
		p.Ranges = append(p.Ranges, pharos.PrefixRange(prefix(s)))
	}
	return p
}

func advert(name string, pools ...string) pharos.Advertisement {
	return pharos.Advertisement{Name: name, Mode: pharos.BGP, Pools: pools, AggregationLength: 32, AggregationLengthV6: 128}
}

func peer(name, address string) pharos.Peer {
	p := pharos.Peer{Name: name, LocalAS: 65211, RemoteAS: 65210, Port: 179}
	if address != "" {
		p.Addr = addr(address)
	}
	return p
}

func onRack(rack string) []pharos.Selector {
	return []pharos.Selector{{{Key: "rack", Operator: pharos.In, Values: []string{rack}}}}
}

// node makes node n1, n2, … with address 10.10.2.1, 10.10.2.2, …
func node(i int, labels ...string) *pharos.Node {
	n := &pharos.Node{Name: fmt.Sprintf("n%d", i), Labels: map[string]string{}, Addresses: []netip.Addr{addr(fmt.Sprintf("10.10.2.%d", i)), addr(fmt.Sprintf("fd00::%x", i))}}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		n.Labels[key] = value
	}
	return n
}

func cluster(nodes ...*pharos.Node) (m pharos.Map[string, *pharos.Node]) {
	for _, n := range nodes {
		m = m.With(n.Name, n)
	}
	return m
}

func service(name string, ingress ...string) *pharos.Service {
	s := &pharos.Service{Name: pharos.Name{Namespace: "default", Name: name}, Type: pharos.LoadBalancer}
	for _, a := range ingress {
		s.Ingress = append(s.Ingress, addr(a))
	}
	return s
}

// backends makes an endpoint of each "node" (ready), "node:serving" (terminating
// but serving) or "node:down".
func backends(specs ...string) *pharos.Endpoints {
	eps := &pharos.Endpoints{}
	for i, spec := range specs {
		name, state, _ := strings.Cut(spec, ":")
		b := pharos.Backend{Addr: addr(fmt.Sprintf("10.233.64.%d", i+1)), Node: name, Ready: state == "", Serving: state == "" || state == "serving"}
		b.Terminating = state == "serving"
		eps.Backends = append(eps.Backends, b)
	}
	return eps
}

// render writes a plan in one line an address: what a test compares.
func render(p Plan) string {
	var b strings.Builder
	for _, a := range p.Addresses {
		fmt.Fprintf(&b, "%s %s", a.Addr, a.Reason.Code)
		for _, r := range a.Routes {
			fmt.Fprintf(&b, " %s>%s", r.Prefix, strings.Join(r.Offer.Peers, ","))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s by %s", p.reason().Code, strings.Join(p.Nodes, " "))
	return b.String()
}

// base is the configuration that the cases change: two peers, two racks.
func base() *pharos.Config {
	return &pharos.Config{
		Pools:          []pharos.Pool{pool("a", "172.19.100.0/24"), pool("b", "172.19.101.0/24"), pool("v6", "fd01::/64")},
		Peers:          []pharos.Peer{peer("tor1", "10.10.2.210"), peer("tor2", "10.10.2.211")},
		Advertisements: []pharos.Advertisement{advert("a", "a"), advert("b", "b"), advert("v6", "v6")},
	}
}

func TestPlan(t *testing.T) {
	const tors = "10.10.2.210:179,10.10.2.211:179"
	type world struct {
		opt   Options
		cfg   *pharos.Config
		nodes []*pharos.Node // the first is the own
		svc   *pharos.Service
		eps   *pharos.Endpoints
	}
	cases := []struct {
		name string
		set  func(w *world)
		want string
	}{
		{"announced to every peer by every node", func(*world) {}, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n2 n3"},
		{"not a load balancer", func(w *world) { w.svc.Type = pharos.ClusterIP }, "notLoadBalancer by "},
		{"another class", func(w *world) { w.svc.Class = "other" }, "classMismatch by "},
		{"no class while one is served", func(w *world) { w.opt.Class = "ours" }, "classMismatch by "},
		{"the class served", func(w *world) { w.opt.Class, w.svc.Class = "ours", "ours" }, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n2 n3"},
		{"no address yet", func(w *world) { w.svc.Ingress = nil }, "noIPAllocated by "},
		{"no configuration", func(w *world) { w.cfg = nil }, "172.19.100.1 configMissing\nconfigMissing by "},
		{"address in no pool", func(w *world) { w.svc = service("web", "192.0.2.1") }, "192.0.2.1 ipNotAllowed\nipNotAllowed by "},
		{"buggy address is in no pool", func(w *world) { w.cfg.Pools[0].AvoidBuggyIPs = true; w.svc = service("web", "172.19.100.255") }, "172.19.100.255 ipNotAllowed\nipNotAllowed by "},
		{"one address of two is in no pool", func(w *world) { w.svc = service("web", "192.0.2.1", "172.19.100.1") },
			"192.0.2.1 ipNotAllowed\n172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n2 n3"},
		{"dual stack from two pools", func(w *world) { w.svc = service("web", "172.19.101.5", "fd01::5") },
			"172.19.101.5 nodeAssigned 172.19.101.5/32>" + tors + "\nfd01::5 nodeAssigned fd01::5/128>" + tors + "\nnodeAssigned by n1 n2 n3"},
		{"the same address twice", func(w *world) { w.svc = service("web", "172.19.100.1", "172.19.100.1") }, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n2 n3"},
		{"layer 2 pool", func(w *world) { w.cfg.Advertisements[0].Mode = pharos.Layer2 }, "172.19.100.1 notOwner\nnotOwner by n3"},
		{"layer 2 and BGP pool", func(w *world) {
			l2 := advert("l2", "a")
			l2.Mode = pharos.Layer2
			w.cfg.Advertisements = append(w.cfg.Advertisements, l2)
		}, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n2 n3"},
		{"pool without advertisement", func(w *world) { w.cfg.Advertisements = w.cfg.Advertisements[1:] }, "172.19.100.1 noMatchingAdvertisement\nnoMatchingAdvertisement by "},
		{"advertisement without pools covers none", func(w *world) { w.cfg.Advertisements = []pharos.Advertisement{advert("none")} }, "172.19.100.1 noMatchingAdvertisement\nnoMatchingAdvertisement by "},
		{"advertisement selects other nodes", func(w *world) { w.cfg.Advertisements[0].NodeSelectors = onRack("2") }, "172.19.100.1 noMatchingAdvertisement\nnoMatchingAdvertisement by n2"},
		{"advertisement selects this node", func(w *world) { w.cfg.Advertisements[0].NodeSelectors = onRack("1") }, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n3"},
		{"advertisement names a peer", func(w *world) { w.cfg.Advertisements[0].Peers = []string{"tor2"} }, "172.19.100.1 nodeAssigned 172.19.100.1/32>10.10.2.211:179\nnodeAssigned by n1 n2 n3"},
		{"two advertisements, one aggregates", func(w *world) {
			wide := advert("wide", "a")
			wide.AggregationLength, wide.Peers = 26, []string{"tor1"}
			w.cfg.Advertisements = append(w.cfg.Advertisements, wide)
			w.svc = service("web", "172.19.100.77")
		}, "172.19.100.77 nodeAssigned 172.19.100.77/32>" + tors + " 172.19.100.64/26>10.10.2.210:179\nnodeAssigned by n1 n2 n3"},
		{"IPv6 aggregates by its own length", func(w *world) {
			w.cfg.Advertisements[2].AggregationLengthV6 = 112
			w.svc = service("web", "fd01::1:5")
		}, "fd01::1:5 nodeAssigned fd01::1:0/112>" + tors + "\nnodeAssigned by n1 n2 n3"},
		{"one peer selects other nodes", func(w *world) { w.cfg.Peers[0].NodeSelectors = onRack("2") }, "172.19.100.1 nodeAssigned 172.19.100.1/32>10.10.2.211:179\nnodeAssigned by n1 n2 n3"},
		{"all peers select other nodes", func(w *world) {
			w.cfg.Peers[0].NodeSelectors, w.cfg.Peers[1].NodeSelectors = onRack("2"), onRack("2")
		}, "172.19.100.1 noPeers\nnoPeers by n2"},
		{"no peers at all", func(w *world) { w.cfg.Peers = nil }, "172.19.100.1 noPeers\nnoPeers by "},
		{"the only peer can't be used", func(w *world) {
			w.cfg.Peers = w.cfg.Peers[:1]
			w.cfg.Peers[0].LocalAS = 0
		}, "172.19.100.1 noPeers\nnoPeers by n2 n3"},
		{"own network unavailable", func(w *world) { w.nodes[0].NetworkUnavailable = true }, "172.19.100.1 nodeNetworkUnavailable\nnodeNetworkUnavailable by n2 n3"},
		{"another's network unavailable", func(w *world) { w.nodes[1].NetworkUnavailable = true }, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n3"},
		{"excluded by label", func(w *world) { w.nodes[0].Labels[pharos.ExcludeLabel] = "" }, "172.19.100.1 nodeLabeledExcludeBalancers\nnodeLabeledExcludeBalancers by n2 n3"},
		{"exclusion ignored", func(w *world) { w.nodes[0].Labels[pharos.ExcludeLabel] = ""; w.opt.IgnoreExcludeLabel = true }, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n2 n3"},
		{"Cluster: no endpoints object", func(w *world) { w.eps = nil }, "172.19.100.1 noEndpoints\nnoEndpoints by "},
		{"Cluster: none can serve", func(w *world) { w.eps = backends("n1:down", "n2:down") }, "172.19.100.1 noEndpoints\nnoEndpoints by "},
		{"Cluster: one elsewhere", func(w *world) { w.eps = backends("n1:down", "n2") }, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n2 n3"},
		{"Cluster: terminating but serving", func(w *world) { w.eps = backends("n2:serving") }, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n2 n3"},
		{"Cluster: endpoint of no known node", func(w *world) { w.eps = backends("") }, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n2 n3"},
		{"Local: one here", func(w *world) { w.svc.ExternalLocal = true; w.eps = backends("n1", "n3") }, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1 n3"},
		{"Local: none here", func(w *world) { w.svc.ExternalLocal = true; w.eps = backends("n2") }, "172.19.100.1 noLocalEndpoints\nnoLocalEndpoints by n2"},
		{"Local: the one here can't serve", func(w *world) { w.svc.ExternalLocal = true; w.eps = backends("n1:down", "n2") }, "172.19.100.1 noLocalEndpoints\nnoLocalEndpoints by n2"},
		{"Local: the one here terminates but serves", func(w *world) { w.svc.ExternalLocal = true; w.eps = backends("n1:serving") }, "172.19.100.1 nodeAssigned 172.19.100.1/32>" + tors + "\nnodeAssigned by n1"},
		{"Local: endpoint on an excluded node", func(w *world) {
			w.svc.ExternalLocal = true
			w.nodes[1].Labels[pharos.ExcludeLabel] = "true"
			w.eps = backends("n2")
		}, "172.19.100.1 noLocalEndpoints\nnoLocalEndpoints by "},
		{"the node's fault goes before the endpoints'", func(w *world) { w.nodes[0].NetworkUnavailable = true; w.eps = nil }, "172.19.100.1 nodeNetworkUnavailable\nnodeNetworkUnavailable by "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := world{Options{Node: "n1"}, base(), []*pharos.Node{node(1, "rack=1"), node(2, "rack=2"), node(3, "rack=1")}, service("web", "172.19.100.1"), backends("n1", "n2")}
			c.set(&w)
			v := NewView(w.opt, w.cfg, w.nodes[0], cluster(w.nodes...))
			p := v.Plan(w.svc, w.eps)
			if got := render(p); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if p.Announced() != (p.reason().Code == why.NodeAssigned) {
				t.Errorf("announced is %v for reason %v", p.Announced(), p.reason())
			}
			if p.Announced() != slices.Contains(p.Nodes, "n1") && c.name != "the only peer can't be used" {
				t.Errorf("announced is %v, but the announcing nodes are %v", p.Announced(), p.Nodes)
			}
		})
	}
}

// Every node comes to the same list of announcing nodes, and to its own share
// of it.
func TestPlanAgreesAmongNodes(t *testing.T) {
	nodes := []*pharos.Node{node(1, "rack=1"), node(2, "rack=2"), node(3, "rack=2", pharos.ExcludeLabel), node(4)}
	cfg := base()
	cfg.Advertisements[0].NodeSelectors = append(onRack("1"), onRack("2")...)
	cfg.Peers[0].NodeSelectors = onRack("1")
	svc, eps := service("web", "172.19.100.1", "172.19.101.1"), backends("n1", "n2", "n4:serving")
	svc.ExternalLocal = true
	var announcing []string
	for _, self := range nodes {
		p := NewView(Options{Node: self.Name}, cfg, self, cluster(nodes...)).Plan(svc, eps)
		if want := []string{"n1", "n2", "n4"}; !slices.Equal(p.Nodes, want) {
			t.Errorf("%s says that %v announce, want %v", self.Name, p.Nodes, want)
		}
		if p.Announced() {
			announcing = append(announcing, self.Name)
		}
	}
	if want := []string{"n1", "n2", "n4"}; !slices.Equal(announcing, want) {
		t.Errorf("%v announce, want %v", announcing, want)
	}
}

func TestTrailTellsEveryStep(t *testing.T) {
	v := NewView(Options{Node: "n1"}, base(), node(1), cluster(node(1), node(2)))
	const want = `ok: address 172.19.100.1 is in pool "a"
ok: advertisement "a" offers 172.19.100.1/32 to [10.10.2.210:179 10.10.2.211:179]
ok: 2 of 3 endpoints can serve
nodeAssigned: announcing from node "n1" with protocol "bgp"`
	if got := v.Plan(service("web", "172.19.100.1"), backends("n1", "n2:serving", "n2:down")).Trail.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	const none = `ok: address 172.19.100.1 is in pool "a"
ok: advertisement "a" offers 172.19.100.1/32 to [10.10.2.210:179 10.10.2.211:179]
noEndpoints: none of 1 endpoints can serve`
	if got := v.Plan(service("web", "172.19.100.1"), backends("n2:down")).Trail.String(); got != none {
		t.Errorf("got\n%s\nwant\n%s", got, none)
	}
}
