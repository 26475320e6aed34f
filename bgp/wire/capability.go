package wire

import (
	"encoding/binary"
	"fmt"
)

// Capability codes (IANA, RFC 5492).
const (
	CapMultiProtocol        uint8 = 1
	CapRouteRefresh         uint8 = 2
	CapORF                  uint8 = 3
	CapExtendedNextHop      uint8 = 5
	CapExtendedMessage      uint8 = 6
	CapRole                 uint8 = 9
	CapGracefulRestart      uint8 = 64
	CapFourOctetAS          uint8 = 65
	CapAddPath              uint8 = 69
	CapEnhancedRouteRefresh uint8 = 70
	CapLongLivedGR          uint8 = 71
	CapFQDN                 uint8 = 73
	CapOldRouteRefresh      uint8 = 128
)

// Capability is one capability of an OPEN (RFC 5492 §4). Codes this package does not know are kept as they are.
type Capability struct {
	Code  uint8
	Value []byte // at most 255 octets
}

// MultiProtocol offers a family (RFC 4760 §8).
func MultiProtocol(f Family) Capability {
	return Capability{CapMultiProtocol, []byte{byte(f.AFI >> 8), byte(f.AFI), 0, f.SAFI}}
}

// familyAt reads a family as the restart and additional paths capabilities write it, in three octets.
func familyAt(v []byte) Family { return Family{binary.BigEndian.Uint16(v), v[2]} }

func appendFamily(v []byte, f Family) []byte { return append(v, byte(f.AFI>>8), byte(f.AFI), f.SAFI) }

// FourOctetAS offers four-octet AS numbers and tells one's own (RFC 6793 §3).
func FourOctetAS(as uint32) Capability {
	return Capability{CapFourOctetAS, binary.BigEndian.AppendUint32(nil, as)}
}

// RouteRefreshCapability offers to answer route refresh requests (RFC 2918 §2).
func RouteRefreshCapability() Capability { return Capability{Code: CapRouteRefresh} }

// ExtendedMessage offers to take messages of up to MaxExtendedLen octets (RFC 8654 §3).
func ExtendedMessage() Capability { return Capability{Code: CapExtendedMessage} }

// EnhancedRouteRefresh offers to mark where the answer to a route refresh begins and ends (RFC 7313 §3.1).
func EnhancedRouteRefresh() Capability { return Capability{Code: CapEnhancedRouteRefresh} }

// ExtendedNextHop offers to take routes of IPv4 unicast with an IPv6 next hop (RFC 8950 §4).
func ExtendedNextHop() Capability {
	return Capability{CapExtendedNextHop, []byte{0, byte(AFIIPv4), 0, SAFIUnicast, 0, byte(AFIIPv6)}}
}

// MultiProtocol returns the family of a multiprotocol capability.
func (c Capability) MultiProtocol() (f Family, ok bool) {
	if c.Code != CapMultiProtocol || len(c.Value) != 4 {
		return Family{}, false
	}
	return Family{binary.BigEndian.Uint16(c.Value), c.Value[3]}, true
}

// FourOctetAS returns the AS number of a four-octet AS capability.
func (c Capability) FourOctetAS() (as uint32, ok bool) {
	if c.Code != CapFourOctetAS || len(c.Value) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(c.Value), true
}

// extendedNextHop tells if the capability covers IPv4 unicast over an IPv6 next hop.
func (c Capability) extendedNextHop() bool {
	if c.Code != CapExtendedNextHop {
		return false
	}
	for v := c.Value; len(v) >= 6; v = v[6:] {
		if [6]byte(v) == [6]byte{0, byte(AFIIPv4), 0, SAFIUnicast, 0, byte(AFIIPv6)} {
			return true
		}
	}
	return false
}

// malformed tells if the value of a capability this package knows cannot be one, which ends the session (RFC 4271
// §6.2). Capabilities whose presence is all they say may carry octets that nobody reads, and a host name is for
// display only.
func (c Capability) malformed() bool {
	n := len(c.Value)
	switch c.Code {
	case CapMultiProtocol, CapFourOctetAS: // RFC 4760 §8, RFC 6793 §3
		return n != 4
	case CapORF: // RFC 5291 §4: family, count, then type and direction
		return n < 5
	case CapExtendedNextHop: // RFC 8950 §4
		return n%6 != 0
	case CapRole: // RFC 9234 §4.1
		return n != 1
	case CapGracefulRestart: // RFC 4724 §3
		return n < 2 || (n-2)%4 != 0
	case CapAddPath: // RFC 7911 §4
		return n%4 != 0
	case CapLongLivedGR: // RFC 9494 §3.1
		return n%7 != 0
	}
	return false
}

var capNames = map[uint8]string{
	CapMultiProtocol:        "multiprotocol",
	CapRouteRefresh:         "route refresh",
	CapORF:                  "outbound route filtering",
	CapExtendedNextHop:      "extended next hop",
	CapExtendedMessage:      "extended message",
	CapRole:                 "role",
	CapGracefulRestart:      "graceful restart",
	CapFourOctetAS:          "four-octet AS",
	CapAddPath:              "additional paths",
	CapEnhancedRouteRefresh: "enhanced route refresh",
	CapLongLivedGR:          "long-lived graceful restart",
	CapFQDN:                 "host name",
	CapOldRouteRefresh:      "route refresh (old)",
}

// String names the capability, with the family, AS number or role where there is one.
func (c Capability) String() string {
	if f, ok := c.MultiProtocol(); ok {
		return "multiprotocol " + f.String()
	}
	if as, ok := c.FourOctetAS(); ok {
		return fmt.Sprintf("four-octet AS %d", as)
	}
	if r, ok := c.Role(); ok {
		return "role " + r.String()
	}
	if name, ok := capNames[c.Code]; ok {
		return name
	}
	return fmt.Sprintf("capability %d", c.Code)
}
