package dataplane

import "github.com/pharoslb/pharos"

// Traffic is what a node's data plane has carried to its own pods from one frontend
// of mode direct, since the counting began. A cluster's traffic is the sum over its nodes.
type Traffic struct {
	Service     pharos.Name
	Frontend    Target
	Packets     uint64
	Bytes       uint64 // of packets from the network header on
	Connections uint64 // begun
}

// Meter is a Driver that counts what it carries.
type Meter interface {
	// Traffic returns the counters of all frontends that are counted, in the order of
	// Service and Target. It reads the kernel.
	Traffic() ([]Traffic, error)
}

// Events are what a node's data plane did with packets of mode direct, since the
// counting began.
type Events struct {
	Forwarded    uint64 `json:"forwarded"`    // to the current owner's node
	SecondChance uint64 `json:"secondChance"` // to another node, marked
	Reset        uint64 `json:"reset"`        // answered by a reset
	Refused      uint64 `json:"refused"`      // dropped: the client is not in the source ranges
	Astray       uint64 `json:"astray"`       // dropped: nodes disagree, or an error about nothing
	Lost         uint64 `json:"lost"`         // dropped: no way to the owner's node
	TooBig       uint64 `json:"tooBig"`       // answered with the path's MTU
	Untracked    uint64 `json:"untracked"`    // delivered without being remembered
	Failed       uint64 `json:"failed"`       // dropped: could not be rewritten
}

// Witness is a Driver that counts such events.
type Witness interface {
	// Events returns the counters. It reads the kernel.
	Events() (Events, error)
}
