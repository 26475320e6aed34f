package wire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestNotificationBytes(t *testing.T) {
	for _, tt := range []struct {
		n    Notification
		raw  string
		text string
	}{
		{Notification{1, 2, []byte{0x10, 0x01}}, "0017 03 01 02 1001", "Message Header Error/Bad Message Length (1/2)"},
		{Notification{2, 1, []byte{0, 4}}, "0017 03 02 01 0004", "OPEN Message Error/Unsupported Version Number (2/1)"},
		{Notification{2, 0, nil}, "0015 03 02 00", "OPEN Message Error/Unspecific (2/0)"},
		{Notification{2, 5, nil}, "0015 03 02 05", "OPEN Message Error/Authentication Failure (2/5)"},
		{Notification{2, 8, nil}, "0015 03 02 08", "OPEN Message Error/subcode 8 (2/8)"},
		{Notification{3, 3, []byte{1}}, "0016 03 03 03 01", "UPDATE Message Error/Missing Well-known Attribute (3/3)"},
		{Notification{4, 0, nil}, "0015 03 04 00", "Hold Timer Expired (4/0)"},
		{Notification{5, 1, nil}, "0015 03 05 01",
			"Finite State Machine Error/Receive Unexpected Message in OpenSent State (5/1)"},
		{Notification{6, 2, []byte("\x04down")}, "001a 03 06 02 04 646f776e", `Cease/Administrative Shutdown (6/2): "down"`},
		{*MaxPrefixes(IPv6Unicast, 100000), "001c 03 06 01 0002 01 000186a0",
			"Cease/Maximum Number of Prefixes Reached (6/1): IPv6 unicast, at most 100000"},
		{Notification{6, 1, nil}, "0015 03 06 01", "Cease/Maximum Number of Prefixes Reached (6/1)"},
		{*HardReset(&Notification{4, 0, nil}), "0017 03 06 09 04 00", "Cease/Hard Reset (6/9): Hold Timer Expired (4/0)"},
		{*HardReset(Shutdown(SubCeaseShutdown, "down")), "001c 03 06 09 06 02 04 646f776e",
			`Cease/Hard Reset (6/9): Cease/Administrative Shutdown (6/2): "down"`},
		{Notification{6, 9, nil}, "0015 03 06 09", "Cease/Hard Reset (6/9): Cease (6/0)"},
		{Notification{6, 7, nil}, "0015 03 06 07", "Cease/Connection Collision Resolution (6/7)"},
		{Notification{6, 10, nil}, "0015 03 06 0a", "Cease/BFD Down (6/10)"},
		{Notification{7, 1, nil}, "0015 03 07 01", "ROUTE-REFRESH Message Error/Invalid Message Length (7/1)"},
		{Notification{8, 0, nil}, "0015 03 08 00", "Send Hold Timer Expired (8/0)"},
		{Notification{0, 0, nil}, "0015 03 00 00", "code 0 (0/0)"},
		{Notification{200, 9, []byte{1}}, "0016 03 c8 09 01", "code 200/subcode 9 (200/9)"},
	} {
		raw := octets(t, marker+tt.raw)
		if got := AppendNotification([]byte("x"), &tt.n)[1:]; !bytes.Equal(got, raw) {
			t.Errorf("%v: encoded %x, want %x", &tt.n, got, raw)
		}
		got, err := DecodeNotification(split(t, raw)[0].Body)
		if err != nil || !reflect.DeepEqual(*got, tt.n) {
			t.Errorf("decoded %+v, %v, want %+v", got, err, tt.n)
		}
		if got.Error() != tt.text {
			t.Errorf("text %q, want %q", got, tt.text)
		}
	}
	for _, b := range [][]byte{nil, {6}} {
		var n *Notification
		if _, err := DecodeNotification(b); !errors.As(err, &n) || n.Code != 1 || n.Subcode != 2 {
			t.Errorf("%d octets: %v", len(b), err)
		}
	}
}

func TestNotificationTooLong(t *testing.T) {
	raw := AppendNotification(nil, &Notification{Code: 3, Subcode: 9, Data: make([]byte, 5000)})
	if len(raw) != MaxLen || len(split(t, raw)) != 1 {
		t.Errorf("%d octets", len(raw))
	}
}

