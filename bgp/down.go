package bgp

import (
	"fmt"

	"github.com/pharoslb/pharos/bgp/wire"
)

// Cause is why a session ended or an attempt at one failed.
type Cause uint8

// Causes.
const (
	CauseNone             Cause = iota
	CauseShutdown               // the Server is being stopped
	CauseDeconfigured           // the neighbor was removed
	CauseConfigChange           // the neighbor's configuration changed
	CauseReset                  // an operator asked for it (Server.Reset)
	CauseCollision              // the other of two connections was kept (RFC 4271 §6.8)
	CauseReplaced               // the peer came back on a new connection and the old one was dead
	CauseHoldTimer              // nothing was heard for the hold time (RFC 4271 §6.5)
	CauseSendHoldTimer          // the peer took nothing for the send hold time (RFC 9687)
	CauseOpenTimeout            // no OPEN came on a new connection
	CausePeerNotification       // the peer sent NOTIFICATION
	CauseProtocolError          // the peer broke the protocol; we sent NOTIFICATION
	CauseConnectionLost         // TCP closed or failed
	CauseConnectFailed          // TCP could not connect
)

var causeTexts = [...]string{
	CauseNone:             "none",
	CauseShutdown:         "administrative shutdown",
	CauseDeconfigured:     "peer de-configured",
	CauseConfigChange:     "configuration changed",
	CauseReset:            "administrative reset",
	CauseCollision:        "connection collision",
	CauseReplaced:         "replaced by a new connection of the peer",
	CauseHoldTimer:        "hold timer expired",
	CauseSendHoldTimer:    "send hold timer expired",
	CauseOpenTimeout:      "no OPEN received",
	CausePeerNotification: "notification received",
	CauseProtocolError:    "protocol error",
	CauseConnectionLost:   "connection lost",
	CauseConnectFailed:    "connect failed",
}

// String is a short constant phrase, fit for logs and metrics.
func (c Cause) String() string {
	if int(c) < len(causeTexts) {
		return causeTexts[c]
	}
	return fmt.Sprintf("cause %d", uint8(c))
}

// Down says why a session ended or an attempt at one failed.
type Down struct {
	Cause Cause
	// Notification is the message that ended it: received if Cause is
	// CausePeerNotification, else sent. Nil if none was.
	Notification *wire.Notification
	// Err is what the transport said, for CauseConnectionLost and
	// CauseConnectFailed.
	Err error
}

// ByPeer tells if it was the peer's doing: its NOTIFICATION, or its end of the
// connection closed.
func (d Down) ByPeer() bool {
	return d.Cause == CausePeerNotification || d.Cause == CauseConnectionLost
}

// String tells the cause with its details in one line.
func (d Down) String() string {
	s := d.Cause.String()
	if d.Notification != nil {
		s += ": " + d.Notification.String()
	}
	if d.Err != nil {
		s += ": " + d.Err.Error()
	}
	return s
}
