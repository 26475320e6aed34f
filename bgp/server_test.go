package bgp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// status of the one peer of a host.
func status(t *testing.T, h *host) bgp.SessionStatus {
	t.Helper()
	s := h.Status()
	if len(s) != 1 {
		t.Fatalf("%d peers", len(s))
	}
	return s[0]
}

// scripted runs a speaker on A with B as its scripted, passive peer, already
// connected.
func scripted(t *testing.T, edit ...func(*bgp.Config)) (*host, *bgptest.Script, net.Listener) {
	t.Helper()
	n := bgptest.NewNet()
	l, err := n.Listen(t.Context(), at(hostB))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := conf(hostA, hostB)
	for _, f := range edit {
		f(&c)
	}
	h := speak(t, n, hostA, true, c)
	return h, bgptest.Await(t, l), l
}

func openB(edit ...func(*wire.Open)) *wire.Open { return peerOpen(edit...) }

func TestOpenOctets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, _ := scripted(t, func(c *bgp.Config) { c.LocalAS = 4200000001 })
		m := s.Expect(wire.TypeOpen)
		bgptest.Golden(t, m.Body, `
			04            # version
			5ba0          # AS_TRANS
			0009          # hold time
			c0000201      # identifier
			1a            # optional parameters
			02 18         # capabilities
			01 04 0001 00 01     # IPv4 unicast
			01 04 0002 00 01     # IPv6 unicast
			02 00                # route refresh
			41 04 fa56ea01       # four-octet AS
			46 00                # enhanced route refresh
			06 00                # extended message`)
		s.Conn.Close()
	})
}

// What a walk-through's capture shows, octet by octet.
func TestUpdateOctets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t, func(c *bgp.Config) { c.NextHopIPv6 = netip.Addr{} })
		s.Establish(openB())
		s.Table()
		announce(h, hostB, &bgp.Attrs{Origin: wire.OriginIncomplete}, "172.19.100.1/32")
		bgptest.Golden(t, s.Expect(wire.TypeUpdate).Body, `
			0000                       # withdrawn
			0014                       # attributes
			40 01 01 02                # ORIGIN incomplete
			40 02 06 02 01 0000fde9    # AS_PATH 65001
			40 03 04 c0000201          # NEXT_HOP
			20 ac136401`)
		announce(h, hostB, nil, "172.19.100.1/32")
		bgptest.Golden(t, s.Expect(wire.TypeUpdate).Body, "0005 20 ac136401 0000")
		// IPv6 without a next hop for it is held back, and said to be.
		announce(h, hostB, &bgp.Attrs{}, "2001:db8:1::/64")
		synctest.Wait()
		if st := status(t, h); st.Withheld != 1 || st.Advertised != 0 || st.Desired != 1 {
			t.Errorf("withheld %d, advertised %d, desired %d", st.Withheld, st.Advertised, st.Desired)
		}
		announce(h, hostB, &bgp.Attrs{NextHop: netip.MustParseAddr("2001:db8::1")}, "2001:db8:1::/64")
		bgptest.Golden(t, s.Expect(wire.TypeUpdate).Body, `
			0000 002e
			80 0e 1e 0002 01 10 20010db8000000000000000000000001 00 40 20010db800010000
			40 01 01 00
			40 02 06 02 01 0000fde9`)
		s.Conn.Close()
	})
}

func TestInternalSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t, func(c *bgp.Config) { c.RemoteAS = c.LocalAS })
		s.Establish(wire.NewOpen(65001, 90, hostB, both...))
		s.Table()
		announce(h, hostB, &bgp.Attrs{Prepend: 3}, "172.19.100.1/32")
		if a := s.NextUpdate().Attrs; a.LocalPref != wire.Some(100) || len(a.ASPath) != 0 {
			t.Errorf("unset: LOCAL_PREF %v AS_PATH %v, want 100 and none", a.LocalPref, a.ASPath)
		}
		announce(h, hostB, &bgp.Attrs{LocalPref: ptr(uint32(0))}, "172.19.100.1/32")
		if a := s.NextUpdate().Attrs; a.LocalPref != wire.Some(0) {
			t.Errorf("0 asked for: LOCAL_PREF %v", a.LocalPref)
		}
		s.Conn.Close()
	})
}

