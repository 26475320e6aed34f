package speaker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/why"
)

// engine behaves as bgp.Server does towards its caller: tables of peers that
// are not configured do not exist.
type engine struct {
	mu    sync.Mutex
	peers []bgp.Config
	adj   map[string]map[netip.Prefix]*bgp.Attrs
	calls int // changes handed over
	// complete was said when so many changes had been handed over.
	complete bool
	deaf     []string // peers whose sessions are not up
	first    int
}

func (e *engine) SetPeers(peers []bgp.Config) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.peers = peers
	was := e.adj
	e.adj = map[string]map[netip.Prefix]*bgp.Attrs{}
	for _, p := range peers {
		if e.adj[p.Name] = was[p.Name]; e.adj[p.Name] == nil {
			e.adj[p.Name] = map[netip.Prefix]*bgp.Attrs{}
		}
	}
	return nil
}

func (e *engine) Complete() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.complete {
		e.complete, e.first = true, e.calls
	}
}

func (e *engine) Apply(changes []bgp.Change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range changes {
		e.calls++
		switch rib, ok := e.adj[c.Peer]; {
		case !ok:
		case c.Attrs == nil:
			delete(rib, c.Prefix)
		default:
			rib[c.Prefix] = c.Attrs
		}
	}
}

func (e *engine) Status() []bgp.SessionStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []bgp.SessionStatus
	for _, p := range e.peers {
		list = append(list, bgp.SessionStatus{Name: p.Name, Config: p, State: bgp.Established, Desired: len(e.adj[p.Name])})
	}
	return list
}

func (e *engine) Holds(peer string, prefixes []netip.Prefix) []bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]bool, len(prefixes))
	for i, p := range prefixes {
		out[i] = e.adj[peer][p] != nil && !slices.Contains(e.deaf, peer)
	}
	return out
}

// dump writes all tables, one route a line.
func (e *engine) dump() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines []string
	for peer, rib := range e.adj {
		for p, a := range rib {
			pref := "-"
			if a.LocalPref != nil {
				pref = fmt.Sprint(*a.LocalPref)
			}
			lines = append(lines, fmt.Sprintf("%s %s pref %s %v%s", peer, p, pref, a.Communities, large(a)))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// large writes large communities, if there are any.
func large(a *bgp.Attrs) string {
	if len(a.LargeCommunities) == 0 {
		return ""
	}
	return fmt.Sprint(" ", a.LargeCommunities)
}

// notebook is a Recorder.
type notebook struct {
	mu    sync.Mutex
	lines []string
}

func (n *notebook) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}
func (n *notebook) Service(name pharos.Name, r why.Reason) { n.note("%s %s: %s", name, r.Code, r) }
func (n *notebook) Config(r why.Reason)                    { n.note("config %s: %s", r.Code, r) }
func (n *notebook) Node(name string, r why.Reason)         { n.note("node %s %s: %s", name, r.Code, r) }
func (n *notebook) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	lines := n.lines
	n.lines = nil
	return lines
}

// feed is a Source.
type feed struct {
	mu      sync.Mutex
	snap    *pharos.Snapshot
	changed chan struct{}
}

func newFeed() *feed { return &feed{snap: &pharos.Snapshot{}, changed: make(chan struct{}, 1)} }

