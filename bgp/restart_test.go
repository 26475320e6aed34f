package bgp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// gracefully offers graceful restart.
func gracefully(restart, longLived time.Duration) func(*bgp.Config) {
	return func(c *bgp.Config) {
		c.GracefulRestart = &bgp.GracefulRestart{Restart: restart, LongLived: longLived}
	}
}

// restarter is an OPEN with graceful restart for IPv4, for two minutes.
func restarter(edit ...func(*wire.GracefulRestart)) func(*wire.Open) {
	return func(o *wire.Open) {
		g := wire.GracefulRestart{
			Time: 2 * time.Minute, Notification: true,
			Families: []wire.GracefulFamily{{Family: wire.IPv4Unicast, Forwarding: true}},
		}
		for _, f := range edit {
			f(&g)
		}
		o.Capabilities = append(o.Capabilities, wire.GracefulRestartCapability(g))
	}
}

func notifies(on bool) func(*wire.GracefulRestart) {
	return func(g *wire.GracefulRestart) { g.Notification = on }
}

func longLived(d time.Duration) func(*wire.Open) {
	return func(o *wire.Open) {
		o.Capabilities = append(o.Capabilities, wire.LongLived(wire.LongLivedFamily{Family: wire.IPv4Unicast, StaleTime: d}))
	}
}

// established is a machine with a session to a peer with this OPEN.
func established(open *wire.Open, edit ...func(*bgp.Config)) *bench {
	b := in(bgp.OpenSent, edit...)
	b.do(bgp.OpenReceived{Conn: 1, Open: open}, bgp.KeepaliveReceived{Conn: 1})
	return b
}

// Which ends of a session leave routes in use (RFC 4724 §4.2, RFC 8538 §4).
func TestRetention(t *testing.T) {
	notif := func(n *wire.Notification) bgp.Event { return bgp.NotificationReceived{Conn: 1, Notification: n} }
	cease := func(sub uint8) *wire.Notification { return &wire.Notification{Code: wire.CodeCease, Subcode: sub} }
	for _, r := range []struct {
		name  string
		event bgp.Event // nil: the hold timer expires
		plain bool      // retained without the N bit
		both  bool      // retained where both sides set the N bit
	}{
		{"connection lost", bgp.Closed{Conn: 1, Err: errTest}, true, true},
		{"connection closed", bgp.Closed{Conn: 1}, true, true},
		{"hold timer", nil, false, true},
		{"send hold timer", bgp.SendStalled{Conn: 1}, false, true},
		{"notification", notif(cease(wire.SubCeaseShutdown)), false, true},
		{"hard reset", notif(wire.HardReset(cease(wire.SubCeaseShutdown))), false, false},
		{"our notification", bgp.Malformed{Conn: 1, Notification: &wire.Notification{Code: 3, Subcode: 9}}, false, true},
		{"our reset", bgp.Stop{Cause: bgp.CauseReset, Notification: cease(wire.SubCeaseReset)}, false, true},
		{"configuration", bgp.Stop{Cause: bgp.CauseConfigChange, Notification: cease(wire.SubCeaseConfigChange)}, false, true},
		{"our shutdown", bgp.Stop{Cause: bgp.CauseAdminShutdown, Notification: cease(wire.SubCeaseShutdown)}, false, false},
		{"deconfigured", bgp.Stop{Cause: bgp.CauseDeconfigured, Notification: cease(wire.SubCeaseDeconfigured)}, false, false},
		{"refused", bgp.Stop{Cause: bgp.CauseRefused, Notification: cease(wire.SubCeaseMaxPrefixes)}, false, false},
		{"path down", bgp.PathDown{}, false, false},
	} {
		for _, v := range []struct {
			name string
			b    *bench
			want bool
		}{
			{"without N", established(peerOpen(restarter(notifies(false))), gracefully(time.Minute, 0)), r.plain},
			{"with N", established(peerOpen(restarter(notifies(true))), gracefully(time.Minute, 0)), r.both},
			{"peer offers nothing", established(peerOpen(), gracefully(time.Minute, 0)), false},
			{"we offer nothing", established(peerOpen(restarter())), false},
		} {
			t.Run(r.name+"/"+v.name, func(t *testing.T) {
				var effects []bgp.Effect
				if r.event != nil {
					effects = v.b.Step(v.b.now, r.event)
				} else {
					v.b.now = v.b.Info().HoldDue
					effects = v.b.Step(v.b.now, bgp.Tick{})
				}
				i := slices.IndexFunc(effects, func(f bgp.Effect) bool { _, ok := f.(bgp.Ended); return ok })
				if i < 0 {
					t.Fatalf("the session goes on: %v", effects)
				}
				got := effects[i].(bgp.Ended).Down.Retain
				if v.want != (len(got) == 1 && got[0] == bgp.Retention{Family: wire.IPv4Unicast, Restart: 2 * time.Minute}) || !v.want && len(got) > 0 {
					t.Errorf("retained %+v", got)
				}
			})
		}
	}
}