func TestPeerWithoutFourOctetAS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t, func(c *bgp.Config) { c.LocalAS = 4200000001 })
		s.Establish(&wire.Open{Version: 4, AS: 65002, HoldTime: 90, ID: hostB})
		s.Table()
		announce(h, hostB, &bgp.Attrs{}, "172.19.100.1/32", "2001:db8:1::/64")
		bgptest.Golden(t, s.Expect(wire.TypeUpdate).Body, `
			0000 001b
			40 01 01 00
			40 02 04 02 01 5ba0           # AS_PATH AS_TRANS
			40 03 04 c0000201
			c0 11 06 02 01 fa56ea01       # AS4_PATH
			20 ac136401`)
		synctest.Wait()
		if st := status(t, h); st.Withheld != 1 || st.AS4 || len(st.Families) != 1 {
			t.Errorf("no capabilities: withheld %d, AS4 %v, families %v", st.Withheld, st.AS4, st.Families)
		}
		s.Conn.Close()
	})
}

// A peer that breaks the protocol gets the NOTIFICATION that the RFCs say, and the
// speaker lives on.
func TestWhatABadPeerGets(t *testing.T) {
	hex := func(s string) func(*testing.T, *bgptest.Script) {
		return func(t *testing.T, p *bgptest.Script) { p.Send(bgptest.Hex(t, s)) }
	}
	msg := func(s string) func(*testing.T, *bgptest.Script) { return hex(bgptest.Marker + s) }
	const sent, confirmed, up = bgp.OpenSent, bgp.OpenConfirm, bgp.Established
	for _, r := range []struct {
		name      string
		state     bgp.State
		do        func(*testing.T, *bgptest.Script)
		code, sub uint8
		data      string
	}{
		{"no marker", sent, hex("00ffffffffffffffffffffffffffffff 001d 01"), 1, 1, ""},
		{"HTTP", up, hex("474554202f20485454502f312e310d0a0d0a 0000"), 1, 1, ""},
		{"length below the header", up, msg("0012 04"), 1, 2, "0012"},
		{"length above 4096", up, msg("1001 02"), 1, 2, "1001"},
		{"length 65535", up, msg("ffff 02"), 1, 2, "ffff"},
		{"short OPEN", sent, msg("001c 01"), 1, 2, "001c"},
		{"long KEEPALIVE", up, msg("0014 04 00"), 1, 2, "0014"},
		{"short UPDATE", up, msg("0016 02"), 1, 2, "0016"},
		{"type 0", up, msg("0013 00"), 1, 3, "00"},
		{"type 9", up, msg("0013 09"), 1, 3, "09"},
		{"version 3", sent, msg("001d 01 03 fdea 00b4 c0000202 00"), 2, 1, "0004"},
		{"AS 65009", sent, msg("001d 01 04 fdf1 00b4 c0000202 00"), 2, 2, ""},
		{"AS 0", sent, msg("001d 01 04 0000 00b4 c0000202 00"), 2, 2, ""},
		{"identifier 0.0.0.0", sent, msg("001d 01 04 fdea 00b4 00000000 00"), 2, 3, ""},
		{"parameter 1", sent, msg("0021 01 04 fdea 00b4 c0000202 04 01 02 0000"), 2, 4, ""},
		{"hold time 1", sent, msg("001d 01 04 fdea 0001 c0000202 00"), 2, 6, ""},
		{"hold time 2", sent, msg("001d 01 04 fdea 0002 c0000202 00"), 2, 6, ""},
		{"no common family", sent, msg("0025 01 04 fdea 00b4 c0000202 08 02 06 01 04 0019 00 41"), 2, 7, "010400010001 010400020001"},
		{"capability longer than its parameter", sent, msg("0021 01 04 fdea 00b4 c0000202 04 02 02 01 04"), 2, 0, ""},
		{"KEEPALIVE first", sent, msg("0013 04"), 5, 1, "04"},
		{"UPDATE first", sent, msg("0017 02 0000 0000"), 5, 1, "02"},
		{"broken UPDATE first", sent, msg("0017 02 ffff ffff"), 5, 1, "02"},
		{"ROUTE-REFRESH first", sent, msg("0017 05 0001 00 01"), 5, 1, "05"},
		{"UPDATE before KEEPALIVE", confirmed, msg("0017 02 0000 0000"), 5, 2, "02"},
		{"broken UPDATE before KEEPALIVE", confirmed, msg("0017 02 ffff ffff"), 5, 2, "02"},
		{"OPEN again", confirmed, msg("001d 01 04 fdea 00b4 c0000202 00"), 5, 2, "01"},
		{"OPEN on a session", up, msg("001d 01 04 fdea 00b4 c0000202 00"), 5, 3, "01"},
		{"withdrawn longer than the message", up, msg("0017 02 0001 0000"), 3, 1, ""},
		{"attributes longer than the message", up, msg("0017 02 0000 0001"), 3, 1, ""},
		{"prefix length 33", up, msg("001c 02 0005 21 0a0000 00 0000"), 3, 10, ""},
		{"MP_UNREACH_NLRI twice", up, msg("0023 02 0000 000c 80 0f 03 0002 01 80 0f 03 0002 01"), 3, 1, ""},
		{"ROUTE-REFRESH of three octets", up, msg("0016 05 0001 00"), 1, 2, "0016"},
		{"silence after OPEN", confirmed, func(*testing.T, *bgptest.Script) {}, 4, 0, ""},
		{"silence on a session", up, func(*testing.T, *bgptest.Script) {}, 4, 0, ""},
		{"no OPEN", sent, func(*testing.T, *bgptest.Script) {}, 4, 0, ""},
	} {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, s, l := scripted(t)
				switch r.state {
				case sent:
					s.ExpectOpen()
				case confirmed:
					s.ExpectOpen()
					s.Open(openB())
				case up:
					s.Establish(openB())
					h.heard.WaitUp(t, hostB.String(), 1)
				}
				r.do(t, s)
				n := s.ExpectNotification(r.code, r.sub)
				if want := bgptest.Hex(t, r.data); string(n.Data) != string(want) {
					t.Errorf("data %x, want %x", n.Data, want)
				}
				// The next session is as good as any.
				s = bgptest.Await(t, l)
				s.Establish(openB())
				s.Table()
				s.Conn.Close()
			})
		})
	}
}

func TestRefusedAfterOpenIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		h, s, l := scripted(t)
		var at []time.Duration
		for time.Since(begin) < 5*time.Minute {
			s.ExpectOpen()
			s.Notify(&wire.Notification{Code: 2, Subcode: 2})
			s.ExpectEnd()
			at = append(at, time.Since(begin))
			s = bgptest.Await(t, l)
		}
		if len(at) > 20 {
			t.Errorf("%d attempts in five minutes", len(at))
		}
		if len(at) < 5 || at[4] > 2*time.Second {
			t.Errorf("the first attempts are slow: %v", at)
		}
		if st := status(t, h); st.LastError.Down.Cause != bgp.CausePeerNotification || st.LastError.Down.Notification.Subcode != 2 {
			t.Errorf("last error %v", st.LastError.Down)
		}
		s.Conn.Close()
	})
}

func TestPeerOutOfReachIsFoundSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		a := speak(t, n, hostA, false, conf(hostA, hostB))
		pass(time.Hour) // nobody listens
		b := speak(t, n, hostB, true, conf(hostB, hostA))
		back := time.Now()
		b.heard.WaitUp(t, hostA.String(), 1)
		a.heard.WaitUp(t, hostB.String(), 1)
		if d := time.Since(back); d > time.Second {
			t.Errorf("a peer that refused was found after %v", d)
		}
		n.Crash(hostB)
		a.heard.WaitDown(t, hostB.String(), 1)
		b.stop()
		pass(time.Hour) // nobody answers
		n.Boot(hostB)
		b = speak(t, n, hostB, true, conf(hostB, hostA))
		back = time.Now()
		b.heard.WaitUp(t, hostA.String(), 1)
		if d := time.Since(back); d > 2*time.Second {
			t.Errorf("a peer that did not answer was found after %v", d)
		}
	})
}

// A node loses its power and comes back before the hold time is over. The switch
// must take it back at once, whether the node's TCP resets the old connection or
// not.
func TestPowerCycle(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(map[bool]string{false: "RST", true: "no RST"}[silent], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := bgptest.NewNet()
				long := func(c bgp.Config) bgp.Config {
					c.HoldTime = ptr(180 * time.Second)
					return c
				}
				passive := long(conf(hostB, hostA))
				passive.Passive = true
				b := speak(t, n, hostB, true, passive) // the switch
				node := speak(t, n, hostA, false, long(conf(hostA, hostB)))
				announce(node, hostB, &bgp.Attrs{}, "172.19.100.1/32")
				b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
				n.Crash(hostA)
				if silent {
					n.Silence(hostA)
				}
				node.stop()
				pass(20 * time.Second)
				if !b.heard.Heard(hostA.String()).Up {
					t.Fatal("the switch noticed too early for this test")
				}
				n.Boot(hostA)
				back := time.Now()
				node = speak(t, n, hostA, false, long(conf(hostA, hostB)))
				announce(node, hostB, &bgp.Attrs{}, "172.19.100.1/32", "172.19.100.2/32")
				h := b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32", "172.19.100.2/32")
				if d := time.Since(back); d > 1100*time.Millisecond {
					t.Errorf("routes back after %v", d)
				}
				want := bgp.CauseConnectionLost
				if silent {
					want = bgp.CauseReplaced
				}
				if h.Downs[0].Cause != want {
					t.Errorf("the old session ended with %v, want %v", h.Downs[0], want)
				}
			})
		})
	}
}

