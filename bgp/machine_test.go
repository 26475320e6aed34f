package bgp_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

func ptr[T any](v T) *T { return &v }

// bench is a machine under test with its clock.
type bench struct {
	*bgp.Machine
	now time.Time
}

func newBench(edit ...func(*bgp.Config)) *bench {
	c := conf(hostA, hostB)
	c.HoldTime = ptr(90 * time.Second)
	for _, f := range edit {
		f(&c)
	}
	return &bench{bgp.NewMachine(c, 1), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// do takes events to the machine and returns what came of the last.
func (b *bench) do(events ...bgp.Event) []string {
	var out []string
	for _, e := range events {
		out = nil
		for _, f := range b.Step(b.now, e) {
			out = append(out, tell(f))
		}
	}
	return out
}

// after lets time pass and then says Tick.
func (b *bench) after(d time.Duration) []string {
	b.now = b.now.Add(d)
	return b.do(bgp.Tick{})
}

// due goes to the next deadline.
func (b *bench) due() []string { return b.after(b.Deadline().Sub(b.now)) }

// tell writes an effect in a few words.
func tell(f bgp.Effect) string {
	switch f := f.(type) {
	case bgp.Dial:
		return "dial"
	case bgp.CancelDial:
		return "cancel"
	case bgp.SendOpen:
		return fmt.Sprintf("open %d", f.Conn)
	case bgp.SendKeepalive:
		return fmt.Sprintf("keepalive %d", f.Conn)
	case bgp.Close:
		if f.Notification == nil {
			return fmt.Sprintf("close %d", f.Conn)
		}
		s := fmt.Sprintf("close %d %d/%d", f.Conn, f.Notification.Code, f.Notification.Subcode)
		if len(f.Notification.Data) > 0 {
			s += fmt.Sprintf(" %x", f.Notification.Data)
		}
		return s
	case bgp.Up:
		return fmt.Sprintf("up %d", f.Conn)
	case bgp.Deliver:
		return fmt.Sprintf("deliver %d", f.Conn)
	case bgp.Ended:
		return "ended: " + f.Down.Cause.String()
	case bgp.Failed:
		return "failed: " + f.Down.Cause.String()
	case bgp.Abandoned:
		return "abandoned"
	case bgp.Probe:
		return fmt.Sprintf("probe %d", f.Conn)
	}
	return fmt.Sprintf("%T", f)
}

// peerOpen is a good OPEN of the peer.
func peerOpen(edit ...func(*wire.Open)) *wire.Open {
	o := wire.NewOpen(65002, 180, hostB, both...)
	for _, f := range edit {
		f(o)
	}
	return o
}

// in brings a fresh machine into a state; from OpenSent on its connection is 1.
func in(s bgp.State, edit ...func(*bgp.Config)) *bench {
	if s == bgp.Active {
		edit = append(edit, func(c *bgp.Config) { c.Passive = true })
	}
	b := newBench(edit...)
	if s == bgp.Idle {
		return b
	}
	b.do(bgp.Start{})
	if s >= bgp.OpenSent {
		b.do(bgp.Connected{Conn: 1})
	}
	if s >= bgp.OpenConfirm {
		b.do(bgp.OpenReceived{Conn: 1, Open: peerOpen()})
	}
	if s == bgp.Established {
		b.do(bgp.KeepaliveReceived{Conn: 1})
	}
	return b
}

var errTest = errors.New("test")

// TestEveryStateAndEvent is RFC 4271 §8.2.2 as a table, with the numbers of §8.1.
// Events 6, 7, 12, 14, 15, 20 belong to options and to TCP tracking that there are
// none of; event 13 stands with the pauses, 23 with the collisions.
func TestEveryStateAndEvent(t *testing.T) {
	open := bgp.OpenReceived{Conn: 1, Open: peerOpen()}
	notif := func(code, sub uint8) bgp.Event {
		return bgp.NotificationReceived{Conn: 1, Notification: &wire.Notification{Code: code, Subcode: sub}}
	}
	bad := func(code, sub uint8) bgp.Event {
		return bgp.Malformed{Conn: 1, Notification: &wire.Notification{Code: code, Subcode: sub}}
	}
	stop := bgp.Stop{Cause: bgp.CauseShutdown, Notification: &wire.Notification{Code: 6, Subcode: 2}}
	refused := bgp.Stop{Cause: bgp.CauseRefused, Notification: &wire.Notification{Code: 6, Subcode: 1}}
	closed := bgp.Closed{Conn: 1, Err: errTest}
	type step = func(*bench) []string
	do := func(e bgp.Event) step { return func(b *bench) []string { return b.do(e) } }
	hold := func(b *bench) []string { return b.after(b.Info().HoldDue.Sub(b.now)) }
	beat := func(b *bench) []string { return b.after(b.Info().KeepaliveDue.Sub(b.now)) }
	retry := func(b *bench) []string { return b.after(b.Info().RetryAt.Sub(b.now)) }

	for _, r := range []struct {
		from  bgp.State
		event string
		do    step
		want  string
		to    bgp.State
	}{
		{bgp.Idle, "1,3 start", do(bgp.Start{}), "dial", bgp.Connect},
		{bgp.Idle, "2,8 stop", do(stop), "", bgp.Idle},
		{bgp.Idle, "9-11 no timer runs", func(b *bench) []string { return b.after(time.Hour) }, "", bgp.Idle},
		{bgp.Idle, "16 connected", do(bgp.Connected{Conn: 1}), "close 1", bgp.Idle},
		{bgp.Idle, "17 accepted", do(bgp.Accepted{Conn: 1}), "close 1", bgp.Idle},
		{bgp.Idle, "18 closed", do(closed), "", bgp.Idle},
		{bgp.Idle, "18 connect failed", do(bgp.ConnectFailed{Err: errTest}), "", bgp.Idle},
		{bgp.Idle, "19 open", do(open), "", bgp.Idle},
		{bgp.Idle, "21 header error", do(bad(1, 1)), "", bgp.Idle},
		{bgp.Idle, "25 notification", do(notif(6, 2)), "", bgp.Idle},
		{bgp.Idle, "26 keepalive", do(bgp.KeepaliveReceived{Conn: 1}), "", bgp.Idle},
		{bgp.Idle, "27 update", do(bgp.UpdateReceived{Conn: 1}), "", bgp.Idle},
		{bgp.Idle, "28 update error", do(bad(3, 1)), "", bgp.Idle},
		{bgp.Idle, "24 version of nobody", do(notif(2, 1)), "", bgp.Idle},
		{bgp.Idle, "22 open error", do(bad(2, 1)), "", bgp.Idle},
		{bgp.Idle, "29 send hold timer", do(bgp.SendStalled{Conn: 1}), "", bgp.Idle},
		{bgp.Idle, "route refresh", do(bgp.RefreshReceived{Conn: 1}), "", bgp.Idle},
		{bgp.Idle, "path down", do(bgp.PathDown{}), "", bgp.Idle},
		{bgp.Idle, "alive", do(bgp.Alive{Conn: 1}), "", bgp.Idle},
		{bgp.Idle, "start again", do(bgp.Start{Restarting: true}), "dial", bgp.Connect},
		{bgp.Idle, "refused", do(refused), "", bgp.Idle},

		{bgp.Connect, "1,3 start", do(bgp.Start{}), "", bgp.Connect},
		{bgp.Connect, "2,8 stop", do(stop), "cancel", bgp.Idle},
		{bgp.Connect, "9 connect retry timer", retry, "cancel, failed: connect failed, dial", bgp.Connect},
		{bgp.Connect, "16 connected", do(bgp.Connected{Conn: 1}), "open 1", bgp.OpenSent},
		{bgp.Connect, "17 accepted", do(bgp.Accepted{Conn: 1}), "open 1", bgp.OpenSent},
		{bgp.Connect, "18 connect failed", do(bgp.ConnectFailed{Err: errTest}), "failed: connect failed", bgp.Idle},
		{bgp.Connect, "19 open of nobody", do(open), "", bgp.Connect},
		{bgp.Connect, "25 notification of nobody", do(notif(6, 2)), "", bgp.Connect},
		{bgp.Connect, "21 header error of nobody", do(bad(1, 1)), "", bgp.Connect},
		{bgp.Connect, "26 keepalive of nobody", do(bgp.KeepaliveReceived{Conn: 1}), "", bgp.Connect},
		{bgp.Connect, "27 update of nobody", do(bgp.UpdateReceived{Conn: 1}), "", bgp.Connect},
		{bgp.Connect, "29 send hold timer of nobody", do(bgp.SendStalled{Conn: 1}), "", bgp.Connect},
		{bgp.Connect, "route refresh of nobody", do(bgp.RefreshReceived{Conn: 1}), "", bgp.Connect},
		{bgp.Connect, "path down", do(bgp.PathDown{}), "", bgp.Connect},
		{bgp.Connect, "alive", do(bgp.Alive{Conn: 1}), "", bgp.Connect},
		{bgp.Connect, "start again", do(bgp.Start{Restarting: true}), "", bgp.Connect},
		{bgp.Connect, "refused", do(refused), "cancel", bgp.Idle},

		{bgp.Active, "1,3 start", do(bgp.Start{}), "", bgp.Active},
		{bgp.Active, "2,8 stop", do(stop), "", bgp.Idle},
		{bgp.Active, "9 passive: no timer", func(b *bench) []string { return b.after(time.Hour) }, "", bgp.Active},
		{bgp.Active, "16 not asked for", do(bgp.Connected{Conn: 1}), "close 1", bgp.Active},
		{bgp.Active, "17 accepted", do(bgp.Accepted{Conn: 1}), "open 1", bgp.OpenSent},
		{bgp.Active, "18 closed", do(closed), "", bgp.Active},
		{bgp.Active, "18 connect failed", do(bgp.ConnectFailed{Err: errTest}), "", bgp.Active},
		{bgp.Active, "19 open of nobody", do(open), "", bgp.Active},
		{bgp.Active, "21 header error of nobody", do(bad(1, 1)), "", bgp.Active},
		{bgp.Active, "25 notification of nobody", do(notif(6, 2)), "", bgp.Active},
		{bgp.Active, "26 keepalive of nobody", do(bgp.KeepaliveReceived{Conn: 1}), "", bgp.Active},
		{bgp.Active, "27 update of nobody", do(bgp.UpdateReceived{Conn: 1}), "", bgp.Active},
		{bgp.Active, "29 send hold timer of nobody", do(bgp.SendStalled{Conn: 1}), "", bgp.Active},
		{bgp.Active, "route refresh of nobody", do(bgp.RefreshReceived{Conn: 1}), "", bgp.Active},
		{bgp.Active, "path down", do(bgp.PathDown{}), "", bgp.Active},
		{bgp.Active, "alive", do(bgp.Alive{Conn: 1}), "", bgp.Active},
		{bgp.Active, "start again", do(bgp.Start{Restarting: true}), "", bgp.Active},
		{bgp.Active, "refused", do(refused), "", bgp.Idle},

		{bgp.OpenSent, "1,3 start", do(bgp.Start{}), "", bgp.OpenSent},
		{bgp.OpenSent, "2,8 stop", do(stop), "close 1 6/2, failed: administrative shutdown", bgp.Idle},
		{bgp.OpenSent, "10 hold timer", hold, "close 1 4/0, failed: no OPEN received", bgp.Idle},
		{bgp.OpenSent, "17 accepted beside", do(bgp.Accepted{Conn: 2}), "open 2", bgp.OpenSent},
		{bgp.OpenSent, "18 closed", do(closed), "close 1, failed: connection lost", bgp.Active},
		{bgp.OpenSent, "19 open", do(open), "keepalive 1", bgp.OpenConfirm},
		{bgp.OpenSent, "21 header error", do(bad(1, 1)), "close 1 1/1, failed: protocol error", bgp.Idle},
		{bgp.OpenSent, "22 open error", do(bad(2, 1)), "close 1 2/1, failed: protocol error", bgp.Idle},
		{bgp.OpenSent, "24 version", do(notif(2, 1)), "close 1, failed: notification received", bgp.Idle},
		{bgp.OpenSent, "25 notification", do(notif(6, 5)), "close 1, failed: notification received", bgp.Idle},
		{bgp.OpenSent, "26 keepalive", do(bgp.KeepaliveReceived{Conn: 1}), "close 1 5/1 04, failed: protocol error", bgp.Idle},
		{bgp.OpenSent, "27 update", do(bgp.UpdateReceived{Conn: 1}), "close 1 5/1 02, failed: protocol error", bgp.Idle},
		{bgp.OpenSent, "28 update error", do(bad(3, 1)), "close 1 5/1 02, failed: protocol error", bgp.Idle},
		{bgp.OpenSent, "route refresh", do(bgp.RefreshReceived{Conn: 1}), "close 1 5/1 05, failed: protocol error", bgp.Idle},
		{bgp.OpenSent, "29 send hold timer", do(bgp.SendStalled{Conn: 1}), "close 1, failed: send hold timer expired", bgp.Idle},
		{bgp.OpenSent, "16 not asked for", do(bgp.Connected{Conn: 2}), "close 2", bgp.OpenSent},
		{bgp.OpenSent, "18 connect failed", do(bgp.ConnectFailed{Err: errTest}), "", bgp.OpenSent},
		{bgp.OpenSent, "path down", do(bgp.PathDown{}), "", bgp.OpenSent},
		{bgp.OpenSent, "alive", do(bgp.Alive{Conn: 1}), "", bgp.OpenSent},
		{bgp.OpenSent, "start again", do(bgp.Start{Restarting: true}), "", bgp.OpenSent},
		{bgp.OpenSent, "refused", do(refused), "close 1 6/1, failed: refused", bgp.Idle},

		{bgp.OpenConfirm, "1,3 start", do(bgp.Start{}), "", bgp.OpenConfirm},
		{bgp.OpenConfirm, "2,8 stop", do(stop), "close 1 6/2, failed: administrative shutdown", bgp.Idle},
		{bgp.OpenConfirm, "10 hold timer", hold, "close 1 4/0, failed: hold timer expired", bgp.Idle},
		{bgp.OpenConfirm, "11 keepalive timer", beat, "keepalive 1", bgp.OpenConfirm},
		{bgp.OpenConfirm, "17 accepted beside", do(bgp.Accepted{Conn: 2}), "open 2", bgp.OpenConfirm},
		{bgp.OpenConfirm, "18 closed", do(closed), "close 1, failed: connection lost", bgp.Idle},
		{bgp.OpenConfirm, "19 second open", do(open), "close 1 5/2 01, failed: protocol error", bgp.Idle},
		{bgp.OpenConfirm, "21 header error", do(bad(1, 2)), "close 1 1/2, failed: protocol error", bgp.Idle},
		{bgp.OpenConfirm, "22 open error", do(bad(2, 0)), "close 1 2/0, failed: protocol error", bgp.Idle},
		{bgp.OpenConfirm, "24 version", do(notif(2, 1)), "close 1, failed: notification received", bgp.Idle},
		{bgp.OpenConfirm, "25 notification", do(notif(6, 7)), "close 1, failed: notification received", bgp.Idle},
		{bgp.OpenConfirm, "26 keepalive", do(bgp.KeepaliveReceived{Conn: 1}), "up 1", bgp.Established},
		{bgp.OpenConfirm, "27 update", do(bgp.UpdateReceived{Conn: 1}), "close 1 5/2 02, failed: protocol error", bgp.Idle},
		{bgp.OpenConfirm, "28 update error", do(bad(3, 1)), "close 1 5/2 02, failed: protocol error", bgp.Idle},
		{bgp.OpenConfirm, "path down", do(bgp.PathDown{}), "", bgp.OpenConfirm},
		{bgp.OpenConfirm, "route refresh", do(bgp.RefreshReceived{Conn: 1}), "close 1 5/2 05, failed: protocol error", bgp.Idle},
		{bgp.OpenConfirm, "16 not asked for", do(bgp.Connected{Conn: 2}), "close 2", bgp.OpenConfirm},
		{bgp.OpenConfirm, "18 connect failed", do(bgp.ConnectFailed{Err: errTest}), "", bgp.OpenConfirm},
		{bgp.OpenConfirm, "29 send hold timer", do(bgp.SendStalled{Conn: 1}), "close 1, failed: send hold timer expired", bgp.Idle},
		{bgp.OpenConfirm, "alive", do(bgp.Alive{Conn: 1}), "", bgp.OpenConfirm},
		{bgp.OpenConfirm, "start again", do(bgp.Start{Restarting: true}), "", bgp.OpenConfirm},
		{bgp.OpenConfirm, "refused", do(refused), "close 1 6/1, failed: refused", bgp.Idle},

		{bgp.Established, "1,3 start", do(bgp.Start{}), "", bgp.Established},
		{bgp.Established, "2,8 stop", do(stop), "close 1 6/2, ended: administrative shutdown", bgp.Idle},
		{bgp.Established, "10 hold timer", hold, "close 1 4/0, ended: hold timer expired", bgp.Idle},
		{bgp.Established, "11 keepalive timer", beat, "keepalive 1", bgp.Established},
		{bgp.Established, "16 not asked for", do(bgp.Connected{Conn: 2}), "close 2", bgp.Established},
		{bgp.Established, "17 accepted beside", do(bgp.Accepted{Conn: 2}), "keepalive 1", bgp.Established},
		{bgp.Established, "18 closed", do(closed), "close 1, ended: connection lost", bgp.Idle},
		{bgp.Established, "19 second open", do(open), "close 1 5/3 01, ended: protocol error", bgp.Idle},
		{bgp.Established, "21 header error", do(bad(1, 3)), "close 1 1/3, ended: protocol error", bgp.Idle},
		{bgp.Established, "22 open error", do(bad(2, 0)), "close 1 2/0, ended: protocol error", bgp.Idle},
		{bgp.Established, "24 version", do(notif(2, 1)), "close 1, ended: notification received", bgp.Idle},
		{bgp.Established, "25 notification", do(notif(4, 0)), "close 1, ended: notification received", bgp.Idle},
		{bgp.Established, "26 keepalive", do(bgp.KeepaliveReceived{Conn: 1}), "", bgp.Established},
		{bgp.Established, "27 update", do(bgp.UpdateReceived{Conn: 1}), "deliver 1", bgp.Established},
		{bgp.Established, "28 update error", do(bad(3, 9)), "close 1 3/9, ended: protocol error", bgp.Idle},
		{bgp.Established, "route refresh", do(bgp.RefreshReceived{Conn: 1}), "deliver 1", bgp.Established},
		{bgp.Established, "path down", do(bgp.PathDown{}), "close 1 6/10, ended: bfd session down", bgp.Idle},
		{bgp.Established, "29 send hold timer", do(bgp.SendStalled{Conn: 1}), "close 1, ended: send hold timer expired", bgp.Idle},
		{bgp.Established, "18 connect failed", do(bgp.ConnectFailed{Err: errTest}), "", bgp.Established},
		{bgp.Established, "alive", do(bgp.Alive{Conn: 1, Alive: true}), "", bgp.Established},
		{bgp.Established, "start again", do(bgp.Start{Restarting: true}), "", bgp.Established},
		{bgp.Established, "refused", do(refused), "close 1 6/1, ended: refused", bgp.Idle},
	} {
		t.Run(r.from.String()+"/"+r.event, func(t *testing.T) {
			b := in(r.from)
			if b.State() != r.from {
				t.Fatalf("test begins in %v", b.State())
			}
			if got := strings.Join(r.do(b), ", "); got != r.want {
				t.Errorf("does %q, want %q", got, r.want)
			}
			if b.State() != r.to || b.Info().State != r.to {
				t.Errorf("goes to %v (Info: %v), want %v", b.State(), b.Info().State, r.to)
			}
		})
	}
}

func TestOpenThatDoesNotFit(t *testing.T) {
	for _, r := range []struct {
		name string
		edit func(*bgp.Config)
		open *wire.Open
		want string
	}{
		{"another AS", nil, peerOpen(func(o *wire.Open) { o.AS, o.Capabilities[3] = 65009, wire.FourOctetAS(65009) }), "close 1 2/2"},
		{"another AS in the capability alone", nil, peerOpen(func(o *wire.Open) { o.Capabilities[3] = wire.FourOctetAS(65009) }), "close 1 2/2"},
		{"our identifier in our AS", func(c *bgp.Config) { c.RemoteAS = 65001 }, wire.NewOpen(65001, 90, hostA, both...), "close 1 2/3"},
		{"our identifier in another AS", nil, wire.NewOpen(65002, 90, hostA, both...), "keepalive 1"},
		{"no common family", func(c *bgp.Config) { c.Families = []wire.Family{wire.IPv6Unicast} },
			wire.NewOpen(65002, 90, hostB, wire.IPv4Unicast), "close 1 2/7 010400020001"},
		{"no capabilities: IPv4 alone", nil, &wire.Open{Version: 4, AS: 65002, HoldTime: 90, ID: hostB}, "keepalive 1"},
		{"no capabilities, IPv6 wanted", func(c *bgp.Config) { c.Families = []wire.Family{wire.IPv6Unicast} },
			&wire.Open{Version: 4, AS: 65002, HoldTime: 90, ID: hostB}, "close 1 2/7 010400020001"},
	} {
		t.Run(r.name, func(t *testing.T) {
			edit := []func(*bgp.Config){}
			if r.edit != nil {
				edit = append(edit, r.edit)
			}
			b := in(bgp.OpenSent, edit...)
			got := b.do(bgp.OpenReceived{Conn: 1, Open: r.open})
			if len(got) == 0 || got[0] != r.want {
				t.Errorf("does %q, want %q", got, r.want)
			}
		})
	}
}

// The code alone does not tell the operator which of the two has the wrong number.
func TestOpenThatDoesNotFitSaysWhy(t *testing.T) {
	for _, r := range []struct {
		edit func(*bgp.Config)
		open *wire.Open
		want string
	}{
		{func(*bgp.Config) {}, wire.NewOpen(65009, 90, hostB, both...), "the peer is of AS 65009, and AS 65002 is configured"},
		{func(c *bgp.Config) { c.RemoteAS, c.AnyExternal = 0, true }, wire.NewOpen(65001, 90, hostB, both...), "the peer is of AS 65001, our own"},
		{func(c *bgp.Config) { c.RemoteAS = 65001 }, wire.NewOpen(65001, 90, hostA, both...), "the peer has our own identifier " + hostA.String()},
	} {
		b := in(bgp.OpenSent, r.edit)
		b.do(bgp.OpenReceived{Conn: 1, Open: r.open})
		if said := b.Info().Error.Down.String(); !strings.HasSuffix(said, ": "+r.want) {
			t.Errorf("%q, want %q at its end", said, r.want)
		}
	}
}

func TestTimersAreTheLowerOfBoth(t *testing.T) {
	for _, r := range []struct {
		ours       *time.Duration
		beat       *time.Duration
		theirs     uint16
		hold, want time.Duration
	}{
		{nil, nil, 180, 9 * time.Second, 3 * time.Second},
		{ptr(180 * time.Second), nil, 30, 30 * time.Second, 10 * time.Second},
		{ptr(180 * time.Second), ptr(60 * time.Second), 9, 9 * time.Second, 3 * time.Second},
		{ptr(180 * time.Second), ptr(5 * time.Second), 90, 90 * time.Second, 5 * time.Second},
		{ptr(3 * time.Second), nil, 65535, 3 * time.Second, time.Second},
		{ptr(time.Duration(0)), nil, 90, 0, 0},
		{nil, nil, 0, 0, 0},
	} {
		b := in(bgp.OpenSent, func(c *bgp.Config) { c.HoldTime, c.KeepaliveTime = r.ours, r.beat })
		b.do(bgp.OpenReceived{Conn: 1, Open: peerOpen(func(o *wire.Open) { o.HoldTime = r.theirs })})
		if i := b.Info(); i.HoldTime != r.hold || i.KeepaliveTime != r.want {
			t.Errorf("ours %v, theirs %ds: hold %v keepalive %v, want %v and %v", r.ours, r.theirs, i.HoldTime, i.KeepaliveTime, r.hold, r.want)
		}
		b.do(bgp.KeepaliveReceived{Conn: 1})
		if r.hold == 0 && !b.Deadline().IsZero() {
			t.Errorf("hold time 0: a timer runs until %v", b.Deadline())
		}
	}
}

// A silent peer goes down at the hold time, one that says anything does not; we
// say something at least every third of it.
func TestHoldTime(t *testing.T) {
	b := in(bgp.Established)
	start, beats := b.now, 0
	for b.now.Sub(start) < 10*time.Minute {
		switch got := strings.Join(b.due(), ", "); got {
		case "keepalive 1":
			beats++
		default:
			t.Fatalf("after %v: %s", b.now.Sub(start), got)
		}
		e := []bgp.Event{bgp.KeepaliveReceived{Conn: 1}, bgp.UpdateReceived{Conn: 1}, bgp.RefreshReceived{Conn: 1}}[beats%3]
		b.do(e)
	}
	if beats < 20 || beats > 28 {
		t.Errorf("%d KEEPALIVEs in ten minutes at 30 s less jitter", beats)
	}
	last := b.now
	for b.State() == bgp.Established {
		b.due()
	}
	if d := b.now.Sub(last); d != 90*time.Second {
		t.Errorf("silence for %v, want the hold time", d)
	}
	if i := b.Info(); i.ResetByUs.Down.Cause != bgp.CauseHoldTimer || i.Drops != 1 || i.Establishments != 1 {
		t.Errorf("%+v", i)
	}
}

// When it is we who did not run, the peer gets another second.
func TestLateTickSparesThePeerOnce(t *testing.T) {
	b := in(bgp.Established)
	if got := b.after(10 * time.Minute); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "close") }) {
		t.Fatalf("late by minutes: %v", got)
	}
	b.do(bgp.KeepaliveReceived{Conn: 1})
	if d := b.Info().HoldDue.Sub(b.now); d != 90*time.Second {
		t.Errorf("the peer was heard, hold timer at %v", d)
	}
	b.after(10 * time.Minute)
	if got := b.after(time.Second); len(got) != 2 || got[0] != "close 1 4/0" {
		t.Errorf("the peer stays silent: %v", got)
	}
}

