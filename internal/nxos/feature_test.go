package nxos

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

// rack is a configuration with what a top-of-rack switch may want beyond plain
// neighbors.
const rack = `hostname tor-2
feature bgp
feature bfd
hardware profile ecmp resilient
bfd interval 250 min_rx 200 multiplier 5
interface Ethernet1/1
  no switchport
  ip address 10.10.2.210/24
  bfd interval 50 min_rx 60 multiplier 3
  no bfd echo
  bfd authentication Keyed-SHA1 key-id 7 key Sesame
interface Ethernet1/3
  no switchport
  ipv6 address use-link-local-only
  ip forward
  bfd echo
  no shutdown
interface loopback0
  ip address 10.255.0.1/32
router bgp 65210
  router-id 10.255.0.1
  timers prefix-peer-timeout 60
  graceful-restart restart-time 90
  graceful-restart stalepath-time 200
  long-lived-graceful-restart stale-time accept 3600
  no graceful-shutdown aware
  bestpath always-compare-med
  bestpath med missing-as-worst
  address-family ipv4 unicast
    maximum-paths 8
    additional-paths receive
    dmzlink-bw
  neighbor 10.10.2.0/24 remote-as external
    maximum-peers 64
    bfd
    local-role provider strict-mode
    address-family ipv4 unicast
      maximum-prefix 100 80 restart 5
  neighbor 2001:db8::/48 remote-as 65212
    address-family ipv6 unicast
      maximum-prefix 100 warning-only
  neighbor 10.9.0.1
    remote-as 65213
    local-as 64999
    ebgp-multihop 4
    update-source loopback0
    bfd multihop interval 300 min_rx 310 multiplier 4
    bfd multihop authentication meticulous-keyed-sha1 key-id 9 key Simsalabim
    address-family ipv4 unicast
      maximum-prefix 10 50
      capability additional-paths receive
  neighbor eth1/3 remote-as external
    bfd
    ttl-security hops 1
    address-family ipv4 unicast
    address-family ipv6 unicast
  neighbor fe80::9
    remote-as 65214
    update-source Ethernet1/3
    bfd singlehop
    graceful-shutdown activate
    address-family ipv6 unicast
`

