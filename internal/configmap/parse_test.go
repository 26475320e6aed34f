package configmap

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharoslb/pharos"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func cidr(s string) pharos.Range { return pharos.PrefixRange(netip.MustParsePrefix(s)) }

func ptr[T any](v T) *T { return &v }

var compare = []cmp.Option{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b pharos.Secret) bool { return a == b }),
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Origin" }, cmp.Comparer(func(a, b string) bool {
		return a == "" && strings.HasPrefix(b, "ConfigMap, ") || b == "" && strings.HasPrefix(a, "ConfigMap, ")
	})),
}

func mustParse(t *testing.T, text string) *pharos.Config {
	t.Helper()
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("refused:\n%v", err)
	}
	return c
}

func TestWalkThrough(t *testing.T) {
	got := mustParse(t, `peers:
- peer-address: 10.10.2.210
  peer-asn: 65210
  my-asn: 65211
address-pools:
- name: default
  protocol: bgp
  avoid-buggy-ips: true
  addresses:
  - 172.19.100.0/24
`)
	want := &pharos.Config{
		Pools: []pharos.Pool{{Name: "default", AvoidBuggyIPs: true, Ranges: []pharos.Range{cidr("172.19.100.0/24")}}},
		Peers: []pharos.Peer{{Name: "peer-10.10.2.210", LocalAS: 65211, RemoteAS: 65210, Addr: addr("10.10.2.210"), Port: 179, DualStack: true, AnyDistance: true}},
		Advertisements: []pharos.Advertisement{{
			Name: "default", Mode: pharos.BGP, Pools: []string{"default"}, AggregationLength: 32, AggregationLengthV6: 128,
		}},
	}
	if d := cmp.Diff(want, got, compare...); d != "" {
		t.Error(d)
	}
	if a := got.Advertisements[0]; a.Origin != "ConfigMap, address-pools[0]" {
		t.Errorf("the advertisement nobody wrote is of %q, want the pool's place", a.Origin)
	}
}

func TestEveryField(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "full.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := &pharos.Config{
		Pools: []pharos.Pool{
			{Name: "a-lan", Ranges: []pharos.Range{{First: addr("192.0.2.10"), Last: addr("192.0.2.20")}}},
			{Name: "public", ManualOnly: true, AvoidBuggyIPs: true, Ranges: []pharos.Range{cidr("203.0.113.0/24"), cidr("2001:db8:0:1::/64")}},
		},
		Peers: []pharos.Peer{
			{
				Name: "peer-10.0.0.1", LocalAS: 64500, RemoteAS: 4200000001, Addr: addr("10.0.0.1"), Port: 1179, DualStack: true, AnyDistance: true,
				SourceAddr: addr("10.0.0.9"), HoldTime: ptr(90 * time.Second), KeepaliveTime: ptr(30 * time.Second),
				RouterID: addr("1.2.3.4"), Password: "s3cret", EBGPMultiHop: true, BFDProfile: "fast",
				NodeSelectors: []pharos.Selector{
					{{Key: "kubernetes.io/hostname", Operator: pharos.In, Values: []string{"node1"}}, {Key: "rack", Operator: pharos.In, Values: []string{"7"}}},
					{{Key: "zone", Operator: pharos.NotIn, Values: []string{"a", "b"}}, {Key: "edge", Operator: pharos.Exists}},
				},
			},
			{
				Name: "peer-10.0.0.1-2", LocalAS: 64500, RemoteAS: 64500, Addr: addr("10.0.0.1"), Port: 179, DualStack: true, AnyDistance: true,
				HoldTime: ptr(6 * time.Second), KeepaliveTime: ptr(2 * time.Second),
			},
			{Name: "peer-2001:db8::1", LocalAS: 64500, RemoteAS: 64501, Addr: addr("2001:db8::1"), Port: 179, DualStack: true, AnyDistance: true, HoldTime: ptr(time.Duration(0))},
		},
		Advertisements: []pharos.Advertisement{
			{
				Name: "public", Mode: pharos.BGP, Pools: []string{"public"}, AggregationLength: 24, AggregationLengthV6: 64,
				LocalPref: ptr(uint32(150)), Communities: []pharos.Community{64500<<16 | 7, 65535<<16 | 65282},
			},
			{Name: "public-2", Mode: pharos.BGP, Pools: []string{"public"}, AggregationLength: 32, AggregationLengthV6: 128},
			{Name: "a-lan", Mode: pharos.Layer2, Pools: []string{"a-lan"}, AggregationLength: 32, AggregationLengthV6: 128},
		},
		BFDProfiles: []pharos.BFDProfile{
			{
				Name: "fast", ReceiveInterval: 50 * time.Millisecond, TransmitInterval: 60 * time.Millisecond, DetectMultiplier: 5,
				EchoInterval: 70 * time.Millisecond, EchoMode: true, PassiveMode: true, MinimumTTL: 200,
			},
			{
				Name: "plain", ReceiveInterval: 300 * time.Millisecond, TransmitInterval: 300 * time.Millisecond, DetectMultiplier: 3,
				EchoInterval: 50 * time.Millisecond, MinimumTTL: 254,
			},
		},
	}
	if d := cmp.Diff(want, mustParse(t, string(text)), compare...); d != "" {
		t.Error(d)
	}
}

