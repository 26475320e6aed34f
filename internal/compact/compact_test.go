package compact

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// prefix is one of a few hundred of both families, so that they come again.
func prefix(r *rand.Rand) netip.Prefix {
	if r.IntN(2) == 0 {
		a := netip.AddrFrom4([4]byte{172, 19, byte(r.IntN(2)), byte(r.IntN(100))})
		return netip.PrefixFrom(a, 24+8*r.IntN(2)).Masked()
	}
	a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(r.IntN(100))})
	return netip.PrefixFrom(a, []int{0, 64, 128}[r.IntN(3)]).Masked()
}

// Whatever is inserted and deleted, the map holds what a plain map would.
func TestPrefixMapIsAMap(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		var m PrefixMap[int]
		want := map[netip.Prefix]int{}
		for step := range 5000 {
			p := prefix(r)
			id := m.Find(p)
			if _, ok := want[p]; ok != (id != 0) {
				t.Fatalf("seed %d: finding %v is %v, want %v", seed, p, id != 0, ok)
			}
			switch {
			case r.IntN(3) > 0 && step%1000 < 800:
				if again := m.Insert(p); id != 0 && again != id {
					t.Fatalf("seed %d: %v has number %d and %d", seed, p, id, again)
				}
				*m.At(m.Find(p)), want[p] = step, step
			case id != 0:
				m.Delete(id)
				delete(want, p)
			}
			if m.Len() != len(want) {
				t.Fatalf("seed %d: %d prefixes, want %d", seed, m.Len(), len(want))
			}
		}
		got := map[netip.Prefix]int{}
		for id, v := range m.All() {
			got[m.Prefix(id)] = *v
		}
		if !maps.Equal(got, want) {
			t.Errorf("seed %d: holds %v, want %v", seed, got, want)
		}
		for id := range m.All() {
			m.Delete(id)
		}
		if m.Len() != 0 || m.slots != nil || m.items.chunks != nil {
			t.Errorf("seed %d: something is left", seed)
		}
	}
}

func TestPrefixesOfBothFamiliesAreDistinct(t *testing.T) {
	var m PrefixMap[string]
	for _, s := range []string{"0.0.0.0/0", "::/0", "0.0.0.1/32", "::1/128", "0.0.0.0/32", "::/32"} {
		p := netip.MustParsePrefix(s)
		if m.Find(p) != 0 {
			t.Errorf("%v is there before it is inserted", p)
		}
		id := m.Insert(p)
		*m.At(id) = s
		if m.Prefix(id) != p {
			t.Errorf("%v comes back as %v", p, m.Prefix(id))
		}
	}
	if m.Len() != 6 || *m.At(m.Find(netip.MustParsePrefix("::1/128"))) != "::1/128" {
		t.Errorf("%d prefixes", m.Len())
	}
}

func TestSlabReusesRoom(t *testing.T) {
	var s Slab[int]
	a, b := s.Alloc(), s.Alloc()
	*s.At(a), *s.At(b) = 1, 2
	s.Free(a)
	if c := s.Alloc(); c != a || *s.At(c) != 0 || *s.At(b) != 2 || s.Len() != 2 {
		t.Errorf("number %d, value %d, %d values", c, *s.At(c), s.Len())
	}
	for range 3 * chunkLen {
		s.Alloc()
	}
	if s.Len() != 3*chunkLen+2 || *s.At(b) != 2 {
		t.Errorf("%d values, the second is %d", s.Len(), *s.At(b))
	}
}

// What a big map took is given back when it gets small, whichever of it stay.
func TestMemoryIsGivenBack(t *testing.T) {
	const n = 100_000
	var m PrefixMap[uint64]
	host := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	for range 2 {
		for i := range n {
			*m.At(m.Insert(host(i))) = uint64(i)
		}
		for i := range n {
			if i%10_000 != 17 {
				m.Delete(m.Find(host(i)))
			}
		}
		chunks := 0
		for _, c := range m.items.chunks {
			if c != nil {
				chunks++
			}
		}
		if m.Len() != 10 || chunks > 10 || len(m.slots) > 128 {
			t.Errorf("%d values, %d chunks, %d slots", m.Len(), chunks, len(m.slots))
		}
		found := 0
		for id, v := range m.All() {
			if found++; m.Prefix(id) != host(int(*v)) || m.Find(host(int(*v))) != id {
				t.Errorf("%v has value %d", m.Prefix(id), *v)
			}
		}
		if found != 10 {
			t.Errorf("walked over %d values", found)
		}
	}
}

// Prefixes that differ in the same bits by length and address have hashes of their own.
func TestHashesAreApart(t *testing.T) {
	var m PrefixMap[int]
	m.Insert(netip.MustParsePrefix("::/0"))
	hashes := map[uint32]bool{}
	for length := 64; length <= 128; length++ {
		a := netip.AddrFrom16([16]byte{7: byte(length + 1)})
		hashes[m.hash(keyOf(netip.PrefixFrom(a, length)))] = true
	}
	if len(hashes) < 60 {
		t.Errorf("65 prefixes have %d hashes", len(hashes))
	}
}

// What is done to a map: each octet inserts or deletes a prefix, or deletes while
// walking.
func FuzzPrefixMap(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x80\x81\x03\xff\x04"))
	f.Fuzz(func(t *testing.T, steps []byte) {
		var m PrefixMap[byte]
		want := map[netip.Prefix]byte{}
		for at, step := range steps {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, step & 0x3f, byte(at / 64)}), 24+int(step&1)).Masked()
			switch id := m.Find(p); {
			case step == 0xff:
				for id, v := range m.All() {
					if *v&2 != 0 {
						delete(want, m.Prefix(id))
						m.Delete(id)
					}
				}
			case step&0x80 == 0:
				*m.At(m.Insert(p)), want[p] = step, step
			case id != 0:
				m.Delete(id)
				delete(want, p)
			}
			for p := range want {
				if id := m.Find(p); id == 0 || *m.At(id) != want[p] || m.Prefix(id) != p {
					t.Fatalf("after %d steps %v is lost", at+1, p)
				}
			}
			if m.Len() != len(want) {
				t.Fatalf("after %d steps there are %d prefixes, want %d", at+1, m.Len(), len(want))
			}
		}
	})
}

func BenchmarkPrefixMap(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var m PrefixMap[uint64]
		for i := range 100_000 {
			m.Insert(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
		}
	}
}