// A peer that does not answer is tried about every second, one that refuses us
// after OPEN less and less often; never in a tight loop.
func TestPauses(t *testing.T) {
	refuse := func(b *bench) {
		b.do(bgp.Connected{Conn: 1})
		b.do(bgp.NotificationReceived{Conn: 1, Notification: &wire.Notification{Code: 2, Subcode: 2}})
	}
	for _, r := range []struct {
		name  string
		fail  func(*bench)
		edit  func(*bgp.Config)
		pause []time.Duration // upper bounds; the last one stays
	}{
		{"connection refused", func(b *bench) { b.do(bgp.ConnectFailed{Err: errTest}) }, nil,
			ms(100, 200, 400, 800, 1000, 1000)},
		{"connection refused, connect retry 10 s", func(b *bench) { b.do(bgp.ConnectFailed{Err: errTest}) },
			func(c *bgp.Config) { c.ConnectRetry = 10 * time.Second }, ms(100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000)},
		{"refused after OPEN", refuse, nil, ms(100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000)},
		{"closed after connect", func(b *bench) { b.do(bgp.Connected{Conn: 1}, bgp.Closed{Conn: 1}) }, nil,
			ms(100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000)},
		{"lost as soon as established", func(b *bench) {
			b.do(bgp.Connected{Conn: 1}, bgp.OpenReceived{Conn: 1, Open: peerOpen()}, bgp.KeepaliveReceived{Conn: 1}, bgp.Closed{Conn: 1})
		}, nil, ms(100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000)},
		{"lost after a minute", func(b *bench) {
			b.do(bgp.Connected{Conn: 1}, bgp.OpenReceived{Conn: 1, Open: peerOpen()}, bgp.KeepaliveReceived{Conn: 1})
			b.now = b.now.Add(time.Minute)
			b.do(bgp.Closed{Conn: 1})
		}, nil, ms(100, 100, 100)},
	} {
		t.Run(r.name, func(t *testing.T) {
			edit := []func(*bgp.Config){}
			if r.edit != nil {
				edit = append(edit, r.edit)
			}
			b := in(bgp.Connect, edit...)
			for i, most := range r.pause {
				r.fail(b)
				pause := b.Info().RetryAt.Sub(b.now)
				if pause > most || pause < most*3/4 {
					t.Errorf("pause %d is %v, want %v less a quarter at most", i, pause, most)
				}
				if got := b.after(pause - 1); len(got) > 0 {
					t.Errorf("before the pause is over: %v", got)
				}
				if got := b.after(1); len(got) != 1 || got[0] != "dial" {
					t.Errorf("after the pause: %v, want dial", got)
				}
			}
		})
	}
}

