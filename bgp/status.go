package bgp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp/wire"
)

// State is a session's state (RFC 4271 §8.2.2).
type State uint8

// States, in the order in which a session passes them.
const (
	Idle State = iota
	Connect
	Active
	OpenSent
	OpenConfirm
	Established
)

var stateNames = [...]string{"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"}

// String returns the RFC's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Messages counts messages of one direction, over all connections of the
// neighbor since it was configured.
type Messages struct {
	Opens, Updates, Notifications, Keepalives, RouteRefreshes uint64
	// Bytes are the octets of BGP, headers included.
	Bytes uint64
}

// Total is the number of messages.
func (m Messages) Total() uint64 {
	return m.Opens + m.Updates + m.Notifications + m.Keepalives + m.RouteRefreshes
}

// Reset is the end of an Established session.
type Reset struct {
	At   time.Time // zero: never happened
	Down Down
}

// FamilyStatus is one negotiated address family of an Established session.
type FamilyStatus struct {
	Family wire.Family
	// Advertised is the number of prefixes the peer holds from us.
	Advertised int
	// EndOfRIBSent and EndOfRIBReceived are when the markers passed; zero: not yet.
	EndOfRIBSent, EndOfRIBReceived time.Time
}

// SessionStatus is a neighbor as it was at one moment: a copy, shared with nobody
// but for slices that nobody changes.
type SessionStatus struct {
	Name   string
	Config Config // as in force, without password and secrets
	// Authenticated says that the configuration has a password (TCP MD5) or keys
	// (TCP-AO).
	Authenticated bool

	State State
	Since time.Time // when State was entered
	// RetryAt is when the next attempt to connect is due; zero when none is
	// planned.
	RetryAt time.Time

	// The rest of this block belongs to the connection that State is about and is
	// zero below OpenSent; what the peer said is zero below OpenConfirm.
	LocalAddr, RemoteAddr netip.AddrPort
	Incoming              bool       // the peer connected to us
	RemoteID              netip.Addr // the peer's BGP Identifier
	RemoteAS              uint32     // as the peer said
	HoldTime              time.Duration
	KeepaliveTime         time.Duration
	HoldDue, KeepaliveDue time.Time // zero when the hold time is 0
	CapabilitiesSent      []wire.Capability
	CapabilitiesReceived  []wire.Capability
	AS4                   bool // AS numbers of four octets are in use
	// BFD is the session that watches the path; nil: there is none.
	BFD *bfd.SessionStatus
	// Preserved are the families whose routes the peer says it forwarded by while it
	// was away (RFC 4724 §3); stale routes of any other are gone with Established.
	Preserved []wire.Family
	Families  []FamilyStatus

	LastRead, LastWritten time.Time // of any message; zero: never
	Received, Sent        Messages
	// OutQueue is the number of octets waiting for the socket to take them.
	OutQueue int

	// Desired is the number of prefixes the caller wants the peer to have,
	// Advertised the number it has, Pending the number of announcements and
	// withdrawals still to be written, and Withheld the number that cannot be
	// sent on this session: their family is not negotiated, there is no next hop
	// for it, Config.Export does not cover them (Foreign are those of Withheld), or
	// the peer takes one path to a prefix and has another. All but Desired are 0
	// unless Established.
	Desired, Advertised, Pending, Withheld, Foreign int
	// Announced and Withdrawn count the prefixes in UPDATEs received since the
	// session was established; how many routes they leave is known to whoever
	// keeps the table.
	Announced, Withdrawn uint64
	// Malformed counts UPDATEs in which RFC 7606 made us treat routes as
	// withdrawn or discard attributes, since the neighbor was configured, and
	// LastMalformed is what was wrong with the last one.
	Malformed     uint64
	LastMalformed wire.Finding

	// Establishments and Drops count sessions that came up and went down.
	Establishments, Drops uint64
	// LastResetByUs and LastResetByPeer are the last ends of Established sessions.
	LastResetByUs, LastResetByPeer Reset
	// LastError is why the last attempt or session failed, from when it did until
	// the next session is Established.
	LastError Reset
}
