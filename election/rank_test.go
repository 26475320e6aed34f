package election

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// rankGolden was written by testdata/rank.sh.
//
//go:embed testdata/rank.txt
var rankGolden string

// printf 'node-a#192.0.2.1' | sha256sum
func TestHashIsMetalLBs(t *testing.T) {
	h := Hash("node-a", netip.MustParseAddr("192.0.2.1"))
	if got := hex.EncodeToString(h[:]); got != "9028b03eebd9c50f45e3cb24b507db170990cd5f206b44ba22be4e1dc2acad0a" {
		t.Error(got)
	}
}

func TestRankIsThatOfSha256sum(t *testing.T) {
	for line := range strings.Lines(rankGolden) {
		fields := strings.Fields(line)
		addr, want := netip.MustParseAddr(fields[0]), fields[1:]
		var candidates []Candidate
		for _, n := range slices.Sorted(slices.Values(want)) {
			candidates = append(candidates, Candidate{Node: n})
		}
		if got := Rank(addr, candidates, ""); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
		if got := Elect(addr, candidates, ""); got != want[0] {
			t.Errorf("%s: elected %s, want %s", addr, got, want[0])
		}
	}
}

func TestWeightGoesBeforeHolderBeforeHash(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1") // by hash: node-c worker-1 node-a node-b
	for _, r := range []struct {
		name, holder, want string
		weights            map[string]int
	}{
		{name: "hash", want: "node-c node-a node-b"},
		{name: "weight", weights: map[string]int{"node-b": 10}, want: "node-b node-c node-a"},
		{name: "weights differ", weights: map[string]int{"node-b": 10, "node-a": 11}, want: "node-a node-b node-c"},
		{name: "holder keeps it", holder: "node-b", want: "node-b node-c node-a"},
		{name: "holder is outweighed", holder: "node-b", weights: map[string]int{"node-a": 1}, want: "node-a node-b node-c"},
		{name: "holder is no candidate", holder: "node-x", want: "node-c node-a node-b"},
	} {
		var candidates []Candidate
		for _, n := range []string{"node-a", "node-b", "node-c"} {
			candidates = append(candidates, Candidate{n, r.weights[n]})
		}
		got := Rank(addr, candidates, r.holder)
		if strings.Join(got, " ") != r.want || Elect(addr, candidates, r.holder) != got[0] {
			t.Errorf("%s: %v, want %s", r.name, got, r.want)
		}
	}
	if Elect(addr, nil, "node-a") != "" {
		t.Error("somebody is elected of nobody")
	}
	if a, b := (Candidate{"node-c", 0}), (Candidate{"node-a", 0}); !Beats(addr, a, b) || Beats(addr, b, a) {
		t.Error("Beats is not the order of Rank")
	}
}

// world makes nodes and addresses up.
func world(r *rand.Rand) ([]Candidate, []netip.Addr) {
	var candidates []Candidate
	for i := range 2 + r.IntN(12) {
		candidates = append(candidates, Candidate{fmt.Sprintf("n%d", i), 10 * r.IntN(2) * r.IntN(2)})
	}
	var addrs []netip.Addr
	for i := range 1 + r.IntN(200) {
		addrs = append(addrs, netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}))
	}
	return candidates, addrs
}

// Whatever the order in which a node learned of the others, it elects the same one, and
// a node's death moves what it announced and nothing else.
func TestAllNodesAgreeAndOneDeathMovesItsAddressesAlone(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		candidates, addrs := world(r)
		dead := candidates[r.IntN(len(candidates))].Node
		for _, a := range addrs {
			was := Elect(a, candidates, "")
			shuffled := slices.Clone(candidates)
			r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			if got := Elect(a, shuffled, ""); got != was {
				t.Fatalf("seed %d: %s is announced by %s, or by %s", seed, a, was, got)
			}
			left := slices.DeleteFunc(shuffled, func(c Candidate) bool { return c.Node == dead })
			if got := Elect(a, left, ""); (got == was) != (was != dead) {
				t.Fatalf("seed %d: %s moved from %s to %s when %s died", seed, a, was, got, dead)
			}
		}
	}
}

func BenchmarkElect(b *testing.B) {
	for _, n := range []int{3, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var candidates []Candidate
			for i := range n {
				candidates = append(candidates, Candidate{Node: fmt.Sprintf("worker-%d", i)})
			}
			addr := netip.MustParseAddr("192.0.2.1")
			b.ReportAllocs()
			for b.Loop() {
				Elect(addr, candidates, "")
			}
		})
	}
}