func ms(n ...int) (out []time.Duration) {
	for _, n := range n {
		out = append(out, time.Duration(n)*time.Millisecond)
	}
	return out
}

// A peer that loops is refused for a moment only; one whose session was lost, or
// that was out of reach, is taken at once.
func TestPeerComesInDuringPause(t *testing.T) {
	b := in(bgp.OpenSent)
	for range 8 { // long pauses
		b.do(bgp.NotificationReceived{Conn: 1, Notification: &wire.Notification{Code: 2, Subcode: 2}})
		b.due()
		b.do(bgp.Connected{Conn: 1})
	}
	b.do(bgp.NotificationReceived{Conn: 1, Notification: &wire.Notification{Code: 2, Subcode: 2}})
	if got := b.do(bgp.Accepted{Conn: 2}); got[0] != "close 2" {
		t.Errorf("right after the refusal: %v", got)
	}
	b.now = b.now.Add(250 * time.Millisecond)
	if got := b.do(bgp.Accepted{Conn: 3}); got[0] != "open 3" {
		t.Errorf("a quarter of a second after: %v", got)
	}
	b = in(bgp.Established)
	b.do(bgp.Closed{Conn: 1})
	if got := b.do(bgp.Accepted{Conn: 2}); got[0] != "open 2" {
		t.Errorf("after a lost session: %v", got)
	}
	// It comes and goes: it has to wait, though not for long.
	b.do(bgp.OpenReceived{Conn: 2, Open: peerOpen()}, bgp.KeepaliveReceived{Conn: 2}, bgp.Closed{Conn: 2})
	if got := b.do(bgp.Accepted{Conn: 3}); got[0] != "close 3" {
		t.Errorf("after a second session at once: %v", got)
	}
	b.now = b.now.Add(250 * time.Millisecond)
	if got := b.do(bgp.Accepted{Conn: 4}); got[0] != "open 4" {
		t.Errorf("a quarter of a second after: %v", got)
	}
	b = in(bgp.Connect)
	b.do(bgp.ConnectFailed{Err: errTest})
	if got := b.do(bgp.Accepted{Conn: 2}); got[0] != "open 2" {
		t.Errorf("while out of reach: %v", got)
	}
}

