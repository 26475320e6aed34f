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
