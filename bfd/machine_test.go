package bfd

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

const (
	ours   = 0x11
	theirs = 0x22
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// rig drives one machine on a clock of its own.
type rig struct {
	t    *testing.T
	m    *Machine
	now  time.Time
	all  []Effect // of the last step
	sent []Packet // since it was last cleared
	// peer is what the next packet of the peer says; its discriminator is theirs.
	peer Packet
}

func newRig(t *testing.T, edit ...func(*Config)) *rig {
	t.Helper()
	c := Config{Name: "x", Remote: netip.MustParseAddr("192.0.2.1")}
	c.ReceiveInterval, c.TransmitInterval = 50*time.Millisecond, 50*time.Millisecond
	for _, f := range edit {
		f(&c)
	}
	c, err := c.normal()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, now: epoch, m: NewMachine(epoch, c, ours, epoch, 1)}
	r.peer = Packet{
		State: Down, DetectMult: 3, MyDiscriminator: theirs, YourDiscriminator: ours,
		DesiredMinTx: 50 * time.Millisecond, RequiredMinRx: 50 * time.Millisecond,
	}
	return r
}

func (r *rig) step(in Event) *rig {
	r.t.Helper()
	r.all = slices.Clone(r.m.Step(r.now, in))
	for _, e := range r.all {
		if s, ok := e.(Send); ok {
			r.sent = append(r.sent, *s.Packet)
		}
	}
	return r
}

// hear delivers a packet of the peer's, in this state, received now.
func (r *rig) hear(s State, edit ...func(*Packet)) *rig {
	r.t.Helper()
	p := r.peer
	p.State = s
	for _, f := range edit {
		f(&p)
	}
	var key []byte
	if a := r.m.cfg.Auth; a != nil {
		key = []byte(a.Key)
	}
	raw := p.Append(nil, key)
	return r.step(Received{Packet: &p, Raw: raw, At: r.now})
}

func (r *rig) tick() *rig { r.t.Helper(); return r.step(Tick{Heard: r.now}) }

// pass lets time go by, with Tick at every deadline. Without hear the peer is silent.
func (r *rig) pass(d time.Duration) *rig {
	r.t.Helper()
	end := r.now.Add(d)
	for n := 0; ; n++ {
		if n > 100000 {
			r.t.Fatal("the machine never rests")
		}
		next := r.m.Deadline()
		if next.IsZero() || next.After(end) {
			break
		}
		r.now = later(r.now, next)
		r.tick()
	}
	r.now = end
	return r
}

// up brings the session to Up, with timers negotiated.
func (r *rig) up() *rig {
	r.t.Helper()
	r.tick().hear(Down).tick().hear(Init).tick().hear(Up, func(p *Packet) { p.Final = true }).tick()
	if r.m.State() != Up || r.m.polling {
		r.t.Fatalf("%v, polling %v", r.m.State(), r.m.polling)
	}
	r.sent = nil
	return r
}

func (r *rig) change() (c Change) {
	for _, e := range r.all {
		if x, ok := e.(Changed); ok {
			c = x.Change
		}
	}
	return c
}

func (r *rig) discard() Discard {
	for _, e := range r.all {
		if x, ok := e.(Discarded); ok {
			return x.Discard
		}
	}
	return DiscardNone
}

func (r *rig) last() Packet {
	r.t.Helper()
	if len(r.sent) == 0 {
		r.t.Fatal("nothing was sent")
	}
	return r.sent[len(r.sent)-1]
}

// in puts the machine into a state, by events.
func (r *rig) in(s State) *rig {
	r.t.Helper()
	switch s {
	case AdminDown:
		c := r.m.cfg
		c.Disabled = true
		r.step(Configure{c})
	case Init:
		r.hear(Down)
	case Up:
		r.up()
	}
	if r.m.State() != s {
		r.t.Fatalf("state is %v, want %v", r.m.State(), s)
	}
	r.all, r.sent = nil, nil
	return r
}

// Every state, every event (RFC 5880 §6.2, §6.8.4 to §6.8.6, §6.8.16).
func TestEveryStateAndEvent(t *testing.T) {
	heard := func(s State) func(*rig) { return func(r *rig) { r.hear(s) } }
	silence := func(r *rig) { r.pass(5 * time.Second) }
	disable := func(r *rig) { c := r.m.cfg; c.Disabled = true; r.step(Configure{c}) }
	enable := func(r *rig) { c := r.m.cfg; c.Disabled = false; r.step(Configure{c}) }
	stop := func(r *rig) { r.step(Stop{ReasonShutdown}) }
	for _, tt := range []struct {
		from   State
		event  string
		do     func(*rig)
		to     State
		reason Reason // ReasonNone: no change
		diag   Diag
	}{
		{AdminDown, "AdminDown", heard(AdminDown), AdminDown, ReasonNone, DiagAdminDown},
		{AdminDown, "Down", heard(Down), AdminDown, ReasonNone, DiagAdminDown},
		{AdminDown, "Init", heard(Init), AdminDown, ReasonNone, DiagAdminDown},
		{AdminDown, "Up", heard(Up), AdminDown, ReasonNone, DiagAdminDown},
		{AdminDown, "silence", silence, AdminDown, ReasonNone, DiagAdminDown},
		{AdminDown, "disable", disable, AdminDown, ReasonNone, DiagAdminDown},
		{AdminDown, "enable", enable, Down, ReasonEnabled, DiagAdminDown},
		{AdminDown, "stop", stop, AdminDown, ReasonNone, DiagAdminDown},

		{Down, "AdminDown", heard(AdminDown), Down, ReasonNone, DiagNone},
		{Down, "Down", heard(Down), Init, ReasonPeerHeard, DiagNone},
		{Down, "Init", heard(Init), Up, ReasonHandshake, DiagNone},
		{Down, "Up", heard(Up), Down, ReasonNone, DiagNone},
		{Down, "silence", silence, Down, ReasonNone, DiagNone},
		{Down, "disable", disable, AdminDown, ReasonAdminDown, DiagAdminDown},
		{Down, "enable", enable, Down, ReasonNone, DiagNone},
		{Down, "stop", stop, AdminDown, ReasonShutdown, DiagAdminDown},

		{Init, "AdminDown", heard(AdminDown), Down, ReasonPeerAdminDown, DiagNeighborDown},
		{Init, "Down", heard(Down), Init, ReasonNone, DiagNone},
		{Init, "Init", heard(Init), Up, ReasonHandshake, DiagNone},
		{Init, "Up", heard(Up), Up, ReasonHandshake, DiagNone},
		{Init, "silence", silence, Down, ReasonDetectionExpired, DiagDetectionExpired},
		{Init, "disable", disable, AdminDown, ReasonAdminDown, DiagAdminDown},
		{Init, "enable", enable, Init, ReasonNone, DiagNone},
		{Init, "stop", stop, AdminDown, ReasonShutdown, DiagAdminDown},

		{Up, "AdminDown", heard(AdminDown), Down, ReasonPeerAdminDown, DiagNeighborDown},
		{Up, "Down", heard(Down), Down, ReasonPeerDown, DiagNeighborDown},
		{Up, "Init", heard(Init), Up, ReasonNone, DiagNone},
		{Up, "Up", heard(Up), Up, ReasonNone, DiagNone},
		{Up, "silence", silence, Down, ReasonDetectionExpired, DiagDetectionExpired},
		{Up, "disable", disable, AdminDown, ReasonAdminDown, DiagAdminDown},
		{Up, "enable", enable, Up, ReasonNone, DiagNone},
		{Up, "stop", stop, AdminDown, ReasonShutdown, DiagAdminDown},
	} {
		t.Run(tt.from.String()+"/"+tt.event, func(t *testing.T) {
			r := newRig(t).in(tt.from)
			ups, downs := r.m.ups, r.m.downs
			tt.do(r)
			i := r.m.Info()
			if i.State != tt.to || i.Diag != tt.diag {
				t.Errorf("%v, %v; want %v, %v", i.State, i.Diag, tt.to, tt.diag)
			}
			if tt.reason != ReasonNone && i.Reason != tt.reason {
				t.Errorf("reason %v, want %v", i.Reason, tt.reason)
			}
			if tt.reason == ReasonNone && (tt.from != tt.to || r.change() != (Change{})) {
				t.Errorf("unexpected change %+v", r.change())
			}
			wantUps, wantDowns := ups, downs
			if tt.to == Up && tt.from != Up {
				wantUps++
			}
			if tt.from == Up && tt.to != Up {
				wantDowns++
				if i.LastDown.Reason != tt.reason || i.LastDown.Failed() != (tt.event == "silence" || tt.event == "Down") {
					t.Errorf("last down %+v", i.LastDown)
				}
			}
			if i.Ups != wantUps || i.Downs != wantDowns {
				t.Errorf("%d ups, %d downs", i.Ups, i.Downs)
			}
		})
	}
}

