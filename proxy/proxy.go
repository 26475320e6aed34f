package proxy

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/task"
	"github.com/pharoslb/pharos/why"
)

// Source hands out Snapshots of the cluster.
type Source interface {
	Changed() <-chan struct{} // receives when there is a newer Snapshot
	Snapshot() *pharos.Snapshot
}

// Kernel reads and writes the node's settings. Keys are named as in sysctl(8);
// an error that is fs.ErrNotExist says that the kernel does not have the key.
type Kernel interface {
	Sysctl(key string) (string, error)
	SetSysctl(key, value string) error

	// Names lists what has settings of its own below a key: below net.ipv4.conf
	// every device, besides "all" and "default".
	Names(key string) ([]string, error)
}

// Recorder tells users of the cluster about the node. It returns at once.
type Recorder interface {
	Node(name string, r why.Reason)
}

// Listener opens a health check's port.
type Listener interface {
	Listen(ctx context.Context, network, address string) (net.Listener, error)
}

// Options are what a proxy is told.
type Options struct {
	Node string // name of the own node; needed

	// PodCIDRs are the sources that count as the node's own pods; none means
	// those of its Node object.
	PodCIDRs []netip.Prefix

	// NodePorts are networks of the node's addresses that serve node ports; none
	// means all but loopback.
	NodePorts []netip.Prefix

	// Check has the proxy report kernel settings that are wrong and leave them;
	// otherwise it sets those that it may.
	Check bool

	// Verify is how often the kernel is compared with what it should hold; zero
	// means twice a second, which costs next to nothing while nobody touches it.
	Verify time.Duration

	// Mode is how Services are carried that don't ask for one; the zero value
	// means NAT.
	Mode pharos.DataPlaneMode

	// Beside has the proxy carry direct frontends alone: kube-proxy, or whoever
	// is in its place, does everything else.
	Beside bool

	// Chosen says why Edge.Driver is the one that is used, for Status to tell.
	Chosen why.Trail
}

// Edge is where a proxy touches the world.
type Edge struct {
	Source Source
	Driver dataplane.Driver
	Kernel Kernel
	// Former are what drivers may have left that an earlier process used: it is
	// removed once Driver serves in their place.
	Former   []Leftover
	Recorder Recorder     // nil tells nobody
	Listener Listener     // nil means package net's
	Log      *slog.Logger // nil discards
}

// Leftover is what a driver may have left in the kernel.
type Leftover struct {
	Driver string
	Remove func(context.Context) error // no error where there is nothing
}

// retryFirst and retryLast bound the pause after a failure, which doubles.
const (
	retryFirst = 100 * time.Millisecond
	retryLast  = 5 * time.Second
)

// repairLog is how often at most the log tells of repairs.
const repairLog = 10 * time.Second

// Proxy is the role. Its methods may be called from any goroutine.
type Proxy struct {
	opts     Options
	edge     Edge
	log      *slog.Logger
	planner  *dataplane.Planner // Run's own
	former   []Leftover         // Run's own: what may still be there
	told     time.Time          // Run's own: when the log told of a repair
	degraded string             // Run's own: what the log told that does not work
	devices  devices            // Run's own
	checks   *health

	mu      sync.Mutex
	state   *dataplane.State // in the kernel, or to be
	status  Status           // without Services and HealthChecks
	serving serving
	lastErr string
}

// New checks the options and returns a proxy that does nothing yet.
func New(opts Options, edge Edge) (*Proxy, error) {
	if opts.Node == "" {
		return nil, errors.New("the proxy has to be told its node's name")
	}
	opts.Verify = cmp.Or(opts.Verify, 500*time.Millisecond)
	opts.Mode = cmp.Or(opts.Mode, pharos.NAT)
	if edge.Log == nil {
		edge.Log = slog.New(slog.DiscardHandler)
	}
	if edge.Listener == nil {
		edge.Listener = &net.ListenConfig{}
	}
	p := &Proxy{
		opts: opts, edge: edge, log: edge.Log,
		planner: dataplane.NewPlanner(dataplane.Options{
			Node: opts.Node, PodCIDRs: opts.PodCIDRs, NodePorts: opts.NodePorts, Mode: opts.Mode, Beside: opts.Beside,
		}),
		former:  slices.Clone(edge.Former),
		state:   &dataplane.State{},
		serving: serving{snapshot: &pharos.Snapshot{}, state: &dataplane.State{}, changed: make(chan struct{})},
		status: Status{
			Node: opts.Node, Since: time.Now(), Driver: edge.Driver.Status(),
			Mode: opts.Mode, Beside: opts.Beside, Chosen: opts.Chosen,
			Problem: why.Reason{Code: why.NotSynced},
		},
	}
	p.checks = newHealth(edge.Listener, edge.Log, p.healthy)
	return p, nil
}

