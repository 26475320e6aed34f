package ipvs

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/linux/conntrack"
)

// Driver programs the IPVS of one network namespace. It implements
// dataplane.Driver.
type Driver struct {
	options Options

	mu     sync.Mutex
	kernel *kernel
	state  *dataplane.State // wanted last
	live   *live            // nil: what the kernel holds is to be read
	addrs  []netip.Addr     // of the node, when last read
	others others           // when last read
	next   time.Time        // when Verify compares everything again
	stale  conntrack.Stale
	status dataplane.DriverStatus
}

// Options say where and how a Driver works.
type Options struct {
	// NetNS is a file descriptor of the network namespace, open as long as the
	// driver is used; zero means the program's own.
	NetNS int

	// Scheduler chooses among the destinations of a virtual service, by a name
	// of ipvsadm(8); empty means rr. Its module has to be there. Frontends in mode
	// direct have mh, whatever this says.
	Scheduler string

	// Drain is how long at most an endpoint that is gone keeps its connections;
	// zero means 15 minutes.
	Drain time.Duration
}

// New returns a driver that has not touched the kernel yet.
func New(options Options) *Driver {
	options.Scheduler = cmp.Or(options.Scheduler, "rr")
	options.Drain = cmp.Or(options.Drain, 15*time.Minute)
	return &Driver{
		options: options, kernel: newKernel(options.NetNS), state: &dataplane.State{}, stale: conntrack.Stale{},
		status: dataplane.DriverStatus{Driver: "ipvs"},
	}
}

// Name returns "ipvs".
func (d *Driver) Name() string { return "ipvs" }

// Status returns a copy of the counters.
func (d *Driver) Status() dataplane.DriverStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// Refused returns the frontends at addresses where others have virtual services.
func (d *Driver) Refused() map[pharos.Name][]dataplane.Refused {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live == nil {
		return nil
	}
	return maps.Clone(d.live.refused)
}

// Apply brings the kernel to state, step by step, in an order in which each
// packet finds a whole Service, the old or the new one. When the kernel refuses a
// step, those before it are taken back.
func (d *Driver) Apply(ctx context.Context, state *dataplane.State) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status.Note(d.apply(ctx, state))
}

func (d *Driver) apply(ctx context.Context, state *dataplane.State) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var failed error
	if d.live != nil && state.Node.Equal(&d.state.Node) {
		if failed = d.update(state); failed == nil {
			return d.forget()
		}
	}
	// What the kernel holds is not what was thought, or the node is another one.
	first := d.live == nil && failed == nil
	d.live = nil
	if _, err := d.resync(ctx, state, first); err != nil {
		if failed != nil {
			return fmt.Errorf("%w (after an update failed: %w)", err, failed)
		}
		return err
	}
	return d.forget()
}

// update applies the difference between the last state and the next.
func (d *Driver) update(state *dataplane.State) error {
	names := state.Changed(d.state)
	c := d.compiler(state)
	m := &marker{used: d.live.marks, addrs: c.nodeAddrs}
	was, is := make([]*compiled, len(names)), make([]*compiled, len(names))
	for i, name := range names {
		was[i] = d.live.services[name]
		if s, ok := state.Services.Get(name); ok {
			c.mark = func(s *dataplane.Service, key markKey) uint32 { return m.mark(s, key, was[i]) }
			is[i] = c.compile(s)
		}
	}
	p := d.live.update(was, is)
	if err := d.do(p); err != nil {
		d.live = nil
		return err
	}
	for i, name := range names {
		d.stale.Note(was[i].planned(), is[i].planned())
		d.live.set(name, is[i])
	}
	d.drained(p)
	d.done(state)
	return nil
}

// planned returns what was compiled; nil, if nothing was.
func (c *compiled) planned() *dataplane.Service {
	if c == nil {
		return nil
	}
	return c.service
}

// compiler returns one for a state's node.
func (d *Driver) compiler(state *dataplane.State) *compiler {
	c := &compiler{node: state.Node.Name, scheduler: d.options.Scheduler, own: map[netip.Addr]bool{}, others: d.others}
	for _, a := range d.addrs {
		c.own[a] = true
		if served := state.Node.NodePorts; len(served) == 0 || slices.ContainsFunc(served, func(p netip.Prefix) bool { return p.Contains(a) }) {
			c.nodeAddrs = append(c.nodeAddrs, a)
		}
	}
	return c
}

