package layer2

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	t0  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	own = MAC{2, 0, 0, 0, 0, 1}
	foe = MAC{2, 0, 0, 0, 9, 9}
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func link(index int, more ...func(*LinkStatus)) LinkStatus {
	l := LinkStatus{Name: fmt.Sprintf("eth%d", index), Index: index, MAC: MAC{2, 0, 0, 0, 0, byte(index)}}
	for _, f := range more {
		f(&l)
	}
	return l
}

func without4(l *LinkStatus) { l.IPv4 = NoCarrier }
func without6(l *LinkStatus) { l.IPv6 = NoLinkLocal }
func subnet(list ...string) func(*LinkStatus) {
	return func(l *LinkStatus) { l.Prefixes = prefixes(list...) }
}

// announced are Announcements of addresses, each with the interfaces after a comma.
func announced(list ...string) Set {
	var s Set
	for _, text := range list {
		f := strings.Split(text, ",")
		s.Announcements = append(s.Announcements, Announcement{addr(f[0]), f[1:]})
	}
	return s
}

func links(l ...LinkStatus) Links { return Links{Links: l} }

// tell writes effects for people.
func tell(effects []Effect) string {
	var out []string
	for _, e := range effects {
		switch e := e.(type) {
		case Answer:
			out = append(out, "answer")
		case Start:
			out = append(out, fmt.Sprintf("start %v on %d", e.Addr, e.Link))
		case Stop:
			out = append(out, fmt.Sprintf("stop %v on %d", e.Addr, e.Link))
		case Probe:
			out = append(out, fmt.Sprintf("probe %v on %d", e.Addr, e.Link))
		case Announce:
			out = append(out, fmt.Sprintf("announce %v on %d", e.Addr, e.Link))
		case Report:
			word := "has"
			if e.Probe {
				word = "wants"
			}
			out = append(out, fmt.Sprintf("report %v %s %v on %s", e.MAC, word, e.Addr, e.Interface))
		}
	}
	return strings.Join(out, ", ")
}

// Stories on a clock of their own: at a time, an event, what comes of it.
func TestResponder(t *testing.T) {
	type line struct {
		at    float64 // seconds
		event Event
		want  string
	}
	const (
		a  = "192.0.2.7"
		b  = "192.0.2.8"
		a6 = "2001:db8::7"
	)
	begins := func(addr string, link int) string {
		return fmt.Sprintf("probe %s on %d, announce %[1]s on %d", addr, link)
	}
	start := func(addr string, link int) string { return fmt.Sprintf("start %s on %d", addr, link) }
	stop := func(addr string, link int) string { return fmt.Sprintf("stop %s on %d", addr, link) }
	claim := func(probe bool, last byte) Event { return Claimed{1, addr(a), MAC{2, 0, 0, 0, 9, last}, probe} }
	up := line{0, links(link(1)), ""}
	held := line{0, announced(a), start(a, 1) + ", " + begins(a, 1)}
	for _, r := range []struct {
		name   string
		period float64
		story  []line
	}{
		{"a take-over is announced for five seconds", 0, []line{
			up, held,
			{0.05, Tick{}, ""}, {0.1, Tick{}, begins(a, 1)}, {0.5, Tick{}, begins(a, 1)},
			{2, Tick{}, begins(a, 1)}, {5, Tick{}, begins(a, 1)}, {3600, Tick{}, ""},
		}},
		{"and then every period", 60, []line{
			up, held, {0.1, Tick{}, begins(a, 1)}, {0.5, Tick{}, begins(a, 1)}, {2, Tick{}, begins(a, 1)},
			{5, Tick{}, begins(a, 1)}, {64, Tick{}, ""}, {65, Tick{}, begins(a, 1)}, {125, Tick{}, begins(a, 1)}, {185, Tick{}, begins(a, 1)},
		}},
		{"what stays is not announced again", 0, []line{
			up, held, {10, Tick{}, begins(a, 1)},
			{20, announced(a, b), start(b, 1) + ", " + begins(a, 1) + ", " + begins(b, 1)},
			{20, announced(b, a), ""},
			{20, announced(b), stop(a, 1)},
			{21, announced(), stop(b, 1)}, {30, Tick{}, ""},
		}},
		{"only what is announced is answered, on its links", 0, []line{
			{0, links(link(1), link(2), link(3, without4)), ""},
			{0, Asked{1, addr(a)}, ""},
			{0, announced(a+",eth2,eth3", b), strings.Join([]string{start(a, 2), start(b, 1), start(b, 2), begins(a, 2), begins(b, 1), begins(b, 2)}, ", ")},
			{1, Asked{1, addr(a)}, ""}, {1, Asked{2, addr(a)}, "answer"}, {1, Asked{3, addr(a)}, ""}, {1, Asked{1, addr(b)}, "answer"}, {1, Asked{9, addr(b)}, ""},
			{2, announced(a + ",eth1"), strings.Join([]string{stop(b, 1), stop(b, 2), start(a, 1), stop(a, 2), begins(a, 1)}, ", ")},
			{2, Asked{1, addr(a)}, "answer"}, {2, Asked{2, addr(a)}, ""},
		}},
		{"a family is announced where the link has it", 0, []line{
			{0, links(link(1, without6), link(2, without4)), ""},
			{0, announced(a, a6), strings.Join([]string{start(a, 1), start(a6, 2), begins(a, 1), begins(a6, 2)}, ", ")},
			{1, links(link(1, without4), link(2, without4)), strings.Join([]string{stop(a, 1), start(a6, 1), begins(a6, 2), begins(a6, 1)}, ", ")},
		}},
		{"a link that comes up hears of all", 0, []line{
			{0, announced(a, b), ""}, {1, Asked{1, addr(a)}, ""},
			{5, links(link(1)), strings.Join([]string{start(a, 1), start(b, 1), begins(a, 1), begins(b, 1)}, ", ")},
			{5.05, links(link(1, without4)), stop(a, 1) + ", " + stop(b, 1)},
			{5.1, Tick{}, ""},
			{6, links(link(1)), strings.Join([]string{start(a, 1), start(b, 1), begins(a, 1), begins(b, 1)}, ", ")},
		}},
		{"a link that was without carrier for a moment hears again, another device too, one under another name does not", 0, []line{
			up, held, {10, Tick{}, begins(a, 1)}, {20, Tick{}, begins(a, 1)},
			{30, Links{[]LinkStatus{link(1)}, []int{1, 5}}, begins(a, 1)},
			{40, links(link(1, func(l *LinkStatus) { l.MAC = foe })), begins(a, 1)},
			{40, links(link(1, func(l *LinkStatus) { l.MAC, l.Name = foe, "lan" })), ""},
			{50, links(link(2)), start(a, 2) + ", " + stop(a, 1) + ", " + begins(a, 2)},
		}},
		{"the links of the subnet are better", 0, []line{
			{0, links(link(1, subnet("10.0.0.0/8")), link(2, subnet("192.0.2.0/24"))), ""},
			{0, announced(a), start(a, 2) + ", " + begins(a, 2)},
			{1, links(link(1, subnet("10.0.0.0/8")), link(2, without4, subnet("192.0.2.0/24"))), start(a, 1) + ", " + stop(a, 2) + ", " + begins(a, 1)},
			{2, links(link(1, subnet("10.0.0.0/8")), link(2, subnet("192.0.2.0/24"))), start(a, 2) + ", " + stop(a, 1) + ", " + begins(a, 2)},
		}},
		{"another host claims the address", 0, []line{
			up, held,
			{1, claim(false, 9), "report 02:00:00:00:09:09 has 192.0.2.7 on eth1"}, {2, claim(false, 9), ""}, {2, claim(true, 9), ""}, {10.9, claim(false, 9), ""},
			{11, claim(false, 9), "report 02:00:00:00:09:09 has 192.0.2.7 on eth1"},
			{11, Claimed{1, addr(a), own, false}, ""}, {11, Claimed{2, addr(a), foe, false}, ""}, {11, Claimed{1, addr(b), foe, false}, ""},
			{12, announced(), stop(a, 1)}, {12, claim(false, 9), ""},
		}},
		{"another host would like to have it, and takes it", 0, []line{
			up, held, {1, claim(true, 9), "report 02:00:00:00:09:09 wants 192.0.2.7 on eth1"}, {2, claim(true, 9), ""},
			{3, claim(false, 9), "report 02:00:00:00:09:09 has 192.0.2.7 on eth1"}, {4, claim(true, 9), ""}, {5, claim(false, 9), ""},
			{14, claim(true, 9), "report 02:00:00:00:09:09 wants 192.0.2.7 on eth1"},
		}},
		{"many hosts claim it", 0, []line{
			up, held,
			{1, claim(false, 1), "report 02:00:00:00:09:01 has 192.0.2.7 on eth1"}, {2, claim(false, 2), "report 02:00:00:00:09:02 has 192.0.2.7 on eth1"},
			{3, claim(false, 3), "report 02:00:00:00:09:03 has 192.0.2.7 on eth1"}, {4, claim(false, 4), "report 02:00:00:00:09:04 has 192.0.2.7 on eth1"},
			{5, claim(false, 5), ""}, {6, claim(false, 1), ""}, {11, claim(false, 5), ""}, {12, claim(false, 5), "report 02:00:00:00:09:05 has 192.0.2.7 on eth1"},
		}},
		{"an address is defended once in ten seconds", 0, []line{
			up, held, {6, Tick{}, begins(a, 1)}, {20, Tick{}, begins(a, 1)},
			{21, Defend{1, addr(a)}, "announce 192.0.2.7 on 1"}, {22, Defend{1, addr(a)}, ""}, {30.9, Defend{1, addr(a)}, ""}, {31, Defend{1, addr(a)}, "announce 192.0.2.7 on 1"},
			{50, Defend{2, addr(a)}, ""}, {50, Defend{1, addr(b)}, ""},
		}},
		{"what is no address of a host is not announced; what is said twice is allowed both", 0, []line{
			{0, links(link(1), link(2), link(3)), ""},
			{0, announced("::ffff:192.0.2.7", "fe80::1%eth1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "127.0.0.1", "::1", "255.255.255.255"), ""},
			{0, Set{[]Announcement{{}}}, ""},
			{0, announced(a+",eth1", a+",eth3"), strings.Join([]string{start(a, 1), start(a, 3), begins(a, 1), begins(a, 3)}, ", ")},
			{0, announced(a+",eth1", a), start(a, 2) + ", " + begins(a, 2)},
		}},
	} {
		t.Run(r.name, func(t *testing.T) {
			m := NewResponder(time.Duration(r.period * float64(time.Second)))
			for _, l := range r.story {
				now := t0.Add(time.Duration(l.at * float64(time.Second)))
				if got := tell(m.Step(now, l.event)); got != l.want {
					t.Errorf("at %v, %T%+v:\n got %s\nwant %s", l.at, l.event, l.event, got, l.want)
				}
			}
		})
	}
}

// Deadline tells of every round, and of no more.
func TestDeadline(t *testing.T) {
	r := NewResponder(0)
	now := t0
	r.Step(now, links(link(1), link(2)))
	if d := r.Deadline(); !d.IsZero() {
		t.Errorf("nothing to do, at %v", d)
	}
	r.Step(now, announced("192.0.2.7"))
	var at []time.Duration
	for d := r.Deadline(); !d.IsZero(); d = r.Deadline() {
		now = d
		at = append(at, now.Sub(t0))
		if n := len(r.Step(now, Tick{})); n != 4 {
			t.Errorf("%d effects at %v", n, now.Sub(t0))
		}
	}
	if want := []time.Duration{100e6, 500e6, 2e9, 5e9}; !slices.Equal(at, want) {
		t.Errorf("rounds at %v, want %v", at, want)
	}
}

// Thousands of addresses at once are announced at a bounded rate, each as often as one
// alone.
func TestPace(t *testing.T) {
	const n = 2500
	r := NewResponder(0)
	r.Step(t0, links(link(1)))
	var s Set
	for i := range n {
		s.Announcements = append(s.Announcements, Announcement{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
	}
	counts := make(map[netip.Addr]int)
	first := time.Duration(0)
	count := func(now time.Time, effects []Effect) {
		k := 0
		for _, e := range effects {
			if e, ok := e.(Announce); ok {
				if k++; counts[e.Addr] == 0 {
					first = now.Sub(t0)
				}
				counts[e.Addr]++
			}
		}
		if k > burst {
			t.Errorf("%d at once", k)
		}
	}
	now := t0
	count(now, r.Step(now, s))
	steps := 0
	for d := r.Deadline(); !d.IsZero(); d = r.Deadline() {
		if !d.After(now) {
			t.Fatalf("deadline %v after %v", d, now)
		}
		now = d
		count(now, r.Step(now, Tick{}))
		steps++
	}
	for a, k := range counts {
		if k != 1+len(pauses) {
			t.Fatalf("%v announced %d times", a, k)
		}
	}
	// All others wait until the last was announced once.
	if len(counts) != n || first > 2*n/burst*pace {
		t.Errorf("%d addresses, the last first announced after %v", len(counts), first)
	}
	t.Logf("%d addresses: announced once after %v, done after %v in %d steps", n, first, now.Sub(t0), steps)
}

// However many claims of however many hosts to however many addresses: what is reported
// and remembered is bounded.
func TestFloodOfClaims(t *testing.T) {
	const n = 2000
	r := NewResponder(0)
	r.Step(t0, links(link(1)))
	var s Set
	for i := range n {
		s.Announcements = append(s.Announcements, Announcement{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
	}
	r.Step(t0, s)
	told := 0
	for i := range 50 * n {
		a := s.Announcements[i%n].Addr
		told += len(r.Step(t0.Add(time.Duration(i)*50*time.Microsecond), Claimed{1, a, MAC{2, 0, 9, byte(i >> 16), byte(i >> 8), byte(i)}, false}))
	}
	if told != reports {
		t.Errorf("%d reports in five seconds", told)
	}
	for _, a := range r.Status().Addresses {
		if len(a.Conflicts) != claimants || a.Counters.Claims != 50 {
			t.Fatalf("%+v", a)
		}
	}
	if got := len(r.Step(t0.Add(20*time.Second), Claimed{1, s.Announcements[0].Addr, foe, false})); got != 1 {
		t.Errorf("%d reports afterwards", got)
	}
}

func TestStatus(t *testing.T) {
	r := NewResponder(0)
	r.Step(t0, links(link(1, subnet("192.0.2.0/24")), link(2, without6)))
	r.Step(t0, announced("198.51.100.1", "192.0.2.7", "2001:db8::7,eth2"))
	r.Step(t0, Sent{addr("192.0.2.7"), 0, 2})
	r.Step(t0, Asked{1, addr("192.0.2.7")})
	r.Step(t0, Asked{1, addr("192.0.2.7")})
	r.Step(t0, Sent{addr("192.0.2.7"), 1, 0})
	r.Step(t0, Sent{addr("192.0.2.8"), 1, 0})
	r.Step(t0, Claimed{1, addr("192.0.2.7"), foe, true})
	r.Step(t0.Add(-1), Claimed{1, addr("192.0.2.7"), MAC{2, 9}, false})
	want := []string{
		"192.0.2.7 on-subnet [eth1] {2 1 2 2} [02:09:00:00:00:00 false 02:00:00:00:09:09 true]",
		"198.51.100.1 off-subnet [eth1 eth2] {0 0 0 0} []",
		"2001:db8::7 unreachable [] {0 0 0 0} []",
	}
	st := r.Status()
	for i, a := range st.Addresses {
		var conflicts []string
		for _, c := range a.Conflicts {
			conflicts = append(conflicts, fmt.Sprint(c.MAC, c.Probe))
		}
		if got := fmt.Sprintf("%v %v %v %v %v", a.Addr, a.Reach, a.Interfaces, a.Counters, conflicts); got != want[i] {
			t.Errorf("%s, want %s", got, want[i])
		}
	}
	if len(st.Links) != 2 || len(st.Addresses) != 3 {
		t.Errorf("%+v", st)
	}
}