// The three-way handshake takes no longer than the packets do.
func TestHandshake(t *testing.T) {
	r := newRig(t).tick()
	if p := r.last(); p.State != Down || p.YourDiscriminator != 0 || p.MyDiscriminator != ours || p.Poll || p.DesiredMinTx != time.Second {
		t.Errorf("first packet: %+v", p)
	}
	r.hear(Down, func(p *Packet) { p.YourDiscriminator = 0 }).tick()
	if p := r.last(); p.State != Init || p.YourDiscriminator != theirs {
		t.Errorf("answer to Down: %+v", p)
	}
	r.hear(Init).tick()
	if c := r.change(); c != (Change{}) {
		t.Errorf("a tick changed the state: %+v", c)
	}
	if p := r.last(); p.State != Up || !p.Poll || p.DesiredMinTx != 50*time.Millisecond || len(r.sent) != 3 {
		t.Errorf("answer to Init: %+v, %d sent", p, len(r.sent))
	}
}

// What §6.8.7 forbids to send.
func TestSilence(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func() *rig
		want int
	}{
		{"passive, nothing heard", func() *rig { return newRig(t, func(c *Config) { c.Passive = true }) }, 0},
		{"the peer wants no periodic packets", func() *rig {
			r := newRig(t).up().hear(Up, func(p *Packet) { p.RequiredMinRx = 0 }).tick()
			r.sent = nil
			r.m.detectAt = time.Time{}
			return r
		}, 0},
		{"demand mode of the peer", func() *rig {
			r := newRig(t).up().hear(Up, func(p *Packet) { p.Demand = true }).tick()
			r.sent = nil
			r.m.detectAt = time.Time{}
			return r
		}, 0},
		{"active, nothing heard", func() *rig { return newRig(t) }, 10},
	} {
		r := tt.make().pass(9 * time.Second)
		if n := len(r.sent); tt.want == 0 && n != 0 || n < tt.want {
			t.Errorf("%s: %d packets in 9 s", tt.name, n)
		}
	}
}

// A passive session answers, and falls silent again when the peer does.
func TestPassive(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Passive = true })
	if d := r.m.Deadline(); !d.IsZero() {
		t.Errorf("deadline %v", d)
	}
	r.up().pass(time.Minute)
	if r.m.State() != Down {
		t.Fatal(r.m.State())
	}
	r.sent = nil
	if r.pass(time.Minute); len(r.sent) != 0 {
		t.Errorf("%d packets to a peer that is not there", len(r.sent))
	}
}

// Demand mode of the peer (§6.6): no periodic packets, but Polls are answered and
// our changes polled.
func TestDemandIsAnswered(t *testing.T) {
	demand := func(p *Packet) { p.Demand = true }
	r := newRig(t).up().hear(Up, demand).tick()
	r.sent = nil
	for range 20 {
		r.pass(40*time.Millisecond).hear(Up, demand)
	}
	if len(r.sent) != 0 || r.m.State() != Up {
		t.Fatalf("%d packets, %v", len(r.sent), r.m.State())
	}
	r.hear(Up, demand, func(p *Packet) { p.Poll = true }).tick()
	if p := r.last(); len(r.sent) != 1 || !p.Final || p.Poll {
		t.Errorf("answer %+v, %d sent", p, len(r.sent))
	}
	c := r.m.cfg
	c.ReceiveInterval = time.Second
	r.step(Configure{c}).tick()
	if p := r.last(); !p.Poll || p.RequiredMinRx != time.Second {
		t.Errorf("poll %+v", p)
	}
	r.hear(Up, demand, func(p *Packet) { p.Final = true }).pass(time.Millisecond)
	r.sent = nil
	if r.pass(100 * time.Millisecond); len(r.sent) != 0 {
		t.Errorf("%d packets after the poll", len(r.sent))
	}
	// It is we who are asked to be silent, not the peer: its silence is still one.
	if r.pass(10 * time.Second); r.m.State() != Down {
		t.Error(r.m.State())
	}
}