// What the peer asks for, within what we allow.
func TestRetentionTimes(t *testing.T) {
	for _, r := range []struct {
		name string
		open *wire.Open
		edit func(*bgp.Config)
		want []bgp.Retention
	}{
		{"long-lived too", peerOpen(restarter(), longLived(time.Hour)), gracefully(0, 0),
			[]bgp.Retention{{Family: wire.IPv4Unicast, Restart: 2 * time.Minute, LongLived: time.Hour}}},
		{"a week is too long", peerOpen(restarter(), longLived(7*24*time.Hour)), gracefully(0, 0),
			[]bgp.Retention{{Family: wire.IPv4Unicast, Restart: 2 * time.Minute, LongLived: 24 * time.Hour}}},
		{"our own bounds", peerOpen(restarter(), longLived(time.Hour)), func(c *bgp.Config) {
			c.GracefulRestart = &bgp.GracefulRestart{MaxRestart: time.Second, MaxLongLived: time.Minute}
		}, []bgp.Retention{{Family: wire.IPv4Unicast, Restart: time.Second, LongLived: time.Minute}}},
		{"long-lived alone (RFC 9494 §4.2)", peerOpen(restarter(func(g *wire.GracefulRestart) { g.Families = nil }), longLived(time.Hour)), gracefully(0, 0),
			[]bgp.Retention{{Family: wire.IPv4Unicast, LongLived: time.Hour}}},
		{"a family of no session", peerOpen(restarter(func(g *wire.GracefulRestart) {
			g.Families[0].Family = wire.Family{AFI: 25, SAFI: 70}
		})), gracefully(0, 0), nil},
		{"a helper that never restarts", peerOpen(restarter(func(g *wire.GracefulRestart) { g.Families = nil })), gracefully(0, 0), nil},
	} {
		t.Run(r.name, func(t *testing.T) {
			b := established(r.open, r.edit)
			b.do(bgp.Closed{Conn: 1, Err: errTest})
			if got := b.Info().ResetByPeer.Down.Retain; !slices.Equal(got, r.want) {
				t.Errorf("retained %+v, want %+v", got, r.want)
			}
		})
	}
}

// A NOTIFICATION that is not to be answered by a graceful restart is wrapped, where
// the peer understands that (RFC 8538 §3); and no goodbye is said where the peer is
// to keep our routes.
func TestGoodbyes(t *testing.T) {
	stop := func(c bgp.Cause, sub uint8) bgp.Event {
		return bgp.Stop{Cause: c, Notification: &wire.Notification{Code: wire.CodeCease, Subcode: sub}}
	}
	for _, r := range []struct {
		name string
		open *wire.Open
		edit func(*bgp.Config)
		stop bgp.Event
		want string
	}{
		{"the process ends, peer keeps our routes", peerOpen(restarter()), gracefully(time.Minute, 0), stop(bgp.CauseShutdown, 2), "close 1"},
		{"the process ends, peer does not", peerOpen(), gracefully(time.Minute, 0), stop(bgp.CauseShutdown, 2), "close 1 6/2"},
		{"the process ends, we only help", peerOpen(restarter()), gracefully(0, 0), stop(bgp.CauseShutdown, 2), "close 1 6/2"},
		{"the process ends, nothing offered", peerOpen(restarter()), func(*bgp.Config) {}, stop(bgp.CauseShutdown, 2), "close 1 6/2"},
		{"shut down", peerOpen(restarter()), gracefully(time.Minute, 0), stop(bgp.CauseAdminShutdown, 2), "close 1 6/9 0602"},
		{"deconfigured", peerOpen(restarter()), gracefully(time.Minute, 0), stop(bgp.CauseDeconfigured, 3), "close 1 6/9 0603"},
		{"deconfigured, no N bit", peerOpen(restarter(notifies(false))), gracefully(time.Minute, 0), stop(bgp.CauseDeconfigured, 3), "close 1 6/3"},
		{"reset", peerOpen(restarter()), gracefully(time.Minute, 0), stop(bgp.CauseReset, 4), "close 1 6/4"},
		{"refused", peerOpen(restarter()), gracefully(time.Minute, 0), stop(bgp.CauseRefused, 1), "close 1 6/9 0601"},
		{"configuration", peerOpen(restarter()), gracefully(time.Minute, 0), stop(bgp.CauseConfigChange, 6), "close 1 6/6"},
		{"path down", peerOpen(restarter()), gracefully(time.Minute, 0), bgp.PathDown{}, "close 1 6/9 060a"},
		{"path down, no N bit", peerOpen(restarter(notifies(false))), gracefully(time.Minute, 0), bgp.PathDown{}, "close 1 6/10"},
	} {
		t.Run(r.name, func(t *testing.T) {
			if got := established(r.open, r.edit).do(r.stop); got[0] != r.want {
				t.Errorf("does %q, want %q", got, r.want)
			}
		})
	}
}

