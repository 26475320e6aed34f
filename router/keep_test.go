package router

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

func restart(restart, longLived time.Duration) bgp.Down {
	return bgp.Down{Retain: []bgp.Retention{{Family: wire.IPv4Unicast, Restart: restart, LongLived: longLived}}}
}

func (b *bench) back(n int, preserved ...wire.Family) {
	b.speaker.handler.Established(name(n), bgp.SessionStatus{RemoteID: netip.MustParseAddr(name(n)), Preserved: preserved})
}

// pass lets time pass, on the fake clock of the test's bubble.
func pass(d time.Duration) { <-time.After(d) }

// later lets time pass, and everybody act upon it.
func (b *bench) later(d time.Duration) {
	pass(d)
	synctest.Wait()
}

func TestGracefulRestart(t *testing.T) {
	const (
		v1   = "172.19.100.1/32"
		v2   = "172.19.100.2/32"
		both = v1 + " via 112 113\n" + v2 + " via 112"
	)
	for _, row := range []struct {
		name string
		play func(b *bench)
	}{
		{"it comes back and announces one of two again", func(b *bench) {
			b.later(100 * time.Second)
			b.want("while it is away", both)
			b.back(112, wire.IPv4Unicast)
			b.announce(112, v1)
			b.want("while it sends its table", both)
			b.speaker.handler.EndOfRIB(name(112), wire.IPv4Unicast)
			b.want("at its end", v1+" via 112 113")
			b.later(time.Hour)
			b.want("for ever", v1+" via 112 113")
		}},
		{"it does not come back", func(b *bench) {
			b.later(119 * time.Second)
			b.want("in time", both)
			b.later(2 * time.Second)
			b.want("after its time", v1+" via 113")
			if got := b.shown(v1); got != "113 112x" {
				b.t.Errorf("shown are %q", got)
			}
			b.later(keepDeleted)
			if got := b.shown(v1); got != "113" {
				b.t.Errorf("long after, shown are %q", got)
			}
		}},
		{"it comes back with nothing preserved", func(b *bench) {
			b.back(112)
			b.want("at once", v1+" via 113")
		}},
		{"it comes back and never ends its table", func(b *bench) {
			b.back(112, wire.IPv4Unicast)
			b.announce(112, v1)
			b.later(299 * time.Second)
			b.want("within the stale time", both)
			b.later(2 * time.Second)
			b.want("after the stale time", v1+" via 112 113")
		}},
		{"it is gone for good after all", func(b *bench) {
			b.back(112, wire.IPv4Unicast)
			b.speaker.handler.Closed(name(112), bgp.Down{})
			b.want("at once", v1+" via 113")
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				defer b.finish()
				b.up(112, 113)
				b.announce(112, v1, v2)
				b.announce(113, v1)
				b.speaker.handler.Closed(name(112), restart(120*time.Second, 0))
				b.want("just down", both)
				row.play(b)
			})
		})
	}
}

func TestLongLivedGracefulRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v1, v2 = "172.19.100.1/32", "172.19.100.2/32"
		b := newBench(t, nil)
		defer b.finish()
		b.up(112, 113)
		b.announce(112, v1, v2)
		b.announce(113, v1)
		b.speaker.handler.Closed(name(112), restart(time.Minute, time.Hour))
		b.later(59 * time.Second)
		b.want("within the restart time", v1+" via 112 113\n"+v2+" via 112")
		b.later(2 * time.Second)
		b.want("after it", v1+" via 113\n"+v2+" via 112")

		// It comes back for a moment; the hour goes on.
		b.later(30 * time.Minute)
		b.back(112, wire.IPv4Unicast)
		b.speaker.handler.Closed(name(112), restart(time.Minute, time.Hour))
		b.later(28 * time.Minute)
		b.want("within the long-lived stale time", v1+" via 113\n"+v2+" via 112")
		b.back(112, wire.IPv4Unicast)
		b.announce(112, v1)
		b.speaker.handler.Closed(name(112), restart(10*time.Minute, time.Hour))
		b.later(2 * time.Minute)
		b.want("after it, while the neighbor is expected back", v1+" via 112 113")
		b.later(9 * time.Minute)
		b.want("after that", v1+" via 113")
		if got := b.shown(v1); got != "113 112" && got != "112 113" {
			t.Errorf("shown are %q", got)
		}
	})
	// Without a restart time long life begins at once.
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.up(112, 113)
		b.announce(112, "172.19.100.1/32")
		b.announce(113, "172.19.100.1/32")
		b.speaker.handler.Closed(name(112), restart(0, time.Hour))
		b.want("long-lived at once", "172.19.100.1/32 via 113")
		if s := b.Status().Neighbors[0].Sources[wire.IPv4Unicast]; s.Stale != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestEnhancedRefresh(t *testing.T) {
	for _, ends := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil)
			defer b.finish()
			b.up(112)
			b.announce(112, "172.19.100.1/32", "172.19.100.2/32")
			b.speaker.handler.RefreshBegin(name(112), wire.IPv4Unicast)
			b.announce(112, "172.19.100.1/32")
			if ends {
				b.speaker.handler.RefreshEnd(name(112), wire.IPv4Unicast)
			} else {
				b.later(refreshTime - time.Second)
				b.want("while it may go on", "172.19.100.1/32 via 112\n172.19.100.2/32 via 112")
				b.later(2 * time.Second)
			}
			b.want("at the end", "172.19.100.1/32 via 112")
		})
	}
}

// The kernel is told of lost next hops before anything is decided, and of none that
// the other family still uses.
func TestLostNextHopsAreAvoidedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.up(112, 113)
		b.announce(112, "172.19.100.1/32")
		b.announce(113, "172.19.100.1/32")
		b.want("both", "172.19.100.1/32 via 112 113")
		b.speaker.handler.Closed(name(112), bgp.Down{})
		b.want("one is lost", "172.19.100.1/32 via 113")
		b.locked(func() {
			if want := []rib.Hop{{Addr: netip.MustParseAddr(name(112)), Index: 2}}; !slices.Equal(b.kernel.avoided, want) {
				t.Errorf("avoided %v", b.kernel.avoided)
			}
		})
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(b *bench) {
			b.links.nets = append(slices.Clone(segment), rib.Connected{Prefix: netip.MustParsePrefix("2001:db8::210/64"), Index: 2})
		})
		defer b.finish()
		b.up(112)
		hop := netip.MustParseAddr("2001:db8::112")
		b.speaker.handler.Update(name(112), &wire.Update{
			Attrs: &wire.Attrs{ASPath: wire.Sequence(65211), NextHop: hop, NextHop6: hop},
			NLRI:  []netip.Prefix{netip.MustParsePrefix("172.19.100.1/32"), netip.MustParsePrefix("2001:db8:1::/64")},
		})
		b.want("up", "172.19.100.1/32 via 2001:db8::112\n2001:db8:1::/64 via 2001:db8::112")
		b.speaker.handler.Closed(name(112), bgp.Down{Retain: []bgp.Retention{{Family: wire.IPv6Unicast, Restart: time.Minute}}})
		b.want("one family is retained", "2001:db8:1::/64 via 2001:db8::112")
		b.locked(func() {
			if len(b.kernel.avoided) != 0 {
				t.Errorf("avoided %v", b.kernel.avoided)
			}
		})
		b.later(2 * time.Minute)
		b.want("none is", "")
		b.locked(func() {
			if len(b.kernel.avoided) != 1 {
				t.Errorf("avoided %v", b.kernel.avoided)
			}
		})
	})
}