// Someone else at the peer's address, or the peer gone mad, opens connections
// while the session lives: it must not suffer.
func TestSessionSurvivesSecondConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		a := speak(t, n, hostA, true, conf(hostA, hostB))
		speak(t, n, hostB, true, conf(hostB, hostA))
		pass(10 * time.Second) // both dialed at once: let them settle
		a.heard.WaitUp(t, hostB.String(), 1)
		ups := len(a.heard.Heard(hostB.String()).Story)
		for range 50 {
			s := bgptest.Connect(t, n, hostB, at(hostA))
			s.Open(openB())
			s.ExpectNotification(6, 7)
		}
		for range 50 {
			c, err := n.Dial(t.Context(), hostB, at(hostA))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		pass(time.Minute)
		if h := a.heard.Heard(hostB.String()); len(h.Story) != ups || !h.Up {
			t.Errorf("the session suffered: %v", h.Story)
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		speak(t, n, hostA, true, conf(hostA, hostB))
		synctest.Wait()
		s := bgptest.Connect(t, n, hostC, at(hostA))
		if m, err := s.Conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("a stranger was told %d octets", m)
		}
	})
}

func TestSetPeersTouchesOnlyWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		ab, ac := conf(hostA, hostB), conf(hostA, hostC)
		a := speak(t, n, hostA, true, ab, ac)
		b := speak(t, n, hostB, true, passive(conf(hostB, hostA)))
		c := speak(t, n, hostC, true, passive(conf(hostC, hostA)))
		attrs := &bgp.Attrs{}
		announce(a, hostB, attrs, "172.19.100.1/32")
		announce(a, hostC, attrs, "172.19.100.1/32")
		b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
		c.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")

		set := func(peers ...bgp.Config) {
			t.Helper()
			if err := a.SetPeers(peers); err != nil {
				t.Fatal(err)
			}
			pass(10 * time.Second)
		}
		ups := func(want ...int) {
			t.Helper()
			got := []int{b.heard.Heard(hostA.String()).Ups, c.heard.Heard(hostA.String()).Ups}
			if !slices.Equal(got, want) {
				t.Errorf("sessions of b and c: %v, want %v", got, want)
			}
		}
		same := ab
		same.Families = slices.Clone(ab.Families)
		slices.Reverse(same.Families)
		set(ac, same)
		ups(1, 1)
		ab.HoldTime = ptr(30 * time.Second)
		set(ac, ab)
		ups(2, 1)
		b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32") // kept over the change
		if d := b.heard.Heard(hostA.String()).Downs[0]; d.Notification.Code != 6 || d.Notification.Subcode != 6 {
			t.Errorf("changed: b was told %v", d)
		}
		bad := ac
		bad.RemoteAS = 0
		if err := a.SetPeers([]bgp.Config{ab, bad}); err == nil {
			t.Error("an invalid set was taken")
		}
		set(ab)
		ups(2, 1)
		if d := c.heard.Heard(hostA.String()).Downs[0]; d.Notification.Code != 6 || d.Notification.Subcode != 3 {
			t.Errorf("removed: c was told %v", d)
		}
		if got := a.Status(); len(got) != 1 || got[0].Name != hostB.String() {
			t.Errorf("status of %d peers", len(got))
		}
		announce(a, hostC, attrs, "172.19.100.9/32") // nobody's
		set(ab, ac)
		ups(2, 2)
		if h := c.heard.WaitUp(t, hostA.String(), 2); len(h.Routes) != 0 {
			t.Errorf("a peer that was removed and came back has old routes: %v", h.Routes)
		}
		// Removed and added within a moment: one goodbye, then the new session.
		for range 3 {
			if err := errors.Join(a.SetPeers([]bgp.Config{ab}), a.SetPeers([]bgp.Config{ab, ac})); err != nil {
				t.Fatal(err)
			}
		}
		pass(10 * time.Second)
		if h := a.heard.Heard(hostC.String()); !h.Up || len(h.Downs) != h.Ups-1 {
			t.Errorf("c: %v", h.Story)
		}
	})
}

