package bfd

import (
	"math/rand/v2"
	"time"
)

// Machine is one BFD session as plain data (RFC 5880 §6). It never blocks, sleeps,
// logs or sends. It is not safe for concurrent use.
type Machine struct {
	cfg  Config
	rand *rand.Rand
	out  []Effect
	// epoch is where the grid of sending times begins; see pace.
	epoch time.Time

	// What follows are the variables of RFC 5880 §6.8.1.
	state, remoteState State
	local, remote      uint32
	diag, remoteDiag   Diag
	// desiredTx and requiredRx are what packets say; usedTx and usedRx what is in
	// force, which differs while a Poll Sequence asks the peer (§6.8.3).
	desiredTx, requiredRx time.Duration
	usedTx, usedRx        time.Duration
	remoteTx, remoteRx    time.Duration
	remoteEchoRx          time.Duration
	remoteMult            uint8
	remoteDemand          bool
	auth                  authState

	// polling: a Poll Sequence is under way; again: another has to follow, because
	// something changed meanwhile (§6.5).
	polling, again bool
	final          bool // the next packet answers a Poll

	stopped  bool
	sentAt   time.Time     // when a control packet was last sent
	interval time.Duration // that sendAt was made from
	sendAt   time.Time     // next periodic packet
	soonAt   time.Time     // a packet beyond the periodic ones; zero: none
	heard    time.Time     // when the last packet was received
	detectAt time.Time     // detection time expires; zero: nothing was heard yet
	late     bool          // detection was put off once since then
	resumed  time.Time     // when the machine last ran after a pause
	echoes   echoes

	since      time.Time
	lastReason Reason
	ups, downs uint64
	lastDown   Change
	packet     Packet // of Send
}

// NewMachine returns a session in Down, or AdminDown if it is disabled. The
// configuration must be valid and have its defaults. The discriminator must be
// unique on this system and not 0. Machines of one epoch send at the same moments,
// so that one wake-up serves many. seed makes jitter and sequence numbers.
func NewMachine(now time.Time, c Config, discriminator uint32, epoch time.Time, seed uint64) *Machine {
	m := &Machine{
		cfg: c, rand: rand.New(rand.NewPCG(seed, uint64(discriminator))), epoch: epoch,
		state: Down, remoteState: Down, local: discriminator,
		remoteRx: time.Microsecond, // §6.8.1
		since:    now, soonAt: now,
	}
	if c.Disabled {
		m.state, m.diag, m.lastReason = AdminDown, DiagAdminDown, ReasonAdminDown
	}
	m.auth.sent = m.rand.Uint32() // §6.8.1: random
	m.echoes.next = Echo{Discriminator: discriminator, Sequence: m.rand.Uint32(), Cookie: m.rand.Uint64()}
	m.echoes.back = m.echoes.next.Sequence
	m.adapt(now)
	return m
}

// Step takes an event and returns what is to be done about it, in order. The slice
// is valid until the next Step. Packets are sent in Step of Tick alone: what several
// events ask for is one packet.
func (m *Machine) Step(now time.Time, in Event) []Effect {
	m.out = m.out[:0]
	switch e := in.(type) {
	case Tick:
		m.tick(now, e.Heard)
	case Received:
		m.received(now, e)
	case EchoReceived:
		m.echoReceived(now, e)
	case EchoRefused:
		m.echoes.refused = true
		m.adapt(now)
	case Configure:
		m.configure(now, e.Config)
	case Stop:
		m.stopped = true
		m.become(now, AdminDown, DiagAdminDown, e.Reason)
		m.adapt(now)
	}
	return m.out
}

// Deadline is when Step must be called with Tick at the latest; zero: never.
func (m *Machine) Deadline() time.Time {
	d := m.detectAt
	if m.maySend() {
		d = earliest(d, m.soonAt)
		if m.periodic() {
			d = earliest(d, m.sendAt)
		}
	}
	if m.echoes.active {
		d = earliest(d, earliest(m.echoes.sendAt, m.echoes.detectAt))
	}
	return d
}

// State is the session's state.
func (m *Machine) State() State { return m.state }

func (m *Machine) tick(now, heard time.Time) {
	if d := m.Deadline(); !d.IsZero() && now.Sub(d) >= max(m.peerInterval(), leastInterval) {
		m.resumed = now // so late: it was we, or this host, who did not run
	}
	if due(m.detectAt, heard) && !m.forgive(now, &m.detectAt, &m.late, m.peerInterval()) {
		m.expire(now)
	}
	m.echoTick(now, heard)
	if m.maySend() && (due(m.soonAt, now) || m.periodic() && due(m.sendAt, now)) {
		m.send(now)
	}
}

