package bgp

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// Dialer opens connections to peers. The kernel's is in bgp/bgptcp, a
// fake in bgp/bgptest.
type Dialer interface {
	// Dial connects to c.Remote(), from c.LocalAddr if it is set, with the
	// password and time to live of c. It returns when ctx ends at the latest.
	Dial(ctx context.Context, c Config) (net.Conn, error)
}

// Listener accepts connections from peers.
type Listener interface {
	net.Listener
	// SetPeers tells from whom connections will be accepted, so that passwords and
	// times to live are in force before the first octet. Errors of single peers
	// are joined; the others are set nevertheless.
	SetPeers(peers []Config) error
}

// ListenFunc opens a listening socket.
type ListenFunc func(ctx context.Context, addr netip.AddrPort) (Listener, error)

// acker is what a connection may offer to tell a living peer from a dead one.
type acker interface {
	// SinceAck is how long ago the peer's TCP acknowledged anything.
	SinceAck() (time.Duration, error)
}

// halfCloser is what a connection may offer to end its sending side alone.
type halfCloser interface{ CloseWrite() error }

// Handler is told what happens on the sessions. Calls for one peer come one after
// the other, in order; calls for different peers may come at the same time. A
// call delays its own session alone, keepalives included: it must return well
// within the hold time. It may call Server's methods.
type Handler interface {
	// Established comes first. What Apply wants the peer to have is sent without
	// being asked for again.
	Established(peer string, s SessionStatus)
	// Update is an UPDATE after RFC 7606: routes that were malformed are among the
	// withdrawn. u belongs to the handler; see Recycle.
	Update(peer string, u *wire.Update)
	// EndOfRIB is the end of the peer's initial table for a family (RFC 4724 §2).
	EndOfRIB(peer string, f wire.Family)
	// Refresh is the peer's request for our routes of a family (RFC 2918). The
	// engine has already seen to it.
	Refresh(peer string, f wire.Family)
	// RefreshBegin and RefreshEnd enclose the peer's answer to Server.Refresh, or what
	// it does on its own: routes of the family that were not announced between them
	// are gone at the end (RFC 7313 §4).
	RefreshBegin(peer string, f wire.Family)
	RefreshEnd(peer string, f wire.Family)
	// Abandoned says that the routes which Closed said to retain are gone after all: the
	// path to the peer is dead. It comes between Closed and the next Established.
	Abandoned(peer string)
	// Closed comes last. All routes of the peer are gone (RFC 4271 §8.2.2), but for
	// those of families that why.Retain names.
	Closed(peer string, why Down)
}

// NopHandler is a Handler that does nothing. Embed it to write only the methods of
// Handler that matter; it is that of a Server without one.
type NopHandler struct{}

// Established does nothing.
func (NopHandler) Established(string, SessionStatus) {}

// Update gives the UPDATE's memory back.
func (NopHandler) Update(_ string, u *wire.Update) { Recycle(u) }

// EndOfRIB does nothing.
func (NopHandler) EndOfRIB(string, wire.Family) {}

// Refresh does nothing.
func (NopHandler) Refresh(string, wire.Family) {}

// RefreshBegin does nothing.
func (NopHandler) RefreshBegin(string, wire.Family) {}

// RefreshEnd does nothing.
func (NopHandler) RefreshEnd(string, wire.Family) {}

// Abandoned does nothing.
func (NopHandler) Abandoned(string) {}

// Closed does nothing.
func (NopHandler) Closed(string, Down) {}
