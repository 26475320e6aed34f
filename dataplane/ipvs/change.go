package ipvs

import (
	"net/netip"
	"slices"
)

// verb is what is done to an object.
type verb uint8

const (
	add verb = iota
	set      // change what can be changed of it
	remove
)

// step is one change of the kernel, with what undoes it.
type step struct {
	verb verb
	what what

	key      virtualKey // of virtuals and dests
	now, was setting    // of virtuals
	to, from dest       // of dests; the same address
	element  element
	old      element // what the element was: another mark
	addr     netip.Addr
}

type what uint8

const (
	theVirtual what = iota
	theDest
	theElement
	theAddr
)

// undo returns the step that takes s back. A virtual service that is removed
// took its destinations with it; plans remove these first.
func (s step) undo() step {
	u := s
	u.now, u.was, u.to, u.from, u.element, u.old = s.was, s.now, s.from, s.to, s.old, s.element
	switch s.verb {
	case add:
		u.verb, u.element = remove, s.element
	case remove:
		u.verb, u.now, u.to, u.element = add, s.was, s.from, s.element
	}
	return u
}

// plan is a list of steps in an order that shows packets nothing half-done that
// would hurt them: what serves comes before what leads there, and what leads there
// is gone before what serves.
type plan struct {
	marked   []step // virtual services of marks, and their destinations
	elements []step
	virtuals []step // virtual services of addresses, and their destinations
	addrs    []step

	goneAddrs    []step
	goneVirtuals []step
	goneElements []step
	goneMarked   []step

	// left are the destinations without weight, by virtual service, of those that
	// the plan looked at.
	left map[virtualKey][]dest
}

func (p *plan) steps() []step {
	slices.SortStableFunc(p.elements, func(a, b step) int { return a.element.compare(&b.element) })
	slices.SortStableFunc(p.goneElements, func(a, b step) int { return b.element.compare(&a.element) })
	return slices.Concat(p.marked, p.elements, p.virtuals, p.addrs, p.goneAddrs, p.goneVirtuals, p.goneElements, p.goneMarked)
}

// group returns where a virtual service's steps go.
func (p *plan) group(k virtualKey, gone bool) *[]step {
	switch {
	case k.mark != 0 && gone:
		return &p.goneMarked
	case k.mark != 0:
		return &p.marked
	case gone:
		return &p.goneVirtuals
	}
	return &p.virtuals
}

// addVirtual adds a virtual service that isn't there.
func (p *plan) addVirtual(v *virtual) {
	steps := p.group(v.virtualKey, false)
	*steps = append(*steps, step{what: theVirtual, key: v.virtualKey, now: v.setting})
	for _, d := range v.dests {
		p.addDest(steps, v, d)
	}
}

// addDest adds a destination. The scheduler mh gives slots by the last weight that
// was not zero, so that one without a weight has to have had one.
func (p *plan) addDest(steps *[]step, v *virtual, d dest) {
	if d.weight == 0 && v.scheduler == "mh" {
		heavy := d
		heavy.weight = 1
		*steps = append(*steps, step{what: theDest, key: v.virtualKey, to: heavy}, step{verb: set, what: theDest, key: v.virtualKey, from: heavy, to: d})
		return
	}
	*steps = append(*steps, step{what: theDest, key: v.virtualKey, to: d})
}

// removeVirtual removes a virtual service that holds dests.
func (p *plan) removeVirtual(v *virtual) {
	steps := p.group(v.virtualKey, true)
	p.left[v.virtualKey] = nil
	for _, d := range v.dests {
		*steps = append(*steps, step{verb: remove, what: theDest, key: v.virtualKey, from: d})
	}
	*steps = append(*steps, step{verb: remove, what: theVirtual, key: v.virtualKey, was: v.setting})
}

// changeVirtual brings a virtual service from what it is to what it shall be. A
// destination that is no longer wanted is removed, or kept without a weight where
// it may have connections that end by themselves.
func (p *plan) changeVirtual(is, want *virtual) {
	steps := p.group(want.virtualKey, false)
	p.left[want.virtualKey] = nil
	if is.setting != want.setting {
		*steps = append(*steps, step{verb: set, what: theVirtual, key: want.virtualKey, was: is.setting, now: want.setting})
	}
	at := make(map[netip.AddrPort]dest, len(is.dests))
	for _, d := range is.dests {
		at[d.addr] = d
	}
	renew := outOfOrder(is, want)
	for i, d := range want.dests {
		old, ok := at[d.addr]
		delete(at, d.addr)
		switch {
		case !ok:
			p.addDest(steps, want, d)
		case i >= renew:
			*steps = append(*steps, step{verb: remove, what: theDest, key: want.virtualKey, from: old})
			p.addDest(steps, want, d)
		case old != d:
			*steps = append(*steps, step{verb: set, what: theDest, key: want.virtualKey, from: old, to: d})
		}
	}
	gone := p.group(want.virtualKey, true)
	for _, old := range is.dests {
		if _, left := at[old.addr]; !left {
			continue
		}
		if !want.drains {
			*gone = append(*gone, step{verb: remove, what: theDest, key: want.virtualKey, from: old})
			continue
		}
		if light := old; old.weight != 0 {
			light.weight = 0
			*gone = append(*gone, step{verb: set, what: theDest, key: want.virtualKey, from: old, to: light})
		}
		p.left[want.virtualKey] = append(p.left[want.virtualKey], old)
	}
}

// outOfOrder returns from which wanted destination on they have to be added anew,
// for the scheduler mh to see them in the order in which another node adds them
// all: its table depends on it. For other schedulers it is none.
func outOfOrder(is, want *virtual) int {
	n := len(want.dests)
	if want.scheduler != "mh" {
		return n
	}
	var kept []dest // of those there, the wanted ones
	for _, d := range is.dests {
		if slices.ContainsFunc(want.dests, func(w dest) bool { return w.addr == d.addr }) {
			kept = append(kept, d)
		}
	}
	i := 0
	for i < min(n, len(kept)) && kept[i].addr == want.dests[i].addr {
		i++
	}
	if i == len(kept) {
		return n // the rest is new
	}
	return i
}

// elementSteps compares elements by their keys.
func (p *plan) elementSteps(is, want map[elementKey]uint32) {
	for key, mark := range want {
		old, ok := is[key]
		switch {
		case !ok:
			p.elements = append(p.elements, step{what: theElement, element: element{key, mark}})
		case old != mark:
			p.elements = append(p.elements, step{verb: set, what: theElement, element: element{key, mark}, old: element{key, old}})
		}
	}
	for key, mark := range is {
		if _, ok := want[key]; !ok {
			p.goneElements = append(p.goneElements, step{verb: remove, what: theElement, element: element{key, mark}})
		}
	}
}

// addrSteps compares addresses.
func (p *plan) addrSteps(is, want map[netip.Addr]bool) {
	for a := range want {
		if !is[a] {
			p.addrs = append(p.addrs, step{what: theAddr, addr: a})
		}
	}
	for a := range is {
		if !want[a] {
			p.goneAddrs = append(p.goneAddrs, step{verb: remove, what: theAddr, addr: a})
		}
	}
	slices.SortFunc(p.addrs, func(x, y step) int { return x.addr.Compare(y.addr) })
}
