package interop

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// Edits of stories' configurations.
func passive(n *neighbor)    { n.passive = true }
func overIPv6(n *neighbor)   { n.local = switch6 }
func internal(n *neighbor)   { n.as = switchAS }
func signed(n *neighbor)     { n.password = "correct-horse" }
func weDoNot(c *bgp.Config)  { c.Passive = true } // dial
func strangers(n *neighbor)  { n.as = 65299 }
func holdZero(c *bgp.Config) { c.HoldTime = new(time.Duration) }

// basics are the stories of sessions, routes and their ends.
var basics = []story{
	{name: "we dial", neighbor: passive, tell: func(s *scene) {
		s.exchange()
		if st := s.Status()[0]; st.Incoming || st.HoldTime != bgp.DefaultHoldTime || !st.AS4 {
			s.t.Errorf("incoming %v, hold time %v, AS4 %v", st.Incoming, st.HoldTime, st.AS4)
		}
		if d, err := s.session(s.n); err != nil || !d.up || d.hold != 9 {
			s.t.Errorf("the daemon: up %v, hold time %d, %v", d.up, d.hold, err)
		}
	}},
	{name: "over IPv6", neighbor: overIPv6, tell: (*scene).exchange},
	{name: "internal", neighbor: internal, tell: func(s *scene) {
		s.exchange()
		low := uint32(50)
		s.announce("switch", &bgp.Attrs{LocalPref: &low, Prepend: 3}, s.prefix4(2))
		s.wantRoute(s.prefix4(2), func(p path) error {
			if p.localPref != 50 || p.aspath != "" {
				return fmt.Errorf("local preference %d, path %q", p.localPref, p.aspath)
			}
			return nil
		})
	}},
	{name: "signed", neighbor: signed, tell: tellSigned},
	{name: "signed over IPv6, the daemon dials", early: true, neighbor: func(n *neighbor) { signed(n); overIPv6(n) }, peer: weDoNot, tell: tellSigned},
	{name: "kernel routes", lacks: map[string]string{
		"OpenBGPD": "its portable version has no kernel routes",
		"GoBGP":    "it has none but through another daemon",
	}, tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1), s.prefix6(1))
		s.wantKernel(s.prefix4(1), s.m.v4.String())
		s.wantKernel(s.prefix6(1), s.m.v6.String())
		s.announce("switch", nil, s.prefix4(1), s.prefix6(1))
		s.wantKernel(s.prefix4(1))
		s.wantKernel(s.prefix6(1))
	}},
	{name: "hold time 0", peer: holdZero, tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1))
		s.wantRoute(s.prefix4(1), nil)
		if st := s.Status()[0]; st.HoldTime != 0 || !st.HoldDue.IsZero() {
			s.t.Errorf("hold time %v, due %v", st.HoldTime, st.HoldDue)
		}
		if d, err := s.session(s.n); err != nil || d.hold != 0 {
			s.t.Errorf("the daemon's hold time is %d, %v", d.hold, err)
		}
	}},
	{name: "the daemon asks for a refresh", lacks: map[string]string{
		"GoBGP": "it keeps what it was sent and asks itself",
	}, tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1), s.prefix6(1))
		s.wantRoute(s.prefix4(1), nil)
		s.wantRoute(s.prefix6(1), nil)
		before := s.Status()[0].Sent.Updates
		s.must(s.refresh(s.n))
		s.eventually("an answer to the route refresh", func() error {
			if st := s.Status()[0]; st.Received.RouteRefreshes < 2 || st.Sent.Updates < before+2 {
				return fmt.Errorf("%d requests, %d UPDATEs more", st.Received.RouteRefreshes, st.Sent.Updates-before)
			}
			return nil
		})
	}},
	{name: "the daemon shuts down with a text", tell: func(s *scene) {
		s.up(1)
		s.must(s.disable(s.n, "paint the rack: ÄÖÜ"))
		d := s.down()
		if text, ok := d.Notification.ShutdownText(); d.Cause != bgp.CausePeerNotification || !ok || text != "paint the rack: ÄÖÜ" ||
			d.Notification.Code != wire.CodeCease || d.Notification.Subcode != wire.SubCeaseShutdown {
			s.t.Errorf("ended by %v", d)
		}
		s.must(s.enable(s.n))
		s.back()
	}},
	{name: "the daemon resets", tell: func(s *scene) {
		s.up(1)
		s.must(s.reset(s.n))
		if d := s.down(); d.Cause != bgp.CausePeerNotification ||
			d.Notification.Code != wire.CodeCease || d.Notification.Subcode != wire.SubCeaseReset {
			s.t.Errorf("ended by %v", d)
		}
		s.back()
	}},
	{name: "we say goodbye", tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1))
		s.wantRoute(s.prefix4(1), nil)
		s.stop()
		s.wantWords(s.daemon, s.n, map[string]string{
			"FRR":      `"lastNotificationReason":"Cease\/Administrative Shutdown"`,
			"BIRD":     "Received: Administrative shutdown",
			"OpenBGPD": `"last_error_received": "Cease, administratively down"`,
			"GoBGP":    "notification-received code 6(cease) subcode 2(administrative shutdown)",
		}[s.name])
		s.wantNone(s.daemon, s.n, s.prefix4(1))
	}},
	{name: "we have another AS than the daemon thinks", neighbor: strangers, peer: func(c *bgp.Config) { c.LocalAS = nodeAS }, tell: func(s *scene) {
		s.refused(bgp.CausePeerNotification)
	}},
	{name: "the daemon has another AS than we think", peer: func(c *bgp.Config) { c.RemoteAS = 65299 }, tell: func(s *scene) {
		s.refused(bgp.CauseProtocolError)
	}},
	{name: "10,000 prefixes", also: 1, tell: (*scene).tenThousand},
	{name: "the daemon dials", early: true, peer: weDoNot, tell: func(s *scene) {
		s.exchange()
		if st := s.Status()[0]; !st.Incoming {
			s.t.Error("not incoming")
		}
	}},
}

