package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var id1 = netip.MustParseAddr("192.0.2.1")

// openBytes is the OPEN of AS 4200000001, hold time 9 s, 192.0.2.1, written by hand from RFC 4271 §4.2 and the
// capabilities' documents.
const openBytes = marker + `
	0035 01          // length 53, OPEN
	04               // version
	5ba0             // AS_TRANS
	0009             // hold time
	c0000201         // identifier
	18               // 24 octets of optional parameters
	02 16            // capabilities, 22 octets
	01 04 0001 00 01 // IPv4 unicast
	01 04 0002 00 01 // IPv6 unicast
	02 00            // route refresh
	41 04 fa56ea01   // four-octet AS
	80 00            // route refresh (old), unknown to the encoder's constructors
`

func TestOpenBytes(t *testing.T) {
	raw := octets(t, openBytes)
	m := split(t, raw)[0]
	o, err := DecodeOpen(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := NewOpen(4200000001, 9, id1, IPv4Unicast, IPv6Unicast)
	want.Capabilities = append(want.Capabilities, Capability{Code: CapOldRouteRefresh})
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v, want %+v", o, want)
	}
	got, err := AppendOpen([]byte("x"), o)
	if err != nil || !bytes.Equal(got[1:], raw) {
		t.Errorf("encoded %x, %v", got[1:], err)
	}
	if o.PeerAS() != 4200000001 || !slices.Equal(o.Families(), both) || !o.Has(CapRouteRefresh) || o.Has(CapAddPath) {
		t.Errorf("AS %d, families %v", o.PeerAS(), o.Families())
	}
	var names []string
	for _, c := range o.Capabilities {
		names = append(names, c.String())
	}
	if got, want := strings.Join(names, "; "), "multiprotocol IPv4 unicast; multiprotocol IPv6 unicast; route refresh; "+
		"four-octet AS 4200000001; route refresh (old)"; got != want {
		t.Errorf("names %q, want %q", got, want)
	}
	if got := (Capability{Code: 200}).String(); got != "capability 200" {
		t.Errorf("name %q", got)
	}
}

func TestOpenPlain(t *testing.T) {
	o, err := DecodeOpen(octets(t, "04 fde9 0000 c0000201 00"))
	if err != nil {
		t.Fatal(err)
	}
	if o.PeerAS() != 65001 || o.HoldTime != 0 || !slices.Equal(o.Families(), both[:1]) || o.Capabilities != nil {
		t.Errorf("got %+v", o)
	}
	got, err := AppendOpen(nil, o)
	if want := octets(t, marker+"001d 01 04 fde9 0000 c0000201 00"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("encoded %x, %v", got, err)
	}
}

