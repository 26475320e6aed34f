package bgp

import (
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// ConnID names one TCP connection of a peer. Whoever runs the machine gives the
// numbers out and never uses one twice.
type ConnID uint64

// Event is something that happened to a session. The comments give the numbers
// of RFC 4271 §8.1.
type Event interface{ event() }

type (
	// Start is ManualStart and AutomaticStart, with or without passive TCP
	// establishment as Config.Passive says (1, 3, 4, 5).
	Start struct {
		// Restarting says that routes which we announced in an earlier life may still
		// be in use.
		Restarting bool
	}
	// Stop is ManualStop and AutomaticStop (2, 8). Notification is sent on every
	// connection.
	Stop struct {
		Cause        Cause
		Notification *wire.Notification
	}
	// Tick says that Deadline has come: one or more of the timers expired (9, 10,
	// 11, 13).
	Tick struct{}
	// Connected is the success of a Dial (16).
	Connected struct{ Conn ConnID }
	// ConnectFailed is the failure of a Dial (18).
	ConnectFailed struct{ Err error }
	// Accepted is a connection from the peer (17).
	Accepted struct{ Conn ConnID }
	// Closed is the end of a connection that the machine did not ask for (18).
	Closed struct {
		Conn ConnID
		Err  error // nil: the peer closed its end
	}
	// OpenReceived is a well-formed OPEN (19); whether it fits the configuration is
	// the machine's to say.
	OpenReceived struct {
		Conn ConnID
		Open *wire.Open
	}
	// KeepaliveReceived is a KEEPALIVE (26).
	KeepaliveReceived struct{ Conn ConnID }
	// UpdateReceived is an UPDATE that RFC 7606 does not answer with a reset (27).
	UpdateReceived struct{ Conn ConnID }
	// RefreshReceived is a ROUTE-REFRESH (RFC 2918).
	RefreshReceived struct{ Conn ConnID }
	// NotificationReceived is a NOTIFICATION (24, 25).
	NotificationReceived struct {
		Conn         ConnID
		Notification *wire.Notification
	}
	// Malformed is a message that must be answered with a NOTIFICATION (21, 22, 28).
	Malformed struct {
		Conn         ConnID
		Notification *wire.Notification
	}
	// SendStalled says that the peer took nothing for the send hold time (RFC 9687's
	// event 29).
	SendStalled struct{ Conn ConnID }
	// PathDown says that the path to the peer is dead (RFC 5882 §4.3).
	PathDown struct{}
	// Alive answers Probe.
	Alive struct {
		Conn  ConnID
		Alive bool
	}
)

func (Start) event()                {}
func (Stop) event()                 {}
func (Tick) event()                 {}
func (Connected) event()            {}
func (ConnectFailed) event()        {}
func (Accepted) event()             {}
func (Closed) event()               {}
func (OpenReceived) event()         {}
func (KeepaliveReceived) event()    {}
func (UpdateReceived) event()       {}
func (RefreshReceived) event()      {}
func (NotificationReceived) event() {}
func (Malformed) event()            {}
func (SendStalled) event()          {}
func (PathDown) event()             {}
func (Alive) event()                {}

// Effect is something to be done, in the order given.
type Effect interface{ effect() }

type (
	// Dial starts one attempt to connect. It ends with Connected, ConnectFailed or
	// CancelDial; after CancelDial neither event may come.
	Dial struct{}
	// CancelDial gives the attempt up.
	CancelDial struct{}
	// SendOpen sends an OPEN.
	SendOpen struct {
		Conn ConnID
		Open *wire.Open
	}
	// SendKeepalive sends a KEEPALIVE.
	SendKeepalive struct{ Conn ConnID }
	// Close sends Notification, if there is one, and closes the connection. No event
	// about the connection may come any more.
	Close struct {
		Conn         ConnID
		Notification *wire.Notification
	}
	// Up says that the session is established on this connection.
	Up struct {
		Conn    ConnID
		Session wire.Session
	}
	// Deliver says that the UPDATE or ROUTE-REFRESH just received counts.
	Deliver struct{ Conn ConnID }
	// Ended says that the Established session is over: its routes are gone.
	Ended struct{ Down Down }
	// Abandoned says that the routes which Ended.Down.Retain named are gone now: the
	// path to the peer is dead (RFC 5882 §4.3).
	Abandoned struct{}
	// Failed says that an attempt came to nothing before it was Established.
	Failed struct{ Down Down }
	// Probe asks whether the peer's TCP acknowledged anything on the connection in
	// the given time; Alive is the answer.
	Probe struct {
		Conn   ConnID
		Within time.Duration
	}
)

func (Dial) effect()          {}
func (CancelDial) effect()    {}
func (SendOpen) effect()      {}
func (SendKeepalive) effect() {}
func (Close) effect()         {}
func (Up) effect()            {}
func (Deliver) effect()       {}
func (Ended) effect()         {}
func (Abandoned) effect()     {}
func (Failed) effect()        {}
func (Probe) effect()         {}