func (f *feed) Changed() <-chan struct{} { return f.changed }
func (f *feed) Snapshot() *pharos.Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snap
}
func (f *feed) set(snap *pharos.Snapshot) {
	f.mu.Lock()
	f.snap = snap
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

type rig struct {
	*Speaker
	engine *engine
	notes  *notebook
	world  pharos.Snapshot
}

func newRig(t *testing.T, self string) *rig {
	t.Helper()
	r := &rig{engine: &engine{}, notes: &notebook{}}
	var err error
	r.Speaker, err = New(Options{Node: self}, Edge{Source: newFeed(), Recorder: r.notes, Sessions: r.engine})
	if err != nil {
		t.Fatal(err)
	}
	r.world = pharos.Snapshot{Synced: true, Config: base(), Nodes: cluster(node(1, "rack=1"), node(2, "rack=2"))}
	return r
}

// reconcile hands a copy of the world to the speaker.
func (r *rig) reconcile() {
	r.world.Revision++
	snap := r.world
	r.Reconcile(&snap)
}

func (r *rig) put(svc *pharos.Service, eps *pharos.Endpoints) {
	r.world.Services = r.world.Services.With(svc.Name, svc)
	if eps == nil {
		r.world.Endpoints = r.world.Endpoints.Without(svc.Name)
		return
	}
	r.world.Endpoints = r.world.Endpoints.With(svc.Name, eps)
}

func (r *rig) drop(name string) {
	n := pharos.Name{Namespace: "default", Name: name}
	r.world.Services = r.world.Services.Without(n)
	r.world.Endpoints = r.world.Endpoints.Without(n)
}

func (r *rig) wantTable(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), r.engine.dump()); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
}

// Sessions open as soon as configuration and node are known; routes wait for
// the rest.
func TestNothingIsAnnouncedBeforeSync(t *testing.T) {
	r := newRig(t, "n1")
	r.put(service("web", "172.19.100.1"), backends("n1"))
	r.world.Synced = false
	nodes := r.world.Nodes
	r.world.Nodes = pharos.Map[string, *pharos.Node]{}
	r.reconcile()
	if len(r.engine.peers) != 0 {
		t.Errorf("peers are set before the own node is known: %v", r.engine.peers)
	}
	r.world.Nodes = nodes
	r.reconcile()
	if len(r.engine.peers) != 2 {
		t.Errorf("%d peers are set once the node is known, want 2", len(r.engine.peers))
	}
	if r.engine.calls != 0 || r.Status().Synced {
		t.Error("routes were handed over before the cluster was known in full")
	}
	if got := r.Explain(pharos.Name{Namespace: "default", Name: "web"}); got[0].Code != why.NotSynced {
		t.Errorf("explained by %v", got)
	}
	if r.engine.complete {
		t.Error("the table is said to be complete before the cluster is known")
	}
	r.world.Synced = true
	r.reconcile()
	r.wantTable(t, "10.10.2.210:179 172.19.100.1/32 pref - []", "10.10.2.211:179 172.19.100.1/32 pref - []")
	if !r.engine.complete || r.engine.first == 0 {
		t.Errorf("the table is said to be complete: %t, after %d changes", r.engine.complete, r.engine.first)
	}
}

func TestSharedAddressStaysUntilTheLastServiceGoes(t *testing.T) {
	r := newRig(t, "n1")
	r.world.Config.Peers = r.world.Config.Peers[:1]
	r.put(service("dns-tcp", "172.19.100.1"), backends("n1"))
	r.put(service("dns-udp", "172.19.100.1"), backends("n2"))
	r.reconcile()
	route := "10.10.2.210:179 172.19.100.1/32 pref - []"
	r.wantTable(t, route)
	r.drop("dns-tcp")
	r.reconcile()
	r.wantTable(t, route)
	r.put(service("dns-udp", "172.19.100.1"), backends("n2:down"))
	r.reconcile()
	r.wantTable(t)
}

