package bgp_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// Whatever happens, in whatever order, a machine keeps its promises.
func TestMachineKeepsItsPromises(t *testing.T) {
	ups := 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 3))
		b := newBench(func(c *bgp.Config) {
			c.Passive = seed%5 == 0
			if seed%3 > 0 {
				c.GracefulRestart = &bgp.GracefulRestart{Restart: time.Duration(seed%2) * time.Minute}
			}
		})
		var (
			log         []string
			open        = map[bgp.ConnID]bool{} // TCP connections that are there
			greeted     = map[bgp.ConnID]bool{} // that we sent an OPEN on
			next        bgp.ConnID
			dialing     bool
			established bgp.ConnID
			kept        bool       // routes of the last session are retained
			restarting  bool       // as the next OPEN has to say
			last        *wire.Open // of the Established session's peer
			offered     = map[bgp.ConnID]*wire.Open{}
			stopped     = true
		)
		fail := func(format string, args ...any) {
			t.Fatalf("seed %d: %s:\n%s", seed, fmt.Sprintf(format, args...), strings.Join(log, "\n"))
		}
		pick := func() bgp.ConnID {
			if there := slices.Sorted(maps.Keys(open)); len(there) > 0 && r.IntN(8) > 0 {
				return there[r.IntN(len(there))]
			}
			return 1 + bgp.ConnID(r.IntN(int(next)+1))
		}
		for range 300 {
			var e bgp.Event
			switch r.IntN(18) {
			case 0:
				start := bgp.Start{Restarting: r.IntN(2) == 0}
				restarting = restarting || stopped && start.Restarting
				e, stopped = start, false
			case 1:
				if r.IntN(8) == 0 {
					e = bgp.Stop{Cause: stops[r.IntN(len(stops))], Notification: &wire.Notification{Code: 6, Subcode: 2}}
					stopped = true
				}
			case 2, 3:
				if dialing {
					next++
					open[next], dialing = true, false
					e = bgp.Connected{Conn: next}
				}
			case 4:
				if dialing {
					dialing = false
					e = bgp.ConnectFailed{Err: errTest}
				}
			case 5:
				next++
				open[next] = true
				e = bgp.Accepted{Conn: next}
			case 6:
				e = bgp.Closed{Conn: pick()}
			case 7, 8:
				o := peerOpen()
				if r.IntN(3) == 0 {
					o.ID = hostA.Prev()
				}
				if r.IntN(2) == 0 {
					restarter(notifies(r.IntN(2) == 0))(o)
				}
				e = bgp.OpenReceived{Conn: pick(), Open: o}
			case 9, 10:
				e = bgp.KeepaliveReceived{Conn: pick()}
			case 11:
				e = bgp.UpdateReceived{Conn: pick()}
			case 12:
				n := &wire.Notification{Code: 6}
				if r.IntN(2) == 0 {
					n = wire.HardReset(n)
				}
				e = bgp.NotificationReceived{Conn: pick(), Notification: n}
			case 13:
				e = bgp.Alive{Conn: pick(), Alive: r.IntN(2) == 0}
			case 14:
				e = bgp.PathDown{}
			case 15:
				if r.IntN(4) == 0 {
					e = bgp.SendStalled{Conn: pick()}
				}
			default:
				if d := b.Deadline(); !d.IsZero() {
					b.now = d
					if r.IntN(10) == 0 {
						b.now = d.Add(time.Duration(r.IntN(60)) * time.Second)
					}
					e = bgp.Tick{}
				}
			}
			if e == nil {
				continue
			}
			if c, ok := e.(bgp.Closed); ok && !open[c.Conn] {
				continue
			}
			if o, ok := e.(bgp.OpenReceived); ok && open[o.Conn] && offered[o.Conn] == nil {
				offered[o.Conn] = o.Open
			}
			log = append(log, fmt.Sprintf("%T%+v", e, e))
			for _, f := range b.Step(b.now, e) {
				log = append(log, "\t"+tell(f))
				switch f := f.(type) {
				case bgp.Dial:
					if dialing {
						fail("a second dial at a time")
					}
					dialing = true
				case bgp.CancelDial:
					dialing = false
				case bgp.SendOpen:
					if !open[f.Conn] || greeted[f.Conn] {
						fail("OPEN on %d", f.Conn)
					}
					if g, ok := f.Open.GracefulRestart(); ok && g.Restarting != restarting {
						fail("R bit is %t, want %t", g.Restarting, restarting)
					}
					greeted[f.Conn] = true
				case bgp.SendKeepalive:
					if !open[f.Conn] || !greeted[f.Conn] {
						fail("KEEPALIVE on %d", f.Conn)
					}
				case bgp.Close:
					if !open[f.Conn] {
						fail("%d closed twice", f.Conn)
					}
					delete(open, f.Conn)
				case bgp.Up:
					if established != 0 || !open[f.Conn] {
						fail("up on %d while on %d", f.Conn, established)
					}
					established, last, restarting, kept = f.Conn, offered[f.Conn], false, false
					ups++
				case bgp.Deliver:
					if f.Conn != established {
						fail("delivers from %d while on %d", f.Conn, established)
					}
				case bgp.Abandoned:
					if established != 0 || !kept || e != (bgp.PathDown{}) {
						fail("abandons after %v, kept %t", e, kept)
					}
					kept = false
				case bgp.Ended:
					if established == 0 || open[established] {
						fail("ended while on %d, open %v", established, open)
					}
					if why := mayNotRetain(f.Down, last, seed%3 > 0); why != "" && len(f.Down.Retain) > 0 {
						fail("retains %v, though %s", f.Down.Retain, why)
					} else if why == "" && len(f.Down.Retain) != 1 {
						fail("%v: retains %v", f.Down, f.Down.Retain)
					}
					established, kept = 0, len(f.Down.Retain) > 0
				}
			}
			if (established != 0) != (b.State() == bgp.Established) {
				fail("state %v, established on %d", b.State(), established)
			}
			if len(open) > 2 {
				fail("%d connections", len(open))
			}
			if d := b.Deadline(); e == (bgp.Tick{}) && !d.IsZero() && !d.After(b.now) {
				fail("a deadline that has passed after Tick: %v", d.Sub(b.now))
			}
		}
		b.do(bgp.Stop{Cause: bgp.CauseShutdown, Notification: &wire.Notification{Code: 6, Subcode: 2}})
		if !b.Deadline().IsZero() || b.State() != bgp.Idle {
			fail("after Stop: %v, deadline %v", b.State(), b.Deadline())
		}
	}
	if ups < 1000 {
		t.Errorf("only %d sessions came up: the test does not reach far", ups)
	}
}

