package ebpf

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	cebpf "github.com/cilium/ebpf"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// crowd adds n Services, each with ten pods, and returns a change of one: a pod more or less.
func (b *bench) crowd(n int) func(round int) {
	services, endpoints := map[pharos.Name]*pharos.Service{}, map[pharos.Name]*pharos.Endpoints{}
	make := func(i, pods int) *pharos.Endpoints {
		e := &pharos.Endpoints{}
		for j := range pods {
			e.Backends = append(e.Backends, pharos.Backend{
				Addr: netip.AddrFrom4([4]byte{10, byte(100 + i>>12), byte(i >> 4), byte(i<<4 | j)}), Node: fmt.Sprint("n", j%3+1), Ready: true, Serving: true,
				Ports: []pharos.BackendPort{{Name: "a", Protocol: pharos.TCP, Port: 8080}}})
		}
		return e
	}
	name := func(i int) pharos.Name { return pharos.Name{Namespace: "default", Name: fmt.Sprint("s", i)} }
	for i := range n {
		low := [2]byte{byte(i >> 8), byte(i)}
		services[name(i)] = &pharos.Service{
			Name: name(i), Type: pharos.LoadBalancer, Created: time.Unix(1, 0),
			ClusterIPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 96, low[0], low[1]})}, Ingress: []netip.Addr{netip.AddrFrom4([4]byte{172, 16, low[0], low[1]})},
			Ports: []pharos.ServicePort{{Name: "a", Protocol: pharos.TCP, Port: 80}}}
		endpoints[name(i)] = make(i, 10)
	}
	b.snapshot.Services, b.snapshot.Endpoints = pharos.MapOf(services), pharos.MapOf(endpoints)
	return func(round int) {
		b.snapshot.Endpoints = b.snapshot.Endpoints.With(name(n/2), make(n/2, 9+round%2))
	}
}

// One endpoint more or less, with 10,000 Services present: what nftables takes, and what
// the maps take.
func BenchmarkOneEndpoint(b *testing.B) {
	bench := newBench(b)
	change := bench.crowd(10000)
	bench.apply(b)
	round := 0
	var maps time.Duration
	for b.Loop() {
		b.StopTimer()
		change(round)
		round++
		bench.snapshot.Revision++
		s := bench.snapshot
		state := bench.planner.Plan(&s)
		b.StartTimer()
		if err := bench.Apply(b.Context(), state); err != nil {
			b.Fatal(err)
		}
		maps += bench.Driver.status.LastDuration
	}
	b.ReportMetric(float64(maps.Microseconds())/float64(round), "maps-µs/op")
}

// 1,000 Services from nothing, and what they take of the kernel's memory.
func BenchmarkThousandServices(b *testing.B) {
	bench := newBench(b)
	bench.crowd(1)
	bench.apply(b)
	alone := bench.memory(b)
	if err := bench.Remove(b.Context()); err != nil {
		b.Fatal(err)
	}
	bench.crowd(1000)
	bench.snapshot.Revision++
	s := bench.snapshot
	state := bench.planner.Plan(&s)
	for b.Loop() {
		if err := bench.Apply(b.Context(), state); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.ReportMetric(float64(bench.Driver.status.LastDuration.Milliseconds()), "maps-ms")
		b.ReportMetric(float64(bench.memory(b)-alone)/999, "B/Service")
		b.ReportMetric(float64(alone), "B-alone")
		if err := bench.Remove(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// memory is what the maps take that grow with the Services, in octets.
func (b *bench) memory(t testing.TB) uint64 {
	var total uint64
	o := b.kernel.objects
	for _, m := range []*cebpf.Map{o.Frontends, o.Owners, o.Sources, o.Pods, o.Meters} {
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		n, _ := info.Memlock()
		total += n
	}
	return total
}

// Verify with 10,000 Services, when nobody has changed anything.
func BenchmarkVerify(b *testing.B) {
	bench := newBench(b)
	bench.crowd(10000)
	bench.apply(b)
	for b.Loop() {
		if _, err := bench.Verify(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// What a program costs a packet, by BPF_PROG_RUN: the median of rounds. What a run makes of the
// frame stays for the next, and so the cases are those that leave it what it is.
func BenchmarkProgram(b *testing.B) {
	bench := newBench(b)
	bench.serve(1, 6, nil)
	state := bench.apply(b)
	client := addr("198.51.100.1")
	vip := netip.MustParseAddrPort("192.0.2.1:80")
	at := func(node string) netip.AddrPort {
		for port := uint16(1024); ; port++ {
			model := dataplane.NewModel(1)
			model.Apply(b.Context(), state)
			a := model.Send(time.Now(), dataplane.Packet{Src: client, SrcPort: port, Dst: vip, Protocol: pharos.TCP})
			if a.Action == dataplane.Forward && a.Node == node {
				return netip.AddrPortFrom(client, port)
			}
		}
	}
	measure := func(name string, p *cebpf.Program, f frame) {
		b.Run(name, func(b *testing.B) {
			const repeat = 200 // each takes one of the time to live
			var rounds []time.Duration
			for b.Loop() {
				_, each, err := p.Benchmark(f.bytes(), repeat, nil)
				if err != nil {
					b.Fatal(err)
				}
				rounds = append(rounds, each)
			}
			slices.Sort(rounds)
			b.ReportMetric(float64(rounds[len(rounds)/2].Nanoseconds()), "ns/packet")
		})
	}
	ingress, egress := bench.Programs()
	stranger := netip.MustParseAddrPort("203.0.113.9:80")
	measure("ingress/not a frontend", ingress, frame{src: at("n2"), dst: stranger, protocol: 6, flags: 16, ttl: 255})
	measure("ingress/owner on the segment", ingress, frame{src: at("n2"), dst: vip, protocol: 6, flags: 16, ttl: 255})
	measure("egress/no connection", egress, frame{src: at("n2"), dst: stranger, protocol: 6, flags: 16, ttl: 255})
}
