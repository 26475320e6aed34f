package wire

import (
	"math"
	"testing"
)

func TestCommunities(t *testing.T) {
	for text, want := range map[string]Community{
		"0:0": 0, "65001:100": 65001<<16 | 100, "65535:65281": CommunityNoExport, "65535:65282": CommunityNoAdvertise,
		"65535:65283": CommunityNoExportSubconfed, "65535:0": CommunityGracefulShutdown, "65535:666": CommunityBlackhole,
	} {
		c, err := ParseCommunity(text)
		if err != nil || c != want || c.String() != text {
			t.Errorf("%s: %v, %v", text, c, err)
		}
	}
	for _, text := range []string{"", "1", "1:", ":1", "1:2:3", "65536:1", "1:65536", "-1:1", "a:b", " 1:1", "1:+1"} {
		if c, err := ParseCommunity(text); err == nil {
			t.Errorf("%q was read as %v", text, c)
		}
	}
	l, err := ParseLargeCommunity("4200000001:0:4294967295")
	if err != nil || l != (LargeCommunity{4200000001, 0, 4294967295}) || l.String() != "4200000001:0:4294967295" {
		t.Errorf("%v, %v", l, err)
	}
	for _, text := range []string{"", "1:2", "1:2:3:4", "1:2:4294967296", "1::3", "large:1:2:3"} {
		if l, err := ParseLargeCommunity(text); err == nil {
			t.Errorf("%q was read as %v", text, l)
		}
	}
}

func TestCommunityNames(t *testing.T) {
	for text, want := range map[string]string{
		"65535:0": "GRACEFUL_SHUTDOWN", "65535:1": "ACCEPT_OWN", "65535:6": "LLGR_STALE", "65535:7": "NO_LLGR",
		"65535:666": "BLACKHOLE", "65535:65281": "NO_EXPORT", "65535:65282": "NO_ADVERTISE",
		"65535:65283": "NO_EXPORT_SUBCONFED", "65535:65284": "NOPEER", "65535:2": "", "65001:1": "",
	} {
		c, err := ParseCommunity(text)
		if err != nil || c.Name() != want {
			t.Errorf("%s: %q, want %q", text, c.Name(), want)
		}
		if named, err := ParseCommunity(want); want != "" && (err != nil || named != c) {
			t.Errorf("%s: %v, %v", want, named, err)
		}
	}
	if c, err := ParseCommunity("no_export"); err == nil {
		t.Errorf("no_export was read as %v", c)
	}
}

// TestExtCommunities goes through RFC 4360 §3 to §5, RFC 5668 §2 and draft-ietf-idr-link-bandwidth §2.
func TestExtCommunities(t *testing.T) {
	for _, tt := range []struct {
		octets, text string
	}{
		{"0002 fde9 00000001", "rt:65001:1"},
		{"0002 0000 ffffffff", "rt:0:4294967295"},
		{"0102 c0000201 0064", "rt:192.0.2.1:100"},
		{"0202 fa56ea01 ffff", "rt:4200000001:65535"},
		{"0202 0000fde9 0001", "rt:65001L:1"},
		{"0202 0000ffff 0001", "rt:65535L:1"},
		{"0203 00010000 0001", "soo:65536:1"},
		{"0003 fde9 00000001", "soo:65001:1"},
		{"0103 c0000201 0064", "soo:192.0.2.1:100"},
		{"4004 fde9 4cee6b28", "lb:65001:125000000"},
		{"0004 fde9 4cee6b28", "lb-transitive:65001:125000000"},
		{"4004 5ba0 00000000", "lb:23456:0"},
		{"4004 0001 3f000000", "lb:1:0.5"},
		{"4004 0001 cf000000", "0x40040001cf000000"}, // negative
		{"4004 0001 80000000", "0x4004000180000000"}, // negative zero
		{"4004 0001 7f800000", "0x400400017f800000"}, // infinite
		{"4004 0001 7fc00000", "0x400400017fc00000"}, // not a number
		{"4002 fde9 00000001", "0x4002fde900000001"}, // no transitive route target
		{"030c 0000 00000008", "0x030c000000000008"},
		{"0005 fde9 00000001", "0x0005fde900000001"},
		{"ffff ffff ffffffff", "0xffffffffffffffff"},
	} {
		c := ExtCommunity(octets(t, tt.octets))
		if c.String() != tt.text {
			t.Errorf("%s: %s, want %s", tt.octets, c, tt.text)
		}
		if got, err := ParseExtCommunity(tt.text); err != nil || got != c {
			t.Errorf("%s: %x, %v", tt.text, got[:], err)
		}
		if want := tt.octets[0] != '4' && tt.octets[0] != 'f'; c.Transitive() != want {
			t.Errorf("%s: transitive %v", tt.text, c.Transitive())
		}
	}
	for text, want := range map[string]string{"rt:4200000001L:1": "rt:4200000001:1", "0x0002fde900000001": "rt:65001:1",
		"0x4004FDE94CEE6B28": "lb:65001:125000000", "lb:1:.50": "lb:1:0.5"} {
		if c, err := ParseExtCommunity(text); err != nil || c.String() != want {
			t.Errorf("%s: %s, %v", text, c, err)
		}
	}
	for _, text := range []string{"", "rt", "rt:1", "rt:1:", "rt::1", "rt:1:2:3", "65001:1", "RT:1:2", "rt:65536:65536",
		"rt:65001L:65536", "rt:192.0.2.1:65536", "rt:::1:1", "rt:1:4294967296", "rt:4294967296:1", "rt:-1:1", "rt:1L", "rt:L:1",
		"lb:65536:1", "lb:1:-1", "lb:1:1e9", "lb:1:inf", "lb:1:nan", "lb:1:", "lb:1:0x1p-2", "lb:1:" + "9" + string(make([]byte, 1)),
		"lb:1:999999999999999999999999999999999999999999", "0x", "0x0002fde90000000", "0x0002fde9000000011", "0x0002fde90000000g"} {
		if c, err := ParseExtCommunity(text); err == nil {
			t.Errorf("%q was read as %v", text, c)
		}
	}
}

func TestLinkBandwidth(t *testing.T) {
	for _, tt := range []struct {
		as         uint32
		bandwidth  float32
		transitive bool
		want       uint16
	}{
		{65001, 125e6, false, 65001}, {65001, 125e6, true, 65001}, {4200000001, 0, false, ASTrans},
		{1, math.MaxFloat32, false, 1}, {1, math.SmallestNonzeroFloat32, true, 1},
	} {
		c := LinkBandwidth(tt.as, tt.bandwidth, tt.transitive)
		as, bandwidth, ok := c.LinkBandwidth()
		if as != tt.want || bandwidth != tt.bandwidth || !ok || c.Transitive() != tt.transitive {
			t.Errorf("%v: AS %d, %v %v", c, as, bandwidth, ok)
		}
		if again, err := ParseExtCommunity(c.String()); err != nil || again != c {
			t.Errorf("%v: %v, %v", c, again, err)
		}
	}
	for _, c := range []ExtCommunity{LinkBandwidth(1, -1, false), LinkBandwidth(1, float32(math.Inf(1)), false),
		LinkBandwidth(1, float32(math.NaN()), true), {0x40, 5}, {0x41, 4}, {0x80, 4}} {
		if _, bandwidth, ok := c.LinkBandwidth(); ok {
			t.Errorf("%v has bandwidth %v", c, bandwidth)
		}
	}
}
