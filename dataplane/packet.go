package dataplane

import (
	"net/netip"

	"github.com/pharoslb/pharos"
)

// Packet is a packet of a client, as it arrives at the node or is sent by it; the
// zero values make it the first of a connection. A fragment is no other case: it
// goes where its packet goes.
type Packet struct {
	Src      netip.Addr
	SrcPort  uint16 // zero where it doesn't matter: then no connection is remembered
	Dst      netip.AddrPort
	Protocol pharos.Protocol
	Own      bool // sent by the node itself, not by a pod

	// Ongoing says that the packet can't begin a connection: a TCP segment that
	// isn't a SYN. Packets of other protocols always can.
	Ongoing bool

	// Error says that it is an ICMP error that a router sent about an answer to
	// the client. Src, SrcPort and Dst are those of the connection's packets: the
	// error quotes them the other way round.
	Error bool

	// From says who sent it on to this node.
	From Sender
}

// Sender is who a packet came from last.
type Sender uint8

// The senders of packets.
const (
	Network       Sender = iota // none of the cluster's nodes: this one is the ingress
	ForwardedOn                 // a node that took this one for the connection's owner
	SecondChanced               // a node that knows nothing of the connection; see SecondChance
)

// Action is what happens to a packet.
type Action uint8

// The actions on packets.
const (
	Pass    Action = iota // it isn't for a Service: routed as if there were no data plane
	Accept                // it goes to one of the Backends
	Reject                // its sender is told that nobody answers: by a reset, where it is TCP
	Drop                  // it vanishes
	Forward               // it goes on to another node, unchanged
)

var actions = [...]string{"pass", "accept", "reject", "drop", "forward"}

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

	// Node is where a packet is forwarded to, and As what it arrives there.
	Node string
	As   Sender
}
