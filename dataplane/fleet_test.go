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
	"github.com/pharoslb/pharos/dataplane/table"
)

// cluster is three nodes and a direct Service, whose pods are where and how a
// test says.
type cluster struct {
	t        *testing.T
	fleet    *dataplane.Fleet
	planners map[string]*dataplane.Planner
	snapshot pharos.Snapshot
	name     pharos.Name
}

var now = time.Unix(1e9, 0)

func newCluster(t *testing.T, protocol pharos.Protocol, change func(*pharos.Service)) *cluster {
	c := &cluster{t: t, fleet: dataplane.NewFleet(1), planners: map[string]*dataplane.Planner{}, name: pharos.Name{Namespace: "default", Name: "web"}}
	for i, name := range []string{"n1", "n2", "n3"} {
		c.node(name, func(n *pharos.Node) {
			n.Addresses = []netip.Addr{nth("10.0.0.0", 1+i)}
			n.PodCIDRs = []netip.Prefix{prefix(fmt.Sprintf("10.244.%d.0/24", 1+i))}
		})
		c.planners[name] = dataplane.NewPlanner(dataplane.Options{Node: name})
	}
	service := web(func(s *pharos.Service) { s.Mode, s.Ports[0].Protocol = pharos.Direct, protocol })
	if change != nil {
		change(service)
	}
	c.snapshot.Services = c.snapshot.Services.With(c.name, service)
	return c
}

func (c *cluster) node(name string, change func(*pharos.Node)) {
	n := &pharos.Node{Name: name}
	if old, ok := c.snapshot.Nodes.Get(name); ok {
		*n = *old
	}
	change(n)
	c.snapshot.Nodes = c.snapshot.Nodes.With(name, n)
}

// The states of pods.
var (
	ready       = pharos.Backend{Ready: true, Serving: true}
	terminating = pharos.Backend{Serving: true, Terminating: true}
	leaving     = pharos.Backend{Terminating: true} // as of a server that stops being ready first
	unready     = pharos.Backend{}
)

// pods places pods on the nodes in turn, pod i in the i-th state.
func (c *cluster) pods(states ...pharos.Backend) *cluster {
	s, _ := c.snapshot.Services.Get(c.name)
	e := &pharos.Endpoints{}
	for i, b := range states {
		b.Addr, b.Node = pod(i).Addr(), fmt.Sprint("n", 1+i%3)
		b.Ports = []pharos.BackendPort{{Name: "a", Protocol: s.Ports[0].Protocol, Port: 8080}}
		e.Backends = append(e.Backends, b)
	}
	c.snapshot.Endpoints = c.snapshot.Endpoints.With(c.name, e)
	return c
}

func pod(i int) netip.AddrPort { return netip.AddrPortFrom(nth("10.244.1.10", i%3<<8+i), 8080) }

// apply makes the nodes do what the Snapshot says; the others stay behind.
func (c *cluster) apply(nodes ...string) *cluster {
	c.snapshot.Revision++
	s := c.snapshot
	for _, name := range nodes {
		c.fleet.Apply(c.planners[name].Plan(&s))
	}
	return c
}

var all = []string{"n1", "n2", "n3"}

func (c *cluster) packet(client int) dataplane.Packet {
	s, _ := c.snapshot.Services.Get(c.name)
	return dataplane.Packet{
		Src: nth("198.51.100.0", client%200), SrcPort: uint16(20000 + client),
		Dst: netip.MustParseAddrPort("192.0.2.1:80"), Protocol: s.Ports[0].Protocol,
	}
}

// connect begins connections at the ingress nodes in turn and returns who got
// them.
func (c *cluster) connect(n int, ingress ...string) []netip.AddrPort {
	c.t.Helper()
	var backends []netip.AddrPort
	for i := range n {
		path := c.fleet.Send(now, ingress[i%len(ingress)], c.packet(i))
		if path.Answer.Action != dataplane.Accept {
			c.t.Fatalf("connection %d: %+v", i, path)
		}
		backends = append(backends, path.Backend())
	}
	return backends
}

// broken counts the connections whose next packet, at an ingress node of the
// shifted turn, doesn't reach who has them.
func (c *cluster) broken(was []netip.AddrPort, shift int, ingress ...string) map[netip.AddrPort]int {
	c.t.Helper()
	broken := map[netip.AddrPort]int{}
	for i, backend := range was {
		p := c.packet(i)
		p.Ongoing = p.Protocol == pharos.TCP
		path := c.fleet.Send(now, ingress[(i+shift)%len(ingress)], p)
		if len(path.Nodes) > 3 {
			c.t.Fatalf("connection %d: %v", i, path.Nodes)
		}
		if path.Backend() != backend {
			broken[backend]++
		}
	}
	return broken
}

const connections = 600

