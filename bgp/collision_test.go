package bgp_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

// Collisions as stories of one machine: events in, effects out, the state after.
// Our identifier is 192.0.2.1. Connection 1 is ours, 2 and 3 are the peer's.
func TestCollisions(t *testing.T) {
	high := peerOpen()                                          // 192.0.2.2: the peer's connection prevails
	low := peerOpen(func(o *wire.Open) { o.ID = hostA.Prev() }) // ours prevails
	open := func(c bgp.ConnID, o *wire.Open) bgp.Event { return bgp.OpenReceived{Conn: c, Open: o} }
	beat := func(c bgp.ConnID) bgp.Event { return bgp.KeepaliveReceived{Conn: c} }
	cease := func(c bgp.ConnID) bgp.Event {
		return bgp.NotificationReceived{Conn: c, Notification: &wire.Notification{Code: 6, Subcode: 7}}
	}
	in2, in3 := bgp.Accepted{Conn: 2}, bgp.Accepted{Conn: 3}
	type step struct {
		event bgp.Event // nil: time passes
		after time.Duration
		want  string
	}
	for _, r := range []struct {
		name  string
		from  bgp.State
		steps []step
		to    bgp.State
		conn  bgp.ConnID
	}{
		{"ours in OpenConfirm, the peer's prevails", bgp.OpenConfirm, []step{
			{in2, 0, "open 2"},
			{open(2, high), 0, "close 1 6/7, keepalive 2"},
			{beat(2), 0, "up 2"},
		}, bgp.Established, 2},
		{"ours in OpenConfirm and prevails", bgp.OpenSent, []step{
			{open(1, low), 0, "keepalive 1"},
			{in2, 0, "open 2"},
			{open(2, low), 0, "close 2 6/7"},
			{beat(1), 0, "up 1"},
		}, bgp.Established, 1},
		{"both in OpenSent, the peer's OPEN comes on ours first", bgp.OpenSent, []step{
			{in2, 0, "open 2"},
			{open(1, high), 0, "keepalive 1"},
			{open(2, high), 0, "close 1 6/7, keepalive 2"},
		}, bgp.OpenConfirm, 2},
		{"both in OpenSent, ours prevails", bgp.OpenSent, []step{
			{in2, 0, "open 2"},
			{open(2, low), 0, "keepalive 2"},
			{open(1, low), 0, "close 2 6/7, keepalive 1"},
		}, bgp.OpenConfirm, 1},
		{"ours Established and prevails: the other one is closed", bgp.OpenSent, []step{
			{in2, 0, "open 2"},
			{open(1, low), 0, "keepalive 1"},
			{beat(1), 0, "close 2 6/7, up 1"},
		}, bgp.Established, 1},
		{"ours Established too early: the peer will want its own", bgp.OpenSent, []step{
			{in2, 0, "open 2"},
			{open(1, high), 0, "keepalive 1"},
			{beat(1), 0, "up 1"},
			{open(2, high), 0, "close 1 6/7, ended: connection collision, keepalive 2"},
			{beat(2), 0, "up 2"},
		}, bgp.Established, 2},
		{"the same, and the peer says so first", bgp.OpenSent, []step{
			{in2, 0, "open 2"},
			{open(1, high), 0, "keepalive 1"},
			{beat(1), 0, "up 1"},
			{cease(1), 0, "close 1, ended: notification received"},
			{open(2, high), 0, "keepalive 2"},
			{beat(2), 0, "up 2"},
		}, bgp.Established, 2},
		{"the same, and the peer never does", bgp.OpenSent, []step{
			{in2, 0, "open 2"},
			{open(1, high), 0, "keepalive 1"},
			{beat(1), 0, "up 1"},
			{nil, time.Second, "close 2 6/7"},
		}, bgp.Established, 1},
		{"a newer connection of the peer replaces the older", bgp.OpenSent, []step{
			{in2, 0, "open 2"},
			{in3, 0, "close 2 6/7, open 3"},
			{open(3, high), 0, "keepalive 3"},
		}, bgp.OpenConfirm, 3},
		{"the peer comes while we dial", bgp.Connect, []step{
			{in2, 0, "open 2"},
			{open(2, high), 0, "keepalive 2"},
			{beat(2), 0, "cancel, up 2"},
		}, bgp.Established, 2},

		{"Established, the peer comes again: the old one is dead and says so", bgp.Established, []step{
			{in2, 0, "keepalive 1"},
			{bgp.Closed{Conn: 1, Err: errTest}, 0, "close 1, ended: connection lost, open 2"},
			{open(2, high), 0, "keepalive 2"},
			{beat(2), 0, "up 2"},
		}, bgp.Established, 2},
		{"the same, its OPEN was there first", bgp.Established, []step{
			{in2, 0, "keepalive 1"},
			{open(2, high), 0, ""},
			{bgp.Closed{Conn: 1, Err: errTest}, 0, "close 1, ended: connection lost, open 2, keepalive 2"},
			{beat(2), 0, "up 2"},
		}, bgp.Established, 2},
		{"the old one is dead and says nothing", bgp.Established, []step{
			{in2, 0, "keepalive 1"},
			{open(2, high), 0, ""},
			{nil, time.Second, "probe 1"},
			{bgp.Alive{Conn: 1}, 0, "close 1, ended: replaced by a new connection of the peer, open 2, keepalive 2"},
			{beat(2), 0, "up 2"},
		}, bgp.Established, 2},
		{"the old one is alive", bgp.Established, []step{
			{in2, 0, "keepalive 1"},
			{open(2, high), 0, ""},
			{nil, time.Second, "probe 1"},
			{bgp.Alive{Conn: 1, Alive: true}, 0, "close 2 6/7"},
		}, bgp.Established, 1},
		{"without OPEN a connection proves nothing", bgp.Established, []step{
			{in2, 0, "keepalive 1"},
			{nil, time.Second, "probe 1"},
			{bgp.Alive{Conn: 1}, 0, "close 2 6/7"},
		}, bgp.Established, 1},
		{"nor with a bad one", bgp.Established, []step{
			{in2, 0, "keepalive 1"},
			{open(2, peerOpen(func(o *wire.Open) { o.Capabilities = nil; o.AS = 1 })), 0, "close 2 2/2"},
			{nil, time.Second, ""},
		}, bgp.Established, 1},
		{"the new one goes away again", bgp.Established, []step{
			{in2, 0, "keepalive 1"},
			{bgp.Closed{Conn: 2}, 0, "close 2"},
			{nil, time.Second, ""},
		}, bgp.Established, 1},
		{"it comes a third time", bgp.Established, []step{
			{in2, 0, "keepalive 1"},
			{in3, 0, "close 2 6/7, keepalive 1"},
			{bgp.Closed{Conn: 1}, 0, "close 1, ended: connection lost, open 3"},
		}, bgp.OpenSent, 3},
		{"anything but OPEN on the new one is wrong", bgp.Established, []step{
			{in2, 0, "keepalive 1"},
			{bgp.UpdateReceived{Conn: 2}, 0, "close 2 5/1 02"},
		}, bgp.Established, 1},
		{"we are stopped meanwhile", bgp.Established, []step{
			{in2, 0, "keepalive 1"},
			{bgp.Stop{Cause: bgp.CauseShutdown, Notification: &wire.Notification{Code: 6, Subcode: 2}}, 0,
				"close 2 6/2, close 1 6/2, ended: administrative shutdown"},
		}, bgp.Idle, 0},
	} {
		t.Run(r.name, func(t *testing.T) {
			b := in(r.from)
			for i, s := range r.steps {
				var got []string
				if s.event == nil {
					got = b.after(s.after)
				} else {
					got = b.do(s.event)
				}
				if g := strings.Join(got, ", "); g != s.want {
					t.Fatalf("step %d does %q, want %q", i, g, s.want)
				}
			}
			if i := b.Info(); i.State != r.to || i.Conn != r.conn {
				t.Errorf("ends in %v on connection %d, want %v on %d", i.State, i.Conn, r.to, r.conn)
			}
		})
	}
}