// tenThousand announces 10,000 prefixes, which the daemon passes on to the scene's
// other node, and takes them back.
func (s *scene) tenThousand() {
	s.t.Helper()
	const n = 10_000
	var table []bgp.Change
	for i := range n {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 20, byte(i >> 8), byte(i)}), 32)
		table = append(table, bgp.Change{Peer: "switch", Prefix: p, Attrs: incomplete})
	}
	s.up(1)
	s.also[0].up(1)
	began := time.Now()
	s.Apply(table)
	count := func(want int) {
		s.t.Helper()
		s.eventually(fmt.Sprintf("%d prefixes", want), func() error {
			got, err := s.count(s.n, 4)
			if err == nil && got != want {
				err = fmt.Errorf("the daemon has %d", got)
			}
			return err
		})
	}
	count(n)
	s.t.Logf("%s has all prefixes after %v", s.name, time.Since(began).Round(time.Millisecond))
	passedOn := func(h bgptest.Heard) (n int) {
		for p := range h.Routes {
			if exported[1].Contains(p.Addr()) {
				n++
			}
		}
		return n
	}
	h := s.also[0].heard.Wait(s.t, "switch", "all prefixes", func(h bgptest.Heard) bool { return passedOn(h) == n })
	if a := h.Routes[netip.MustParsePrefix("172.20.39.15/32")]; a == nil || a.ASPath.String() != "65210 65211" {
		s.t.Errorf("the last one: %+v", a)
	}
	s.t.Logf("and they are passed on after %v", time.Since(began).Round(time.Millisecond))
	for i := range table {
		table[i].Attrs = nil
	}
	s.Apply(table)
	s.also[0].heard.Wait(s.t, "switch", "no prefix", func(h bgptest.Heard) bool { return passedOn(h) == 0 })
	count(0)
}

func tellSigned(s *scene) {
	s.exchange()
	if st := s.Status()[0]; !st.Authenticated {
		s.t.Error("not authenticated")
	}
}

// back waits for the second session. GoBGP takes no connection for 5 s after most
// ends of one, and for 30 s after a reset; we do not wait for it.
func (s *scene) back() {
	s.t.Helper()
	if s.name != "GoBGP" {
		s.up(2)
	}
}

// refused waits for OPEN to fail for its AS number, twice where that does not
// take long, so that the pause between the two is seen to end.
func (s *scene) refused(cause bgp.Cause) {
	s.t.Helper()
	s.eventually("Bad Peer AS", func() error {
		st := s.Status()[0]
		if st.Establishments > 0 {
			s.t.Fatal("established")
		}
		d := st.LastError.Down
		if d.Cause != cause || d.Notification == nil || d.Notification.Code != wire.CodeOpen || d.Notification.Subcode != wire.SubOpenBadPeerAS {
			return fmt.Errorf("last error: %v", d)
		}
		if opens := st.Sent.Opens; opens < 2 && s.name != "GoBGP" {
			return fmt.Errorf("%d attempts", opens)
		}
		return nil
	})
	if d, err := s.session(s.n); err != nil || d.up || strings.Contains(d.words, "Established") && s.name == "BIRD" {
		s.t.Errorf("the daemon: up %v, %v", d.up, err)
	}
}