// What breaks which connections: of mode direct none but those whose pod or its
// node is gone, of mode nat those that reach another node.
func TestWhatBreaksConnections(t *testing.T) {
	five := []pharos.Backend{ready, ready, ready, ready, ready}
	six := append(slices.Clone(five), ready)
	draining := append(slices.Clone(five), terminating)
	for _, test := range []struct {
		name  string
		from  []pharos.Backend
		event func(c *cluster)
		at    []string                  // the ingress nodes then
		lost  func(netip.AddrPort) bool // whose connections may break; nil: nobody's
	}{
		{"an ingress node is withdrawn", six, func(*cluster) {}, []string{"n1", "n3"}, nil},
		{"a pod more, while a node is withdrawn", five, func(c *cluster) { c.pods(six...).apply(all...) }, []string{"n2", "n3"}, nil},
		{"a pod drains, while a node is withdrawn", six, func(c *cluster) { c.pods(draining...).apply(all...) }, []string{"n1", "n3"}, nil},
		{"it does so unready", six, func(c *cluster) { c.pods(append(slices.Clone(five), leaving)...).apply(all...) }, []string{"n1", "n3"}, nil},
		{"a pod is gone", six, func(c *cluster) { c.pods(draining...).apply(all...).pods(five...).apply(all...) }, all,
			func(b netip.AddrPort) bool { return b == pod(5) }},
		{"pods are not ready for a while", six, func(c *cluster) { c.pods(ready, unready, ready, ready, unready, ready).apply(all...) }, all, nil},
		{"one node has not heard of the pod more", five, func(c *cluster) { c.pods(six...).apply("n1", "n3") }, all, nil},
		{"one node alone has heard of it", five, func(c *cluster) { c.pods(six...).apply("n2") }, all, nil},
		{"one node has not heard of the one that drains", six, func(c *cluster) { c.pods(draining...).apply("n2", "n3") }, all, nil},
		{"agents restart", six, func(c *cluster) {
			for _, name := range all {
				c.planners[name] = dataplane.NewPlanner(dataplane.Options{Node: name})
			}
			c.apply(all...)
		}, all, nil},
		{"a node is drained", six, func(c *cluster) {
			c.node("n2", func(n *pharos.Node) { n.Drain.Asked = true })
			c.apply(all...)
		}, []string{"n1", "n3"}, nil},
		{"a node loses its power", six, func(c *cluster) { c.fleet.PowerOff("n2") }, []string{"n1", "n3"},
			func(b netip.AddrPort) bool { return b == pod(1) || b == pod(4) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, pharos.TCP, nil).pods(test.from...).apply(all...)
			was := c.connect(connections, all...)
			test.event(c)
			for backend, n := range c.broken(was, 1, test.at...) {
				if test.lost == nil || !test.lost(backend) {
					t.Errorf("%d connections of %s are broken", n, backend)
				}
			}
			for i := range connections { // and new ones get through
				p := c.packet(1000 + i)
				path := c.fleet.Send(now, test.at[i%len(test.at)], p)
				if path.Answer.Action != dataplane.Accept && (test.lost == nil || !test.lost(pod(1))) {
					t.Fatalf("a new connection at %v: %+v", path.Nodes, path.Answer)
				}
			}
		})
	}
	nat := newCluster(t, pharos.TCP, func(s *pharos.Service) { s.Mode = pharos.NAT }).pods(six...).apply(all...)
	was := nat.connect(connections, all...)
	broken := 0
	for _, n := range nat.broken(was, 1, all...) {
		broken += n
	}
	if broken < connections/2 {
		t.Errorf("mode nat breaks %d of %d connections that reach another node", broken, connections)
	}
}

// A dead node's connections are reset, not passed into silence; new ones go to
// other nodes once its pods are not ready.
func TestDeadNode(t *testing.T) {
	c := newCluster(t, pharos.TCP, nil).pods(ready, ready, ready).apply(all...)
	was := c.connect(connections, all...)
	c.fleet.PowerOff("n2")
	c.node("n2", func(n *pharos.Node) { n.NotReady = true })
	c.pods(ready, unready, ready).apply("n1", "n3")
	for i, backend := range was {
		p := c.packet(i)
		p.Ongoing = true
		path := c.fleet.Send(now, []string{"n1", "n3"}[i%2], p)
		if want := map[bool]dataplane.Action{true: dataplane.Reject, false: dataplane.Accept}[backend == pod(1)]; path.Answer.Action != want {
			t.Fatalf("connection %d to %s: %+v", i, backend, path)
		}
	}
	c.connect(connections, "n1", "n3")
}

// Errors find the connection that they are about, and are never answered.
func TestErrorsFollowTheirConnection(t *testing.T) {
	for _, protocol := range []pharos.Protocol{pharos.TCP, pharos.UDP} {
		c := newCluster(t, protocol, nil).pods(ready, ready, ready, ready, ready).apply(all...)
		was := c.connect(connections, all...)
		c.pods(ready, ready, ready, ready, ready, ready).apply(all...)
		for i, backend := range was {
			p := c.packet(i)
			p.Error = true
			if path := c.fleet.Send(now, all[(i+1)%3], p); path.Backend() != backend {
				t.Fatalf("%s: an error about a connection of %s: %+v", protocol, backend, path)
			}
			p.SrcPort = 9
			if path := c.fleet.Send(now, all[i%3], p); path.Answer.Action != dataplane.Drop {
				t.Fatalf("%s: an error about nothing: %+v", protocol, path)
			}
		}
	}
}

