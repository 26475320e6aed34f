package ebpf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/cilium/ebpf"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/nft"
)

// Options say where and how a Driver works.
type Options struct {
	// NetNS is a file descriptor of the network namespace, open as long as the
	// driver is used; zero means the program's own.
	NetNS int

	// Pins is the directory where maps and links are kept over the process's end, in
	// a BPF file system; empty means DefaultPins. Where its parent is none, one is
	// mounted there. Each network namespace needs a directory of its own.
	Pins string

	// Devices are the names of the devices on which clients' packets arrive and answers
	// leave; empty means those with a default route or one of the node's addresses.
	Devices []string

	// Attach is how programs are attached.
	Attach Attach

	Sizes Sizes
}

// Sizes bound what the programs remember, in entries; zero means the default. The kernel sets the
// memory apart at once, about 200 bytes an entry. A connection has two.
type Sizes struct {
	Known     uint32 // of connections seen both ways: 131072
	Fresh     uint32 // of connections seen one way: 32768
	Fragments uint32 // datagrams in fragments: 8192
}

func (o *Options) pins() string { return cmp.Or(o.Pins, DefaultPins) }

// Driver carries frontends of mode direct by BPF programs, and everything else by
// nftables. It implements dataplane.Driver and dataplane.Meter.
type Driver struct {
	options Options
	nft     *nft.Driver

	mu     sync.Mutex
	state  *dataplane.State // applied last
	left   *dataplane.State // what nftables has of it
	wanted map[pharos.Name][]*wanted
	kernel *kernel // nil: nothing direct was wanted yet
	status dataplane.DriverStatus
}

var (
	_ dataplane.Driver  = (*Driver)(nil)
	_ dataplane.Meter   = (*Driver)(nil)
	_ dataplane.Witness = (*Driver)(nil)
)

// New returns a driver that has not touched the kernel yet.
func New(options Options) *Driver {
	return &Driver{
		options: options, nft: nft.New(nft.Options{NetNS: options.NetNS}),
		state: &dataplane.State{}, left: &dataplane.State{}, wanted: map[pharos.Name][]*wanted{},
	}
}

// Name returns "ebpf".
func (d *Driver) Name() string { return "ebpf" }

// Status returns a copy of the counters, those of nftables included.
func (d *Driver) Status() dataplane.DriverStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, own := d.nft.Status(), &d.status
	s.Driver, s.Revision = "ebpf", own.Revision
	s.Applied += own.Applied
	s.Added += own.Added
	s.Removed += own.Removed
	s.Repaired += own.Repaired
	s.Failed += own.Failed
	s.LastDuration += own.LastDuration
	s.LastError = cmp.Or(own.LastError, s.LastError)
	return s
}

// Apply brings nftables and then the programs' maps to state. Each Service changes in
// one step; where one can't, all that were changed are put back.
func (d *Driver) Apply(ctx context.Context, state *dataplane.State) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return d.status.Note(err)
	}
	renewed := map[pharos.Name][]*wanted{}
	left := *state
	left.Services = d.left.Services
	fresh := map[pharos.Name]*dataplane.Service{}
	for name := range state.Services.Diff(d.state.Services) {
		s, ok := state.Services.Get(name)
		if !ok {
			left.Services, renewed[name] = left.Services.Without(name), nil
			continue
		}
		fresh[name], renewed[name] = rest(s), compile(state.Node.Name, s)
	}
	if left.Services.Len() == 0 {
		left.Services = pharos.MapOf(fresh)
	} else {
		for name, s := range fresh {
			left.Services = left.Services.With(name, s)
		}
	}
	if err := d.nft.Apply(ctx, &left); err != nil {
		return err // it has counted it
	}
	if err := d.program(state, renewed); err != nil {
		if d.state.Revision > 0 {
			err = errors.Join(err, d.nft.Apply(ctx, d.left))
		}
		return d.status.Note(err)
	}
	d.state, d.left = state, &left
	d.status.Revision = state.Revision
	return d.status.Note(nil)
}

// program brings the programs and their maps to state; renewed are the Services that
// have changed.
func (d *Driver) program(state *dataplane.State, renewed map[pharos.Name][]*wanted) error {
	direct := 0
	for _, w := range renewed {
		direct += len(w)
	}
	if d.kernel == nil && direct == 0 {
		if d.state.Revision == 0 {
			return sweep(&d.options) // an earlier process may have had some
		}
		return nil
	}
	start := time.Now()
	everything := renewed
	if d.kernel == nil {
		k, err := open(&d.options)
		if err != nil {
			return err
		}
		d.kernel = k
		everything = maps.Clone(d.wanted)
		maps.Copy(everything, renewed)
	}
	t := &transaction{}
	err := d.kernel.apply(t, state, everything)
	if err != nil {
		err = errors.Join(fmt.Errorf("program maps: %w", err), t.rollback())
		d.kernel.close()
		d.kernel = nil // the next one reads what is there
		return err
	}
	for name, w := range renewed {
		if len(w) == 0 {
			delete(d.wanted, name)
		} else {
			d.wanted[name] = w
		}
	}
	d.count(t, start)
	return nil
}

func (d *Driver) count(t *transaction, start time.Time) {
	if t.added+t.removed == 0 {
		return
	}
	d.status.Applied++
	d.status.Added += t.added
	d.status.Removed += t.removed
	d.status.LastDuration = time.Since(start)
}

// Verify repairs what somebody else changed, in nftables, at the devices and in the maps, and follows
// what has changed around the node: devices, routes, neighbors.
func (d *Driver) Verify(ctx context.Context) (bool, error) {
	repaired, err := d.nft.Verify(ctx)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kernel == nil {
		if len(d.wanted) > 0 { // an Apply has failed, or Verify itself
			err = d.program(d.state, d.wanted)
		}
		return repaired, d.status.Note(err)
	}
	t := &transaction{}
	start := time.Now()
	broken, err := d.kernel.verify(t, d.state)
	if err != nil {
		d.kernel.close()
		d.kernel = nil
		return repaired, d.status.Note(fmt.Errorf("verify: %w", err))
	}
	d.count(t, start)
	if broken {
		d.status.Repaired++
	}
	return repaired || broken, d.status.Note(nil)
}

// Remove detaches the programs, forgets their maps and deletes the tables.
func (d *Driver) Remove(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kernel != nil {
		d.kernel.close()
		d.kernel = nil
	}
	err := sweep(&d.options)
	d.state, d.left, d.wanted = &dataplane.State{}, &dataplane.State{}, map[pharos.Name][]*wanted{}
	return d.status.Note(errors.Join(err, d.nft.Remove(ctx)))
}

// Programs returns the programs that are attached, to be measured or run by hand; nil
// while nothing direct is wanted. They are the driver's: callers don't close them.
func (d *Driver) Programs() (ingress, egress *ebpf.Program) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kernel == nil {
		return nil, nil
	}
	return d.kernel.objects.Ingress, d.kernel.objects.Egress
}
