package table

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
)

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{3, 10, 200} {
		endpoints := pods(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				New(endpoints)
			}
		})
		b.Run(fmt.Sprint(n, "Weighted"), func(b *testing.B) {
			heavy := append([]Endpoint{}, endpoints...)
			heavy[0].Weight = 2
			for b.Loop() {
				New(heavy)
			}
		})
		b.Run(fmt.Sprint(n, "WithOneMore"), func(b *testing.B) {
			table, more := New(endpoints), pods(n+1)
			for b.Loop() {
				table.With(more)
			}
		})
	}
}

func BenchmarkMaglev(b *testing.B) {
	for _, n := range []int{3, 10, 200} {
		endpoints := pods(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				maglev(endpoints)
			}
		})
	}
}

// BenchmarkHash is what the model pays for a packet.
func BenchmarkHash(b *testing.B) {
	client := netip.MustParseAddr("2001:db8::1")
	for b.Loop() {
		Hash(client, 4711)
	}
}

// BenchmarkSpread compares this package's tables with those of Maglev and with
// plain ranks. Its times mean nothing; its other metrics are what ADR 11 has:
//
//	sd%     of the endpoints' shares around their mean
//	max     the largest share, the mean being 1
//	moved%  slots that change hands when one more endpoint comes
//	needed% that it has to take
//	lost%   slots whose connections no second chance reaches after that: Previous is not who had them
//	lost2%  the same after two have come at once
func BenchmarkSpread(b *testing.B) {
	for _, n := range []int{3, 6, 50, 200} {
		for _, algorithm := range []struct {
			name string
			make func([]Endpoint) []Slot
		}{
			{"rendezvous", func(e []Endpoint) []Slot { return New(e).Slots[:] }},
			{"plainRanks", plain},
			{"maglev", maglev},
		} {
			b.Run(fmt.Sprint(algorithm.name, n), func(b *testing.B) {
				var deviation, most, moved, lost, lost2 float64
				sets := 0
				for b.Loop() {
					for range max(1, 1000/n) {
						endpoints := set(sets, n+2)
						sets++
						before, one, two := algorithm.make(endpoints[:n]), algorithm.make(endpoints[:n+1]), algorithm.make(endpoints)
						s, m := spread(before, n)
						deviation, most = deviation+s, most+m
						m, l := movedAndLost(before, one)
						moved, lost = moved+m, lost+l
						_, l = movedAndLost(before, two)
						lost2 += l
					}
				}
				k := 1 / float64(sets)
				b.ReportMetric(100*math.Sqrt(deviation*k), "sd%")
				b.ReportMetric(most*k, "max")
				b.ReportMetric(100*moved*k, "moved%")
				b.ReportMetric(100/float64(n+1), "needed%")
				if algorithm.name != "maglev" {
					b.ReportMetric(100*lost*k, "lost%")
					b.ReportMetric(100*lost2*k, "lost2%")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// set is a set of endpoints, sorted by address.
func set(k, n int) []Endpoint {
	var out []Endpoint
	for i := range n {
		out = append(out, Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(k >> 8), byte(k), byte(i)}), 80)})
	}
	return out
}

// spread returns the relative variance of the endpoints' shares, and the largest
// of them.
func spread(slots []Slot, n int) (variance, most float64) {
	won := make([]float64, n)
	for _, s := range slots {
		won[s.Current] += float64(n) / float64(len(slots))
	}
	for _, w := range won {
		variance += (w - 1) * (w - 1) / float64(n)
		most = max(most, w)
	}
	return variance, most
}

// movedAndLost returns the shares of slots that have another current owner, and
// of those whose previous owner is not who was it. The sets have to agree on the
// indexes.
func movedAndLost(before, after []Slot) (moved, lost float64) {
	for s := range before {
		if before[s].Current != after[s].Current {
			moved += 1 / float64(len(before))
			if after[s].Previous != before[s].Current {
				lost += 1 / float64(len(before))
			}
		}
	}
	return moved, lost
}

// plain is highest random weight with ranks by chance alone.
func plain(endpoints []Endpoint) []Slot {
	slots := make([]Slot, Size)
	for s := range slots {
		slots[s] = Slot{None, None}
		var best, next uint64
		for i, e := range endpoints {
			k := newRanker(e.Addr.Addr(), 0, 1)
			switch rank := mix(k.seed + uint64(s)*0x9e3779b97f4a7c15); {
			case rank > best:
				slots[s], best, next = Slot{uint16(i), slots[s].Current}, rank, best
			case rank > next:
				slots[s].Previous, next = uint16(i), rank
			}
		}
	}
	return slots
}

// maglev is the table of Maglev (Eisenbud et al., NSDI 2016, section 3.4), of the
// largest prime size below Size. It has no previous owners: that would take two
// tables, and memory of what was before.
func maglev(endpoints []Endpoint) []Slot {
	const size = 509
	slots := make([]Slot, size)
	for s := range slots {
		slots[s] = Slot{None, None}
	}
	next, seeds := make([]uint64, len(endpoints)), make([]uint64, len(endpoints))
	for i, e := range endpoints {
		seeds[i] = newRanker(e.Addr.Addr(), 0, 1).seed
	}
	for filled, i := 0, 0; filled < size; i = (i + 1) % len(endpoints) {
		offset, skip := mix(seeds[i])%size, mix(seeds[i]+1)%(size-1)+1
		for taken := true; taken; next[i]++ {
			s := (offset + next[i]*skip) % size
			if taken = slots[s].Current != None; !taken {
				slots[s].Current = uint16(i)
				filled++
			}
		}
	}
	return slots
}
