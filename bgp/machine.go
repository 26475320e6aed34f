package bgp

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// Timers that are not configured.
const (
	// openWait is how long a connection may stay without the peer's OPEN. RFC 4271
	// §8.2.2 suggests four minutes; a peer that died at that very moment should not
	// cost so much.
	openWait = 30 * time.Second
	// connectWait is the least time an attempt to connect may take: the kernel
	// sends its SYN at 0 s and 1 s.
	connectWait = 2 * time.Second
	// Pauses grow by two from the first to the last (RFC 4271 §8.1.1,
	// DampPeerOscillations): between attempts to reach a peer that does not answer
	// up to connectRetry, after sessions refused or lost up to lastIdle.
	firstRetry = 100 * time.Millisecond
	firstIdle  = 100 * time.Millisecond
	lastIdle   = 30 * time.Second
	// refuseFor bounds for how long after a failed OPEN exchange the peer's own
	// next connection is refused.
	refuseFor = 250 * time.Millisecond
	// steady is how long a session must have been Established for its end to
	// count as the first failure.
	steady = 10 * time.Second
	// lateTick: a hold timer found expired so much too late says that we did not
	// run, not that the peer was silent; its messages may be waiting.
	lateTick = time.Second
)

// Machine is one BGP session as plain data: RFC 4271 §8 for the one or two
// connections that a session may have at a time. It never blocks, sleeps, logs
// or dials. It is not safe for concurrent use.
type Machine struct {
	cfg  Config
	rand *rand.Rand
	out  []Effect

	started    bool
	retained   bool // the last session's routes are kept, and there is no other yet
	restarting bool // no session was Established since we came back (RFC 4724 §4.1)
	// trying is the state while there is no connection: Idle, Connect or Active.
	trying  State
	retryAt time.Time // ConnectRetryTimer, in Idle IdleHoldTimer; zero: not running
	// unreached and failed count attempts in a row that did not connect, and that
	// did but did not come to, or last as, a session.
	unreached, failed int
	refuseUntil       time.Time

	// links are the connections: none, one, or an outgoing and an incoming one, or
	// an Established one and another.
	links               []*link
	challenged, probeAt time.Time // the Established connection: since when and until when it has to show life

	info Info
}

// link is one connection: an instance of RFC 4271's FSM from OpenSent on.
type link struct {
	id       ConnID
	incoming bool
	state    State
	aside    bool // not begun: kept back while an Established session is probed

	sent, open  *wire.Open // open is the peer's, nil until it came
	session     wire.Session
	hold, beat  time.Duration // negotiated; 0: no timers
	holdAt      time.Time     // HoldTimer; zero: not running
	keepaliveAt time.Time     // KeepaliveTimer; zero: not running
	late        bool          // the hold timer was extended once since the last message
	since       time.Time     // when Established
}

// Info is what Status shows of a Machine.
type Info struct {
	State   State
	Since   time.Time
	RetryAt time.Time
	// Conn is the connection that State is about; 0 below OpenSent.
	Conn                          ConnID
	Incoming                      bool
	SentOpen, ReceivedOpen        *wire.Open // nil: not yet
	Session                       wire.Session
	HoldTime, KeepaliveTime       time.Duration
	HoldDue, KeepaliveDue         time.Time
	Establishments, Drops         uint64
	ResetByUs, ResetByPeer, Error Reset
}

// NewMachine returns a machine in Idle. The configuration must be valid; seed
// makes its jitter.
func NewMachine(c Config, seed uint64) *Machine {
	return &Machine{cfg: c.normal(), rand: rand.New(rand.NewPCG(seed, 0))}
}

// configure changes what of the configuration no session depends on.
func (m *Machine) configure(c Config) { m.cfg = c }

// Step takes an event and returns what is to be done about it, in order. The
// slice is valid until the next Step. Time must not run backwards.
func (m *Machine) Step(now time.Time, in Event) []Effect {
	m.out = m.out[:0]
	m.step(now, in)
	m.note(now)
	return m.out
}

// Deadline is when Step must be called with Tick at the latest; zero: no timer
// runs.
func (m *Machine) Deadline() time.Time {
	d := earliest(m.retryAt, m.probeAt)
	for _, l := range m.links {
		d = earliest(d, earliest(l.holdAt, l.keepaliveAt))
	}
	return d
}

// Info tells of the machine's state.
func (m *Machine) Info() Info { return m.info }

// State is the session's state: that of its most advanced connection, or what is
// done to get one.
func (m *Machine) State() State {
	if l := m.best(); l != nil {
		return l.state
	}
	return m.trying
}

