package speaker

import (
	"slices"
	"strings"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

func TestPlanOnBothProtocols(t *testing.T) {
	cfg := base()
	cfg.Advertisements = append(cfg.Advertisements, pharos.Advertisement{Name: "l2", Mode: pharos.Layer2, Pools: []string{cfg.Pools[0].Name}, Interfaces: []string{"eth1"}})
	nodes := cluster(node(1), node(2))
	for _, self := range []string{"n1", "n2"} {
		n, _ := nodes.Get(self)
		p := NewView(Options{Node: self}, cfg, n, nodes).Plan(service("web", "172.19.100.1"), backends("n1"))
		a := p.Addresses[0]
		owner := elected("172.19.100.1", "n1", "n2")
		if len(a.Routes) == 0 || a.Layer2.Owner != owner || a.here() != (self == owner) || a.Reason.Code != why.NodeAssigned || !slices.Equal(p.Nodes, []string{"n1", "n2"}) {
			t.Errorf("%s: %+v of %+v", self, a.Layer2, p)
		}
		if a.here() && !slices.Equal(a.Layer2.Interfaces, []string{"eth1"}) {
			t.Errorf("interfaces %v", a.Layer2.Interfaces)
		}
		text := p.Trail.String()
		if !strings.Contains(text, `announcing from node "`+self+`" with protocol "bgp"`) || strings.Contains(text, `with protocol "layer2"`) != a.here() {
			t.Errorf("%s: trail\n%s", self, text)
		}
	}
}

func TestPlanReasonsOfLayer2(t *testing.T) {
	label := func(v string) []pharos.Selector {
		return []pharos.Selector{{{Key: "app", Operator: pharos.In, Values: []string{v}}}}
	}
	advert := pharos.Advertisement{Name: "l2", Mode: pharos.Layer2, Pools: []string{"lan"}}
	selective := advert
	selective.ServiceSelectors = label("shop")
	elsewhere := advert
	elsewhere.NodeSelectors = onRack("9")
	for _, r := range []struct {
		name   string
		advert pharos.Advertisement
		change func(*pharos.Service)
		eps    *pharos.Endpoints
		want   string
	}{
		{"announced", advert, nil, backends("n1"), "nodeAssigned"},
		{"no endpoint", advert, nil, backends("n1:down"), "noEndpoints"},
		{"no local endpoint", advert, func(s *pharos.Service) { s.ExternalLocal = true }, backends("n7"), "noLocalEndpoints"},
		{"other Services", selective, nil, backends("n1"), "noMatchingAdvertisement"},
		{"this Service", selective, func(s *pharos.Service) { s.Labels = map[string]string{"app": "shop"} }, backends("n1"), "nodeAssigned"},
		{"shared", selective, func(s *pharos.Service) { s.Labels = map[string]string{"app": "shop"}; s.SharingKey = "x" }, backends("n1"), "sharedIPWithServiceSelector"},
		{"shared and for all", advert, func(s *pharos.Service) { s.SharingKey = "x" }, backends("n1"), "nodeAssigned"},
		{"other nodes", elsewhere, nil, backends("n1"), "noMatchingAdvertisement"},
	} {
		cfg := &pharos.Config{Pools: []pharos.Pool{pool("lan", "192.0.2.0/24")}, Advertisements: []pharos.Advertisement{r.advert}}
		svc := service("web", "192.0.2.1")
		if r.change != nil {
			r.change(svc)
		}
		p := NewView(Options{Node: "n1"}, cfg, node(1), cluster(node(1))).Plan(svc, r.eps)
		if got := p.reason().Code.String(); got != r.want {
			t.Errorf("%s: %s (%s), want %s", r.name, got, p.reason(), r.want)
		}
	}
}
