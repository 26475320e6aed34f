package rib

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"unique"
)

// Hop is a next hop on a connected network.
type Hop struct {
	Addr  netip.Addr `json:"address"`
	Index int        `json:"interface"` // of the interface, as the kernel numbers it
	// Weight is the share of packets that the hop gets of a set, 1 to 256; 0 where all
	// hops of the set get the same.
	Weight int `json:"weight,omitempty"`
}

// maxWeight is the greatest weight that the kernel takes.
const maxWeight = 256

func (h Hop) compare(o Hop) int {
	return cmp.Or(h.Addr.Compare(o.Addr), cmp.Compare(h.Index, o.Index), cmp.Compare(h.Weight, o.Weight))
}

// same says that two hops are the same place, whatever their weights.
func (h Hop) same(o Hop) bool { return h.Addr == o.Addr && h.Index == o.Index }

// HopSet is a set of next hops. Equal sets are ==, so that routes that share one
// can be counted and compared by it. The zero value is the empty set.
type HopSet struct{ key unique.Handle[string] }

// hopLen is the length of one encoded hop: address, interface and weight.
const hopLen = 16 + 4 + 2

// NewHopSet returns the set of hops, whatever their order.
func NewHopSet(hops ...Hop) HopSet {
	hops = slices.Clone(hops)
	slices.SortFunc(hops, Hop.compare)
	hops = slices.CompactFunc(hops, Hop.same)
	return hopSetOf(appendHops(nil, hops))
}

// appendHops encodes sorted hops. Equal weights are none, so that equal sets are ==.
func appendHops(dst []byte, hops []Hop) []byte {
	equal := !slices.ContainsFunc(hops, func(h Hop) bool { return h.Weight != hops[0].Weight })
	for _, h := range hops {
		if equal {
			h.Weight = 0
		}
		a := h.Addr.As16()
		dst = append(dst, a[:]...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(h.Index))
		dst = binary.BigEndian.AppendUint16(dst, uint16(h.Weight))
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
			Addr:   netip.AddrFrom16([16]byte(chunk)).Unmap(),
			Index:  int(binary.BigEndian.Uint32(chunk[16:])),
			Weight: int(binary.BigEndian.Uint16(chunk[20:])),
		})
	}
	return hops
}

// is compares with an encoded set without making one.
func (s HopSet) is(encoded []byte) bool { return s.encoded() == string(encoded) }

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

// NewNetworks takes the networks of all interfaces that are up. Link-local ones may
// be among them; they tell on which interfaces there are such neighbors.
func NewNetworks(nets []Connected) Networks {
	n := Networks{nets: slices.Clone(nets), own: make(map[netip.Addr]bool, len(nets))}
	slices.SortStableFunc(n.nets, func(a, b Connected) int { return b.Prefix.Bits() - a.Prefix.Bits() })
	for _, c := range nets {
		n.own[c.addr()] = true
	}
	return n
}

// addr is the interface's own address; a link-local one has the device as its zone.
func (c *Connected) addr() netip.Addr {
	if a := c.Prefix.Addr(); linkLocal(a) {
		return a.WithZone(c.Device)
	}
	return c.Prefix.Addr()
}

// Find returns the network that an address is on: a link-local one on that of its
// zone, which is the name of an interface or its number. Our own addresses are on
// none: a route by way of ourselves would be a loop (RFC 4271 §5.1.3). And a mapped
// IPv4 address (RFC 4291 §2.5.5.2) is on none, not on that of the IPv4 address: where
// it is a next hop it names the far end of a tunnel (RFC 4659 §3.2.1.2, RFC 4798 §2),
// and by no neighbor can the kernel forward there.
func (n Networks) Find(a netip.Addr) (Connected, bool) {
	zone, local := a.Zone(), linkLocal(a)
	for i := range n.nets {
		c := &n.nets[i]
		if linkLocal(c.Prefix.Addr()) != local || local && zone != c.Device && zone != strconv.Itoa(c.Index) {
			continue
		}
		if c.Prefix.Masked().Contains(a.WithZone("")) {
			if local {
				a = a.WithZone(c.Device)
			}
			return *c, !n.own[a]
		}
	}
	return Connected{}, false
}

// linkLocal says that an address means something only together with an interface.
// Those of IPv4 do without.
func linkLocal(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }
