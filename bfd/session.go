package bfd

import (
	"errors"
	"net/netip"
	"syscall"
	"time"
)

const (
	// reopen is how long a path that cannot be sent on is left alone.
	reopen = time.Second
	// renew is how long a path is kept on which the session does not come Up. The kernel
	// chose source address and device when it was opened; addresses, routes and devices
	// that came since may be the right ones.
	renew = 10 * time.Second
)

// session is a machine with what surrounds it. The Server's lock protects it.
type session struct {
	cfg Config
	key []byte
	m   *Machine

	ep      Endpoint // nil: not open
	openAt  time.Time
	renewAt time.Time

	due   time.Time // key in the heap; zero: not in it
	index int       // place in the heap

	leaving  bool
	leaveAt  time.Time // when a session that is not wanted any more is forgotten
	received uint64
	sent     uint64

	echoesSent, echoesReceived uint64
	discarded                  Discards
	sendErrors                 uint64
	sendError                  error
}

// peerKey finds sessions by the addresses of a packet that knows no discriminator
// of ours (RFC 5881 §3, RFC 5883 §4).
type peerKey struct {
	remote   netip.Addr
	multihop bool
}

func (x *session) peerKey() peerKey { return peerKey{x.cfg.Remote, x.cfg.Multihop} }

// takes tells if a packet's addresses are this session's. A passive session opens its
// path for that, as it has sent nothing yet.
func (x *session) takes(t Transport, now time.Time, d *Datagram) bool {
	if d.Source != x.cfg.Remote || (d.Kind == Multihop) != x.cfg.Multihop ||
		x.cfg.Local.IsValid() && d.Destination != x.cfg.Local {
		return false
	}
	return x.cfg.Interface == "" || x.open(t, now) && d.Interface == x.ep.Interface()
}

// specific orders sessions that take the same packet.
func (x *session) specific() (n int) {
	if x.cfg.Local.IsValid() {
		n += 2
	}
	if x.cfg.Interface != "" {
		n++
	}
	return n
}

// open opens the path if it is time to, and anew if it led nowhere.
func (x *session) open(t Transport, now time.Time) bool {
	if down := x.m.state == Down || x.m.state == Init; down && x.ep != nil && !now.Before(x.renewAt) && now.Sub(x.m.since) >= renew {
		x.close()
	}
	if x.ep != nil {
		return true
	}
	if now.Before(x.openAt) {
		return false
	}
	x.openAt, x.renewAt = now.Add(reopen), now.Add(renew)
	ep, err := t.Open(Path{Remote: x.cfg.Remote, Local: x.cfg.Local, Interface: x.cfg.Interface, Bound: x.cfg.Bound, Multihop: x.cfg.Multihop})
	if err != nil {
		x.note(err)
		return false
	}
	x.ep = ep
	return true
}

// note counts what became of a packet.
func (x *session) note(err error) {
	x.sendError = err
	if err != nil {
		x.sendErrors++
	}
}

// send sends a packet by f. A path that fails is opened anew, but not under a session
// that is Up: its source port must stay (RFC 5881 §4). That nobody listens at the peer
// is no fault of the path.
func (x *session) send(t Transport, now time.Time, f func(Endpoint) error) bool {
	if !x.open(t, now) {
		return false
	}
	err := f(x.ep)
	x.note(err)
	if err != nil && !errors.Is(err, syscall.ECONNREFUSED) && x.m.State() != Up && !now.Before(x.openAt) {
		x.close()
		x.openAt = now.Add(reopen)
	}
	return err == nil
}

func (x *session) close() {
	if x.ep != nil {
		x.ep.Close()
		x.ep = nil
	}
}

func (x *session) status() SessionStatus {
	st := SessionStatus{
		Name: x.cfg.Name, Config: x.cfg, Info: x.m.Info(),
		Sent: x.sent, Received: x.received, EchoesSent: x.echoesSent, EchoesReceived: x.echoesReceived,
		Discarded: x.discarded, SendErrors: x.sendErrors,
	}
	st.LastDown.Name = x.cfg.Name
	if x.cfg.Auth != nil {
		st.Config.Auth = &Auth{Type: x.cfg.Auth.Type, KeyID: x.cfg.Auth.KeyID}
	}
	if x.sendError != nil {
		st.SendError = x.sendError.Error()
	}
	return st
}
