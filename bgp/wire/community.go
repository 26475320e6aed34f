package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// Community is a standard community: AS number in the upper half, value in the lower (RFC 1997).
type Community uint32

// Well-known communities (RFC 1997, 3765, 7611, 7999, 8326, 9494).
const (
	CommunityGracefulShutdown  Community = 0xffff0000 // 65535:0
	CommunityAcceptOwn         Community = 0xffff0001 // 65535:1
	CommunityLLGRStale         Community = 0xffff0006 // 65535:6
	CommunityNoLLGR            Community = 0xffff0007 // 65535:7
	CommunityBlackhole         Community = 0xffff029a // 65535:666
	CommunityNoExport          Community = 0xffffff01 // 65535:65281
	CommunityNoAdvertise       Community = 0xffffff02 // 65535:65282
	CommunityNoExportSubconfed Community = 0xffffff03 // 65535:65283
	CommunityNoPeer            Community = 0xffffff04 // 65535:65284
)

var communityNames = map[Community]string{
	CommunityGracefulShutdown:  "GRACEFUL_SHUTDOWN",
	CommunityAcceptOwn:         "ACCEPT_OWN",
	CommunityLLGRStale:         "LLGR_STALE",
	CommunityNoLLGR:            "NO_LLGR",
	CommunityBlackhole:         "BLACKHOLE",
	CommunityNoExport:          "NO_EXPORT",
	CommunityNoAdvertise:       "NO_ADVERTISE",
	CommunityNoExportSubconfed: "NO_EXPORT_SUBCONFED",
	CommunityNoPeer:            "NOPEER",
}

// Name returns the registered name of a well-known community, empty for any other.
func (c Community) Name() string { return communityNames[c] }

// String writes a community as "AS:value" in decimal, also a well-known one.
func (c Community) String() string {
	return strconv.Itoa(int(c>>16)) + ":" + strconv.Itoa(int(c&0xffff))
}

// ParseCommunity reads what String or Name writes.
func ParseCommunity(s string) (Community, error) {
	for c, name := range communityNames {
		if s == name {
			return c, nil
		}
	}
	parts, err := parseParts(s, 2, 16)
	if err != nil {
		return 0, fmt.Errorf("community %q: %w", s, err)
	}
	return Community(parts[0]<<16 | parts[1]), nil
}

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
		if parts[i], err = parseNumber(field, bits); err != nil {
			return parts, err
		}
		s = rest
	}
	return parts, nil
}

func parseNumber(s string, bits int) (uint32, error) {
	v, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of %d bits", s, bits)
	}
	return uint32(v), nil
}