func TestParseRack(t *testing.T) {
	c := mustParse(t, rack)
	r := c.Router(map[string]string{"Ethernet1/3": "eth7"})
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	policy := rib.Policy{MaxPaths: 8, AlwaysCompareMED: true, MissingMEDWorst: true, IgnoreGracefulShutdown: true, LinkBandwidth: true}
	if !r.Resilient || r.IPv4 != policy || len(r.Neighbors) != 5 {
		t.Errorf("%+v", r)
	}
	const ms = time.Millisecond
	restart := &bgp.GracefulRestart{Restart: 90 * time.Second, MaxLongLived: time.Hour}
	provider := wire.RoleProvider
	v4, v6 := []wire.Family{wire.IPv4Unicast}, []wire.Family{wire.IPv6Unicast}
	base := router.Neighbor{
		HoldTime: DefaultHold, KeepaliveTime: DefaultKeepalive, GracefulRestart: restart, StaleTime: 200 * time.Second,
	}
	for i, change := range []func(n *router.Neighbor){
		func(n *router.Neighbor) {
			n.Prefix, n.AnyExternal, n.PeerTimeout, n.MaxPeers = netip.MustParsePrefix("10.10.2.0/24"), true, time.Minute, 64
			n.Families, n.AddPath, n.Role, n.StrictRole = v4, true, &provider, true
			n.MaxPrefixes = map[wire.Family]router.PrefixLimit{wire.IPv4Unicast: {Max: 100, Threshold: 80, Restart: 5 * time.Minute}}
			n.BFD = &bgp.BFD{
				Profile: bfd.Profile{TransmitInterval: 50 * ms, ReceiveInterval: 60 * ms, DetectMultiplier: 3},
				Auth:    &bfd.Auth{Type: bfd.AuthKeyedSHA1, KeyID: 7, Key: "Sesame"},
			}
		},
		func(n *router.Neighbor) {
			n.Prefix, n.AS, n.PeerTimeout, n.Families = netip.MustParsePrefix("2001:db8::/48"), 65212, time.Minute, v6
			n.MaxPrefixes = map[wire.Family]router.PrefixLimit{wire.IPv6Unicast: {Max: 100, WarningOnly: true}}
		},
		func(n *router.Neighbor) {
			n.Addr, n.AS, n.LocalAS, n.MultiHop = netip.MustParseAddr("10.9.0.1"), 65213, 64999, true
			n.Source, n.Families, n.AddPath = netip.MustParseAddr("10.255.0.1"), v4, true
			n.MaxPrefixes = map[wire.Family]router.PrefixLimit{wire.IPv4Unicast: {Max: 10, Threshold: 50}}
			n.BFD = &bgp.BFD{
				Profile:  bfd.Profile{TransmitInterval: 300 * ms, ReceiveInterval: 310 * ms, DetectMultiplier: 4},
				Multihop: true, Auth: &bfd.Auth{Type: bfd.AuthMeticulousSHA1, KeyID: 9, Key: "Simsalabim"},
			}
		},
		func(n *router.Neighbor) {
			n.Interface, n.AnyExternal, n.TTLSecurity, n.AddPath = "eth7", true, 1, true
			n.Families = append(v4, v6...)
			n.MaxPrefixes = map[wire.Family]router.PrefixLimit{wire.IPv4Unicast: {}, wire.IPv6Unicast: {}}
			n.BFD = &bgp.BFD{Profile: bfd.Profile{TransmitInterval: 250 * ms, ReceiveInterval: 200 * ms, DetectMultiplier: 5, EchoMode: true}}
		},
		func(n *router.Neighbor) {
			n.Addr, n.AS, n.Families, n.Draining = netip.MustParseAddr("fe80::9%eth7"), 65214, v6, true
			n.MaxPrefixes = map[wire.Family]router.PrefixLimit{wire.IPv6Unicast: {}}
			n.BFD = &bgp.BFD{Profile: bfd.Profile{TransmitInterval: 250 * ms, ReceiveInterval: 200 * ms, DetectMultiplier: 5, EchoMode: true}}
		},
	} {
		want := base
		change(&want)
		if !reflect.DeepEqual(r.Neighbors[i], want) {
			t.Errorf("neighbor %d is\n%+v, want\n%+v", i, r.Neighbors[i], want)
		}
	}
}

// without forgets secrets, as running-config does.
func without(c *Config) {
	for i := range c.Interfaces {
		c.Interfaces[i].BFDKey = nil
	}
	if c.BGP == nil {
		return
	}
	for _, n := range c.BGP.Neighbors {
		n.Password = ""
		if n.BFD != nil {
			n.BFD.Key = nil
		}
	}
}

