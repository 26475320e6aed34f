package layer2

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// host follows a Responder's effects as whoever runs it does.
type host struct {
	t       *testing.T
	r       *Responder
	now     time.Time
	set     Set
	links   []LinkStatus
	present map[string]bool // started and not stopped
	unheard map[string]time.Time
}

func (h *host) step(e Event) {
	for _, e := range h.r.Step(h.now, e) {
		switch e := e.(type) {
		case Start:
			k := key(e.Addr, e.Link)
			if h.present[k] {
				h.t.Fatalf("%s started twice", k)
			}
			h.present[k], h.unheard[k] = true, h.now
		case Stop:
			k := key(e.Addr, e.Link)
			if !h.present[k] {
				h.t.Fatalf("%s stopped, not started", k)
			}
			delete(h.present, k)
			delete(h.unheard, k)
		case Probe:
			if !h.present[key(e.Addr, e.Link)] {
				h.t.Fatalf("%+v, not started", e)
			}
		case Announce:
			k := key(e.Addr, e.Link)
			if !h.present[k] {
				h.t.Fatalf("%+v, not started", e)
			}
			delete(h.unheard, k)
		}
	}
	for k, since := range h.unheard {
		if h.now.Sub(since) > 100*time.Millisecond {
			h.t.Fatalf("%s not announced since %v", k, since)
		}
	}
	for i, p := range h.r.due {
		if p.pos != i {
			h.t.Fatalf("%v is at %d in the queue, not %d", p.Addr, i, p.pos)
		}
	}
}

func key(a netip.Addr, link int) string { return fmt.Sprint(a, " on ", link) }

// same compares the Responder with what the rule says of its last input.
func (h *host) same() {
	want := make(map[string]bool)
	for _, a := range h.set.Announcements {
		on, _ := LinksFor(h.links, a)
		for _, l := range on {
			want[key(a.Addr, l.Index)] = true
		}
	}
	if len(want) != len(h.present) {
		h.t.Fatalf("%d presences, want %d", len(h.present), len(want))
	}
	for k := range want {
		if !h.present[k] {
			h.t.Fatalf("%s is missing", k)
		}
	}
	for _, a := range h.set.Announcements {
		for _, l := range h.links {
			answers := len(h.r.Step(h.now, Asked{l.Index, a.Addr})) == 1
			if answers != want[key(a.Addr, l.Index)] {
				h.t.Fatalf("%v on %d is answered: %v", a.Addr, l.Index, answers)
			}
		}
	}
}

// Whatever happens in whatever order: what is announced is what the last input says from
// scratch, it was started and all else stopped, it was announced soon, and in the end
// nothing is left over.
func TestAnySequence(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		h := &host{t: t, r: NewResponder(time.Duration(rnd.IntN(2)) * 7 * time.Second), now: t0, present: map[string]bool{}, unheard: map[string]time.Time{}}
		for range 200 {
			h.now = h.now.Add(time.Duration(rnd.IntN(700)) * time.Millisecond)
			for d := h.r.Deadline(); !d.IsZero() && d.Before(h.now); d = h.r.Deadline() {
				late := h.now
				h.now = d
				h.step(Tick{})
				h.now = late
			}
			switch rnd.IntN(5) {
			case 0, 1:
				h.set = randomSet(rnd)
				h.step(h.set)
			case 2, 3:
				var restarted []int
				h.links, restarted = randomLinks(rnd)
				h.step(Links{slices.Clone(h.links), restarted})
			default:
				a := randomAddr(rnd)
				h.step(Claimed{rnd.IntN(6), a, MAC{2, 0, 0, 0, 7, byte(rnd.IntN(9))}, rnd.IntN(2) == 0})
				h.step(Defend{rnd.IntN(6), a})
			}
			h.same()
		}
		h.step(Set{})
		if len(h.present) != 0 || len(h.r.due) != 0 || !h.r.Deadline().IsZero() {
			t.Fatalf("left over: %v, %d to announce", h.present, len(h.r.due))
		}
	}
}

func randomAddr(rnd *rand.Rand) netip.Addr {
	if rnd.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{192, 0, byte(rnd.IntN(3)), byte(1 + rnd.IntN(5))})
	}
	return netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::%d", rnd.IntN(3), 1+rnd.IntN(5)))
}

func randomSet(rnd *rand.Rand) (s Set) {
	seen := make(map[netip.Addr]bool)
	for range rnd.IntN(12) {
		a := Announcement{Addr: randomAddr(rnd)}
		for range rnd.IntN(3) {
			a.Interfaces = append(a.Interfaces, fmt.Sprintf("eth%d", rnd.IntN(6)))
		}
		if !seen[a.Addr] {
			seen[a.Addr] = true
			s.Announcements = append(s.Announcements, a)
		}
	}
	return s
}

func randomLinks(rnd *rand.Rand) (out []LinkStatus, restarted []int) {
	for i := range 6 {
		if rnd.IntN(4) == 0 {
			restarted = append(restarted, i)
		}
		if rnd.IntN(4) == 0 {
			continue
		}
		l := link(i)
		l.MAC[4] = byte(rnd.IntN(8) / 7)
		if rnd.IntN(3) == 0 {
			l.IPv4 = NoCarrier
		}
		if rnd.IntN(3) == 0 {
			l.IPv6 = NoLinkLocal
		}
		for range rnd.IntN(3) {
			n := rnd.IntN(3)
			l.Prefixes = append(l.Prefixes, netip.MustParsePrefix(fmt.Sprintf("192.0.%d.0/24", n)), netip.MustParsePrefix(fmt.Sprintf("2001:db8:%d::/64", n)))
		}
		out = append(out, l)
	}
	return out, restarted
}

// BenchmarkAsked is what the table costs a request, by how many addresses are announced.
func BenchmarkAsked(b *testing.B) {
	for _, n := range []int{1, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := NewResponder(0)
			r.Step(t0, links(link(1), link(2)))
			var s Set
			for i := range n {
				s.Announcements = append(s.Announcements, Announcement{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
			}
			r.Step(t0, s)
			asked := Asked{2, s.Announcements[n/2].Addr}
			b.ReportAllocs()
			for b.Loop() {
				if len(r.Step(t0, asked)) != 1 {
					b.Fatal("not answered")
				}
			}
		})
	}
}

// BenchmarkSet is what one address more costs, by how many there are.
func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := NewResponder(0)
			r.Step(t0, links(link(1), link(2)))
			var s Set
			for i := range n + 1 {
				s.Announcements = append(s.Announcements, Announcement{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
			}
			for i := 0; b.Loop(); i++ {
				r.Step(t0, Set{s.Announcements[:n+i%2]})
			}
		})
	}
}
