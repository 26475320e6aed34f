package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

const (
	// keepDeleted is how long the paths of a session that ended are shown when the
	// neighbor does not come back.
	keepDeleted = 90 * time.Second
	// sweepAfter is how long an earlier run's routes are kept at most.
	sweepAfter = 15 * time.Second
	// verifyEvery is the pause between two looks at the kernel's table, verifySoon
	// the pause after interfaces changed or the kernel refused something.
	verifyEvery = time.Minute
	verifySoon  = 100 * time.Millisecond
	verifyRetry = 30 * time.Second // the longest pause between failing attempts
	// queueLen bounds the UPDATEs that wait; who has more to say waits himself.
	queueLen = 256
	// batch is how many prefixes are gathered before the kernel is told.
	batch = 4096
)

// FIB is the kernel's forwarding table: internal/linux/fib.
type FIB interface {
	Apply([]rib.Route) error
	Sweep() error
	Flush() error
	Verify() (mended int, err error)
	Len() int
}

// Links tells which networks are connected: internal/linux/port.
type Links interface {
	Connected() ([]rib.Connected, error)
	Changed() <-chan struct{}
}

// Speaker keeps the sessions: bgp.Server.
type Speaker interface {
	Run(context.Context) error
	SetPeers([]bgp.Config) error
	Reset(text string, names ...string)
	Refuse(name string, n *wire.Notification)
	Status() []bgp.SessionStatus
}

// Options are what a Router is built on.
type Options struct {
	// NewSpeaker makes the engine that tells the handler what it hears.
	NewSpeaker func(bgp.Handler) (Speaker, error)
	FIB        FIB
	Links      Links
	// KeepRoutes leaves the routes in the kernel when Run ends.
	KeepRoutes bool
	Log        *slog.Logger // nil: nothing is logged
}

// Router is the role. Its methods may be called from any goroutine.
type Router struct {
	opt     Options
	log     *slog.Logger
	speaker Speaker
	events  chan event
	done    chan struct{} // closed when Run has ended
	wake    chan struct{}

	set sync.Mutex // held by whoever tells the speaker its peers, from making the list on

	mu        sync.Mutex
	config    Config
	started   time.Time
	tables    map[wire.Family]*rib.Table
	networks  []rib.Connected
	gone      map[string]time.Time            // when deleted paths are purged
	awaited   map[string]map[wire.Family]bool // End-of-RIB markers before the sweep
	sweepAt   time.Time                       // zero: swept
	verifyAt  time.Time
	failures  int             // of Verify, in a row
	tripped   map[string]bool // shut for exceeding the prefix limit
	tripping  bool            // the speaker does not know yet
	downSince map[string]time.Time
	routes    []rib.Route // memory of flush
}

