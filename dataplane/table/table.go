package table

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
)

// Size is the number of slots of every table. All nodes of a cluster have to
// have the same, or connections break while they don't.
const (
	Size     = 1 << sizeBits
	sizeBits = 9
)

// None is the index of an owner that there isn't.
const None = 0xffff

// MaxOwners is how many endpoints of a Service a table holds; the last ones by
// address are left out.
const MaxOwners = None

// Endpoint is one that may own slots.
type Endpoint struct {
	Addr netip.AddrPort
	Node string // whose kernel delivers to it; empty if unknown

	// Weight is its share of the slots in proportion to those of the others; zero
	// counts as 1.
	Weight uint16

	// Draining endpoints keep the connections that they have and get no new ones,
	// unless all that are not Unready are draining.
	Draining bool

	// Unready endpoints are Draining ones that get no new connections in any case. As
	// one can't be told from another that has never had any, it is the previous owner
	// only where it would be the current one.
	Unready bool

	// Dead says that its node doesn't answer, so that nothing may be forwarded
	// there for a second chance: its clients are to learn of it by a reset.
	Dead bool
}

// Slot is the owners of one slot, as indexes of Table.Owners; None where there
// is none.
type Slot struct {
	Current  uint16 // gets new connections
	Previous uint16 // gets what Current knows nothing of; never Current itself, None where that is
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
	t := &Table{Owners: normal(endpoints)}
	c := newContest(t.Owners)
	for s := range t.Slots {
		t.Slots[s] = c.slot(s)
	}
	t.Generation = t.digest()
	return t
}

// normal returns the endpoints as Table.Owners has them.
func normal(endpoints []Endpoint) []Endpoint {
	owners := slices.Clone(endpoints)
	for i := range owners {
		owners[i].Draining = owners[i].Draining || owners[i].Unready
	}
	slices.SortFunc(owners, func(a, b Endpoint) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Weight, b.Weight),
			order(a.Draining, b.Draining), order(a.Unready, b.Unready), order(a.Dead, b.Dead))
	})
	owners = slices.CompactFunc(owners, func(a, b Endpoint) bool { return a.Addr == b.Addr })
	return owners[:min(len(owners), MaxOwners)]
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
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
		b = binary.BigEndian.AppendUint16(b, e.Weight)
		h.Write(append(b, bit(e.Draining)|bit(e.Dead)<<1|bit(e.Unready)<<2))
	}
	sum := h.Sum64()
	for i := 0; i < Size; i += 2 {
		a, b := t.Slots[i], t.Slots[i+1]
		sum = mix(sum ^ (uint64(a.Current)<<48 | uint64(a.Previous)<<32 | uint64(b.Current)<<16 | uint64(b.Previous)))
	}
	return sum
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