// received is RFC 5880 §6.8.6, from the selection of the session on.
func (m *Machine) received(now time.Time, e Received) {
	p := e.Packet
	if d := m.cfg.Auth.verify(p, e.Raw); d != DiscardNone {
		m.emit(Discarded{d})
		return
	}
	if d := m.auth.check(m.cfg.Auth, p, e.At); d != DiscardNone {
		m.emit(Discarded{d})
		return
	}
	m.remote, m.remoteState, m.remoteDiag = p.MyDiscriminator, p.State, p.Diag
	m.remoteDemand, m.remoteMult = p.Demand, p.DetectMult
	m.remoteTx, m.remoteRx, m.remoteEchoRx = p.DesiredMinTx, p.RequiredMinRx, p.RequiredMinEchoRx
	if p.Final && m.polling {
		m.pollEnded(now)
	}
	if m.state == AdminDown {
		m.adapt(now)
		m.auth.forgetAt = e.At.Add(2 * m.detection())
		return // discarded: it has not been received for purposes of detection
	}
	m.heard, m.late = later(m.heard, e.At), false
	switch {
	case p.State == AdminDown:
		if m.state != Down {
			m.become(now, Down, DiagNeighborDown, ReasonPeerAdminDown)
		}
	case m.state == Down && p.State == Down:
		m.become(now, Init, m.diag, ReasonPeerHeard)
	case m.state == Down && p.State == Init, m.state == Init && p.State != Down:
		m.become(now, Up, DiagNone, ReasonHandshake)
	case m.state == Up && p.State == Down:
		m.become(now, Down, DiagNeighborDown, ReasonPeerDown)
	}
	if p.Poll {
		// §6.8.7: as soon as practicable, whatever else holds packets back. A flood of
		// Polls gets one answer for each time that it is looked at.
		m.final, m.soonAt = true, earliest(m.soonAt, now)
	}
	m.adapt(now)
	// §6.8.4; the peer may have changed its interval (§6.8.12).
	m.detectAt = m.heard.Add(m.detection())
	m.auth.forgetAt = m.heard.Add(2 * m.detection())
}

// expire is the end of the detection time without a packet (§6.8.4).
func (m *Machine) expire(now time.Time) {
	m.detectAt = time.Time{}
	// §6.8.1, bfd.RemoteDiscr. Nothing that the peer said holds any longer; least of
	// all that it wants no packets.
	m.remote, m.remoteState, m.remoteDemand, m.polling, m.again = 0, Down, false, false, false
	m.remoteRx, m.remoteEchoRx = time.Microsecond, 0
	if m.state == Init || m.state == Up {
		m.become(now, Down, DiagDetectionExpired, ReasonDetectionExpired)
	}
	m.adapt(now)
}

// forgive puts a detection that has expired off once, to two of the sender's intervals
// after the process went on, if it did not run for an interval or more: what the sockets
// hold has been looked at by now, but they may have been full, and if the peer lives its
// next packets come within that time.
func (m *Machine) forgive(now time.Time, at *time.Time, late *bool, interval time.Duration) bool {
	again := m.resumed.Add(2 * interval)
	if *late || m.resumed.IsZero() || !again.After(now) {
		return false
	}
	*late, *at = true, again
	return true
}

// become enters a state.
func (m *Machine) become(now time.Time, to State, diag Diag, why Reason) {
	from := m.state
	m.diag = diag
	if from == to {
		return
	}
	m.state, m.since, m.lastReason = to, now, why
	heard := m.heard
	if why == ReasonEchoFailed {
		heard = m.echoes.heard
	}
	change := Change{At: now, From: from, To: to, Reason: why, Diag: diag, RemoteDiag: m.remoteDiag, LastHeard: heard}
	if to == Up {
		m.ups++
	}
	if from == Up {
		m.downs++
		m.lastDown = change
	}
	if to == AdminDown {
		m.polling, m.again, m.final, m.detectAt = false, false, false, time.Time{}
	}
	// §6.8.7: a change is told at once.
	m.soonAt = earliest(m.soonAt, now)
	m.emit(Changed{change})
}

// configure is a change of timers, role, key or administrative state (§6.8.3,
// §6.8.16).
func (m *Machine) configure(now time.Time, c Config) {
	if m.stopped {
		return
	}
	old := m.cfg
	m.cfg, m.echoes.refused = c, false
	switch {
	case c.Disabled && m.state != AdminDown:
		m.become(now, AdminDown, DiagAdminDown, ReasonAdminDown)
	case !c.Disabled && m.state == AdminDown:
		m.become(now, Down, m.diag, ReasonEnabled)
	}
	if c.DetectMultiplier != old.DetectMultiplier || c.Auth.differs(old.Auth) || c.Passive != old.Passive {
		m.soonAt = earliest(m.soonAt, now)
	}
	if c.Auth.differs(old.Auth) {
		m.auth.known = false
	}
	m.adapt(now)
	if !m.detectAt.IsZero() {
		d := m.heard.Add(m.detection())
		if m.late { // what was forgiven stays so
			d = later(d, m.detectAt)
		}
		m.detectAt = d
	}
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }
