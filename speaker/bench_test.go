package speaker

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/pharoslb/pharos"
)

// many is a cluster of 1000 nodes and 20 pools, each with two advertisements.
func many(selectors []pharos.Selector) (*pharos.Config, pharos.Map[string, *pharos.Node]) {
	cfg := &pharos.Config{Peers: []pharos.Peer{peer("tor1", "10.10.2.210"), peer("tor2", "10.10.2.211")}}
	for i := range 20 {
		name := fmt.Sprintf("pool%02d", i)
		cfg.Pools = append(cfg.Pools, pool(name, fmt.Sprintf("172.19.%d.0/24", i)))
		wide, narrow := advert("wide"+name, name), advert("narrow"+name, name)
		wide.AggregationLength, narrow.ServiceSelectors = 24, selectors
		cfg.Advertisements = append(cfg.Advertisements, wide, narrow)
	}
	var nodes []*pharos.Node
	for i := range 1000 {
		n := node(1, "rack=1")
		n.Name = fmt.Sprintf("n%04d", i)
		nodes = append(nodes, n)
	}
	return cfg, cluster(nodes...)
}

func BenchmarkView(b *testing.B) {
	cfg, nodes := many(nil)
	self, _ := nodes.Get("n0007")
	b.ReportAllocs()
	for b.Loop() {
		NewView(Options{Node: "n0007"}, cfg, self, nodes)
	}
}

// What planning one Service costs, with advertisements for all and for some.
func BenchmarkPlan(b *testing.B) {
	for name, selectors := range map[string][]pharos.Selector{"all": nil, "selected": app("web", "shop")} {
		b.Run(name, func(b *testing.B) {
			cfg, nodes := many(selectors)
			self, _ := nodes.Get("n0007")
			v := NewView(Options{Node: "n0007"}, cfg, self, nodes)
			svc, eps := service("web", "172.19.7.7"), backends("n0001", "n0002")
			svc.Labels = map[string]string{"app": "shop"}
			b.ReportAllocs()
			for b.Loop() {
				v.Plan(svc, eps)
			}
		})
	}
}

// What a Status of 1000 Services costs, two peers holding all routes.
func BenchmarkStatus(b *testing.B) {
	cfg, nodes := many(nil)
	s, err := New(Options{Node: "n0007"}, Edge{Source: newFeed(), Recorder: &notebook{}, Sessions: &engine{}})
	if err != nil {
		b.Fatal(err)
	}
	world := pharos.Snapshot{Synced: true, Config: cfg, Nodes: nodes}
	for i := range 1000 {
		svc := service(fmt.Sprintf("s%04d", i), netip.AddrFrom4([4]byte{172, 19, byte(i % 20), byte(i/20 + 1)}).String())
		world.Services = world.Services.With(svc.Name, svc)
		world.Endpoints = world.Endpoints.With(svc.Name, backends("n0001"))
	}
	s.Reconcile(&world)
	b.ReportAllocs()
	for b.Loop() {
		s.Status()
	}
}
