package ebpf

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// outcome is what became of a frame, in the model's words.
type outcome struct {
	action  dataplane.Action
	backend netip.AddrPort
	node    string
	as      dataplane.Sender
}

func (o outcome) String() string {
	return fmt.Sprint(o.action, " ", o.backend, " ", o.node, " ", o.as)
}

// read tells from a frame and a program's verdict what became of it, and checks
// its checksums.
func read(t testing.TB, f *frame, verdict int32, out []byte) outcome {
	t.Helper()
	mark := func(tos byte) dataplane.Sender {
		if tos>>2 == dataplane.SecondChance {
			return dataplane.SecondChanced
		}
		return dataplane.ForwardedOn
	}
	switch verdict {
	case 2:
		return outcome{action: dataplane.Drop}
	case 7:
		o := outcome{action: dataplane.Forward, node: "n2"}
		p := parse(t, out)
		o.as = mark(p.tos)
		if p.protocol == 4 || p.protocol == 41 {
			o.node = "n3"
			if p.dst.Addr() != addr("10.0.5.3") && p.dst.Addr() != addr("fd00:5::3") {
				t.Errorf("a tunnel to %s", p.dst)
			}
			inner := bytes.Clone(out[:14])
			p = parse(t, append(inner, out[14+p.header:]...))
		}
		if p.dst == f.src {
			if p.flags&4 == 0 || p.src != f.dst {
				t.Errorf("an answer from %s with flags %#x", p.src, p.flags)
			}
			return outcome{action: dataplane.Reject}
		}
		if p.src != f.src || p.dst != f.dst {
			t.Errorf("%s to %s was forwarded as %s to %s", f.src, f.dst, p.src, p.dst)
		}
		return o
	case -1:
		p := parse(t, out)
		if p.dst == f.dst {
			return outcome{action: dataplane.Pass}
		}
		if p.src.Addr() != f.src.Addr() || p.tos>>2 == dataplane.SecondChance && f.as == dataplane.SecondChanced {
			t.Errorf("%s arrives as from %s with TOS %#x", f.src, p.src, p.tos)
		}
		// The port may be another: all clients' ports here lead to two Services of the same pods.
		return outcome{action: dataplane.Accept, backend: p.dst}
	}
	t.Errorf("verdict %d", verdict)
	return outcome{}
}

// random returns a packet for the programs and the same for the model.
func random(r *rand.Rand) (frame, dataplane.Packet) {
	v6 := r.IntN(2) == 0
	client, vip := netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(50))}), netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + r.IntN(4))})
	if v6 {
		client, vip = addr(fmt.Sprintf("2001:db8:1::%x", r.IntN(50))), addr(fmt.Sprintf("2001:db8::%x", 1+r.IntN(4)))
	}
	port := uint16(1000 + r.IntN(50))
	if port == 1000 {
		port = 0 // hashed like any other
	}
	f := frame{
		src: netip.AddrPortFrom(client, port), dst: netip.AddrPortFrom(vip, 80), protocol: 6, flags: 2,
		tos: byte(r.IntN(4)), ttl: 20 + byte(r.IntN(40)), payload: r.IntN(30), as: dataplane.Sender(r.IntN(3)), tunnel: r.IntN(2) == 0,
	}
	if f.as == dataplane.Network && r.IntN(10) == 0 {
		f.dst = netip.AddrPortFrom(vip, 81)
	}
	p := dataplane.Packet{Src: client, SrcPort: f.src.Port(), Dst: f.dst, Protocol: pharos.TCP, From: f.as}
	switch r.IntN(3) {
	case 0:
		f.flags, p.Ongoing = 16, true
	case 1:
		f.protocol, p.Protocol = 17, pharos.UDP
	}
	f.extended = r.IntN(5) == 0
	if f.erring = r.IntN(5) == 0; f.erring {
		p.Error, p.Ongoing = true, true
	}
	return f, p
}

// The programs do what the model does, for 10,000 packets at random.
func TestProgramsAgreeWithTheModel(t *testing.T) {
	b := newBench(t)
	b.serve(1, 7, nil)
	b.serve(2, 200, nil) // more than fit into a frontend
	b.serve(3, 5, func(s *pharos.Service) { s.Affinity = time.Hour })
	b.serve(4, 4, func(s *pharos.Service) {
		s.SourceRanges = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28"), netip.MustParsePrefix("2001:db8:1::/124")}
	})
	state := b.apply(t)
	model := dataplane.NewModel(1)
	model.Apply(t.Context(), state)
	r := rand.New(rand.NewPCG(1, 2))
	counts, begun := map[dataplane.Action]int{}, map[string]netip.AddrPort{}
	for i := range 10000 {
		f, p := random(r)
		verdict, out := b.run(t, b.kernel.objects.Ingress, f.bytes())
		got := read(t, &f, verdict, out)
		answer := model.Send(time.Unix(1e9, 0), p)
		want := outcome{action: answer.Action, node: answer.Node, as: answer.As}
		if answer.Action == dataplane.Accept {
			want.backend = answer.Backends[0].Addr
		}
		if f.dst.Port() == 81 {
			want.action = dataplane.Pass // nftables' business
		} else if answer.Action == dataplane.Reject && f.extended {
			want.action = dataplane.Drop // not worth an answer
		}
		counts[got.action]++
		// A connection that is known here is not sent on, whoever's slot it has now. Of
		// source port 0 the model remembers none.
		key := fmt.Sprint(f.src, f.dst, f.protocol)
		if got.action == dataplane.Accept && (want.action == dataplane.Forward || p.SrcPort == 0) && begun[key] == got.backend {
			continue
		}
		if got.action == dataplane.Accept {
			begun[key] = got.backend
		}
		if got != want {
			t.Fatalf("packet %d: %+v: %s, want %s", i, f, got, want)
		}
	}
	if len(counts) != 5 {
		t.Errorf("what happened is only %v", counts)
	}
	t.Log(counts)
}
