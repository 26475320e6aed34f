package ipam

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
)

// 50,000 Services come one by one, each second one goes, and as many come again,
// from a pool of 16 million addresses.
func BenchmarkFiftyThousand(b *testing.B) {
	const n = 50_000
	services := make([]*pharos.Service, n)
	ten := pool("ten", "10.0.0.0/8")
	// One pool for each of a hundred namespaces.
	var tenants []pharos.Pool
	for i := range 100 {
		first := netip.AddrFrom4([4]byte{10, byte(i), 0, 0})
		p := pharos.Pool{Name: fmt.Sprint("tenant", i), Ranges: []pharos.Range{pharos.PrefixRange(netip.PrefixFrom(first, 16))}}
		p.Allocation = &pharos.Allocation{Namespaces: []string{fmt.Sprint("tenant", i)}}
		tenants = append(tenants, p)
	}
	policies := with(ten, quota(pharos.AnyNamespace, n), rests(time.Minute))
	for i := range 10_000 {
		policies.Reservations = append(policies.Reservations, pharos.Reservation{
			Service: pharos.Name{Namespace: "reserved", Name: fmt.Sprint(i)}, Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 7), byte(i << 1)})})
	}
	for _, c := range []struct {
		name  string
		pools []pharos.Pool
		edit  func(i int, s *pharos.Service)
	}{
		{"alone", []pharos.Pool{ten}, func(int, *pharos.Service) {}},
		{"one sharing key and port", []pharos.Pool{ten}, func(_ int, s *pharos.Service) { s.SharingKey = "k" }},
		{"hundred to an address", []pharos.Pool{ten}, func(i int, s *pharos.Service) {
			s.SharingKey = "k"
			s.Ports = []pharos.ServicePort{{Protocol: pharos.TCP, Port: uint16(i%100 + 1)}}
		}},
		{"two families of two pools", []pharos.Pool{ten, pool("six", "2001:db8::/64")}, func(_ int, s *pharos.Service) { prefer(s) }},
		{"a hundred pinned pools", tenants, func(i int, s *pharos.Service) { s.Name.Namespace = fmt.Sprint("tenant", i%100) }},
		{"quota, cool-down and 10,000 reservations", []pharos.Pool{policies}, func(int, *pharos.Service) {}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for i := range services {
				services[i] = svc(fmt.Sprint(i))
				c.edit(i, services[i])
			}
			b.ReportAllocs()
			for b.Loop() {
				now := epoch
				a := New()
				a.SetPools(now, c.pools)
				for _, s := range services {
					a.Update(now, []*pharos.Service{s}, nil)
				}
				for i := 0; i < n; i += 2 {
					a.Update(now, nil, []pharos.Name{services[i].Name})
				}
				for i := 0; i < n; i += 2 {
					if out := a.Update(now, []*pharos.Service{services[i]}, nil); len(out[0].Addrs) == 0 {
						b.Fatal(out)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*n), "ns/change")
		})
	}
}

// A start: 50,000 Services are met in one go, each with its address in its
// status or without.
func BenchmarkStart(b *testing.B) {
	const n = 50_000
	for _, c := range []struct {
		name string
		has  bool
	}{{"with addresses", true}, {"without", false}} {
		b.Run(c.name, func(b *testing.B) {
			services := make([]*pharos.Service, n)
			a := netip.MustParseAddr("10.0.0.1")
			for i := range services {
				services[i] = svc(fmt.Sprint(i))
				if c.has {
					services[i].Ingress = []netip.Addr{a}
				}
				a = a.Next()
			}
			for b.Loop() {
				a := New()
				a.SetPools(epoch, []pharos.Pool{pool("ten", "10.0.0.0/8")})
				a.Update(epoch, services, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/service")
		})
	}
}