// TestShutdownText goes through RFC 9003 §2 and §3.
func TestShutdownText(t *testing.T) {
	for _, tt := range []struct {
		name string
		n    *Notification
		text string
		ok   bool
	}{
		{"shutdown", Shutdown(SubCeaseShutdown, "bye"), "bye", true},
		{"reset", Shutdown(SubCeaseReset, "upgrade to 2"), "upgrade to 2", true},
		{"empty text", Shutdown(SubCeaseShutdown, ""), "", true},
		{"255 octets", Shutdown(SubCeaseShutdown, strings.Repeat("x", 255)), strings.Repeat("x", 255), true},
		{"cut at a character", Shutdown(SubCeaseShutdown, strings.Repeat("é", 128)), strings.Repeat("é", 127), true},
		{"no data", &Notification{6, 2, nil}, "", false},
		{"length beyond the data", &Notification{6, 2, []byte{4, 'b', 'y', 'e'}}, "", false},
		{"data beyond the length", &Notification{6, 2, []byte{2, 'b', 'y', 'e'}}, "by", true},
		{"another subcode", &Notification{6, 3, []byte{1, 'x'}}, "", false},
		{"another code", &Notification{5, 2, []byte{1, 'x'}}, "", false},
		{"not UTF-8", &Notification{6, 2, []byte{2, 'a', 0xff}}, "a\uFFFD", true},
		{"control characters", &Notification{6, 2, []byte("\x06a\x1b[2J\n")}, "a\uFFFD[2J\uFFFD", true},
	} {
		if text, ok := tt.n.ShutdownText(); text != tt.text || ok != tt.ok {
			t.Errorf("%s: %q %v", tt.name, text, ok)
		}
	}
}

// TestHardReset goes through RFC 8538 §3.1.
func TestHardReset(t *testing.T) {
	for _, tt := range []struct {
		name  string
		n     *Notification
		inner *Notification
	}{
		{"a hold timer", HardReset(&Notification{4, 0, nil}), &Notification{4, 0, []byte{}}},
		{"with data", HardReset(&Notification{3, 3, []byte{1}}), &Notification{3, 3, []byte{1}}},
		{"in another", HardReset(HardReset(&Notification{6, 4, nil})), &Notification{6, 9, []byte{6, 4}}},
		{"without data", &Notification{6, 9, nil}, &Notification{6, 0, nil}},
		{"half a code", &Notification{6, 9, []byte{6}}, &Notification{6, 0, nil}},
		{"another subcode", &Notification{6, 4, []byte{6, 2}}, nil},
		{"another code", &Notification{5, 9, []byte{6, 2}}, nil},
	} {
		inner, ok := tt.n.HardReset()
		if ok != (tt.inner != nil) || !reflect.DeepEqual(inner, tt.inner) {
			t.Errorf("%s: %+v %v", tt.name, inner, ok)
		}
	}
}

// TestMaxPrefixes goes through RFC 4486 §4.
func TestMaxPrefixes(t *testing.T) {
	if f, limit, ok := MaxPrefixes(IPv4Unicast, 1<<32-1).MaxPrefixes(); f != IPv4Unicast || limit != 1<<32-1 || !ok {
		t.Errorf("%v %d %v", f, limit, ok)
	}
	for _, n := range []*Notification{
		{6, 1, nil}, {6, 1, make([]byte, 6)}, {6, 1, make([]byte, 8)}, {6, 2, make([]byte, 7)}, {3, 1, make([]byte, 7)},
	} {
		if f, limit, ok := n.MaxPrefixes(); ok {
			t.Errorf("%+v: %v %d", n, f, limit)
		}
	}
}

func TestRouteRefreshBytes(t *testing.T) {
	for _, tt := range []struct {
		r   RouteRefresh
		raw string
	}{
		{RouteRefresh{Family: IPv4Unicast}, "0017 05 0001 00 01"},
		{RouteRefresh{Family: IPv6Unicast, Subtype: RefreshBegin}, "0017 05 0002 01 01"},
		{RouteRefresh{Family: IPv6Unicast, Subtype: RefreshEnd}, "0017 05 0002 02 01"},
		{RouteRefresh{Family: Family{25, 70}, Subtype: 7}, "0017 05 0019 07 46"},
		{RouteRefresh{Family: IPv4Unicast, ORF: []byte{1, 64, 0, 0}}, "001b 05 0001 00 01 01400000"},
	} {
		raw := octets(t, marker+tt.raw)
		if got := AppendRouteRefresh([]byte("x"), tt.r)[1:]; !bytes.Equal(got, raw) {
			t.Errorf("encoded %x, want %x", got, raw)
		}
		if got, err := DecodeRouteRefresh(split(t, raw)[0].Body); err != nil || !reflect.DeepEqual(*got, tt.r) {
			t.Errorf("decoded %+v, %v, want %+v", got, err, tt.r)
		}
	}
	// RFC 7313 §5: a marker of another length; the data is the whole message.
	raw := octets(t, marker+"0018 05 0001 01 01 00")
	_, err := DecodeRouteRefresh(split(t, raw)[0].Body)
	var n *Notification
	if !errors.As(err, &n) || n.Code != 7 || n.Subcode != 1 || !bytes.Equal(n.Data, raw) {
		t.Errorf("got %v", err)
	}
	if _, err := DecodeRouteRefresh([]byte{0, 1, 0}); !errors.As(err, &n) || n.Code != 1 || n.Subcode != 2 {
		t.Errorf("three octets: %v", err)
	}
}