// A Poll is answered at once with Final, whatever the state; never with a Poll in
// the same packet (§6.5).
func TestPollIsAnswered(t *testing.T) {
	for _, s := range []State{Down, Init, Up} {
		r := newRig(t).in(s)
		for range 5 { // one answer, however many
			r.hear(Up, func(p *Packet) { p.Poll = true })
		}
		if d := r.m.Deadline(); d.After(r.now) {
			t.Errorf("%v: answer is due %v later", s, d.Sub(r.now))
		}
		r.tick()
		if p := r.last(); len(r.sent) != 1 || !p.Final || p.Poll {
			t.Errorf("%v: %+v, %d sent", s, p, len(r.sent))
		}
	}
	r := newRig(t).in(AdminDown)
	r.m.soonAt = time.Time{}
	if r.hear(Up, func(p *Packet) { p.Poll = true }); r.m.final {
		t.Error("AdminDown: discarded packets are not answered (§6.8.6)")
	}
	// While we poll: first the answer, then the Poll.
	r = newRig(t).up()
	c := r.m.cfg
	c.TransmitInterval = time.Second
	r.step(Configure{c}).hear(Up, func(p *Packet) { p.Poll = true }).tick().pass(2 * grid)
	if len(r.sent) != 2 || !r.sent[0].Final || r.sent[0].Poll || r.sent[1].Final || !r.sent[1].Poll {
		t.Errorf("%+v", r.sent)
	}
}