// What later lines say replaces what earlier ones said, and what is undone is gone.
func TestLinesOfOneMatter(t *testing.T) {
	const head = "interface Ethernet1/1\nip address 10.0.0.1/24\nrouter bgp 65000\n"
	for _, row := range []struct{ lines, want string }{
		{"bestpath med missing-as-worst\nbestpath always-compare-med", "bestpath always-compare-med|bestpath med missing-as-worst"},
		{"graceful-restart-helper", "graceful-restart-helper"},
		{"graceful-restart-helper\ngraceful-restart", ""},
		{"no graceful-restart", "no graceful-restart"},
		{"no graceful-restart\ngraceful-restart", ""},
		{"shutdown", "shutdown"},
		{"shutdown\nno shutdown", ""},
		{"no graceful-shutdown aware\ngraceful-shutdown aware", ""},
		{"graceful-shutdown activate", "graceful-shutdown activate"},
		{"graceful-shutdown activate\nno graceful-shutdown activate", ""},
		{"neighbor 10.0.0.2 remote-as 1\ngraceful-shutdown activate", "neighbor 10.0.0.2|remote-as 1|graceful-shutdown activate"},
		{"neighbor 10.0.0.2 remote-as 1\ngraceful-shutdown activate\nno graceful-shutdown activate", "neighbor 10.0.0.2|remote-as 1"},
		{"neighbor 10.0.0.2 remote-as external\nremote-as 65001", "neighbor 10.0.0.2|remote-as 65001"},
		{"neighbor 10.0.0.2 remote-as 65001\nremote-as external", "neighbor 10.0.0.2|remote-as external"},
		{"neighbor 10.0.0.2 remote-as 1\nbfd multihop\nbfd singlehop", "neighbor 10.0.0.2|remote-as 1|bfd"},
		{"neighbor 10.0.0.2 remote-as 1\naddress-family ipv4 unicast\nmaximum-prefix 5 10 restart 3\nmaximum-prefix 6 warning-only",
			"neighbor 10.0.0.2|remote-as 1|address-family ipv4 unicast|maximum-prefix 6 warning-only"},
		{"neighbor 10.0.0.2 remote-as 1\nlocal-role rs-client", "neighbor 10.0.0.2|remote-as 1|local-role rs-client"},
		{"neighbor Eth1/1 remote-as 1\nneighbor ethernet1/1\ndescription x", "neighbor Ethernet1/1|remote-as 1|description x"},
	} {
		text := mustParse(t, head+row.lines+"\n").Text()
		_, got, _ := strings.Cut(text, "router bgp 65000\n")
		var lines []string
		for line := range strings.Lines(got) {
			lines = append(lines, strings.TrimSpace(line))
		}
		if got := strings.Join(lines, "|"); got != row.want {
			t.Errorf("%q: %s, want %s", row.lines, got, row.want)
		}
	}
	down := mustParse(t, head+"shutdown\nneighbor 10.0.0.2 remote-as 1\naddress-family ipv4 unicast\n").Router(nil)
	if !down.Neighbors[0].Shutdown {
		t.Error("a process that is shut down keeps sessions")
	}
	for lines, want := range map[string]*bgp.GracefulRestart{
		"":                        {Restart: DefaultRestartTime},
		"no graceful-restart":     nil,
		"graceful-restart-helper": {},
	} {
		if got := mustParse(t, head+lines+"\nneighbor 10.0.0.2 remote-as 1\n").Router(nil).Neighbors[0].GracefulRestart; !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", lines, got, want)
		}
	}
}

