package speaker

import (
	"net/netip"

	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/why"
)

// Membership keeps the speakers' knowledge of who of them is alive. Its methods
// return at once, and may be called from any goroutine.
type Membership interface {
	// Set replaces the addresses of the own node and of all others.
	Set(self netip.Addr, others []netip.Addr)
	// Tell replaces what the others shall know of the own node, and returns what they will
	// know of it: less, where that is too much to tell.
	Tell(Facts) Facts
	// Hold tells the others that this node announces the addresses now.
	Hold([]netip.Addr)
	// Holder returns who announced an address last, as far as this node was told;
	// empty: nobody.
	Holder(netip.Addr) string
	// Heard returns the addresses whose Holder is another than when it was called
	// last, because of what others told.
	Heard() []netip.Addr
	Status() MembershipStatus
	// Changed has a token when Status or Heard may have more to tell than before.
	// There is one receiver.
	Changed() <-chan struct{}
}

// Facts are what a speaker tells the others of its node.
type Facts struct {
	// Leaving: it is about to end, and announces nothing that another could.
	Leaving bool
	// Ready: it knows the cluster, the others and its links, so that it can be elected.
	Ready bool
	// Acting: it is Ready, and waits for no others to announce what it is elected for.
	Acting bool
	// Policy is the election's that it was told to apply.
	Policy election.Policy
	// Links are those that addresses can be announced on.
	Links []Link
	// Partial says that there are more Links than the others can be told of.
	Partial bool
}

// Link is one link of a node.
type Link struct {
	Name       string
	MAC        layer2.MAC
	IPv4, IPv6 bool // which families can be announced on it
}

// MembershipStatus is what one speaker knows of the others.
type MembershipStatus struct {
	// Reason says why there is no membership; OK where there is.
	Reason why.Reason `json:"reason"`
	// Settled says that all nodes have been asked once, so that Members are not few
	// only because the membership has just begun.
	Settled bool     `json:"settled"`
	Members []Member `json:"members,omitempty"` // by name, the own node included
	// Left are the nodes whose speakers said goodbye and did not come back, by name.
	Left []string `json:"left,omitempty"`
}

// Member is a speaker that is alive, as far as the others know.
type Member struct {
	Name string     `json:"name"` // of its node
	Addr netip.Addr `json:"addr"`
	// Facts are what it tells of itself; nil: it did not, or not in words that this
	// version knows.
	Facts *Facts `json:"-"`
	// Watched says that the path to it is watched by BFD.
	Watched bool `json:"watched,omitempty"`
}
