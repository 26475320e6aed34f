package speaker

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/why"
)

const lastRoute = "10.10.2.210:179 172.19.100.1/32 pref 0 [65535:0]"

// With policy Local, a node whose endpoints all terminate is the last resort; then it
// is none. With policy Cluster nothing of that matters.
func TestTerminatingEndpointsAreTheLastResort(t *testing.T) {
	r := newRig(t, "n1")
	r.world.Config.Peers = r.world.Config.Peers[:1]
	svc := service("web", "172.19.100.1")
	svc.ExternalLocal = true
	for _, step := range []struct {
		eps  []string
		want string
	}{
		{[]string{"n1", "n1", "n2"}, oneRoute},
		{[]string{"n1:serving", "n1", "n2"}, oneRoute},
		{[]string{"n1:serving", "n1:serving", "n2"}, lastRoute},
		{[]string{"n1:down", "n1:serving", "n2"}, lastRoute},
		{[]string{"n2"}, ""},
		{[]string{"n1", "n2"}, oneRoute},
	} {
		r.put(svc, backends(step.eps...))
		r.reconcile()
		if got := r.engine.dump(); got != step.want {
			t.Errorf("with endpoints on %v: %q, want %q", step.eps, got, step.want)
		}
		if last := step.want == lastRoute; step.want != "" && (r.Status().Services[0].Addresses[0].LastResort != last ||
			strings.Contains(r.Explain(svc.Name).String(), "nodeDraining: all endpoints on node n1 terminate") != last) {
			t.Errorf("with endpoints on %v: status %+v, explain %s", step.eps, r.Status().Services[0].Addresses, r.Explain(svc.Name))
		}
	}
	svc = service("web", "172.19.100.1")
	r.put(svc, backends("n1:serving", "n2:serving"))
	r.reconcile()
	r.wantTable(t, oneRoute)
}

// A prefix is the last resort where it is for every Service that wants it.
func TestSharedPrefixIsTheLastResortForAll(t *testing.T) {
	r := newRig(t, "n1")
	r.world.Config.Peers = r.world.Config.Peers[:1]
	one, two := service("one", "172.19.100.1"), service("two", "172.19.100.1")
	one.ExternalLocal, two.ExternalLocal = true, true
	r.put(one, backends("n1:serving"))
	r.put(two, backends("n1"))
	r.reconcile()
	r.wantTable(t, oneRoute)
	r.put(two, backends("n1:serving"))
	r.reconcile()
	r.wantTable(t, lastRoute)
	r.drop("two")
	r.reconcile()
	r.wantTable(t, lastRoute)
	r.put(one, backends("n1"))
	r.reconcile()
	r.wantTable(t, oneRoute)
}

// draining returns a node that is being drained.
func draining(n *pharos.Node, d time.Duration) *pharos.Node {
	is := *n
	is.Drain = pharos.Drain{Asked: true, Time: d}
	return &is
}

// A node that is being drained is the last resort for a while, then announces nothing,
// until it is not drained any more.
func TestNodeDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "n1")
		r.world.Config.Peers = r.world.Config.Peers[:1]
		svc := service("web", "172.19.100.1")
		r.put(svc, backends("n1", "n2"))
		r.reconcile()
		n1, n2 := node(1, "rack=1"), node(2, "rack=2")
		r.world.Nodes = cluster(draining(n1, 5*time.Second), n2)
		r.reconcile()
		r.wantTable(t, lastRoute)
		if st := r.Status(); st.Drain.Code != why.NodeDraining || strings.Join(st.Services[0].Nodes, " ") != "n2" {
			t.Errorf("drain %+v, announced from %v", st.Drain, st.Services[0].Nodes)
		}
		if got := strings.Join(r.notes.take(), "\n"); !strings.Contains(got, "node n1 nodeDraining: node n1 is being drained: for 5s") {
			t.Errorf("told %q", got)
		}
		if d := r.deadline(); !d.Equal(time.Now().Add(5 * time.Second)) {
			t.Errorf("the next look is at %v", d)
		}
		<-time.After(5 * time.Second)
		r.refresh()
		r.wantTable(t)
		if st := r.Status(); st.Services[0].Reason.Code != why.NodeDraining || !r.deadline().IsZero() {
			t.Errorf("%+v", st.Services)
		}
		r.world.Nodes = cluster(n1, n2)
		r.reconcile()
		r.wantTable(t, oneRoute)
		r.world.Nodes = cluster(draining(n1, 0), n2)
		r.reconcile()
		if d := r.deadline(); !d.Equal(time.Now().Add(DrainTime)) {
			t.Errorf("without a time of its own it lasts until %v", d)
		}
		<-time.After(10 * time.Second)
		r.world.Nodes = cluster(draining(n1, 12*time.Second), n2)
		r.reconcile()
		if d := r.deadline(); !d.Equal(time.Now().Add(2 * time.Second)) {
			t.Errorf("it is to be over sooner, and lasts until %v", d)
		}
		r.world.Nodes = cluster(draining(n1, 10*time.Second), n2)
		r.reconcile()
		r.wantTable(t)
	})
}