// What cannot go together is refused: the line it is about, what is said, and what
// would help.
func TestRefusalsOfFeatures(t *testing.T) {
	const (
		iface    = "interface Ethernet1/1\n"
		router   = "router bgp 65000\nrouter-id 1.1.1.1\n"
		neighbor = router + "neighbor 10.0.0.2 remote-as 65001\n"
		internal = router + "neighbor 10.0.0.2 remote-as 65000\n"
		link     = iface + router + "neighbor Ethernet1/1 remote-as 65001\n"
	)
	for _, row := range []struct {
		text   string
		line   int
		reason string
		hint   string
	}{
		{"hardware profile ecmp auto-recovery", 1, `"auto-recovery" is not understood`, "resilient"},
		{"bfd slow-timer 2000", 1, `"slow-timer" is not understood`, "interval"},
		{"bfd interval 5 min_rx 50 multiplier 3", 1, `"5" is not a number of 10 to 60000`, ""},
		{"bfd interval 50 min_rx 50 multiplier 51", 1, `"51" is not a number of 1 to 50`, ""},
		{"bfd interval 50", 1, "the line is incomplete", "min_rx"},
		{iface + "bfd authentication keyed-sha1 key-id 1 key " + strings.Repeat("s", 21), 2, "a key of BFD has 1 to 20 octets", ""},
		{iface + "bfd authentication keyed-sha1 key-id 1 hex-key 00", 2, "the key is hidden and cannot be read", "write key TEXT"},
		{iface + "bfd authentication keyed-sha1 key-id 1 key Sesame open", 2, "the key is not understood", "without blanks"},
		{router + "timers prefix-peer-timeout 0", 3, `"0" is not a number of 1 to 1200`, ""},
		{router + "graceful-restart restart-time 3601", 3, `"3601" is not a number of 1 to 3600`, ""},
		{router + "neighbor 10.0.0.1/24 remote-as 1", 3, "10.0.0.1/24 has host bits", ""},
		{router + "neighbor 224.0.0.0/4 remote-as 1", 3, "224.0.0.0/4 is not a prefix of other hosts", ""},
		{router + "neighbor fe80::/64 remote-as 1", 3, "fe80::/64 is not a prefix of other hosts", ""},
		{router + "neighbor 10.0.0.0/33 remote-as 1", 3, `"10.0.0.0/33" is not a prefix`, ""},
		{router + "neighbor loopback0 remote-as 1", 3, "there is no neighbor at the other end of loopback0", ""},
		{router + "neighbor Vlan3 remote-as 1", 3, `interfaces of type "Vlan" are not supported`, ""},
		{router + "neighbor Ethernet1/9 remote-as 1", 3, "interface Ethernet1/9 is not configured", "add interface Ethernet1/9"},
		{router + "neighbor fe80::2 remote-as 1", 3, "neighbor fe80::2 is link-local, and its interface is not known", "add update-source"},
		{router + "neighbor fe80::2 remote-as 1\nupdate-source eth1/9", 4, "interface Ethernet1/9 is not configured", ""},
		{link + "update-source Ethernet1/1", 5, "neighbor Ethernet1/1 has its interface", "leave update-source out"},
		{link + "bfd multihop", 5, "neighbor Ethernet1/1 is never several hops away", "write bfd"},
		{neighbor + "ebgp-multihop 3\nbfd", 5, "neighbor 10.0.0.2 is on no interface's network", "write bfd multihop"},
		{neighbor + "local-as 65000", 4, "AS 65000 is the switch's own", ""},
		{neighbor + "local-as 65001", 4, "AS 65001 is the neighbor's own", ""},
		{internal + "local-as 64999", 4, "neighbor 10.0.0.2 is of the switch's own AS", "leave local-as out"},
		{internal + "local-role peer", 4, "neighbor 10.0.0.2 is of the switch's own AS", "leave local-role out"},
		{neighbor + "local-role boss", 4, `"boss" is not understood under neighbor`, "customer"},
		{neighbor + "ttl-security hops 255", 4, `"255" is not a number of 1 to 254`, ""},
		{neighbor + "ttl-security hops 2\nebgp-multihop 3", 4, "ttl-security and ebgp-multihop cannot be had together", ""},
		{neighbor + "maximum-peers 5", 4, "neighbor 10.0.0.2 is one", "belongs under neighbor A.B.C.D/LEN"},
		{neighbor + "bfd echo", 4, `"bfd" does not belong here`, "under interface"},
		{neighbor + "address-family ipv4 unicast\nmaximum-prefix 5 101", 5, `"101" is not a number of 1 to 100`, ""},
		{neighbor + "address-family ipv4 unicast\nmaximum-prefix 5 restart", 5, "the line is incomplete", "expected <minutes>"},
		{neighbor + "address-family ipv4 unicast\ncapability additional-paths send", 5, `"send" is not understood`, "receive"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			_, err := Parse("switch.conf", []byte(row.text))
			var all *Errors
			if !errors.As(err, &all) {
				t.Fatalf("%q was taken", row.text)
			}
			got := all.List[0]
			if len(all.List) != 1 || got.Line != row.line || !strings.Contains(got.Reason, row.reason) || !strings.Contains(got.Hint, row.hint) || strings.Contains(err.Error(), "Sesame") {
				t.Errorf("%q:\n%v\nwant line %d: %s\nhint: %s", row.text, err, row.line, row.reason, row.hint)
			}
		})
	}
}

