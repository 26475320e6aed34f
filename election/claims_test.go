package election

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// Whatever speakers claim while they are cut off from each other, and in whatever order
// they hear of it then, they come to hold the same.
func TestClaimsConverge(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 4))
		speakers := make([]Claims, 2+r.IntN(4))
		addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")}
		for range r.IntN(40) {
			i := r.IntN(len(speakers))
			claim, ok := speakers[i].Take(addrs[r.IntN(len(addrs))], fmt.Sprint("n", i))
			if ok && r.IntN(2) == 0 { // one of the others hears it at once
				speakers[r.IntN(len(speakers))].Merge(claim)
			}
		}
		for range 2 { // everybody tells everybody, twice
			for _, from := range r.Perm(len(speakers)) {
				for _, to := range r.Perm(len(speakers)) {
					all := speakers[from].All()
					r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
					for _, claim := range all {
						speakers[to].Merge(claim)
					}
				}
			}
		}
		for i := range speakers {
			if !slices.Equal(speakers[i].All(), speakers[0].All()) {
				t.Fatalf("seed %d: %v and %v", seed, speakers[i].All(), speakers[0].All())
			}
		}
	}
}

func TestClaims(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var c Claims
	if claim, ok := c.Take(a, "n1"); !ok || claim != (Claim{a, 1, "n1"}) || c.Holder(a) != "n1" || c.Holder(b) != "" {
		t.Errorf("first claim %v", claim)
	}
	if _, ok := c.Take(a, "n1"); ok {
		t.Error("the holder takes what it has")
	}
	if claim, ok := c.Take(a, "n2"); !ok || claim.Epoch != 2 {
		t.Errorf("second claim %v", claim)
	}
	for _, bad := range []Claim{{}, {b, 0, "n1"}, {b, 1, ""}, {b, MaxEpoch + 1, "n1"}, {a, 1, "n1"}, {a, 2, "n2"}} {
		if c.Merge(bad) {
			t.Errorf("%v is news", bad)
		}
	}
	c = Claims{}
	for i := range MaxClaims + 1 {
		if got := c.Merge(Claim{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1, "n1"}); got != (i < MaxClaims) {
			t.Fatalf("claim %d: %v", i, got)
		}
	}
}
