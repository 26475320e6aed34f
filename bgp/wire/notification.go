package wire

import (
	"fmt"
	"strings"
)

// NOTIFICATION error codes (RFC 4271 §4.5, RFC 7313 §5, RFC 9687).
const (
	CodeHeader        uint8 = 1
	CodeOpen          uint8 = 2
	CodeUpdate        uint8 = 3
	CodeHoldTimer     uint8 = 4
	CodeFSM           uint8 = 5
	CodeCease         uint8 = 6
	CodeRouteRefresh  uint8 = 7
	CodeSendHoldTimer uint8 = 8
)

// Subcodes of CodeHeader (RFC 4271 §6.1).
const (
	SubHeaderNotSynchronized uint8 = 1
	SubHeaderBadLength       uint8 = 2
	SubHeaderBadType         uint8 = 3
)

// Subcodes of CodeOpen (RFC 4271 §6.2, RFC 5492 §5, RFC 9234 §4.2).
const (
	SubOpenUnspecific           uint8 = 0
	SubOpenVersion              uint8 = 1
	SubOpenBadPeerAS            uint8 = 2
	SubOpenBadID                uint8 = 3
	SubOpenUnsupportedParameter uint8 = 4
	SubOpenHoldTime             uint8 = 6
	SubOpenCapability           uint8 = 7
	SubOpenRoleMismatch         uint8 = 11
)

// Subcodes of CodeUpdate (RFC 4271 §6.3).
const (
	SubUpdateMalformedAttrs    uint8 = 1
	SubUpdateUnknownWellKnown  uint8 = 2
	SubUpdateMissingWellKnown  uint8 = 3
	SubUpdateAttrFlags         uint8 = 4
	SubUpdateAttrLength        uint8 = 5
	SubUpdateOrigin            uint8 = 6
	SubUpdateNextHop           uint8 = 8
	SubUpdateOptionalAttribute uint8 = 9
	SubUpdateNetworkField      uint8 = 10
	SubUpdateASPath            uint8 = 11
)

// Subcodes of CodeFSM (RFC 6608 §3).
const (
	SubFSMUnspecified uint8 = 0
	SubFSMOpenSent    uint8 = 1
	SubFSMOpenConfirm uint8 = 2
	SubFSMEstablished uint8 = 3
)

// Subcodes of CodeCease (RFC 4486 §3, RFC 8538 §3, RFC 9384 §2).
const (
	SubCeaseMaxPrefixes   uint8 = 1
	SubCeaseShutdown      uint8 = 2
	SubCeaseDeconfigured  uint8 = 3
	SubCeaseReset         uint8 = 4
	SubCeaseRejected      uint8 = 5
	SubCeaseConfigChange  uint8 = 6
	SubCeaseCollision     uint8 = 7
	SubCeaseOutOfResource uint8 = 8
	SubCeaseHardReset     uint8 = 9
	SubCeaseBFDDown       uint8 = 10
)

// SubRouteRefreshLength is CodeRouteRefresh's one subcode (RFC 7313 §5).
const SubRouteRefreshLength uint8 = 1

var codeNames = [...]string{
	CodeHeader:        "Message Header Error",
	CodeOpen:          "OPEN Message Error",
	CodeUpdate:        "UPDATE Message Error",
	CodeHoldTimer:     "Hold Timer Expired",
	CodeFSM:           "Finite State Machine Error",
	CodeCease:         "Cease",
	CodeRouteRefresh:  "ROUTE-REFRESH Message Error",
	CodeSendHoldTimer: "Send Hold Timer Expired",
}

