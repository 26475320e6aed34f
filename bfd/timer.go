package bfd

import "time"

// grid is how finely sending times are told apart.
const grid = time.Millisecond

// adapt brings what packets say, what is in force and when packets are due in line
// with configuration and state (RFC 5880 §6.8.2, §6.8.3).
func (m *Machine) adapt(now time.Time) {
	m.echo(now)
	tx, rx := m.cfg.TransmitInterval, m.cfg.ReceiveInterval
	if m.state != Up {
		tx = max(tx, slowTx) // §6.8.3: not less than a second
	}
	if m.echoes.active {
		rx = max(rx, slowTx) // §6.8.3: the echoes detect
	}
	if tx != m.desiredTx || rx != m.requiredRx {
		m.desiredTx, m.requiredRx = tx, rx
		m.soonAt = earliest(m.soonAt, now)
		switch {
		case m.remote == 0: // nobody to ask
		case m.polling:
			m.again = true
		default:
			m.polling = true
		}
	}
	if m.state == AdminDown {
		m.polling, m.again = false, false
	}
	// §6.8.3: while Up, a longer transmit interval and a shorter receive interval wait
	// until the peer has acknowledged them; otherwise packets would come too late for
	// one end or the other.
	if m.state != Up || !m.polling || tx < m.usedTx {
		m.usedTx = tx
	}
	if m.state != Up || !m.polling || rx > m.usedRx {
		m.usedRx = rx
	}
	if i := m.txInterval(); i != m.interval || m.sendAt.IsZero() {
		m.interval = i
		m.sendAt = now
		if !m.sentAt.IsZero() {
			m.sendAt = m.pace(m.sentAt, i)
		}
	}
}

// pollEnded is the Final that ends a Poll Sequence (§6.5).
func (m *Machine) pollEnded(now time.Time) {
	m.polling = false
	if m.again {
		m.again, m.polling = false, true
		m.soonAt = earliest(m.soonAt, now)
		return
	}
	m.adapt(now)
}

// txInterval is the interval between periodic packets, before jitter (§6.8.7).
func (m *Machine) txInterval() time.Duration { return max(m.usedTx, m.remoteRx) }

// peerInterval is the interval between the peer's packets (§6.8.4).
func (m *Machine) peerInterval() time.Duration { return max(m.usedRx, m.remoteTx) }

// detection is the detection time in asynchronous mode (§6.8.4).
func (m *Machine) detection() time.Duration {
	return time.Duration(m.remoteMult) * m.peerInterval()
}

// maySend is false where nothing at all may be sent (§6.8.7): before a passive
// session has heard the peer.
func (m *Machine) maySend() bool { return !m.cfg.Passive || m.remote != 0 }

// periodic tells if packets are sent by the clock (§6.8.7).
func (m *Machine) periodic() bool {
	switch {
	case m.remoteRx == 0:
		return false // the peer wants none
	case m.remoteDemand && m.state == Up && m.remoteState == Up && !m.polling:
		return false // demand mode of the peer (§6.6)
	}
	return true
}

// pace returns when the packet after one sent at from is due: 75 to 100 % of the
// interval later, 75 to 90 % if one lost packet is enough (§6.8.7). It is rounded
// down to the grid, so that many sessions send in one wake-up.
func (m *Machine) pace(from time.Time, interval time.Duration) time.Time {
	least := interval / 4 * 3
	span := interval - least
	if m.cfg.DetectMultiplier == 1 {
		span = interval / 20 * 3
	}
	wait := least
	if span > 0 {
		wait += time.Duration(m.rand.Int64N(int64(span) + 1))
	}
	if over := (from.Sub(m.epoch) + wait) % grid; over > 0 && wait-over >= least {
		wait -= over
	}
	return from.Add(wait)
}

// send makes the control packet (§6.8.7).
func (m *Machine) send(now time.Time) {
	p := Packet{
		Diag: m.diag, State: m.state, DetectMult: m.cfg.DetectMultiplier,
		MyDiscriminator: m.local, YourDiscriminator: m.remote,
		DesiredMinTx: m.desiredTx, RequiredMinRx: m.requiredRx,
		// A Poll and the answer to one are not sent in one packet: the answer comes
		// first, and the Poll with the next.
		Final: m.final, Poll: m.polling && !m.final,
	}
	if m.cfg.echoes() {
		p.RequiredMinEchoRx = m.cfg.EchoInterval
	}
	if m.cfg.Auth != nil {
		p.Auth = AuthSection{Type: m.cfg.Auth.Type, KeyID: m.cfg.Auth.KeyID}
		changed := p
		changed.Auth.Sequence = m.packet.Auth.Sequence
		if m.cfg.Auth.Type == AuthMeticulousSHA1 || changed != m.packet {
			m.auth.sent++ // §6.7.3, §6.7.4
		}
		p.Auth.Sequence = m.auth.sent
	}
	m.packet = p
	m.soonAt = time.Time{}
	if m.polling && m.final {
		m.soonAt = now.Add(grid)
	}
	m.final = false
	m.sentAt, m.sendAt = now, m.pace(now, m.interval)
	m.emit(Send{&m.packet})
}

func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
