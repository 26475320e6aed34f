package wire

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// openWith is an OPEN with capabilities, through its octets.
func openWith(t testing.TB, caps ...Capability) *Open {
	t.Helper()
	raw, err := AppendOpen(nil, &Open{Version: 4, AS: 65001, HoldTime: 9, ID: id1, Capabilities: caps})
	if err != nil {
		t.Fatal(err)
	}
	o, err := DecodeOpen(raw[HeaderLen:])
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestCapabilityBytes: what the constructors make, written by hand from the capabilities' documents.
func TestCapabilityBytes(t *testing.T) {
	for _, tt := range []struct {
		c    Capability
		want string
		name string
	}{
		{ExtendedMessage(), "06 00", "extended message"},
		{EnhancedRouteRefresh(), "46 00", "enhanced route refresh"},
		{ExtendedNextHop(), "05 06 0001 0001 0002", "extended next hop"},
		{GracefulRestartCapability(GracefulRestart{}), "40 02 0000", "graceful restart"},
		{GracefulRestartCapability(GracefulRestart{Restarting: true, Notification: true, Time: 120 * time.Second,
			Families: []GracefulFamily{{IPv4Unicast, true}, {IPv6Unicast, false}}}),
			"40 0a c078 0001 01 80 0002 01 00", "graceful restart"},
		{GracefulRestartCapability(GracefulRestart{Notification: true, Time: time.Hour * 24}), "40 02 4fff", "graceful restart"},
		{GracefulRestartCapability(GracefulRestart{Time: time.Millisecond}), "40 02 0001", "graceful restart"},
		{GracefulRestartCapability(GracefulRestart{Time: -time.Second}), "40 02 0000", "graceful restart"},
		{LongLived(), "47 00", "long-lived graceful restart"},
		{LongLived(LongLivedFamily{IPv4Unicast, true, 24 * time.Hour}, LongLivedFamily{IPv6Unicast, false, MaxStaleTime + 1}),
			"47 0e 0001 01 80 015180 0002 01 00 ffffff", "long-lived graceful restart"},
		{AddPath(AddPathFamily{IPv4Unicast, AddPathBoth}, AddPathFamily{IPv6Unicast, AddPathReceive}),
			"45 08 0001 01 03 0002 01 01", "additional paths"},
		{RoleCapability(RoleCustomer), "09 01 03", "role customer"},
		{FQDN("leaf1", "example.net"), "49 12 05 6c65616631 0b 6578616d706c652e6e6574", "host name"},
		{FQDN("", ""), "49 02 00 00", "host name"},
	} {
		if got := appendCapability(nil, tt.c); !bytes.Equal(got, octets(t, tt.want)) || tt.c.String() != tt.name {
			t.Errorf("%v: %x, want %s", tt.c, got, tt.want)
		}
	}
}

// TestGracefulRestart goes through RFC 4724 §3, RFC 8538 §2 and RFC 9494 §3.1.
func TestGracefulRestart(t *testing.T) {
	old := GracefulRestart{Time: 10 * time.Second, Families: []GracefulFamily{{IPv4Unicast, true}}}
	all := GracefulRestart{Restarting: true, Notification: true, Time: MaxRestartTime,
		Families: []GracefulFamily{{IPv4Unicast, true}, {IPv6Unicast, false}}}
	long := LongLived(LongLivedFamily{IPv6Unicast, true, time.Hour})
	for _, tt := range []struct {
		name string
		caps []Capability
		want *GracefulRestart
		long []LongLivedFamily
	}{
		{"none", nil, nil, nil},
		{"helper only", []Capability{GracefulRestartCapability(GracefulRestart{})}, &GracefulRestart{}, nil},
		{"everything", []Capability{GracefulRestartCapability(all)}, &all, nil},
		{"the last counts", []Capability{GracefulRestartCapability(old), GracefulRestartCapability(all)}, &all, nil},
		{"reserved bits", []Capability{{CapGracefulRestart, []byte{0x3f, 0xff, 0, 1, 1, 0x7f}}},
			&GracefulRestart{Time: MaxRestartTime, Families: []GracefulFamily{{IPv4Unicast, false}}}, nil},
		{"a family twice", []Capability{{CapGracefulRestart, octets(t, "0001 0001 01 80 0002 01 00 0001 01 00")}},
			&GracefulRestart{Time: time.Second, Families: []GracefulFamily{{IPv6Unicast, false}, {IPv4Unicast, false}}}, nil},
		{"long-lived", []Capability{long, GracefulRestartCapability(old)}, &old, []LongLivedFamily{{IPv6Unicast, true, time.Hour}}},
		{"long-lived alone", []Capability{long}, nil, nil},
		{"long-lived, the last counts", []Capability{GracefulRestartCapability(old), long, LongLived(LongLivedFamily{IPv4Unicast, false, 0})}, &old,
			[]LongLivedFamily{{IPv4Unicast, false, 0}}},
		{"long-lived, a family twice", []Capability{GracefulRestartCapability(old),
			{CapLongLivedGR, octets(t, "0001 01 80 000001 0001 01 7f 000002")}}, &old, []LongLivedFamily{{IPv4Unicast, false, 2 * time.Second}}},
	} {
		o := openWith(t, tt.caps...)
		g, ok := o.GracefulRestart()
		if ok != (tt.want != nil) || ok && !reflect.DeepEqual(g, *tt.want) {
			t.Errorf("%s: %+v %v", tt.name, g, ok)
		}
		if got := o.LongLived(); !slices.Equal(got, tt.long) {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

// TestAddPathCapability goes through RFC 7911 §4.
func TestAddPathCapability(t *testing.T) {
	four, six := AddPathFamily{IPv4Unicast, AddPathSend}, AddPathFamily{IPv6Unicast, AddPathReceive}
	for _, tt := range []struct {
		name string
		caps []Capability
		want []AddPathFamily
	}{
		{"none", nil, nil},
		{"no families", []Capability{AddPath()}, nil},
		{"two families", []Capability{AddPath(four, six)}, []AddPathFamily{four, six}},
		{"two capabilities", []Capability{AddPath(four), AddPath(six)}, []AddPathFamily{four, six}},
		{"a family twice", []Capability{AddPath(four, six, AddPathFamily{IPv4Unicast, AddPathBoth})},
			[]AddPathFamily{six, {IPv4Unicast, AddPathBoth}}},
		{"mode 0 makes it unintelligible", []Capability{AddPath(six, AddPathFamily{IPv4Unicast, 0})}, nil},
		{"mode 4 makes it unintelligible", []Capability{AddPath(AddPathFamily{IPv4Unicast, 4}, six)}, nil},
		{"mode 255", []Capability{AddPath(AddPathFamily{IPv4Unicast, 255}), AddPath(six)}, []AddPathFamily{six}},
	} {
		if got := openWith(t, tt.caps...).AddPath(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	for m, want := range map[AddPathMode]string{1: "receive", 2: "send", 3: "both", 4: "mode 4"} {
		if m.String() != want {
			t.Errorf("%q, want %q", m, want)
		}
	}
}

func TestNegotiateAddPath(t *testing.T) {
	offer := func(families []Family, modes ...AddPathMode) *Open {
		o := NewOpen(65001, 9, id1, families...)
		var list []AddPathFamily
		for i, m := range modes {
			if m != 0 {
				list = append(list, AddPathFamily{both[i], m})
			}
		}
		o.Capabilities = append(o.Capabilities, AddPath(list...))
		return o
	}
	for _, tt := range []struct {
		name           string
		sent, received *Open
		receive, send  []Family
	}{
		{"both ways", offer(both, 3, 3), offer(both, 3, 3), both, both},
		{"we receive", offer(both, 1, 1), offer(both, 2, 3), both, nil},
		{"we send", offer(both, 2, 2), offer(both, 1, 3), nil, both},
		{"per family", offer(both, 1, 2), offer(both, 3, 3), both[:1], both[1:]},
		{"both receive", offer(both, 1, 1), offer(both, 1, 1), nil, nil},
		{"both send", offer(both, 2), offer(both, 2), nil, nil},
		{"one side", offer(both, 3, 3), NewOpen(65002, 9, id1, both...), nil, nil},
		{"a family not negotiated", offer(both, 3, 3), offer(both[1:], 3, 3), both[1:], both[1:]},
		{"a mode we do not know", offer(both, 3, 3), offer(both, 3, 7), nil, nil},
	} {
		s := Negotiate(tt.sent, tt.received)
		if !slices.Equal(s.AddPathReceive, tt.receive) || !slices.Equal(s.AddPathSend, tt.send) {
			t.Errorf("%s: receive %v, send %v", tt.name, s.AddPathReceive, s.AddPathSend)
		}
	}
	a, b := openWith(t, EnhancedRouteRefresh(), ExtendedMessage()), openWith(t)
	if s := Negotiate(a, a); !s.EnhancedRefresh || s.MaxLen != MaxExtendedLen {
		t.Errorf("%+v", s)
	}
	if s := Negotiate(a, b); s.EnhancedRefresh || s.MaxLen != MaxLen {
		t.Errorf("%+v", s)
	}
}

// TestRole goes through RFC 9234 §4.2.
func TestRole(t *testing.T) {
	all := []Role{RoleProvider, RoleRouteServer, RoleRouteServerClient, RoleCustomer, RolePeer, 5, 255}
	partner := map[Role]Role{RoleProvider: RoleCustomer, RoleCustomer: RoleProvider, RoleRouteServer: RoleRouteServerClient,
		RoleRouteServerClient: RoleRouteServer, RolePeer: RolePeer}
	mismatch := func(err error) bool {
		var n *Notification
		return errors.As(err, &n) && n.Code == CodeOpen && n.Subcode == SubOpenRoleMismatch && n.Data == nil
	}
	for _, local := range all {
		for _, remote := range all {
			o := openWith(t, RoleCapability(remote))
			if r, ok := o.Role(); !ok || r != remote {
				t.Errorf("%v came back as %v", remote, r)
			}
			p, ok := partner[local]
			if err := o.CheckRole(local, false); (err == nil) != (ok && p == remote) || err != nil && !mismatch(err) {
				t.Errorf("%v with %v: %v", local, remote, err)
			}
		}
	}
	silent := openWith(t)
	if err := silent.CheckRole(RolePeer, false); err != nil {
		t.Errorf("a peer without a role: %v", err)
	}
	if err := silent.CheckRole(RolePeer, true); !mismatch(err) {
		t.Errorf("a peer without a role, strict: %v", err)
	}
	if r, ok := openWith(t, RoleCapability(RolePeer), RoleCapability(RolePeer)).Role(); !ok || r != RolePeer {
		t.Errorf("the same role twice: %v", r)
	}
	_, err := DecodeOpen(octets(t, "04 fde9 0009 c0000201 08 02 06 09 01 03 09 01 00"))
	if !mismatch(err) {
		t.Errorf("two roles: %v", err)
	}
	var names []string
	for _, r := range all {
		names = append(names, r.String())
	}
	if got := strings.Join(names, "; "); got != "provider; route server; route server client; customer; peer; role 5; role 255" {
		t.Error(got)
	}
}

// TestFQDN goes through draft-walton-bgp-hostname-capability §3; what is malformed is ignored.
func TestFQDN(t *testing.T) {
	type names struct {
		host, domain string
		ok           bool
	}
	for _, tt := range []struct {
		name  string
		value string
		want  names
	}{
		{"both", "02 6131 01 62", names{"a1", "b", true}},
		{"no domain", "02 6131 00", names{"a1", "", true}},
		{"nothing", "00 00", names{"", "", true}},
		{"not UTF-8, control characters", "03 61ff0a 00", names{"a\uFFFD\uFFFD", "", true}},
		{"empty", "", names{}},
		{"domain missing", "02 6131", names{}},
		{"host too long", "03 6131", names{}},
		{"domain too long", "02 6131 02 62", names{}},
		{"octets behind", "02 6131 00 00", names{}},
	} {
		o := openWith(t, Capability{CapFQDN, octets(t, tt.value)})
		if host, domain, ok := o.FQDN(); (names{host, domain, ok}) != tt.want {
			t.Errorf("%s: %q %q %v", tt.name, host, domain, ok)
		}
	}
	long := strings.Repeat("é", 32) // 64 octets
	if host, domain, ok := openWith(t, FQDN(long, long[:62])).FQDN(); !ok || host != long[:62] || domain != long[:62] {
		t.Errorf("%q %q %v", host, domain, ok)
	}
	if _, _, ok := openWith(t).FQDN(); ok {
		t.Error("a name without a capability")
	}
}