func TestPrevails(t *testing.T) {
	low, high := netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.1.1")
	for _, r := range []struct {
		id     netip.Addr
		as     uint32
		peerID netip.Addr
		peerAS uint32
		want   bgp.Side
	}{
		{high, 1, low, 2, bgp.Local},
		{low, 2, high, 1, bgp.Remote},
		{low, 2, low, 1, bgp.Local},
		{low, 1, low, 2, bgp.Remote},
	} {
		if got := bgp.Prevails(r.id, r.as, r.peerID, r.peerAS); got != r.want {
			t.Errorf("we are %v AS %d, the peer is %v AS %d: %v", r.id, r.as, r.peerID, r.peerAS, got)
		}
		if mirror := bgp.Prevails(r.peerID, r.peerAS, r.id, r.as); mirror == bgp.Prevails(r.id, r.as, r.peerID, r.peerAS) {
			t.Errorf("both sides say %v", mirror)
		}
	}
}

// A peer with another password is silent, RFC 2385: the error says what to look
// at, and not the password.
func TestSilenceOfAPeerWithAPassword(t *testing.T) {
	for password, want := range map[string]string{
		"":       "connect failed: no answer",
		"Sesame": "connect failed: no answer, as of a peer that has another password or none",
	} {
		b := newBench(func(c *bgp.Config) { c.Password = password })
		b.do(bgp.Start{})
		b.after(b.Info().RetryAt.Sub(b.now))
		if got := b.Info().Error.Down.String(); got != want {
			t.Errorf("with password %q: %q, want %q", password, got, want)
		}
	}
}
