package pharos

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestPrefixRange(t *testing.T) {
	for prefix, want := range map[string]string{
		"172.19.100.0/24": "172.19.100.0-172.19.100.255",
		"172.19.100.9/30": "172.19.100.8-172.19.100.11",
		"10.0.0.1/32":     "10.0.0.1-10.0.0.1",
		"0.0.0.0/0":       "0.0.0.0-255.255.255.255",
		"2001:db8::/126":  "2001:db8::-2001:db8::3",
	} {
		if got := PrefixRange(netip.MustParsePrefix(prefix)).String(); got != want {
			t.Errorf("%s covers %s, want %s", prefix, got, want)
		}
	}
}

func TestRangePrefixes(t *testing.T) {
	for _, r := range []struct{ first, last, want string }{
		{"172.19.100.0", "172.19.100.255", "[172.19.100.0/24]"},
		{"172.19.100.1", "172.19.100.254", "[172.19.100.1/32 172.19.100.2/31 172.19.100.4/30 172.19.100.8/29 172.19.100.16/28 172.19.100.32/27 172.19.100.64/26 172.19.100.128/26 172.19.100.192/27 172.19.100.224/28 172.19.100.240/29 172.19.100.248/30 172.19.100.252/31 172.19.100.254/32]"},
		{"10.0.0.7", "10.0.0.7", "[10.0.0.7/32]"},
		{"0.0.0.0", "255.255.255.255", "[0.0.0.0/0]"},
		{"255.255.255.254", "255.255.255.255", "[255.255.255.254/31]"},
		{"fd00::", "fd00::1:ffff", "[fd00::/111]"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0/124]"},
		{"10.0.0.9", "10.0.0.1", "[]"},
	} {
		if got := fmt.Sprint(Range{netip.MustParseAddr(r.first), netip.MustParseAddr(r.last)}.Prefixes()); got != r.want {
			t.Errorf("%s to %s: %s, want %s", r.first, r.last, got, r.want)
		}
	}
}

func TestPoolAvoidsBuggyAddresses(t *testing.T) {
	pool := Pool{Ranges: []Range{PrefixRange(netip.MustParsePrefix("172.19.100.0/24"))}, AvoidBuggyIPs: true}
	for addr, want := range map[string]bool{
		"172.19.100.0": false, "172.19.100.1": true, "172.19.100.254": true, "172.19.100.255": false,
		"172.19.101.1": false, "::ffff:172.19.100.1": false,
	} {
		if got := pool.Contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Contains(%s) = %t, want %t", addr, got, want)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	peer := Peer{Name: "tor", Password: "hunter2"}
	asJSON, err := json.Marshal(peer)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(asJSON), fmt.Sprint(peer), fmt.Sprintf("%+v", peer), fmt.Sprintf("%#v", peer), fmt.Sprintf("%q", peer.Password)} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("the password shows in %s", text)
		}
	}
	if peer.Password.Reveal() != "hunter2" {
		t.Error("the password is lost")
	}
}

func TestOrphans(t *testing.T) {
	c := &Config{Pools: []Pool{{Name: "a", Ranges: []Range{PrefixRange(netip.MustParsePrefix("192.0.2.0/28"))}}}}
	reasons := c.Orphans(map[netip.Addr]Name{
		netip.MustParseAddr("192.0.2.3"):  {"default", "kept"},
		netip.MustParseAddr("192.0.2.17"): {"default", "lost"},
	})
	if len(reasons) != 1 || !strings.Contains(reasons[0].Detail, "192.0.2.17 of Service default/lost") {
		t.Errorf("got %v, want one reason that names 192.0.2.17 of default/lost", reasons)
	}
}

func TestSelector(t *testing.T) {
	labels := map[string]string{"rack": "a", "role": "edge"}
	for _, c := range []struct {
		s    Selector
		want bool
	}{
		{nil, true},
		{Selector{{"rack", In, []string{"a", "b"}}}, true},
		{Selector{{"rack", NotIn, []string{"a"}}}, false},
		{Selector{{"zone", NotIn, []string{"a"}}}, true},
		{Selector{{"zone", Exists, nil}}, false},
		{Selector{{"zone", DoesNotExist, nil}, {"role", Exists, nil}}, true},
		{Selector{{"rack", In, []string{"a"}}, {"role", In, []string{"core"}}}, false},
	} {
		if got := c.s.Matches(labels); got != c.want {
			t.Errorf("%q matches: %t, want %t", c.s, got, c.want)
		}
	}
}
