package table

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
)

// Size is the number of slots of every table. All nodes of a cluster have to
// have the same.
const Size = 1024

// None is the index of an owner that there isn't.
const None = 0xffff

// MaxOwners is how many endpoints of a Service a table holds; the last ones by
// address are left out.
const MaxOwners = None

// Endpoint is one that may own slots.
type Endpoint struct {
	Addr netip.AddrPort
	Node string // whose kernel delivers to it; empty if unknown

	// Draining endpoints keep the connections that they have and get no new ones,
	// unless all are draining.
	Draining bool

	// Dead says that its node doesn't answer, so that nothing may be forwarded
	// there for a second chance: its clients are to learn of it by a reset.
	Dead bool
}

// Slot is the owners of one slot, as indexes of Table.Owners; None where there
// is none.
type Slot struct {
	Current  uint16 // gets new connections
	Previous uint16 // gets what Current knows nothing of; never Current itself
}

// Table is who owns which slot. It is immutable.
type Table struct {
	Owners []Endpoint // sorted by address, each once
	Slots  [Size]Slot

	// Generation is a digest of all that: equal tables have equal generations, on
	// every node.
	Generation uint64
}

// New returns the table of the endpoints.
func New(endpoints []Endpoint) *Table {
	t := &Table{Owners: slices.Clone(endpoints)}
	slices.SortFunc(t.Owners, func(a, b Endpoint) int { return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Node, b.Node)) })
	t.Owners = slices.CompactFunc(t.Owners, func(a, b Endpoint) bool { return a.Addr == b.Addr })
	t.Owners = t.Owners[:min(len(t.Owners), MaxOwners)]
	all := !slices.ContainsFunc(t.Owners, func(e Endpoint) bool { return !e.Draining })
	seeds := make([]uint64, len(t.Owners))
	for i, e := range t.Owners {
		seeds[i] = seed(e.Addr.Addr())
	}
	for s := range t.Slots {
		slot := Slot{None, None}
		var best, next uint64
		for i, e := range t.Owners {
			rank := mix(seeds[i] + uint64(s)*0x9e3779b97f4a7c15)
			switch {
			case (!e.Draining || all) && (slot.Current == None || rank > best):
				if slot.Current != None && !t.Owners[slot.Current].Dead && (slot.Previous == None || best > next) {
					slot.Previous, next = slot.Current, best
				}
				slot.Current, best = uint16(i), rank
			case !e.Dead && (slot.Previous == None || rank > next):
				slot.Previous, next = uint16(i), rank
			}
		}
		t.Slots[s] = slot
	}
	t.Generation = t.digest()
	return t
}

// Equal reports whether both say the same.
func (t *Table) Equal(other *Table) bool {
	if t == nil || other == nil || t == other {
		return t == other
	}
	return t.Generation == other.Generation && slices.Equal(t.Owners, other.Owners) && t.Slots == other.Slots
}

// digest folds owners and slots.
func (t *Table) digest() uint64 {
	h := fnv.New64a()
	var b []byte
	for _, e := range t.Owners {
		b, _ = e.Addr.AppendBinary(b[:0])
		b = append(append(b, e.Node...), 0)
		h.Write(b)
	}
	for _, s := range t.Slots {
		b = binary.BigEndian.AppendUint16(b[:0], s.Current)
		h.Write(binary.BigEndian.AppendUint16(b, s.Previous))
	}
	return h.Sum64()
}

// seed is what makes the ranks of one endpoint differ from those of another. Its
// port has no part in it: a client that sticks to a pod sticks to all its ports.
func seed(a netip.Addr) uint64 {
	b := a.As16()
	return mix(mix(binary.BigEndian.Uint64(b[:8])) ^ binary.BigEndian.Uint64(b[8:]))
}

// mix is a bijection that spreads every bit over all others (the finalizer of
// MurmurHash3's 64-bit variant).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
