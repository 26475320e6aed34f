package rib

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// nextHop is an address that a source gave as next hop, once for all its paths.
type nextHop struct {
	hopKey
	name  netip.Addr // addr, a link-local one with the interface's own name, whatever the session's address has
	fault Reason     // NextHopUnreachable or OK
	index int        // of the interface that reaches it
	paths int        // by way of it, whatever their state
	used  int        // of these, not deleted
}

type hopKey struct {
	source uint32
	addr   netip.Addr // a link-local one with its zone
}

// hold returns the number of a next hop of a source's, held by one more path.
func (t *Table) hold(src *source, addr netip.Addr) uint32 {
	if linkLocal(addr) {
		addr = addr.WithZone(t.zone(src))
	}
	k := hopKey{src.number, addr}
	number := t.hopByKey[k]
	if number == 0 {
		number = t.hops.Alloc()
		h := t.hops.At(number)
		h.hopKey = k
		h.resolve(t.networks)
		t.hopByKey[k] = number
	}
	t.hops.At(number).paths++
	return number
}

// letGo is the opposite of hold.
func (t *Table) letGo(number uint32) {
	h := t.hops.At(number)
	if h.paths--; h.paths == 0 {
		delete(t.hopByKey, h.hopKey)
		t.hops.Free(number)
		t.decision.forget()
	}
}

// zone names the interface of a source's link-local next hops: that of the session.
func (t *Table) zone(src *source) string {
	if src.info.Interface != "" {
		return src.info.Interface
	}
	if zone := src.info.Addr.Zone(); zone != "" {
		return zone
	}
	c, _ := t.networks.Find(src.info.Addr)
	return c.Device
}

func (h *nextHop) resolve(n Networks) (changed bool) {
	fault, index := NextHopUnreachable, 0
	h.name = h.addr
	if c, ok := n.Find(h.addr); ok {
		fault, index = OK, c.Index
		if linkLocal(h.addr) {
			h.name = h.addr.WithZone(c.Device)
		}
	}
	changed = fault != h.fault || index != h.index
	h.fault, h.index = fault, index
	return changed
}

// hop is the next hop as the kernel knows it.
func (h *nextHop) hop() Hop { return Hop{Addr: h.addr.WithZone(""), Index: h.index} }

// Resolve takes the networks that are connected now, and looks every next hop up
// in them. A path that comes to be usable by it counts as new.
func (t *Table) Resolve(n Networks, now time.Time) {
	t.networks = n
	was := make(map[uint32]Reason) // of those that changed
	for number := range t.hopByKey {
		h := t.hops.At(t.hopByKey[number])
		if fault := h.fault; h.resolve(n) {
			was[t.hopByKey[number]] = fault
		}
	}
	if len(was) == 0 {
		return
	}
	t.decision.forget()
	for id, e := range t.entries.All() {
		// Those that are renewed go to the end, in the order they had.
		last := t.last(e)
		for at := e.oldest; at != 0; {
			p, done := t.paths.At(at), at == last
			next := p.next
			if fault, changed := was[p.hop]; changed && p.state != deleted {
				if fault != OK && t.hops.At(p.hop).fault == OK {
					t.unlinkEntry(e, at)
					t.appendPath(e, at, now)
				}
				t.touch(id)
			}
			if done {
				break
			}
			at = next
		}
	}
}

// lost are the next hops of a source's paths, all of which are about to be deleted,
// that no other source has paths by.
func (t *Table) lost(src *source) []Hop {
	own := make(map[Hop]bool)
	for _, number := range t.hopByKey {
		if h := t.hops.At(number); h.source == src.number && h.used > 0 && h.fault == OK {
			own[h.hop()] = true
		}
	}
	for _, number := range t.hopByKey {
		if h := t.hops.At(number); h.source != src.number && h.used > 0 {
			delete(own, h.hop())
		}
	}
	return slices.SortedFunc(maps.Keys(own), Hop.compare)
}

// Uses says that there are paths by way of a next hop, used or not, of neighbors
// whose sessions are up or that are expected back.
func (t *Table) Uses(hop Hop) bool {
	for _, number := range t.hopByKey {
		if h := t.hops.At(number); h.used > 0 && h.hop() == hop {
			return true
		}
	}
	return false
}