// Changes of timers while Up (§6.8.3): what could come too late waits for the Final.
func TestTimerChangeWhileUp(t *testing.T) {
	type timers struct{ tx, rx, detection time.Duration }
	const ms = time.Millisecond
	for _, tt := range []struct {
		name           string
		edit           func(*Config)
		said           [2]time.Duration // in packets, at once
		polling, final timers
	}{
		{"transmit slower", func(c *Config) { c.TransmitInterval = 200 * ms }, [2]time.Duration{200 * ms, 50 * ms},
			timers{50 * ms, 50 * ms, 150 * ms}, timers{200 * ms, 50 * ms, 150 * ms}},
		{"transmit faster, peer takes 50", func(c *Config) { c.TransmitInterval = 20 * ms }, [2]time.Duration{20 * ms, 50 * ms},
			timers{50 * ms, 50 * ms, 150 * ms}, timers{50 * ms, 50 * ms, 150 * ms}},
		{"receive slower", func(c *Config) { c.ReceiveInterval = 200 * ms }, [2]time.Duration{50 * ms, 200 * ms},
			timers{50 * ms, 200 * ms, 600 * ms}, timers{50 * ms, 200 * ms, 600 * ms}},
		{"receive faster, peer sends at 50", func(c *Config) { c.ReceiveInterval = 10 * ms }, [2]time.Duration{50 * ms, 10 * ms},
			timers{50 * ms, 50 * ms, 150 * ms}, timers{50 * ms, 50 * ms, 150 * ms}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t).up()
			c := r.m.cfg
			tt.edit(&c)
			r.step(Configure{c}).tick()
			if p := r.last(); !p.Poll || p.DesiredMinTx != tt.said[0] || p.RequiredMinRx != tt.said[1] || p.State != Up {
				t.Errorf("said %+v", p)
			}
			now := func() timers {
				i := r.m.Info()
				return timers{i.TransmitInterval, i.ReceiveInterval, i.DetectionTime}
			}
			if got := now(); got != tt.polling {
				t.Errorf("while polling %v, want %v", got, tt.polling)
			}
			r.hear(Up)
			if got := now(); got != tt.polling {
				t.Errorf("after a packet without Final %v, want %v", got, tt.polling)
			}
			r.hear(Up, func(p *Packet) { p.Final = true }).tick()
			if got := now(); got != tt.final || r.m.polling {
				t.Errorf("after Final %v, want %v; polling %v", got, tt.final, r.m.polling)
			}
			if r.m.downs != 0 || r.m.State() != Up {
				t.Error("the session flapped")
			}
		})
	}
	// The receive interval goes down from 200 to 50 ms: the detection time follows
	// with the Final, not before.
	r := newRig(t, func(c *Config) { c.ReceiveInterval = 200 * ms }).up()
	c := r.m.cfg
	c.ReceiveInterval = 50 * ms
	r.step(Configure{c}).hear(Up)
	if d := r.m.Info().DetectionTime; d != 600*ms {
		t.Errorf("detection time %v before the Final", d)
	}
	if r.hear(Up, func(p *Packet) { p.Final = true }); r.m.Info().DetectionTime != 150*ms {
		t.Errorf("detection time %v after the Final", r.m.Info().DetectionTime)
	}
	// A second change during a poll takes a second poll.
	r = newRig(t).up()
	for _, d := range []time.Duration{300 * ms, 400 * ms} {
		c.TransmitInterval = d
		r.step(Configure{c}).tick()
	}
	if r.hear(Up, func(p *Packet) { p.Final = true }); !r.m.polling || r.m.txInterval() != 50*ms {
		t.Errorf("polling %v, interval %v after the first Final", r.m.polling, r.m.txInterval())
	}
	if r.hear(Up, func(p *Packet) { p.Final = true }); r.m.polling || r.m.txInterval() != 400*ms {
		t.Errorf("polling %v, interval %v after the second Final", r.m.polling, r.m.txInterval())
	}
}

// The peer's changes: a slower one is waited for, a faster one is followed at once.
func TestPeerChangesTimers(t *testing.T) {
	const ms = time.Millisecond
	r := newRig(t).up()
	r.hear(Up, func(p *Packet) { p.DesiredMinTx, p.RequiredMinRx, p.DetectMult, p.Poll = 400*ms, 500*ms, 5, true }).tick()
	if i := r.m.Info(); i.DetectionTime != 2*time.Second || i.TransmitInterval != 500*ms || !r.last().Final {
		t.Errorf("%+v", i)
	}
	if d := r.m.sendAt.Sub(r.now); d < 375*ms || d > 500*ms {
		t.Errorf("next packet in %v", d)
	}
	r.hear(Up)
	if d := r.m.sendAt.Sub(r.now); d > 50*ms {
		t.Errorf("next packet in %v although the peer takes one in 50 ms", d)
	}
}

// Jitter (§6.8.7): 75 to 100 %, with multiplier 1 to 90 %, and spread over it.
func TestJitter(t *testing.T) {
	for _, tt := range []struct {
		mult                  uint8
		interval, least, most time.Duration
	}{
		{3, 50 * time.Millisecond, 37500 * time.Microsecond, 50 * time.Millisecond},
		{1, 50 * time.Millisecond, 37500 * time.Microsecond, 45 * time.Millisecond},
		{3, 10 * time.Millisecond, 7500 * time.Microsecond, 10 * time.Millisecond},
		{3, time.Second, 750 * time.Millisecond, time.Second},
	} {
		r := newRig(t, func(c *Config) { c.DetectMultiplier = tt.mult })
		seen := map[time.Duration]bool{}
		at := epoch.Add(123456 * time.Nanosecond)
		for range 2000 {
			next := r.m.pace(at, tt.interval)
			d := next.Sub(at)
			if d < tt.least || d > tt.most {
				t.Fatalf("%v: pause %v", tt, d)
			}
			seen[d/time.Millisecond] = true
			at = next
		}
		if want := int((tt.most - tt.least) / time.Millisecond); len(seen) < want {
			t.Errorf("%v: only %d different pauses", tt, len(seen))
		}
	}
}

