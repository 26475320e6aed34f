package fib

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
	"github.com/pharoslb/pharos/rib"
)

// table is a FIB in a namespace of its own, for benchmarks.
type table struct {
	*FIB
	ns   *netns.NS
	port int
}

func newTable(b *testing.B) *table {
	b.Helper()
	if err := sandbox.Probe(); err != nil {
		b.Skip(err)
	}
	ns, err := netns.New("switch")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ns.Close() })
	if err := netns.Veth(ns, "e1", ns, "e2"); err != nil {
		b.Fatal(err)
	}
	if err := ns.AddAddr("e1", netip.MustParsePrefix("10.10.2.210/24")); err != nil {
		b.Fatal(err)
	}
	link, err := ns.Link().LinkByName("e1")
	if err != nil {
		b.Fatal(err)
	}
	t := &table{ns: ns, port: link.Attrs().Index}
	if err := ns.Do(func() (err error) { t.FIB, err = Open(); return err }); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(t.Close)
	return t
}

// routes are n prefixes by way of some hosts; none: to be removed.
func (t *table) routes(n int, hosts ...int) []rib.Route {
	var hops []rib.Hop
	for _, h := range hosts {
		hops = append(hops, rib.Hop{Addr: node(h).Addr, Index: t.port})
	}
	set := rib.NewHopSet(hops...)
	out := make([]rib.Route, n)
	for i := range out {
		out[i] = rib.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(16 + i>>16), byte(i >> 8), byte(i)}), 32), Hops: set}
	}
	return out
}

// bare sends messages that were written before, in batches, and waits for the last
// one's acknowledgement. That is as fast as the kernel goes.
func bare(s *socket, n int, write func(r *request, i int)) func() error {
	var batches [][]byte
	var acks []uint32
	for i := 0; i < n; {
		var r request
		for i < n && len(r.buf) < batchLen {
			s.seq++
			write(&r, i)
			r.end(s.seq)
			i++
		}
		r.set(unix.NLM_F_ACK)
		batches, acks = append(batches, r.buf), append(acks, s.seq)
	}
	return func() error {
		for i, b := range batches {
			if err := s.send(b); err != nil {
				return err
			}
			var failed error
			err := s.receive(func(h unix.NlMsghdr, body []byte) bool {
				failed = parseError(h, body)
				return h.Seq == acks[i] || failed != nil
			})
			if err != nil || failed != nil {
				return fmt.Errorf("batch %d: %w, %w", i, err, failed)
			}
		}
		return nil
	}
}

// cost is what something took: on the clock, and of the processors, the kernel's work
// included, which is the same on a busy machine.
type cost struct{ clock, cpu time.Duration }

func (c *cost) of(b *testing.B, f func() error) {
	b.Helper()
	began, used := time.Now(), cpuTime()
	if err := f(); err != nil {
		b.Fatal(err)
	}
	c.clock += time.Since(began)
	c.cpu += cpuTime() - used
}

func (c *cost) report(b *testing.B, what string) {
	b.ReportMetric(float64(c.clock.Microseconds())/float64(b.N)/1000, "ms/"+what)
	b.ReportMetric(float64(c.cpu.Microseconds())/float64(b.N)/1000, "cpu-ms/"+what)
}

func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// 100,000 routes by one group: ours, and the same messages written beforehand.
func BenchmarkFIB(b *testing.B) {
	const n = 100_000
	t := newTable(b)
	three := t.routes(n, 112, 113, 114)
	var ours, limit cost
	for b.Loop() {
		ours.of(b, func() error {
			for chunk := range slices.Chunk(three, 4096) { // as the router gathers them
				if err := t.Apply(chunk); err != nil {
					return err
				}
			}
			return nil
		})
		if err := t.Flush(); err != nil {
			b.Fatal(err)
		}
		// The same by hand, with the group in place.
		one := t.routes(1, 112, 113, 114)
		if err := t.Apply(one); err != nil {
			b.Fatal(err)
		}
		id := t.model.bySet[one[0].Hops].id
		send := bare(t.socket, n-1, func(r *request, i int) {
			o := op{verb: setRoute, id: id, prefix: three[i+1].Prefix}
			o.write(r)
		})
		limit.of(b, send)
		if _, err := t.Verify(); err != nil { // removes what it was not asked for
			b.Fatal(err)
		}
		if err := t.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	ours.report(b, "ours")
	limit.report(b, "bare")
	b.ReportMetric(float64(ours.cpu)/float64(limit.cpu), "ours/bare")
}

// One of three neighbors is lost that 10,000 routes lead to.
func BenchmarkFIBLoss(b *testing.B) {
	t := newTable(b)
	three, two := t.routes(10_000, 112, 113, 114), t.routes(10_000, 113, 114)
	var avoid, apply cost
	for b.Loop() {
		if err := t.Apply(three); err != nil {
			b.Fatal(err)
		}
		avoid.of(b, func() error { return t.Avoid([]rib.Hop{{Addr: node(112).Addr, Index: t.port}}) })
		apply.of(b, func() error { return t.Apply(two) })
	}
	avoid.report(b, "avoid")
	apply.report(b, "apply")
}

// The only neighbor is lost that 10,000 routes lead to.
func BenchmarkFIBGone(b *testing.B) {
	t := newTable(b)
	one, none := t.routes(10_000, 112), t.routes(10_000)
	var gone cost
	for b.Loop() {
		if err := t.Apply(one); err != nil {
			b.Fatal(err)
		}
		gone.of(b, func() error { return t.Apply(none) })
	}
	gone.report(b, "gone")
}
