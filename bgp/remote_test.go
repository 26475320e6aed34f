package bgp_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
)

func plain() bgp.Config {
	return bgp.Config{Name: "p", LocalAS: 65001, RemoteAS: 65002, RouterID: netip.MustParseAddr("192.0.2.1")}
}

// Exactly one of address, prefix and interface says who the peer is.
func TestWhoThePeerIs(t *testing.T) {
	for _, r := range []struct {
		addr, prefix, link, local string
		want                      string // part of the error; empty: valid
	}{
		{addr: "192.0.2.2"},
		{addr: "fe80::1%eth0"},
		{addr: "fe80::1%eth0", link: "eth0"},
		{prefix: "192.0.2.0/24"},
		{prefix: "192.0.2.0/24", local: "192.0.2.1"},
		{prefix: "0.0.0.0/0"},
		{prefix: "2001:db8::/64"},
		{prefix: "fe80::/10"},
		{link: "eth0"},
		{link: "eth0", local: "fe80::7"},

		{want: "not a host's"},
		{addr: "0.0.0.0", want: "not a host's"},
		{addr: "ff02::1", want: "not a host's"},
		{addr: "fe80::1", want: "interface is missing"},
		{addr: "192.0.2.2", prefix: "192.0.2.0/24", want: "both"},
		{addr: "192.0.2.2", link: "eth0", want: "both"},
		{addr: "fe80::1%eth1", link: "eth0", want: "both"},
		{prefix: "192.0.2.0/24", link: "eth0", want: "both"},
		{prefix: "192.0.2.2/24", want: "host bits: 192.0.2.0/24 is meant"},
		{prefix: "224.0.0.0/4", want: "not one of hosts"},
		{prefix: "::ffff:192.0.2.0/120", want: "not one of hosts"},
		{prefix: "192.0.2.0/24", local: "2001:db8::1", want: "different families"},
		{addr: "192.0.2.2", local: "2001:db8::1", want: "different families"},
		{link: "eth0", local: "2001:db8::1", want: "not IPv6 link-local"},
	} {
		c := plain()
		if r.addr != "" {
			c.RemoteAddr = netip.MustParseAddr(r.addr)
		}
		if r.prefix != "" {
			c.RemotePrefix = netip.MustParsePrefix(r.prefix)
		}
		if r.local != "" {
			c.LocalAddr = netip.MustParseAddr(r.local)
		}
		c.Interface = r.link
		err := c.Validate()
		if (err == nil) != (r.want == "") || err != nil && !strings.Contains(err.Error(), r.want) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestAOKeys(t *testing.T) {
	key := func(send, recv uint8) bgp.AOKey { return bgp.AOKey{SendID: send, RecvID: recv, Secret: "hunter2"} }
	for _, r := range []struct {
		name string
		edit func(*bgp.Config)
		want string
	}{
		{"one", func(c *bgp.Config) { c.AO = []bgp.AOKey{key(0, 255)} }, ""},
		{"two", func(c *bgp.Config) { c.AO = []bgp.AOKey{key(1, 2), key(2, 1)} }, ""},
		{"every algorithm", func(c *bgp.Config) {
			for i, a := range []bgp.AOAlgorithm{"", bgp.HMACSHA1, bgp.AES128CMAC, bgp.HMACSHA256} {
				k := key(uint8(i), uint8(i))
				k.Algorithm = a
				c.AO = append(c.AO, k)
			}
		}, ""},
		{"and MD5", func(c *bgp.Config) { c.AO, c.Password = []bgp.AOKey{key(1, 1)}, "hunter2" }, "both a password"},
		{"one SendID", func(c *bgp.Config) { c.AO = []bgp.AOKey{key(1, 2), key(1, 3)} }, "SendID 1"},
		{"one RecvID", func(c *bgp.Config) { c.AO = []bgp.AOKey{key(1, 2), key(3, 2)} }, "RecvID 2"},
		{"no secret", func(c *bgp.Config) { c.AO = []bgp.AOKey{{SendID: 1}} }, "secret of 0 octets"},
		{"long secret", func(c *bgp.Config) {
			c.AO = []bgp.AOKey{{SendID: 1, Secret: strings.Repeat("x", 81)}}
		}, "secret of 81 octets"},
		{"unknown algorithm", func(c *bgp.Config) {
			c.AO = []bgp.AOKey{{Secret: "hunter2", Algorithm: "md5"}}
		}, `algorithm "md5"`},
	} {
		c := plain()
		c.RemoteAddr = netip.MustParseAddr("192.0.2.2")
		r.edit(&c)
		err := c.Validate()
		if (err == nil) != (r.want == "") || err != nil && !strings.Contains(err.Error(), r.want) {
			t.Errorf("%s: %v", r.name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the secret: %v", r.name, err)
		}
	}
}

// However a key is printed, its secret is not.
func TestAOSecretIsNotShown(t *testing.T) {
	c := plain()
	c.AO = []bgp.AOKey{{SendID: 1, RecvID: 2, Secret: "hunter2"}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", c)
		fmt.Fprintf(&out, verb+"\n", c.AO)
		fmt.Fprintf(&out, verb+"\n", &c.AO[0])
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", c.AO[0], "keys", c.AO)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", c.AO[0], "keys", c.AO)
	if s := out.String(); strings.Contains(s, "hunter2") || strings.Contains(s, fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("shown:\n%s", s)
	}
	s, err := bgp.NewServer(bgp.Options{Dialer: bgptest.NewNet().Dialer(hostA)})
	if err != nil {
		t.Fatal(err)
	}
	c.RemoteAddr = netip.MustParseAddr("192.0.2.2")
	if err := s.SetPeers([]bgp.Config{c}); err != nil {
		t.Fatal(err)
	}
	st := s.Status()[0]
	if len(st.Config.AO) != 1 || st.Config.AO[0].Secret != "" || st.Config.AO[0].Algorithm != bgp.HMACSHA1 || !st.Authenticated {
		t.Errorf("status has %+v, authenticated %v", st.Config.AO, st.Authenticated)
	}
	if c.AO[0].Secret != "hunter2" {
		t.Error("Status cleared the caller's secret")
	}
}

func TestResolve(t *testing.T) {
	given := plain()
	given.Name, given.RemoteAddr = "given", netip.MustParseAddr("fe80::9%eth0")
	prefix := plain()
	prefix.Name, prefix.RemotePrefix = "prefix", netip.MustParsePrefix("192.0.2.0/24")
	link := func(name string) bgp.Config {
		c := plain()
		c.Name, c.Interface = name, name
		return c
	}
	in := []bgp.Config{given, link("eth0"), prefix, link("eth1"), link("eth2")}
	got := bgp.Resolve(in, map[string]netip.Addr{
		"eth0": netip.MustParseAddr("fe80::1"), "eth2": netip.MustParseAddr("2001:db8::1"), "": netip.MustParseAddr("fe80::2"),
	})
	want := []bgp.Config{given, link("eth0"), prefix, link("eth1"), link("eth2")}
	want[1].RemoteAddr = netip.MustParseAddr("fe80::1%eth0")
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if in[1].RemoteAddr.IsValid() {
		t.Error("the caller's slice was changed")
	}
	for _, c := range got {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}