func TestEmptyTextHasNoPools(t *testing.T) {
	for _, text := range []string{"", "\n# nothing\n", "---\n", "{}", "peers:\naddress-pools: []\n"} {
		if c := mustParse(t, text); len(c.Pools) != 0 || len(c.Peers) != 0 {
			t.Errorf("%q gives %+v", text, c)
		}
	}
}

const peer = "peers:\n- {my-asn: 64500, peer-asn: 64501, peer-address: 10.0.0.1"

func pools(entries ...string) string {
	return "address-pools:\n" + strings.Join(entries, "")
}

// Each mistake is told with its line, field, reason and, where there is one to
// give, a hint.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"not YAML", "peers: [", "line 1: not YAML: did not find expected node content"},
		{"tabs", "peers:\n\t- my-asn: 1", "line 2: not YAML: found character that cannot start any token (tabs do not indent, blanks do)"},
		{"a list", "- peers", "line 1: is a list, must be a mapping"},
		{"two documents", "peers: []\n---\npeers: []\n", "line 2: a second YAML document begins (put everything into one)"},
		{"unknown field", "peer: []\n", "line 1: peer: there is no such field (did you mean peers?)"},
		{"a resource's field", peer + ",\n   myASN: 1}\n", "line 3: peers[0].myASN: there is no such field (did you mean my-asn?)"},
		{"twice", "peers: []\nbgp-communities: {}\npeers: []\n", "line 3: peers: is given twice, first on line 1"},
		{"missing", "peers:\n- my-asn: 64500\n  peer-address: 10.0.0.1\n", "line 2: peers[0].peer-asn: is missing"},
		{"zero AS", "peers:\n- {my-asn: 0, peer-asn: 1, peer-address: 10.0.0.1}", `line 2: peers[0].my-asn: "0" is not a whole number from 1 to 4294967295`},
		{"quoted number", "peers:\n- {my-asn: '1', peer-asn: 1, peer-address: 10.0.0.1}", `line 2: peers[0].my-asn: "1" is a text, must be a number (leave out the quotes)`},
		{"host name", "peers:\n- my-asn: 1\n  peer-asn: 1\n  peer-address: tor.example\n", `line 4: peers[0].peer-address: "tor.example" is not an IP address (host names and zones are not accepted)`},
		{"no unit", peer + ", hold-time: 90}", `line 2: peers[0].hold-time: "90" is not a duration (a unit is needed: 90s)`},
		{"short hold", peer + ", hold-time: 2s}", "line 2: peers[0].hold-time: 2s is neither 0s nor 3s or more"},
		{"long keepalive", peer + ", hold-time: 9s, keepalive-time: 10s}", "line 2: peers[0].keepalive-time: 10s is more than the hold time 9s (a third of it is usual)"},
		{"port", peer + ", peer-port: 65536}", `line 2: peers[0].peer-port: "65536" is not a whole number from 1 to 65535`},
		{"router ID", peer + ", router-id: '2001:db8::1'}", "line 2: peers[0].router-id: 2001:db8::1 is not an IPv4 address"},
		{"source family", peer + ", source-address: '2001:db8::1'}", "line 2: peers[0].source-address: 2001:db8::1 and the peer's address 10.0.0.1 are of different families"},
		{"multihop iBGP", "peers:\n- {my-asn: 7, peer-asn: 7, peer-address: 10.0.0.1, ebgp-multihop: yes}", "line 2: peers[0].ebgp-multihop: makes no sense for an iBGP peer (my-asn and peer-asn are the same)"},
		{"BFD profile", peer + ", bfd-profile: fst}\nbfd-profiles: [{name: fast}]", `line 2: peers[0].bfd-profile: there is no BFD profile "fst" (did you mean fast?)`},
		{"same peer", "peers:\n- &p {my-asn: 1, peer-asn: 1, peer-address: 10.0.0.1}\n- {peer-address: 10.0.0.1, my-asn: 1, peer-asn: 1}\n", "line 3: peers[1]: is the same peer as peers[0] on line 2"},
		{"operator", peer + ",\n   node-selectors: [{match-expressions: [{key: a, operator: in, values: [b]}]}]}", `line 3: peers[0].node-selectors[0].match-expressions[0].operator: "in" is none of In, NotIn, Exists, DoesNotExist (did you mean In?)`},
		{"no values", peer + ",\n   node-selectors: [{match-expressions: [{key: a, operator: In}]}]}", "line 3: peers[0].node-selectors[0].match-expressions[0]: operator In needs values"},
		{"values", peer + ",\n   node-selectors: [{match-expressions: [{key: a, operator: Exists, values: [b]}]}]}", "line 3: peers[0].node-selectors[0].match-expressions[0].values: operator Exists takes no values"},
		{"BFD interval", "bfd-profiles:\n- name: x\n  receive-interval: 5\n", `line 3: bfd-profiles[0].receive-interval: "5" is not a whole number from 10 to 60000`},
		{"same profile", "bfd-profiles:\n- name: x\n- name: x\n", `line 3: bfd-profiles[1]: there is a BFD profile "x" already, on line 2`},
		{"protocol", pools("- {name: a, protocol: bpg, addresses: [10.0.0.0/8]}\n"), `line 2: address-pools[0].protocol: "bpg" is none of bgp, layer2 (did you mean bgp?)`},
		{"no protocol", pools("- {name: a, addresses: [10.0.0.0/8]}\n"), "line 2: address-pools[0].protocol: is missing"},
		{"no addresses", pools("- {name: a, protocol: bgp, addresses: []}\n"), "line 2: address-pools[0].addresses: is empty (a pool needs a CIDR or a range)"},
		{"single address", pools("- {name: a, protocol: bgp, addresses: [10.0.0.1]}\n"), `line 2: address-pools[0].addresses[0]: "10.0.0.1" is neither a CIDR nor a range (a single address is 10.0.0.1/32)`},
		{"backwards", pools("- name: a\n  protocol: bgp\n  addresses:\n  - 10.0.0.9-10.0.0.1\n"), "line 5: address-pools[0].addresses[0]: the range ends before it begins: 10.0.0.9 is above 10.0.0.1 (10.0.0.1-10.0.0.9?)"},
		{"two families", pools("- {name: a, protocol: bgp, addresses: ['10.0.0.9-2001:db8::']}\n"), "line 2: address-pools[0].addresses[0]: 10.0.0.9 and 2001:db8:: are of different families"},
		{"same pool", pools("- {name: a, protocol: bgp, addresses: [10.0.0.0/9]}\n", "- {name: a, protocol: bgp, addresses: [10.128.0.0/9]}\n"), `line 3: address-pools[1].name: there is a pool "a" already, on line 2`},
		{"overlap", pools("- {name: a, protocol: bgp, addresses: [10.0.0.0/8]}\n", "- {name: b, protocol: layer2, addresses: [192.0.2.0/24, 10.1.0.5-10.1.0.9]}\n"), "line 3: address-pools[1].addresses[1]: 10.1.0.5-10.1.0.9 overlaps 10.0.0.0/8, which is address-pools[0].addresses[0] on line 2"},
		{"layer2 adverts", pools("- name: a\n  protocol: layer2\n  addresses: [10.0.0.0/8]\n  bgp-advertisements:\n  - localpref: 1\n"), "line 6: address-pools[0].bgp-advertisements: a pool of protocol layer2 has none (leave it out, or set protocol: bgp)"},
		{"aggregation", pools("- {name: a, protocol: bgp, addresses: [10.0.0.0/28], bgp-advertisements: [{aggregation-length: 24}]}\n"), "line 2: address-pools[0].bgp-advertisements[0].aggregation-length: /24 is wider than 10.0.0.0/28 on line 2, whose widest prefix is /28 (28 or more)"},
		{"aggregation of a range", pools("- {name: a, protocol: bgp, addresses: [10.0.0.6-10.0.0.17], bgp-advertisements: [{aggregation-length: 28}]}\n"), "line 2: address-pools[0].bgp-advertisements[0].aggregation-length: /28 is wider than 10.0.0.6-10.0.0.17 on line 2, whose widest prefix is /29 (29 or more)"},
		{"community", "bgp-communities:\n  none: 65535\n", `line 2: bgp-communities.none: "65535" is not a community (two numbers up to 65535, such as 65535:65282)`},
		{"alias", "bgp-communities: {no-advertise: '65535:65282'}\n" + pools("- {name: a, protocol: bgp, addresses: [10.0.0.0/8], bgp-advertisements: [{communities: [no-advertize]}]}\n"), `line 3: address-pools[0].bgp-advertisements[0].communities[0]: "no-advertize" is neither a community nor one of bgp-communities (did you mean no-advertise?)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := Parse([]byte(c.text))
			if err == nil {
				t.Fatalf("accepted as %+v", config)
			}
			if got := err.Error(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestAllProblemsAtOnceInOrderOfLines(t *testing.T) {
	_, err := Parse([]byte(pools("- {name: a, protocol: x, addresses: [nonsense]}\n") + "peers:\n- {}\n"))
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	var lines []int
	for _, p := range e.Problems {
		lines = append(lines, p.Line)
	}
	if want := []int{2, 2, 4, 4, 4}; !cmp.Equal(want, lines) {
		t.Errorf("problems stand on lines %v, want %v:\n%v", lines, want, err)
	}
}

func TestPasswordIsNeverQuoted(t *testing.T) {
	long := strings.Repeat("hunter2", 12)
	for _, text := range []string{
		peer + ", password: " + long + "}",
		peer + ", password: [hunter2]}",
		peer + ", password: hunter2, hold-time: x}",
		"peers:\n- &p {my-asn: 1, peer-asn: 1, peer-address: 10.0.0.1, password: hunter2}\n- *p\n",
	} {
		_, err := Parse([]byte(text))
		if err == nil {
			t.Errorf("%s: accepted", text)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password shows in: %v", err)
		}
	}
}

// An alias may repeat what it names, and merge keys work as they did, but a text
// that multiplies itself is refused in bounded time.
func TestAliases(t *testing.T) {
	c := mustParse(t, `
peers:
- &tor {my-asn: 64500, peer-asn: 64501, peer-address: 10.0.0.1, hold-time: 9s}
- <<: *tor
  peer-address: 10.0.0.2
`)
	if len(c.Peers) != 2 || c.Peers[1].Addr != addr("10.0.0.2") || c.Peers[1].LocalAS != 64500 || *c.Peers[1].HoldTime != 9*time.Second {
		t.Errorf("got %+v", c.Peers)
	}

	bomb := "address-pools:\n- &p {name: a, protocol: bgp, addresses: [" + strings.Repeat("10.0.0.0/8,", 50_000) + "]}\n" + strings.Repeat("- *p\n", 50_000)
	_, err := Parse([]byte(bomb))
	if err == nil || !strings.Contains(err.Error(), "there are more than 400000 values") {
		t.Errorf("got %.200v", err)
	}
	if _, err := Parse([]byte(strings.Repeat("#", maxSize+1))); err == nil {
		t.Error("a text of any size is read")
	}
}

func TestProblemsAreBounded(t *testing.T) {
	_, err := Parse([]byte("bgp-communities:\n" + strings.Repeat("  ? x\n", 1) + manyCommunities(20_000)))
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) != maxProblems || e.More != 20_001-maxProblems {
		t.Errorf("got %d problems and %d more, want %d and %d", len(e.Problems), e.More, maxProblems, 20_001-maxProblems)
	}
}

func manyCommunities(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  c%d: x\n", i)
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"full.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(peer + ", hold-time: 90}"))
	f.Add([]byte(pools("- {name: a, protocol: bgp, addresses: ['::-::ffff', 0.0.0.0/0]}\n")))
	f.Add([]byte("a: &a [*a]\npeers: *a\n"))
	f.Add([]byte("bgp-communities: {? [a] : b, <<: {c: 1:2}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v with error %v", c, err)
		}
		if err != nil {
			if err.Error() == "" {
				t.Fatal("a problem without words")
			}
			return
		}
		for i := range c.Pools {
			for _, r := range c.Pools[i].Ranges {
				if r.First.Compare(r.Last) > 0 || r.First.BitLen() != r.Last.BitLen() {
					t.Fatalf("range %v", r)
				}
				if !c.Pools[i].AvoidBuggyIPs && c.PoolOf(r.First) != &c.Pools[i] {
					t.Fatalf("%s is in two pools", r.First)
				}
			}
			if c.Pool(c.Pools[i].Name) != &c.Pools[i] {
				t.Fatalf("pool %q is not found by name", c.Pools[i].Name)
			}
		}
		for _, p := range c.Peers {
			if p.HoldTime != nil && *p.HoldTime != 0 && *p.HoldTime < 3*time.Second {
				t.Fatalf("hold time %s", *p.HoldTime)
			}
		}
		for _, a := range c.Advertisements {
			if c.Pool(a.Pools[0]) == nil {
				t.Fatalf("advertisement %q is of no pool", a.Name)
			}
		}
	})
}
