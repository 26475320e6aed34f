package speaker

import (
	"slices"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/layer2"
)

// kernels gives every node a data plane of its own.
func (w *town) kernels() map[string]*fakeKernel {
	all := map[string]*fakeKernel{}
	for name, h := range w.homes {
		all[name] = newFakeKernel()
		h.speaker.edge.DataPlane, h.speaker.kernel.state = all[name], DataPlaneState{}
	}
	return all
}

// holdsAll has the kernel hold every Service as it is.
func (k *fakeKernel) holdsAll(w *town) {
	for name, svc := range w.world.Services.All() {
		eps, _ := w.world.Endpoints.Get(name)
		k.holds(svc, eps)
	}
}

// startHeld starts a town of 20 Services that all kernels hold.
func (w *town) startHeld() (kernels map[string]*fakeKernel, addrs []string) {
	kernels, addrs = w.kernels(), w.shops(20)
	for _, k := range kernels {
		k.holdsAll(w)
	}
	w.start()
	return kernels, addrs
}

// The node that is elected answers once its kernel holds the Service, and no other in
// its place.
func TestElectedNodeWaitsForItsKernel(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		kernels, all := w.kernels(), w.shops(1)
		owner := elected(all[0], "n1", "n2", "n3")
		w.start()
		for name, k := range kernels {
			if name != owner {
				k.holdsAll(w)
			}
		}
		pass(time.Second)
		if got := w.answered(all[0]); got != "" {
			t.Errorf("%s answers, and the kernel of %s does not hold the Service", got, owner)
		}
		kernels[owner].holdsAll(w)
		pass(time.Second)
		if got := w.answered(all[0]); got != owner {
			t.Errorf("%q answers, want %s", got, owner)
		}
		for name, h := range w.homes {
			if told := h.notes.take(); name != owner && len(told) > 0 || name == owner && len(told) != 1 {
				t.Errorf("%s told %q", name, told)
			}
		}
	})
}

// A node whose proxy is away keeps its addresses, unless it is away for too long: then
// others have them, until it is back.
func TestNodeOfABrokenProxyStandsBack(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		kernels, all := w.startHeld()
		before := w.owners(all)
		k := kernels["n2"]
		k.change(func() { k.state.Silent, k.state.Problem = time.Now(), "the stream ended" })
		pass(silentTime - time.Second)
		if now := w.owners(all); !sameOwners(now, before) {
			t.Errorf("owners %v, they were %v", now, before)
		}
		pass(5 * time.Second)
		for _, a := range all {
			if got, want := w.answered(a), elected(a, "n1", "n3"); got != want {
				t.Errorf("%s is answered for by %q, want %s", a, got, want)
			}
		}
		k.change(func() { k.state.Silent, k.state.Problem = time.Time{}, "" })
		pass(5 * time.Second)
		if now := w.owners(all); !sameOwners(now, before) {
			t.Errorf("owners %v, they were %v", now, before)
		}
	})
}

// Where the proxies of all nodes are away for too long, all is as it was: their rules
// have stayed.
func TestProxiesOfAllNodesAreAway(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		kernels, all := w.startHeld()
		before := w.owners(all)
		for _, k := range kernels {
			k.change(func() { k.state.Silent, k.state.Problem = time.Now(), "the stream ended" })
			pass(3 * time.Second)
		}
		pass(time.Hour)
		if now := w.owners(all); !sameOwners(now, before) {
			t.Errorf("owners %v, they were %v", now, before)
		}
	})
}

// A data plane that is heard and does not follow keeps the addresses that it holds on
// layer 2: no other node would answer for them.
func TestLaggingKernelKeepsItsAddressesOnLayer2(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		_, all := w.startHeld()
		before := w.owners(all)
		for name := range w.world.Endpoints.All() {
			w.world.Endpoints = w.world.Endpoints.With(name, backends("n1", "n2"))
		}
		w.tell()
		pass(time.Hour)
		if now := w.owners(all); !sameOwners(now, before) {
			t.Errorf("owners %v, they were %v", now, before)
		}
	})
}

