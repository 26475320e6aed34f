package pharos

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever the sequence of changes, a Map agrees with Go's own, older versions
// stay as they were, and Diff names just the keys that differ.
func TestMapAgreesWithModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	type version struct {
		m     Map[int, int]
		model map[int]int
	}
	now := version{model: map[int]int{}}
	history := []version{now}
	for range 3000 {
		next := version{now.m, maps.Clone(now.model)}
		key := rng.IntN(600)
		if rng.IntN(3) == 0 {
			next.m = next.m.Without(key)
			delete(next.model, key)
		} else {
			value := rng.IntN(3)
			next.m = next.m.With(key, value)
			next.model[key] = value
		}
		now = next
		history = append(history, now)
	}
	for _, v := range history {
		if got := maps.Collect(MapOf(v.model).All()); !maps.Equal(got, v.model) || MapOf(v.model).Len() != len(v.model) {
			t.Fatalf("MapOf holds %d entries, its model %d", len(got), len(v.model))
		}
		if got := maps.Collect(v.m.All()); !maps.Equal(got, v.model) || v.m.Len() != len(v.model) {
			t.Fatalf("a version holds %d entries (Len %d), its model %d", len(got), v.m.Len(), len(v.model))
		}
	}
	for range 200 {
		a, b := history[rng.IntN(len(history))], history[rng.IntN(len(history))]
		var want []int
		for key := range 600 {
			was, had := a.model[key]
			is, has := b.model[key]
			if had != has || was != is {
				want = append(want, key)
			}
		}
		if got := slices.Sorted(b.m.Diff(a.m)); !slices.Equal(got, want) {
			t.Fatalf("diff is %v, want %v", got, want)
		}
	}
}

func BenchmarkMapWith(b *testing.B) {
	var m Map[int, *int]
	for i := range 5000 {
		m = m.With(i, new(int))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m = m.With(i%5000, new(int))
	}
}
