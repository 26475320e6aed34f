package dataplane_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// many is a Snapshot of n Services with an address and ten pods each on ten nodes.
func many(n int, mode pharos.DataPlaneMode) *pharos.Snapshot {
	services, endpoints, nodes := map[pharos.Name]*pharos.Service{}, map[pharos.Name]*pharos.Endpoints{}, map[string]*pharos.Node{}
	ports := []pharos.BackendPort{{Protocol: pharos.TCP, Port: 80}}
	for j := range 10 {
		name := fmt.Sprint("n", j)
		nodes[name] = &pharos.Node{Name: name, Addresses: []netip.Addr{nth("10.0.0.1", j)}}
	}
	for i := range n {
		name := pharos.Name{Namespace: "default", Name: fmt.Sprintf("s%d", i)}
		services[name] = &pharos.Service{
			Name: name, Type: pharos.LoadBalancer, Mode: mode, ClusterIPs: []netip.Addr{nth("10.96.0.0", i)}, Ingress: []netip.Addr{nth("172.19.0.0", i)},
			Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80}},
		}
		e := &pharos.Endpoints{}
		for j := range 10 {
			e.Backends = append(e.Backends, pharos.Backend{Addr: nth("10.1.0.0", 10*i+j), Node: fmt.Sprint("n", j), Ready: true, Serving: true, Ports: ports})
		}
		endpoints[name] = e
	}
	return &pharos.Snapshot{Synced: true, Services: pharos.MapOf(services), Endpoints: pharos.MapOf(endpoints), Nodes: pharos.MapOf(nodes)}
}

var modes = []pharos.DataPlaneMode{pharos.NAT, pharos.Direct}

// BenchmarkPlan10k plans 10,000 Services with ten pods each from nothing.
func BenchmarkPlan10k(b *testing.B) {
	for _, mode := range modes {
		s := many(10000, mode)
		b.Run(string(mode), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dataplane.NewPlanner(dataplane.Options{Node: "n1"}).Plan(s)
			}
		})
	}
}

// BenchmarkOneEndpoint has one of their endpoints go and come back.
func BenchmarkOneEndpoint(b *testing.B) {
	for _, mode := range modes {
		s := *many(10000, mode)
		p := dataplane.NewPlanner(dataplane.Options{Node: "n1"})
		p.Plan(&s)
		name := pharos.Name{Namespace: "default", Name: "s5000"}
		full, _ := s.Endpoints.Get(name)
		fewer := &pharos.Endpoints{Backends: full.Backends[1:]}
		b.Run(string(mode), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				next := s
				next.Endpoints = s.Endpoints.With(name, []*pharos.Endpoints{fewer, full}[i%2])
				p.Plan(&next)
				s = next
			}
		})
	}
}

// BenchmarkOneNode has the readiness of a node go and come back that has one
// endpoint of each.
func BenchmarkOneNode(b *testing.B) {
	for _, mode := range modes {
		s := *many(10000, mode)
		p := dataplane.NewPlanner(dataplane.Options{Node: "n1"})
		p.Plan(&s)
		b.Run(string(mode), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				next := s
				next.Nodes = s.Nodes.With("n3", &pharos.Node{Name: "n3", Addresses: []netip.Addr{nth("10.0.0.1", 3)}, NotReady: i%2 == 0})
				p.Plan(&next)
				s = next
			}
		})
	}
}