// A mistyped line about a key does not give it away.
func TestMistypedKeyStaysSecret(t *testing.T) {
	for _, line := range []string{
		"bfd authentication keyed-sha key-id 1 key Sesame x", "bfd auth sha1 key-id 1 key Sesame", "bfd authentcation keyed-sha1 key-id 1 key Sesame",
		"bfd a keyed-sha1 key-id 300 key Sesame", "bfd authentication keyed-sha1 keyid 1 key Sesame", "bdf authentication keyed-sha1 key-id 1 key Sesame",
		"bfd authentication keyed-sha1 key-id 1 key Sesame Sesame", "bfd authentication keyed-sha1 key-id 1 hex-key Sesame",
		"bfd authentication keyed-sha1 key-id 1 Sesame", "bfd meticulous-keyed-sha1 key-id 1 k Sesame",
	} {
		for _, head := range []string{"interface Ethernet1/1\n", "router bgp 1\nrouter-id 1.1.1.1\nneighbor 10.0.0.1 remote-as 2\n", ""} {
			for _, multi := range []string{"bfd ", "bfd multihop "} {
				text := head + strings.Replace(line, "bfd ", multi, 1) + "\n"
				if _, err := Parse("switch.conf", []byte(text)); err == nil || strings.Contains(err.Error(), "Sesame") {
					t.Errorf("%q: %v", text, err)
				}
			}
		}
	}
}

// busy is the rack with neighbors by prefix and on an interface, BFD, graceful restart,
// several paths from one neighbor, and a neighbor that restarts.
func busy(t testing.TB) *scene {
	s := newScene(t, rack)
	var neighbors []router.NeighborStatus
	for _, n := range s.status.Neighbors {
		switch {
		case n.Config.Prefix.Bits() == 24:
			for _, host := range []string{"10.10.2.77", "10.10.2.78"} {
				d := n
				d.Name, d.Dynamic, d.Addr, d.AS = host, true, netip.MustParseAddr(host), 65211
				d.Sources = map[wire.Family]rib.SourceView{}
				neighbors = append(neighbors, d)
			}
		case n.Config.Prefix.IsValid():
		default:
			neighbors = append(neighbors, n)
		}
	}
	s.status.Neighbors = neighbors
	both := []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast}
	for i := range s.status.Neighbors {
		n := &s.status.Neighbors[i]
		if n.Config.Interface != "" {
			n.Addr, n.AS = netip.MustParseAddr("fe80::7").WithZone(n.Config.Interface), 65077
			n.Session.RemoteAddr = netip.AddrPortFrom(n.Addr, 179)
		}
		for _, f := range n.Config.Families {
			s.tables[f].Up(rib.Source{Name: n.Name, Addr: n.Addr, AS: n.AS, RouterID: n.Session.RemoteID, Interface: n.Config.Interface})
		}
		session := bgp.Config{
			LocalAS: 65210, RemoteAS: 1, RouterID: s.status.RouterID, Families: n.Config.Families,
		}
		s.offers(n, session, both)
		s.watch(n, i)
	}
	attrs := wire.Attrs{Origin: wire.OriginIGP, ASPath: wire.Sequence(65211), NextHop: netip.MustParseAddr("10.10.2.77")}
	u := &wire.Update{Attrs: &attrs, NLRI: []netip.Prefix{netip.MustParsePrefix("172.19.100.1/32"), netip.MustParsePrefix("172.19.100.1/32")}, NLRIPaths: []uint32{1, 2}}
	table := s.tables[wire.IPv4Unicast]
	table.Update("10.10.2.77", u, now.Add(-time.Minute))
	restarts := attrs
	restarts.NextHop = netip.MustParseAddr("10.10.2.78")
	table.Update("10.10.2.78", &wire.Update{Attrs: &restarts, NLRI: u.NLRI[:1]}, now.Add(-2*time.Minute))
	table.Retain("10.10.2.78")
	attrs.NextHop, attrs.NextHop6 = netip.MustParseAddr("fe80::7"), netip.MustParseAddr("fe80::7")
	link := rib.Connected{Prefix: netip.MustParsePrefix("fe80::1/64"), Index: 4, Device: "Ethernet1/3"}
	for _, t := range s.tables { // IPv4 too goes by a link-local address (RFC 8950)
		t.Resolve(rib.NewNetworks(append([]rib.Connected{link}, s.status.Connected...)), now)
		for _, p := range []string{"172.19.100.9/32", "2001:db8:100::9/128"} {
			t.Update("Ethernet1/3", &wire.Update{Attrs: &attrs, NLRI: []netip.Prefix{netip.MustParsePrefix(p)}}, now.Add(-time.Minute))
		}
		t.Decide(nil)
	}
	for i := range s.status.Neighbors {
		n := &s.status.Neighbors[i]
		for f, t := range s.tables {
			if v, ok := t.Source(n.Name); ok {
				n.Sources[f] = v
			}
		}
	}
	return s
}

