package election

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func seats(r *rand.Rand) []Seat {
	candidates, addrs := world(r)
	for i := range candidates {
		candidates[i].Weight = 0
	}
	var list []Seat
	for _, a := range addrs {
		list = append(list, Seat{Addr: a, Candidates: candidates})
	}
	return list
}

func loads(of map[netip.Addr]string) map[string]int {
	n := map[string]int{}
	for _, node := range of {
		n[node]++
	}
	return n
}

// With the same candidates everywhere nobody has more than the bound; all addresses are
// given out, and the order in which they are met does not matter.
func TestSpreadKeepsTheBound(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		list := seats(r)
		factor := 1 + r.Float64()
		got := Spread(list, factor)
		if len(got) != len(list) {
			t.Fatalf("seed %d: %d of %d addresses are announced", seed, len(got), len(list))
		}
		for node, n := range loads(got) {
			if bound := Bound(list, factor); n > bound {
				t.Fatalf("seed %d: %s has %d addresses, the bound is %d", seed, node, n, bound)
			}
		}
		shuffled := slices.Clone(list)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for i := range shuffled {
			shuffled[i].Candidates = slices.Clone(shuffled[i].Candidates)
			slices.Reverse(shuffled[i].Candidates)
		}
		if !maps.Equal(got, Spread(shuffled, factor)) {
			t.Fatalf("seed %d: another order, another answer", seed)
		}
	}
}

// A held address stays, as far as its node's bound goes.
func TestSpreadKeepsWhatIsHeld(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 3))
		list := seats(r)
		first := Spread(list, 1.25)
		for i := range list {
			list[i].Holder = first[list[i].Addr]
		}
		if !maps.Equal(first, Spread(list, 1.25)) {
			t.Fatalf("seed %d: what is held moved", seed)
		}
		// A newcomer gets what the others may not have any more, and nothing else.
		for i := range list {
			list[i].Candidates = append(slices.Clone(list[i].Candidates), Candidate{Node: "newcomer"})
		}
		moved := 0
		for a, node := range Spread(list, 1.25) {
			if node != first[a] {
				moved++
			}
		}
		over := 0
		for _, n := range loads(first) {
			over += max(0, n-Bound(list, 1.25))
		}
		if moved != over {
			t.Fatalf("seed %d: %d addresses moved, %d had to", seed, moved, over)
		}
	}
}

func TestSpreadWithoutRoom(t *testing.T) {
	var list []Seat
	for i := range 4 { // two nodes, but all addresses have the same one candidate
		list = append(list, Seat{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Candidates: []Candidate{{Node: "a"}}})
	}
	list = append(list, Seat{Addr: netip.MustParseAddr("192.0.2.9"), Candidates: []Candidate{{Node: "b"}}},
		Seat{Addr: netip.MustParseAddr("192.0.2.10")})
	got := Spread(list, 1)
	if n := loads(got); n["a"] != 4 || n["b"] != 1 || len(got) != 5 {
		t.Errorf("%v", got)
	}
	if Bound(nil, 1) != 0 || Bound(list[:4], 0.1) != 4 {
		t.Error("bound")
	}
}

func BenchmarkSpread(b *testing.B) {
	var candidates []Candidate
	for i := range 10 {
		candidates = append(candidates, Candidate{Node: fmt.Sprintf("worker-%d", i)})
	}
	var list []Seat
	for i := range 10000 {
		list = append(list, Seat{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Candidates: candidates})
	}
	b.ReportAllocs()
	for b.Loop() {
		Spread(list, 1.25)
	}
}
