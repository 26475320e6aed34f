package dataplane_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/why"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func nth(base string, n int) netip.Addr {
	b := addr(base).AsSlice()
	b[len(b)-1] += byte(n)
	b[len(b)-2] += byte(n >> 8)
	a, _ := netip.AddrFromSlice(b)
	return a
}

// chaos changes a cluster at random: few names and few addresses, so that
// Services meet.
type chaos struct {
	*rand.Rand
	snapshot pharos.Snapshot
}

func (c *chaos) step() *pharos.Snapshot {
	s := &c.snapshot
	s.Revision++
	name := pharos.Name{Namespace: "default", Name: fmt.Sprintf("s%d", c.IntN(8))}
	switch c.IntN(10) {
	case 0:
		s.Services = s.Services.Without(name)
	case 1:
		s.Endpoints = s.Endpoints.Without(name)
	case 2, 3, 4:
		e := &pharos.Endpoints{}
		for range c.IntN(5) {
			state := c.IntN(4)
			e.Backends = append(e.Backends, pharos.Backend{
				Addr: nth([]string{"10.1.0.0", "fd01::"}[c.IntN(2)], c.IntN(6)), Node: []string{"n0", "n1", "n2", "n0", "n1", "n2", ""}[c.IntN(7)],
				Ready: state == 0 || state == 3, Serving: state < 2 || state == 3, Terminating: state == 1,
				Ports: []pharos.BackendPort{{Name: "a", Protocol: pharos.TCP, Port: 8080}, {Name: "b", Protocol: pharos.UDP, Port: 53}},
			})
		}
		s.Endpoints = s.Endpoints.With(name, e)
	case 5:
		s.Nodes = s.Nodes.With("n1", &pharos.Node{
			Name: "n1", Addresses: []netip.Addr{addr("10.0.0.1")},
			PodCIDRs: []netip.Prefix{prefix(fmt.Sprintf("10.%d.0.0/16", 1+c.IntN(2)))},
		})
	case 6:
		n := &pharos.Node{
			Name: []string{"n0", "n2"}[c.IntN(2)], Addresses: []netip.Addr{addr("10.0.0.2"), addr("10.0.0.3")}[c.IntN(2):],
			PodCIDRs: []netip.Prefix{prefix("10.3.0.0/16")}, NotReady: c.IntN(3) == 0, Drain: pharos.Drain{Asked: c.IntN(3) == 0},
		}
		if s.Nodes = s.Nodes.With(n.Name, n); c.IntN(3) == 0 {
			s.Nodes = s.Nodes.Without(n.Name)
		}
	default:
		service := &pharos.Service{
			Name: name, Type: []pharos.ServiceType{pharos.ClusterIP, pharos.NodePort, pharos.LoadBalancer, pharos.ExternalName}[c.IntN(4)],
			Created:       time.Unix(int64(c.IntN(4)), 0),
			ClusterIPs:    []netip.Addr{nth("10.96.0.0", c.IntN(8)), nth("fd96::", c.IntN(8))}[:c.IntN(3)],
			ExternalIPs:   []netip.Addr{nth("192.0.2.0", c.IntN(3)), nth("fd02::", c.IntN(3))}[:c.IntN(3)],
			Ingress:       []netip.Addr{nth("192.0.2.0", c.IntN(3))},
			ExternalLocal: c.IntN(2) == 0, InternalLocal: c.IntN(4) == 0,
			Ports: []pharos.ServicePort{
				{Name: "a", Protocol: pharos.TCP, Port: uint16(80 + c.IntN(2)), NodePort: uint16(30000 + c.IntN(3))},
				{Name: "b", Protocol: pharos.UDP, Port: 53}}[:1+c.IntN(2)],
			HealthCheckNodePort: uint16(c.IntN(2)) * 32000,
			Mode:                []pharos.DataPlaneMode{pharos.ModeDefault, pharos.NAT, pharos.Direct}[c.IntN(3)],
		}
		if c.IntN(3) == 0 {
			service.SourceRanges = []netip.Prefix{prefix("10.0.0.0/8"), prefix("10.1.0.0/16"), prefix("fd00::/8")}
		}
		s.Services = s.Services.With(name, service)
	}
	copied := *s
	return &copied
}