// New makes a router without neighbors; it starts nothing.
func New(opt Options) (*Router, error) {
	r := &Router{
		opt: opt, log: opt.Log,
		events: make(chan event, queueLen), done: make(chan struct{}), wake: make(chan struct{}, 1),
		gone: make(map[string]time.Time), awaited: make(map[string]map[wire.Family]bool),
		tripped: make(map[string]bool), downSince: make(map[string]time.Time),
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if r.speaker, err = opt.NewSpeaker(r); err != nil {
		return nil, fmt.Errorf("make the bgp engine: %w", err)
	}
	return r, nil
}

// Set replaces the configuration. Sessions that it does not change are not
// touched. An invalid one changes nothing.
func (r *Router) Set(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	r.set.Lock()
	defer r.set.Unlock()
	r.mu.Lock()
	r.configure(c, time.Now())
	sessions := r.sessions()
	r.mu.Unlock()
	r.poke()
	return r.speaker.SetPeers(sessions)
}

// configure makes the tables fit the configuration. The engine is told later, so
// that no session comes up in a table that is about to go.
func (r *Router) configure(c Config, now time.Time) {
	old := r.config
	r.config = c
	if r.tables == nil || c.AS != old.AS || c.RouterID != old.RouterID {
		r.dropTables()
		r.tables = map[wire.Family]*rib.Table{
			wire.IPv4Unicast: rib.NewTable(wire.IPv4Unicast, c.AS, c.RouterID),
			wire.IPv6Unicast: rib.NewTable(wire.IPv6Unicast, c.AS, c.RouterID),
		}
		r.connect(now)
	}
	clear(r.tripped)
	for f, t := range r.tables {
		t.SetPolicy(c.policy(f))
		for i := range old.Neighbors {
			if name := old.Neighbors[i].Name(); c.neighbor(name) == nil {
				t.Forget(name)
				delete(r.gone, name)
				delete(r.downSince, name)
			}
		}
	}
	clear(r.awaited)
	for i := range c.Neighbors {
		n := &c.Neighbors[i]
		if _, ok := r.downSince[n.Name()]; !ok {
			r.downSince[n.Name()] = now
		}
		if n.active() && !r.sweepAt.IsZero() {
			r.await(n)
		}
	}
}

// await keeps the sweep waiting for a neighbor's table.
func (r *Router) await(n *Neighbor) {
	families := make(map[wire.Family]bool, len(n.Families))
	for _, f := range n.Families {
		families[f] = true
	}
	r.awaited[n.Name()] = families
}

// dropTables removes every route of tables that are about to be replaced.
func (r *Router) dropTables() {
	var routes []rib.Route
	for _, t := range r.tables {
		for _, route := range t.Routes() {
			routes = append(routes, rib.Route{Prefix: route.Prefix})
		}
	}
	if len(routes) > 0 {
		r.apply(routes)
	}
	clear(r.gone)
}

// sessions are those that the engine shall keep.
func (r *Router) sessions() []bgp.Config {
	var out []bgp.Config
	for i := range r.config.Neighbors {
		if n := &r.config.Neighbors[i]; n.active() && !r.tripped[n.Name()] {
			out = append(out, n.session(&r.config))
		}
	}
	return out
}

// Clear resets the session with a neighbor, or with all of them when the address
// is the zero value, and reports whether there is such a neighbor.
func (r *Router) Clear(neighbor netip.Addr) (bool, error) {
	r.set.Lock()
	defer r.set.Unlock()
	r.mu.Lock()
	if neighbor.IsValid() && r.config.neighbor(neighbor.String()) == nil {
		r.mu.Unlock()
		return false, nil
	}
	var up []string
	for i := range r.config.Neighbors {
		n := &r.config.Neighbors[i]
		if neighbor.IsValid() && n.Addr != neighbor {
			continue
		}
		if name := n.Name(); r.tripped[name] {
			delete(r.tripped, name)
		} else {
			up = append(up, name)
		}
	}
	sessions := r.sessions()
	r.mu.Unlock()
	r.speaker.Reset("", up...)
	return true, r.speaker.SetPeers(sessions)
}

// Run routes until ctx ends, then closes the sessions and, unless KeepRoutes,
// removes the routes. It may be called once. The error is the engine's.
func (r *Router) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	now := time.Now()
	r.mu.Lock()
	r.started, r.verifyAt = now, now.Add(verifyEvery)
	if r.opt.FIB.Len() > 0 {
		r.sweepAt = now.Add(sweepAfter)
		r.log.Info("routes of an earlier run are kept until neighbors have sent theirs", "routes", r.opt.FIB.Len())
		for i := range r.config.Neighbors {
			if n := &r.config.Neighbors[i]; n.active() {
				r.await(n)
			}
		}
	}
	r.connect(now)
	r.mu.Unlock()

	failed := make(chan error, 1)
	go func() { failed <- r.speaker.Run(ctx) }()
	err := r.loop(ctx, failed)
	cancel()
	close(r.done)
	if err == nil {
		err = <-failed
	}
	if !r.opt.KeepRoutes {
		r.mu.Lock()
		err = errors.Join(err, r.opt.FIB.Flush())
		r.mu.Unlock()
	}
	return err
}

