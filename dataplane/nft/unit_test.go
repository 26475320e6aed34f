package nft

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func backend(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 80)
}

// Whatever comes and goes, the slots hold the wanted backends, each once, and
// those that can stay do.
func TestPlaceMovesOnlyWhatItMust(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var slots []netip.AddrPort
	for round := range 2000 {
		var wanted []netip.AddrPort
		for n := range 12 {
			if random.IntN(3) > 0 {
				wanted = append(wanted, backend(n))
			}
		}
		was := slices.Clone(slots)
		slots = place(slots, wanted)
		got := slices.Clone(slots)
		slices.SortFunc(got, netip.AddrPort.Compare)
		if !slices.Equal(got, wanted) && len(got)+len(wanted) > 0 {
			t.Fatalf("round %d: %v placed as %v", round, wanted, slots)
		}
		for i := range min(len(was), len(slots)) {
			if slices.Contains(wanted, was[i]) && slots[i] != was[i] {
				t.Fatalf("round %d: %s moved out of slot %d: %v to %v", round, was[i], i, was, slots)
			}
		}
	}
}

func TestOneLessMovesOne(t *testing.T) {
	var all []netip.AddrPort
	for n := range 100 {
		all = append(all, backend(n))
	}
	before := place(nil, all)
	after := place(before, slices.Delete(slices.Clone(all), 17, 18))
	moved := 0
	for i := range after {
		if after[i] != before[i] {
			moved++
		}
	}
	if moved != 1 {
		t.Errorf("%d backends moved, want the last one alone", moved)
	}
}

func TestIntervals(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"10.244.1.0/24", "10.244.1.0 )10.244.2.0"},
		{"10.244.2.0/24 10.244.1.0/24", "10.244.1.0 )10.244.3.0"},
		{"10.244.0.0/16 10.244.7.0/24 10.244.0.0/24", "10.244.0.0 )10.245.0.0"},
		{"10.0.0.0/24 10.0.2.0/24", "10.0.0.0 )10.0.1.0 10.0.2.0 )10.0.3.0"},
		{"0.0.0.0/0 10.0.0.0/8", "0.0.0.0"},
		{"240.0.0.0/4 10.0.0.1/32", "10.0.0.1 )10.0.0.2 240.0.0.0"},
		{"fd00::/64", ""},
	} {
		var prefixes []netip.Prefix
		for _, p := range strings.Fields(c.in) {
			prefixes = append(prefixes, netip.MustParsePrefix(p))
		}
		var got []string
		for _, e := range intervals(pods.in(families[0], 0), prefixes) {
			a, _ := netip.AddrFromSlice([]byte(e.key))
			got = append(got, map[bool]string{true: ")"}[e.closing]+a.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q gives %q, want %q", c.in, got, c.want)
		}
	}
}

// Each set has a name and a number of its own, and the number tells what it is.
func TestSetIDs(t *testing.T) {
	names, ids := map[string]bool{}, map[setID]bool{}
	for _, f := range families {
		sets := f.fixedSets()
		for p := range paths {
			sets = append(sets, class.on(p).in(f, 1), class.on(p).in(f, maxBackends))
		}
		for _, s := range sets {
			if names[s.String()] || ids[s] || s.name() == "" || s.family() != f {
				t.Errorf("set %d (%s) is not the only one of its kind", s, s)
			}
			names[s.String()], ids[s] = true, true
		}
	}
}

// An error names the one object among many that the kernel refuses, and nothing
// of the batch is done.
func TestRefusedObjectIsNamed(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.New("node")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	f := families[0]
	b := &batch{}
	b.object(f, f.newTable(), "table", "")
	addrs, hairpin := clusterIPs.in(f, 0), hairpins.in(f, 0)
	for i, s := range []setID{addrs, hairpin} {
		spec := s.spec()
		b.object(f, f.newSet(&spec, uint32(i+1)), "set", spec.name)
	}
	var good []element
	for n := range 3 * chunk {
		good = append(good, element{set: addrs, key: address(backend(n).Addr())})
	}
	b.elements(good, true)
	b.elements([]element{{set: hairpin, key: "too short"}}, true)
	s := socket{netns: ns.Fd()}
	defer s.close()
	err = s.flush(b)
	want := fmt.Sprintf("element %x of ip pharos hairpins", "too short")
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one about %s", err, want)
	}
	if k, err := read(&s, families[:]); k != nil || err != nil {
		t.Errorf("there is a table: %v, %v", k, err)
	}
}

func TestHostileCommentsAreSurvived(t *testing.T) {
	for _, data := range [][]byte{nil, {0}, {0, 200}, {0, 0}, {5, 1, 0}, {0, 2, 'x', 0}, {0, 1, 'x', 0, 200, 'y'}} {
		parseComment(data)
	}
	if got := parseComment(ruleComment("served #00112233")); got != "served #00112233" {
		t.Errorf("comment came back as %q", got)
	}
}