// Routes that are retained go when the path to their neighbor is found dead.
func TestAbandonedNeighbor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.up(112, 113)
		b.announce(112, "172.19.100.1/32")
		b.announce(113, "172.19.100.1/32")
		b.want("both", "172.19.100.1/32 via 112 113")
		b.mu.Lock() // the loop is busy: what is told stays in its order
		b.speaker.handler.Closed(name(112), bgp.Down{Retain: []bgp.Retention{{Family: wire.IPv4Unicast, Restart: time.Minute}}})
		b.speaker.handler.Abandoned(name(112))
		b.mu.Unlock()
		b.want("abandoned", "172.19.100.1/32 via 113")
		b.up(112)
		b.announce(112, "172.19.100.1/32")
		b.want("back", "172.19.100.1/32 via 112 113")
	})
}

// The end of a session overtakes what others have to say, and what it said itself.
func TestEndsOfSessionsOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.up(112, 113)
		b.announce(112, "172.19.100.1/32")
		b.announce(113, "172.19.100.1/32")
		b.want("both", "172.19.100.1/32 via 112 113")
		b.mu.Lock() // the loop is busy
		b.announce(113, "172.19.100.2/32")
		b.announce(112, "172.19.100.3/32")
		b.speaker.handler.Closed(name(112), bgp.Down{})
		b.up(112)
		b.announce(112, "172.19.100.4/32")
		b.mu.Unlock()
		b.want("one is back", "172.19.100.1/32 via 113\n172.19.100.2/32 via 113\n172.19.100.4/32 via 112")
		b.locked(func() {
			if len(b.kernel.avoided) != 1 || len(b.ended) != 0 {
				t.Errorf("avoided %v, ended %v", b.kernel.avoided, b.ended)
			}
		})
	})
}

// A neighbor that is lost and back before anything was decided is used again.
func TestLossAndReturnInOneGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.up(112, 113)
		b.announce(112, "172.19.100.1/32")
		b.announce(113, "172.19.100.1/32")
		b.want("both", "172.19.100.1/32 via 112 113")
		b.mu.Lock() // the loop is busy
		b.announce(113, "172.19.100.1/32")
		b.speaker.handler.Closed(name(112), bgp.Down{})
		b.up(112)
		b.announce(112, "172.19.100.1/32")
		b.mu.Unlock()
		b.want("back", "172.19.100.1/32 via 112 113")
	})
}

// The end of a session that is not retained overtakes that of one before it that is.
func TestEndOvertakesAnEarlierOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.up(112, 113)
		b.announce(112, "172.19.100.1/32")
		b.announce(113, "172.19.100.1/32")
		b.want("both", "172.19.100.1/32 via 112 113")
		b.mu.Lock() // the loop is busy
		b.announce(113, "172.19.100.1/32")
		b.speaker.handler.Closed(name(112), restart(time.Minute, 0))
		b.up(112)
		b.announce(112, "172.19.100.2/32")
		b.speaker.handler.Closed(name(112), bgp.Down{})
		b.mu.Unlock()
		b.want("gone", "172.19.100.1/32 via 113")
	})
}

// Nothing is remembered of a stranger that comes and goes at once.
func TestEndsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.reconfigure(dynamicConfig())
		b.mu.Lock() // the loop is busy
		b.announce(112, "172.19.100.1/32")
		b.admitted(120)
		b.speaker.handler.Closed(name(120), bgp.Down{})
		b.mu.Unlock()
		b.locked(func() {
			if len(b.Router.ended) != 0 {
				t.Errorf("ended %v", b.Router.ended)
			}
		})
	})
}

// UPDATEs of more prefixes than a batch wait in small number.
func TestLargeUpdatesWaitFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := New(Options{NewSpeaker: func(bgp.Handler) (Speaker, error) { return &speaker{}, nil }})
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range 3 * largeLen {
				r.Update("stranger", &wire.Update{NLRI: make([]netip.Prefix, batch+1)})
			}
		}()
		synctest.Wait()
		if len(r.events) != largeLen {
			t.Errorf("%d large ones wait", len(r.events))
		}
		for range 3 * largeLen {
			r.handle(<-r.events, time.Now())
		}
		<-sent
		if len(r.larges) != 0 {
			t.Errorf("%d tokens are left", len(r.larges))
		}
	})
}
