package nxos

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

func mustParse(t testing.TB, text string) *Config {
	t.Helper()
	c, err := Parse("switch.conf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseWalkthrough(t *testing.T) {
	c := mustParse(t, readFile(t, "../../examples/walkthrough/switch.conf"))
	if c.Name() != "switch" || len(c.Interfaces) != 2 || c.Interfaces[1].Addrs[0] != netip.MustParsePrefix("172.16.100.210/24") || !c.Interfaces[0].NoSwitchport {
		t.Errorf("%+v", c)
	}
	r := c.Router(nil)
	if r.AS != 65210 || r.RouterID != netip.MustParseAddr("1.1.1.1") || r.IPv4 != (rib.Policy{MaxPaths: 3}) || len(r.Neighbors) != 3 {
		t.Errorf("%+v", r)
	}
	n := r.Neighbors[2]
	if n.Addr != netip.MustParseAddr("10.10.2.114") || n.AS != 65211 || n.HoldTime != 180*time.Second || n.KeepaliveTime != time.Minute ||
		!reflect.DeepEqual(n.Families, []wire.Family{wire.IPv4Unicast}) {
		t.Errorf("%+v", n)
	}
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
}

// everything is a configuration with every line that there is.
const everything = `!Command: show running-config
!Time: now

version 9.3(5) Bios:version
hostname tor-1
feature bgp
! a comment
interface Ethernet1/1
  description uplink to  rack 4
  no switchport
  ip address 10.0.0.1 255.255.255.0
  ip address 10.0.9.1/24 secondary
  ipv6 address 2001:db8::1/64
  no shutdown
interface eth 1/2
  ip address 192.0.2.0/31
  shutdown
  exit
int lo0
  ip addr 10.255.0.1/32
interface mgmt0
  ip address 10.9.9.9/24
router bgp 1.10
  router-id 10.255.0.9
  timers bgp 30 90
  bestpath as-path multipath-relax
  log-neighbor-changes
  address-family ipv4 unicast
    maximum-paths 8
    maximum-paths ibgp 4
    bestpath compare-routerid
  address-family ipv6 unicast
    maximum-paths 2
  neighbor 10.0.0.2 remote-as 65001
    description node one
    password 0 Sesame
    timers 1 3
    ebgp-multihop 5
    update-source loopback0
    transport connection-mode passive
    address-family ipv4 unicast
      maximum-prefix 500
    address-family ipv6 unicast
  neighbor 2001:db8::2
    remote-as 65546
    shutdown
    address-family ipv6 unicast
  neighbor 10.0.0.3
    remote-as 65001
    password Sesame2
    timers 0 0
    no shutdown
    address-family ipv4 unicast
end
`

func TestParseEverything(t *testing.T) {
	c := mustParse(t, everything)
	b := c.BGP
	if c.Hostname != "tor-1" || !c.FeatureBGP || len(c.Interfaces) != 4 || c.Interfaces[0].Description != "uplink to  rack 4" || !c.Interfaces[1].Shutdown {
		t.Errorf("%+v", c)
	}
	if got := fmt.Sprint(c.Interfaces[0].Addrs); got != "[10.0.0.1/24 10.0.9.1/24 2001:db8::1/64]" {
		t.Errorf("addresses %s", got)
	}
	if b.AS != 65546 || *b.Timers != (Timers{30 * time.Second, 90 * time.Second}) || !b.Relax || !b.CompareRouterID || !b.LogChanges ||
		*b.IPv4 != (Family{MaxPaths: 8, MaxPathsInternal: 4}) || *b.IPv6 != (Family{MaxPaths: 2}) || len(b.Neighbors) != 3 {
		t.Errorf("%+v", b)
	}
	r := c.Router(nil)
	n := r.Neighbors[0]
	if n.Password != "Sesame" || n.Source != netip.MustParseAddr("10.255.0.1") || !n.MultiHop || !n.Passive || n.MaxPrefixes[wire.IPv4Unicast].Max != 500 ||
		len(n.Families) != 2 || n.HoldTime != 3*time.Second || n.Description != "node one" {
		t.Errorf("%+v", n)
	}
	if n := r.Neighbors[1]; !n.Shutdown || n.HoldTime != 90*time.Second || n.AS != r.AS {
		t.Errorf("%+v", n)
	}
	if n := r.Neighbors[2]; n.HoldTime != 0 || n.KeepaliveTime != 0 || n.Password != "Sesame2" {
		t.Errorf("%+v", n)
	}
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
}

// What running-config shows is read back as the same, but for passwords.
func TestRunningConfigRoundTrip(t *testing.T) {
	for _, text := range []string{everything, rack, readFile(t, "../../examples/walkthrough/switch.conf"), "", "hostname x\n"} {
		c := mustParse(t, text)
		without(c)
		once := c.Text()
		if twice := mustParse(t, once).Text(); twice != once {
			t.Errorf("running-config is read back differently: %s", diff(once, twice))
		}
		if strings.Contains(once, "Sesame") {
			t.Error("running-config shows a password")
		}
	}
	// With passwords and keys the file is refused, and says what to do.
	_, err := Parse("running", []byte(mustParse(t, everything).Text()))
	if err == nil || !strings.Contains(err.Error(), "write password 0 TEXT") {
		t.Errorf("a running-config with hidden passwords: %v", err)
	}
	_, err = Parse("running", []byte(mustParse(t, rack).Text()))
	if err == nil || strings.Count(err.Error(), "write key TEXT") != 2 {
		t.Errorf("a running-config with hidden keys: %v", err)
	}
}

func TestRouterID(t *testing.T) {
	const bgp = "router bgp 65000\n"
	for text, want := range map[string]string{
		"int e1/1\nip address 10.0.0.1/24\nint e1/2\nip address 10.2.0.1/24\nint lo1\nip address 1.2.3.4/32\n": "1.2.3.4",
		"int e1/1\nip address 10.3.0.1/24\nint e1/2\nip address 10.2.0.1/24\n":                                 "10.3.0.1",
		"int e1/1\nip address 10.3.0.1/24\nshutdown\nint e1/2\nip address 10.2.0.1/24\n":                       "10.2.0.1",
	} {
		if got := mustParse(t, text+bgp).Router(nil).RouterID; got.String() != want {
			t.Errorf("%q: router ID %v, want %s", text, got, want)
		}
	}
}

// Every refusal: the line it is about, what is said, and what would help.
func TestRefusals(t *testing.T) {
	const (
		iface    = "interface Ethernet1/1\n"
		router   = "router bgp 65000\nrouter-id 1.1.1.1\n"
		neighbor = router + "neighbor 10.0.0.2 remote-as 65001\n"
	)
	for _, row := range []struct {
		text   string
		line   int
		reason string
		hint   string
	}{
		{"foo bar", 1, `"foo" is not understood at the top level`, "expected bfd, end, exit, feature, hardware, hostname, interface, router, version"},
		{"hostname a b", 1, `"b" is not understood at the top level`, "expected <CR>"},
		{"hostname a/b", 1, `"a/b" is not a name of at most 63 letters, digits, dots, dashes and underscores`, ""},
		{"hostname", 1, "the line is incomplete", "expected <name>"},
		{"feature ospf", 1, `"ospf" is not understood at the top level`, "expected bfd, bgp"},
		{"e", 1, `"e" is ambiguous`, "expected end, exit"},
		{"no feature bgp", 1, "there is nothing to undo", "leave the line out"},
		{"vrf context blue", 1, `"vrf" is not supported`, "there is one routing table"},
		{"ip route 0.0.0.0/0 10.0.0.1", 1, `"ip" is not supported`, "only ip address under interface"},
		{"hostname caf\xe9", 1, "the line has control characters", "plain text"},
		{"hostname a\x00", 1, "the line has control characters", "plain text"},
		{"hostname " + strings.Repeat("x", 2000), 1, "the line is longer than 1024 octets", ""},
		{"shutdown", 1, `"shutdown" does not belong here, at the top level`, "it belongs under interface"},
		{"neighbor 10.0.0.1", 1, `"neighbor" does not belong here, at the top level`, "it belongs under router bgp"},
		{"interface Vlan10", 1, `interfaces of type "Vlan" are not supported`, ""},
		{"interface Ethernet1", 1, "an Ethernet interface is numbered slot/port", ""},
		{"interface Ethernet1/1.5", 1, `"1/1.5" is not a number of an interface`, ""},
		{"interface loopback0/1", 1, "a loopback interface has a plain number", ""},
		{"interface eth", 1, `"eth" is not an interface`, ""},
		{iface + "ip address 10.0.0.300/24", 2, `"10.0.0.300/24" is not an IPv4 address`, ""},
		{iface + "ip address 10.0.0.1 255.0.255.0", 2, "255.0.255.0 is not a network mask: its ones are not together", ""},
		{iface + "ip address 10.0.0.0/24", 2, "10.0.0.0/24 is the network's own address", "give the interface's: 10.0.0.1/24"},
		{iface + "ip address 10.0.0.255/24", 2, "is the network's broadcast address", ""},
		{iface + "ip address 127.0.0.1/8", 2, "127.0.0.1 is not an interface's address", ""},
		{iface + "ip address 10.0.0.1", 2, "the line is incomplete", "expected <mask>"},
		{iface + "ipv6 address 10.0.0.1/24", 2, `"10.0.0.1/24" is not an IPv6 address with a prefix length`, ""},
		{iface + "ipv6 address 2001:db8::1/0", 2, "a network of prefix length 0 is everything", ""},
		{iface + "mtu 9216", 2, `"mtu" is not supported`, "set it on the device"},
		{iface + "switchport", 2, `"switchport" is not supported`, "layer-3"},
		{"interface loopback0\nip address 10.0.0.1/24", 2, "a loopback's address has prefix length 32", ""},
		{iface + "ip address 10.0.0.1/24\ninterface Ethernet1/2\nip address 10.0.0.9/16", 3, "10.0.0.9/16 of Ethernet1/2 overlaps 10.0.0.1/24 of Ethernet1/1", ""},
		{"router bgp 0", 1, "AS number 0 is reserved", ""},
		{"router bgp 23456", 1, "AS number 23456 is reserved", ""},
		{"router bgp 4294967296", 1, `"4294967296" is not an AS number`, ""},
		{"router ospf 1", 1, `"ospf" is not understood at the top level`, "expected bgp"},
		{"router bgp 65000", 1, "router bgp has no router ID", "add router-id A.B.C.D"},
		{router + "router bgp 65001", 3, "router bgp 65000 is already configured in line 1", "one BGP process"},
		{router + "router-id 0.0.0.0", 3, "the router ID must not be 0.0.0.0", ""},
		{router + "timers bgp 60", 3, "the line is incomplete", "expected <seconds>"},
		{router + "timers bgp 180 60", 3, "the keepalive time is above the hold time", "the order is timers KEEPALIVE HOLD"},
		{router + "timers bgp 1 2", 3, "the hold time is 0 or at least 3 seconds", ""},
		{router + "timers bgp 1 5000", 3, `"5000" is not a number of 0 to 3600`, ""},
		{router + "network 10.0.0.0/8", 3, `"network" is not supported`, "originates no routes"},
		{router + "maximum-paths 3", 3, `"maximum-paths" does not belong here, under router bgp`, "it belongs under router bgp's address-family"},
		{router + "address-family ipv4 unicast\nmaximum-paths 0", 4, `"0" is not a number of 1 to 64`, ""},
		{router + "address-family ipv4 unicast\nmaximum-paths 65", 4, `"65" is not a number of 1 to 64`, ""},
		{router + "address-family ipv4 multicast", 3, `"multicast" is not understood under router bgp`, "expected unicast"},
		{router + "neighbor 10.0.0.2", 3, "neighbor 10.0.0.2 has no remote-as", "add remote-as N under it"},
		{router + "neighbor 224.0.0.1", 3, "224.0.0.1 is not the address of another host", ""},
		{router + "neighbor 10.0.0.2 remote-as x", 3, `"x" is not understood under router bgp`, "expected <as>, external"},
		{router + "neighbor 10.0.0.2 remote-as 65001x", 3, `"65001x" is not an AS number`, ""},
		{neighbor + "maximum-paths 3", 4, `"maximum-paths" does not belong here, under neighbor`, "it belongs under router bgp's address-family"},
		{neighbor + "timers 3", 4, "the line is incomplete", "expected <seconds>"},
		{neighbor + "ebgp-multihop 1", 4, `"1" is not a number of 2 to 255`, ""},
		{neighbor + "update-source Ethernet1/1", 4, "Ethernet1/1 has no address of neighbor 10.0.0.2's family", "configure the interface"},
		{neighbor + "update-source Vlan3", 4, `interfaces of type "Vlan" are not supported`, ""},
		{neighbor + "password 3 abcdef", 4, "an encrypted password can be read only by the switch that wrote it", "write password 0 TEXT"},
		{neighbor + "password " + strings.Repeat("s", 81), 4, "a password has 1 to 80 octets", ""},
		{neighbor + "password two words", 4, "the password is not understood", "without blanks"},
		{neighbor + "address-family ipv4 unicast\nroute-map X in", 5, `"route-map" is not supported`, "no policies"},
		{neighbor + "address-family ipv4 unicast\nprefix-list X in", 5, `"prefix-list" is not supported`, "no policies"},
		{neighbor + "address-family ipv4 unicast\nnext-hop-self", 5, `"next-hop-self" is not supported`, "announces nothing"},
		{neighbor + "address-family ipv4 unicast\nsoft-reconfiguration inbound", 5, `"soft-reconfiguration" is not supported`, "as it was received"},
		{neighbor + "address-family ipv4 unicast\nmaximum-prefix 0", 5, `"0" is not a number of 1 to 1000000`, ""},
		{iface + "ip address 10.0.0.2/24\n" + neighbor, 5, "neighbor 10.0.0.2 is this switch's own address on Ethernet1/1", ""},
	} {
		t.Run(row.reason, func(t *testing.T) {
			c, err := Parse("switch.conf", []byte(row.text))
			var all *Errors
			if !errors.As(err, &all) || c != nil {
				t.Fatalf("%q was taken: %v", row.text, err)
			}
			got := all.List[0]
			if len(all.List) != 1 || got.Line != row.line || !strings.Contains(got.Reason, row.reason) || !strings.Contains(got.Hint, row.hint) {
				t.Errorf("%q:\n%v\nwant line %d: %s\nhint: %s", row.text, err, row.line, row.reason, row.hint)
			}
		})
	}
}

// A mistyped keyword does not give the key away.
func TestMistypedPasswordStaysSecret(t *testing.T) {
	for _, word := range []string{"pasword", "passwrd", "passwords", "Passwort", "passwd"} {
		for _, before := range []string{"", "neighbor 10.0.0.1 ", "no "} {
			_, err := Parse("switch.conf", []byte("router bgp 1\n  router-id 1.1.1.1\n  neighbor 10.0.0.2\n    remote-as 2\n    "+before+word+" Sesame\n"))
			if err == nil || strings.Contains(err.Error(), "Sesame") || !strings.Contains(err.Error(), word) {
				t.Errorf("%s%s: %v", before, word, err)
			}
		}
	}
}

// All errors are reported, in order, each with its line; passwords are not.
func TestAllErrorsAreReported(t *testing.T) {
	_, err := Parse("switch.conf", []byte(`interface Ethernet1/1
  no switchport
  ip adress 10.10.2.210/24
router bgp 65210
  router-id 1.1.1.1
  neighbor 10.10.2.112
    remote-as 65211x
    password my Sesame
    address-family ipv4 unicast
  neighbour 10.10.2.113
`))
	want := `switch.conf:3: "adress" is not understood
    ip adress 10.10.2.210/24
    hint: did you mean address?
switch.conf:7: "65211x" is not an AS number (1-4294967295)
    remote-as 65211x
switch.conf:8: the password is not understood
    password ********
    hint: write password TEXT, without blanks
switch.conf:10: "neighbour" is not understood
    neighbour 10.10.2.113
    hint: did you mean neighbor?`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	_, err = Parse("switch.conf", []byte(strings.Repeat("nonsense\n", 5000)))
	if n := strings.Count(err.Error(), "switch.conf:"); n != maxErrors+1 || !strings.Contains(err.Error(), "too many errors") {
		t.Errorf("%d errors are reported of 5000", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(rack))
	walk, err := os.ReadFile("../../examples/walkthrough/switch.conf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(walk)
	f.Add([]byte("int e1/1\nip add 10.0.0.1 255.255.255.0 sec\nipv6 address ::1/128\nrouter bgp 1.1\nneighbor fe80::1\npassword a b\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("f", text)
		if (c == nil) == (err == nil) {
			t.Fatal("neither a configuration nor an error, or both")
		}
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		// What is taken can be shown, read again and run.
		without(c)
		again, err := Parse("again", []byte(c.Text()))
		if err != nil {
			t.Fatalf("its running-config is refused: %v\n%s", err, c.Text())
		}
		if again.Text() != c.Text() {
			t.Errorf("its running-config is read differently:\n%s\n%s", c.Text(), again.Text())
		}
		if r := c.Router(nil); c.BGP != nil {
			if err := r.Validate(); err != nil {
				t.Errorf("the router refuses it: %v\n%s", err, c.Text())
			}
		}
	})
}