// Two pools' addresses aggregate to one prefix: what both say is united, and
// taken apart again when one goes.
func TestAggregatesUniteAttributes(t *testing.T) {
	r := newRig(t, "n1")
	low, high := uint32(50), uint32(200)
	wide := func(name string, pref *uint32, communities ...pharos.Community) pharos.Advertisement {
		a := advert(name, name)
		a.AggregationLength, a.LocalPref, a.Communities = 16, pref, communities
		return a
	}
	r.world.Config.Peers = r.world.Config.Peers[:1]
	r.world.Config.Advertisements = []pharos.Advertisement{wide("a", &low, 1, 7), wide("b", &high, 3, 7), advert("v6", "v6")}
	r.put(service("one", "172.19.100.1"), backends("n1"))
	r.put(service("two", "172.19.100.2"), backends("n1"))
	r.put(service("three", "172.19.101.1"), backends("n1"))
	r.reconcile()
	r.wantTable(t, "10.10.2.210:179 172.19.0.0/16 pref 200 [0:1 0:3 0:7]")
	r.drop("one")
	r.reconcile()
	r.wantTable(t, "10.10.2.210:179 172.19.0.0/16 pref 200 [0:1 0:3 0:7]")
	r.drop("three")
	r.reconcile()
	r.wantTable(t, "10.10.2.210:179 172.19.0.0/16 pref 50 [0:1 0:7]")
	r.drop("two")
	r.reconcile()
	r.wantTable(t)
}

func TestNewPeerGetsTheWholeTable(t *testing.T) {
	r := newRig(t, "n1")
	all := r.world.Config
	one := *all
	one.Peers = all.Peers[:1]
	r.world.Config = &one
	for i := range 3 {
		r.put(service(fmt.Sprint("s", i), fmt.Sprintf("172.19.100.%d", i+1)), backends("n1"))
	}
	r.reconcile()
	before := r.engine.adj["10.10.2.210:179"][prefix("172.19.100.1/32")]
	r.world.Config = all
	r.reconcile()
	if got := len(r.engine.adj["10.10.2.211:179"]); got != 3 {
		t.Errorf("the new peer has %d routes, want 3", got)
	}
	if after := r.engine.adj["10.10.2.210:179"][prefix("172.19.100.1/32")]; after != before {
		t.Error("equal attributes have another pointer after the change: the old peer would be sent everything again")
	}
}

// The order and the names of peers do not matter to their sessions.
func TestSessionKeySurvivesRenumbering(t *testing.T) {
	r := newRig(t, "n1")
	r.reconcile()
	names := func() (list []string) {
		for _, p := range r.engine.peers {
			list = append(list, p.Name)
		}
		return list
	}
	was := names()
	cfg := *base()
	cfg.Peers = []pharos.Peer{peer("tor1", "10.10.2.211")}
	r.world.Config = &cfg
	r.reconcile()
	if got := names(); !slices.Equal(got, was[1:]) {
		t.Errorf("sessions %v, were %v", got, was)
	}
	if st := r.Status(); len(st.Sessions) != 1 || st.Sessions[0].Peer != "tor1" {
		t.Errorf("status tells of %+v", st.Sessions)
	}
}

func TestConfigThatOrphansAnAddressIsRefusedAndRetried(t *testing.T) {
	r := newRig(t, "n1")
	r.put(service("web", "172.19.100.1"), backends("n1"))
	r.put(service("web2", "172.19.100.2"), backends("n1"))
	// It has its address, though no node announces it.
	r.put(service("silent", "172.19.100.3"), backends("n1:down"))
	r.reconcile()
	r.notes.take()
	table := r.engine.dump()

	shrunk := base()
	shrunk.Pools = shrunk.Pools[1:]
	shrunk.Advertisements = shrunk.Advertisements[1:]
	r.world.Config = shrunk
	r.reconcile()
	st := r.Status()
	if !st.Config.Stale || !st.Config.Loaded || st.Config.Reason.Code != why.ConfigOrphans || st.UpdateErrors != 1 {
		t.Errorf("status %+v, %d errors", st.Config, st.UpdateErrors)
	}
	if want := []string{"config configOrphansAddress: address 172.19.100.3 of Service default/silent would be in no pool, and 2 more; delete the Service or keep the range"}; !slices.Equal(r.notes.take(), want) {
		t.Error("the refusal was not told as expected")
	}
	r.reconcile()
	if told := r.notes.take(); len(told) != 0 || r.engine.dump() != table {
		t.Errorf("told again: %v", told)
	}

	// Two addresses are given up, a third is another: nothing stands in the way
	// any more.
	r.drop("silent")
	r.drop("web")
	r.put(service("web2", "172.19.101.2"), backends("n1"))
	r.reconcile()
	if st := r.Status(); st.Config.Stale || st.Config.Reason.Code != why.OK {
		t.Errorf("still refused: %+v", st.Config)
	}
	r.wantTable(t, "10.10.2.210:179 172.19.101.2/32 pref - []", "10.10.2.211:179 172.19.101.2/32 pref - []")
}