func passive(c bgp.Config) bgp.Config {
	c.Passive = true
	return c
}

func TestResetKeepsRoutesAndHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		a := speak(t, n, hostA, true, conf(hostA, hostB), conf(hostA, hostC))
		b := speak(t, n, hostB, true, passive(conf(hostB, hostA)))
		c := speak(t, n, hostC, true, passive(conf(hostC, hostA)))
		announce(a, hostB, &bgp.Attrs{}, "172.19.100.1/32")
		b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
		c.heard.WaitUp(t, hostA.String(), 1)
		begin := time.Now()
		a.Reset("moving to rack 7", hostB.String(), "a stranger")
		h := b.heard.WaitUp(t, hostA.String(), 2)
		if d := h.Downs[0]; d.String() != `notification received: Cease/Administrative Reset (6/4): "moving to rack 7"` {
			t.Errorf("b was told %v", d)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("back after %v", took)
		}
		b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
		st := a.Status()[0]
		if st.Establishments != 2 || st.Drops != 1 || st.LastResetByUs.Down.Cause != bgp.CauseReset || st.Sent.Opens < 2 {
			t.Errorf("status %+v", st)
		}
		if ups := c.heard.Heard(hostA.String()).Ups; ups != 1 {
			t.Errorf("c has had %d sessions", ups)
		}
	})
}

// A peer that was refused stays out until it is reset.
func TestRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		a := speak(t, n, hostA, true, conf(hostA, hostB))
		b := speak(t, n, hostB, true, passive(conf(hostB, hostA)))
		a.heard.WaitUp(t, hostB.String(), 1)
		b.heard.WaitUp(t, hostA.String(), 1)
		a.Refuse(hostB.String(), &wire.Notification{Code: wire.CodeCease, Subcode: wire.SubCeaseMaxPrefixes})
		if d := b.heard.WaitDown(t, hostA.String(), 1).Downs[0]; d.Notification == nil || d.Notification.Subcode != wire.SubCeaseMaxPrefixes {
			t.Errorf("b was told %v", d)
		}
		pass(10 * time.Minute)
		if st := status(t, a); st.State != bgp.Idle || st.LastResetByUs.Down.Cause != bgp.CauseRefused || b.heard.Heard(hostA.String()).Ups != 1 {
			t.Errorf("refused for ten minutes: %+v", st)
		}
		a.Reset("", hostB.String())
		b.heard.WaitUp(t, hostA.String(), 2)
	})
}

// The path's end ends the session at once, and the peer is told why where it can
// still hear it (RFC 9384).
func TestPathDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		a := speak(t, n, hostA, true, conf(hostA, hostB))
		b := speak(t, n, hostB, true, passive(conf(hostB, hostA)))
		a.heard.WaitUp(t, hostB.String(), 1)
		b.heard.WaitUp(t, hostA.String(), 1)
		before := time.Now()
		a.PathDown(hostB.String())
		if d := a.heard.WaitDown(t, hostB.String(), 1).Downs[0]; d.Cause != bgp.CausePathDown || len(d.Retain) > 0 || time.Since(before) > 0 {
			t.Errorf("ended after %v: %v", time.Since(before), d)
		}
		if d := b.heard.WaitDown(t, hostA.String(), 1).Downs[0]; d.String() != "notification received: Cease/BFD Down (6/10)" {
			t.Errorf("b was told %v", d)
		}
		a.heard.WaitUp(t, hostB.String(), 2) // the session may come back; BFD follows it
	})
}

func TestPasswordStaysSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		c := conf(hostA, hostB)
		c.Password = "hunter2"
		h := speak(t, n, hostA, false, c)
		synctest.Wait()
		st := status(t, h)
		if s := fmt.Sprintf("%+v", st); strings.Contains(s, "hunter2") || !st.Authenticated {
			t.Error("status shows the password, or not that there is one")
		}
		c.Password = strings.Repeat("hunter2", 20)
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	})
}

func TestStatusTellsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		h, s, _ := scripted(t)
		s.Establish(openB(func(o *wire.Open) { o.HoldTime = 6 }))
		h.heard.WaitUp(t, hostB.String(), 1)
		s.Table()
		announce(h, hostB, &bgp.Attrs{}, "172.19.100.1/32", "172.19.100.2/32")
		s.NextUpdate()
		s.Announce(&wire.Attrs{ASPath: wire.Sequence(65002), NextHop: hostB}, "198.51.100.0/24", "203.0.113.0/24")
		s.Withdraw("203.0.113.0/24")
		s.Send(wire.AppendEndOfRIB(nil, wire.IPv4Unicast))
		h.heard.WaitRoutes(t, hostB.String(), "198.51.100.0/24")
		pass(3 * time.Second)
		s.Keepalive()
		synctest.Wait()
		st := status(t, h)
		for _, c := range []struct {
			what      string
			got, want any
		}{
			{"state", st.State, bgp.Established},
			{"since", st.Since.Equal(begin), true},
			{"hold time", st.HoldTime, 6 * time.Second},
			{"keepalive time", st.KeepaliveTime, 2 * time.Second},
			{"hold due", st.HoldDue.Sub(begin), 9 * time.Second},
			{"local", st.LocalAddr.Addr(), hostA},
			{"remote", st.RemoteAddr, at(hostB)},
			{"remote id", st.RemoteID, hostB},
			{"remote as", st.RemoteAS, uint32(65002)},
			{"as4", st.AS4, true},
			{"sent capabilities", len(st.CapabilitiesSent), 6},
			{"received capabilities", len(st.CapabilitiesReceived), 4},
			{"families", len(st.Families), 2},
			{"end of rib received", st.Families[0].EndOfRIBReceived.Equal(begin), true},
			{"end of rib of IPv6", st.Families[1].EndOfRIBReceived.IsZero(), true},
			{"end of rib sent", st.Families[1].EndOfRIBSent.Equal(begin), true},
			{"advertised", st.Advertised, 2},
			{"advertised IPv4", st.Families[0].Advertised, 2},
			{"pending", st.Pending, 0},
			{"announced", st.Announced, uint64(2)},
			{"withdrawn", st.Withdrawn, uint64(1)},
			{"opens in", st.Received.Opens, uint64(1)},
			{"updates in", st.Received.Updates, uint64(3)},
			{"keepalives in", st.Received.Keepalives, uint64(2)},
			{"opens out", st.Sent.Opens, uint64(1)},
			{"updates out", st.Sent.Updates, uint64(3)},
			{"last read", st.LastRead.Sub(begin), 3 * time.Second},
			{"establishments", st.Establishments, uint64(1)},
		} {
			if c.got != c.want {
				t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
			}
		}
		if st.Received.Total() != 6 || st.Received.Bytes < 6*wire.HeaderLen || st.Sent.Keepalives < 2 {
			t.Errorf("received %+v, sent %+v", st.Received, st.Sent)
		}
		s.Notify(wire.Shutdown(wire.SubCeaseShutdown, "maintenance"))
		h.heard.WaitDown(t, hostB.String(), 1)
		synctest.Wait()
		st = status(t, h)
		if st.State != bgp.Idle || st.Drops != 1 || !strings.Contains(st.LastResetByPeer.Down.String(), "maintenance") ||
			!st.LastResetByUs.At.IsZero() || st.HoldTime != 0 || st.Advertised != 0 || st.RetryAt.IsZero() {
			t.Errorf("after the end: %+v", st)
		}
		s.Conn.Close()
	})
}

// Without a dialer a server waits for its peers.
func TestServerWithoutDialer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		heard := bgptest.NewRecorder()
		s, err := bgp.NewServer(bgp.Options{Listener: n.Listen, ListenAddrs: []netip.AddrPort{at(hostB)}, Handler: heard})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetPeers([]bgp.Config{conf(hostB, hostA)}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		if st := s.Status()[0]; st.State != bgp.Active || !st.Config.Passive {
			t.Errorf("%v, passive %v", st.State, st.Config.Passive)
		}
		speak(t, n, hostA, false, conf(hostA, hostB))
		heard.WaitUp(t, hostA.String(), 1)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestRunReportsASocketItCannotHave(t *testing.T) {
	n := bgptest.NewNet()
	if _, err := n.Listen(t.Context(), at(hostA)); err != nil {
		t.Fatal(err)
	}
	s, err := bgp.NewServer(bgp.Options{Listener: n.Listen, ListenAddrs: []netip.AddrPort{at(hostA)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err == nil {
		t.Error("Run returned nil")
	}
}
