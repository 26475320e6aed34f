package fib

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/rib"
)

const (
	// Protocol marks our routes and next hops in the kernel (ip route show proto
	// 179): BGP's port, a number that rt_protos(5) gives to nobody.
	Protocol = 179
	// Metric is our routes' metric: above what others give theirs by default (0,
	// DHCP 1024 and below, IPv6 1024), so that a connected or static route wins, as
	// NX-OS's administrative distances have it.
	Metric = 2179
)

// keepOps is for how many operations memory is kept.
const keepOps = 8192

// rtaNexthopID is RTA_NH_ID of linux/rtnetlink.h.
const rtaNexthopID = 30

// FIB is our part of the main routing table of one network namespace: that of the
// thread that called Open. It is not safe for concurrent use.
type FIB struct {
	socket *socket
	model  *model
	ops    []op
	sent   int  // messages, by the last call
	stuck  bool // routes could not be moved by it
}

// Open reads what an earlier run left behind and adopts it. It changes nothing.
func Open() (*FIB, error) {
	s, err := openSocket()
	if err != nil {
		return nil, err
	}
	f := &FIB{socket: s}
	if f.model, err = f.load(false); err != nil {
		s.close()
		return nil, fmt.Errorf("read the kernel's routes: %w", err)
	}
	return f, nil
}

// Close gives the socket up and leaves the routes in place.
func (f *FIB) Close() { f.socket.close() }

// Len is the number of our routes, adopted ones included.
func (f *FIB) Len() int { return f.model.routes.Len() }

// Apply gives each prefix these next hops, in place of those it had; a prefix
// without any is removed. What is so already costs nothing. On an error the rest
// has been done; Verify mends what is mendable.
func (f *FIB) Apply(routes []rib.Route) error {
	return f.run(f.model.plan(routes, f.ops[:0]))
}

// Avoid takes next hops out of every group that has others, one message for each, so
// that no packet goes there while it is decided what each route does instead. Routes by
// way of nothing else stay as they are until Apply.
func (f *FIB) Avoid(hops []rib.Hop) error {
	return f.run(f.model.avoid(hops, f.ops[:0]))
}

// Sweep removes adopted routes that Apply was not asked for since Open.
func (f *FIB) Sweep() error {
	return f.run(f.model.sweep(f.ops[:0]))
}

// Resilient chooses the kind of groups. A resilient one assigns flows to next hops by a
// table of buckets: a next hop that goes gives up its own buckets and no others move; one
// that comes takes buckets over as they fall idle. Changing the kind moves all routes
// to new groups.
func (f *FIB) Resilient(on bool) error {
	if on == f.model.resilient {
		return nil
	}
	return f.Apply(f.model.choose(on))
}

// Flush removes all our routes.
func (f *FIB) Flush() error {
	all := make([]rib.Route, 0, f.model.routes.Len())
	for n := range f.model.routes.All() {
		all = append(all, rib.Route{Prefix: f.model.routes.Prefix(n)})
	}
	return f.Apply(all)
}

// Verify compares the kernel's table with what Apply was asked for, mends the
// differences, and returns how many messages that took.
func (f *FIB) Verify() (int, error) {
	fresh, err := f.load(f.model.resilient)
	if err != nil {
		return 0, fmt.Errorf("read the kernel's routes: %w", err)
	}
	old := f.model
	fresh.last = max(fresh.last, old.last)
	routes := old.wanted()
	for n, r := range fresh.routes.All() {
		prefix := fresh.routes.Prefix(n)
		before := old.routes.Find(prefix)
		if before == 0 {
			routes = append(routes, rib.Route{Prefix: prefix})
		}
		if before == 0 || !old.routes.At(before).stale {
			r.stale = false
			fresh.stale--
		}
	}
	f.model, fresh.patient = fresh, f.stuck
	ops := fresh.plan(routes, f.ops[:0])
	fresh.patient = false
	n := len(ops)
	return n, f.run(ops)
}

// run has the kernel do ops. Groups and next hops are removed in the end; of these, what
// a route still uses stays that could not be moved, for Verify to find: with the group, or
// the last of its next hops, the kernel would remove the route.
func (f *FIB) run(ops []op) error {
	if f.ops, f.sent = ops[:0], len(ops); cap(ops) > keepOps {
		f.ops = nil
	}
	var refused refusals
	end := slices.IndexFunc(ops, func(o op) bool { return o.verb >= removeGroup })
	if end < 0 {
		end = len(ops)
	}
	kept := make(map[uint32]bool)
	err := f.do(ops[:end], func(o op, err error) {
		refused.add(o, err)
		switch o.verb {
		case setRoute:
			kept[o.from] = true
		case replaceGroup:
			kept[o.id] = true
		}
	})
	f.stuck = len(kept) > 0
	if err == nil {
		last := ops[end:]
		if f.stuck {
			last = slices.DeleteFunc(last, func(o op) bool {
				return o.verb == removeHop || kept[o.id] || o.stray && kept[0]
			})
		}
		err = f.do(last, refused.add)
	}
	return refused.join(err)
}

// do has the kernel do ops and tells what it refuses.
func (f *FIB) do(ops []op, refused func(o op, err error)) error {
	if len(ops) == 0 {
		return nil
	}
	return f.socket.do(len(ops), func(r *request, i int) { ops[i].write(r) }, func(i int, err error) {
		if !ops[i].gone(err) {
			refused(ops[i], err)
		}
	})
}

// refusals are errors of single messages, of which the first few are told.
type refusals struct {
	errs []error
	n    int
}

func (r *refusals) add(o op, err error) {
	if r.n++; r.n <= 3 {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", o, err))
	}
}

func (r *refusals) join(err error) error {
	if r.n > 3 {
		r.errs = append(r.errs, fmt.Errorf("and %d more", r.n-3))
	}
	return errors.Join(append(r.errs, err)...)
}

// gone says that an error means no more than that what is to be removed is not
// there any more: the kernel removes what was by way of a device with the device.
func (o op) gone(err error) bool {
	switch o.verb {
	case removeRoute, removeGroup, removeHop:
		return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT)
	}
	return false
}

// String says what was to be done.
func (o op) String() string {
	switch o.verb {
	case addHop:
		return fmt.Sprintf("add next hop %v on interface %d", o.hop.addr, o.hop.index)
	case replaceGroup, addGroup:
		return fmt.Sprintf("set group %d of %d next hops", o.id, len(o.members))
	case setRoute:
		return fmt.Sprintf("set route %v", o.prefix)
	case removeRoute:
		return fmt.Sprintf("remove route %v", o.prefix)
	case removeGroup:
		return fmt.Sprintf("remove group %d", o.id)
	}
	return fmt.Sprintf("remove next hop %d", o.id)
}