// subcodeNames is indexed by code, then subcode; an empty name is an unassigned or deprecated subcode.
var subcodeNames = [...][]string{
	CodeHeader: {1: "Connection Not Synchronized", 2: "Bad Message Length", 3: "Bad Message Type"},
	CodeOpen: {0: "Unspecific", 1: "Unsupported Version Number", 2: "Bad Peer AS", 3: "Bad BGP Identifier",
		4: "Unsupported Optional Parameter", 5: "Authentication Failure", 6: "Unacceptable Hold Time",
		7: "Unsupported Capability", 11: "Role Mismatch"},
	CodeUpdate: {1: "Malformed Attribute List", 2: "Unrecognized Well-known Attribute",
		3: "Missing Well-known Attribute", 4: "Attribute Flags Error", 5: "Attribute Length Error",
		6: "Invalid ORIGIN Attribute", 7: "AS Routing Loop", 8: "Invalid NEXT_HOP Attribute",
		9: "Optional Attribute Error", 10: "Invalid Network Field", 11: "Malformed AS_PATH"},
	CodeFSM: {0: "Unspecified Error", 1: "Receive Unexpected Message in OpenSent State",
		2: "Receive Unexpected Message in OpenConfirm State", 3: "Receive Unexpected Message in Established State"},
	CodeCease: {1: "Maximum Number of Prefixes Reached", 2: "Administrative Shutdown", 3: "Peer De-configured",
		4: "Administrative Reset", 5: "Connection Rejected", 6: "Other Configuration Change",
		7: "Connection Collision Resolution", 8: "Out of Resources", 9: "Hard Reset", 10: "BFD Down"},
	CodeRouteRefresh: {1: "Invalid Message Length"},
}

// Notification is a NOTIFICATION message (RFC 4271 §4.5). As an error it says what went wrong with the session,
// whether it was received or is about to be sent.
type Notification struct {
	Code    uint8
	Subcode uint8
	Data    []byte
}

// DecodeNotification reads the body of a NOTIFICATION, which is at least two octets. Data is a copy. A body that
// is too short gives a *Notification error, which must be logged and not sent (RFC 4271 §6.4).
func DecodeNotification(body []byte) (*Notification, error) {
	if len(body) < 2 {
		return nil, &Notification{Code: CodeHeader, Subcode: SubHeaderBadLength, Data: lengthField(len(body))}
	}
	n := &Notification{Code: body[0], Subcode: body[1]}
	if len(body) > 2 {
		n.Data = append([]byte(nil), body[2:]...)
	}
	return n, nil
}

// AppendNotification appends a NOTIFICATION message, its data cut off where the message would exceed MaxLen.
func AppendNotification(dst []byte, n *Notification) []byte {
	start := len(dst)
	dst = append(appendHeader(dst, TypeNotification), n.Code, n.Subcode)
	dst = append(dst, n.Data[:min(len(n.Data), MaxLen-HeaderLen-2)]...)
	return finish(dst, start)
}

// CodeName returns the RFC's name of the error code, or "code N".
func (n *Notification) CodeName() string {
	if int(n.Code) < len(codeNames) && codeNames[n.Code] != "" {
		return codeNames[n.Code]
	}
	return fmt.Sprintf("code %d", n.Code)
}

// SubcodeName returns the RFC's name of the subcode, or "subcode N"; empty for subcode 0 of a code without subcodes.
func (n *Notification) SubcodeName() string {
	if int(n.Code) < len(subcodeNames) {
		if names := subcodeNames[n.Code]; int(n.Subcode) < len(names) && names[n.Subcode] != "" {
			return names[n.Subcode]
		}
	}
	if n.Subcode == 0 {
		return ""
	}
	return fmt.Sprintf("subcode %d", n.Subcode)
}

// String names code and subcode and shows what else there is to read: the operator's text of a shutdown or reset,
// the reason of a hard reset, the limit of prefixes. "Cease/Administrative Shutdown (6/2): \"text\"". Raw data is not
// shown.
func (n *Notification) String() string {
	var b strings.Builder
	b.WriteString(n.summary())
	if inner, ok := n.HardReset(); ok {
		b.WriteString(": " + inner.summary())
		n = inner
	}
	if text, ok := n.ShutdownText(); ok && text != "" {
		fmt.Fprintf(&b, ": %q", text)
	}
	if f, limit, ok := n.MaxPrefixes(); ok {
		fmt.Fprintf(&b, ": %v, at most %d", f, limit)
	}
	return b.String()
}

// summary names code and subcode alone.
func (n *Notification) summary() string {
	name := n.CodeName()
	if s := n.SubcodeName(); s != "" {
		name += "/" + s
	}
	return fmt.Sprintf("%s (%d/%d)", name, n.Code, n.Subcode)
}

// Error makes a Notification an error; the text is String's.
func (n *Notification) Error() string { return n.String() }

// lengthField is a message length field for a body of n octets, as RFC 4271 §6.1 wants it in a bad-length report.
func lengthField(n int) []byte {
	n += HeaderLen
	return []byte{byte(n >> 8), byte(n)}
}
