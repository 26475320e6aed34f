package rule

import (
	"strconv"
	"strings"

	"github.com/pharoslb/pharos"
)

// Community reads two numbers of 16 bits, such as 65535:65282 (RFC 1997).
func Community(text string) (pharos.Community, bool) {
	high, low, ok := strings.Cut(text, ":")
	if !ok {
		return 0, false
	}
	a, errA := strconv.ParseUint(high, 10, 16)
	b, errB := strconv.ParseUint(low, 10, 16)
	return pharos.Community(a<<16 | b), errA == nil && errB == nil
}

// LargePrefix is what a large community begins with.
const LargePrefix = "large:"

// LargeCommunity reads three numbers of 32 bits, such as large:64500:1:2
// (RFC 8092).
func LargeCommunity(text string) (pharos.LargeCommunity, bool) {
	rest, ok := strings.CutPrefix(text, LargePrefix)
	parts := strings.Split(rest, ":")
	if !ok || len(parts) != 3 {
		return pharos.LargeCommunity{}, false
	}
	var n [3]uint32
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return pharos.LargeCommunity{}, false
		}
		n[i] = uint32(v)
	}
	return pharos.LargeCommunity{Global: n[0], Local1: n[1], Local2: n[2]}, true
}

// wellKnown are communities that routers call by names (RFC 1997, RFC 3765, RFC
// 7999, RFC 8326).
var wellKnown = map[string]string{
	"gracefulshutdown": "65535:0", "gshut": "65535:0", "blackhole": "65535:666", "noexport": "65535:65281", "noadvertise": "65535:65282",
	"noexportsubconfed": "65535:65283", "localas": "65535:65283", "nopeer": "65535:65284",
}

// WellKnown returns the community that routers call by a name.
func WellKnown(name string) (community string, ok bool) {
	community, ok = wellKnown[strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))]
	return community, ok
}
