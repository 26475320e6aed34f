package interop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

func restart(n *neighbor)   { n.restart = true }
func longLived(n *neighbor) { n.restart, n.longLived = true, true }

// weRestart asks the daemon to keep our routes, and helps it.
func weRestart(c *bgp.Config) { c.GracefulRestart = &bgp.GracefulRestart{Restart: 2 * time.Minute} }

// what the daemon says of a NOTIFICATION's text.
const text = "replace the fan"

// tooMany is what the daemons say of Cease, maximum number of prefixes reached (RFC
// 4486 §4).
var tooMany = map[string]string{
	"FRR":      `"lastNotificationReason":"Cease\/Maximum Number of Prefixes Reached"`,
	"BIRD":     "Received: Maximum number of prefixes reached",
	"OpenBGPD": `"last_error_received": "Cease, received max-prefix exceeded"`,
	"GoBGP":    "notification-received code 6(cease) subcode 1(maximum number of prefixes reached)",
}

var noRole = map[string]string{"GoBGP": "it does not know roles"}

// extensions are the stories of what came after RFC 4271.
var extensions = []story{
	{name: "we shut down with a text", tell: func(s *scene) {
		s.up(1)
		s.change(func(c *bgp.Config) { c.Shutdown, c.ShutdownText = true, text })
		s.wantWords(s.daemon, s.n, text)
		s.change(func(c *bgp.Config) {})
		s.back()
	}},
	{name: "we reset with a text", lacks: map[string]string{
		"FRR": "it forgets the text when the session is back",
	}, tell: func(s *scene) {
		s.up(1)
		s.Reset(text, "switch")
		s.wantWords(s.daemon, s.n, text)
	}},
	{name: "we refuse, for too many prefixes", tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1))
		s.wantRoute(s.prefix4(1), nil)
		s.Refuse("switch", &wire.Notification{Code: wire.CodeCease, Subcode: wire.SubCeaseMaxPrefixes})
		s.wantWords(s.daemon, s.n, tooMany[s.name])
		s.wantNone(s.daemon, s.n, s.prefix4(1))
	}},
	{name: "we ask for an enhanced refresh", neighbor: func(n *neighbor) { n.enhanced = true }, peer: weRestart, lacks: map[string]string{
		"GoBGP": "it does not know enhanced route refresh", "OpenBGPD": "7.7 answers no request",
	}, tell: func(s *scene) {
		s.must(s.originate(route{prefix: netip.MustParsePrefix("2001:db8:ffff:2::/64")}))
		s.hear("2001:db8:ffff:2::/64")
		s.Refresh(wire.IPv6Unicast, "switch")
		s.eventually("the refresh", func() error {
			story := s.heard.Heard("switch").Story
			if begin := slices.Index(story, "refresh begins "+wire.IPv6Unicast.String()); begin < 0 || !slices.Contains(story[begin:], "refresh ends "+wire.IPv6Unicast.String()) {
				return fmt.Errorf("not yet: %v", story)
			}
			return nil
		})
	}},
	{name: "the daemon asks for an enhanced refresh", neighbor: func(n *neighbor) { n.enhanced = true }, lacks: map[string]string{
		"GoBGP": "it does not know enhanced route refresh", "BIRD": "2.0.12 does not tell what it was sent", "FRR": "8.4 does not tell what it was sent",
	}, tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1), s.prefix6(1))
		s.wantRoute(s.prefix4(1), nil)
		s.wantRoute(s.prefix6(1), nil)
		s.must(s.refresh(s.n))
		s.wantWords(s.daemon, s.n, `"borr": 2`)
		s.wantWords(s.daemon, s.n, `"eorr": 2`)
		s.wantRoute(s.prefix4(1), nil)
		s.wantRoute(s.prefix6(1), nil)
	}},
	{name: "extended messages", also: 1, neighbor: func(n *neighbor) { n.extended = true }, lacks: map[string]string{
		"OpenBGPD": "7.7 does not know them", "GoBGP": "3.10 does not know them",
	}, tell: func(s *scene) {
		// The capture is to have the OPENs.
		s.up(1)
		s.also[0].up(1)
		c := s.capture(onSegment)
		s.Reset("", "switch")
		s.also[0].Reset("", "switch")
		s.up(2)
		s.also[0].up(2)
		s.tenThousand()
		c.end()
		// What tshark leaves to us: each end's octets read as the other end reads them,
		// by what their OPENs agree on.
		longest, heard := s.decode(c, s.n.remote)
		if longest[0] <= wire.MaxLen || heard[0] != 10_000 {
			s.t.Errorf("the longest message from us has %d octets, all of them %d prefixes", longest[0], heard[0])
		}
		s.t.Logf("the longest message from us has %d octets", longest[0])
		longest, heard = s.decode(c, s.also[0].n.remote)
		if longest[1] <= wire.MaxLen || heard[1] != 10_000 {
			s.t.Errorf("the longest message from the daemon has %d octets, all of them %d prefixes", longest[1], heard[1])
		}
		s.t.Logf("the longest message from the daemon has %d octets", longest[1])
	}},
	{name: "several paths from us", neighbor: func(n *neighbor) { n.addPath = true }, peer: func(c *bgp.Config) { c.AddPath = wire.AddPathBoth }, tell: func(s *scene) {
		var changes []bgp.Change
		for i := range uint32(3) {
			for _, p := range []string{s.prefix4(1), s.prefix6(1)} {
				changes = append(changes, bgp.Change{Peer: "switch", Prefix: netip.MustParsePrefix(p), Path: i + 1, Attrs: &bgp.Attrs{MED: &i}})
			}
		}
		s.Apply(changes)
		want := func(n int) {
			s.t.Helper()
			for _, prefix := range []string{s.prefix4(1), s.prefix6(1)} {
				s.eventually(fmt.Sprintf("%d paths to %s", n, prefix), func() error {
					paths, err := s.routes(netip.MustParsePrefix(prefix))
					meds := make(map[uint32]bool)
					for _, p := range paths {
						meds[p.med] = true
					}
					if err == nil && len(meds) != n {
						err = fmt.Errorf("%d: %+v", len(meds), paths)
					}
					return err
				})
			}
		}
		want(3)
		for i := range changes[:2] {
			changes[i].Attrs = nil
		}
		s.Apply(changes[:2])
		want(2)
	}},
	{name: "several paths from the daemon", also: 2, neighbor: func(n *neighbor) { n.addPath, n.as = true, 65213 }, peer: func(c *bgp.Config) { c.AddPath = wire.AddPathBoth }, tell: func(s *scene) {
		const prefix = "172.20.255.1/32"
		s.also[0].announce("switch", incomplete, prefix)
		s.also[1].announce("switch", incomplete, prefix)
		s.eventually("two paths", func() error {
			if n := s.paths.to(prefix); n != 2 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		s.also[0].announce("switch", nil, prefix)
		s.eventually("one path", func() error {
			if n := s.paths.to(prefix); n != 1 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
	}},
	{name: "the daemon provides", neighbor: func(n *neighbor) { n.role = "provider" }, peer: func(c *bgp.Config) {
		role := wire.RoleCustomer
		c.Role, c.StrictRole = &role, true
	}, lacks: noRole, tell: func(s *scene) {
		s.up(1)
		s.must(s.originate(route{prefix: netip.MustParsePrefix("198.18.255.0/24")}))
		if a := s.hear("198.18.255.0/24"); a.OnlyToCustomer != switchAS {
			s.t.Errorf("only to customers of %d, want %d", a.OnlyToCustomer, switchAS)
		}
		s.must(s.withdraw(netip.MustParsePrefix("198.18.255.0/24")))
	}},
	{name: "roles do not match", neighbor: func(n *neighbor) { n.role = "peer" }, peer: func(c *bgp.Config) {
		role := wire.RoleProvider
		c.Role = &role
	}, lacks: noRole, tell: func(s *scene) {
		s.eventually("Role Mismatch", func() error {
			st := s.Status()[0]
			if d := st.LastError.Down; st.Establishments > 0 || d.Notification == nil || d.Notification.Subcode != wire.SubOpenRoleMismatch {
				return fmt.Errorf("established %d times, last error: %v", st.Establishments, d)
			}
			return nil
		})
	}},
	{name: "IPv4 by an IPv6 next hop", neighbor: func(n *neighbor) { overIPv6(n); n.hop6 = true }, peer: func(c *bgp.Config) { c.NextHopIPv4 = netip.Addr{} }, lacks: map[string]string{
		"OpenBGPD": "7.7 does not know extended next hops",
	}, tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1))
		s.wantRoute(s.prefix4(1), func(p path) error {
			if p.nextHop != s.m.v6 {
				return fmt.Errorf("next hop %v", p.nextHop)
			}
			return nil
		})
		if s.name == "GoBGP" {
			return // it has none
		}
		s.eventually("the kernel's route", func() error {
			out, err := s.sw.Output(s.t.Context(), "ip", "route", "show", strings.TrimSuffix(s.prefix4(1), "/32"))
			if err == nil && !strings.Contains(out, "via inet6 ") {
				err = errors.New(out)
			}
			return err
		})
	}},
	{name: "the daemon's own next hops", lacks: map[string]string{
		"FRR": "the stories above have its own", "BIRD": "the stories above have its own", "OpenBGPD": "the stories above have its own",
	}, tell: func(s *scene) {
		s.up(1)
		s.must(s.originate(route{prefix: netip.MustParsePrefix("2001:db8:ffff:253::/64"), ownHop: true}))
		if a := s.hear("2001:db8:ffff:253::/64"); a.NextHop6 != netip.MustParseAddr("::ffff:10.10.2.210") {
			s.t.Errorf("IPv6 over an IPv4 session by %v", a.NextHop6)
		}
		s.must(s.withdraw(netip.MustParsePrefix("2001:db8:ffff:253::/64")))
	}},
	{name: "TTL security", neighbor: func(n *neighbor) { n.gtsm = true }, peer: func(c *bgp.Config) { c.TTLSecurity = 1 }, tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1))
		s.wantRoute(s.prefix4(1), nil)
	}},
	{name: "we drain", tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1))
		s.wantRoute(s.prefix4(1), nil)
		s.change(func(c *bgp.Config) { c.GracefulShutdown = true })
		s.wantRoute(s.prefix4(1), func(p path) error {
			if c := strings.ToLower(strings.ReplaceAll(p.communities, "_", "-")); c != "65535:0" && c != "graceful-shutdown" {
				return fmt.Errorf("communities %q", p.communities)
			}
			return nil
		})
		if h := s.heard.Heard("switch"); h.Ups != 1 || !h.Up {
			s.t.Errorf("the session was touched: %v", h.Story)
		}
	}},
	{name: "link bandwidth", lacks: map[string]string{
		"OpenBGPD": "it takes no community that is not transitive from another AS",
	}, tell: func(s *scene) {
		s.announce("switch", &bgp.Attrs{ExtCommunities: []wire.ExtCommunity{wire.LinkBandwidth(nodeAS, 1.25e6, false)}}, s.prefix4(1))
		want := map[string]string{
			"FRR": "LB:65211:1250000 (10.000 Mbps)", "BIRD": "(unknown 0x4004, 65211, 1234736768)", // the float's octets
			"GoBGP": `[{"type":64,"subtype":4,"asn":65211,"bandwidth":1250000}]`,
		}[s.name]
		s.wantRoute(s.prefix4(1), func(p path) error {
			if p.extCommunities != want {
				return fmt.Errorf("got %q", p.extCommunities)
			}
			return nil
		})
	}},
	{name: "a dynamic neighbor", early: true, peer: func(c *bgp.Config) {
		c.RemoteAddr, c.LocalAddr, c.RemotePrefix = netip.Addr{}, netip.Addr{}, netip.MustParsePrefix("10.10.2.208/29")
	}, tell: func(s *scene) {
		s.must(s.originate(route{prefix: netip.MustParsePrefix("198.18.254.0/24")}))
		s.eventually("its route", func() error {
			if h := s.heard.Heard(switch4.String()); h.Routes[netip.MustParsePrefix("198.18.254.0/24")] == nil {
				return fmt.Errorf("not yet: %v, %+v", h.Story, s.Status())
			}
			return nil
		})
		s.must(s.withdraw(netip.MustParsePrefix("198.18.254.0/24")))
	}},
	{name: "we restart gracefully", neighbor: restart, peer: weRestart, tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1), s.prefix4(2), s.prefix6(1))
		for _, p := range []string{s.prefix4(1), s.prefix4(2), s.prefix6(1)} {
			s.wantRoute(p, nil)
		}
		// No goodbye; the routes stay.
		s.stop()
		s.eventually("the end of the session", func() error {
			d, err := s.session(s.n)
			if err == nil && d.up {
				err = errors.New("still up")
			}
			return err
		})
		for _, p := range []string{s.prefix4(1), s.prefix4(2), s.prefix6(1)} {
			s.wantRoute(p, func(q path) error {
				if s.name != "BIRD" && !q.stale { // it does not tell
					return errors.New("not stale")
				}
				return nil
			})
		}
		// What is announced again stays, the rest goes at the End-of-RIB.
		back := s.speak(s.m, s.m.peer(s.config, weRestart))
		back.announce("switch", incomplete, s.prefix4(1), s.prefix6(1))
		s.wantNone(s.daemon, s.n, s.prefix4(2))
		for _, p := range []string{s.prefix4(1), s.prefix6(1)} {
			s.wantRoute(p, func(q path) error {
				if q.stale {
					return errors.New("stale")
				}
				return nil
			})
		}
	}},
	{name: "our routes are long-lived", neighbor: longLived, peer: func(c *bgp.Config) {
		c.GracefulRestart = &bgp.GracefulRestart{Restart: time.Second, LongLived: time.Minute}
	}, lacks: map[string]string{"OpenBGPD": "7.7 does not know long-lived graceful restart"}, tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1))
		s.wantRoute(s.prefix4(1), nil)
		s.stop()
		s.wantRoute(s.prefix4(1), func(q path) error {
			if c := strings.ToLower(strings.ReplaceAll(q.communities, "_", "-")); c != "65535:6" && c != "llgr-stale" {
				return fmt.Errorf("communities %q", q.communities)
			}
			return nil
		})
	}},
	{name: "we change, with NOTIFICATIONs in graceful restart", neighbor: func(n *neighbor) { restart(n); passive(n) }, peer: weRestart, lacks: map[string]string{
		"BIRD": "2.0.12 does not know RFC 8538", "OpenBGPD": "7.7 does not know RFC 8538",
	}, tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1))
		s.wantRoute(s.prefix4(1), nil)
		stale := func(want bool) {
			s.t.Helper()
			s.wantRoute(s.prefix4(1), func(p path) error {
				if p.stale != want {
					return fmt.Errorf("stale: %v", p.stale)
				}
				return nil
			})
		}
		// The session ends with a NOTIFICATION, and as both are passive now none begins.
		s.change(func(c *bgp.Config) {
			weRestart(c)
			c.Passive = true
		})
		s.down()
		stale(true)
		s.change(weRestart)
		s.up(2)
		stale(false)
	}},
	{name: "the daemon resets, with NOTIFICATIONs in graceful restart", neighbor: restart, peer: weRestart, lacks: map[string]string{
		"BIRD": "2.0.12 does not know RFC 8538", "OpenBGPD": "7.7 does not know RFC 8538",
	}, tell: func(s *scene) {
		s.up(1)
		s.must(s.reset(s.n))
		d := s.down()
		keep := 2
		if inner, hard := d.Notification.HardReset(); hard && inner.Subcode == wire.SubCeaseReset {
			keep = 0 // as FRR wants it
		}
		if d.Cause != bgp.CausePeerNotification || len(d.Retain) != keep {
			s.t.Errorf("ended by %v, keeping %+v", d, d.Retain)
		}
	}},
}