// A speaker that begins on a node that is being drained announces nothing: nobody uses
// the node yet.
func TestNodeDrainedFromTheStart(t *testing.T) {
	r := newRig(t, "n1")
	r.world.Nodes = cluster(draining(node(1, "rack=1"), time.Hour), node(2, "rack=2"))
	r.put(service("web", "172.19.100.1"), backends("n1", "n2"))
	r.reconcile()
	r.wantTable(t)
}

// What the annotation says in vain is told, once.
func TestNodeDrainRefused(t *testing.T) {
	r := newRig(t, "n1")
	n := node(1, "rack=1")
	n.Drain = pharos.ParseDrain("soon")
	r.world.Nodes = cluster(n)
	r.put(service("web", "172.19.100.1"), backends("n1"))
	r.reconcile()
	r.reconcile()
	var told []string
	for _, line := range r.notes.take() {
		if strings.Contains(line, "drainInvalid") {
			told = append(told, line)
		}
	}
	if len(told) != 1 || r.engine.dump() == "" || r.Status().Drain.Code != why.DrainInvalid {
		t.Errorf("told %q, announced %q", told, r.engine.dump())
	}
}

// On layer 2 a node that is being drained is elected only where there is no other.
func TestDrainedNodeIsElectedLast(t *testing.T) {
	cfg := &pharos.Config{Pools: []pharos.Pool{pool("a", "172.19.100.0/24")},
		Advertisements: []pharos.Advertisement{{Name: "a", Mode: pharos.Layer2, Pools: []string{"a"}}}}
	owner := func(nodes ...*pharos.Node) string {
		all := cluster(nodes...)
		return NewView(Options{Node: "n1"}, cfg, nodes[0], all).Plan(service("web", "172.19.100.1"), backends("n1")).Addresses[0].Layer2.Owner
	}
	n1, n2 := node(1), node(2)
	first, other := owner(n1, n2), "n1"
	if first == "n1" {
		other = "n2"
		n1 = draining(n1, 0)
	} else {
		n2 = draining(n2, 0)
	}
	if got := owner(n1, n2); got != other {
		t.Errorf("%q is elected, want %q", got, other)
	}
	n1, n2 = draining(n1, 0), draining(n2, 0)
	if got := owner(n1, n2); got != first {
		t.Errorf("with all of them drained %q is elected, want %q", got, first)
	}
}

// goodbye is an engine whose sessions have what was applied; one has agreed to graceful
// restart.
type goodbye struct {
	engine
	keeps  string
	marked map[string]bool
	at     time.Time
}

func (g *goodbye) SetPeers(peers []bgp.Config) error {
	for _, p := range peers {
		if p.GracefulShutdown {
			g.marked[p.Name], g.at = true, time.Now()
		}
	}
	return g.engine.SetPeers(peers)
}

func (g *goodbye) Status() []bgp.SessionStatus {
	list := g.engine.Status()
	for i := range list {
		if list[i].Advertised = list[i].Desired; list[i].Name == g.keeps {
			list[i].CapabilitiesReceived = []wire.Capability{wire.GracefulRestartCapability(wire.GracefulRestart{})}
		}
	}
	return list
}

// Before it ends, a speaker marks its routes, but not to peers that keep them, and gives
// the others the time to look elsewhere.
func TestLeave(t *testing.T) {
	for name, c := range map[string]struct {
		drain  time.Duration
		route  bool
		agreed bool // by both peers: tor2 alone is asked
		marked []string
		lasts  time.Duration
	}{
		"marked":                  {time.Second, true, false, []string{"10.10.2.210:179", "10.10.2.211:179"}, time.Second},
		"one keeps the routes":    {time.Second, true, true, []string{"10.10.2.210:179"}, time.Second},
		"nothing to be marked":    {time.Second, false, false, nil, 0},
		"it is not to be waited":  {0, true, false, nil, 0},
		"it is waited for longer": {time.Minute, true, false, []string{"10.10.2.210:179", "10.10.2.211:179"}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &goodbye{marked: map[string]bool{}}
				if c.agreed {
					g.keeps = "10.10.2.211:179"
				}
				f := newFeed()
				s, err := New(Options{Node: "n1", DrainTime: c.drain}, Edge{Source: f, Recorder: &notebook{}, Sessions: g})
				if err != nil {
					t.Fatal(err)
				}
				world := &pharos.Snapshot{Synced: true, Config: base(), Nodes: cluster(node(1))}
				world.Config.Peers[1].GracefulRestart = true
				svc := service("web", "172.19.100.1")
				if world.Services = world.Services.With(svc.Name, svc); c.route {
					world.Endpoints = world.Endpoints.With(svc.Name, backends("n1"))
				}
				f.set(world)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- s.Run(ctx) }()
				synctest.Wait()
				begin := time.Now()
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took != c.lasts || len(g.marked) > 0 && !g.at.Equal(begin) {
					t.Errorf("it took %v, and routes were marked after %v", took, g.at.Sub(begin))
				}
				for _, peer := range c.marked {
					if !g.marked[peer] {
						t.Errorf("%s is not told", peer)
					}
				}
				if len(g.marked) != len(c.marked) {
					t.Errorf("told: %v, want %v", g.marked, c.marked)
				}
			})
		})
	}
}