func (m *Machine) step(now time.Time, in Event) {
	switch e := in.(type) {
	case Start:
		if !m.started && !m.cfg.Shutdown {
			m.started, m.restarting = true, m.restarting || e.Restarting
			m.try(now)
		}
	case Stop:
		m.stop(now, e)
	case Tick:
		m.tick(now)
	case Connected:
		m.connected(now, e.Conn)
	case ConnectFailed:
		m.connectFailed(now, e.Err)
	case Accepted:
		m.accepted(now, e.Conn)
	case Closed:
		if l := m.link(e.Conn); l != nil {
			m.drop(now, l, Down{Cause: CauseConnectionLost, Err: e.Err})
		}
	case OpenReceived:
		if l := m.heard(now, e.Conn); l != nil {
			m.openReceived(now, l, e.Open)
		}
	case KeepaliveReceived:
		if l := m.heard(now, e.Conn); l != nil {
			m.keepaliveReceived(now, l)
		}
	case UpdateReceived:
		m.routesReceived(now, e.Conn, wire.TypeUpdate)
	case RefreshReceived:
		m.routesReceived(now, e.Conn, wire.TypeRouteRefresh)
	case NotificationReceived:
		if l := m.link(e.Conn); l != nil {
			m.drop(now, l, Down{Cause: CausePeerNotification, Notification: e.Notification})
		}
	case Malformed:
		if l := m.link(e.Conn); l != nil && l.state != Established && e.Notification.Code == wire.CodeUpdate {
			m.unexpected(now, l, wire.TypeUpdate) // event 28 before Established is an FSM error
		} else if l != nil {
			m.drop(now, l, Down{Cause: CauseProtocolError, Notification: e.Notification})
		}
	case SendStalled:
		if l := m.link(e.Conn); l != nil {
			// RFC 9687 §3.2: no NOTIFICATION would get through.
			m.drop(now, l, Down{Cause: CauseSendHoldTimer})
		}
	case PathDown:
		// BFD goes before graceful restart, on the peer's side as well.
		if l := m.established(); l != nil {
			m.drop(now, l, Down{Cause: CausePathDown, Notification: m.hard(l, cease(wire.SubCeaseBFDDown))})
		} else if m.retained {
			m.retained = false
			m.emit(Abandoned{})
		}
	case Alive:
		if l := m.link(e.Conn); l != nil && l.state == Established {
			m.judge(now, l, e.Alive)
		}
	}
}

// try leaves Idle (RFC 4271 §8.2.2, events 1, 3 to 5 and 13).
func (m *Machine) try(now time.Time) {
	if m.cfg.Passive {
		m.trying, m.retryAt = Active, time.Time{}
		return
	}
	m.trying, m.retryAt = Connect, now.Add(jitter(m.rand, max(connectWait, m.cfg.connectRetry())))
	m.emit(Dial{})
}

// stop ends everything (events 2 and 8).
func (m *Machine) stop(now time.Time, e Stop) {
	m.started = false
	m.cancelDial()
	for len(m.links) > 0 {
		l := m.links[len(m.links)-1]
		d := Down{Cause: e.Cause, Notification: e.Notification}
		switch e.Cause {
		case CauseShutdown:
			if m.graceful(l) {
				d.Notification = nil // RFC 4724 §4: a goodbye would take our routes away
			}
		case CauseAdminShutdown, CauseDeconfigured, CauseRefused:
			d.Notification = m.hard(l, d.Notification)
		}
		m.drop(now, l, d)
	}
	m.trying, m.retryAt, m.probeAt, m.refuseUntil = Idle, time.Time{}, time.Time{}, time.Time{}
	m.unreached, m.failed = 0, 0
}

func (m *Machine) cancelDial() {
	if m.trying == Connect {
		m.emit(CancelDial{})
		m.trying, m.retryAt = Idle, time.Time{}
	}
}

func (m *Machine) connected(now time.Time, id ConnID) {
	if m.trying != Connect {
		m.emit(Close{Conn: id})
		return
	}
	m.trying, m.retryAt, m.unreached = Idle, time.Time{}, 0
	l := &link{id: id, state: OpenSent}
	m.links = append(m.links, l)
	m.begin(now, l)
}

func (m *Machine) connectFailed(now time.Time, err error) {
	if m.trying != Connect {
		return
	}
	m.trying = Idle // event 18 in Connect, without DelayOpenTimer
	m.fail(now, Down{Cause: CauseConnectFailed, Err: err})
	m.retryAt = now.Add(m.unreachedPause())
}

func (m *Machine) accepted(now time.Time, id ConnID) {
	if !m.started || now.Before(m.refuseUntil) {
		m.emit(Close{Conn: id}) // event 17 in Idle
		return
	}
	if e := m.established(); e != nil {
		m.challenge(now, e, id)
		return
	}
	l := &link{id: id, incoming: true, state: OpenSent}
	m.links = append(m.links, l)
	for _, old := range m.links {
		if old.incoming && old != l {
			// The peer gave that connection up, or it would not have opened another.
			m.drop(now, old, Down{Cause: CauseCollision, Notification: cease(subCollision)})
			break
		}
	}
	if m.trying == Idle {
		// IdleHoldTimer holds our own attempts back, not the peer's: a peer that is
		// back, or was put right, is not made to wait.
		m.retryAt = time.Time{}
	}
	m.begin(now, l)
}

