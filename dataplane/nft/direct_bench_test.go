package nft_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/nft"
)

// directCrowd is a node with that many direct Services of ten endpoints each, on
// this node and another.
func directCrowd(b *testing.B, services int) *node {
	n := newNode(b)
	n.planner = dataplane.NewPlanner(dataplane.Options{Node: "n1", Mode: pharos.Direct})
	for i := range services {
		n.add(fmt.Sprintf("s%d", i), i, 10, func(s *pharos.Service) {
			s.ClusterIPs, s.Ingress, s.Ports[0].NodePort = s.ClusterIPs[:1], s.Ingress[:1], 0
		})
	}
	return n
}

// BenchmarkApplyOneEndpoint is one endpoint that goes or comes back, planned and
// applied, among 10,000 Services of which every tenth is direct.
func BenchmarkApplyOneEndpoint(b *testing.B) {
	n := crowd(b, 10000)
	for i := range 1000 {
		name := pharos.Name{Namespace: "default", Name: fmt.Sprintf("s%d", 10*i)}
		s := *n.cluster[name]
		s.Mode = pharos.Direct
		n.cluster[name] = &s
	}
	snapshot := n.snapshot()
	apply := func() {
		s := *snapshot
		if err := n.driver.Apply(context.Background(), n.planner.Plan(&s)); err != nil {
			b.Fatal(err)
		}
	}
	apply()
	name := pharos.Name{Namespace: "default", Name: "s50"}
	full := n.ends[name]
	fewer := &pharos.Endpoints{Backends: full.Backends[2:]}
	before := n.driver.Status()
	var used cpu
	used.begin()
	for i := 0; b.Loop(); i++ {
		snapshot.Endpoints = snapshot.Endpoints.With(name, []*pharos.Endpoints{fewer, full}[i%2])
		apply()
	}
	used.end()
	used.report(b)
	after := n.driver.Status()
	b.ReportMetric(float64(after.Added+after.Removed-before.Added-before.Removed)/float64(b.N), "objects/op")
}

// BenchmarkLoadDirect is direct Services from an empty kernel, with what a Service
// takes of the kernel's and the program's memory.
func BenchmarkLoadDirect(b *testing.B) {
	const services = 1000
	n := directCrowd(b, services)
	state := n.state()
	kernelBytes, heapBytes := 0, 0
	var used cpu
	for b.Loop() {
		b.StopTimer()
		if err := n.driver.Remove(context.Background()); err != nil {
			b.Fatal(err)
		}
		was, kernel := heap(), unreclaimable(b)
		used.begin()
		b.StartTimer()
		if err := n.driver.Apply(context.Background(), state); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		used.end()
		kernelBytes, heapBytes = unreclaimable(b)-kernel, heap()-was
		b.StartTimer()
	}
	used.report(b)
	b.ReportMetric(float64(n.driver.Status().Added)/float64(n.driver.Status().Rebuilt), "objects/op")
	b.ReportMetric(float64(kernelBytes)/services, "kernel-B/service")
	b.ReportMetric(float64(heapBytes)/services, "heap-B/service")
}

// BenchmarkAdoptDirect is the start of a driver that finds everything in place.
func BenchmarkAdoptDirect(b *testing.B) {
	n := directCrowd(b, 1000)
	n.apply()
	state := n.state()
	for b.Loop() {
		d := nft.New(nft.Options{NetNS: n.ns.Fd()})
		if err := d.Apply(context.Background(), state); err != nil {
			b.Fatal(err)
		}
		if s := d.Status(); s.Added+s.Removed != 0 {
			b.Fatalf("%+v", s)
		}
	}
}

// BenchmarkVerifyDirect is a look at a kernel that nobody touched.
func BenchmarkVerifyDirect(b *testing.B) {
	n := directCrowd(b, 100)
	n.apply()
	for b.Loop() {
		if repaired, err := n.driver.Verify(context.Background()); repaired || err != nil {
			b.Fatal(repaired, err)
		}
	}
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// unreclaimable returns the size of the kernel's own objects.
func unreclaimable(b *testing.B) int {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[0] == "SUnreclaim:" {
			n, _ := strconv.Atoi(f[1])
			return n << 10
		}
	}
	return 0
}
