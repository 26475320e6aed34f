package table

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// random is a set of endpoints at random: of both families, some with one address,
// some draining, dead or heavy.
func random(r *rand.Rand) []Endpoint {
	var out []Endpoint
	for range r.IntN(12) {
		out = append(out, one(r))
	}
	return out
}

func one(r *rand.Rand) Endpoint {
	a := netip.AddrFrom4([4]byte{10, 244, byte(r.IntN(3)), byte(r.IntN(16))})
	if r.IntN(4) == 0 {
		a = netip.AddrFrom16([16]byte{0xfd, 15: byte(r.IntN(16))})
	}
	e := Endpoint{Addr: netip.AddrPortFrom(a, uint16(8080+r.IntN(8)/7)), Node: string(rune('a' + r.IntN(3)))}
	if r.IntN(4) == 0 {
		e.Weight = uint16(r.IntN(5))
	}
	e.Draining, e.Dead, e.Unready = r.IntN(5) == 0, r.IntN(7) == 0, r.IntN(7) == 0
	return e
}

// From whatever was before, With comes to what New does; the order of endpoints has
// no say; and every slot has owners that it may have.
func TestWithIsNew(t *testing.T) {
	for seed := range uint64(60) {
		withIsNew(t, seed)
	}
}

func FuzzWithIsNew(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(withIsNew)
}

func withIsNew(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	endpoints := random(r)
	table := New(endpoints)
	for step := range 12 {
		switch k := r.IntN(8); {
		case k == 0:
			endpoints = random(r)
		case k < 4 || len(endpoints) == 0:
			endpoints = append(slices.Clone(endpoints), one(r))
		case k < 6:
			endpoints = slices.Delete(slices.Clone(endpoints), 0, 1)
		default:
			endpoints = slices.Clone(endpoints)
			e := &endpoints[r.IntN(len(endpoints))]
			again := one(r)
			e.Draining, e.Dead, e.Unready, e.Weight, e.Node = again.Draining, again.Dead, again.Unready, again.Weight, again.Node
		}
		want := New(endpoints)
		if table = table.With(endpoints); !table.Equal(want) {
			t.Fatalf("seed %d, step %d: not the table of %+v", seed, step, endpoints)
		}
		r.Shuffle(len(endpoints), func(i, j int) { endpoints[i], endpoints[j] = endpoints[j], endpoints[i] })
		if !New(endpoints).Equal(want) {
			t.Fatalf("seed %d, step %d: another order, another table of %+v", seed, step, endpoints)
		}
		allowed(t, want)
	}
}

// allowed checks who owns slots.
func allowed(t *testing.T, table *Table) {
	drain, takers, alive := true, 0, 0
	for _, e := range table.Owners {
		if e.Unready {
			continue
		}
		takers++
		drain = drain && e.Draining
		if !e.Dead {
			alive++
		}
	}
	for s, slot := range table.Slots {
		if (slot.Current == None) != (takers == 0) || slot.Current == None && slot.Previous != None {
			t.Fatalf("slot %d of %+v is %+v", s, table.Owners, slot)
		}
		others := alive
		if slot.Current != None {
			e := table.Owners[slot.Current]
			if e.Unready || e.Draining && !drain {
				t.Fatalf("slot %d of %+v is %+v", s, table.Owners, slot)
			}
			if !e.Dead {
				others--
			}
		}
		if slot.Previous == None {
			if others > 0 {
				t.Fatalf("slot %d of %+v is %+v", s, table.Owners, slot)
			}
		} else if e := table.Owners[slot.Previous]; slot.Previous == slot.Current || e.Dead || !e.Unready && others == 0 {
			t.Fatalf("slot %d of %+v is %+v", s, table.Owners, slot)
		}
	}
}

// Of any set of endpoints that stay where they are, none moves a slot to another;
// one more takes what is its own, and the previous owner is who had it; and so it is
// of one that drains, or is not ready for a while.
func TestOneMoreTakesItsOwnAlone(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		few := random(r)
		for i := range few {
			few[i].Draining, few[i].Dead, few[i].Unready = false, false, false
			few[i].Addr = netip.AddrPortFrom(few[i].Addr.Addr(), 8080)
		}
		extra := Endpoint{Addr: netip.MustParseAddrPort("10.9.9.9:8080"), Weight: uint16(r.IntN(4))}
		before, after := New(few), New(append(slices.Clone(few), extra))
		for s := range before.Slots {
			was, is := before.owner(before.Slots[s].Current), after.owner(after.Slots[s].Current)
			if was != is && (is != extra.Addr || after.owner(after.Slots[s].Previous) != was) {
				t.Fatalf("seed %d: slot %d went from %s to %s, then %s", seed, s, was, is, after.owner(after.Slots[s].Previous))
			}
		}
		if len(few) == 0 {
			continue
		}
		for _, leave := range []func(*Endpoint){func(e *Endpoint) { e.Draining = true }, func(e *Endpoint) { e.Unready = true }} {
			left := append(slices.Clone(few), extra)
			leave(&left[0])
			leaving := New(left)
			for s := range after.Slots {
				was, is := after.owner(after.Slots[s].Current), leaving.owner(leaving.Slots[s].Current)
				if was != is && (was != few[0].Addr || leaving.owner(leaving.Slots[s].Previous) != was) {
					t.Fatalf("seed %d: slot %d went from %s to %s", seed, s, was, is)
				}
			}
		}
	}
}

// Slots are won in proportion to weights: over many sets of endpoints nearly
// exactly.
func TestWeightsAreProportions(t *testing.T) {
	weights := []uint16{1, 2, 3, 10, 0}
	won := make([]int, len(weights))
	const sets = 200
	for set := range sets {
		var endpoints []Endpoint
		for i, w := range weights {
			endpoints = append(endpoints, Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(set), 7, byte(i)}), 80), Weight: w})
		}
		for _, s := range New(endpoints).Slots {
			won[s.Current]++
		}
	}
	for i, w := range weights {
		share, want := float64(won[i])/(sets*Size), float64(max(w, 1))/17
		if share < want*0.97 || share > want*1.03 {
			t.Errorf("weight %d has %.4f of the slots, want %.4f", w, share, want)
		}
	}
}

// Weights that are all the same are as good as none.
func TestEqualWeights(t *testing.T) {
	few, heavy := pods(7), pods(7)
	for i := range heavy {
		heavy[i].Weight = 500
	}
	if New(few).Slots != New(heavy).Slots {
		t.Error("equal weights make a difference")
	}
}

// Each endpoint's ranks visit every part of their range once, and cost never
// rises with them.
func TestRanks(t *testing.T) {
	for _, e := range pods(50) {
		k := newRanker(e.Addr.Addr(), 0, 1)
		var seen [Size]bool
		for s := range Size {
			seen[k.rank(s)>>(64-sizeBits)] = true
		}
		if slices.Contains(seen[:], false) {
			t.Fatalf("the ranks of %s are no permutation", e.Addr)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 100000 {
		a, b := r.Uint64()>>r.IntN(64), r.Uint64()>>r.IntN(64)
		if a > b && cost(a) > cost(b) {
			t.Fatalf("the cost of %d is %d, that of %d is %d", a, cost(a), b, cost(b))
		}
	}
	if c := cost(1 << 63); c != 1<<56 {
		t.Errorf("the cost of a half is %#x", c)
	}
}
