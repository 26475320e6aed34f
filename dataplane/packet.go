package dataplane

import (
	"net/netip"

	"github.com/pharoslb/pharos"
)

// Packet is the first packet of a connection, as it arrives at the node or is
// sent by it.
type Packet struct {
	Src      netip.Addr
	Dst      netip.AddrPort
	Protocol pharos.Protocol
	Own      bool // sent by the node itself, not by a pod
}

// Action is what happens to a packet.
type Action uint8

// The actions on packets.
const (
	Pass   Action = iota // it isn't for a Service: routed as if there were no data plane
	Accept               // it goes to one of the Backends
	Reject               // its sender is told that nobody answers
	Drop                 // it vanishes
)

var actions = [...]string{"pass", "accept", "reject", "drop"}

// String returns the action's name.
func (a Action) String() string { return actions[a] }

// MarshalText renders the action by its name.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *Action) UnmarshalText(text []byte) error { return parse(actions[:], text, a) }

// Answer says where a packet goes.
type Answer struct {
	Action  Action
	Service pharos.Name // the zero value where no frontend matches

	// Backends are those that it may go to, each as likely as the others.
	Backends []Backend

	// Masquerade says that backends see an address of the node as the source. A
	// pod that is the sender sees it in any case, the node itself in none: what
	// ends there does not leave it.
	Masquerade bool
}