// stops are all causes of Stop.
var stops = []bgp.Cause{
	bgp.CauseShutdown, bgp.CauseAdminShutdown, bgp.CauseDeconfigured, bgp.CauseConfigChange, bgp.CauseReset, bgp.CauseRefused,
}

// mayNotRetain is why the end of a session must leave no routes of a peer with this
// OPEN (RFC 4724 §4.2, RFC 8538 §4); empty: it has to.
func mayNotRetain(d bgp.Down, o *wire.Open, offered bool) string {
	g, ok := o.GracefulRestart()
	hard := false
	if d.Notification != nil {
		_, hard = d.Notification.HardReset()
	}
	switch {
	case !offered || !ok:
		return "not both offer graceful restart"
	case hard:
		return "the reset is hard"
	}
	switch d.Cause {
	case bgp.CauseShutdown, bgp.CauseAdminShutdown, bgp.CauseDeconfigured, bgp.CauseRefused, bgp.CausePathDown:
		return "it is " + d.Cause.String()
	case bgp.CauseConnectionLost, bgp.CauseReplaced, bgp.CauseCollision:
		return ""
	}
	if !g.Notification {
		return "the peer has no N bit"
	}
	return ""
}

// A peer that sends damaged messages is answered, session after session; the
// speaker's other session does not notice.
func TestDamagedMessages(t *testing.T) {
	e := wire.Encoder{Session: wire.Session{AS4: true, Families: both}}
	attrs := &wire.Attrs{
		ASPath: wire.Sequence(65002, 65009), NextHop: hostB, NextHop6: conf(hostB, hostA).NextHopIPv6, MED: wire.Some(1),
		Communities: []wire.Community{1}, LargeCommunities: []wire.LargeCommunity{{Global: 1}},
	}
	var good []byte
	good, _, err := e.AppendReach(good, attrs, bgptest.Prefixes("198.51.100.0/24", "2001:db8:1::/64"), nil)
	if err != nil {
		t.Fatal(err)
	}
	good = wire.AppendRouteRefresh(good, wire.RouteRefresh{Family: wire.IPv4Unicast})
	good = wire.AppendKeepalive(good)
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		passive := conf(hostA, hostB)
		passive.Passive = true
		a := speak(t, n, hostA, true, passive, conf(hostA, hostC))
		witness := conf(hostC, hostA)
		witness.Passive = true
		c := speak(t, n, hostC, true, witness)
		announce(a, hostC, &bgp.Attrs{}, "172.19.100.1/32")
		c.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
		r := rand.New(rand.NewPCG(1, 2))
		reached := 0
		for i := range 500 {
			pass(time.Second)
			s := bgptest.Connect(t, n, hostB, at(hostA))
			stream, _ := wire.AppendOpen(nil, openB())
			stream = wire.AppendKeepalive(stream)
			head := len(stream)
			stream = append(stream, good...)
			from := head
			if i%4 == 0 {
				from = 0 // OPEN, too
			}
			for range 1 + r.IntN(3) {
				switch at := from + r.IntN(len(stream)-from); r.IntN(3) {
				case 0:
					stream[at] ^= 1 << r.IntN(8)
				case 1:
					stream[at] = byte(r.Uint32())
				case 2:
					stream = slices.Delete(stream, at, min(at+1+r.IntN(4), len(stream)))
				}
				if from >= len(stream) {
					break
				}
			}
			s.Conn.Write(stream)
			synctest.Wait()
			if a.Status()[0].State == bgp.Established {
				reached++
			}
			s.Conn.(*bgptest.Conn).Reset()
		}
		if reached < 50 {
			t.Errorf("only %d of 500 streams left an Established session: the test does not reach far", reached)
		}
		if h := c.heard.Heard(hostA.String()); !h.Up || h.Ups != 1 {
			t.Errorf("the other session: %v", h.Story)
		}
	})
}
