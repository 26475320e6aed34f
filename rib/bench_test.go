package rib

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// perUpdate is how many /32 fit into an UPDATE of 4096 octets.
const perUpdate = 806

func hosts(n int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		out[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(16 + i>>16), byte(i >> 8), byte(i)}), 32)
	}
	return out
}

// updates announce prefixes of a neighbor in as few messages as fit.
func updates(n int, prefixes []netip.Prefix) []*wire.Update {
	var out []*wire.Update
	for chunk := range slices.Chunk(prefixes, perUpdate) {
		_, u := announce(n, chunk...)
		out = append(out, u)
	}
	return out
}

// 100,000 routes arrive in 125 UPDATEs and are decided as a router does it, and
// are then held.
func BenchmarkReceive(b *testing.B) {
	all := updates(112, hosts(100_000))
	name := node(112).String()
	var routes []Route
	b.ReportAllocs()
	for b.Loop() {
		tab := newTable()
		for _, u := range all {
			tab.Update(name, u, start)
			routes = tab.Decide(routes[:0])
		}
	}
}

// What 100,000 routes cost in memory.
func BenchmarkMemory(b *testing.B) {
	all := updates(112, hosts(100_000))
	name := node(112).String()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		before := heap()
		tab := newTable()
		for _, u := range all {
			tab.Update(name, u, start)
		}
		tab.Decide(nil)
		b.ReportMetric(float64(heap()-before)/100_000, "octets/route")
		runtime.KeepAlive(tab)
	}
}

// 10,000 routes of three neighbors arrive, one neighbor goes.
func BenchmarkLoss(b *testing.B) {
	prefixes := hosts(10_000)
	b.ReportAllocs()
	var down time.Duration
	for b.Loop() {
		tab := newTable()
		for n := 112; n <= 114; n++ {
			for _, u := range updates(n, prefixes) {
				tab.feed(at(n))(node(n).String(), u)
			}
		}
		tab.Decide(nil)
		began := time.Now()
		tab.Down(node(112).String())
		if n := len(tab.Decide(nil)); n != len(prefixes) {
			b.Fatal(n)
		}
		down += time.Since(began)
	}
	b.ReportMetric(float64(down.Microseconds())/float64(b.N), "µs/loss")
}