// A peer that restarted and connects again is taken at its word: the old session
// ends without a goodbye and its routes stay (RFC 4724 §5).
func TestRestartedPeerReplacesItsSession(t *testing.T) {
	b := established(peerOpen(restarter(notifies(false))), gracefully(time.Minute, 0))
	b.now = b.now.Add(5 * time.Second)
	b.do(bgp.Accepted{Conn: 2})
	got := strings.Join(b.do(bgp.OpenReceived{Conn: 2, Open: peerOpen(restarter(func(g *wire.GracefulRestart) { g.Restarting = true }))}), ", ")
	if want := "close 1, ended: replaced by a new connection of the peer, open 2, keepalive 2"; got != want {
		t.Errorf("does %q, want %q", got, want)
	}
	if r := b.Info().ResetByUs.Down.Retain; len(r) != 1 {
		t.Errorf("retained %+v", r)
	}
	if got := b.do(bgp.KeepaliveReceived{Conn: 2}); got[0] != "up 2" {
		t.Errorf("then %q", got)
	}
}

// A connection that was on its way when the session came up is no restart.
func TestCrossingConnectionIsNoRestart(t *testing.T) {
	b := established(peerOpen(restarter(notifies(false))), gracefully(time.Minute, 0))
	b.now = b.now.Add(4 * time.Second)
	b.do(bgp.Accepted{Conn: 2})
	if got := b.do(bgp.OpenReceived{Conn: 2, Open: peerOpen(restarter())}); len(got) > 0 {
		t.Errorf("does %q", got)
	}
	if got := b.do(bgp.Alive{Conn: 1, Alive: true}); got[0] != "close 2 6/7" {
		t.Errorf("the old one lives: %q", got)
	}
}

// The R bit is set until the first session, and never again.
func TestRestartingIsSaidOnce(t *testing.T) {
	b := newBench(gracefully(time.Minute, time.Hour))
	said := func(id bgp.ConnID) string {
		for _, f := range b.Step(b.now, bgp.Connected{Conn: id}) {
			if o, ok := f.(bgp.SendOpen); ok {
				g, _ := o.Open.GracefulRestart()
				return fmt.Sprint(g.Restarting, g.Notification, g.Time, len(g.Families), g.Families[0].Forwarding, o.Open.LongLived()[1].StaleTime)
			}
		}
		return "no OPEN"
	}
	b.do(bgp.Start{Restarting: true})
	if got := said(1); got != "true true 1m0s 2 true 1h0m0s" {
		t.Errorf("first: %s", got)
	}
	b.do(bgp.Closed{Conn: 1})
	b.due()
	if got := said(2); !strings.HasPrefix(got, "true") {
		t.Errorf("second: %s", got)
	}
	b.do(bgp.OpenReceived{Conn: 2, Open: peerOpen()}, bgp.KeepaliveReceived{Conn: 2}, bgp.Closed{Conn: 2})
	b.due()
	if got := said(3); !strings.HasPrefix(got, "false") {
		t.Errorf("after a session: %s", got)
	}
}