// A process that did not run is no silence of the peer.
func TestLateTickIsNoFailure(t *testing.T) {
	const ms = time.Millisecond
	// The sockets have not been looked at up to the detection time.
	r := newRig(t).up()
	start := r.now
	r.pass(149 * ms)
	r.now = start.Add(151 * ms)
	if r.step(Tick{Heard: start.Add(149 * ms)}); r.m.State() != Up {
		t.Error("judged by what was not looked at yet")
	}
	if r.step(Tick{Heard: r.now}); r.m.State() != Down || r.change().LastHeard != start {
		t.Errorf("%v, %+v", r.m.State(), r.change())
	}
	// A packet that waited counts by when the kernel received it.
	r = newRig(t).up()
	start = r.now
	r.now = start.Add(10 * time.Second)
	p := r.peer
	p.State = Up
	for _, at := range []time.Duration{40 * ms, 9900 * ms} {
		r.step(Received{Packet: &p, Raw: p.Append(nil, nil), At: start.Add(at)})
	}
	if r.tick(); r.m.State() != Up || !r.m.detectAt.Equal(start.Add(10050*ms)) {
		t.Errorf("%v, detection in %v", r.m.State(), r.m.detectAt.Sub(r.now))
	}
	// The sockets were full, and nothing of late is in them: two intervals of grace,
	// once.
	r = newRig(t).up()
	r.now = r.now.Add(10 * time.Second)
	if r.tick(); r.m.State() != Up {
		t.Fatal("no grace after a long pause")
	}
	if d := r.m.Deadline(); d.After(r.now.Add(100 * ms)) {
		t.Errorf("grace of %v", d.Sub(r.now))
	}
	if r.now = r.now.Add(10 * time.Second); r.tick().m.State() != Down {
		t.Error("grace without end")
	}
	// In time it is a failure at once.
	r = newRig(t).up()
	if r.pass(150 * ms); r.m.State() != Down || !r.m.Info().LastDown.Failed() {
		t.Error(r.m.State())
	}
	// A pause that ended before: packets that were lost to it are not missed.
	r = newRig(t).up()
	start = r.now
	r.now = start.Add(145 * ms)
	if r.tick().pass(99 * ms); r.m.State() != Up {
		t.Error("no grace right after a pause")
	}
	if r.pass(ms); r.m.State() != Down || r.m.Info().LastDown.At != start.Add(245*ms) {
		t.Errorf("%v, %+v", r.m.State(), r.m.Info().LastDown)
	}
}

// The peer began anew, with another discriminator: that is a failure of its system.
func TestPeerRestarts(t *testing.T) {
	r := newRig(t).up()
	r.hear(Down, func(p *Packet) { p.MyDiscriminator, p.YourDiscriminator = 99, 0 }).tick()
	if p := r.last(); p.State != Down || p.YourDiscriminator != 99 || p.Diag != DiagNeighborDown || p.DesiredMinTx != time.Second {
		t.Errorf("%+v", p)
	}
}

// Sequence numbers (§6.7.3, §6.7.4), on a rig with each kind of SHA-1.
func TestAuthSequence(t *testing.T) {
	for _, kind := range []AuthType{AuthKeyedSHA1, AuthMeticulousSHA1} {
		r := newRig(t, func(c *Config) { c.Auth = &Auth{Type: kind, KeyID: 1, Key: "k"} })
		hear := func(seq uint32) Discard {
			r.hear(Down, func(p *Packet) { p.Auth = AuthSection{Type: kind, KeyID: 1, Sequence: seq} })
			return r.discard()
		}
		again := DiscardNone
		if kind == AuthMeticulousSHA1 {
			again = DiscardAuthSequence
		}
		first := uint32(0xfffffffe) // the numbers go round
		for i, tt := range []struct {
			seq  uint32
			want Discard
		}{
			{first, DiscardNone}, {first, again}, {first + 1, DiscardNone}, {first, DiscardAuthSequence},
			{first + 10, DiscardNone}, {first + 20, DiscardAuthSequence}, {first + 19, DiscardNone}, {5, DiscardAuthSequence},
		} {
			if got := hear(tt.seq); got != tt.want {
				t.Errorf("%v, %d: %v, want %v", kind, i, got, tt.want)
			}
		}
		// After twice the detection time any number begins anew.
		if r.pass(10 * time.Second); hear(5) != DiscardNone {
			t.Errorf("%v: the peer's restart is not taken", kind)
		}
		// Ours.
		r.sent = nil
		r.pass(5 * time.Second)
		for i := 1; i < len(r.sent); i++ {
			a, b := r.sent[i-1].Auth.Sequence, r.sent[i].Auth.Sequence
			if kind == AuthMeticulousSHA1 && b != a+1 || b-a > 1 {
				t.Errorf("%v: sent %d after %d", kind, b, a)
			}
		}
	}
}

