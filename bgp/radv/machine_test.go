package radv

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	a1 = netip.MustParseAddr("fe80::1")
	a2 = netip.MustParseAddr("fe80::2")
)

// tell writes effects for people.
func tell(effects []effect) string {
	var out []string
	for _, e := range effects {
		switch e := e.(type) {
		case advertise:
			to := "all"
			if e.to.IsValid() {
				to = e.to.String()
			}
			out = append(out, "advertise "+to)
		case solicit:
			out = append(out, "solicit")
		case found:
			out = append(out, "found "+e.addr.String())
		}
	}
	return strings.Join(out, ", ")
}

// Stories on a clock of their own: at a time, an event, what comes of it. Ticks at
// deadlines in between must be told, too.
func TestMachine(t *testing.T) {
	type line struct {
		at    float64 // seconds
		event event
		want  string
	}
	ad := func(from netip.Addr, device string) event { return advertised{from: from, device: device} }
	const start = "solicit, advertise all"
	for _, r := range []struct {
		name  string
		story []line
	}{
		{"nobody answers", []line{
			{0, up{}, start}, {3, tick{}, "advertise all"}, {4, tick{}, "solicit"}, {6, tick{}, "advertise all"}, {8, tick{}, "solicit"},
		}},
		{"a neighbor is there and answers our solicitation", []line{
			{0, up{}, start}, {0.1, ad(a1, "m"), "found fe80::1, advertise fe80::1"}, {0.2, ad(a1, "m"), ""}, {3, tick{}, "advertise all"},
		}},
		{"a neighbor comes later", []line{
			{0, up{}, start}, {3, tick{}, "advertise all"}, {4, tick{}, "solicit"}, {5, solicited{a1}, "advertise fe80::1"}, {5.1, ad(a1, "m"), "found fe80::1"},
		}},
		{"the same device under another address", []line{
			{0, up{}, start}, {1, ad(a1, "m"), "found fe80::1, advertise fe80::1"}, {2, ad(a2, "m"), "found fe80::2, advertise fe80::2"},
		}},
		{"another router on the link waits until the first is silent", []line{
			{0, up{}, start}, {1, ad(a1, "m"), "found fe80::1, advertise fe80::1"}, {2, ad(a2, "n"), ""}, {30.9, ad(a2, "n"), ""}, {31, ad(a2, "n"), "found fe80::2, advertise fe80::2"},
		}},
		{"devices without link-layer address are not the same", []line{
			{0, up{}, start}, {1, ad(a1, ""), "found fe80::1, advertise fe80::1"}, {2, ad(a2, ""), ""},
		}},
		{"the link goes down and comes back", []line{
			{0, up{}, start}, {1, ad(a1, "m"), "found fe80::1, advertise fe80::1"}, {2, down{}, "found invalid IP"}, {2.1, ad(a1, "m"), ""}, {2.2, solicited{a1}, ""},
			{2.3, tick{}, ""}, {3, up{}, start}, {3.1, ad(a1, "m"), "found fe80::1, advertise fe80::1"}, {4, up{}, "found invalid IP, " + start},
		}},
		{"down twice", []line{{0, down{}, ""}, {1, up{}, start}, {2, down{}, ""}}},
		{"solicitations without an address are answered to all, not more often than every 3 s", []line{
			{0, up{}, start}, {1, solicited{netip.IPv6Unspecified()}, ""}, {3, tick{}, "advertise all"}, {4, tick{}, "solicit"}, {6, tick{}, "advertise all"},
			{9.1, solicited{netip.IPv6Unspecified()}, "solicit, advertise all"},
		}},
		{"too many solicitations are answered to all", []line{
			{0, up{}, start}, {1, solicited{a1}, "advertise fe80::1"}, {1.1, solicited{a1}, ""}, {1.2, solicited{a2}, ""}, {1.6, solicited{a2}, "advertise fe80::2"},
		}},
	} {
		begin := time.Unix(1e9, 0)
		m := newMachine(10*time.Second, 1)
		for _, l := range r.story {
			now := begin.Add(time.Duration(l.at * float64(time.Second)))
			if got := tell(m.step(now, l.event)); got != l.want {
				t.Errorf("%s: at %v %+v: %q, want %q", r.name, l.at, l.event, got, l.want)
			}
		}
	}
}

// A flood of advertisements of one device from many addresses changes the neighbor a
// bounded number of times.
func TestFloodOfAddresses(t *testing.T) {
	now := time.Unix(1e9, 0)
	m := newMachine(10*time.Second, 1)
	m.step(now, up{})
	changes := 0
	for i := range 10_000 { // ten seconds
		from := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: byte(i >> 8), 15: byte(i)})
		for _, e := range m.step(now, advertised{from: from, device: "m"}) {
			if _, ok := e.(found); ok {
				changes++
			}
		}
		now = now.Add(time.Millisecond)
	}
	if changes > 10 {
		t.Errorf("%d neighbors in ten seconds", changes)
	}
}

// A silent neighbor is asked for before it is forgotten.
func TestNeighborIsForgotten(t *testing.T) {
	for _, lifetime := range []time.Duration{0, 9000 * time.Second} {
		now := time.Unix(1e9, 0)
		begin := now
		m := newMachine(10*time.Second, 1)
		m.step(now, up{})
		m.step(now, advertised{a1, "m", lifetime})
		want := max(lifetime, Lifetime)
		asked := 0
		for {
			now = m.deadline()
			s := tell(m.step(now, tick{}))
			age := now.Sub(begin)
			if strings.Contains(s, "solicit") {
				asked++
				if age < want-12*time.Second {
					t.Fatalf("asked after %v", age)
				}
			}
			if strings.Contains(s, "found invalid") {
				if age != want || asked < 3 {
					t.Errorf("forgotten after %v and %d solicitations, want %v and 3", age, asked, want)
				}
				break
			}
		}
	}
}

// Whatever arrives whenever, advertisements are bounded and deadlines move on.
func TestMachineIsBounded(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		now := time.Unix(1e9, 0)
		begin := now
		m := newMachine(10*time.Second, seed)
		m.step(now, up{})
		toAll, toOne, known := 1, 0, false
		for range 5000 {
			var e event
			now = now.Add(time.Duration(r.IntN(int(20 * time.Millisecond))))
			from := netip.MustParseAddr(fmt.Sprintf("fe80::%x", r.IntN(300)+1))
			switch r.IntN(4) {
			case 0:
				e = advertised{from, fmt.Sprint(r.IntN(3)), 0}
			case 1:
				e = solicited{from}
			case 2:
				e = solicited{netip.IPv6Unspecified()}
			case 3:
				e = tick{}
			}
			for _, x := range m.step(now, e) {
				switch x := x.(type) {
				case advertise:
					if x.to.IsValid() {
						toOne++
					} else {
						toAll++
					}
				case found:
					known = x.addr.IsValid()
				}
			}
			if d := m.deadline(); e == (tick{}) && !d.After(now) {
				t.Fatalf("seed %d: deadline %v ago after a tick", seed, now.Sub(d))
			}
		}
		took := now.Sub(begin)
		if most := int(took/minDelay) + 1; toAll > most {
			t.Errorf("seed %d: %d advertisements to all in %v", seed, toAll, took)
		}
		if most := int(took/answerPause) + 1; toOne > most {
			t.Errorf("seed %d: %d answers in %v", seed, toOne, took)
		}
		if !known {
			t.Errorf("seed %d: nobody known", seed)
		}
	}
}