// offers fills in the capabilities of a session: the switch's and those of a neighbor
// that restarts gracefully and sends several paths.
func (s *scene) offers(n *router.NeighborStatus, c bgp.Config, families []wire.Family) {
	role := wire.RoleCustomer
	for _, side := range []struct {
		caps *[]wire.Capability
		as   uint32
		mode wire.AddPathMode
		time time.Duration
	}{{&n.Session.CapabilitiesSent, c.LocalAS, wire.AddPathReceive, 90 * time.Second}, {&n.Session.CapabilitiesReceived, n.AS, wire.AddPathBoth, 30 * time.Second}} {
		*side.caps = append(wire.NewOpen(side.as, 9, c.RouterID, families...).Capabilities,
			wire.EnhancedRouteRefresh(), wire.ExtendedMessage(), wire.ExtendedNextHop(),
			wire.AddPath(wire.AddPathFamily{Family: wire.IPv4Unicast, Mode: side.mode}),
			wire.GracefulRestartCapability(wire.GracefulRestart{
				Time: side.time, Notification: true, Families: []wire.GracefulFamily{{Family: wire.IPv4Unicast, Forwarding: true}, {Family: wire.IPv6Unicast}},
			}),
			wire.LongLived(wire.LongLivedFamily{Family: wire.IPv4Unicast, StaleTime: side.time * 20}))
		if n.Config.Role != nil {
			*side.caps = append(*side.caps, wire.RoleCapability(role))
			role = wire.RoleProvider
		}
	}
}

// watch gives a neighbor a BFD session, which is up but for every third.
func (s *scene) watch(n *router.NeighborStatus, i int) {
	if n.Config.BFD == nil {
		return
	}
	v := &bfd.SessionStatus{
		Name: n.Name,
		Config: bfd.Config{
			Remote: n.Addr.WithZone(""), Local: n.Config.Source, Multihop: n.Config.BFD.Multihop, Profile: n.Config.BFD.Profile,
		},
		Info: bfd.Info{
			State: bfd.Up, RemoteState: bfd.Up, Since: now.Add(-26 * time.Hour), Discriminator: uint32(1000 + i), RemoteDiscriminator: uint32(2000 + i),
			TransmitInterval: 60 * time.Millisecond, ReceiveInterval: 50 * time.Millisecond, DetectionTime: 150 * time.Millisecond,
			RemoteDetectMultiplier: 3, RemoteMinTransmit: 50 * time.Millisecond, RemoteMinReceive: 60 * time.Millisecond,
			LastHeard: now.Add(-42 * time.Millisecond), Ups: 1,
		},
		Sent: 123, Received: 456,
	}
	if i%3 == 1 {
		v.Info = bfd.Info{
			State: bfd.Down, RemoteState: bfd.Down, Since: now.Add(-time.Second), Discriminator: uint32(1000 + i), Downs: 1, Ups: 1,
			Diag: bfd.DiagDetectionExpired, LastDown: bfd.Change{Reason: bfd.ReasonDetectionExpired},
		}
	}
	if n.Config.BFD.EchoMode && i%3 != 1 {
		v.EchoInterval, v.RemoteMinEchoReceive = 50*time.Millisecond, 50*time.Millisecond
	}
	if v.State != bfd.Up {
		n.Session.LastResetByUs = bgp.Reset{At: v.Since, Down: bgp.Down{Cause: bgp.CausePathDown, Notification: &wire.Notification{}}}
	}
	n.Session.BFD = v
}

