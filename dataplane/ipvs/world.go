package ipvs

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// world is a part of what the kernel holds of ours, or shall hold.
type world struct {
	virtuals map[virtualKey]*virtual
	elements map[elementKey]uint32 // their marks

	// addrs are those on the interface. What is wanted has none: there is to be
	// one for each element of setVIPs.
	addrs map[netip.Addr]bool

	others others // virtual services that are not ours; what is wanted has none
}

func newWorld() *world {
	return &world{map[virtualKey]*virtual{}, map[elementKey]uint32{}, map[netip.Addr]bool{}, others{}}
}

// others are the addresses of virtual services that are not ours, with their
// protocols and ports.
type others map[netip.Addr]map[virtualKey]bool

func (o others) note(key virtualKey) {
	if o[key.addr] == nil {
		o[key.addr] = map[virtualKey]bool{}
	}
	o[key.addr][key] = true
}

// have reports whether others stand in the way of a virtual service of ours: by one
// of theirs that is the same, or at an address that only ours may be at, as on the
// interface everything is ours. The node's own addresses are everybody's.
func (o others) have(key virtualKey, own bool) bool {
	if own {
		return o[key.addr][key]
	}
	return len(o[key.addr]) > 0
}

// put adds a Service. What two Services want to have is the first one's: the
// planner lets that happen only where a node port meets an address of the node.
func (w *world) put(c *compiled) {
	if c == nil {
		return
	}
	for i := range c.virtuals {
		v := &c.virtuals[i]
		if w.virtuals[v.virtualKey] == nil {
			w.virtuals[v.virtualKey] = v
		}
	}
	for _, e := range c.elements {
		w.elements[e.elementKey] = e.mark
	}
}

// node adds what the node itself is in the kernel.
func (w *world) node(n *dataplane.Node) {
	for _, p := range n.PodCIDRs {
		for _, p := range halves(p.Masked()) {
			w.elements[elementKey{set: setPods, addr: p.Addr(), bits: uint8(p.Bits())}] = 0
		}
	}
}

// vips returns the addresses that the interface shall have.
func (w *world) vips() map[netip.Addr]bool {
	result := map[netip.Addr]bool{}
	for key := range w.elements {
		if key.set == setVIPs {
			result[key.addr] = true
		}
	}
	return result
}

// shared reports whether several Services may want an element of the set.
func (s setName) shared() bool { return s == setVIPs || s == setLoop }

// live is what is known of the kernel.
type live struct {
	services map[pharos.Name]*compiled
	count    map[elementKey]int // how many Services want a shared element
	marks    map[uint32]bool    // in use
	draining map[virtualKey]map[netip.AddrPort]drain
	refused  map[pharos.Name][]dataplane.Refused
}

func newLive() *live {
	return &live{map[pharos.Name]*compiled{}, map[elementKey]int{}, map[uint32]bool{}, map[virtualKey]map[netip.AddrPort]drain{}, map[pharos.Name][]dataplane.Refused{}}
}

// set replaces a Service's form; nil takes it away.
func (l *live) set(name pharos.Name, is *compiled) {
	l.account(l.services[name], -1)
	l.account(is, 1)
	delete(l.refused, name)
	if is != nil && len(is.refused) > 0 {
		l.refused[name] = is.refused
	}
	if is == nil {
		delete(l.services, name)
	} else {
		l.services[name] = is
	}
}

func (l *live) account(c *compiled, n int) {
	if c == nil {
		return
	}
	for _, e := range c.elements {
		if e.set.shared() {
			if l.count[e.elementKey] += n; l.count[e.elementKey] == 0 {
				delete(l.count, e.elementKey)
			}
		}
	}
	for _, mark := range c.marks {
		if n > 0 {
			l.marks[mark] = true
		} else {
			delete(l.marks, mark)
		}
	}
}

// update plans the way from some Services' old forms to their new ones, nil
// where there is none. Elements that other Services want too stay.
func (l *live) update(was, is []*compiled) *plan {
	before, after := newWorld(), newWorld()
	own := map[elementKey]int{}
	for _, c := range was {
		before.put(c)
		if c != nil {
			for _, e := range c.elements {
				own[e.elementKey]++
			}
		}
	}
	for _, c := range is {
		after.put(c)
	}
	others := func(key elementKey, _ uint32) bool { return key.set.shared() && l.count[key] > own[key] }
	maps.DeleteFunc(before.elements, others)
	maps.DeleteFunc(after.elements, others)
	for key, v := range before.virtuals {
		before.virtuals[key] = l.withDrains(v)
	}
	before.addrs = before.vips()
	return difference(before, after)
}

// withDrains returns a virtual service as the kernel has it: with the destinations
// that are no longer wanted and still have connections.
func (l *live) withDrains(v *virtual) *virtual {
	if len(l.draining[v.virtualKey]) == 0 {
		return v
	}
	full := *v
	full.dests = slices.Clone(v.dests)
	for addr, d := range l.draining[v.virtualKey] {
		full.dests = append(full.dests, dest{addr, 0, d.method})
	}
	return &full
}

// difference plans the way from one world to another.
func difference(is, want *world) *plan {
	p := &plan{left: map[virtualKey][]dest{}}
	for _, v := range sorted(want.virtuals) {
		if old := is.virtuals[v.virtualKey]; old != nil {
			p.changeVirtual(old, v)
		} else {
			p.addVirtual(v)
		}
	}
	for _, v := range sorted(is.virtuals) {
		if want.virtuals[v.virtualKey] == nil {
			p.removeVirtual(v)
		}
	}
	p.elementSteps(is.elements, want.elements)
	p.addrSteps(is.addrs, want.vips())
	return p
}

func sorted(virtuals map[virtualKey]*virtual) []*virtual {
	return slices.SortedFunc(maps.Values(virtuals), func(a, b *virtual) int { return a.virtualKey.compare(b.virtualKey) })
}
