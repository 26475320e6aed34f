package rib

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"slices"
	"unique"
)

// Hop is a next hop on a connected network.
type Hop struct {
	Addr  netip.Addr `json:"address"`
	Index int        `json:"interface"` // of the interface, as the kernel numbers it
}

func (h Hop) compare(o Hop) int {
	if c := h.Addr.Compare(o.Addr); c != 0 {
		return c
	}
	return h.Index - o.Index
}

// HopSet is a set of next hops. Equal sets are ==, so that routes that share one
// can be counted and compared by it. The zero value is the empty set.
type HopSet struct{ key unique.Handle[string] }

// hopLen is the length of one encoded hop: address and interface.
const hopLen = 16 + 4

// NewHopSet returns the set of hops, whatever their order.
func NewHopSet(hops ...Hop) HopSet {
	hops = slices.Clone(hops)
	slices.SortFunc(hops, Hop.compare)
	hops = slices.Compact(hops)
	return hopSetOf(appendHops(nil, hops))
}

// appendHops encodes sorted hops.
func appendHops(dst []byte, hops []Hop) []byte {
	for _, h := range hops {
		a := h.Addr.As16()
		dst = append(dst, a[:]...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(h.Index))
	}
	return dst
}

func hopSetOf(encoded []byte) HopSet {
	if len(encoded) == 0 {
		return HopSet{}
	}
	return HopSet{unique.Make(string(encoded))}
}

func (s HopSet) encoded() string {
	if s == (HopSet{}) {
		return ""
	}
	return s.key.Value()
}

// Len is the number of next hops.
func (s HopSet) Len() int { return len(s.encoded()) / hopLen }

// Hops returns the next hops by ascending address.
func (s HopSet) Hops() []Hop {
	b := []byte(s.encoded())
	hops := make([]Hop, 0, len(b)/hopLen)
	for chunk := range slices.Chunk(b, hopLen) {
		hops = append(hops, Hop{
			Addr:  netip.AddrFrom16([16]byte(chunk)).Unmap(),
			Index: int(binary.BigEndian.Uint32(chunk[16:])),
		})
	}
	return hops
}

// is compares with an encoded set without making one.
func (s HopSet) is(encoded []byte) bool { return bytes.Equal([]byte(s.encoded()), encoded) }

// MarshalJSON lists the next hops.
func (s HopSet) MarshalJSON() ([]byte, error) { return json.Marshal(s.Hops()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *HopSet) UnmarshalJSON(b []byte) error {
	var hops []Hop
	if err := json.Unmarshal(b, &hops); err != nil {
		return err
	}
	*s = NewHopSet(hops...)
	return nil
}

// Route is a prefix and the next hops by which it is to be reached; none means
// that there is no route.
type Route struct {
	Prefix netip.Prefix `json:"prefix"`
	Hops   HopSet       `json:"nextHops"`
}

// Connected is a network that an interface is attached to.
type Connected struct {
	Prefix netip.Prefix // host bits set: the interface's own address
	Index  int          // of the interface
	Device string       // its name in the kernel
}

// Networks answers which interface reaches a neighboring address.
type Networks struct {
	nets []Connected // longest first
	own  map[netip.Addr]bool
}

// NewNetworks takes the networks of all interfaces that are up.
func NewNetworks(nets []Connected) Networks {
	n := Networks{nets: slices.Clone(nets), own: make(map[netip.Addr]bool, len(nets))}
	slices.SortStableFunc(n.nets, func(a, b Connected) int { return b.Prefix.Bits() - a.Prefix.Bits() })
	for _, c := range nets {
		n.own[c.Prefix.Addr()] = true
	}
	return n
}

// Find returns the network that an address is on. Our own addresses are on none:
// a route by way of ourselves would be a loop (RFC 4271 §5.1.3).
func (n Networks) Find(a netip.Addr) (Connected, bool) {
	if n.own[a] {
		return Connected{}, false
	}
	for _, c := range n.nets {
		if c.Prefix.Masked().Contains(a) {
			return c, true
		}
	}
	return Connected{}, false
}