// An interface without addresses, whose neighbor is not found yet.
func TestNobodyOnTheInterface(t *testing.T) {
	s := busy(t)
	s.status.Up = append(s.status.Up, "Ethernet1/3")
	for i := range s.status.Neighbors {
		if n := &s.status.Neighbors[i]; n.Config.Interface != "" {
			n.Addr, n.AS, n.State, n.Session = netip.Addr{}, 0, "Active", bgp.SessionStatus{State: bgp.Active}
		}
	}
	for line, want := range map[string][]string{
		"show ip interface brief":           {"Eth1/3               forward-enabled protocol-up/link-up/admin-up"},
		"show ip bgp summary":               {"Eth1/3          4     0       0       0        0    0    0 00:00:30 Active    "},
		"show ip bgp neighbors Ethernet1/3": {"  BGP state = Active (No neighbor found), down for 00:00:30", "  BFD live-detection is configured and enabled, state is Down"},
	} {
		out, err := s.shell().Exec(line)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains("\n"+out, "\n"+w+"\n") {
				t.Errorf("%s lacks %q:\n%s", line, w, out)
			}
		}
	}
}

// Clearing names the neighbor as the engine does.
func TestClear(t *testing.T) {
	s := busy(t)
	for line, want := range map[string]string{
		"clear ip bgp *":                           "",
		"clear ip bgp * soft in":                   " soft IPv4 unicast",
		"clear bgp ipv6 unicast * soft":            " soft IPv6 unicast",
		"clear ip bgp 10.10.2.77":                  "10.10.2.77",
		"clear ip bgp 10.10.2.77 soft":             "10.10.2.77 soft IPv4 unicast",
		"clear ip bgp Ethernet1/3":                 "Ethernet1/3",
		"clear bgp ipv6 unicast eth1/3 soft in":    "Ethernet1/3 soft IPv6 unicast",
		"clear bgp ipv4 unicast 10.9.0.1 soft in ": "10.9.0.1 soft IPv4 unicast",
	} {
		s.cleared = nil
		if out, err := s.shell().Exec(line); out != "" || err != nil || fmt.Sprint(s.cleared) != "["+want+"]" {
			t.Errorf("%s: %q, %v, cleared %q", line, out, err, s.cleared)
		}
	}
	if out, err := s.shell().Exec("clear ip bgp 10.99.0.0/16"); out != "% No such neighbor: 10.99.0.0/16\n" || err != nil {
		t.Errorf("a prefix that nobody has: %q, %v", out, err)
	}
}

// A drained path shows the local preference that it is judged by, not the one that
// came with it: else nobody sees why it is not used.
func TestDrainedPathsShowTheirPreference(t *testing.T) {
	s := walkthrough(t)
	s.tables[wire.IPv4Unicast].Drain("10.10.2.112", true)
	s.tables[wire.IPv4Unicast].Decide(nil)
	for line, want := range map[string]string{
		"show ip bgp":              "10.10.2.112                         0          0 65211",
		"show ip bgp 172.19.100.1": "localpref 0, weight 0",
		"show ip bgp | json":       `"ipnexthop":"10.10.2.112","metric":"","localpref":"0"`,
	} {
		out, err := s.shell().Exec(line)
		if err != nil || strings.Count(out, want) != 1 {
			t.Errorf("%s: %v, not %q once in:\n%s", line, err, want, out)
		}
	}
}
