package ipam

import (
	"fmt"
	"testing"

	"github.com/pharoslb/pharos"
)

// 50,000 Services come one by one, each second one goes, and as many come again.
func BenchmarkFiftyThousand(b *testing.B) {
	const n = 50_000
	services := make([]*pharos.Service, n)
	for i := range services {
		services[i] = svc(fmt.Sprint(i))
	}
	for _, c := range []struct {
		name string
		edit func(i int, s *pharos.Service)
	}{
		{"alone", func(int, *pharos.Service) {}},
		{"one sharing key and port", func(_ int, s *pharos.Service) { s.SharingKey = "k" }},
		{"hundred to an address", func(i int, s *pharos.Service) {
			s.SharingKey = "k"
			s.Ports = []pharos.ServicePort{{Protocol: pharos.TCP, Port: uint16(i%100 + 1)}}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for i, s := range services {
				s.SharingKey = ""
				c.edit(i, s)
			}
			b.ReportAllocs()
			for b.Loop() {
				a := New()
				a.SetPools(epoch, []pharos.Pool{pool("ten", "10.0.0.0/8")}, true)
				for _, s := range services {
					a.Update(epoch, []*pharos.Service{s}, nil)
				}
				for i := 0; i < n; i += 2 {
					a.Update(epoch, nil, []pharos.Name{services[i].Name})
				}
				for i := 0; i < n; i += 2 {
					if out := a.Update(epoch, []*pharos.Service{services[i]}, nil); len(out[0].Addrs) != 1 {
						b.Fatal(out)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*n), "ns/change")
		})
	}
}