func TestUnreadableConfigLeavesTheLastInForce(t *testing.T) {
	r := newRig(t, "n1")
	r.put(service("web", "172.19.100.1"), backends("n1"))
	r.reconcile()
	table := r.engine.dump()
	r.notes.take()
	r.world.Problem = why.New(why.ConfigInvalid, "line 3: no such field")
	r.reconcile()
	st := r.Status()
	if !st.Config.Loaded || !st.Config.Stale || st.Config.Reason.Code != why.ConfigInvalid {
		t.Errorf("status %+v", st.Config)
	}
	if told := r.notes.take(); len(told) > 0 || r.engine.dump() != table {
		t.Errorf("told %v (the controller tells what can't be read), table\n%s", told, r.engine.dump())
	}
}

func TestPeerThatCantBeUsedIsLeftOut(t *testing.T) {
	r := newRig(t, "n1")
	r.world.Config.Peers = append(r.world.Config.Peers, pharos.Peer{Name: "twin", LocalAS: 65211, RemoteAS: 65299, Addr: addr("10.10.2.210"), Port: 179})
	r.reconcile()
	if len(r.engine.peers) != 2 {
		t.Errorf("%d peers set, want the two good ones", len(r.engine.peers))
	}
	st := r.Status()
	if len(st.Config.Problems) != 1 || !strings.Contains(st.Config.Problems[0].Detail, `peer "twin"`) {
		t.Errorf("problems %v", st.Config.Problems)
	}
	if len(r.notes.take()) != 1 {
		t.Error("the problem was not told once")
	}
}

