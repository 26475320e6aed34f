package bgp

import (
	"fmt"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// Cause is why a session ended or an attempt at one failed.
type Cause uint8

// Causes.
const (
	CauseNone             Cause = iota
	CauseShutdown               // the Server is being stopped
	CauseAdminShutdown          // Config.Shutdown
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
	CauseRefused                // the caller refused the peer (Server.Refuse)
	CausePathDown               // the path to the peer is dead, says the Detector (RFC 5882 §4.3)
)

var causeTexts = [...]string{
	CauseNone:             "none",
	CauseShutdown:         "administrative shutdown",
	CauseAdminShutdown:    "shut down by configuration",
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
	CauseRefused:          "refused",
	CausePathDown:         "bfd session down",
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
	// CauseConnectFailed, or what in the peer's OPEN is not as configured, for
	// CauseProtocolError. It may be nil.
	Err error
	// Retain says for which families, and for how long, the routes of a session that
	// was Established are to be kept as stale (RFC 4724 §4.2); those of any other
	// family are gone at once (RFC 4271 §8.2.2).
	Retain []Retention
}

// Retention is how long the routes of one family outlive their session.
type Retention struct {
	Family wire.Family
	// Restart is how long the peer has to come back.
	Restart time.Duration
	// LongLived is for how long more the routes are kept, as long-lived stale ones
	// (RFC 9494 §4.2); 0: they are not.
	LongLived time.Duration
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