// Whatever happened before, the plan is that of a planner that sees the
// Snapshot alone; what did not change is shared; and no address is served twice.
func TestPlanDependsOnTheLastSnapshotAlone(t *testing.T) {
	for seed := range uint64(20) {
		c := &chaos{Rand: rand.New(rand.NewPCG(seed, 0))}
		planner := dataplane.NewPlanner(dataplane.Options{Node: "n1"})
		var before *dataplane.State
		for i := range 300 {
			snapshot := c.step()
			got := planner.Plan(snapshot)
			want := dataplane.NewPlanner(dataplane.Options{Node: "n1"}).Plan(snapshot)
			if !got.Node.Equal(&want.Node) || !slices.EqualFunc(got.Siblings, want.Siblings, dataplane.Sibling.Equal) || got.Services.Len() != want.Services.Len() || got.Revision != snapshot.Revision {
				t.Fatalf("seed %d, step %d: %d services, want %d", seed, i, got.Services.Len(), want.Services.Len())
			}
			served := map[dataplane.Target]pharos.Name{}
			for name, w := range want.Services.All() {
				g, ok := got.Services.Get(name)
				if !ok || !g.Equal(w) {
					t.Fatalf("seed %d, step %d: %s is %+v, want %+v", seed, i, name, g, w)
				}
				if before != nil {
					if old, ok := before.Services.Get(name); ok && old != g && old.Equal(g) {
						t.Fatalf("seed %d, step %d: %s is equal and not shared", seed, i, name)
					}
				}
				for _, f := range g.Frontends {
					if other, taken := served[f.Target]; taken {
						t.Fatalf("seed %d, step %d: %s is served for %s and %s", seed, i, f.Target, other, name)
					}
					served[f.Target] = name
				}
			}
			before = got
		}
	}
}

func snapshot(service *pharos.Service, endpoints *pharos.Endpoints) *pharos.Snapshot {
	s := &pharos.Snapshot{Synced: true}
	s.Nodes = s.Nodes.With("n1", &pharos.Node{Name: "n1", Addresses: []netip.Addr{addr("10.0.0.1")}, PodCIDRs: []netip.Prefix{prefix("10.1.0.0/16")}})
	s.Services = s.Services.With(service.Name, service)
	if endpoints != nil {
		s.Endpoints = s.Endpoints.With(service.Name, endpoints)
	}
	return s
}

func web(change func(*pharos.Service)) *pharos.Service {
	s := &pharos.Service{
		Name: pharos.Name{Namespace: "default", Name: "web"}, Type: pharos.LoadBalancer,
		ClusterIPs: []netip.Addr{addr("10.96.0.1")}, Ingress: []netip.Addr{addr("192.0.2.1")},
		Ports: []pharos.ServicePort{{Name: "a", Protocol: pharos.TCP, Port: 80, NodePort: 30080}},
	}
	if change != nil {
		change(s)
	}
	return s
}

func plan(t *testing.T, options dataplane.Options, s *pharos.Snapshot) *dataplane.Service {
	t.Helper()
	options.Node = "n1"
	p, ok := dataplane.NewPlanner(options).Plan(s).Services.Get(pharos.Name{Namespace: "default", Name: "web"})
	if !ok {
		t.Fatal("the Service is not planned")
	}
	return p
}

