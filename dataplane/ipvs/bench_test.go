package ipvs_test

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane/ipvs"
	"github.com/pharoslb/pharos/internal/linux/uml"
)

// crowd adds so many Services of ten endpoints each, every tenth with a load
// balancer's address and a node port.
func (n *node) crowd(services int) {
	all, ends := map[pharos.Name]*pharos.Service{}, map[pharos.Name]*pharos.Endpoints{}
	nth := func(base string, i int) netip.Addr {
		b := addr(base).As4()
		b[2], b[3] = b[2]+byte(i>>8), byte(i)
		return netip.AddrFrom4(b)
	}
	for i := range services {
		name := pharos.Name{Namespace: "default", Name: fmt.Sprintf("s%d", i)}
		s := &pharos.Service{
			Name: name, Type: pharos.ClusterIP, ClusterIPs: []netip.Addr{nth("10.233.0.0", i)},
			Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80}},
		}
		if i%10 == 0 {
			s.Type, s.Ingress, s.Ports[0].NodePort = pharos.LoadBalancer, []netip.Addr{nth("172.19.0.0", i)}, uint16(20000+i)
		}
		e := &pharos.Endpoints{}
		for j := range 10 {
			e.Backends = append(e.Backends, pharos.Backend{
				Addr: nth("10.234.0.0", i+j), Node: "cy01-net113", Ready: true, Serving: true,
				Ports: []pharos.BackendPort{{Protocol: pharos.TCP, Port: 80}}})
		}
		all[name], ends[name] = s, e
	}
	n.snapshot.Services, n.snapshot.Endpoints = pharos.MapOf(all), pharos.MapOf(ends)
}

// kernelMemory is what the kernel itself uses for its objects, in bytes.
func kernelMemory(b *testing.B) int {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		b.Fatal(err)
	}
	sum := 0
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[0] == "SUnreclaim:" || f[0] == "VmallocUsed:" || f[0] == "Percpu:" {
			kib, _ := strconv.Atoi(f[1])
			sum += kib << 10
		}
	}
	return sum
}

// BenchmarkEndpointChange is one endpoint that goes or comes back, planned and
// applied, among many Services. It measures a kernel in User-mode Linux, where a
// system call costs many times what it does on a machine's own.
func BenchmarkEndpointChange(b *testing.B) {
	uml.Bench(b, machine(), func(b *testing.B) {
		for _, services := range []int{100, 1000} {
			b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
				n := newNode(b, ipvs.Options{})
				before := kernelMemory(b)
				n.crowd(services)
				n.apply()
				memory := kernelMemory(b) - before
				name := pharos.Name{Namespace: "default", Name: "s50"}
				full, _ := n.snapshot.Endpoints.Get(name)
				fewer := &pharos.Endpoints{Backends: full.Backends[1:]}
				for i := 0; b.Loop(); i++ {
					n.snapshot.Endpoints = n.snapshot.Endpoints.With(name, []*pharos.Endpoints{fewer, full}[i%2])
					n.apply()
				}
				b.ReportMetric(float64(memory)/float64(services), "kernel-B/service")
			})
		}
	})
}

// BenchmarkLoad is 1000 Services from nothing, BenchmarkAdopt the start of a driver
// that finds them.
func BenchmarkLoad(b *testing.B) {
	uml.Bench(b, machine(), func(b *testing.B) {
		n := newNode(b, ipvs.Options{})
		n.crowd(1000)
		for b.Loop() {
			b.StopTimer()
			if err := n.driver.Remove(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			n.apply()
		}
	})
}

func BenchmarkAdopt(b *testing.B) {
	uml.Bench(b, machine(), func(b *testing.B) {
		n := newNode(b, ipvs.Options{})
		n.crowd(1000)
		n.apply()
		for b.Loop() {
			n.restart(ipvs.Options{})
			n.apply()
		}
		if s := n.driver.Status(); s.Added+s.Removed != 0 {
			b.Fatalf("%+v", s)
		}
	})
}
