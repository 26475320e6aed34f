package nft

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/linux/conntrack"
)

// Driver programs the nftables of one network namespace. It implements
// dataplane.Driver.
type Driver struct {
	netns int

	mu     sync.Mutex
	socket socket
	state  *dataplane.State // wanted last
	live   *live            // nil: what the kernel holds is to be read
	seen   uint32           // generation of nftables that live was compared with, or is of its own making; 0: none
	stale  conntrack.Stale  // connections to be forgotten
	events events
	busy   bool // others change nftables while a large transaction is under way
	direct direct
	status dataplane.DriverStatus
}

// Options say where a Driver works.
type Options struct {
	// NetNS is a file descriptor of the network namespace, open as long as the
	// driver is used; zero means the program's own.
	NetNS int
}

// New returns a driver that has not touched the kernel yet.
func New(options Options) *Driver {
	return &Driver{
		netns: options.NetNS, socket: socket{netns: options.NetNS}, state: &dataplane.State{}, stale: conntrack.Stale{},
		direct: direct{network: network{netns: options.NetNS}, numbers: map[string]uint32{}}, status: dataplane.DriverStatus{Driver: "nft"},
	}
}

// Name returns "nft".
func (d *Driver) Name() string { return "nft" }

// Status returns a copy of the counters.
func (d *Driver) Status() dataplane.DriverStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// Apply brings the tables to state in one transaction.
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
	if d.live != nil {
		if failed = d.update(state); failed == nil {
			return d.forget()
		}
		// The kernel refused a difference, so it does not hold what was thought:
		// somebody else changed the tables. They are read and compared.
		d.live = nil
	}
	if _, err := d.resync(state); err != nil {
		if failed != nil {
			return fmt.Errorf("%w (after an update failed: %w)", err, failed)
		}
		return err
	}
	return d.forget()
}

// update applies the difference between the last state and the next.
func (d *Driver) update(state *dataplane.State) error {
	c := &change{}
	renewed := map[pharos.Name]*compiled{}
	for _, name := range state.Changed(d.state) {
		was := d.live.services[name]
		var is *compiled
		if s, ok := state.Services.Get(name); ok {
			var slots map[dataplane.GroupKey][]netip.AddrPort
			if was != nil {
				slots = was.slots
			}
			is = compile(s, slots, d.direct.number)
		}
		c.service(d.live, was, is, state.Node.Name, d.direct.number)
		renewed[name] = is
	}
	if err := d.surroundings(c, state); err != nil {
		return err
	}
	if err := d.transact(c.batch(&batch{})); err != nil {
		return err
	}
	if len(c.drop) > 0 {
		if err := d.direct.done(); err != nil {
			return err
		}
	}
	for name, is := range renewed {
		d.stale.Note(d.live.services[name].planned(), is.planned())
		if is == nil {
			delete(d.live.services, name)
		} else {
			d.live.services[name] = is
		}
	}
	d.done(state)
	return nil
}

