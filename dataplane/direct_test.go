package dataplane_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/table"
	"github.com/pharoslb/pharos/why"
)

// In mode direct, packets from outside follow a table of all endpoints, those
// that drain included, whatever the traffic policy, and keep their source; what
// comes from inside finds its backends as ever.
func TestDirect(t *testing.T) {
	name := pharos.Name{Namespace: "default", Name: "web"}
	pod := netip.MustParseAddr("10.244.1.11")
	service := &pharos.Service{
		Name: name, Type: pharos.LoadBalancer, Mode: pharos.Direct, ExternalLocal: true,
		ClusterIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")}, Ingress: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
		Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80, NodePort: 30080}},
	}
	ports := []pharos.BackendPort{{Protocol: pharos.TCP, Port: 8080}}
	endpoints := &pharos.Endpoints{Backends: []pharos.Backend{
		{Addr: pod, Node: "n1", Ready: true, Serving: true, Ports: ports},
		{Addr: pod.Next(), Node: "n2", Serving: true, Terminating: true, Ports: ports},
	}}
	snapshot := &pharos.Snapshot{
		Services:  pharos.MapOf(map[pharos.Name]*pharos.Service{name: service}),
		Endpoints: pharos.MapOf(map[pharos.Name]*pharos.Endpoints{name: endpoints}),
		Nodes: pharos.MapOf(map[string]*pharos.Node{
			"n1": {Name: "n1", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}},
			"n2": {Name: "n2", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")}, NotReady: true},
		}),
	}
	state := dataplane.NewPlanner(dataplane.Options{Node: "n1"}).Plan(snapshot)
	s, _ := state.Services.Get(name)
	for _, f := range s.Frontends {
		g := s.Groups[f.Outside]
		if direct := f.Kind == dataplane.LoadBalancer; f.Direct != direct || direct && (g.Scope != dataplane.Cluster || g.Table == nil || f.Masquerade != dataplane.MasqueradeOwnNode) {
			t.Errorf("%s %s: direct %t, group %+v", f.Kind, f.Target, f.Direct, g.Key())
		}
		if f.Kind == dataplane.NodePort && g.Scope != dataplane.Local {
			t.Errorf("the node port's scope is %s", g.Scope)
		}
	}
	owners := []table.Endpoint{
		{Addr: netip.AddrPortFrom(pod, 8080), Node: "n1"},
		{Addr: netip.AddrPortFrom(pod.Next(), 8080), Node: "n2", Draining: true, Dead: true},
	}
	for _, g := range s.Groups {
		if g.Table != nil && !slices.Equal(g.Table.Owners, owners) {
			t.Errorf("owners are %+v", g.Table.Owners)
		}
	}
	if len(state.Siblings) != 1 || !state.Siblings[0].Equal(dataplane.Sibling{"n2", []netip.Addr{netip.MustParseAddr("10.0.0.2")}}) {
		t.Errorf("siblings are %+v", state.Siblings)
	}
	beside, _ := dataplane.NewPlanner(dataplane.Options{Node: "n1", Beside: true}).Plan(snapshot).Services.Get(name)
	if len(beside.Frontends) != 1 || !beside.Frontends[0].Direct {
		t.Errorf("beside another proxy: %+v", beside.Frontends)
	}
	service.Mode = pharos.ModeDefault
	if s := dataplane.NewPlanner(dataplane.Options{Node: "n1", Beside: true}).Plan(snapshot).Services; s.Len() != 0 {
		t.Error("nothing is direct and something is planned")
	}
}

// Whatever happened before, all nodes have the same tables.
func TestNodesAgreeOnTables(t *testing.T) {
	tables := 0
	for seed := range uint64(10) {
		c := &chaos{Rand: rand.New(rand.NewPCG(seed, 1))}
		planners := []*dataplane.Planner{}
		for _, node := range []string{"n0", "n1", "n2"} {
			planners = append(planners, dataplane.NewPlanner(dataplane.Options{Node: node}))
		}
		for i := range 300 {
			snapshot := c.step()
			var states []*dataplane.State
			for _, p := range planners {
				states = append(states, p.Plan(snapshot))
			}
			if snapshot.Nodes.Len() < len(planners) {
				continue // a node that is not in the API still knows itself
			}
			for name, s := range states[0].Services.All() {
				for _, other := range states[1:] {
					o, _ := other.Services.Get(name)
					for j := range s.Groups {
						if s.Groups[j].Scope == dataplane.Cluster && !o.Groups[slices.IndexFunc(o.Groups, func(g dataplane.Group) bool { return g.Key() == s.Groups[j].Key() })].Table.Equal(s.Groups[j].Table) {
							t.Fatalf("seed %d, step %d: %s has two tables", seed, i, name)
						}
						if s.Groups[j].Table != nil {
							tables++
						}
					}
				}
			}
		}
	}
	if tables < 1000 {
		t.Errorf("%d tables compared", tables)
	}
}