// Run keeps the data plane at what the newest Snapshot asks for until ctx ends.
// What is in the kernel then stays there.
func (p *Proxy) Run(ctx context.Context) error {
	return task.Run(ctx, p.checks.run, p.reconcileAll)
}

func (p *Proxy) reconcileAll(ctx context.Context) error {
	verify := time.NewTicker(p.opts.Verify)
	defer verify.Stop()
	retry := time.NewTimer(0)
	defer retry.Stop()
	pause := retryFirst
	for _, r := range p.opts.Chosen {
		if p.edge.Recorder != nil {
			p.edge.Recorder.Node(p.opts.Node, r)
		}
	}
	p.sysctls()
	for {
		verified := false
		select {
		case <-ctx.Done():
			return nil
		case <-p.edge.Source.Changed():
		case <-retry.C:
		case <-verify.C:
			verified = true
			p.sysctls()
		}
		err := p.reconcile(ctx, verified)
		if ctx.Err() != nil {
			return nil
		}
		p.note(err)
		if err == nil {
			pause = retryFirst
			retry.Stop()
			continue
		}
		retry.Reset(pause)
		pause = min(2*pause, retryLast)
	}
}

// reconcile plans the newest Snapshot and applies the plan. With verify it
// compares what the kernel really holds.
func (p *Proxy) reconcile(ctx context.Context, verify bool) error {
	snapshot := p.edge.Source.Snapshot()
	if !snapshot.Synced {
		// Half of the Services would take the other half's rules away.
		return nil
	}
	state := p.planner.Plan(snapshot)
	p.mu.Lock()
	newFamily := hasIPv6(p.state.Node.PodCIDRs) != hasIPv6(state.Node.PodCIDRs)
	p.state = p.held(state)
	p.status.Synced = true
	p.status.Revision = snapshot.Revision
	p.mu.Unlock()
	if newFamily {
		p.sysctls()
	}
	if err := p.edge.Driver.Apply(ctx, state); err != nil {
		return err
	}
	p.hold(snapshot, state)
	p.checks.set(state)
	p.tellDegraded()
	p.removeFormer(ctx)
	if !verify {
		return nil
	}
	repaired, err := p.edge.Driver.Verify(ctx)
	if now := time.Now(); repaired && now.Sub(p.told) >= repairLog {
		p.told = now
		p.log.Warn("somebody changed the data plane; repaired", "driver", p.edge.Driver.Name(), "repairs", p.edge.Driver.Status().Repaired)
	}
	if err == nil {
		p.hold(snapshot, state) // what was in the way may have gone
	}
	return err
}

// tellDegraded logs what the driver can't do, once until that is something else.
func (p *Proxy) tellDegraded() {
	s := p.edge.Driver.Status()
	switch {
	case s.Degraded == p.degraded:
		return
	case s.Degraded == "":
		p.log.Info("the data plane works as a whole again", "driver", s.Driver)
	default:
		p.log.Warn("a part of the data plane does not work", "driver", s.Driver, "reason", s.Degraded)
	}
	p.degraded = s.Degraded
}

// removeFormer takes away what other drivers left, now that the one that is used
// serves: never before, so that no packet falls between two. It is tried once;
// what is left over does no harm but to those who read the kernel's tables.
func (p *Proxy) removeFormer(ctx context.Context) {
	for _, l := range p.former {
		if err := l.Remove(ctx); err != nil {
			p.log.Warn("what another driver may have left was not removed", "driver", l.Driver, "err", err)
		}
	}
	p.former = nil
}

// note keeps how the last reconcile went, and logs what is new about it.
func (p *Proxy) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ready, problem, text := p.status.Synced && err == nil, why.Reason{}, ""
	switch {
	case err != nil:
		text = err.Error()
		problem = why.New(why.DataPlaneRefused, "%s", text)
	case !p.status.Synced:
		problem = why.Reason{Code: why.NotSynced}
	}
	if err != nil && text != p.lastErr {
		p.log.Error("data plane was not programmed", "err", err)
	}
	if ready != p.status.Ready {
		p.status.Since = time.Now()
		if ready {
			p.log.Info("data plane is up to date", "driver", p.edge.Driver.Name(), "revision", p.status.Revision, "services", p.state.Services.Len())
		}
	}
	p.lastErr = text
	p.status.Ready, p.status.Problem = ready, problem
	p.status.Driver = p.edge.Driver.Status()
}

// healthy reports whether the data plane does what the newest Snapshot asks for.
func (p *Proxy) healthy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status.Ready
}

// Healthy returns nil where the data plane does what the newest Snapshot asks
// for, and otherwise why it does not.
func (p *Proxy) Healthy() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status.Ready {
		return nil
	}
	return errors.New(p.status.Problem.String())
}
