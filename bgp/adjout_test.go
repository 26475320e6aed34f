package bgp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// A writer that was about to ask for routes when its connection was given up, and
// asks when the next session is up already, must not take that session's routes.
func TestLateWriterTakesNothing(t *testing.T) {
	table := newAdjOut(&Config{}, false)
	table.set([]Change{{Prefix: netip.MustParsePrefix("172.19.100.1/32"), Attrs: &Attrs{}}})
	out := outbound{
		session: wire.Session{AS4: true, Families: []wire.Family{wire.IPv4Unicast}},
		localAS: 65211, nextHop4: netip.MustParseAddr("10.10.2.112"),
	}
	old, fresh := &conn{wake: make(chan struct{}, 1)}, &conn{wake: make(chan struct{}, 1)}
	table.attach(out, old)
	table.detach()
	table.attach(out, fresh)
	if buf, n := table.pack(nil, old, time.Now()); len(buf) != 0 || n != (tallied{}) {
		t.Errorf("the old connection got %+v", n)
	}
	if _, n := table.pack(nil, fresh, time.Now()); n.updates != 2 {
		t.Errorf("the new connection got %+v, want the route and End-of-RIB", n)
	}
}

// A peer that reads nothing does not have its connection pile up what it is asked.
func TestControlStaysShort(t *testing.T) {
	c := &conn{wake: make(chan struct{}, 1), tally: new(tally)}
	for range 100 {
		c.sendKeepalive()
		c.sendRefresh(wire.IPv4Unicast)
		c.sendRefresh(wire.IPv6Unicast)
	}
	if n := len(c.take(nil)); n != 19+23+23 {
		t.Errorf("%d octets wait", n)
	}
	if c.sendRefresh(wire.IPv4Unicast); len(c.take(nil)) != 23 {
		t.Error("the next request does not go out")
	}
}

// What the peer holds is what went out on the present session, and to nobody else.
func TestHolds(t *testing.T) {
	table := newAdjOut(&Config{}, false)
	p := netip.MustParsePrefix("172.19.100.1/32")
	v6 := netip.MustParsePrefix("2001:db8::1/128") // has no next hop
	want := func(step string, v4 bool) {
		t.Helper()
		if got := table.holds([]netip.Prefix{v6, p}); got[0] || got[1] != v4 {
			t.Errorf("%s: holds %v", step, got)
		}
	}
	change := func(a *Attrs) { table.set([]Change{{Prefix: p, Attrs: a}, {Prefix: v6, Attrs: a}}) }
	change(&Attrs{})
	want("no session", false)
	out := outbound{
		session: wire.Session{AS4: true, Families: []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast}},
		localAS: 65211, nextHop4: netip.MustParseAddr("10.10.2.112"),
	}
	c := &conn{wake: make(chan struct{}, 1)}
	table.attach(out, c)
	want("not yet written", false)
	table.pack(nil, c, time.Now())
	want("written", true)
	change(&Attrs{Origin: wire.OriginIncomplete})
	want("to be changed", true)
	change(nil)
	want("to be withdrawn", true)
	for n := 1; n > 0; {
		_, told := table.pack(nil, c, time.Now())
		n = told.updates
	}
	want("withdrawn", false)
	change(&Attrs{})
	table.pack(nil, c, time.Now())
	table.detach()
	want("the session is gone", false)
}
