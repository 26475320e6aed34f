package ebpf

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// kernel is what the driver has in the kernel, nftables aside.
type kernel struct {
	options  *Options
	objects  *directObjects
	handle   *netlink.Handle
	attacher attacher
	watch    *watch

	adopted    bool
	around     *surroundings
	silent     map[neighbor]bool   // siblings that have not answered, and aren't waited for again
	node       dataplane.Node      // that they were looked at for
	siblings   []dataplane.Sibling // the same
	ids        map[string]uint16   // of nodes
	nodes      map[uint16]directNode
	live       map[directTarget]*installed
	names      map[pharos.Name][]*wanted
	pods       map[directTarget]int // frontends that want them
	last       numbers
	scrub      scrub
	attachedTo []int // uplinks, at last
}

// installed is a frontend in the kernel.
type installed struct {
	*wanted
	numbers
}

// open loads the programs, with the maps of an earlier process if there are.
func open(options *Options) (*kernel, error) {
	if err := mountPins(options.pins()); err != nil {
		return nil, err
	}
	objects, err := load(options.pins(), options.Sizes)
	if err != nil {
		return nil, err
	}
	k := &kernel{
		options: options, objects: objects, ids: map[string]uint16{}, nodes: map[uint16]directNode{},
		live: map[directTarget]*installed{}, names: map[pharos.Name][]*wanted{}, pods: map[directTarget]int{},
	}
	if k.handle, err = newHandle(options.NetNS); err != nil {
		k.close()
		return nil, err
	}
	if k.attacher, err = newAttacher(options, k.handle); err != nil {
		k.close()
		return nil, err
	}
	if k.watch, err = newWatch(options.NetNS); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

func newAttacher(options *Options, handle *netlink.Handle) (attacher, error) {
	var how Attach
	err := inside(options.NetNS, func() (err error) {
		how, err = resolve(options.Attach)
		return err
	})
	if err != nil {
		return nil, err
	}
	if how == AttachClsact {
		return &clsact{handle}, nil
	}
	return newTCX(versioned(options.pins())), nil
}

func (k *kernel) close() {
	if k.watch != nil {
		k.watch.close()
	}
	if k.attacher != nil {
		k.attacher.close()
	}
	if k.handle != nil {
		k.handle.Close()
	}
	k.objects.Close()
}

// Sweep detaches what a driver of these options left and removes its pins, and
// leaves nftables as they are: another driver may have them by now.
func Sweep(options Options) error { return sweep(&options) }

// sweep detaches what an earlier process has attached and removes its pins.
func sweep(options *Options) error {
	if _, err := os.Stat(versioned(options.pins())); err != nil {
		return nil
	}
	handle, err := newHandle(options.NetNS)
	if err != nil {
		return err
	}
	defer handle.Close()
	err = inside(options.NetNS, func() error {
		var errs []error
		for _, a := range []attacher{newTCX(versioned(options.pins())), &clsact{handle}} {
			hooks, err := a.attached()
			errs = append(errs, err)
			for _, h := range hooks {
				errs = append(errs, a.detach(h))
			}
		}
		return errors.Join(errs...)
	})
	return errors.Join(err, unpin(versioned(options.pins())))
}

// apply brings the maps and then the devices to state.
func (k *kernel) apply(t *transaction, state *dataplane.State, renewed map[pharos.Name][]*wanted) error {
	if !k.adopted {
		if err := k.adopt(t, state, renewed); err != nil {
			return err
		}
	} else {
		if k.watch.changed() || !state.Node.Equal(&k.node) || !slices.EqualFunc(state.Siblings, k.siblings, dataplane.Sibling.Equal) {
			if err := k.follow(t, state); err != nil {
				return err
			}
		}
		for name, now := range renewed {
			if err := k.replace(t, name, now); err != nil {
				return err
			}
		}
	}
	if err := t.commit(); err != nil {
		return err
	}
	_, err := k.attach()
	k.attachedTo = k.around.uplinks
	return err
}

// replace brings a Service's frontends from what they are to what is wanted.
func (k *kernel) replace(t *transaction, name pharos.Name, now []*wanted) error {
	for _, w := range now {
		if err := k.install(t, w); err != nil {
			return err
		}
	}
	for _, was := range k.names[name] {
		if slices.ContainsFunc(now, func(w *wanted) bool { return w.target == was.target }) {
			continue
		}
		if l := k.live[targetOf(was.target)]; l == nil || l.service != name {
			continue // another Service has it now
		}
		if err := k.uninstall(t, was); err != nil {
			return err
		}
	}
	k.names[name] = now
	if len(now) == 0 {
		delete(k.names, name)
	}
	return nil
}

// install writes a frontend, unless it is there.
func (k *kernel) install(t *transaction, w *wanted) error {
	key := targetOf(w.target)
	was := k.live[key]
	if was != nil && was.equal(w) {
		return nil
	}
	is := &installed{wanted: w, numbers: numbers{version: k.next(&k.last.version), guard: k.next(&k.last.guard)}}
	if was != nil && was.service == w.service {
		is.meter = was.meter
	} else {
		is.meter = k.next(&k.last.meter)
		if err := t.put(k.objects.Meters, is.meter, emptyMeters(), nil); err != nil {
			return err
		}
		t.added--
	}
	if err := k.write(t, key, is, was); err != nil {
		return err
	}
	k.live[key] = is
	return nil
}

// write has the programs see is in the place of was, in one step.
func (k *kernel) write(t *transaction, key directTarget, is, was *installed) error {
	for _, p := range is.pods {
		if k.pods[p]++; k.pods[p] == 1 {
			if err := t.put(k.objects.Pods, p, uint32(1), nil); err != nil {
				return err
			}
		}
	}
	if is.guarded {
		for _, p := range is.sources {
			if err := t.put(k.objects.Sources, prefixOf(is.guard, p), uint32(1), nil); err != nil {
				return err
			}
		}
	}
	var v directFrontend
	for i, o := range is.image(&v, is.numbers, k.id) {
		if err := t.put(k.objects.Owners, directFurther{Version: is.version, Index: uint32(inlined + i)}, o, nil); err != nil {
			return err
		}
	}
	var had any
	if was != nil {
		old := new(directFrontend)
		was.image(old, was.numbers, k.id)
		had = old
	}
	if err := t.put(k.objects.Frontends, key, &v, had); err != nil {
		return err
	}
	if was != nil {
		k.leave(t, was, was.meter != is.meter)
	}
	return nil
}

// leave takes away what belongs to a frontend that isn't there any more.
func (k *kernel) leave(t *transaction, was *installed, meter bool) {
	for _, p := range was.pods {
		if k.pods[p]--; k.pods[p] == 0 {
			delete(k.pods, p)
			t.after = append(t.after, func() error {
				if k.pods[p] > 0 {
					return nil // wanted again
				}
				t.removed++
				return remove(k.objects.Pods, p)
			})
		}
	}
	for _, p := range was.sources {
		t.later(k.objects.Sources, prefixOf(was.guard, p))
	}
	for i := inlined; i < len(was.table.Owners); i++ {
		t.later(k.objects.Owners, directFurther{Version: was.version, Index: uint32(i)})
	}
	if meter {
		t.after = append(t.after, func() error { return remove(k.objects.Meters, was.meter) })
	}
}

func (k *kernel) uninstall(t *transaction, w *wanted) error {
	key := targetOf(w.target)
	was := k.live[key]
	if was == nil {
		return nil
	}
	old := new(directFrontend)
	was.image(old, was.numbers, k.id)
	if err := t.drop(k.objects.Frontends, key, old); err != nil {
		return err
	}
	k.leave(t, was, true)
	delete(k.live, key)
	return nil
}

// next returns a number that wasn't used yet.
func (k *kernel) next(last *uint32) uint32 {
	*last++
	return *last
}

// id returns the number of a node.
func (k *kernel) id(name string) uint16 {
	if id, ok := k.ids[name]; ok {
		return id
	}
	return nobody
}

// emptyMeters is a meter for every processor.
func emptyMeters() []directMeter { return make([]directMeter, ebpf.MustPossibleCPU()) }

// attach sees to it that the programs run on every uplink, and nowhere else.
func (k *kernel) attach() (changed bool, err error) {
	err = inside(k.options.NetNS, func() error {
		there, err := k.attacher.attached()
		if err != nil {
			return err
		}
		for _, device := range k.around.uplinks {
			for _, egress := range []bool{true, false} { // who takes packets in can send answers out
				h := hook{device, egress}
				p := k.objects.Ingress
				if egress {
					p = k.objects.Egress
				}
				did, err := k.attacher.attach(h, p)
				if err != nil {
					return err
				}
				changed = changed || did
			}
		}
		for _, h := range there {
			if !slices.Contains(k.around.uplinks, h.device) {
				if err := k.attacher.detach(h); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return changed, fmt.Errorf("attach programs: %w", err)
	}
	return changed, nil
}
