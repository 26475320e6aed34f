package rule

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
)

func outcome(value any, fault *Fault) string {
	if fault == nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSuffix(fault.Reason+" ("+fault.Hint+")", " ()")
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.0/24":                      "192.0.2.0-192.0.2.255 /24",
		"192.0.2.77/24":                     "192.0.2.0-192.0.2.255 /24",
		"2001:db8::/64":                     "2001:db8::-2001:db8::ffff:ffff:ffff:ffff /64",
		" 192.0.2.0/24":                     `" 192.0.2.0/24" is neither a CIDR nor a range (leave out the blanks around it)`, // MetalLB and the schema refuse it too
		"\t192.0.2.6\t-  192.0.2.17 ":       "192.0.2.6-192.0.2.17 /29",
		"192.0.2.1-192.0.2.2\n":             `"192.0.2.1-192.0.2.2\n" is not a range of addresses (such as 192.0.2.10-192.0.2.20)`,
		"192.0.2.1–192.0.2.2":               `"192.0.2.1–192.0.2.2" is neither a CIDR nor a range (a range is written with a hyphen, -, not with a dash)`,
		"192.0.2.240-250":                   `"192.0.2.240-250" is not a range of addresses (192.0.2.240-192.0.2.250?)`,
		"192.0.2.1/32, 192.0.2.2/32":        `"192.0.2.1/32, 192.0.2.2/32" is neither a CIDR nor a range (each is an entry of its own)`,
		"192.0.2.1-192.0.2.2,192.0.2.4/32":  `"192.0.2.1-192.0.2.2,192.0.2.4/32" is not a range of addresses (each is an entry of its own)`,
		"192.0.2.6 - 192.0.2.17":            "192.0.2.6-192.0.2.17 /29",
		"0.0.0.0-255.255.255.255":           "0.0.0.0-255.255.255.255 /0",
		"::-::":                             "::-:: /128",
		"::ffff:192.0.2.1-::ffff:192.0.2.2": "192.0.2.1-192.0.2.2 /32",
		"192.0.2.1":                         `"192.0.2.1" is neither a CIDR nor a range (a single address is 192.0.2.1/32)`,
		"::ffff:192.0.2.0/120":              `"::ffff:192.0.2.0/120" is neither a CIDR nor a range (such as 192.0.2.0/24 or 192.0.2.10-192.0.2.20)`,
		"fe80::1%eth0":                      `"fe80::1%eth0" is neither a CIDR nor a range (such as 192.0.2.0/24 or 192.0.2.10-192.0.2.20)`,
		"192.0.2.9-192.0.2.1":               "the range ends before it begins: 192.0.2.9 is above 192.0.2.1 (192.0.2.1-192.0.2.9?)",
		"192.0.2.9-2001:db8::":              "192.0.2.9 and 2001:db8:: are of different families",
		"192.0.2.9-192.0.2.":                `"192.0.2.9-192.0.2." is not a range of addresses (such as 192.0.2.10-192.0.2.20)`,
		"1-2-3":                             `"1-2-3" is not a range of addresses (such as 192.0.2.10-192.0.2.20)`,
	} {
		e, fault := Addresses(text)
		if got := outcome(fmt.Sprintf("%s /%d", e.Range, e.Widest), fault); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestOverlaps(t *testing.T) {
	list := []string{"10.0.0.0/8", "192.0.2.0/24", "10.1.0.0/16", "10.2.0.1-10.2.0.9", "2001:db8::/32", "11.0.0.0/8"}
	var got []string
	Overlaps(list, func(text string) pharos.Range {
		e, _ := Addresses(text)
		return e.Range
	}, func(a, b string) { got = append(got, a+" "+b) })
	if want := []string{"10.0.0.0/8 10.1.0.0/16", "10.0.0.0/8 10.2.0.1-10.2.0.9"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		text  string
		only4 bool
		want  string
	}{
		{"192.0.2.1", true, "192.0.2.1"},
		{"::ffff:192.0.2.1", true, "192.0.2.1"},
		{"2001:db8::1", false, "2001:db8::1"},
		{"2001:db8::1", true, "2001:db8::1 is not an IPv4 address"},
		{"tor.example", false, `"tor.example" is not an IP address (host names and zones are not accepted)`},
		{"fe80::1%eth0", false, `"fe80::1%eth0" is not an IP address (host names and zones are not accepted)`},
		{" 192.0.2.1", false, `" 192.0.2.1" is not an IP address (leave out the blanks around it)`},
	} {
		a, fault := Address(c.text, c.only4)
		if got := outcome(a, fault); got != c.want {
			t.Errorf("%q: got %s, want %s", c.text, got, c.want)
		}
	}
}

func TestCommunities(t *testing.T) {
	for text, want := range map[string]string{
		"65535:65282": "65535:65282", "0:0": "0:0", "65536:1": "", "1": "", "1:2:3": "", ":1": "", "-1:2": "", "a:b": "",
		"large:4294967295:0:1": "large:4294967295:0:1", "large:1:2": "", "large:1:2:3:4": "", "large:1:2:4294967296": "", "large:": "", "Large:1:2:3": "",
	} {
		got := ""
		if c, ok := Community(text); ok {
			got = c.String()
		} else if c, ok := LargeCommunity(text); ok {
			got = c.String()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestTimers(t *testing.T) {
	for _, c := range []struct{ hold, keepalive, want string }{
		{"", "", "- -"},
		{"90s", "", "1m30s -"},
		{"90s", "10s", "1m30s 10s"},
		{"9s", "0s", "9s -"}, // nothing is not a pause: a third of the hold time
		{"9s", "900ms", "9s -"},
		{"0s", "", "0s -"},
		{"0s", "0s", "0s -"}, // as MetalLB stores a v1beta1 peer that gives neither
		{"", "0s", "0s -"},
		{"", "900ms", "0s -"},
		{"", "10s", "30s 10s"},
		{"500ms", "", "0s -"}, // as MetalLB cuts off before it compares
		{"3s999ms", "", "3s -"},
		{"2s999ms", "", "2s is neither 0s nor 3s or more"},
		{"9s", "10s", "10s is more than the hold time 9s (a third of it is usual)"},
		{"", "65535s", "a hold time three times as long does not fit (give the hold time too)"},
	} {
		read := func(text string) *time.Duration {
			if text == "" {
				return nil
			}
			d, fault := Seconds(text)
			if fault != nil {
				t.Fatal(fault.Reason)
			}
			return &d
		}
		show := func(d *time.Duration) string {
			if d == nil {
				return "-"
			}
			return d.String()
		}
		var p pharos.Peer
		a, b := Timers(&p, read(c.hold), read(c.keepalive))
		if a == nil {
			a = b
		}
		if got := outcome(show(p.HoldTime)+" "+show(p.KeepaliveTime), a); got != c.want {
			t.Errorf("%q %q: got %s, want %s", c.hold, c.keepalive, got, c.want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]string{
		"65535.9s": "18h12m15.9s", "65536s": "18h12m16s is not within 0 s and 65535 s", "-1s": "-1s is not within 0 s and 65535 s",
		"90": `"90" is not a duration (a unit is needed: 90s)`, "x": `"x" is not a duration (such as 90s or 1m30s)`,
	} {
		d, fault := Seconds(text)
		if got := outcome(d, fault); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestPeer(t *testing.T) {
	if SourceFamily(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")) == nil {
		t.Error("a source of the other family is accepted")
	}
	if f := SourceFamily(netip.Addr{}, netip.MustParseAddr("2001:db8::1")); f != nil {
		t.Error(f.Reason)
	}
	for _, c := range []struct {
		peer pharos.Peer
		ok   bool
	}{
		{pharos.Peer{LocalAS: 1, RemoteAS: 2, EBGPMultiHop: true}, true},
		{pharos.Peer{LocalAS: 1, DynamicAS: pharos.External, EBGPMultiHop: true}, true},
		{pharos.Peer{LocalAS: 1, RemoteAS: 1, EBGPMultiHop: true}, false},
		{pharos.Peer{LocalAS: 1, DynamicAS: pharos.Internal, EBGPMultiHop: true}, false},
		{pharos.Peer{LocalAS: 1, RemoteAS: 1}, true},
	} {
		if got := MultiHop(&c.peer, "") == nil; got != c.ok {
			t.Errorf("%+v: %t", c.peer, got)
		}
	}
	if f := Password(strings.Repeat("hunter2", 12)); f == nil || strings.Contains(f.Reason, "hunter2") {
		t.Errorf("got %v", f)
	}
}