// world is two machines and TCP between them, in which everything takes an
// arbitrary time but stays in order per direction of a connection.
type world struct {
	rand  *rand.Rand
	now   time.Time
	sides [2]*bgp.Machine
	queue []delivery
	conns map[bgp.ConnID]*[2]time.Time // when the last delivery to a side is due; nil: closed
	next  bgp.ConnID
	dials [2]int
	log   []string
	ups   [2][]bgp.ConnID
	up    [2]bgp.ConnID
}

type delivery struct {
	at   time.Time
	seq  int
	to   int
	conn bgp.ConnID
	dial int // of a SYN's outcome: the attempt
	e    bgp.Event
}

func (w *world) later() time.Time {
	return w.now.Add(time.Duration(w.rand.IntN(20_000)) * time.Microsecond)
}

func (w *world) send(to int, c bgp.ConnID, e bgp.Event) {
	ends := w.conns[c]
	if ends == nil {
		return
	}
	at := w.later()
	if at.Before(ends[to]) {
		at = ends[to]
	}
	ends[to] = at
	w.queue = append(w.queue, delivery{at: at, seq: len(w.log) + len(w.queue), to: to, conn: c, e: e})
}

func (w *world) step(side int, e bgp.Event) {
	effects := slices.Clone(w.sides[side].Step(w.now, e))
	for _, f := range effects {
		w.log = append(w.log, fmt.Sprintf("%v %d %T: %s", w.now.Sub(time.Time{}), side, e, tell(f)))
		switch f := f.(type) {
		case bgp.Dial:
			w.dials[side]++
			w.next++
			c := w.next
			w.conns[c] = &[2]time.Time{}
			w.queue = append(w.queue, delivery{at: w.later(), seq: len(w.log) + len(w.queue), to: side, conn: c, dial: w.dials[side], e: bgp.Connected{Conn: c}})
		case bgp.CancelDial:
			w.dials[side]++
		case bgp.SendOpen:
			w.send(1-side, f.Conn, bgp.OpenReceived{Conn: f.Conn, Open: f.Open})
		case bgp.SendKeepalive:
			w.send(1-side, f.Conn, bgp.KeepaliveReceived{Conn: f.Conn})
		case bgp.Close:
			if f.Notification != nil {
				w.send(1-side, f.Conn, bgp.NotificationReceived{Conn: f.Conn, Notification: f.Notification})
			}
			w.send(1-side, f.Conn, bgp.Closed{Conn: f.Conn})
		case bgp.Up:
			w.up[side] = f.Conn
			w.ups[side] = append(w.ups[side], f.Conn)
		case bgp.Ended:
			w.up[side] = 0
		case bgp.Probe:
			w.step(side, bgp.Alive{Conn: f.Conn, Alive: true})
		}
	}
}

