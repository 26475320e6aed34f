package layer2

import "net/netip"

// Event is something that a Responder is told.
type Event interface{ isEvent() }

type (
	// Set replaces what is announced.
	Set struct{ Announcements []Announcement }
	// Links replaces what is known of the host's interfaces. Index names a link: one that
	// is made anew has another.
	Links struct {
		Links []LinkStatus
		// Restarted are the indices of links that were without carrier since the last
		// Links, if only for a moment.
		Restarted []int
	}
	// Asked says that a host on a link asks for an address.
	Asked struct {
		Link int
		Addr netip.Addr
	}
	// Claimed says that a station on a link claims an address, or, with Probe, asks if it
	// may have it. Those that claim addresses which are not announced there, and this
	// host's own, are no matter.
	Claimed struct {
		Link  int
		Addr  netip.Addr
		MAC   MAC
		Probe bool
	}
	// Defend asks for one announcement against a claim.
	Defend struct {
		Link int
		Addr netip.Addr
	}
	// Sent says how many frames for an address were sent: answers, and others than
	// answers and probes.
	Sent struct {
		Addr                  netip.Addr
		Responses, Gratuitous int
	}
	// Tick says that the Deadline has come.
	Tick struct{}
)

func (Set) isEvent()     {}
func (Links) isEvent()   {}
func (Asked) isEvent()   {}
func (Claimed) isEvent() {}
func (Defend) isEvent()  {}
func (Sent) isEvent()    {}
func (Tick) isEvent()    {}

// Effect is something that a Responder wants done.
type Effect interface{ isEffect() }

type (
	// Answer the question that was Asked.
	Answer struct{}
	// Start to listen for an address on a link: for IPv6, its solicited-node group is
	// needed. It comes before all else for the two.
	Start struct {
		Link int
		Addr netip.Addr
	}
	// Stop listening. It comes for a link that has gone as well.
	Stop struct {
		Link int
		Addr netip.Addr
	}
	// Probe asks on a link if another host has the address. Nobody waits for the answer: it
	// comes as Claimed.
	Probe struct {
		Link int
		Addr netip.Addr
	}
	// Announce tells all hosts on a link that the address is here.
	Announce struct {
		Link int
		Addr netip.Addr
	}
	// Report a Conflict to the Handler.
	Report struct{ Conflict }
)

func (Answer) isEffect()   {}
func (Start) isEffect()    {}
func (Stop) isEffect()     {}
func (Probe) isEffect()    {}
func (Announce) isEffect() {}
func (Report) isEffect()   {}
