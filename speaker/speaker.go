package speaker

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/why"
)

// Source hands over Snapshots.
type Source interface {
	Changed() <-chan struct{} // capacity 1: there is a newer Snapshot
	Snapshot() *pharos.Snapshot
}

// Recorder tells users of decisions. Its methods return at once.
type Recorder interface {
	Service(name pharos.Name, r why.Reason)
	Config(r why.Reason)
	Node(name string, r why.Reason)
}

// Sessions is the BGP engine: bgp.Server.
type Sessions interface {
	SetPeers([]bgp.Config) error
	Apply([]bgp.Change)
	// Complete says that all that peers shall have has been given to Apply once.
	Complete()
	Status() []bgp.SessionStatus
	// Holds tells of each prefix whether the peer has been sent it.
	Holds(peer string, prefixes []netip.Prefix) []bool
}

// Edge is the world around a Speaker.
type Edge struct {
	Source   Source
	Recorder Recorder
	Sessions Sessions

	// Membership may be nil: there is none.
	Membership Membership

	// Layer2 announces addresses on the node's links. It may be nil: nothing does. What
	// it hears of other hosts goes to the Speaker's Conflict.
	Layer2 layer2.Announcer

	// DataPlane tells what the node's kernel holds. It may be nil: nobody knows, and
	// nothing is asked.
	DataPlane DataPlane

	// Log may be nil: nothing is logged.
	Log *slog.Logger
}

// Speaker keeps one node's announcements as the cluster wants them. Status and
// Explain may be called from any goroutine; Run, or Reconcile in its place,
// from one.
type Speaker struct {
	opt      Options
	edge     Edge
	recorder Recorder
	log      *slog.Logger

	mu     sync.Mutex // held by whoever reads or changes what follows
	snap   *pharos.Snapshot
	self   *pharos.Node   // as last seen
	cfg    *pharos.Config // in force: gate.Config
	gate   pharos.Gate
	view   *View
	synced bool // the table reflects a Snapshot that was complete
	plans  map[pharos.Name]*Plan
	table  *table
	lost   bool   // the log says that the own node is unknown
	status Status // what is not derived from the rest

	segments segments
	kernel   kernel
	drain    drain
}

