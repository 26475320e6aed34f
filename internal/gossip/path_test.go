package gossip

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bfd"
)

type fakePaths struct{ sessions []bfd.Config }

func (f *fakePaths) Set(list []bfd.Config) error { f.sessions = list; return nil }

// A path that fails makes its member dead at once. If memberlist still hears it when it
// would have found it dead by itself, it is alive.
func TestPathThatFailsMakesItsMemberDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		paths := &fakePaths{}
		c := New(Options{Name: "n1", Paths: paths, Profile: bfd.Profile{TransmitInterval: time.Second}})
		c.Set(at(1), nil)
		for i, name := range []string{"n1", "n2", "n6"} {
			c.members[name] = &member{addr: at(byte(i + 1))}
		}
		c.members["n6"].addr = netip.MustParseAddr("2001:db8::6") // no path from here
		c.watch()
		if len(paths.sessions) != 1 || paths.sessions[0].Name != "member/n2" || paths.sessions[0].Remote != at(2) || paths.sessions[0].TransmitInterval != time.Second {
			t.Fatalf("sessions %+v", paths.sessions)
		}
		alive := func(want int) {
			t.Helper()
			if got := len(c.Status().Members); got != want {
				t.Errorf("%d members are alive, want %d", got, want)
			}
		}
		up := bfd.Change{Name: "member/n2", From: bfd.Down, To: bfd.Up}
		down := bfd.Change{Name: "member/n2", From: bfd.Up, To: bfd.Down, Reason: bfd.ReasonDetectionExpired}
		c.StateChanged(bfd.Change{Name: "10.0.0.1:179", From: bfd.Up, To: bfd.Down, Reason: bfd.ReasonDetectionExpired})
		c.StateChanged(bfd.Change{Name: "member/n9", From: bfd.Up, To: bfd.Down, Reason: bfd.ReasonDetectionExpired})
		c.StateChanged(up)
		alive(3)
		c.StateChanged(down)
		alive(2)
		if got := c.recheck(); got != trust {
			t.Errorf("looked at again after %v", got)
		}
		time.Sleep(trust)
		alive(3)
		c.StateChanged(up)
		c.StateChanged(down)
		alive(2)
		c.StateChanged(up)
		alive(3)
	})
}
