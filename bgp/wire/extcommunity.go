package wire

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// Types of extended communities, the high octet (RFC 4360 §3, RFC 5668 §2), and the bit that makes a type
// non-transitive.
const (
	extTwoOctetAS    = 0x00
	extIPv4          = 0x01
	extFourOctetAS   = 0x02
	extNonTransitive = 0x40
)

// Subtypes of the types above, the low octet (RFC 4360 §4, §5; draft-ietf-idr-link-bandwidth §2).
const (
	extRouteTarget   = 0x02
	extSiteOfOrigin  = 0x03
	extLinkBandwidth = 0x04
)

// ExtCommunity is an extended community (RFC 4360): type, subtype and six octets of value.
type ExtCommunity [8]byte

// Transitive tells if the community is passed on to other ASes (RFC 4360 §2).
func (c ExtCommunity) Transitive() bool { return c[0]&extNonTransitive == 0 }

// LinkBandwidth returns the community that tells the bandwidth of a route, for sharing load unequally
// (draft-ietf-idr-link-bandwidth §2). The bandwidth is in bytes, not bits, a second; it has to be finite and not
// negative. An AS number that needs four octets becomes ASTrans. Classic receivers know the non-transitive form only.
func LinkBandwidth(as uint32, bytesPerSecond float32, transitive bool) ExtCommunity {
	c := ExtCommunity{extTwoOctetAS, extLinkBandwidth}
	if !transitive {
		c[0] |= extNonTransitive
	}
	binary.BigEndian.PutUint16(c[2:], as2(as))
	binary.BigEndian.PutUint32(c[4:], math.Float32bits(bytesPerSecond))
	return c
}

// LinkBandwidth returns the AS number and the bandwidth, in bytes a second, of a link bandwidth community of either
// form. ok is false for other communities, and for a bandwidth that is negative, infinite or not a number.
func (c ExtCommunity) LinkBandwidth() (as uint16, bytesPerSecond float32, ok bool) {
	if c[0]&^extNonTransitive != extTwoOctetAS || c[1] != extLinkBandwidth {
		return 0, 0, false
	}
	v := math.Float32frombits(binary.BigEndian.Uint32(c[4:]))
	if f := float64(v); math.Signbit(f) || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(c[2:]), v, true
}

// String writes a route target or site of origin as "rt:ADMINISTRATOR:NUMBER" and "soo:…", where the administrator is
// an IPv4 address or an AS number, with an L behind it if it has four octets and does not need them; a link bandwidth
// as "lb:AS:BYTES-PER-SECOND", the transitive form as "lb-transitive:…"; and anything else as 0x and its octets.
func (c ExtCommunity) String() string {
	if as, bandwidth, ok := c.LinkBandwidth(); ok {
		kind := "lb"
		if c.Transitive() {
			kind = "lb-transitive"
		}
		return fmt.Sprintf("%s:%d:%s", kind, as, strconv.FormatFloat(float64(bandwidth), 'f', -1, 32))
	}
	var kind string
	switch c[1] {
	case extRouteTarget:
		kind = "rt"
	case extSiteOfOrigin:
		kind = "soo"
	}
	if kind != "" {
		first, last := binary.BigEndian.Uint32(c[2:]), binary.BigEndian.Uint16(c[6:])
		switch c[0] {
		case extTwoOctetAS:
			return fmt.Sprintf("%s:%d:%d", kind, first>>16, binary.BigEndian.Uint32(c[4:]))
		case extIPv4:
			return fmt.Sprintf("%s:%v:%d", kind, netip.AddrFrom4([4]byte(c[2:])), last)
		case extFourOctetAS:
			suffix := ""
			if first <= 0xffff {
				suffix = "L"
			}
			return fmt.Sprintf("%s:%d%s:%d", kind, first, suffix, last)
		}
	}
	return fmt.Sprintf("0x%x", c[:])
}

// ParseExtCommunity reads what String writes.
func ParseExtCommunity(s string) (ExtCommunity, error) {
	c, err := parseExtCommunity(s)
	if err != nil {
		return ExtCommunity{}, fmt.Errorf("extended community %q: %w", s, err)
	}
	return c, nil
}

var errExtCommunity = errors.New("want rt:, soo: or lb: with an administrator and a number, or 0x and 16 digits")

func parseExtCommunity(s string) (c ExtCommunity, err error) {
	if digits, ok := strings.CutPrefix(s, "0x"); ok {
		if n, err := hex.Decode(c[:], []byte(digits[:min(len(digits), 16)])); err != nil || n != 8 || len(digits) != 16 {
			return c, errExtCommunity
		}
		return c, nil
	}
	kind, rest, _ := strings.Cut(s, ":")
	admin, number, ok := strings.Cut(rest, ":")
	if !ok {
		return c, errExtCommunity
	}
	switch kind {
	case "rt":
		c[1] = extRouteTarget
	case "soo":
		c[1] = extSiteOfOrigin
	case "lb", "lb-transitive":
		return parseLinkBandwidth(admin, number, kind == "lb-transitive")
	default:
		return c, errExtCommunity
	}
	bits := 16
	if ip, err := netip.ParseAddr(admin); err == nil {
		if !ip.Is4() {
			return c, fmt.Errorf("%q is not an IPv4 address", admin)
		}
		c[0] = extIPv4
		copy(c[2:], ip.AsSlice())
	} else {
		digits, long := strings.CutSuffix(admin, "L")
		as, err := parseNumber(digits, 32)
		if err != nil {
			return c, err
		}
		if long || as > 0xffff {
			c[0] = extFourOctetAS
			binary.BigEndian.PutUint32(c[2:], as)
		} else {
			bits = 32
			binary.BigEndian.PutUint16(c[2:], uint16(as))
		}
	}
	v, err := parseNumber(number, bits)
	if err != nil {
		return c, err
	}
	if bits == 32 {
		binary.BigEndian.PutUint32(c[4:], v)
	} else {
		binary.BigEndian.PutUint16(c[6:], uint16(v))
	}
	return c, nil
}

func parseLinkBandwidth(admin, number string, transitive bool) (ExtCommunity, error) {
	as, err := parseNumber(admin, 16)
	if err != nil {
		return ExtCommunity{}, err
	}
	v, err := strconv.ParseFloat(number, 32)
	if err != nil || strings.Trim(number, "0123456789.") != "" {
		return ExtCommunity{}, fmt.Errorf("%q is not a bandwidth", number)
	}
	return LinkBandwidth(as, float32(v), transitive), nil
}
