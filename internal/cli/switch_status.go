package cli

import (
	"net/netip"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

// switchStatus is what /v1/status tells.
type switchStatus struct {
	router.Status
	Routes []rib.Route  `json:"routes"` // in use
	BFD    []bfdSession `json:"bfd"`    // in the order of their neighbors
}

// bfdSession is a session that watches the path to a neighbor.
type bfdSession struct {
	Neighbor string     `json:"neighbor"` // its name
	Remote   netip.Addr `json:"remote"`
	Multihop bool       `json:"multihop,omitempty"`
	State    string     `json:"state"`
	Since    time.Time  `json:"since"`
	Reason   string     `json:"reason"` // why State was entered
	// DetectionTime is how long the neighbor may be silent, as negotiated; 0: not yet.
	DetectionTime    time.Duration `json:"detectionTime"`
	TransmitInterval time.Duration `json:"transmitInterval"`
	EchoInterval     time.Duration `json:"echoInterval,omitempty"` // while echoes detect
	Ups              uint64        `json:"ups"`
	Downs            uint64        `json:"downs"`
	Sent             uint64        `json:"sent"` // control packets
	Received         uint64        `json:"received"`
	EchoesSent       uint64        `json:"echoesSent"`
	EchoesReceived   uint64        `json:"echoesReceived"`
	Error            string        `json:"error,omitempty"` // of the kernel, about sending
}

func newSwitchStatus(r *router.Router) switchStatus {
	status := switchStatus{Status: r.Status(), BFD: []bfdSession{}}
	for _, n := range status.Neighbors {
		if s := n.Session.BFD; s != nil {
			status.BFD = append(status.BFD, bfdSession{
				Neighbor: n.Name, Remote: s.Config.Remote, Multihop: s.Config.Multihop,
				State: s.State.String(), Since: s.Since, Reason: s.Reason.String(),
				DetectionTime: s.DetectionTime, TransmitInterval: s.TransmitInterval, EchoInterval: s.EchoInterval,
				Ups: s.Ups, Downs: s.Downs, Sent: s.Sent, Received: s.Received,
				EchoesSent: s.EchoesSent, EchoesReceived: s.EchoesReceived, Error: s.SendError,
			})
		}
	}
	for _, f := range []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast} {
		for _, e := range r.Entries(f) {
			if e.Hops.Len() > 0 {
				status.Routes = append(status.Routes, rib.Route{Prefix: e.Prefix, Hops: e.Hops})
			}
		}
	}
	return status
}
