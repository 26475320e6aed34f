package compact

import (
	"encoding/binary"
	"iter"
	"math/bits"
	"math/rand/v2"
	"net/netip"
)

// PrefixMap keeps a value for each of a set of prefixes, of both families. The
// prefixes are valid and masked. The zero value is empty.
type PrefixMap[V any] struct {
	items Slab[item[V]]
	slots []slot // by hash, linear probing; their number is a power of two
	seed  [2]uint64
}

// slot refers to an item. The hash beside it spares looks at items that others have.
type slot struct{ hash, id uint32 } // id 0: free

type item[V any] struct {
	key   key
	value V
}

// key is a prefix without pointers. The zero value is none: length is one more than
// the prefix's.
type key struct {
	hi, lo uint64
	length uint8
	v4     bool
}

func keyOf(p netip.Prefix) key {
	a := p.Addr()
	if a.Is4() {
		b := a.As4()
		return key{lo: uint64(binary.BigEndian.Uint32(b[:])), length: uint8(p.Bits() + 1), v4: true}
	}
	b := a.As16()
	return key{hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:]), length: uint8(p.Bits() + 1)}
}

func (k key) prefix() netip.Prefix {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	if k.v4 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[12:])), int(k.length)-1)
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), int(k.length)-1)
}

func (m *PrefixMap[V]) hash(k key) uint32 {
	a, b := bits.Mul64(k.lo^m.seed[0], k.hi^m.seed[1])
	a, b = bits.Mul64(a^m.seed[1]^uint64(k.length), b^m.seed[0])
	return uint32(a ^ b)
}

// Find returns the number of a prefix's value; 0 if there is none.
func (m *PrefixMap[V]) Find(p netip.Prefix) uint32 {
	if len(m.slots) == 0 {
		return 0
	}
	k := keyOf(p)
	return m.slots[m.find(k, m.hash(k))].id
}

// find returns the position of the key's slot, or of the free one that it would take.
func (m *PrefixMap[V]) find(k key, hash uint32) int {
	mask := len(m.slots) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		s := &m.slots[i]
		if s.id == 0 || s.hash == hash && m.items.At(s.id).key == k {
			return i
		}
	}
}

// Insert returns the number of a prefix's value, which is new and zero if the prefix
// had none.
func (m *PrefixMap[V]) Insert(p netip.Prefix) uint32 {
	if m.items.Len() >= len(m.slots)/4*3 {
		m.resize(max(16, 2*len(m.slots)))
	}
	k := keyOf(p)
	hash := m.hash(k)
	s := &m.slots[m.find(k, hash)]
	if s.id == 0 {
		*s = slot{hash, m.items.Alloc()}
		m.items.At(s.id).key = k
	}
	return s.id
}

// resize gives the map another number of slots, a power of two.
func (m *PrefixMap[V]) resize(n int) {
	if len(m.slots) == 0 {
		m.seed = [2]uint64{rand.Uint64(), rand.Uint64()}
	}
	old := m.slots
	m.slots = make([]slot, n)
	mask := len(m.slots) - 1
	for _, s := range old {
		if s.id == 0 {
			continue
		}
		i := int(s.hash) & mask
		for m.slots[i].id != 0 {
			i = (i + 1) & mask
		}
		m.slots[i] = s
	}
}

// At returns the value with a number. The pointer is good until Delete.
func (m *PrefixMap[V]) At(id uint32) *V { return &m.items.At(id).value }

// Prefix returns the prefix that has the value with a number.
func (m *PrefixMap[V]) Prefix(id uint32) netip.Prefix { return m.items.At(id).key.prefix() }

// Delete removes the value with a number and its prefix.
func (m *PrefixMap[V]) Delete(id uint32) {
	k := m.items.At(id).key
	hole := m.find(k, m.hash(k))
	m.items.Free(id)
	if m.items.Len() == 0 {
		m.slots = nil
		return
	}
	// Whoever was pushed on by the one that goes moves up.
	mask := len(m.slots) - 1
	m.slots[hole] = slot{}
	for i := (hole + 1) & mask; m.slots[i].id != 0; i = (i + 1) & mask {
		if home := int(m.slots[i].hash) & mask; (i-home)&mask >= (i-hole)&mask {
			m.slots[hole], m.slots[i] = m.slots[i], slot{}
			hole = i
		}
	}
	if m.items.Len() < len(m.slots)/8 && len(m.slots) > 16 {
		m.resize(len(m.slots) / 2)
	}
}

// Len is how many prefixes there are.
func (m *PrefixMap[V]) Len() int { return m.items.Len() }

// All walks over the values by number. Values may be deleted meanwhile.
func (m *PrefixMap[V]) All() iter.Seq2[uint32, *V] {
	return func(yield func(uint32, *V) bool) {
		for id := uint32(1); id <= m.items.last; id++ {
			if m.items.chunks[(id-1)/chunkLen] == nil {
				id += (chunkLen - 1) - (id-1)%chunkLen
				continue
			}
			if it := m.items.At(id); it.key.length > 0 && !yield(id, &it.value) {
				return
			}
		}
	}
}
