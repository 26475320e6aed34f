package controller

import (
	"container/heap"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

const (
	// maxWrites is how many statuses are written at a time: enough to keep an
	// API server busy, few enough to leave it room for others.
	maxWrites = 12

	// A write that failed is tried again after minBackoff, then twice as long up
	// to maxBackoff; while the API server is gone, one write tries its luck at
	// least every maxPause.
	minBackoff = 25 * time.Millisecond
	maxBackoff = 30 * time.Second
	maxPause   = time.Second
)

// Source follows the cluster.
type Source interface {
	Changed() <-chan struct{}
	Snapshot() *pharos.Snapshot
	Problem() why.Reason // why the Snapshot may be out of date
}

// Writer sets a Service's status and the annotation that names the pool, on top
// of the version that svc was made of, and fails where there is a newer one. Its
// error has a method Unreachable that returns true where the API server did not
// answer.
type Writer interface {
	WriteStatus(ctx context.Context, svc *pharos.Service, ingress []netip.Addr, pool string) error
}

// Recorder records reasons for users to read. It returns at once.
type Recorder interface {
	Service(name pharos.Name, r why.Reason)
	Config(r why.Reason)
}

// Options are what an operator chooses.
type Options struct {
	// Class is the loadBalancerClass whose Services are served; empty serves
	// those that name none.
	Class string
}

// Edge is what a Controller acts through.
type Edge struct {
	Source   Source
	Writer   Writer
	Recorder Recorder
	Log      *slog.Logger // nil discards
}

// Controller allocates addresses for a whole cluster. There has to be one only.
type Controller struct {
	edge Edge
	log  *slog.Logger

	mu       sync.Mutex // guards all below; Run is the only writer
	core     *core
	queue    []pharos.Name // to be written, in order of arrival
	queued   map[pharos.Name]bool
	flying   int
	limit    int                     // of flying
	failures map[pharos.Name]failure // of Services whose last write failed
	retries  retries
	pause    time.Duration // the last one, while the API server does not answer
	resume   time.Time     // no write before
	counts   WriteStatus
}

// failure is a Service's back-off.
type failure struct {
	backoff time.Duration
	upon    *pharos.Service // the version that could not be written
	waits   bool            // among retries
}

type result struct {
	write
	err error
}

// New makes a Controller. It acts from Run on.
func New(o Options, e Edge) *Controller {
	if e.Log == nil {
		e.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Controller{
		edge: e, log: e.Log, core: newCore(o.Class), limit: maxWrites,
		queued: map[pharos.Name]bool{}, failures: map[pharos.Name]failure{},
	}
}

// Run follows the Source until ctx ends; then it waits for the writes that are
// under way and returns nil.
func (c *Controller) Run(ctx context.Context) error {
	results := make(chan result, maxWrites)
	var writers sync.WaitGroup
	defer writers.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		c.reconcile(time.Now())
		for {
			w, wait, ok := c.dispatch(time.Now())
			if !ok {
				timer.Reset(wait)
				break
			}
			writers.Go(func() {
				results <- result{w, c.edge.Writer.WriteStatus(ctx, w.service, w.Addrs, w.Pool)}
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.edge.Source.Changed():
		case r := <-results:
			c.finish(r)
		case <-timer.C:
		}
	}
}

// reconcile works the newest Snapshot in, and the time that has passed.
func (c *Controller) reconcile(now time.Time) {
	snap := c.edge.Source.Snapshot()
	c.mu.Lock()
	defer c.mu.Unlock()
	var fx effects
	if due := c.core.alloc.Deadline(); !due.IsZero() && !now.Before(due) {
		fx = c.core.step(now)
	}
	if snap != c.core.snap {
		inForce := c.core.gate.Config
		next := c.core.reconcile(now, snap)
		fx.dirty, fx.events = append(fx.dirty, next.dirty...), append(fx.events, next.events...)
		if cfg := c.core.gate.Config; cfg != inForce {
			c.log.Info("configuration in force", "pools", len(cfg.Pools), "peers", len(cfg.Peers))
		}
	}
	for _, name := range fx.dirty {
		c.enqueue(name)
	}
	c.record(fx.events)
}

// enqueue puts a Service in line to be written. One that changed since its write
// failed does not wait for its back-off.
func (c *Controller) enqueue(name pharos.Name) {
	if f, failed := c.failures[name]; failed {
		if e := c.core.entries[name]; e == nil || e.service != f.upon {
			delete(c.failures, name)
		} else if f.waits {
			return
		}
	}
	if !c.queued[name] {
		c.queued[name] = true
		c.queue = append(c.queue, name)
	}
}

// dispatch takes the next write, or says how long there is none to start.
func (c *Controller) dispatch(now time.Time) (write, time.Duration, bool) {
	const idle = time.Hour
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.retries) > 0 && !now.Before(c.retries[0].at) {
		name := heap.Pop(&c.retries).(retry).name
		if f, failed := c.failures[name]; failed {
			f.waits = false
			c.failures[name] = f
		}
		c.enqueue(name)
	}
	wait := idle
	if len(c.retries) > 0 {
		wait = c.retries[0].at.Sub(now)
	}
	if due := c.core.alloc.Deadline(); !due.IsZero() {
		wait = min(wait, due.Sub(now))
	}
	if c.flying >= c.limit {
		return write{}, wait, false // the end of a write is awaited anyhow
	}
	if len(c.queue) > 0 && now.Before(c.resume) {
		return write{}, min(wait, c.resume.Sub(now)), false
	}
	for len(c.queue) > 0 {
		name := c.queue[0]
		c.queue = c.queue[1:]
		delete(c.queued, name)
		if w, ok := c.core.next(name); ok {
			c.flying++
			return w, 0, true
		}
	}
	c.queue = nil
	return write{}, wait, false
}

// finish works the end of a write in.
func (c *Controller) finish(r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flying--
	fx, again := c.core.done(r.write, r.err)
	c.record(fx.events)
	name := r.service.Name
	if r.err == nil {
		c.counts.Written++
		delete(c.failures, name)
		if c.pause > 0 {
			c.log.Info("API server answers again")
		}
		c.pause, c.resume, c.limit = 0, time.Time{}, maxWrites
		if again {
			c.enqueue(name)
		}
		return
	}
	c.counts.Failed++
	var unanswered interface{ Unreachable() bool }
	if errors.As(r.err, &unanswered) && unanswered.Unreachable() {
		// It says nothing about this Service: all wait, and one tries.
		if c.pause == 0 {
			c.log.Warn("API server does not answer", "error", r.err)
		}
		if c.pause == 0 || c.flying == 0 {
			c.pause = min(max(2*c.pause, minBackoff), maxPause)
		}
		c.limit, c.resume = 1, time.Now().Add(c.pause)
		if again {
			c.enqueue(name)
		}
		return
	}
	if !again {
		return
	}
	if e := c.core.entries[name]; e.service != r.service {
		c.enqueue(name) // decided upon an older version
		return
	}
	f := c.failures[name]
	f.upon, f.waits, f.backoff = r.service, true, min(max(2*f.backoff, minBackoff), maxBackoff)
	if f.backoff > 16*minBackoff {
		c.log.Warn("status not written", "namespace", name.Namespace, "name", name.Name, "error", r.err, "retry", f.backoff)
	}
	c.failures[name] = f
	heap.Push(&c.retries, retry{time.Now().Add(f.backoff), name})
}

func (c *Controller) record(events []event) {
	for _, ev := range events {
		if ev.service == (pharos.Name{}) {
			c.edge.Recorder.Config(ev.reason)
			c.logConfig(ev.reason)
			continue
		}
		c.edge.Recorder.Service(ev.service, ev.reason)
		c.log.Debug("service", "namespace", ev.service.Namespace, "name", ev.service.Name, "reason", ev.reason.Code, "detail", ev.reason)
	}
}

func (c *Controller) logConfig(r why.Reason) {
	if r.Code.Warning() {
		c.log.Warn("configuration not in force", "reason", r.Code, "detail", r)
	}
}

type retry struct {
	at   time.Time
	name pharos.Name
}

// retries is a heap, the earliest on top.
type retries []retry

func (h retries) Len() int           { return len(h) }
func (h retries) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h retries) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is heap.Interface's.
func (h *retries) Push(x any) { *h = append(*h, x.(retry)) }

// Pop is heap.Interface's.
func (h *retries) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