func TestSourceRangesAreMerged(t *testing.T) {
	for _, c := range []struct {
		ranges []netip.Prefix
		want   []netip.Prefix
	}{
		{[]netip.Prefix{prefix("172.16.0.0/12"), prefix("10.9.0.0/16"), prefix("10.0.0.0/24"), prefix("10.9.9.0/24"), prefix("10.9.0.0/16")},
			[]netip.Prefix{prefix("10.0.0.0/24"), prefix("10.9.0.0/16"), prefix("172.16.0.0/12"), prefix("192.0.2.1/32")}}, // with the node, its own VIP
		{[]netip.Prefix{prefix("172.16.5.4/12")}, []netip.Prefix{prefix("172.16.0.0/12")}},
		{[]netip.Prefix{prefix("fd00::/8")}, []netip.Prefix{}}, // nobody of this family
	} {
		s := plan(t, dataplane.Options{}, snapshot(web(func(s *pharos.Service) { s.SourceRanges = c.ranges }), nil))
		for _, f := range s.Frontends {
			if guarded := f.Sources != nil; guarded != (f.Kind == dataplane.LoadBalancer) {
				t.Errorf("%s has sources %v", f.Kind, f.Sources)
			} else if guarded && !slices.Equal(f.Sources, c.want) {
				t.Errorf("%v: sources %v, want %v", c.ranges, f.Sources, c.want)
			}
		}
	}
}

// Without a network of pods nobody counts as foreign.
func TestMasqueradeNeedsPodNetworks(t *testing.T) {
	s := snapshot(web(nil), nil)
	if f := plan(t, dataplane.Options{}, s).Frontends; f[1].Kind != dataplane.ClusterIP || f[1].Masquerade != dataplane.MasqueradeForeign {
		t.Errorf("frontends %+v", f)
	}
	s.Nodes = s.Nodes.Without("n1")
	if f := plan(t, dataplane.Options{}, s).Frontends; f[1].Masquerade != dataplane.MasqueradeNever {
		t.Errorf("frontends %+v", f)
	}
	if f := plan(t, dataplane.Options{PodCIDRs: []netip.Prefix{prefix("10.0.0.0/8")}}, s).Frontends; f[1].Masquerade != dataplane.MasqueradeForeign {
		t.Errorf("frontends %+v", f)
	}
}

// The node stays as it was when its object is gone.
func TestLostNodeStays(t *testing.T) {
	p := dataplane.NewPlanner(dataplane.Options{Node: "n1"})
	s := snapshot(web(nil), nil)
	before := p.Plan(s)
	lost := *s
	lost.Nodes = lost.Nodes.Without("n1")
	if after := p.Plan(&lost); !after.Node.Equal(&before.Node) {
		t.Errorf("node %+v, was %+v", after.Node, before.Node)
	}
}

func TestHealthCountsReadyPodsOfThisNode(t *testing.T) {
	port := []pharos.BackendPort{{Name: "a", Protocol: pharos.TCP, Port: 80}}
	e := &pharos.Endpoints{Backends: []pharos.Backend{
		{Addr: addr("10.1.0.1"), Node: "n1", Ready: true, Ports: port},
		{Addr: addr("10.1.0.1"), Node: "n1", Ready: true, Ports: []pharos.BackendPort{{Name: "b", Protocol: pharos.TCP, Port: 81}}},
		{Addr: addr("fd01::1"), Node: "n1", Ready: true, Ports: port},
		{Addr: addr("10.1.0.2"), Node: "n1", Serving: true, Terminating: true, Ports: port},
		{Addr: addr("10.1.0.3"), Node: "n2", Ready: true, Ports: port},
	}}
	for _, c := range []struct {
		local bool
		port  uint16
		want  dataplane.Health
	}{
		{true, 32000, dataplane.Health{Port: 32000, Endpoints: 1}},
		{false, 32000, dataplane.Health{}},
		{true, 0, dataplane.Health{}},
	} {
		s := snapshot(web(func(s *pharos.Service) { s.ExternalLocal, s.HealthCheckNodePort = c.local, c.port }), e)
		if got := plan(t, dataplane.Options{}, s).Health; got != c.want {
			t.Errorf("%+v: health %+v", c, got)
		}
	}
}

