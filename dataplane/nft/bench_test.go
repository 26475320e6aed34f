package nft_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane/nft"
)

// crowd is a node with that many dual-stack Services of ten endpoints each,
// every tenth of them with a load balancer's address and a node port.
func crowd(b *testing.B, services int) *node {
	n := newNode(b)
	for i := range services {
		n.add(fmt.Sprintf("s%d", i), i, 10, func(s *pharos.Service) {
			if i%10 != 0 || s.Ports[0].NodePort == 0 {
				s.Type, s.Ingress, s.Ports[0].NodePort = pharos.ClusterIP, nil, 0
			}
		})
	}
	return n
}

// BenchmarkEndpointChange is one endpoint that goes or comes back, planned and
// applied, among many Services.
func BenchmarkEndpointChange(b *testing.B) {
	for _, services := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			n := crowd(b, services)
			n.apply()
			last := n.state()
			_ = last
			snapshot := pharos.Snapshot{Revision: 1, Synced: true, Nodes: pharos.Map[string, *pharos.Node]{}.With("n1", &pharos.Node{Name: "n1"}),
				Services: pharos.MapOf(n.cluster), Endpoints: pharos.MapOf(n.ends)}
			apply := func() {
				s := snapshot
				if err := n.driver.Apply(context.Background(), n.planner.Plan(&s)); err != nil {
					b.Fatal(err)
				}
			}
			apply()
			name := pharos.Name{Namespace: "default", Name: "s50"}
			full := n.ends[name]
			fewer := &pharos.Endpoints{Backends: full.Backends[2:]}
			before := n.driver.Status()
			for i := 0; b.Loop(); i++ {
				snapshot.Endpoints = snapshot.Endpoints.With(name, []*pharos.Endpoints{fewer, full}[i%2])
				apply()
			}
			after := n.driver.Status()
			b.ReportMetric(float64(after.Added+after.Removed-before.Added-before.Removed)/float64(b.N), "objects/op")
		})
	}
}

// BenchmarkLoad is everything from an empty kernel, BenchmarkAdopt the start of
// a driver that finds everything in place.
func BenchmarkLoad(b *testing.B) {
	for _, services := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			n := crowd(b, services)
			state := n.state()
			for b.Loop() {
				b.StopTimer()
				if err := n.driver.Remove(context.Background()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := n.driver.Apply(context.Background(), state); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n.driver.Status().Added)/float64(n.driver.Status().Rebuilt), "objects/op")
		})
	}
}

func BenchmarkAdopt(b *testing.B) {
	for _, services := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			n := crowd(b, services)
			n.apply()
			state := n.state()
			for b.Loop() {
				d := nft.New(nft.Options{NetNS: n.ns.Fd()})
				if err := d.Apply(context.Background(), state); err != nil {
					b.Fatal(err)
				}
				if s := d.Status(); s.Added+s.Removed != 0 {
					b.Fatalf("%+v", s)
				}
			}
		})
	}
}
