package radv

import (
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
)

func octets(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// What we send, octet by octet; the kernel fills in the checksum.
func TestMessagesSent(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	for _, r := range []struct {
		m    ndp.Message
		want string
	}{
		{advertisement(mac), "86000000 00 00 0000 00000000 00000000 0101020000000001"},
		{advertisement(nil), "86000000 00 00 0000 00000000 00000000"},
		{solicitation(mac), "85000000 00000000 0101020000000001"},
	} {
		got, err := ndp.MarshalMessage(r.m)
		if err != nil || hex.EncodeToString(got) != strings.ReplaceAll(r.want, " ", "") {
			t.Errorf("%v: %x, want %s", err, got, r.want)
		}
	}
}

func TestDecode(t *testing.T) {
	const (
		ra   = "86000000 40 00 0708 00000000 00000000 "
		rs   = "85000000 00000000 "
		slla = "0101020000000001 "
	)
	malformed := errors.New("any")
	for _, r := range []struct {
		name, octets, from string
		hops               int
		want               event
		err                error
	}{
		{"advertisement", ra, "fe80::1%7", 255, advertised{a1, "", 1800 * time.Second}, nil},
		{"advertisement with address", ra + slla, "fe80::1", 255, advertised{a1, "02:00:00:00:00:01", 1800 * time.Second}, nil},
		{"advertisement with unknown option", ra + "fd01000000000000" + slla, "fe80::1", 255, advertised{a1, "02:00:00:00:00:01", 1800 * time.Second}, nil},
		{"solicitation", rs + slla, "fe80::1", 255, solicited{a1}, nil},
		{"solicitation without address", rs, "::", 255, solicited{netip.IPv6Unspecified()}, nil},

		{"from afar", ra, "fe80::1", 254, nil, errHopLimit},
		{"global source", ra, "2001:db8::1", 255, nil, errSource},
		{"no source", ra, "::", 255, nil, errSource},
		{"IPv4 link-local", ra, "169.254.0.1", 255, nil, errSource},
		{"solicitation from a global source", rs, "2001:db8::1", 255, nil, errSource},
		{"option without source", rs + slla, "::", 255, nil, errOption},
		{"code", "8601" + ra[4:], "fe80::1", 255, nil, errCode},
		{"neighbor solicitation", "87000000 00000000 fe800000000000000000000000000001", "fe80::1", 255, nil, errType},
		{"short", ra[:20], "fe80::1", 255, nil, malformed},
		{"empty", "", "fe80::1", 255, nil, malformed},
		{"option of no length", ra + "0100020000000001", "fe80::1", 255, nil, malformed},
		{"option beyond the end", ra + "0102020000000001", "fe80::1", 255, nil, malformed},
	} {
		got, err := decode(octets(r.octets), netip.MustParseAddr(r.from), r.hops)
		if got != r.want || (err == nil) != (r.err == nil) || r.err != malformed && !errors.Is(err, r.err) {
			t.Errorf("%s: %+v, %v; want %+v, %v", r.name, got, err, r.want, r.err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(octets("86000000400007080000000000000000 0101020000000001"), false)
	f.Add(octets("85000000 00000000"), true)
	f.Add(octets("86000000400007080000000000000000 1904000000000e10 20010db8000000000000000000000053 1f03000000000e10 076578616d706c6503636f6d00000000"), false)
	f.Fuzz(func(t *testing.T, b []byte, unspecified bool) {
		from := a1
		if unspecified {
			from = netip.IPv6Unspecified()
		}
		e, err := decode(b, from, 255)
		if err != nil {
			return
		}
		switch e := e.(type) {
		case advertised:
			if e.from != a1 || e.lifetime < 0 || e.lifetime > 65535*time.Second {
				t.Errorf("%+v", e)
			}
		case solicited:
			if e.from != from {
				t.Errorf("%+v", e)
			}
		default:
			t.Errorf("%T", e)
		}
	})
}