// run lets everything happen for so long.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		next, what := end, -1
		for i, q := range w.queue {
			if q.at.Before(next) || what >= 0 && q.at.Equal(next) && q.seq < w.queue[what].seq {
				next, what = q.at, i
			}
		}
		timer := -1
		for i, m := range w.sides {
			if at := m.Deadline(); !at.IsZero() && at.Before(next) {
				next, timer = at, i
			}
		}
		w.now = next
		switch {
		case timer >= 0:
			w.step(timer, bgp.Tick{})
		case what >= 0:
			q := w.queue[what]
			w.queue = slices.Delete(w.queue, what, what+1)
			if _, ok := q.e.(bgp.Connected); ok {
				if q.dial != w.dials[q.to] {
					continue // given up
				}
				w.queue = append(w.queue, delivery{at: w.now, seq: -1, to: 1 - q.to, conn: q.conn, e: bgp.Accepted{Conn: q.conn}})
			}
			w.step(q.to, q.e)
		default:
			return
		}
	}
}

// Whatever the order in which connections and messages cross, both sides end up
// on one and the same connection, soon, and stay there.
func TestSimultaneousOpenSettles(t *testing.T) {
	for seed := range uint64(4000) {
		w := &world{rand: rand.New(rand.NewPCG(seed, 1)), conns: make(map[bgp.ConnID]*[2]time.Time)}
		w.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		a, b := conf(hostA, hostB), conf(hostB, hostA)
		if seed%2 == 1 { // a session then gives way to the peer's next connection
			gracefully(time.Minute, 0)(&a)
			gracefully(time.Minute, 0)(&b)
		}
		w.sides = [2]*bgp.Machine{bgp.NewMachine(a, seed), bgp.NewMachine(b, seed+1)}
		w.step(0, bgp.Start{})
		w.now = w.later()
		w.step(1, bgp.Start{})
		w.run(3 * time.Second)
		settled := [2]int{len(w.ups[0]), len(w.ups[1])}
		w.run(time.Minute)
		if w.up[0] == 0 || w.up[0] != w.up[1] || w.sides[0].State() != bgp.Established || w.sides[1].State() != bgp.Established {
			t.Fatalf("seed %d: sides are %v on %d and %v on %d:\n%s", seed, w.sides[0].State(), w.up[0],
				w.sides[1].State(), w.up[1], strings.Join(w.log, "\n"))
		}
		if settled != [2]int{len(w.ups[0]), len(w.ups[1])} {
			t.Fatalf("seed %d: not settled after 3 s:\n%s", seed, strings.Join(w.log, "\n"))
		}
		if len(w.ups[0]) > 2 || len(w.ups[1]) > 2 {
			t.Fatalf("seed %d: flaps %v:\n%s", seed, w.ups, strings.Join(w.log, "\n"))
		}
	}
}
