package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// Community is a standard community: AS number in the upper half, value in the lower (RFC 1997).
type Community uint32

// Well-known communities (RFC 1997, RFC 7999, RFC 8326).
const (
	CommunityGracefulShutdown  Community = 0xffff0000
	CommunityBlackhole         Community = 0xffff029a
	CommunityNoExport          Community = 0xffffff01
	CommunityNoAdvertise       Community = 0xffffff02
	CommunityNoExportSubconfed Community = 0xffffff03
)

// String writes a community as "AS:value" in decimal.
func (c Community) String() string {
	return strconv.Itoa(int(c>>16)) + ":" + strconv.Itoa(int(c&0xffff))
}

// ParseCommunity reads what String writes.
func ParseCommunity(s string) (Community, error) {
	parts, err := parseParts(s, 2, 16)
	if err != nil {
		return 0, fmt.Errorf("community %q: %w", s, err)
	}
	return Community(parts[0]<<16 | parts[1]), nil
}

// ExtCommunity is an extended community, uninterpreted (RFC 4360).
type ExtCommunity [8]byte

// String writes the octets in hexadecimal.
func (c ExtCommunity) String() string { return fmt.Sprintf("0x%x", c[:]) }

// LargeCommunity is a large community (RFC 8092).
type LargeCommunity struct{ Global, Local1, Local2 uint32 }

// String writes a large community as three decimal numbers joined by colons (RFC 8092 §4).
func (c LargeCommunity) String() string { return fmt.Sprintf("%d:%d:%d", c.Global, c.Local1, c.Local2) }

// ParseLargeCommunity reads what String writes.
func ParseLargeCommunity(s string) (LargeCommunity, error) {
	parts, err := parseParts(s, 3, 32)
	if err != nil {
		return LargeCommunity{}, fmt.Errorf("large community %q: %w", s, err)
	}
	return LargeCommunity{parts[0], parts[1], parts[2]}, nil
}

// parseParts reads exactly n decimal numbers of so many bits, joined by colons.
func parseParts(s string, n, bits int) (parts [3]uint32, err error) {
	if strings.Count(s, ":") != n-1 {
		return parts, fmt.Errorf("want %d numbers joined by colons", n)
	}
	for i := range n {
		field, rest, _ := strings.Cut(s, ":")
		v, err := strconv.ParseUint(field, 10, bits)
		if err != nil {
			return parts, fmt.Errorf("%q is not a number of %d bits", field, bits)
		}
		parts[i], s = uint32(v), rest
	}
	return parts, nil
}