func TestEventsAreRecordedByOneNode(t *testing.T) {
	nodes := []*pharos.Node{node(1), node(2), node(3)}
	var rigs []*rig
	for _, n := range nodes {
		r := newRig(t, n.Name)
		r.world.Nodes = cluster(nodes...)
		r.reconcile()
		rigs = append(rigs, r)
	}
	by := map[string]int{}
	for i := range 60 {
		svc := service(fmt.Sprint("s", i), fmt.Sprintf("172.19.100.%d", i+1))
		var told []string
		for j, r := range rigs {
			r.put(svc, backends("n1"))
			r.reconcile()
			if lines := r.notes.take(); len(lines) > 0 {
				told = append(told, lines...)
				by[nodes[j].Name]++
			}
		}
		want := svc.Name.String() + ` nodeAssigned: announcing from nodes "n1", "n2", "n3" with protocol "bgp"`
		if len(told) != 1 || told[0] != want {
			t.Fatalf("told %q, want once %q", told, want)
		}
	}
	for _, n := range nodes {
		if by[n.Name] < 5 {
			t.Errorf("events are not spread over nodes: %v", by)
		}
	}

	// An endpoint more is no news; a node less is none about each Service.
	for _, r := range rigs {
		r.put(service("s0", "172.19.100.1"), backends("n1", "n2"))
		r.reconcile()
		r.world.Nodes = r.world.Nodes.Without("n3")
		r.reconcile()
		if told := r.notes.take(); len(told) > 0 {
			t.Errorf("told %q", told)
		}
	}

	// Of a Service with policy Local, moving its endpoint is.
	svc := service("local", "172.19.100.99")
	svc.ExternalLocal = true
	var told []string
	for _, eps := range []*pharos.Endpoints{backends("n1"), backends("n2")} {
		for _, r := range rigs[:2] {
			r.put(svc, eps)
			r.reconcile()
			told = append(told, r.notes.take()...)
		}
	}
	if want := []string{
		`default/local nodeAssigned: announcing from node "n1" with protocol "bgp"`,
		`default/local nodeAssigned: announcing from node "n2" with protocol "bgp"`,
	}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestRunFollowsItsSource(t *testing.T) {
	r := newRig(t, "n1")
	f := r.edge.Source.(*feed)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.put(service("web", "172.19.100.1"), backends("n1"))
	snap := r.world
	f.set(&snap)
	deadline := time.After(time.Minute)
	for len(r.Status().Services) == 0 {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("never reconciled")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if r.engine.dump() == "" {
		t.Error("the end of Run took routes back: closing the sessions does")
	}
}

// A name that no node has, such as a mistyped one, is announced from nowhere.
func TestUnknownNode(t *testing.T) {
	r := newRig(t, "n9")
	r.put(service("web", "172.19.100.1"), backends("n1"))
	r.reconcile()
	if err := r.Healthy(); len(r.engine.peers) != 0 || r.engine.calls != 0 || err == nil || !strings.Contains(err.Error(), "knows no node") {
		t.Errorf("peers %v, %d changes, %v", r.engine.peers, r.engine.calls, err)
	}
	r.world.Nodes = r.world.Nodes.With("n9", &pharos.Node{Name: "n9", Addresses: []netip.Addr{addr("10.10.2.9")}})
	r.reconcile()
	if r.engine.calls == 0 || r.Healthy() != nil {
		t.Error("the node's coming did not help")
	}
	// A node that the API loses is still the one we run on.
	r.world.Nodes = r.world.Nodes.Without("n9")
	r.reconcile()
	r.wantTable(t, "10.10.2.210:179 172.19.100.1/32 pref - []", "10.10.2.211:179 172.19.100.1/32 pref - []")
}

// Whatever happens, and however it is cut into Snapshots, the tables are those
// that the last Snapshot gives from scratch.
func TestIncrementalEqualsFromScratch(t *testing.T) {
	for seed := range uint64(15) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t, "n1")
		r.world.Config = randomConfig(rnd)
		for step := range 60 {
			for range 1 + rnd.IntN(4) {
				disturb(rnd, &r.world)
			}
			r.reconcile()
			fresh := newRig(t, "n1")
			fresh.world = r.world
			fresh.world.Config = r.cfg // the one in force; a refused one is the gate's business
			fresh.reconcile()
			if diff := cmp.Diff(fresh.engine.dump(), r.engine.dump()); diff != "" {
				t.Fatalf("seed %d step %d: tables (-scratch +incremental):\n%s", seed, step, diff)
			}
			a, b := fresh.Status(), r.Status()
			if diff := cmp.Diff(a.Services, b.Services, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Fatalf("seed %d step %d: services (-scratch +incremental):\n%s", seed, step, diff)
			}
		}
	}
}

func randomConfig(rnd *rand.Rand) *pharos.Config {
	cfg := base()
	for i := range cfg.Advertisements {
		a := &cfg.Advertisements[i]
		a.AggregationLength = []int{32, 28, 16}[rnd.IntN(3)]
		a.AggregationLengthV6 = []int{128, 120}[rnd.IntN(2)]
		if rnd.IntN(2) == 0 {
			pref := uint32(rnd.IntN(3) * 100)
			a.LocalPref = &pref
		}
		for c := range pharos.Community(rnd.IntN(3)) {
			a.Communities = append(a.Communities, c+pharos.Community(rnd.IntN(2)))
		}
		a.Communities = slices.Compact(a.Communities)
		if rnd.IntN(4) == 0 {
			a.NodeSelectors = onRack("2")
		}
	}
	if rnd.IntN(2) == 0 {
		cfg.Advertisements = append(cfg.Advertisements, advert("extra"))
	}
	for i := range rnd.IntN(3) { // for some Services, perhaps at odds with others
		some := advert(fmt.Sprint("some", i), "a", "b")
		some.ServiceSelectors = app(fmt.Sprint(rnd.IntN(2)), "2")
		some.AggregationLength = []int{32, 28}[rnd.IntN(2)]
		some.LargeCommunities = []pharos.LargeCommunity{{Global: uint32(rnd.IntN(2))}}
		if rnd.IntN(2) == 0 {
			pref := uint32(rnd.IntN(3) * 100)
			some.LocalPref = &pref
		}
		if rnd.IntN(2) == 0 {
			some.Peers = []string{"tor1"}
		}
		cfg.Advertisements = append(cfg.Advertisements, some)
	}
	if rnd.IntN(3) == 0 {
		cfg.Pools = cfg.Pools[rnd.IntN(2):]
	}
	cfg.Peers = cfg.Peers[:rnd.IntN(3)]
	if len(cfg.Peers) > 0 && rnd.IntN(3) == 0 {
		cfg.Peers[0].NodeSelectors = onRack("2")
	}
	if len(cfg.Peers) > 0 && rnd.IntN(4) == 0 {
		cfg.Peers[len(cfg.Peers)-1].Refused = why.Reason{Code: why.SecretMissing}
	}
	return cfg
}

