package bfd

import (
	"fmt"
	"time"
)

// Reason is why a session changed its state.
type Reason uint8

// Reasons.
const (
	ReasonNone             Reason = iota
	ReasonPeerHeard               // the peer's first packet: Down to Init
	ReasonHandshake               // both ends hear each other: to Up
	ReasonDetectionExpired        // no packet for the detection time (RFC 5880 §6.8.4)
	ReasonEchoFailed              // our echoes do not come back (§6.8.5)
	ReasonPeerDown                // the peer says that it is Down: it hears us no more, or began anew
	ReasonPeerAdminDown           // the peer was shut by its operator: no failure (RFC 5882 §3.2)
	ReasonAdminDown               // Config.Disabled
	ReasonEnabled                 // Config.Disabled no more
	ReasonDeconfigured            // not in the set any more
	ReasonShutdown                // the Server stops
	ReasonReconfigured            // the addresses of the session changed: it began anew
)

var reasonTexts = [...]string{
	"none", "peer heard", "handshake complete", "detection time expired", "echo failed", "peer signaled down",
	"peer administratively down", "administratively down", "enabled", "de-configured", "shutdown", "reconfigured",
}

// String is a short constant phrase, fit for logs and metrics.
func (r Reason) String() string {
	if int(r) < len(reasonTexts) {
		return reasonTexts[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Failure tells if the change to Down says that the path, or the peer's system, has
// failed. Where it is false, the clients of the session keep what they have (RFC
// 5882 §3.2): somebody shut BFD, which says nothing about the path.
func (r Reason) Failure() bool {
	return r == ReasonDetectionExpired || r == ReasonEchoFailed || r == ReasonPeerDown
}

// Change is a change of a session's state.
type Change struct {
	Name     string
	At       time.Time
	From, To State
	Reason   Reason
	// Diag is ours, as the peer is told; RemoteDiag the last that the peer told.
	Diag, RemoteDiag Diag
	// LastHeard is when the kernel received the last packet of the peer, or the last
	// of our echoes if those detect; zero: none yet.
	LastHeard time.Time
}

// Failed tells if the path has just failed: From is Up and the reason a failure.
func (c Change) Failed() bool { return c.From == Up && c.To != Up && c.Reason.Failure() }