// resync brings the kernel to state from whatever it holds, and reports whether
// there was anything to do.
func (d *Driver) resync(state *dataplane.State) (bool, error) {
	d.seen = 0
	if err := d.events.open(d.netns); err != nil {
		return false, err
	}
	seen, err := d.socket.generation()
	if err != nil {
		return false, err
	}
	k, err := read(&d.socket, families[:])
	if err != nil {
		return false, err
	}
	present, err := presentDirect(&d.socket)
	if err != nil {
		return false, err
	}
	wanted := hasDirect(state)
	if k != nil && wanted && len(present) == len(directFamilies) {
		if err := k.readDirect(&d.socket); err != nil {
			return false, err
		}
	}
	l, c, old := newLive(), &change{}, conntrack.Stale{}
	var slots map[id][]slot
	if k != nil {
		slots, l.classes = k.slots(), k.classes
		d.direct.adopt(k)
	}
	for _, name := range state.Changed(&dataplane.State{}) {
		s, _ := state.Services.Get(name)
		is := compile(s, adopt(s, slots), d.direct.number)
		c.service(l, nil, is, "", d.direct.number)
		l.services[name] = is
		old.Note(nil, is.planned())
	}
	for _, name := range d.state.Changed(state) {
		if s, _ := state.Services.Get(name); s == nil {
			was, _ := d.state.Services.Get(name)
			old.Note(was, nil)
		}
	}
	if wanted {
		if err := d.direct.look(state); err != nil {
			return false, err
		}
		l.direct, l.devices = true, d.direct.view.devices
	}
	c.node(l, d.elements(state, wanted))
	if k != nil && len(k.of) > len(families) && (d.direct.distrust || !k.trusts(c.add)) {
		k.forgetDirect()
	}
	if k == nil || len(k.of) == len(families) {
		for _, is := range l.services {
			c.tables(nil, is, state.Node.Name, d.direct.number)
		}
	}
	b, want := &batch{}, l.objects()
	if adopted := k != nil && c.against(k, want); !adopted && k != nil && len(k.of) > len(families) {
		// Everything is made anew, tables too.
		d.direct.distrust = true
		return d.resync(state)
	} else if adopted {
		d.status.Adopted++
	} else {
		d.status.Rebuilt++
		c = &change{make: families[:], add: c.add, slots: c.slots, sets: want.sets, chains: want.chains}
		if k = nil; wanted {
			c.make = allFamilies
		}
	}
	switch {
	case !wanted:
		c.drop = present
	case k != nil && len(k.of) == len(families):
		c.make = append(slices.Clip(c.make), directFamilies[:]...)
	}
	c.batch(b)
	changed := !b.empty()
	d.seen, d.direct.distrust = seen, false
	if err := d.transact(b); err != nil {
		return changed, err
	}
	if len(c.drop) > 0 {
		if err := d.direct.done(); err != nil {
			return changed, err
		}
	}
	if changed || d.live == nil {
		maps.Copy(d.stale, old)
	}
	d.live = l
	d.done(state)
	return changed, nil
}

func (d *Driver) done(state *dataplane.State) {
	d.state = state
	d.status.Revision, d.status.Degraded = state.Revision, ""
	if err := d.direct.view.trouble; err != nil {
		d.status.Degraded = err.Error()
	}
}

// Verify reads the tables back and repairs what somebody else changed.
func (d *Driver) Verify(ctx context.Context) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	now, err := d.socket.generation()
	heard := d.events.drain(d.socket.portID())
	d.direct.distrust = d.direct.distrust || heard.direct || heard.lost && now != d.seen
	if err == nil && d.live != nil && !heard.touched && d.seen != 0 && (now == d.seen || !heard.lost) {
		// Nobody changed anything in the driver's tables; but the network may have.
		d.seen = now
		before := d.direct.network.repaired
		if !d.live.direct || d.update(d.state) == nil {
			repaired := d.direct.network.repaired > before
			if repaired {
				d.status.Repaired++
			}
			return repaired, d.status.Note(d.forget())
		}
	}
	before := d.status
	repaired, err := d.resync(d.state)
	d.status.Adopted, d.status.Rebuilt = before.Adopted, before.Rebuilt // these tell of starts
	if err != nil {
		d.live = nil
		return false, d.status.Note(err)
	}
	if repaired {
		d.status.Repaired++
	}
	return repaired, d.status.Note(d.forget())
}

// Remove deletes the tables.
func (d *Driver) Remove(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	present, err := presentDirect(&d.socket)
	if err != nil {
		return d.status.Note(err)
	}
	b := &batch{}
	for _, f := range append(families[:], present...) {
		f.drop(b)
	}
	if err := d.socket.flush(b); err != nil {
		return d.status.Note(fmt.Errorf("remove nftables: %w", err))
	}
	if err := d.direct.done(); err != nil {
		return d.status.Note(err)
	}
	d.live, d.state, d.status.Degraded = nil, &dataplane.State{}, ""
	return d.status.Note(nil)
}

// forget makes the kernel forget the connections that are stale. What it could
// not do is tried again with the next Apply.
func (d *Driver) forget() error {
	n, err := d.stale.Flush(d.netns)
	d.status.Flushed += n
	return err
}