// ends are the stories that kill the daemon.
var ends = []story{
	{name: "killed", tell: func(s *scene) {
		s.announce("switch", incomplete, s.prefix4(1), s.prefix6(1))
		s.wantRoute(s.prefix4(1), nil)
		s.kill()
		if d := s.down(); d.Cause != bgp.CauseConnectionLost || d.Retain != nil {
			s.t.Errorf("ended by %v, keeping %+v", d, d.Retain)
		}
		s.again()
		s.up(2)
		s.wantRoute(s.prefix4(1), nil)
		s.wantRoute(s.prefix6(1), nil)
	}},
	{name: "killed, with graceful restart", neighbor: restart, peer: weRestart, lacks: map[string]string{
		"OpenBGPD": "7.7 helps others only",
	}, tell: func(s *scene) {
		s.up(1)
		s.kill()
		if d := s.down(); d.Cause != bgp.CauseConnectionLost || len(d.Retain) != 2 || d.Retain[0].Restart != 2*time.Minute {
			s.t.Errorf("ended by %v, keeping %+v", d, d.Retain)
		}
		s.again()
		if h := s.up(2); !slices.Equal(h.Session.Preserved, both) {
			s.t.Errorf("it says that it kept %v", h.Session.Preserved)
		}
	}},
}

// change changes our configuration.
func (s *scene) change(edit func(*bgp.Config)) {
	s.t.Helper()
	c := s.m.peer(s.config)
	edit(&c)
	s.must(s.SetPeers([]bgp.Config{c}))
}