// With session affinity a client has one pod, at whichever node and from
// whichever port it comes.
func TestDirectAffinity(t *testing.T) {
	c := newCluster(t, pharos.TCP, func(s *pharos.Service) { s.Affinity = time.Hour }).pods(ready, ready, ready, ready).apply(all...)
	of := map[netip.Addr]netip.AddrPort{}
	for i := range connections {
		p := c.packet(i)
		b := c.fleet.Send(now, all[i%3], p).Backend()
		if was, ok := of[p.Src]; ok && was != b {
			t.Fatalf("%s has %s and %s", p.Src, was, b)
		}
		of[p.Src] = b
	}
}

// Clients outside the source ranges get nowhere, and what is inside finds its
// backends as in mode nat.
func TestDirectAndTheRest(t *testing.T) {
	c := newCluster(t, pharos.TCP, func(s *pharos.Service) {
		s.SourceRanges = []netip.Prefix{prefix("198.51.100.0/25"), prefix("10.0.0.0/8")}
	}).pods(ready, ready).apply(all...)
	p := c.packet(3)
	if path := c.fleet.Send(now, "n3", p); path.Answer.Action != dataplane.Accept {
		t.Error(path)
	}
	p.Src = addr("198.51.100.200")
	if path := c.fleet.Send(now, "n3", p); path.Answer.Action != dataplane.Drop || len(path.Nodes) != 1 {
		t.Error(path)
	}
	p.Src = addr("10.244.3.77")
	if path := c.fleet.Send(now, "n3", p); path.Answer.Action != dataplane.Accept || len(path.Nodes) != 1 || path.Answer.Masquerade {
		t.Error(path)
	}
	p.Src, p.Own = addr("10.0.0.3"), true
	if path := c.fleet.Send(now, "n3", p); path.Answer.Action != dataplane.Accept || len(path.Nodes) != 1 || !path.Answer.Masquerade {
		t.Error(path)
	}
}

// Whatever tables nodes have, a packet is forwarded twice at most, and nobody
// sees it a third time.
func TestNoTablesMakeALoop(t *testing.T) {
	for seed := range uint64(300) {
		twice(t, seed)
	}
}

func FuzzNoTablesMakeALoop(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(twice)
}

func twice(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	fleet := dataplane.NewFleet(seed)
	name := pharos.Name{Namespace: "default", Name: "web"}
	target := dataplane.Target{Addr: addr("192.0.2.1"), Protocol: []pharos.Protocol{pharos.TCP, pharos.UDP}[r.IntN(2)], Port: 80}
	names := []string{"n1", "n2", "n3", "n4", "n5"}
	for _, node := range names {
		if r.IntN(8) == 0 {
			continue // without power
		}
		g := dataplane.Group{Protocol: target.Protocol, Table: &table.Table{}, Empty: dataplane.Reject}
		for i := range names { // whoever owns what: nobody agrees
			g.Table.Owners = append(g.Table.Owners, table.Endpoint{Addr: pod(i), Node: names[r.IntN(5)]})
		}
		owner := func() uint16 {
			if r.IntN(6) == 0 {
				return table.None
			}
			return uint16(r.IntN(len(names)))
		}
		for s := range g.Table.Slots {
			g.Table.Slots[s] = table.Slot{Current: owner(), Previous: owner()}
		}
		state := &dataplane.State{Node: dataplane.Node{Name: node}}
		state.Services = state.Services.With(name, &dataplane.Service{
			Name: name, Groups: []dataplane.Group{g},
			Frontends: []dataplane.Frontend{{Target: target, Kind: dataplane.LoadBalancer, Direct: true}},
		})
		fleet.Apply(state)
	}
	for range 200 {
		p := dataplane.Packet{
			Src: nth("198.51.100.0", r.IntN(4)), SrcPort: uint16(1 + r.IntN(50)), Protocol: target.Protocol,
			Dst: netip.AddrPortFrom(target.Addr, target.Port), Ongoing: r.IntN(2) == 0, Error: r.IntN(4) == 0,
		}
		path := fleet.Send(now, names[r.IntN(5)], p)
		if len(path.Nodes) > 3 {
			t.Fatalf("seed %d: forwarded %v", seed, path.Nodes)
		}
		if a := path.Answer.Action; a == dataplane.Reject && p.Error || a == dataplane.Forward || a == dataplane.Pass {
			t.Fatalf("seed %d: %+v ends with %+v", seed, p, path)
		}
	}
}
