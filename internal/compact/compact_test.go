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

func BenchmarkPrefixMap(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var m PrefixMap[uint64]
		for i := range 100_000 {
			m.Insert(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
		}
	}
}