// TestOpenParameters has the shapes the optional parameters may come in.
func TestOpenParameters(t *testing.T) {
	refresh, mp := Capability{Code: 2}, MultiProtocol(IPv6Unicast)
	for name, tt := range map[string]struct {
		params string
		want   []Capability
	}{
		"one parameter per capability": {"0c  02 02 02 00  02 06 01 04 0002 00 01", []Capability{refresh, mp}},
		"an empty parameter":           {"06  02 00  02 02 02 00", []Capability{refresh}},
		"repeated":                     {"06  02 04 02 00 02 00", []Capability{refresh, refresh}},
		"unknown capability":           {"06  02 04 c8 02 1234", []Capability{{200, []byte{0x12, 0x34}}}},
		// RFC 9072 §2.
		"long form":                        {"ff ff 0005  02 0002 02 00", []Capability{refresh}},
		"long form, length octet ignored":  {"07 ff 0005  02 0002 02 00", []Capability{refresh}},
		"long form, two parameters":        {"ff ff 000e  02 0002 02 00  02 0006 01 04 0002 00 01", []Capability{refresh, mp}},
		"long form without any parameters": {"ff ff 0000", nil},
	} {
		o, err := DecodeOpen(octets(t, "04 fde9 0009 c0000201 "+tt.params))
		if err != nil || !reflect.DeepEqual(o.Capabilities, tt.want) {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

// TestOpenErrors goes through RFC 4271 §6.2 and the documents that add to it.
func TestOpenErrors(t *testing.T) {
	const head = "04 fde9 0009 c0000201 "
	tests := []struct {
		name, body string
		subcode    uint8
		data       string
	}{
		{"version 3", "03 fde9 0009 c0000201 00", 1, "0004"},
		{"version 5", "05 fde9 0009 c0000201 00", 1, "0004"},
		{"AS 0", "04 0000 0009 c0000201 00", 2, ""},
		{"four-octet AS 0", head + "08 02 06 41 04 00000000", 2, ""},
		{"identifier 0", "04 fde9 0009 00000000 00", 3, ""},
		{"authentication parameter", head + "03 01 01 00", 4, ""},
		{"unknown parameter", head + "02 03 00", 4, ""},
		{"unknown parameter in the long form", head + "ff ff 0003 03 0000", 4, ""},
		{"hold time 1", "04 fde9 0001 c0000201 00", 6, ""},
		{"hold time 2", "04 fde9 0002 c0000201 00", 6, ""},
		{"parameters longer than said", head + "00 02 00", 0, ""},
		{"parameters shorter than said", head + "03 02 00", 0, ""},
		{"parameter without a length", head + "01 02", 0, ""},
		{"parameter too long", head + "04 02 03 02 00", 0, ""},
		{"capability without a length", head + "03 02 01 02", 0, ""},
		{"capability too long", head + "04 02 02 02 01", 0, ""},
		{"multiprotocol of 3", head + "07 02 05 01 03 000100", 0, ""},
		{"multiprotocol of 5", head + "09 02 07 01 05 0001000100", 0, ""},
		{"four-octet AS of 2", head + "06 02 04 41 02 fde9", 0, ""},
		{"extended next hop of 5", head + "09 02 07 05 05 0001000100", 0, ""},
		{"role of 0", head + "04 02 02 09 00", 0, ""},
		{"graceful restart of 1", head + "05 02 03 40 01 00", 0, ""},
		{"graceful restart of 5", head + "09 02 07 40 05 0000000101", 0, ""},
		{"additional paths of 3", head + "07 02 05 45 03 000101", 0, ""},
		{"graceful restart of 0", head + "04 02 02 40 00", 0, ""},
		{"long-lived graceful restart of 6", head + "0a 02 08 47 06 000101800000", 0, ""},
		{"long-lived graceful restart of 8", head + "0c 02 0a 47 08 0001018000000000", 0, ""},
		{"role of 2", head + "06 02 04 09 02 0000", 0, ""},
		{"multiprotocol of 0", head + "04 02 02 01 00", 0, ""},
		{"four-octet AS of 0 octets", head + "04 02 02 41 00", 0, ""},
		{"outbound route filtering of 4", head + "08 02 06 03 04 00010001", 0, ""},
		{"two roles", head + "08 02 06 09 01 03 09 01 04", 11, ""},
		{"long form too short", head + "ff ff 00", 0, ""},
		{"long form shorter than said", head + "ff ff 0006 02 0002 02 00", 0, ""},
		{"long form longer than said", head + "ff ff 0004 02 0002 02 00", 0, ""},
		{"long form, parameter too long", head + "ff ff 0005 02 0003 02 00", 0, ""},
		{"long form, half a parameter", head + "ff ff 0002 02 00", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := DecodeOpen(octets(t, tt.body))
			var n *Notification
			if o != nil || !errors.As(err, &n) {
				t.Fatalf("got %+v, %v", o, err)
			}
			if n.Code != CodeOpen || n.Subcode != tt.subcode || !bytes.Equal(n.Data, octets(t, tt.data)) {
				t.Errorf("got %v data %x", n, n.Data)
			}
		})
	}
	if _, err := DecodeOpen(make([]byte, 9)); err == nil {
		t.Error("nine octets were accepted")
	}
}

func TestOpenEncodeLimits(t *testing.T) {
	o := NewOpen(65001, 9, id1)
	o.Capabilities = []Capability{{200, make([]byte, 251)}} // 253 octets: 255 with the parameter's header
	raw, err := AppendOpen(nil, o)
	if err != nil || raw[28] != 255 || raw[29] != 2 || raw[30] != 253 {
		t.Fatalf("% x, %v", raw[28:32], err)
	}
	o.Capabilities = []Capability{{200, make([]byte, 252)}} // one more: RFC 9072
	raw, err = AppendOpen(nil, o)
	if want := octets(t, "ff ff 0101 02 00fe c8 fc"); err != nil || !bytes.Equal(raw[28:37], want) {
		t.Fatalf("% x, %v", raw[28:37], err)
	}
	for range 14 {
		o.Capabilities = append(o.Capabilities, Capability{201, make([]byte, 255)})
	}
	raw, err = AppendOpen(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := DecodeOpen(split(t, raw)[0].Body); err != nil || !reflect.DeepEqual(again, o) {
		t.Errorf("round trip: %v", err)
	}
	o.Capabilities = append(o.Capabilities, Capability{201, make([]byte, 255)})
	if out, err := AppendOpen([]byte("x"), o); err == nil || string(out) != "x" {
		t.Errorf("%d octets, %v", len(out), err)
	}
	o.Capabilities = []Capability{{201, make([]byte, 256)}}
	if _, err := AppendOpen(nil, o); err == nil {
		t.Error("a capability of 256 octets was encoded")
	}
	if _, err := AppendOpen(nil, &Open{Version: 4, AS: 1}); err == nil {
		t.Error("an OPEN without an identifier was encoded")
	}
}

func TestOpenCheck(t *testing.T) {
	id2 := netip.MustParseAddr("192.0.2.2")
	for _, tt := range []struct {
		name            string
		local, peer, as uint32
		id              netip.Addr
		subcode         uint8 // 0: accepted
	}{
		{"external", 65002, 65001, 65001, id2, 0},
		{"internal", 65001, 65001, 65001, id2, 0},
		{"another AS", 65002, 65003, 65001, id2, SubOpenBadPeerAS},
		{"our identifier in our AS", 65001, 65001, 65001, id1, SubOpenBadID},
		{"our identifier in another AS (RFC 6286)", 65002, 65001, 65001, id1, 0},
	} {
		err := NewOpen(tt.as, 9, id1).Check(tt.local, tt.id, tt.peer)
		var n *Notification
		if errors.As(err, &n); (err == nil) != (tt.subcode == 0) || err != nil && (n.Code != CodeOpen || n.Subcode != tt.subcode) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestNegotiate(t *testing.T) {
	full := NewOpen(65001, 9, id1, IPv4Unicast, IPv6Unicast)
	full.Capabilities = append(full.Capabilities, ExtendedNextHop(), Capability{Code: CapExtendedMessage})
	old := &Open{Version: 4, AS: 65002, ID: id1}
	six := NewOpen(65002, 9, id1, IPv6Unicast, IPv6Unicast)
	for name, tt := range map[string]struct {
		sent, received *Open
		want           Session
	}{
		"everything": {full, full, Session{AS4: true, Internal: true, Families: both, ExtendedNextHop: true, MaxLen: 65535}},
		"old peer":   {full, old, Session{Families: both[:1], MaxLen: 4096}},
		"old us":     {old, full, Session{Families: both[:1], MaxLen: 4096}},
		"one family": {full, six, Session{AS4: true, Families: both[1:], MaxLen: 4096}},
		"no family":  {old, six, Session{Internal: true, MaxLen: 4096}},
	} {
		if got := Negotiate(tt.sent, tt.received); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestUnsupportedCapability(t *testing.T) {
	n := UnsupportedCapability(MultiProtocol(IPv6Unicast), RouteRefreshCapability())
	if n.Code != 2 || n.Subcode != 7 || !bytes.Equal(n.Data, octets(t, "01 04 0002 00 01  02 00")) {
		t.Errorf("got %v %x", n, n.Data)
	}
}