// decode reads what a capture has of our session at an address, from us and from the
// daemon: how long the longest message is, and how many prefixes of 172.20.0.0/16 are
// announced.
func (s *scene) decode(c *capture, addr netip.Addr) (longest, prefixes [2]int) {
	s.t.Helper()
	to, from := c.octets(addr)
	var opens [2]*wire.Open
	var readers [2]*wire.Reader
	for i, octets := range [][]byte{from, to} {
		readers[i] = wire.NewReader(bytes.NewReader(octets))
		m, err := readers[i].Next()
		s.must(err)
		opens[i], err = wire.DecodeOpen(m.Body)
		s.must(err)
	}
	for i, r := range readers {
		session := wire.Negotiate(opens[1-i], opens[i])
		r.SetMaxLen(session.MaxLen)
		seen := make(map[netip.Prefix]bool)
		for {
			m, err := r.Next()
			if err == io.EOF {
				break
			}
			s.must(err)
			longest[i] = max(longest[i], m.Len())
			if m.Type != wire.TypeUpdate {
				continue
			}
			var u wire.Update
			if report := session.DecodeUpdate(m.Body, &u); report.Outcome != wire.Accept {
				s.t.Errorf("%v", report)
			}
			for _, p := range u.NLRI {
				if exported[1].Contains(p.Addr()) {
					seen[p] = true
				}
			}
		}
		prefixes[i] = len(seen)
	}
	return longest, prefixes
}