func disturb(rnd *rand.Rand, w *pharos.Snapshot) {
	name := fmt.Sprint("s", rnd.IntN(12))
	id := pharos.Name{Namespace: "default", Name: name}
	switch k := rnd.IntN(20); {
	case k < 8:
		svc := service(name, fmt.Sprintf("172.19.%d.%d", 100+rnd.IntN(2), 1+rnd.IntN(4)))
		if rnd.IntN(3) == 0 {
			svc.Ingress = append(svc.Ingress, addr(fmt.Sprintf("fd01::%d", 1+rnd.IntN(4))))
		}
		svc.ExternalLocal = rnd.IntN(3) == 0
		svc.Labels = map[string]string{"app": fmt.Sprint(rnd.IntN(3))}
		if rnd.IntN(10) == 0 {
			svc.Type = pharos.NodePort
		}
		w.Services = w.Services.With(id, svc)
	case k < 14:
		w.Endpoints = w.Endpoints.With(id, backends([]string{"n1", "n1:serving", "n1:down", "n2", "n2:down"}[rnd.IntN(5)]))
	case k < 15:
		w.Endpoints = w.Endpoints.Without(id)
	case k < 17:
		w.Services = w.Services.Without(id)
	case k < 18:
		w.Config = randomConfig(rnd)
	default:
		n := node(1, fmt.Sprint("rack=", 1+rnd.IntN(2)))
		if rnd.IntN(4) == 0 {
			n.Labels[pharos.ExcludeLabel] = ""
		}
		n.NetworkUnavailable = rnd.IntN(6) == 0
		w.Nodes = w.Nodes.With("n1", n)
	}
}

// The cost of one change does not depend on how many Services there are.
func BenchmarkOneChangeOf5000(b *testing.B) {
	e := &engine{}
	s, err := New(Options{Node: "n1"}, Edge{Source: newFeed(), Recorder: &notebook{}, Sessions: e})
	if err != nil {
		b.Fatal(err)
	}
	snap := &pharos.Snapshot{Synced: true, Config: base(), Nodes: cluster(node(1), node(2), node(3))}
	snap.Config.Pools[0] = pool("a", "172.16.0.0/12")
	eps := backends("n1", "n2", "n3")
	for i := range 5000 {
		svc := service(fmt.Sprint("s", i), fmt.Sprintf("172.20.%d.%d", i/250, i%250+1))
		snap.Services = snap.Services.With(svc.Name, svc)
		snap.Endpoints = snap.Endpoints.With(svc.Name, eps)
	}
	s.Reconcile(snap)
	i := 0
	for b.Loop() {
		i++
		next := *snap
		svc := service(fmt.Sprint("s", i%5000), fmt.Sprintf("172.21.%d.%d", i/250%250, i%250+1))
		next.Services = snap.Services.With(svc.Name, svc)
		s.Reconcile(&next)
		snap = &next
	}
}