// New checks the options and starts nothing.
func New(opt Options, edge Edge) (*Speaker, error) {
	if opt.Node == "" {
		return nil, errors.New("the name of the speaker's own node is not set (--node-name, METALLB_NODE_NAME)")
	}
	if edge.Source == nil || edge.Recorder == nil || edge.Sessions == nil {
		return nil, errors.New("a speaker needs a source, a recorder and sessions")
	}
	s := &Speaker{
		opt: opt, edge: edge, recorder: edge.Recorder, log: edge.Log,
		snap:  &pharos.Snapshot{},
		plans: map[pharos.Name]*Plan{},
		table: newTable(attrTable{}.next()),
		gate:  pharos.Gate{Announces: true},

		segments: newSegments(opt),
		kernel:   newKernel(),
	}
	if edge.DataPlane != nil {
		s.kernel.state = DataPlaneState{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.status.Config.Reason = why.Reason{Code: why.NotSynced}
	return s, nil
}

// Reconcile makes the node announce what the Snapshot says. Its cost grows with
// what changed since the Snapshot before.
//
// Sessions are opened as soon as the configuration and the own node are known.
// Routes wait until the cluster is known in full: a Service without its
// endpoints looks like one that is to be withdrawn.
func (s *Speaker) Reconcile(snap *pharos.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.snap
	s.snap = snap
	newConfig := s.pass(snap)
	now := time.Now()
	newView := s.look(before, newConfig)
	newView = s.stepDrain(now) || newView
	heard := s.listen(now)
	concerned := s.meet(now)
	switch {
	case !snap.Synced:
	case s.view == nil:
		if !s.lost {
			s.log.Warn("the API server knows no node of this name; nothing is announced", "node", s.opt.Node)
		}
		s.lost = true
	case !s.kernel.state.Settled:
	case newView || !s.synced:
		s.rebuild(now)
	default:
		include(heard, concerned)
		s.update(before, heard, now)
	}
	s.announce(now)
}

// look makes the View anew where the configuration or a node changed, and
// passes on what it says of peers and members. It reports whether the View now
// says something else.
func (s *Speaker) look(before *pharos.Snapshot, newConfig bool) bool {
	if n, ok := s.snap.Nodes.Get(s.opt.Node); ok {
		s.self = n // the last known one stays if the API loses it
	}
	newNodes := false
	for range s.snap.Nodes.Diff(before.Nodes) {
		newNodes = true
		break
	}
	if s.self == nil || !newNodes && !newConfig {
		return false
	}
	if newNodes {
		s.setMembers()
	}
	view := NewView(s.opt, s.cfg, s.self, s.snap.Nodes).among(s.segments.crowd).at(s.drain.phase)
	if view.same(s.view) {
		return false
	}
	for _, r := range view.problems {
		if s.view == nil || !slices.Contains(s.view.problems, r) {
			s.recorder.Config(r)
			s.log.Warn("peer left out", "reason", r.Code, "detail", r.String())
		}
	}
	s.view = view
	if err := s.edge.Sessions.SetPeers(view.configs()); err != nil {
		s.status.UpdateErrors++
		s.log.Error("set BGP peers", "err", err)
	}
	return true
}

// setMembers tells the membership where the other nodes are.
func (s *Speaker) setMembers() {
	if s.edge.Membership == nil {
		return
	}
	var others []netip.Addr
	for name, n := range s.snap.Nodes.All() {
		if name != s.opt.Node && len(n.Addresses) > 0 {
			others = append(others, n.Addresses[0])
		}
	}
	slices.SortFunc(others, netip.Addr.Compare)
	var self netip.Addr
	if len(s.self.Addresses) > 0 {
		self = s.self.Addresses[0]
	}
	s.edge.Membership.Set(self, others)
}

// rebuild plans every Service anew. The engine is told all that peers shall
// have, new ones included, and all that is no longer wanted.
func (s *Speaker) rebuild(now time.Time) {
	if !s.synced {
		s.spread(map[pharos.Name]bool{}) // meet did not, as it knew no Services
	}
	dirty := make([]netip.Prefix, 0, len(s.table.claims))
	for prefix := range s.table.claims {
		dirty = append(dirty, prefix)
	}
	plans := s.plans
	s.plans = make(map[pharos.Name]*Plan, len(plans))
	s.table = newTable(s.table.attrs.next())
	for name, svc := range s.snap.Services.All() {
		if svc.Type != pharos.LoadBalancer {
			continue
		}
		p := s.plan(svc, plans[name], now)
		s.plans[name] = p
		dirty = s.table.add(p, dirty)
		s.track(plans[name], p, now)
		s.tell(plans[name], p, true)
		delete(plans, name)
	}
	for _, p := range plans {
		s.track(p, nil, now)
		s.tell(p, nil, true)
	}
	s.synced = true
	s.apply(dirty)
	s.edge.Sessions.Complete()
	s.table.attrs.was = nil
}

// update plans the Services that changed, or whose endpoints did, or that are concerned
// by something else.
func (s *Speaker) update(before *pharos.Snapshot, concerned map[pharos.Name]bool, now time.Time) {
	for name := range s.snap.Services.Diff(before.Services) {
		concerned[name] = true
	}
	for name := range s.snap.Endpoints.Diff(before.Endpoints) {
		concerned[name] = true
	}
	s.replanAll(concerned, now)
}

// replanAll plans some Services anew.
func (s *Speaker) replanAll(concerned map[pharos.Name]bool, now time.Time) {
	if len(concerned) == 0 {
		return
	}
	var dirty []netip.Prefix
	for name := range concerned {
		dirty = s.replan(name, dirty, now)
	}
	s.apply(dirty)
}

func (s *Speaker) replan(name pharos.Name, dirty []netip.Prefix, now time.Time) []netip.Prefix {
	was := s.plans[name]
	svc, ok := s.snap.Services.Get(name)
	var p *Plan
	if ok && svc.Type == pharos.LoadBalancer {
		p = s.plan(svc, was, now)
		s.plans[name] = p
		dirty = s.table.add(p, dirty)
	} else {
		delete(s.plans, name)
		delete(s.kernel.behind, name)
	}
	if was != nil {
		dirty = s.table.remove(was, dirty)
	}
	if p != nil || was != nil {
		s.status.Updates++
		s.track(was, p, now)
		s.tell(was, p, false)
	}
	return dirty
}

// plan plans a Service for keeping, after the plan that stands, if there is one: of the
// trail only what decided.
func (s *Speaker) plan(svc *pharos.Service, was *Plan, now time.Time) *Plan {
	eps, _ := s.snap.Endpoints.Get(svc.Name)
	told := s.kernel.about(svc, eps, was, now)
	s.kernel.note(svc.Name, &told, now)
	p := s.view.PlanWith(svc, eps, &told)
	p.Trail = why.Trail{p.reason()}
	return &p
}

func (s *Speaker) apply(dirty []netip.Prefix) {
	slices.SortFunc(dirty, netip.Prefix.Compare)
	dirty = slices.Compact(dirty)
	var peers []string
	for i := range s.view.sessions {
		if ses := &s.view.sessions[i]; ses.refused.Code == why.OK {
			peers = append(peers, ses.config.Name)
		}
	}
	if list := s.table.changes(dirty, peers); len(list) > 0 {
		s.edge.Sessions.Apply(list)
	}
}
