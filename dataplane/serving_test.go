package dataplane_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

var webName = pharos.Name{Namespace: "default", Name: "web"}

// webOnTwo is a Service with one endpoint each on n1 and n2, and one on n1 that terminates.
func webOnTwo() (*pharos.Service, *pharos.Endpoints) {
	ports := []pharos.BackendPort{{Protocol: pharos.TCP, Port: 8080}}
	return &pharos.Service{
			Name: webName, Type: pharos.LoadBalancer,
			ClusterIPs: []netip.Addr{addr("10.96.0.1")}, Ingress: []netip.Addr{addr("192.0.2.1")},
			Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80, NodePort: 30080}},
		}, &pharos.Endpoints{Backends: []pharos.Backend{
			{Addr: addr("10.244.1.1"), Node: "n1", Ready: true, Serving: true, Ports: ports},
			{Addr: addr("10.244.1.2"), Node: "n1", Serving: true, Terminating: true, Ports: ports},
			{Addr: addr("10.244.2.1"), Node: "n2", Ready: true, Serving: true, Ports: ports},
		}}
}

func planOf(options dataplane.Options, s *pharos.Service, e *pharos.Endpoints, nodes ...*pharos.Node) *dataplane.Service {
	snapshot := &pharos.Snapshot{}
	snapshot.Services = snapshot.Services.With(s.Name, s)
	snapshot.Endpoints = snapshot.Endpoints.With(s.Name, e)
	for _, n := range nodes {
		snapshot.Nodes = snapshot.Nodes.With(n.Name, n)
	}
	plan, _ := dataplane.NewPlanner(options).Plan(snapshot).Services.Get(s.Name)
	return plan
}

