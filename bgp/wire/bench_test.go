package wire

import (
	"bytes"
	"testing"
)

// benchSessions are the kinds of session that differ in how prefixes are written.
var benchSessions = []struct {
	name string
	s    Session
	f    Family
}{
	{"IPv4", Session{AS4: true, Families: both}, IPv4Unicast},
	{"IPv6", Session{AS4: true, Families: both}, IPv6Unicast},
	{"IPv4-paths", addPath(both...), IPv4Unicast},
	{"IPv6-paths", addPath(both...), IPv6Unicast},
	{"IPv4-long", Session{AS4: true, Families: both, MaxLen: MaxExtendedLen}, IPv4Unicast},
}

// benchRoutes is how many routes each benchmark takes per round.
const benchRoutes = 100000

func perRoute(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRoutes, "ns/route")
}

func BenchmarkAppendReach(b *testing.B) {
	for _, tt := range benchSessions {
		b.Run(tt.name, func(b *testing.B) {
			e := Encoder{Session: tt.s}
			list, paths, a := hosts(benchRoutes, tt.f), make([]uint32, benchRoutes), service()
			buf, _, err := e.AppendReach(nil, a, list, paths)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf, _, _ = e.AppendReach(buf[:0], a, list, paths)
			}
			perRoute(b)
		})
	}
}

func BenchmarkAppendWithdraw(b *testing.B) {
	for _, tt := range benchSessions {
		b.Run(tt.name, func(b *testing.B) {
			e := Encoder{Session: tt.s}
			list, paths := hosts(benchRoutes, tt.f), make([]uint32, benchRoutes)
			buf, _, err := e.AppendWithdraw(nil, list, paths)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf, _, _ = e.AppendWithdraw(buf[:0], list, paths)
			}
			perRoute(b)
		})
	}
}

func BenchmarkDecodeUpdate(b *testing.B) {
	for _, tt := range benchSessions {
		b.Run(tt.name, func(b *testing.B) {
			e := Encoder{Session: tt.s}
			out, _, err := e.AppendReach(nil, service(), hosts(benchRoutes, tt.f), nil)
			if err != nil {
				b.Fatal(err)
			}
			messages := split(b, out)
			var u Update
			b.SetBytes(int64(len(out)))
			b.ReportAllocs()
			for b.Loop() {
				for _, m := range messages {
					if r := e.Session.DecodeUpdate(m.Body, &u); r.Outcome != Accept {
						b.Fatal(r.Findings)
					}
				}
			}
			perRoute(b)
		})
	}
}

// BenchmarkDecodeFresh is for a receiver that hands each Update on and takes a new one.
func BenchmarkDecodeFresh(b *testing.B) {
	for _, tt := range benchSessions {
		b.Run(tt.name, func(b *testing.B) {
			e := Encoder{Session: tt.s}
			out, _, err := e.AppendReach(nil, service(), hosts(benchRoutes, tt.f), nil)
			if err != nil {
				b.Fatal(err)
			}
			messages := split(b, out)
			b.SetBytes(int64(len(out)))
			b.ReportAllocs()
			for b.Loop() {
				for _, m := range messages {
					if r := e.Session.DecodeUpdate(m.Body, new(Update)); r.Outcome != Accept {
						b.Fatal(r.Findings)
					}
				}
			}
			perRoute(b)
		})
	}
}

// BenchmarkDecodeOne is one route per message, with every attribute.
func BenchmarkDecodeOne(b *testing.B) {
	s := Session{AS4: true, Internal: true, Families: both}
	raw := body(nil, octets(b, sampleBytes), octets(b, "20 ac136401"))
	var u Update
	b.ReportAllocs()
	for b.Loop() {
		if r := s.DecodeUpdate(raw, &u); r.Outcome != Accept {
			b.Fatal(r.Findings)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	e := Encoder{Session: Session{AS4: true, Families: both}}
	out, n, err := e.AppendReach(nil, service(), hosts(10000, IPv4Unicast), nil)
	if err != nil {
		b.Fatal(err)
	}
	in := bytes.NewReader(out)
	r := NewReader(in)
	b.SetBytes(int64(len(out)))
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(out)
		for range n {
			if _, err := r.Next(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