// loop works until ctx ends or the engine fails.
func (r *Router) loop(ctx context.Context, failed <-chan error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if err == nil {
				err = errors.New("the bgp engine ended")
			}
			return err
		case e := <-r.events:
			r.mu.Lock()
			r.handle(e, time.Now())
			r.gather()
		case <-r.opt.Links.Changed():
			r.mu.Lock()
			now := time.Now()
			r.connect(now)
			// The kernel removes routes with their device, and says so only by this.
			r.verifyAt = earlier(r.verifyAt, now.Add(verifySoon))
		case <-r.wake:
			r.mu.Lock()
		case <-timer.C:
			r.mu.Lock()
		}
		now := time.Now()
		r.expire(now)
		r.flush()
		r.maintain(now)
		tripped := r.tripping
		r.tripping = false
		next := r.deadline()
		r.mu.Unlock()
		if tripped {
			r.shutTripped()
		}
		timer.Reset(time.Until(next))
	}
}

// shutTripped closes the sessions of neighbors that exceeded their limit.
func (r *Router) shutTripped() {
	r.set.Lock()
	defer r.set.Unlock()
	r.mu.Lock()
	sessions := r.sessions()
	r.mu.Unlock()
	if err := r.speaker.SetPeers(sessions); err != nil {
		r.log.Error("shutting a neighbor failed", "err", err)
	}
}

// gather takes what has arrived meanwhile, up to a batch.
func (r *Router) gather() {
	for r.dirty() < batch {
		select {
		case e := <-r.events:
			r.handle(e, time.Now())
		default:
			return
		}
	}
}

func (r *Router) dirty() int {
	n := 0
	for _, t := range r.tables {
		n += t.Dirty()
	}
	return n
}

// connect looks the next hops up in the networks that are connected now.
func (r *Router) connect(now time.Time) {
	networks, err := r.opt.Links.Connected()
	if err != nil {
		r.log.Error("interfaces cannot be listed; next hops stay as they were", "err", err)
		return
	}
	r.networks = networks
	for _, t := range r.tables {
		t.Resolve(rib.NewNetworks(networks), now)
	}
}

// flush decides about what changed and tells the kernel.
func (r *Router) flush() {
	r.routes = r.routes[:0]
	for _, f := range families {
		if t := r.tables[f]; t != nil {
			r.routes = t.Decide(r.routes)
		}
	}
	if len(r.routes) > 0 {
		r.apply(r.routes)
	}
}

var families = []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast}

func (r *Router) apply(routes []rib.Route) {
	if err := r.opt.FIB.Apply(routes); err != nil {
		r.log.Error("the kernel refused routes; they are tried again", "err", err)
		r.verifyAt = earlier(r.verifyAt, time.Now().Add(verifySoon))
	}
}

// expire purges paths that were kept long enough.
func (r *Router) expire(now time.Time) {
	for name, at := range r.gone {
		if now.Before(at) {
			continue
		}
		delete(r.gone, name)
		for _, t := range r.tables {
			t.Purge(name)
		}
	}
}

// maintain sweeps and verifies the kernel's table when that is due.
func (r *Router) maintain(now time.Time) {
	if !r.sweepAt.IsZero() && (len(r.awaited) == 0 || !now.Before(r.sweepAt)) {
		before := r.opt.FIB.Len()
		err := r.opt.FIB.Sweep()
		r.log.Info("routes of an earlier run that nobody announced are removed", "routes", before-r.opt.FIB.Len(), "err", err)
		r.sweepAt = time.Time{}
		clear(r.awaited)
	}
	if now.Before(r.verifyAt) {
		return
	}
	mended, err := r.opt.FIB.Verify()
	if err != nil {
		r.failures = min(r.failures+1, 10)
		pause := min(verifySoon<<r.failures, verifyRetry)
		r.log.Warn("the kernel's routes are not as they should be", "err", err, "again", pause)
		r.verifyAt = now.Add(pause)
		return
	}
	if mended > 0 {
		r.log.Info("the kernel's routes were mended", "changes", mended)
	}
	r.failures, r.verifyAt = 0, now.Add(verifyEvery)
}

// deadline is when the loop has to look again.
func (r *Router) deadline() time.Time {
	next := r.verifyAt
	if !r.sweepAt.IsZero() {
		next = earlier(next, r.sweepAt)
	}
	for _, at := range r.gone {
		next = earlier(next, at)
	}
	return next
}

func (r *Router) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
