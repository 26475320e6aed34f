package bgp

import (
	"errors"
	"slices"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

const subCollision = wire.SubCeaseCollision

// tick sees to all timers that have expired.
func (m *Machine) tick(now time.Time) {
	if due(m.probeAt, now) {
		m.probeAt = time.Time{}
		if e := m.established(); e != nil {
			m.emit(Probe{e.id, now.Sub(m.challenged) + ackGrain})
		}
	}
	for _, l := range slices.Clone(m.links) {
		if slices.Contains(m.links, l) { // not closed by the one before
			m.tickLink(now, l)
		}
	}
	if due(m.retryAt, now) {
		m.retry(now)
	}
}

func (m *Machine) tickLink(now time.Time, l *link) {
	if due(l.holdAt, now) {
		if !l.late && l.state >= OpenConfirm && now.Sub(l.holdAt) > lateTick {
			l.late = true
			l.holdAt = now.Add(lateTick)
		} else {
			m.expire(now, l) // event 10
			return
		}
	}
	if due(l.keepaliveAt, now) { // event 11
		m.keepalive(now, l)
	}
}

func (m *Machine) expire(now time.Time, l *link) {
	d := Down{Cause: CauseHoldTimer, Notification: &wire.Notification{Code: wire.CodeHoldTimer}}
	switch {
	case l.state == OpenSent && m.established() != nil:
		d = Down{Cause: CauseCollision, Notification: cease(subCollision)}
	case l.state == OpenSent:
		d.Cause = CauseOpenTimeout
	}
	m.drop(now, l, d)
}

// retry is the expiry of ConnectRetryTimer (event 9), and in Idle of IdleHoldTimer
// (event 13).
func (m *Machine) retry(now time.Time) {
	switch m.trying {
	case Connect: // the attempt took too long: another one
		m.emit(CancelDial{})
		m.unreached++
		m.fail(now, Down{Cause: CauseConnectFailed, Err: m.silence()})
		m.try(now)
	default:
		m.try(now)
	}
}

// silence is the error of an attempt that nobody answered. With a password it may
// be the reason: a segment without the right signature is dropped without a word,
// RFC 2385 2.0.
func (m *Machine) silence() error {
	if m.cfg.Password != "" {
		return errSilencePassword
	}
	return errSilence
}

var (
	errSilence         = errors.New("no answer")
	errSilencePassword = errors.New("no answer, as of a peer that has another password or none")
)

// unreachedPause is the pause after an attempt that did not connect.
func (m *Machine) unreachedPause() time.Duration {
	d := grow(firstRetry, m.cfg.connectRetry(), m.unreached)
	m.unreached++
	return jitter(m.rand, d)
}

// idlePause is the pause after a session that was refused or lost.
func (m *Machine) idlePause() time.Duration {
	d := grow(firstIdle, max(lastIdle, m.cfg.connectRetry()), m.failed)
	m.failed++
	return jitter(m.rand, d)
}

// drop closes a connection and says what becomes of the session.
func (m *Machine) drop(now time.Time, gone *link, d Down) {
	m.links = slices.DeleteFunc(m.links, func(l *link) bool { return l == gone })
	var say *wire.Notification
	if d.Cause != CausePeerNotification {
		say = d.Notification
	}
	if gone.state == Established {
		d.Retain = m.retain(gone, d)
		m.retained = len(d.Retain) > 0
	}
	m.emit(Close{gone.id, say})
	if gone.aside {
		m.probeAt = time.Time{}
		return
	}
	if gone.state == Established {
		m.probeAt = time.Time{}
		m.info.Drops++
		reset := Reset{now, d}
		if d.ByPeer() {
			m.info.ResetByPeer = reset
		} else {
			m.info.ResetByUs = reset
		}
		m.info.Error = reset
		m.emit(Ended{d})
		if now.Sub(gone.since) >= steady {
			m.failed = 0
		}
	} else if d.Cause != CauseCollision {
		m.fail(now, d)
	}
	if !m.started {
		return
	}
	if len(m.links) > 0 {
		if heir := m.links[0]; heir.aside {
			m.promote(now, heir)
		}
		return
	}
	if m.trying == Connect {
		return // an attempt is under way
	}
	pause := m.idlePause()
	m.trying, m.retryAt = Idle, now.Add(pause)
	switch {
	case gone.state == OpenSent && d.Cause == CauseConnectionLost:
		m.trying = Active // event 18 in OpenSent: ConnectRetryTimer, and listen
		if m.cfg.Passive {
			m.retryAt = time.Time{}
		}
	case gone.state == Established && m.failed > 1:
		// The peer comes and goes: to follow it as fast as it likes costs us a table each
		// time (RFC 4271 §8.1.1, DampPeerOscillations).
		m.refuseUntil = now.Add(min(pause, refuseFor))
	case gone.state != Established && d.Cause != CauseCollision && d.Cause != CauseConnectionLost:
		m.refuseUntil = now.Add(min(pause, refuseFor))
	}
}

func (m *Machine) fail(now time.Time, d Down) {
	m.info.Error = Reset{now, d}
	m.emit(Failed{d})
}

// heard finds a connection on which a message came and restarts its hold timer
// (RFC 4271 §8.2.2, events 26 and 27).
func (m *Machine) heard(now time.Time, id ConnID) *link {
	l := m.link(id)
	if l != nil && l.state >= OpenConfirm {
		l.holdAt, l.late = after(now, l.hold), false
	}
	return l
}

// keepalive sends a KEEPALIVE and restarts its timer.
func (m *Machine) keepalive(now time.Time, l *link) {
	m.emit(SendKeepalive{l.id})
	l.keepaliveAt = after(now, l.beat)
	if l.beat > 0 {
		l.keepaliveAt = now.Add(jitter(m.rand, l.beat))
	}
}

func (m *Machine) link(id ConnID) *link {
	for _, l := range m.links {
		if l.id == id {
			return l
		}
	}
	return nil
}

// other is the connection beside l; there are never more than two.
func (m *Machine) other(l *link) *link {
	for _, o := range m.links {
		if o != l {
			return o
		}
	}
	return nil
}

func (m *Machine) established() *link {
	for _, l := range m.links {
		if l.state == Established {
			return l
		}
	}
	return nil
}

// best is the connection that the session's state is about.
func (m *Machine) best() *link {
	var b *link
	for _, l := range m.links {
		if b == nil || l.state > b.state {
			b = l
		}
	}
	return b
}

// note brings Info up to date.
func (m *Machine) note(now time.Time) {
	i := &m.info
	if s := m.State(); s != i.State || i.Since.IsZero() {
		i.State, i.Since = s, now
	}
	i.RetryAt = m.retryAt
	l := m.best()
	if l == nil {
		l = &link{}
	}
	i.Conn, i.Incoming, i.SentOpen, i.ReceivedOpen = l.id, l.incoming, l.sent, l.open
	i.Session, i.HoldTime, i.KeepaliveTime = l.session, l.hold, l.beat
	i.HoldDue, i.KeepaliveDue = l.holdAt, l.keepaliveAt
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

// negotiateTimers takes the lower of the two hold times (RFC 4271 §4.2) and the
// keepalive time that goes with it (§4.4, §10).
func negotiateTimers(c *Config, o *wire.Open) (hold, beat time.Duration) {
	hold = min(c.holdTime(), time.Duration(o.HoldTime)*time.Second)
	if hold == 0 {
		return 0, 0
	}
	beat = hold / 3
	if c.KeepaliveTime != nil {
		beat = min(beat, *c.KeepaliveTime)
	}
	return hold, beat
}

// grow doubles from the first pause to the last.
func grow(first, last time.Duration, n int) time.Duration {
	if n > 20 {
		return last
	}
	return min(first<<n, last)
}

func cease(subcode uint8) *wire.Notification {
	return &wire.Notification{Code: wire.CodeCease, Subcode: subcode}
}

// farewell is a Cease with a text for the peer's operator, if there is one (RFC 9003).
func farewell(subcode uint8, text string) *wire.Notification {
	if text == "" {
		return cease(subcode)
	}
	return wire.Shutdown(subcode, text)
}

// notification takes the message out of an error of package wire.
func notification(err error) *wire.Notification {
	var n *wire.Notification
	if errors.As(err, &n) {
		return n
	}
	return &wire.Notification{Code: wire.CodeFSM}
}

func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// after is now+d, or zero for no timer.
func after(now time.Time, d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return now.Add(d)
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// inherit keeps the neighbor's history when its configuration changed.
func (m *Machine) inherit(old *Machine) {
	i := &old.info
	m.retained = old.retained
	m.info.Establishments, m.info.Drops = i.Establishments, i.Drops
	m.info.ResetByUs, m.info.ResetByPeer, m.info.Error = i.ResetByUs, i.ResetByPeer, i.Error
}