// The echo function (§6.8.9).
// A peer that begins anew has other numbers; while the session is disabled, too, they are
// forgotten in time.
func TestAuthSequenceWhileDisabled(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Disabled, c.Auth = true, &Auth{Type: AuthMeticulousSHA1, KeyID: 1, Key: "key"}
	})
	number := func(n uint32) func(*Packet) {
		return func(p *Packet) {
			p.YourDiscriminator = 0
			p.Auth = AuthSection{Type: AuthMeticulousSHA1, KeyID: 1, Sequence: n}
		}
	}
	for _, first := range []uint32{1000, 5} {
		for i := range uint32(3) {
			if d := r.hear(Down, number(first+i)).discard(); d != DiscardNone {
				t.Errorf("%d: %v", first+i, d)
			}
			r.pass(50 * time.Millisecond)
		}
		r.pass(time.Minute)
	}
}

// Another configuration does not take back what was forgiven a process that was paused.
func TestChangeAfterPause(t *testing.T) {
	r := newRig(t).up().hear(Up)
	r.now = r.now.Add(time.Second)
	if r.tick(); r.m.State() != Up {
		t.Fatal("no grace")
	}
	c := r.m.cfg
	c.DetectMultiplier = 5
	r.step(Configure{c}).tick()
	r.now = r.now.Add(40 * time.Millisecond)
	if r.tick().hear(Up); r.m.State() != Up {
		t.Errorf("%+v", r.change())
	}
}

func TestEcho(t *testing.T) {
	const ms = time.Millisecond
	loops := func(p *Packet) { p.RequiredMinEchoRx = 20 * ms }
	r := newRig(t, func(c *Config) { c.EchoMode, c.EchoInterval = true, 10*ms })
	r.up()
	if r.m.echoes.active {
		t.Fatal("echoes to a peer that does not loop back")
	}
	r.hear(Up, loops).tick()
	if i := r.m.Info(); i.EchoInterval != 20*ms || i.EchoDetectionTime != 60*ms {
		t.Errorf("%+v", i)
	}
	if p := r.last(); p.RequiredMinRx != time.Second || p.RequiredMinEchoRx != 10*ms || !p.Poll {
		t.Errorf("control packets slow down while echoes detect (§6.8.3): %+v", p)
	}
	echo := func() (n int) {
		for _, e := range r.all {
			if s, ok := e.(SendEcho); ok {
				n++
				r.m.Step(r.now, EchoReceived{Echo: *s.Echo, At: r.now})
			}
		}
		return n
	}
	n := echo()
	for end := r.now.Add(900 * ms); r.now.Before(end); {
		r.now = later(r.now, r.m.Deadline())
		r.tick()
		n += echo()
	}
	if r.m.State() != Up || n < 45 || n > 62 {
		t.Fatalf("%v, %d echoes in 900 ms", r.m.State(), n)
	}
	// Replayed, foreign and invented echoes do not count.
	for _, edit := range []func(*Echo){
		func(*Echo) {}, func(e *Echo) { e.Sequence++ }, func(e *Echo) { e.Cookie++ }, func(e *Echo) { e.Discriminator++ },
	} {
		e := r.m.echoes.next
		edit(&e)
		if r.step(EchoReceived{Echo: e, At: r.now}); r.discard() != DiscardEcho {
			t.Errorf("%+v was taken", e)
		}
	}
	r.pass(70 * ms)
	if i := r.m.Info(); i.State != Down || i.Diag != DiagEchoFailed || !i.LastDown.Failed() || i.LastDown.Reason != ReasonEchoFailed {
		t.Errorf("%+v", i)
	}
	if r.hear(Down, loops); r.m.echoes.active {
		t.Error("echoes while not Up")
	}
	// The peer stops to loop back: control packets detect again.
	r.hear(Init, loops).tick()
	r.hear(Up, func(p *Packet) { p.RequiredMinEchoRx, p.Final = 0, true }).tick()
	if r.m.echoes.active || r.last().RequiredMinRx != 50*ms {
		t.Errorf("%+v", r.last())
	}
}

func TestEchoRoundTrip(t *testing.T) {
	e := Echo{Discriminator: 1, Sequence: 2, Cookie: 3}
	if got, ok := DecodeEcho(e.Append(nil)); !ok || got != e {
		t.Error(got, ok)
	}
	for _, b := range [][]byte{nil, make([]byte, 24), e.Append(nil)[:23]} {
		if _, ok := DecodeEcho(b); ok {
			t.Errorf("%x is no echo of ours", b)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Name: "a", Remote: netip.MustParseAddr("192.0.2.1")}
	addr := netip.MustParseAddr
	for i, edit := range []func(*Config){
		func(c *Config) { c.Name = "" },
		func(c *Config) { c.Remote = netip.Addr{} },
		func(c *Config) { c.Remote = addr("0.0.0.0") },
		func(c *Config) { c.Remote = addr("224.0.0.1") },
		func(c *Config) { c.Local = addr("2001:db8::1") },
		func(c *Config) { c.Local = addr("0.0.0.0") },
		func(c *Config) { c.Remote = addr("fe80::1") },
		func(c *Config) { c.Remote, c.Interface = addr("fe80::1%eth0"), "eth1" },
		func(c *Config) { c.Remote, c.Multihop = addr("fe80::1%eth0"), true },
		func(c *Config) { c.TransmitInterval = 9 * time.Millisecond },
		func(c *Config) { c.ReceiveInterval = 61 * time.Second },
		func(c *Config) { c.EchoInterval = time.Nanosecond },
		func(c *Config) { c.Auth = &Auth{Type: AuthSimplePassword, Key: "x"} },
		func(c *Config) { c.Auth = &Auth{Type: AuthMeticulousMD5, Key: "x"} },
		func(c *Config) { c.Auth = &Auth{Type: 9, Key: "x"} },
		func(c *Config) { c.Auth = &Auth{Type: AuthKeyedSHA1} },
		func(c *Config) { c.Auth = &Auth{Type: AuthKeyedSHA1, Key: fmt.Sprintf("%21s", "x")} },
	} {
		c := good
		edit(&c)
		if _, err := c.normal(); err == nil {
			t.Errorf("case %d: no error", i)
		}
	}
	c := good
	c.Remote = addr("fe80::1%eth0")
	got, err := c.normal()
	if err != nil || got.Interface != "eth0" || got.Remote != addr("fe80::1") || got.DetectMultiplier != 3 ||
		got.TransmitInterval != 300*time.Millisecond || got.MinimumTTL != 254 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A session in steady state allocates nothing.
func BenchmarkMachine(b *testing.B) {
	c, err := Config{Name: "x", Remote: netip.MustParseAddr("192.0.2.1")}.normal()
	if err != nil {
		b.Fatal(err)
	}
	now := epoch
	m := NewMachine(now, c, ours, epoch, 1)
	p := Packet{State: Down, DetectMult: 3, MyDiscriminator: theirs, YourDiscriminator: ours, DesiredMinTx: 50 * time.Millisecond, RequiredMinRx: 50 * time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(40 * time.Millisecond)
		m.Step(now, Received{Packet: &p, At: now})
		for due(m.Deadline(), now) {
			m.Step(now, Tick{Heard: now})
		}
		p.State, p.Final = Up, true
	}
}