func TestServingOf(t *testing.T) {
	for _, c := range []struct {
		name    string
		options dataplane.Options
		set     func(*pharos.Service, *pharos.Endpoints)
		want    string
	}{
		{"all endpoints", dataplane.Options{Node: "n1"}, nil, "192.0.2.1:80 2 backends, 1 local"},
		{"local ones", dataplane.Options{Node: "n1"}, func(s *pharos.Service, _ *pharos.Endpoints) { s.ExternalLocal = true }, "192.0.2.1:80 1 backends, 1 local"},
		{"none here", dataplane.Options{Node: "n3"}, func(s *pharos.Service, _ *pharos.Endpoints) { s.ExternalLocal = true }, "192.0.2.1:80 0 backends, 0 local"},
		{"the last one terminates", dataplane.Options{Node: "n1"}, func(s *pharos.Service, e *pharos.Endpoints) {
			s.ExternalLocal, e.Backends[0].Ready, e.Backends[0].Serving = true, false, false
		}, "192.0.2.1:80 1 backends, 1 local"},
		{"another proxy's", dataplane.Options{Node: "n1", Beside: true}, nil, "elsewhere"},
		{"direct in vain, beside another proxy", dataplane.Options{Node: "n1", Beside: true}, func(s *pharos.Service, e *pharos.Endpoints) {
			s.Mode, e.Backends[0].Node = pharos.Direct, ""
		}, "elsewhere"},
		{"direct, beside another proxy", dataplane.Options{Node: "n1", Beside: true}, func(s *pharos.Service, _ *pharos.Endpoints) { s.Mode = pharos.Direct }, "192.0.2.1:80 2 backends, 2 local"},
		{"without an address", dataplane.Options{Node: "n1"}, func(s *pharos.Service, _ *pharos.Endpoints) { s.Ingress = nil }, "nothing"},
		{"no load balancer", dataplane.Options{Node: "n1"}, func(s *pharos.Service, _ *pharos.Endpoints) { s.Type = pharos.ClusterIP }, "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, e := webOnTwo()
			if c.set != nil {
				c.set(s, e)
			}
			serving := dataplane.ServingOf(c.options.Node, s, e, planOf(c.options, s, e))
			got := "nothing"
			if serving != nil {
				got = ""
				if serving.Elsewhere {
					got = "elsewhere"
				}
				for _, f := range serving.Frontends {
					got += fmt.Sprintf("%s:%d %d backends, %d local", f.Addr, f.Port, f.Backends, f.Local)
				}
				var back dataplane.Serving
				if text, err := json.Marshal(serving); err != nil || json.Unmarshal(text, &back) != nil || back.Digest != serving.Digest || !slices.Equal(back.Frontends, serving.Frontends) {
					t.Errorf("%s comes back as %+v (%v)", text, back, err)
				}
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Whatever a plan is made of changes the digest; what is not in a plan does not; and
// the digest is the same in every process.
func TestDigestOf(t *testing.T) {
	s, e := webOnTwo()
	base := dataplane.DigestOf(s, e)
	if text, _ := base.MarshalText(); string(text) != "29ba912a78d97d32" {
		t.Errorf("the digest is %s: one that is made in another way needs another DigestFormat", text)
	}
	for name, c := range map[string]struct {
		set    func(*pharos.Service, *pharos.Endpoints)
		change bool
	}{
		"port":          {func(s *pharos.Service, _ *pharos.Endpoints) { s.Ports[0].Port = 81 }, true},
		"node port":     {func(s *pharos.Service, _ *pharos.Endpoints) { s.Ports[0].NodePort = 81 }, true},
		"address":       {func(s *pharos.Service, _ *pharos.Endpoints) { s.Ingress[0] = addr("192.0.2.2") }, true},
		"other list":    {func(s *pharos.Service, _ *pharos.Endpoints) { s.Ingress, s.ExternalIPs = nil, s.Ingress }, true},
		"policy":        {func(s *pharos.Service, _ *pharos.Endpoints) { s.ExternalLocal = true }, true},
		"inside policy": {func(s *pharos.Service, _ *pharos.Endpoints) { s.InternalLocal = true }, true},
		"affinity":      {func(s *pharos.Service, _ *pharos.Endpoints) { s.Affinity = time.Minute }, true},
		"mode":          {func(s *pharos.Service, _ *pharos.Endpoints) { s.Mode = pharos.Direct }, true},
		"sources":       {func(s *pharos.Service, _ *pharos.Endpoints) { s.SourceRanges = []netip.Prefix{prefix("10.0.0.0/8")} }, true},
		"readiness":     {func(_ *pharos.Service, e *pharos.Endpoints) { e.Backends[0].Ready = false }, true},
		"termination":   {func(_ *pharos.Service, e *pharos.Endpoints) { e.Backends[0].Terminating = true }, true},
		"node":          {func(_ *pharos.Service, e *pharos.Endpoints) { e.Backends[0].Node = "n3" }, true},
		"pod's port":    {func(_ *pharos.Service, e *pharos.Endpoints) { e.Backends[0].Ports = nil }, true},
		"fewer pods":    {func(_ *pharos.Service, e *pharos.Endpoints) { e.Backends = e.Backends[:2] }, true},
		"labels":        {func(s *pharos.Service, _ *pharos.Endpoints) { s.Labels = map[string]string{"a": "b"} }, false},
		"another proxy": {func(s *pharos.Service, _ *pharos.Endpoints) {
			s.Labels = map[string]string{"service.kubernetes.io/service-proxy-name": "x"}
		}, true},
	} {
		s, e := webOnTwo()
		c.set(s, e)
		if changed := dataplane.DigestOf(s, e) != base; changed != c.change {
			t.Errorf("%s: the digest changes: %t", name, changed)
		}
	}
	if dataplane.DigestOf(s, nil) != dataplane.DigestOf(s, &pharos.Endpoints{}) {
		t.Error("no endpoints are not the same as none")
	}
}

// Endpoints on nodes that are drained get new connections only where there is no
// other that is ready; those that terminate come last.
func TestDrainedNodes(t *testing.T) {
	nodes := func(drained ...string) []*pharos.Node {
		var nodes []*pharos.Node
		for _, name := range []string{"n1", "n2"} {
			nodes = append(nodes, &pharos.Node{
				Name: name, Addresses: []netip.Addr{addr("10.0.0.1")}, Drain: pharos.Drain{Asked: slices.Contains(drained, name)},
			})
		}
		return nodes
	}
	s, e := webOnTwo()
	s.Mode = pharos.Direct
	for _, c := range []struct {
		drained []string
		want    []string
	}{
		{nil, []string{"10.244.1.1", "10.244.2.1"}},
		{[]string{"n1"}, []string{"10.244.2.1"}},
		{[]string{"n2"}, []string{"10.244.1.1"}},
		{[]string{"n1", "n2"}, []string{"10.244.1.1", "10.244.2.1"}},
	} {
		plan := planOf(dataplane.Options{Node: "n1"}, s, e, nodes(c.drained...)...)
		for _, g := range plan.Groups {
			var got []string
			for _, b := range g.Backends {
				got = append(got, b.Addr.Addr().String())
			}
			if g.Scope == dataplane.Cluster && !slices.Equal(got, c.want) {
				t.Errorf("%v drained: new connections go to %v, want %v", c.drained, got, c.want)
			}
			if g.Table == nil {
				continue
			}
			got = nil
			for _, o := range g.Table.Owners {
				if !o.Draining {
					got = append(got, o.Addr.Addr().String())
				}
			}
			if len(g.Table.Owners) != 3 || !slices.Equal(got, c.want) {
				t.Errorf("%v drained: of %d owners %v get new connections, want %v", c.drained, len(g.Table.Owners), got, c.want)
			}
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	s, e := webOnTwo()
	for len(e.Backends) < 10 {
		e.Backends = append(e.Backends, e.Backends[0])
	}
	for b.Loop() {
		dataplane.DigestOf(s, e)
	}
}
