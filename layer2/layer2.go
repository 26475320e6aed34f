package layer2

import (
	"fmt"
	"net/netip"
	"time"
)

// Announcement is an address that this host answers for.
type Announcement struct {
	// Addr is an IPv4 or IPv6 unicast address without zone. One that is none of these is
	// not announced.
	Addr netip.Addr
	// Interfaces are the exact names of the interfaces that it may be announced on; nil
	// or empty: all. They need not be there.
	Interfaces []string
}

// Announcer announces addresses. Its methods may be called from any goroutine.
type Announcer interface {
	// Set replaces all Announcements, and returns at once. Addresses that are new are
	// taken over: gratuitous ARP or unsolicited advertisements tell all hosts on the
	// link. Those that are gone are no longer answered for; nothing is sent. An address
	// that is named more than once may be announced on the interfaces of all its
	// mentions.
	Set([]Announcement)
	// Links are this host's interfaces, by name, usable or not.
	Links() []LinkStatus
	// Status is what is announced now, and on what.
	Status() Status
	// Changed has a token when Links, or where an address is announced, may be another
	// than before. Counters do not count. There is one receiver.
	Changed() <-chan struct{}
}

// Handler hears of what happens to the addresses.
type Handler interface {
	// Conflict tells that another host claims an address that this host announces. Every
	// host that is not this one is another: it may be a speaker that takes the address
	// over, which is for the Handler to tell. If it returns true, the address is defended
	// with one announcement (RFC 5227 §2.4 (b)), unless that has been done within the last
	// DefendInterval. Conflicts come one at a time and in bounded number: the same host
	// and address once in ConflictInterval. It must not wait for the Announcer.
	Conflict(Conflict) (defend bool)
}

const (
	// ConflictInterval lies between two reports that the same host claims the same
	// address.
	ConflictInterval = 10 * time.Second
	// DefendInterval lies between two defences of an address: RFC 5227's DEFEND_INTERVAL
	// (§1.1).
	DefendInterval = 10 * time.Second
)

// Conflict is another host's claim to an address.
type Conflict struct {
	Addr      netip.Addr
	MAC       MAC    // who claims it
	Interface string // where that was heard
	// Probe says that the host only asked if the address is free (ARP Probe, Duplicate
	// Address Detection). It was told that it is not, and a host that keeps to RFC 5227 or
	// RFC 4862 leaves it.
	Probe bool
	Time  time.Time // when it was last heard
}

// MAC is an Ethernet address.
type MAC [6]byte

// String writes it as 02:00:5e:10:00:01.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText writes it as String does.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