func TestRefusedFrontendsAreExplained(t *testing.T) {
	s := snapshot(web(func(s *pharos.Service) { s.Created = time.Unix(2, 0) }), nil)
	older := web(func(s *pharos.Service) { s.Created, s.Name.Name = time.Unix(1, 0), "older" })
	older.ClusterIPs = []netip.Addr{addr("10.96.0.9")}
	s.Services = s.Services.With(older.Name, older)
	got := plan(t, dataplane.Options{}, s)
	if len(got.Frontends) != 1 || len(got.Refused) != 2 {
		t.Fatalf("frontends %+v, refused %+v", got.Frontends, got.Refused)
	}
	want := why.New(why.FrontendTaken, "192.0.2.1:80/TCP is answered by the older Service default/older")
	if got.Refused[1].Reason != want || got.Refused[0].Target.String() != "*:30080/TCP" {
		t.Errorf("refused %+v", got.Refused)
	}
}

// A client's choice is forgotten when its time is over, not earlier.
func TestModelAffinityEnds(t *testing.T) {
	m := dataplane.NewModel(7)
	e := &pharos.Endpoints{}
	for n := range 16 {
		e.Backends = append(e.Backends, pharos.Backend{Addr: nth("10.1.0.1", n), Node: "n1", Ready: true, Ports: []pharos.BackendPort{{Name: "a", Protocol: pharos.TCP, Port: 80}}})
	}
	s := snapshot(web(func(s *pharos.Service) { s.Affinity = time.Minute }), e)
	if err := m.Apply(t.Context(), dataplane.NewPlanner(dataplane.Options{Node: "n1"}).Plan(s)); err != nil {
		t.Fatal(err)
	}
	p := dataplane.Packet{Src: addr("192.0.2.77"), Dst: netip.MustParseAddrPort("10.96.0.1:80"), Protocol: pharos.TCP}
	now := time.Unix(1e9, 0)
	first := m.Send(now, p).Backends[0]
	for range 50 { // each connection renews it
		now = now.Add(59 * time.Second)
		if got := m.Send(now, p).Backends[0]; got != first {
			t.Fatalf("moved from %s to %s", first.Addr, got.Addr)
		}
	}
	seen := map[netip.AddrPort]bool{}
	for range 50 {
		now = now.Add(time.Minute)
		seen[m.Send(now, p).Backends[0].Addr] = true
	}
	if len(seen) < 8 {
		t.Errorf("after each minute of silence only %d of 16 backends were chosen in 50 times", len(seen))
	}
}

func TestModelServesNodePortsWhereAsked(t *testing.T) {
	s := snapshot(web(nil), &pharos.Endpoints{Backends: []pharos.Backend{{Addr: addr("10.1.0.1"), Node: "n1", Ready: true, Ports: []pharos.BackendPort{{Name: "a", Protocol: pharos.TCP, Port: 80}}}}})
	for _, c := range []struct {
		served []netip.Prefix
		to     string
		want   dataplane.Action
	}{
		{nil, "10.0.0.1:30080", dataplane.Accept},
		{nil, "127.0.0.1:30080", dataplane.Pass},
		{nil, "10.0.0.2:30080", dataplane.Pass},
		{[]netip.Prefix{prefix("10.0.0.0/8")}, "10.0.0.1:30080", dataplane.Accept},
		{[]netip.Prefix{prefix("192.168.0.0/16")}, "10.0.0.1:30080", dataplane.Pass},
	} {
		m := dataplane.NewModel(1)
		state := dataplane.NewPlanner(dataplane.Options{Node: "n1", NodePorts: c.served}).Plan(s)
		if err := m.Apply(t.Context(), state); err != nil {
			t.Fatal(err)
		}
		p := dataplane.Packet{Src: addr("192.0.2.77"), Dst: netip.MustParseAddrPort(c.to), Protocol: pharos.TCP}
		if got := m.Where(p).Action; got != c.want {
			t.Errorf("%s, served at %v: %s, want %s", c.to, c.served, got, c.want)
		}
	}
}