// What began to forward anew has preserved nothing, as the first session says; the
// next ones are of a node that forwarded all along.
func TestForwardingLostIsSaidOnce(t *testing.T) {
	for _, restarting := range []bool{true, false} {
		b := newBench(func(c *bgp.Config) {
			gracefully(time.Minute, time.Hour)(c)
			c.GracefulRestart.ForwardingLost = true
		})
		kept := func(id bgp.ConnID) bool {
			t.Helper()
			for _, f := range b.Step(b.now, bgp.Connected{Conn: id}) {
				if o, ok := f.(bgp.SendOpen); ok {
					g, _ := o.Open.GracefulRestart()
					if g.Families[0].Forwarding != o.Open.LongLived()[0].Forwarding {
						t.Error("graceful and long-lived graceful restart disagree")
					}
					return g.Families[0].Forwarding
				}
			}
			t.Fatal("no OPEN")
			return false
		}
		b.do(bgp.Start{Restarting: restarting})
		if kept(1) == restarting {
			t.Errorf("the first session says that forwarding was kept: %v, restarting %v", !restarting, restarting)
		}
		b.do(bgp.OpenReceived{Conn: 1, Open: peerOpen()}, bgp.KeepaliveReceived{Conn: 1}, bgp.Closed{Conn: 1})
		b.due()
		if !kept(2) {
			t.Error("the second session says that forwarding was lost")
		}
	}
}

// The whole of it on the wire: A's process goes and comes back, B retains and is told
// what was preserved.
func TestGracefulRestartOfTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		graceful := func(c bgp.Config) bgp.Config {
			gracefully(time.Minute, time.Hour)(&c)
			return c
		}
		b := speak(t, n, hostB, true, passive(graceful(conf(hostB, hostA))))
		a := speak(t, n, hostA, false, graceful(conf(hostA, hostB)))
		announce(a, hostB, &bgp.Attrs{}, "172.19.100.1/32")
		b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
		a.stop()
		down := b.heard.WaitDown(t, hostA.String(), 1).Downs[0]
		want := []bgp.Retention{
			{Family: wire.IPv4Unicast, Restart: time.Minute, LongLived: time.Hour},
			{Family: wire.IPv6Unicast, Restart: time.Minute, LongLived: time.Hour},
		}
		if down.Cause != bgp.CauseConnectionLost || !slices.Equal(down.Retain, want) {
			t.Errorf("b: %v, retains %+v", down, down.Retain)
		}
		a = speak(t, n, hostA, false, graceful(conf(hostA, hostB)))
		announce(a, hostB, &bgp.Attrs{}, "172.19.100.1/32")
		h := b.heard.WaitUp(t, hostA.String(), 2)
		if !slices.Equal(h.Session.Preserved, both) {
			t.Errorf("preserved %v", h.Session.Preserved)
		}
		// A neighbor that is not wanted any more is not waited for.
		a.SetPeers(nil)
		if d := b.heard.WaitDown(t, hostA.String(), 2).Downs[1]; len(d.Retain) > 0 || d.Notification == nil || d.Notification.Subcode != wire.SubCeaseHardReset {
			t.Errorf("b: %v, retains %+v", d, d.Retain)
		}
	})
}

// A path that is found dead while its peer is waited for ends the waiting: BFD goes
// before graceful restart then, too.
func TestPathDownEndsTheWaiting(t *testing.T) {
	b := established(peerOpen(restarter()), gracefully(time.Minute, 0))
	b.do(bgp.Closed{Conn: 1})
	if got := b.do(bgp.PathDown{}); !slices.Equal(got, []string{"abandoned"}) {
		t.Errorf("does %q", got)
	}
	if got := b.do(bgp.PathDown{}); len(got) > 0 {
		t.Errorf("the second time %q", got)
	}
	b = established(peerOpen(restarter()), gracefully(time.Minute, 0))
	b.do(bgp.Closed{Conn: 1}, bgp.Accepted{Conn: 2}, bgp.OpenReceived{Conn: 2, Open: peerOpen(restarter())}, bgp.KeepaliveReceived{Conn: 2},
		bgp.Stop{Cause: bgp.CauseAdminShutdown, Notification: &wire.Notification{Code: 6, Subcode: 2}})
	if got := b.do(bgp.PathDown{}); len(got) > 0 {
		t.Errorf("nothing is retained: %q", got)
	}
}