// A proxy that comes to a node that announces without one takes nothing away while it
// gets to work.
func TestProxyJoins(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		kernels, all := w.kernels(), w.shops(20)
		for _, k := range kernels {
			k.state = DataPlaneState{Settled: true, Silent: time.Now(), Problem: "no such file"}
		}
		w.start()
		before := w.owners(all)
		for _, a := range all {
			w.watched = append(w.watched, addr(a))
		}
		k := kernels["n2"]
		k.change(func() { k.state = DataPlaneState{Gates: true, Settled: true} })
		pass(silentTime - time.Second)
		k.holdsAll(w)
		k.change(func() { k.state = DataPlaneState{Gates: true, Settled: true, Whole: true, Comparable: true} })
		pass(time.Hour)
		if now := w.owners(all); !sameOwners(now, before) || len(w.silent) > 0 {
			t.Errorf("owners %v, they were %v; nobody answered for %v", now, before, w.silent)
		}
	})
}

func sameOwners(a, b map[string]string) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// A node that is drained hands its addresses over: one answers all the time.
func TestDrainedNodeHandsItsAddressesOver(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		all := w.shops(20)
		w.start()
		for _, a := range all {
			w.watched = append(w.watched, addr(a))
		}
		n1, n2, n3 := node(1), node(2), node(3)
		w.world.Nodes = cluster(n1, draining(n2, time.Minute), n3)
		w.tell("n2") // who loses hears of it first
		pass(time.Second)
		w.tell()
		pass(5 * time.Second)
		for _, a := range all {
			if got, want := w.answered(a), elected(a, "n1", "n3"); got != want || w.silent[addr(a)] {
				t.Errorf("%s is answered for by %q, want %s; it was not for a moment: %t", a, got, want, w.silent[addr(a)])
			}
		}
		if got := w.homes["n2"].notes.take(); !slices.ContainsFunc(got, func(s string) bool { return len(s) > 0 && s[:4] == "node" }) {
			t.Errorf("n2 told %q", got)
		}
	})
}

// A node that is drained keeps the addresses that no other has a link for: it answers for
// them as long as it may.
func TestDrainedNodeKeepsWhatNobodyElseReaches(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		all := w.shops(20)
		w.announceOn("eth1")
		w.homes["n2"].links = append(w.homes["n2"].links, layer2.LinkStatus{Name: "eth1", MAC: layer2.MAC{2, 1, 0, 0, 0, 2}})
		w.start()
		w.world.Nodes = cluster(node(1), draining(node(2), time.Minute), node(3))
		w.tell()
		pass(5 * time.Second)
		for a, owner := range w.owners(all) {
			if owner != "n2" {
				t.Errorf("%s is answered for by %q, n2 alone could", a, owner)
			}
		}
	})
}

// BenchmarkFollow is what one endpoint's change costs a speaker of 10,000 Services: the
// change itself, and word of the kernel's having followed.
func BenchmarkFollow(b *testing.B) {
	k := newFakeKernel()
	s, err := New(Options{Node: "n1"}, Edge{Source: newFeed(), Recorder: &notebook{}, Sessions: &engine{}, DataPlane: k})
	if err != nil {
		b.Fatal(err)
	}
	world := pharos.Snapshot{Synced: true, Config: base(), Nodes: cluster(node(1), node(2))}
	world.Config.Pools[0] = pool("a", "172.16.0.0/12")
	services, endpoints := map[pharos.Name]*pharos.Service{}, map[pharos.Name]*pharos.Endpoints{}
	a := addr("172.16.0.1")
	for i := range 10_000 {
		svc := service("s"+string(rune('a'+i%26))+time.Duration(i).String(), a.String())
		services[svc.Name], endpoints[svc.Name] = svc, backends("n1", "n2")
		k.holds(svc, endpoints[svc.Name])
		a = a.Next()
	}
	world.Services, world.Endpoints = pharos.MapOf(services), pharos.MapOf(endpoints)
	snap := world
	s.Reconcile(&snap)
	svc := services[service("sa0s", "172.16.0.1").Name]
	states := []*pharos.Endpoints{backends("n1", "n2", "n1"), backends("n1", "n2")}
	n := 0
	for b.Loop() {
		eps := states[n%2]
		n++
		world.Endpoints = world.Endpoints.With(svc.Name, eps)
		next := world
		s.Reconcile(&next)
		k.change(func() {
			k.news[svc.Name] = &dataplane.Serving{Name: svc.Name, Digest: dataplane.DigestOf(svc, eps), Frontends: []dataplane.Served{{Addr: svc.Ingress[0], Backends: 2, Local: 1}}}
		})
		s.refresh()
	}
}
