package bgp

import (
	"net/netip"
	"time"
)

// Side is one of the two speakers of a session.
type Side uint8

// Sides.
const (
	Local Side = iota
	Remote
)

// probeWait is how long a peer's TCP has to acknowledge the KEEPALIVE by which we
// find out whether an Established session is alive, when the peer opens another
// connection. It covers the kernel's first two retransmissions.
const probeWait = time.Second

// ackGrain covers the coarseness of the kernel's clock of acknowledgements.
const ackGrain = 50 * time.Millisecond

// Prevails says whose connection is kept when each side opened one: that of the
// speaker with the higher BGP Identifier (RFC 4271 §6.8), between equal ones that
// of the higher AS number (RFC 6286 §2.3).
func Prevails(localID netip.Addr, localAS uint32, remoteID netip.Addr, remoteAS uint32) Side {
	switch localID.Compare(remoteID) {
	case 1:
		return Local
	case -1:
		return Remote
	}
	if localAS > remoteAS {
		return Local
	}
	return Remote
}

// collide settles what the OPEN that came on l means for the other connection:
// it reports whether l is kept. The remote identifier is l.open's.
//
// The other one may be
//   - in OpenConfirm: one of the two goes, by Prevails;
//   - in OpenSent: nothing is known of it yet; its own OPEN will decide;
//   - Established, while l was already being opened when it became so, and l
//     prevails: the peer will settle for l on the strength of our OPEN, so we do
//     too (RFC 4271 §8.1.1, CollisionDetectEstablishedState). Where l does not
//     prevail it was closed when the session was established.
func (m *Machine) collide(now time.Time, l *link) bool {
	other := m.other(l)
	if other == nil || other.state == OpenSent {
		return true
	}
	if m.prevails(l, l.open.ID, l.open.PeerAS()) {
		m.drop(now, other, Down{Cause: CauseCollision, Notification: cease(subCollision)})
		return true
	}
	m.drop(now, l, Down{Cause: CauseCollision, Notification: cease(subCollision)})
	return false
}

// prevails says if the connection is the one that a collision leaves.
func (m *Machine) prevails(l *link, remoteID netip.Addr, remoteAS uint32) bool {
	return l.incoming == (Prevails(m.cfg.RouterID, m.cfg.LocalAS, remoteID, remoteAS) == Remote)
}

// challenge begins when a peer with an Established session connects again. RFC
// 4271 §6.8 has such connections closed, which would keep a peer that lost its
// power out until the hold timer expires. So the connection is kept aside, for
// probeWait at most, and nothing is sent on it, while a KEEPALIVE goes out on the
// old one. If the peer has indeed lost its state, its TCP answers that with RST
// (Closed) or, where signatures or filters suppress the RST, not at all (Alive
// says no): then the old session ends and the new connection takes its place. If
// its TCP acknowledges, the RFC's answer stands.
func (m *Machine) challenge(now time.Time, e *link, id ConnID) {
	if other := m.other(e); other != nil {
		m.drop(now, other, Down{Cause: CauseCollision, Notification: cease(subCollision)})
	}
	m.links = append(m.links, &link{id: id, incoming: true, state: OpenSent, aside: true})
	m.challenged, m.probeAt = now, now.Add(probeWait)
	m.keepalive(now, e)
}

// judge ends what challenge began.
func (m *Machine) judge(now time.Time, e *link, alive bool) {
	aside := m.other(e)
	if aside == nil || !aside.aside {
		return
	}
	if alive || aside.open == nil {
		// RFC 4271 §6.8: a collision with an Established connection closes the new one.
		m.drop(now, aside, Down{Cause: CauseCollision, Notification: cease(subCollision)})
		return
	}
	m.drop(now, e, Down{Cause: CauseReplaced})
}

// promote lets the connection that was kept aside begin its life.
func (m *Machine) promote(now time.Time, l *link) {
	open := l.open
	l.aside, l.open = false, nil
	m.begin(now, l)
	if open != nil {
		m.openReceived(now, l, open)
	}
}