// begin enters OpenSent on a fresh connection (events 16 and 17).
func (m *Machine) begin(now time.Time, l *link) {
	if m.trying == Active {
		m.trying, m.retryAt = Idle, time.Time{}
	}
	l.state, l.sent = OpenSent, m.cfg.open(m.restarting)
	l.holdAt = now.Add(openWait)
	m.emit(SendOpen{l.id, l.sent})
}

// openReceived is event 19.
func (m *Machine) openReceived(now time.Time, l *link, o *wire.Open) {
	if l.state != OpenSent || l.open != nil {
		m.unexpected(now, l, wire.TypeOpen)
		return
	}
	if n := m.refuse(o); n != nil { // event 22
		m.drop(now, l, Down{Cause: CauseProtocolError, Notification: n, Err: m.mismatch(o, n)})
		return
	}
	l.open = o
	if l.aside {
		if e := m.established(); m.restarts(now, e) {
			m.drop(now, e, Down{Cause: CauseReplaced}) // which begins with l
		}
		return
	}
	if !m.collide(now, l) {
		return
	}
	l.session = m.cfg.negotiate(l.sent, o)
	l.hold, l.beat = negotiateTimers(&m.cfg, o)
	l.state = OpenConfirm
	l.holdAt = after(now, l.hold)
	m.keepalive(now, l)
}

// mismatch tells our operator what the peer said that is not as configured: the
// NOTIFICATION has no place for it. Nil where the codes say it all.
func (m *Machine) mismatch(o *wire.Open, n *wire.Notification) error {
	switch {
	case n.Code != wire.CodeOpen:
	case n.Subcode == wire.SubOpenBadPeerAS && m.cfg.AnyExternal:
		return fmt.Errorf("the peer is of AS %d, our own", o.PeerAS())
	case n.Subcode == wire.SubOpenBadPeerAS:
		return fmt.Errorf("the peer is of AS %d, and AS %d is configured", o.PeerAS(), m.cfg.RemoteAS)
	case n.Subcode == wire.SubOpenBadID:
		return fmt.Errorf("the peer has our own identifier %v", o.ID)
	}
	return nil
}

// refuse checks what an OPEN says against the configuration (RFC 4271 §6.2).
func (m *Machine) refuse(o *wire.Open) *wire.Notification {
	want := m.cfg.RemoteAS
	if m.cfg.AnyExternal {
		if want = o.PeerAS(); want == m.cfg.LocalAS {
			return &wire.Notification{Code: wire.CodeOpen, Subcode: wire.SubOpenBadPeerAS}
		}
	}
	if err := o.Check(m.cfg.LocalAS, m.cfg.RouterID, want); err != nil {
		return notification(err)
	}
	if m.cfg.Role != nil {
		if err := o.CheckRole(*m.cfg.Role, m.cfg.StrictRole); err != nil {
			return notification(err)
		}
	}
	sent := m.cfg.open(false)
	if s := wire.Negotiate(sent, o); len(s.Families) == 0 {
		// RFC 5492 §3: what we cannot do without is named in the data.
		var need []wire.Capability
		for _, f := range sent.Families() {
			need = append(need, wire.MultiProtocol(f))
		}
		return wire.UnsupportedCapability(need...)
	}
	return nil
}

// keepaliveReceived is event 26.
func (m *Machine) keepaliveReceived(now time.Time, l *link) {
	switch {
	case l.state == Established:
	case l.state == OpenConfirm:
		m.establish(now, l)
	default:
		m.unexpected(now, l, wire.TypeKeepalive)
	}
}

func (m *Machine) establish(now time.Time, l *link) {
	m.cancelDial()
	if other := m.other(l); other != nil {
		if m.prevails(other, l.open.ID, l.open.PeerAS()) {
			// The peer will choose it when our OPEN arrives there; see collide.
			other.holdAt = earliest(other.holdAt, now.Add(probeWait))
		} else {
			m.drop(now, other, Down{Cause: CauseCollision, Notification: cease(subCollision)})
		}
	}
	l.state, l.since = Established, now
	m.retryAt, m.restarting, m.retained = time.Time{}, false, false
	m.info.Establishments++
	m.info.Error = Reset{}
	m.emit(Up{l.id, l.session})
}

// routesReceived is event 27, or a ROUTE-REFRESH.
func (m *Machine) routesReceived(now time.Time, id ConnID, t wire.MessageType) {
	l := m.heard(now, id)
	switch {
	case l == nil:
	case l.state == Established:
		m.emit(Deliver{id})
	default:
		m.unexpected(now, l, t)
	}
}

// unexpected is a message that has no place in the connection's state (RFC 6608).
func (m *Machine) unexpected(now time.Time, l *link, t wire.MessageType) {
	sub := wire.SubFSMEstablished
	switch l.state {
	case OpenSent:
		sub = wire.SubFSMOpenSent
	case OpenConfirm:
		sub = wire.SubFSMOpenConfirm
	}
	n := &wire.Notification{Code: wire.CodeFSM, Subcode: sub, Data: []byte{byte(t)}}
	m.drop(now, l, Down{Cause: CauseProtocolError, Notification: n})
}
