package speaker

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/why"
)

// fakeKernel is a DataPlane that holds what it is given.
type fakeKernel struct {
	mu      sync.Mutex
	state   DataPlaneState
	news    map[pharos.Name]*dataplane.Serving
	changed chan struct{}
}

func newFakeKernel() *fakeKernel {
	return &fakeKernel{
		state:   DataPlaneState{Gates: true, Settled: true, Whole: true, Comparable: true},
		news:    map[pharos.Name]*dataplane.Serving{},
		changed: make(chan struct{}, 1),
	}
}

func (k *fakeKernel) Changed() <-chan struct{} { return k.changed }
func (k *fakeKernel) State() DataPlaneState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}
func (k *fakeKernel) Take() map[pharos.Name]*dataplane.Serving {
	k.mu.Lock()
	defer k.mu.Unlock()
	news := k.news
	k.news = map[pharos.Name]*dataplane.Serving{}
	return news
}

func (k *fakeKernel) change(f func()) {
	k.mu.Lock()
	f()
	k.mu.Unlock()
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// holds has the kernel hold a Service as it is planned of these endpoints, for node n1.
func (k *fakeKernel) holds(svc *pharos.Service, eps *pharos.Endpoints) {
	s := &dataplane.Serving{Name: svc.Name, Digest: dataplane.DigestOf(svc, eps)}
	f := dataplane.Served{Protocol: pharos.TCP, Port: 80}
	for i := range eps.Backends {
		if b := &eps.Backends[i]; b.Servable() {
			f.Backends++
			if b.Node == "n1" {
				f.Local++
			}
		}
	}
	for _, f.Addr = range svc.Ingress {
		s.Frontends = append(s.Frontends, f)
	}
	k.change(func() { k.news[svc.Name] = s })
}

// gated is a speaker of n1 whose announcements wait for a data plane.
type gated struct {
	*rig
	kernel *fakeKernel
}

func newGated(t *testing.T) gated {
	t.Helper()
	g := gated{rig: newRig(t, "n1"), kernel: newFakeKernel()}
	var err error
	g.Speaker, err = New(Options{Node: "n1"}, Edge{Source: newFeed(), Recorder: g.notes, Sessions: g.engine, DataPlane: g.kernel})
	if err != nil {
		t.Fatal(err)
	}
	g.world.Config.Peers = g.world.Config.Peers[:1]
	return g
}

const oneRoute = "10.10.2.210:179 172.19.100.1/32 pref - []"

// says checks why the Service is announced or not, in status and explain.
func (g gated) says(t *testing.T, code why.Code, text string) {
	t.Helper()
	got := g.Status().Services[0].Reason
	trail := g.Explain(pharos.Name{Namespace: "default", Name: "web"})
	if got.Code != code || !strings.Contains(got.String(), text) || trail[len(trail)-1] != got {
		t.Errorf("status says %s: %s, explain %s; want %s: %s", got.Code, got, trail, code, text)
	}
}

// An announcement begins once the kernel holds what was planned of the very endpoints
// that it is decided by.
func TestAnnouncementsWaitForTheKernel(t *testing.T) {
	g := newGated(t)
	svc, eps := service("web", "172.19.100.1"), backends("n1", "n2")
	g.put(svc, eps)
	g.reconcile()
	g.wantTable(t)
	g.says(t, why.DataPlaneAwaited, "does not have the Service")
	g.kernel.holds(svc, backends("n2"))
	g.refresh()
	g.wantTable(t)
	g.says(t, why.DataPlaneAwaited, "before its last change")
	g.kernel.holds(svc, eps)
	g.refresh()
	g.wantTable(t, oneRoute)
	g.says(t, why.NodeAssigned, "")
	if d := g.Status().DataPlane; d == nil || !d.Gates {
		t.Errorf("the status says %+v of the data plane", d)
	}

	other := service("web", "172.19.100.1")
	other.Ports = []pharos.ServicePort{{Port: 81}}
	g.put(other, eps)
	g.reconcile()
	g.wantTable(t, oneRoute) // it stands, though the kernel has yet to follow
	g.kernel.change(func() { g.kernel.news[svc.Name] = nil })
	g.refresh()
	g.wantTable(t)
	g.says(t, why.DataPlaneBehind, "does not have the Service")
}

// Where nothing gates, for other proxies' Services, and with a proxy whose digests say
// nothing, announcements do not wait.
func TestWhatDoesNotWait(t *testing.T) {
	svc, eps := service("web", "172.19.100.1"), backends("n1")
	for name, set := range map[string]func(*fakeKernel){
		"no proxy": func(k *fakeKernel) {
			k.state = DataPlaneState{Settled: true, Silent: time.Now(), Problem: "no such file"}
		},
		"another proxy's":     func(k *fakeKernel) { k.news[svc.Name] = &dataplane.Serving{Name: svc.Name, Elsewhere: true} },
		"not carried":         func(k *fakeKernel) { k.state.Beside, k.state.Mode = true, pharos.NAT },
		"incomparable digest": func(k *fakeKernel) { k.holds(svc, backends("n1", "n2")); k.state.Comparable = false },
	} {
		g := newGated(t)
		set(g.kernel)
		g.put(svc, eps)
		g.reconcile()
		if g.engine.dump() != oneRoute {
			t.Errorf("%s: %q is announced, for %s", name, g.engine.dump(), g.Status().Services[0].Reason)
		}
	}
}

// Before it is known whether there is a data plane nothing is announced, and the table
// is not said to be complete: a peer that kept routes over a restart would drop them.
func TestNothingBeforeTheDataPlaneIsSettled(t *testing.T) {
	g := newGated(t)
	g.kernel.state = DataPlaneState{Silent: time.Now(), Problem: "it has not been asked yet"}
	svc, eps := service("web", "172.19.100.1"), backends("n1")
	g.put(svc, eps)
	g.reconcile()
	if g.wantTable(t); g.engine.complete || g.Healthy() == nil {
		t.Error("the table is said to be complete")
	}
	if got := g.Explain(svc.Name); got[0].Code != why.DataPlaneAwaited {
		t.Errorf("explained by %v", got)
	}
	g.kernel.holds(svc, eps)
	g.kernel.change(func() { g.kernel.state = DataPlaneState{Gates: true, Settled: true, Whole: true, Comparable: true} })
	g.refresh()
	if g.wantTable(t, oneRoute); !g.engine.complete || g.engine.first == 0 {
		t.Error("the table is not said to be complete, or was before it was")
	}
}

// With policy Local the kernel has to have an endpoint of the node.
func TestLocalNeedsAnEndpointInTheKernel(t *testing.T) {
	g := newGated(t)
	svc, eps := service("web", "172.19.100.1"), backends("n1", "n2")
	svc.ExternalLocal = true
	g.put(svc, eps)
	g.kernel.holds(svc, eps)
	g.reconcile()
	g.wantTable(t, oneRoute)
	g.kernel.holds(svc, backends("n2"))
	g.refresh()
	g.wantTable(t)
	g.says(t, why.DataPlaneBehind, "no endpoint of the node")
}

// A proxy that ends leaves its rules: what stands stands, for as long as nothing
// changes; what is new waits.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated(t)
		svc, eps := service("web", "172.19.100.1"), backends("n1", "n2")
		g.put(svc, eps)
		g.kernel.holds(svc, eps)
		g.reconcile()
		g.kernel.change(func() { g.kernel.state.Silent, g.kernel.state.Problem = time.Now(), "the stream ended" })
		g.refresh()
		g.put(service("zz", "172.19.100.2"), eps)
		g.reconcile()
		<-time.After(time.Hour)
		g.refresh()
		g.wantTable(t, oneRoute)
		if r := g.Status().Services[1].Reason; r.Code != why.DataPlaneAwaited || !strings.Contains(r.String(), "not heard: the stream ended") {
			t.Errorf("the new Service: %s: %s", r.Code, r)
		}
		g.put(svc, backends("n1"))
		g.reconcile()
		<-time.After(silentTime - time.Nanosecond)
		g.refresh()
		g.wantTable(t, oneRoute)
		<-time.After(time.Nanosecond)
		if due := g.deadline(); due.After(time.Now()) {
			t.Errorf("the next look is at %v", due)
		}
		g.refresh()
		g.wantTable(t)
		g.says(t, why.DataPlaneBehind, "before its last change, and its proxy is not heard")
		if !g.deadline().IsZero() {
			t.Error("there is something to wait for still")
		}
	})
}

// A data plane that is heard and does not follow is given up after followTime; one that
// follows, if late, is not.
func TestLaggingKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated(t)
		svc, eps := service("web", "172.19.100.1"), backends("n1", "n2")
		g.put(svc, eps)
		g.kernel.holds(svc, eps)
		g.reconcile()
		for i := range 4 { // it is always behind, and never stands still
			g.put(svc, backends(append([]string{"n1", "n2", "n1"}, make([]string, i)...)...))
			g.reconcile()
			<-time.After(followTime - time.Second)
			g.kernel.holds(svc, backends(append([]string{"n1"}, make([]string, i)...)...))
			g.refresh()
			g.wantTable(t, oneRoute)
		}
		<-time.After(followTime)
		g.refresh()
		g.wantTable(t)
		last, _ := g.world.Endpoints.Get(svc.Name)
		g.kernel.holds(svc, last)
		g.refresh()
		g.wantTable(t, oneRoute)
		if len(g.Speaker.kernel.behind) != 0 {
			t.Error("something is remembered of what is over")
		}
	})
}

// A proxy that began anew and tells what was known already changes nothing.
func TestToldAgain(t *testing.T) {
	g := newGated(t)
	svc, eps := service("web", "172.19.100.1"), backends("n1", "n2")
	g.put(svc, eps)
	g.kernel.holds(svc, eps)
	g.reconcile()
	before := g.Status().Updates
	g.kernel.holds(svc, eps)
	g.refresh()
	if got := g.Status().Updates; got != before {
		t.Errorf("%d updates of what is the same", got-before)
	}
}

func TestVerdict(t *testing.T) {
	a := addr("172.19.100.1")
	held := func(local int) *dataplane.Serving {
		return &dataplane.Serving{Digest: 1, Frontends: []dataplane.Served{{Addr: addr("fd01::1"), Local: 1}, {Addr: a, Port: 80}, {Addr: a, Port: 443, Local: local}}}
	}
	heard := Kernel{Gates: true, Whole: true, Comparable: true, Want: 1}
	for _, c := range []struct {
		name   string
		set    func(*Kernel)
		local  bool
		begin  why.Code
		stands why.Code
	}{
		{"nothing is asked", func(k *Kernel) { *k = Kernel{} }, true, why.OK, why.OK},
		{"nothing was heard", func(k *Kernel) { k.Whole, k.Problem = false, "refused" }, false, why.DataPlaneAwaited, why.OK},
		{"nothing is in the kernel yet", func(k *Kernel) { k.Whole = false }, false, why.DataPlaneAwaited, why.OK},
		{"unknown Service", func(k *Kernel) { k.Serving = nil }, false, why.DataPlaneAwaited, why.DataPlaneBehind},
		{"as planned", func(*Kernel) {}, false, why.OK, why.OK},
		{"as planned, with an endpoint here", func(*Kernel) {}, true, why.OK, why.OK},
		{"no endpoint here", func(k *Kernel) { k.Serving = held(0) }, true, why.DataPlaneAwaited, why.DataPlaneBehind},
		{"no endpoint here, and none is needed", func(k *Kernel) { k.Serving = held(0) }, false, why.OK, why.OK},
		{"as it was", func(k *Kernel) { k.Want = 2 }, false, why.DataPlaneAwaited, why.OK},
		{"as it was for too long", func(k *Kernel) { k.Want, k.Late = 2, true }, false, why.DataPlaneAwaited, why.DataPlaneBehind},
		{"digests of another format", func(k *Kernel) { k.Want, k.Comparable = 2, false }, false, why.OK, why.OK},
		{"another address", func(k *Kernel) { k.Serving.Frontends = k.Serving.Frontends[:1] }, false, why.DataPlaneAwaited, why.DataPlaneBehind},
	} {
		k := heard
		k.Serving = held(1)
		c.set(&k)
		if got := k.verdict(a, c.local).Code; got != c.begin {
			t.Errorf("%s: to begin %s, want %s", c.name, got, c.begin)
		}
		k.Stands = []netip.Addr{a}
		if got := k.verdict(a, c.local).Code; got != c.stands {
			t.Errorf("%s: what stands %s, want %s", c.name, got, c.stands)
		}
	}
}