// Endpoints whose node nobody knows can't be owners: of those that name none nobody
// could keep the connections, so that the Service is carried in mode nat and says
// so; those on a node without address are left out.
func TestDirectWantsNodes(t *testing.T) {
	on := func(nodes ...string) *pharos.Endpoints {
		e := &pharos.Endpoints{}
		for i, n := range nodes {
			e.Backends = append(e.Backends, pharos.Backend{
				Addr: nth("10.1.0.1", i), Node: n, Ready: true, Serving: true,
				Ports: []pharos.BackendPort{{Name: "a", Protocol: pharos.TCP, Port: 8080}},
			})
		}
		return e
	}
	direct := func(s *pharos.Service) { s.Mode = pharos.Direct }
	invalid := func(s *pharos.Service) {
		s.ModeRefused = why.New(why.DataPlaneModeInvalid, "no mode")
	}
	ipv6 := func(s *pharos.Service) {
		s.Mode, s.ClusterIPs, s.Ingress = pharos.Direct, []netip.Addr{addr("fd10::1")}, []netip.Addr{addr("fd01::1")}
	}
	dual := func(ingress string) func(*pharos.Service) {
		return func(s *pharos.Service) {
			s.Mode, s.ClusterIPs = pharos.Direct, append(s.ClusterIPs, addr("fd10::1"))
			s.Ingress = []netip.Addr{addr(ingress)}
		}
	}
	// the same with pods of both families
	both := func(nodes ...string) *pharos.Endpoints {
		e := on(nodes...)
		for _, b := range e.Backends {
			b.Addr = addr("fd02::" + b.Node)
			e.Backends = append(e.Backends, b)
		}
		return e
	}
	for _, test := range []struct {
		name    string
		service func(*pharos.Service)
		pods    *pharos.Endpoints
		owners  int // -1: mode nat
		refused why.Code
	}{
		{"IPv6, and the nodes have IPv4 addresses alone", ipv6, both("1", "2"), -1, why.NodeUnknown},
		{"IPv6 from inside alone", dual("192.0.2.1"), both("1", "2"), 2, why.OK},
		{"IPv6 from outside alone", dual("fd01::1"), both("1", "2"), -1, why.NodeUnknown},

		{"all known", direct, on("n1", "n2"), 2, why.OK},
		{"one names no node", direct, on("n1", ""), -1, why.NodeUnknown},
		{"one is on a node that is gone", direct, on("n1", "n2", "n9"), 2, why.OK},
		{"all are", direct, on("n8", "n9"), -1, why.NodeUnknown},
		{"there is none", direct, on(), 0, why.OK},
		{"the annotation is wrong", invalid, on("n1"), -1, why.DataPlaneModeInvalid},
	} {
		s := snapshot(web(test.service), test.pods)
		for _, name := range []string{"n2", "1", "2"} {
			s.Nodes = s.Nodes.With(name, &pharos.Node{Name: name, Addresses: []netip.Addr{addr("10.0.0.2")}})
		}
		for _, beside := range []bool{false, true} {
			p := plan(t, dataplane.Options{Beside: beside}, s)
			if p.ModeRefused.Code != test.refused {
				t.Errorf("%s: %s", test.name, p.ModeRefused)
			}
			frontends := 0
			for _, f := range p.Frontends {
				if f.Kind == dataplane.LoadBalancer && f.Direct != (test.owners >= 0) {
					t.Errorf("%s: direct is %t", test.name, f.Direct)
				}
				if f.Direct && len(p.Groups[f.Outside].Table.Owners) != test.owners {
					t.Errorf("%s: owners are %+v", test.name, p.Groups[f.Outside].Table.Owners)
				}
				frontends++
			}
			if beside && (frontends > 0) != (test.owners >= 0) {
				t.Errorf("%s: beside another proxy %d frontends", test.name, frontends)
			}
		}
	}
}
