package radv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// retryPause lies between attempts to use an interface that fails.
const retryPause = time.Second

// DefaultInterval is the longest pause between advertisements, unless
// Options.Interval says otherwise.
const DefaultInterval = 10 * time.Second

// Options are what a Finder works with; the zero value is good.
type Options struct {
	// Interval is the longest pause between our advertisements, 4 s to 1800 s (RFC
	// 4861 §6.2.1); zero means DefaultInterval. A neighbor that is silent for three
	// of them gives way to another one on the link.
	Interval time.Duration
	// Do runs f in the network namespace to work in. Nil: the caller's of Run.
	Do func(f func() error) error
	// Log gets neighbors that come and go and interfaces that cannot be used. Nil:
	// nothing is logged.
	Log *slog.Logger
}

// Finder finds neighbors. Its methods may be called from any goroutine.
type Finder struct {
	opt     Options
	poked   chan struct{}
	changed chan struct{}

	mu        sync.Mutex
	wanted    []string
	neighbors map[string]netip.Addr

	// Owned by Run.
	links    map[string]*link
	received chan received
	readers  sync.WaitGroup
}

// link is an interface on which a neighbor is wanted.
type link struct {
	name    string
	state   state
	machine *machine
	conn    *ndp.Conn // nil while the interface cannot be used
	retry   time.Time // when to look again after a failure; zero: when there is news
	lastErr string
}

// received is a message, or the end of a socket.
type received struct {
	link  string
	conn  *ndp.Conn
	event event
	err   error
}

// New checks the options; it starts nothing.
func New(opt Options) (*Finder, error) {
	if opt.Interval == 0 {
		opt.Interval = DefaultInterval
	}
	if opt.Interval < 4*time.Second || opt.Interval > 1800*time.Second {
		return nil, fmt.Errorf("advertisement interval %v is outside 4s to 1800s (RFC 4861 §6.2.1)", opt.Interval)
	}
	if opt.Do == nil {
		opt.Do = func(f func() error) error { return f() }
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Finder{
		opt: opt, poked: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		neighbors: make(map[string]netip.Addr), links: make(map[string]*link), received: make(chan received, 16),
	}, nil
}

// Set replaces the interfaces on which neighbors are wanted. They need not be there
// yet.
func (f *Finder) Set(interfaces []string) {
	f.mu.Lock()
	f.wanted = slices.Clone(interfaces)
	f.mu.Unlock()
	poke(f.poked)
}

// Neighbors is the link-local address of the neighbor on each interface that has a
// known one, without zone.
func (f *Finder) Neighbors() map[string]netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.neighbors)
}

// Changed has a token when Neighbors may answer differently than before. There is
// one receiver.
func (f *Finder) Changed() <-chan struct{} { return f.changed }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run finds neighbors until ctx ends; then nobody is known any more. It may be
// called once. The error is that of the kernel, which cannot tell of interfaces.
func (f *Finder) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer f.readers.Wait()
	defer f.close()
	defer cancel()
	watched := make(chan struct{}, 1)
	failed := make(chan error, 1)
	stop, err := f.watch(watched, failed)
	if err != nil {
		return err
	}
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	f.reconcile(ctx)
	for {
		if d := f.deadline(); !d.IsZero() {
			timer.Reset(time.Until(d))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-f.poked:
			f.reconcile(ctx)
		case <-watched:
			f.reconcile(ctx)
		case r := <-f.received:
			f.take(ctx, r)
		case <-timer.C:
			f.tick(ctx)
		}
	}
}

func (f *Finder) tick(ctx context.Context) {
	now, again := time.Now(), false
	for _, l := range f.links {
		if d := l.machine.deadline(); !d.IsZero() && !now.Before(d) {
			f.step(l, tick{})
		}
		again = again || !l.retry.IsZero() && !now.Before(l.retry)
	}
	if again {
		f.reconcile(ctx)
	}
}

// watch pokes when links or addresses change. Which ones is looked up afterwards,
// so that notices may get lost (ENOBUFS) without harm.
func (f *Finder) watch(changed chan struct{}, failed chan<- error) (stop func(), err error) {
	var stopped sync.WaitGroup
	err = f.opt.Do(func() error {
		c, err := subscribe()
		if err != nil {
			return err
		}
		done := make(chan struct{})
		stop = func() { close(done); c.Close(); stopped.Wait() }
		stopped.Go(func() {
			for {
				_, err := c.Receive()
				select {
				case <-done:
					return
				default:
				}
				if err != nil && !errors.Is(err, unix.ENOBUFS) {
					failed <- fmt.Errorf("hear of interfaces: %w", err)
					return
				}
				poke(changed)
			}
		})
		return nil
	})
	return stop, err
}

