package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

const (
	// sweepAfter is how long an earlier run's routes are kept at most.
	sweepAfter = 15 * time.Second
	// verifyEvery is the pause between two looks at the kernel's table, verifySoon
	// the pause after interfaces changed or the kernel refused something.
	verifyEvery = time.Minute
	verifySoon  = 100 * time.Millisecond
	verifyRetry = 30 * time.Second // the longest pause between failing attempts
	// queueLen bounds the UPDATEs that wait, and largeLen those among them with more
	// prefixes than a batch; who has more to say waits himself.
	queueLen = 64
	largeLen = 4
	// batch is how many prefixes are gathered before the kernel is told.
	batch = 4096
)

// FIB is the kernel's forwarding table: internal/linux/fib.
type FIB interface {
	Apply([]rib.Route) error
	// Avoid takes next hops out of every set that has others, at once; Apply follows
	// with what is decided instead.
	Avoid([]rib.Hop) error
	// Resilient chooses sets whose members come and go with few flows moved.
	Resilient(on bool) error
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
	Refresh(f wire.Family, names ...string)
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
	urgent  chan event    // ends of sessions
	larges  chan struct{} // a token for each large UPDATE that waits
	done    chan struct{} // closed when Run has ended
	wake    chan struct{}

	sessionCount atomic.Uint64
	current      sync.Map // number of the session that is up, by peer

	set sync.Mutex // held by whoever tells the speaker its peers, from making the list on

	mu        sync.Mutex
	config    Config
	byName    map[string]*Neighbor // of config
	started   time.Time
	tables    map[wire.Family]*rib.Table
	networks  []rib.Connected
	ended     map[string]uint64 // number of the session that ended last, while events of it may wait
	keeps     map[side]*keep
	refreshes map[side]time.Time              // when they have to be over
	awaited   map[string]map[wire.Family]bool // End-of-RIB markers before the sweep
	sweepAt   time.Time                       // zero: swept
	verifyAt  time.Time
	failures  int // of Verify, in a row
	dynamic   map[string]*dynamic
	tripped   map[string]*trip // shut for exceeding the prefix limit
	warned    map[side]int     // 1: of the threshold, 2: of the limit
	downSince map[string]time.Time
	addrs     map[string]netip.Addr // of sessions, when they were last up

	// What the speaker does not know yet: neighbors to refuse, and to let in again.
	refusals   []refusal
	readmitted []string

	avoided bool        // the kernel avoids next hops that nothing was decided without yet
	routes  []rib.Route // memory of flush
}

// New makes a router without neighbors; it starts nothing.
func New(opt Options) (*Router, error) {
	r := &Router{
		opt: opt, log: opt.Log,
		events: make(chan event, queueLen), urgent: make(chan event, queueLen), larges: make(chan struct{}, largeLen), done: make(chan struct{}), wake: make(chan struct{}, 1),
		ended: make(map[string]uint64), keeps: make(map[side]*keep), refreshes: make(map[side]time.Time), awaited: make(map[string]map[wire.Family]bool),
		dynamic: make(map[string]*dynamic), tripped: make(map[string]*trip), warned: make(map[side]int),
		downSince: make(map[string]time.Time), addrs: make(map[string]netip.Addr),
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
	go func() {
		failed <- r.speaker.Run(ctx)
		close(failed)
	}()
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
			if err == nil && ctx.Err() == nil {
				err = errors.New("the bgp engine ended")
			}
			return err
		case e := <-r.urgent:
			r.mu.Lock()
			r.handle(e, time.Now())
		case e := <-r.events:
			r.mu.Lock()
			r.hurry()
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
		r.readmit(now)
		r.retire(now)
		r.flush()
		r.maintain(now)
		refusals, readmitted := r.refusals, r.readmitted
		r.refusals, r.readmitted = nil, nil
		if len(r.events) == 0 {
			clear(r.ended) // a session's end comes last, so that nothing before it waits
		}
		next := r.deadline()
		r.mu.Unlock()
		for _, v := range refusals {
			r.speaker.Refuse(v.peer, v.say)
		}
		if len(readmitted) > 0 {
			r.speaker.Reset("", readmitted...)
		}
		timer.Reset(time.Until(next))
	}
}

// gather takes what has arrived meanwhile, up to a batch.
func (r *Router) gather() {
	for r.dirty() < batch {
		r.hurry()
		select {
		case e := <-r.events:
			r.handle(e, time.Now())
		default:
			return
		}
	}
}

// hurry acts on ends of sessions before anything else that waits.
func (r *Router) hurry() {
	for {
		select {
		case e := <-r.urgent:
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
	r.avoided = false
	if len(r.routes) > 0 {
		r.apply(r.routes)
	}
}

var families = []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast}

func (r *Router) apply(routes []rib.Route) {
	if err := r.opt.FIB.Apply(routes); err != nil {
		r.refused(err)
	}
}

// refused has the kernel's table looked at soon.
func (r *Router) refused(err error) {
	r.log.Error("the kernel refused routes; they are tried again", "err", err)
	r.verifyAt = earlier(r.verifyAt, time.Now().Add(verifySoon))
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
	for _, v := range r.tripped {
		if !v.until.IsZero() {
			next = earlier(next, v.until)
		}
	}
	for peer, d := range r.dynamic {
		if n := r.neighbor(peer); n != nil && !d.gone.IsZero() {
			next = earlier(next, r.retireAt(peer, d, n))
		}
	}
	return r.keepDeadline(next)
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
