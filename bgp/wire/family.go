package wire

import (
	"fmt"
	"net/netip"
)

// Address family numbers (RFC 4760 §6, IANA).
const (
	AFIIPv4 uint16 = 1
	AFIIPv6 uint16 = 2

	SAFIUnicast uint8 = 1
)

// Family is an address family and its subsequent address family, as exchanged in the multiprotocol capability.
type Family struct {
	AFI  uint16
	SAFI uint8
}

// The families whose routes this package reads and writes.
var (
	IPv4Unicast = Family{AFIIPv4, SAFIUnicast}
	IPv6Unicast = Family{AFIIPv6, SAFIUnicast}
)

// FamilyOf returns the unicast family a prefix belongs to.
func FamilyOf(p netip.Prefix) Family {
	if p.Addr().Is4() {
		return IPv4Unicast
	}
	return IPv6Unicast
}

// String names the unicast families in words and any other by its numbers.
func (f Family) String() string {
	switch f {
	case IPv4Unicast:
		return "IPv4 unicast"
	case IPv6Unicast:
		return "IPv6 unicast"
	}
	return fmt.Sprintf("AFI %d SAFI %d", f.AFI, f.SAFI)
}