// resync brings the kernel to state from whatever it holds, and reports whether
// there was anything to do. With first it counts whose work it found.
func (d *Driver) resync(ctx context.Context, state *dataplane.State, first bool) (changed bool, err error) {
	is, adopted, changed, err := d.ready(ctx, state)
	if err != nil {
		return changed, err
	}
	d.others = is.others
	l := newLive()
	if d.live != nil {
		l.draining = d.live.draining
	}
	c := d.compiler(state)
	m := &marker{used: l.marks, found: is.elements, addrs: c.nodeAddrs}
	c.mark = func(s *dataplane.Service, key markKey) uint32 { return m.mark(s, key, nil) }
	want, old := newWorld(), conntrack.Stale{}
	want.node(&state.Node)
	for _, name := range state.Changed(&dataplane.State{}) {
		s, _ := state.Services.Get(name)
		compiled := c.compile(s)
		want.put(compiled)
		l.set(name, compiled)
		old.Note(nil, s)
	}
	for _, name := range d.state.Changed(state) {
		if s, _ := state.Services.Get(name); s == nil {
			was, _ := d.state.Services.Get(name)
			old.Note(was, nil)
		}
	}
	p := difference(is, want)
	if steps := p.steps(); len(steps) > 0 {
		changed = true
	}
	if err := d.do(p); err != nil {
		d.live = nil
		return changed, err
	}
	if first && adopted {
		d.status.Adopted++
	} else if first {
		d.status.Rebuilt++
	}
	if changed || first {
		for target, backends := range old {
			d.stale[target] = backends
		}
	}
	d.live = l
	d.drained(p)
	d.done(state)
	return changed, nil
}

// ready makes what all Services need, and reads what there is of them. adopted
// says that an earlier process left something.
func (d *Driver) ready(ctx context.Context, state *dataplane.State) (is *world, adopted, changed bool, err error) {
	k, is := d.kernel, newWorld()
	if err := k.open(); err != nil {
		return nil, false, false, err
	}
	found, err := k.findDevice()
	if err != nil {
		return nil, false, false, err
	}
	if !found {
		changed = true
		if err := k.makeDevice(); err != nil {
			return nil, false, true, err
		}
	}
	there, err := k.readSets(is)
	if err != nil {
		return nil, false, changed, err
	}
	if there < 2*len(sets) {
		changed = true
		if err := k.makeSets(); err != nil {
			return nil, false, changed, err
		}
	}
	tuned, err := k.tune(state)
	changed = changed || tuned
	if err != nil {
		return nil, false, changed, err
	}
	for i := range k.rules {
		if k.rules[i].ipv6 && !needsIPv6(state) {
			continue
		}
		edited, err := k.rules[i].ensure(ctx)
		changed = changed || edited
		if err != nil {
			return nil, false, changed, err
		}
	}
	if d.addrs, err = k.readAddrs(is); err != nil {
		return nil, false, changed, err
	}
	return is, there == 2*len(sets), changed, k.readVirtuals(is)
}

// needsIPv6 reports whether a state serves anything of IPv6.
func needsIPv6(state *dataplane.State) bool {
	if slices.ContainsFunc(state.Node.PodCIDRs, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		return true
	}
	for _, s := range state.Services.All() {
		if slices.ContainsFunc(s.Frontends, func(f dataplane.Frontend) bool { return f.Addr.Is6() }) {
			return true
		}
	}
	return false
}

// do does a plan and counts it.
func (d *Driver) do(p *plan) error {
	steps := p.steps()
	if len(steps) == 0 {
		return nil
	}
	start := time.Now()
	if err := d.kernel.do(steps); err != nil {
		return fmt.Errorf("program IPVS: %w", err)
	}
	d.status.LastDuration = time.Since(start)
	d.status.Applied++
	for _, s := range steps {
		if s.verb == remove {
			d.status.Removed++
		} else {
			d.status.Added++
		}
	}
	return nil
}

func (d *Driver) done(state *dataplane.State) {
	d.state = state
	d.status.Revision = state.Revision
}

// forget makes the kernel forget the connections that are stale. What it could
// not do is tried again with the next Apply.
func (d *Driver) forget() error {
	n, err := d.stale.Flush(d.options.NetNS)
	d.status.Flushed += n
	return err
}