// reconcile makes the links be those wanted, as the kernel has them.
func (f *Finder) reconcile(ctx context.Context) {
	f.mu.Lock()
	wanted := f.wanted
	f.mu.Unlock()
	for name, l := range f.links {
		if !slices.Contains(wanted, name) {
			f.use(ctx, l, state{})
			delete(f.links, name)
		}
	}
	for _, name := range wanted {
		l := f.links[name]
		if l == nil {
			l = &link{name: name, machine: newMachine(f.opt.Interval, rand.Uint64())}
			f.links[name] = l
		}
		var s state
		err := f.opt.Do(func() (err error) {
			s, err = look(name)
			return err
		})
		f.check(l, err)
		if err == nil && (s != l.state || s.usable() && l.conn == nil) {
			f.use(ctx, l, s)
		}
	}
}

// use goes over to what the kernel has of an interface now.
func (f *Finder) use(ctx context.Context, l *link, s state) {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
		f.step(l, down{})
	}
	if l.state = s; !s.usable() {
		return
	}
	err := f.opt.Do(func() (err error) {
		l.conn, err = listen(s)
		return err
	})
	f.check(l, err)
	if err != nil {
		l.conn = nil
		return
	}
	conn := l.conn
	f.readers.Go(func() { f.read(ctx, l.name, conn, s) })
	f.step(l, up{})
}

// check sees to another attempt if an interface cannot be used, and logs why, once.
func (f *Finder) check(l *link, err error) {
	if err == nil {
		l.retry = time.Time{}
		return
	}
	l.retry = time.Now().Add(retryPause)
	if s := err.Error(); s != l.lastErr {
		l.lastErr = s
		f.opt.Log.Warn("interface cannot be used for router discovery", "interface", l.name, "err", err)
	}
}

// read hands on what arrives on a socket, until it is closed.
func (f *Finder) read(ctx context.Context, name string, c *ndp.Conn, s state) {
	b := make([]byte, maxMessage)
	for {
		n, cm, from, err := c.ReadRaw(b)
		r := received{link: name, conn: c, err: err}
		if err == nil {
			if !s.concerns(cm, from) {
				continue
			}
			if r.event, err = decode(b[:n], from, cm.HopLimit); err != nil {
				f.opt.Log.Debug("router discovery message ignored", "interface", name, "from", from, "reason", err)
				continue
			}
		}
		select {
		case f.received <- r:
		case <-ctx.Done():
			return
		}
		if r.err != nil {
			return
		}
	}
}

func (f *Finder) take(ctx context.Context, r received) {
	l := f.links[r.link]
	switch {
	case l == nil || l.conn != r.conn: // of a socket that is closed by now
	case r.err != nil:
		f.use(ctx, l, state{})
		f.check(l, fmt.Errorf("receive: %w", r.err))
	default:
		f.step(l, r.event)
	}
}

// step takes an event to a link's machine and does what it says.
func (f *Finder) step(l *link, e event) {
	for _, x := range l.machine.step(time.Now(), e) {
		var err error
		switch x := x.(type) {
		case advertise:
			to := allNodes
			if x.to.IsValid() {
				to = x.to
			}
			err = l.conn.WriteTo(advertisement(net.HardwareAddr(l.state.mac)), nil, to)
		case solicit:
			err = l.conn.WriteTo(solicitation(net.HardwareAddr(l.state.mac)), nil, allRouters)
		case found:
			f.publish(l.name, x.addr)
		}
		if err != nil { // the next one may get through
			f.opt.Log.Debug("router discovery message not sent", "interface", l.name, "err", err)
		}
	}
}

func (f *Finder) publish(name string, addr netip.Addr) {
	f.mu.Lock()
	before := f.neighbors[name]
	if addr.IsValid() {
		f.neighbors[name] = addr
	} else {
		delete(f.neighbors, name)
	}
	f.mu.Unlock()
	if addr.IsValid() {
		f.opt.Log.Info("neighbor found", "interface", name, "neighbor", addr)
	} else {
		f.opt.Log.Info("neighbor lost", "interface", name, "neighbor", before)
	}
	poke(f.changed)
}

func (f *Finder) deadline() (first time.Time) {
	for _, l := range f.links {
		for _, d := range []time.Time{l.machine.deadline(), l.retry} {
			if !d.IsZero() && (first.IsZero() || d.Before(first)) {
				first = d
			}
		}
	}
	return first
}

func (f *Finder) close() {
	for _, l := range f.links {
		f.use(context.Background(), l, state{})
	}
}
