package layer2

import (
	"net/netip"
	"slices"
	"strconv"
)

// LinkState says if an interface can be used, or why it cannot.
type LinkState uint8

// States of a link. When several hold, it is the first of them in this order.
const (
	Usable      LinkState = iota
	Excluded              // its name matches an expression of the excluded ones
	NotEthernet           // it has no Ethernet address: loopback, tunnels
	NoBroadcast           // it cannot broadcast
	NoARP                 // its ARP is switched off
	Enslaved              // it is a port of a bond, bridge or team; their own interface counts
	Down                  // it is not set up
	NoCarrier             // it is up, without carrier
	NoLinkLocal           // for IPv6 only: it has no link-local address that has been found unique
	Failed                // the kernel refuses a socket on it; tried again
)

var linkStates = [...]string{"usable", "excluded", "not Ethernet", "no broadcast", "no ARP", "enslaved", "down", "no carrier", "no link-local address", "failed"}

// String names the state in lower case.
func (s LinkState) String() string {
	if int(s) < len(linkStates) {
		return linkStates[s]
	}
	return "state " + strconv.Itoa(int(s))
}

// MarshalText writes it as String does.
func (s LinkState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LinkStatus is one of the host's interfaces.
type LinkStatus struct {
	Name  string
	Index int
	MAC   MAC
	// IPv4 and IPv6 say if addresses of the family can be announced on it.
	IPv4, IPv6 LinkState
	// Prefixes are the subnets that are reached on the link directly: those of its
	// addresses, and connected routes. Default routes and link-local prefixes are left
	// out.
	Prefixes []netip.Prefix
	// Err is what the kernel refused, where a state is Failed.
	Err string
}

// State is that for addresses of addr's family.
func (l *LinkStatus) State(addr netip.Addr) LinkState {
	if addr.Is4() {
		return l.IPv4
	}
	return l.IPv6
}

// covers says if the link leads to the address's subnet.
func (l *LinkStatus) covers(addr netip.Addr) bool {
	return slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Reach says how well a host can announce an address. More is better.
type Reach uint8

const (
	// Unreachable: no link that may be used can be.
	Unreachable Reach = iota
	// OffSubnet: there is a usable link, with carrier, but none whose subnet holds the
	// address.
	OffSubnet
	// OnSubnet: there is a usable link, with carrier, whose subnet holds the address.
	OnSubnet
)

var reaches = [...]string{"unreachable", "off-subnet", "on-subnet"}

// String names it in lower case.
func (r Reach) String() string {
	if int(r) < len(reaches) {
		return reaches[r]
	}
	return "reach " + strconv.Itoa(int(r))
}

// MarshalText writes it as String does.
func (r Reach) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// LinksFor says on which links an address is announced, and how well that is: on the
// usable ones that the Announcement allows and whose subnet holds the address, or, if
// there are none, on all usable ones that it allows. They are in the order of links.
func LinksFor(links []LinkStatus, a Announcement) ([]*LinkStatus, Reach) {
	var all, covering []*LinkStatus
	for i := range links {
		l := &links[i]
		if l.State(a.Addr) != Usable || len(a.Interfaces) > 0 && !slices.Contains(a.Interfaces, l.Name) {
			continue
		}
		all = append(all, l)
		if l.covers(a.Addr) {
			covering = append(covering, l)
		}
	}
	switch {
	case len(covering) > 0:
		return covering, OnSubnet
	case len(all) > 0:
		return all, OffSubnet
	}
	return nil, Unreachable
}

// ReachOf says how well a host with these links can announce an address.
func ReachOf(links []LinkStatus, a Announcement) Reach {
	_, r := LinksFor(links, a)
	return r
}

// Status is what an Announcer does.
type Status struct {
	Links     []LinkStatus    // by name
	Addresses []AddressStatus // by address
}

// AddressStatus is what becomes of one Announcement.
type AddressStatus struct {
	Addr  netip.Addr
	Reach Reach
	// Interfaces are the names of those that it is announced on now, sorted; none: nobody
	// is answered.
	Interfaces []string
	Counters
	// Conflicts are the last claims of other hosts to the address, at most one a host and
	// at most four, oldest first.
	Conflicts []Conflict
}

// Counters are of one address, since it was announced.
type Counters struct {
	// Requests for it received: ARP requests, Neighbor Solicitations.
	Requests uint64
	// Responses are answers sent to them.
	Responses uint64
	// Gratuitous are frames sent without being asked: gratuitous ARP, of which an
	// announcement takes two, and unsolicited Neighbor Advertisements.
	Gratuitous uint64
	// Claims of other hosts received, reported or not.
	Claims uint64
}
