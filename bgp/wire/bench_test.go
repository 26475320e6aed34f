package wire

import (
	"bytes"
	"testing"
)

func BenchmarkAppendReach(b *testing.B) {
	for _, f := range both {
		b.Run(f.String(), func(b *testing.B) {
			e := Encoder{Session: Session{AS4: true, Families: both}}
			list, a := hosts(10000, f), service()
			buf, _, err := e.AppendReach(nil, a, list, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf, _, _ = e.AppendReach(buf[:0], a, list, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(list)), "ns/route")
		})
	}
}

func BenchmarkAppendWithdraw(b *testing.B) {
	e := Encoder{Session: Session{AS4: true, Families: both}}
	list := hosts(10000, IPv4Unicast)
	buf, _, err := e.AppendWithdraw(nil, list, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf, _, _ = e.AppendWithdraw(buf[:0], list, nil)
	}
}

func BenchmarkDecodeUpdate(b *testing.B) {
	for _, f := range both {
		b.Run(f.String(), func(b *testing.B) {
			e := Encoder{Session: Session{AS4: true, Families: both}}
			out, _, err := e.AppendReach(nil, service(), hosts(10000, f), nil)
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
