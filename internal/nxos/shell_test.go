package nxos

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

var update = flag.Bool("update", false, "write the golden files")

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// scene is a switch as it stands at one moment: a Source with real tables.
type scene struct {
	status  router.Status
	tables  map[wire.Family]*rib.Table
	config  *Config
	cleared []string
}

func (s *scene) Status() router.Status {
	st := s.status
	st.IPv4, st.IPv6 = s.tables[wire.IPv4Unicast].Summary(), s.tables[wire.IPv6Unicast].Summary()
	return st
}
func (s *scene) Entries(f wire.Family) []rib.Entry { return s.tables[f].Entries() }
func (s *scene) Lookup(p netip.Prefix) (rib.Entry, bool) {
	return s.tables[wire.FamilyOf(p)].Lookup(p)
}
func (s *scene) Covering(a netip.Addr) (rib.Entry, bool) { return s.tables[family(a)].Covering(a) }
func (s *scene) Clear(name string) bool {
	s.cleared = append(s.cleared, name)
	return name == "" || slices.ContainsFunc(s.status.Neighbors, func(n router.NeighborStatus) bool { return n.Name == name })
}
func (s *scene) ClearSoft(name string, f wire.Family) bool {
	ok := s.Clear(name)
	s.cleared[len(s.cleared)-1] += " soft " + f.String()
	return ok
}

func (s *scene) shell() *Shell {
	return &Shell{
		Source: s, Config: func() *Config { return s.config }, Version: "v0.1.0",
		Interfaces: func() map[string]string {
			return map[string]string{"Ethernet1-1": "Ethernet1/1", "eth7": "Ethernet1/2"}
		},
	}
}

// newScene reads a configuration and has all its neighbors up for half a minute.
func newScene(t testing.TB, config string) *scene {
	t.Helper()
	c, err := Parse("switch.conf", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	rc := c.Router(nil)
	s := &scene{config: c, tables: map[wire.Family]*rib.Table{}, status: router.Status{
		Now: now, Since: now.Add(-time.Hour), AS: rc.AS, RouterID: rc.RouterID,
		Connected: []rib.Connected{
			{Prefix: netip.MustParsePrefix("10.10.2.210/24"), Index: 2, Device: "Ethernet1-1"},
			{Prefix: netip.MustParsePrefix("172.16.100.210/24"), Index: 3, Device: "eth7"},
			{Prefix: netip.MustParsePrefix("127.0.0.1/32"), Index: 1, Device: "lo"},
			{Prefix: netip.MustParsePrefix("2001:db8:2::210/64"), Index: 2, Device: "Ethernet1-1"},
		},
	}}
	s.status.Up = []string{"Ethernet1-1", "eth7", "lo"}
	for f, policy := range map[wire.Family]rib.Policy{wire.IPv4Unicast: rc.IPv4, wire.IPv6Unicast: rc.IPv6} {
		s.tables[f] = rib.NewTable(f, rc.AS, rc.RouterID)
		s.tables[f].SetPolicy(policy)
		s.tables[f].Resolve(rib.NewNetworks(s.status.Connected), now)
	}
	for i, n := range rc.Neighbors {
		id := netip.AddrFrom4([4]byte{10, 10, 2, byte(112 + i)})
		session := bgp.SessionStatus{
			Name: n.Name(), State: bgp.Established, Since: now.Add(-30 * time.Second), RemoteID: id,
			LocalAddr: netip.MustParseAddrPort("10.10.2.210:179"), RemoteAddr: netip.AddrPortFrom(id, 40112),
			HoldTime: 9 * time.Second, KeepaliveTime: 3 * time.Second, KeepaliveDue: now.Add(2 * time.Second),
			LastRead: now.Add(-791823 * time.Microsecond), LastWritten: now.Add(-time.Second),
			Received: bgp.Messages{Opens: 1, Updates: 2, Keepalives: 1761, Bytes: 33600}, Sent: bgp.Messages{Opens: 1, Updates: 1, Keepalives: 1771, Bytes: 33700},
			Establishments:   1,
			CapabilitiesSent: []wire.Capability{wire.MultiProtocol(wire.IPv4Unicast), wire.RouteRefreshCapability(), wire.FourOctetAS(rc.AS)},
			Authenticated:    n.Password != "",
		}
		session.CapabilitiesReceived = session.CapabilitiesSent
		for _, f := range n.Families {
			session.Families = append(session.Families, bgp.FamilyStatus{Family: f, EndOfRIBReceived: session.Since.Add(time.Second)})
			s.tables[f].Up(rib.Source{Name: n.Name(), Addr: n.Addr, AS: n.AS, RouterID: id, Internal: n.AS == rc.AS})
		}
		n.Password = ""
		s.status.Neighbors = append(s.status.Neighbors, router.NeighborStatus{
			Name: n.Name(), Addr: n.Addr, AS: n.AS, Description: n.Description, State: "Established", Since: session.Since,
			Config: n, HasSession: true, Session: session, Sources: map[wire.Family]rib.SourceView{},
		})
	}
	return s
}

// learn has a neighbor announce prefixes, so many seconds ago.
func (s *scene) learn(seconds int, neighbor string, attrs wire.Attrs, prefixes ...string) {
	u := &wire.Update{Attrs: &attrs}
	if a := netip.MustParseAddr(neighbor); a.Is4() && !attrs.NextHop.IsValid() {
		attrs.NextHop = a
	}
	for _, p := range prefixes {
		u.NLRI = append(u.NLRI, netip.MustParsePrefix(p))
	}
	for _, t := range s.tables {
		t.Update(neighbor, u, now.Add(-time.Duration(seconds)*time.Second))
		t.Decide(nil)
	}
	s.count()
}

func (s *scene) count() {
	for i := range s.status.Neighbors {
		n := &s.status.Neighbors[i]
		for f, t := range s.tables {
			if v, ok := t.Source(n.Addr.String()); ok {
				n.Sources[f] = v
			}
		}
	}
}

// lose ends the session with a neighbor, twelve seconds ago.
func (s *scene) lose(neighbor string) {
	for i := range s.status.Neighbors {
		n := &s.status.Neighbors[i]
		if n.Addr.String() != neighbor {
			continue
		}
		n.State, n.Since = "Active", now.Add(-12*time.Second)
		n.Session.State, n.Session.Families, n.Session.Drops = bgp.Active, nil, 1
		n.Session.LocalAddr, n.Session.RemoteID, n.Session.KeepaliveDue = netip.AddrPort{}, netip.Addr{}, time.Time{}
		n.Session.CapabilitiesSent, n.Session.CapabilitiesReceived = nil, nil
		n.Session.LastResetByUs = bgp.Reset{At: n.Since, Down: bgp.Down{Cause: bgp.CauseHoldTimer}}
		n.Session.LastError, n.LastError = n.Session.LastResetByUs, "hold timer expired"
	}
	for _, t := range s.tables {
		t.Down(neighbor)
		t.Decide(nil)
	}
	s.count()
}

func ofNode() wire.Attrs {
	return wire.Attrs{Origin: wire.OriginIncomplete, ASPath: wire.Sequence(65211)}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// walkthrough is steps 5 to 7: three nodes announce the Service's address.
func walkthrough(t testing.TB) *scene {
	s := newScene(t, readFile(t, "../../examples/walkthrough/switch.conf"))
	for i, n := range []string{"10.10.2.112", "10.10.2.114", "10.10.2.113"} {
		s.learn(41-i, n, ofNode(), "172.19.100.1/32")
	}
	return s
}

// wide has whatever does not fit into a column.
func wide(t testing.TB) *scene {
	s := newScene(t, `hostname leaf-1
interface Ethernet1/1
  no switchport
  description to the rack
  ip address 10.10.2.210 255.255.255.0
  ipv6 address 2001:db8:2::210/64
interface Ethernet1/2
  shutdown
router bgp 4200000001
  router-id 1.1.1.1
  bestpath as-path multipath-relax
  address-family ipv4 unicast
    maximum-paths 4
  address-family ipv6 unicast
    maximum-paths 4
  neighbor 10.10.2.112 remote-as 4200000112
    description node 112
    password 0 Sesame
    address-family ipv4 unicast
      maximum-prefix 100
  neighbor 10.10.2.113 remote-as 4200000001
    update-source Ethernet1/1
    address-family ipv4 unicast
  neighbor 10.10.2.114 remote-as 65211
    shutdown
    address-family ipv4 unicast
  neighbor 2001:db8:2::115 remote-as 65211
    address-family ipv6 unicast
  neighbor 2001:db8:2::116 remote-as 4200000116
    address-family ipv6 unicast
`)
	med := ofNode()
	med.ASPath, med.MED = wire.Sequence(4200000112, 65001), wire.Some(50)
	s.learn(200_000, "10.10.2.112", med, "172.19.100.1/32", "172.19.100.128/25")
	internal := wire.Attrs{Origin: wire.OriginIGP, LocalPref: wire.Some(200)}
	s.learn(7_000_000, "10.10.2.113", internal, "172.19.100.1/32", "172.19.200.0/24")
	far := ofNode()
	far.NextHop, far.ASPath = netip.MustParseAddr("192.0.2.1"), wire.ASPath{{Type: wire.ASSequence, ASNs: []uint32{4200000112}}, {Type: wire.ASSet, ASNs: []uint32{1, 2}}}
	far.Communities = []wire.Community{wire.CommunityNoExport}
	far.LargeCommunities = []wire.LargeCommunity{{Global: 65211, Local1: 1, Local2: 2}, {Global: 65211, Local1: 7, Local2: 9}}
	s.learn(40_000_000, "10.10.2.112", far, "0.0.0.0/0")
	for i, n := range []string{"2001:db8:2::115", "2001:db8:2::116"} {
		six := ofNode()
		six.NextHop6 = netip.MustParseAddr(n)
		if i == 1 {
			six.ASPath = wire.Sequence(4200000116)
		}
		s.learn(90+i, n, six, "2001:db8:100::1/128")
	}
	six := ofNode()
	six.NextHop6 = netip.MustParseAddr("2001:db8:2::9")
	s.learn(90, "2001:db8:2::115", six, "::/0")
	n := &s.status.Neighbors[2]
	n.State, n.HasSession, n.Session = "Idle", false, bgp.SessionStatus{}
	return s
}

// Every answer below, as a whole, in one golden file per scene: the formats are
// looked at there.
func TestShow(t *testing.T) {
	reboot := func(t testing.TB) *scene { s := walkthrough(t); s.lose("10.10.2.112"); return s }
	for _, row := range []struct {
		name  string
		scene func(testing.TB) *scene
		lines []string
	}{
		{"walkthrough", walkthrough, []string{
			"show ip bgp sum", "show ip route bgp", "show ip bgp", "show ip bgp 172.19.100.1/32", "show ip bgp neighbors 10.10.2.112",
			"show running-config", "show ip route", "show ip route 172.19.100.1", "show ip interface brief", "show version", "show hostname",
		}},
		{"walkthrough-json", walkthrough, []string{
			"show ip bgp summary | json", "show ip bgp | json-pretty", "show ip route bgp | json-pretty", "show ip bgp neighbors 10.10.2.112 | json-pretty",
			"show ip bgp 172.19.100.1 | json", "show ip interface brief | json", "show running-config bgp | json",
		}},
		{"reboot", reboot, []string{"show ip bgp", "show ip bgp summary", "show ip route bgp", "show ip bgp 172.19.100.1", "show ip bgp neighbors 10.10.2.112", "show ip bgp | json", "show ip bgp neighbors 10.10.2.112 | json"}},
		{"wide", wide, []string{
			"show ip bgp summary", "show bgp ipv6 unicast summary", "show ip bgp", "show bgp ipv6 unicast", "show ip route bgp-4200000001", "show ip route bgp-65000", "show ipv6 route bgp",
			"show ipv6 route", "show ip bgp 172.19.100.1/32", "show ip bgp 0.0.0.0/0", "show ip bgp 9.9.9.9/32", "show bgp ipv6 unicast 2001:db8:100::1", "show ip bgp neighbors",
			"show running-config", "show running-config interface", "show running-config bgp", "show ip interface brief",
		}},
		{"rack", busy, []string{
			"show ip bgp summary", "show bgp ipv6 unicast summary", "show ip bgp", "show ip bgp 172.19.100.1/32", "show ip bgp neighbors", "show bfd neighbors",
			"show bfd neighbors details", "show bfd ipv6 neighbors", "show running-config", "show ip route bgp", "show ipv6 route bgp", "show bgp ipv6 unicast",
			"show bfd neighbors | json-pretty", "show bfd ipv4 neighbors details | json-pretty", "show ip bgp neighbors 10.10.2.0/24 | json-pretty",
			"show ip bgp neighbors Ethernet1/3 | json-pretty", "show ip bgp summary | json-pretty", "show ip bgp 172.19.100.1 | json-pretty",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			shell := row.scene(t).shell()
			var b strings.Builder
			for _, line := range row.lines {
				out, err := shell.Exec(line)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if strings.Contains(out, "Sesame") || strings.Contains(out, "Simsalabim") {
					t.Errorf("%s shows the password", line)
				}
				if strings.Contains(out, netip.Addr{}.String()) {
					t.Errorf("%s shows Go's word for no address", line)
				}
				fmt.Fprintf(&b, "%s# %s\n%s\n", shell.Config().Name(), line, out)
			}
			path := filepath.Join("testdata", row.name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := readFile(t, path); b.String() != want {
				t.Errorf("output differs from %s (go test -update writes it):\n%s", path, diff(want, b.String()))
			}
		})
	}
}

// diff is the first line that is not the same.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant %q\ngot  %q", i+1, w[i], append(g, "")[min(i, len(g))])
		}
	}
	return fmt.Sprintf("got %d lines more", len(g)-len(w))
}

// The walk-through's own output, as far as it is not a matter of time and of the
// release's counts.
func TestWalkthroughsLines(t *testing.T) {
	shell := walkthrough(t).shell()
	for line, want := range map[string][]string{
		"sh ip bgp sum": {
			"BGP summary information for VRF default, address family IPv4 Unicast",
			"BGP router identifier 1.1.1.1, local AS number 65210",
			"BGP table version is 4, IPv4 Unicast config peers 3, capable peers 3",
			"1 network entries and 3 paths using 484 bytes of memory",
			"BGP attribute entries [1/172], BGP AS path entries [1/6]",
			"BGP community entries [0/0], BGP clusterlist entries [0/0]",
			"Neighbor        V    AS MsgRcvd MsgSent   TblVer  InQ OutQ Up/Down  State/PfxRcd",
			"10.10.2.112     4 65211    1764    1773        4    0    0 00:00:30 1         ",
		},
		"show ip route bgp": {
			"172.19.100.1/32, ubest/mbest: 3/0",
			"    *via 10.10.2.112, [20/0], 00:00:41, bgp-65210, external, tag 65211",
			"    *via 10.10.2.113, [20/0], 00:00:39, bgp-65210, external, tag 65211",
			"    *via 10.10.2.114, [20/0], 00:00:40, bgp-65210, external, tag 65211",
		},
		"show ip bgp": {
			"   Network            Next Hop            Metric     LocPrf     Weight Path",
			"*|e172.19.100.1/32    10.10.2.113                                    0 65211 ?",
			"*>e                   10.10.2.112                                    0 65211 ?",
			"*|e                   10.10.2.114                                    0 65211 ?",
		},
	} {
		out, err := shell.Exec(line)
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

func TestAbbreviationsAndErrors(t *testing.T) {
	shell := walkthrough(t).shell()
	full := func(line string) string {
		out, err := shell.Exec(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return out
	}
	for short, long := range map[string]string{
		"sh ip bgp sum":                   "show ip bgp summary",
		"SHOW IP BGP SUMMARY":             "show bgp ipv4 unicast summary",
		"  sh  bg ipv4 u s  ":             "show ip bgp summary",
		"sh ip b n":                       "show ip bgp neighbors",
		"sh ip ro b":                      "show ip route bgp",
		"sh ip ro bgp-65210":              "show ip route bgp",
		"sh run | i neighbor":             "show running-config | include neighbor",
		"sh ip bgp sum vrf def":           "show ip bgp summary",
		"sh ip bgp sum vrf all":           "show ip bgp summary",
		"sh ip ro vrf a":                  "show ip route",
		"sh ip bgp|ex '^$'|no":            "show ip bgp | exclude '^$'",
		"show ip bgp | include \"e2|65\"": "show ip bgp | include e2|65",
	} {
		if strings.Contains(long, "e2|65") {
			// Bars within quotes do not end the pattern.
			if got := full(short); strings.Count(got, "\n") != 3 {
				t.Errorf("%s: %q", short, got)
			}
			continue
		}
		if got, want := full(short), full(long); got != want {
			t.Errorf("%s is not %s:\n%s", short, long, got)
		}
	}
	for line, want := range map[string]string{
		"foo":                              "^\n% Invalid command at '^' marker.",
		"show ip bgp foo":                  "            ^\n% Invalid command at '^' marker.",
		"show i":                           "     ^\n% Ambiguous command at '^' marker.",
		"show ip":                          "       ^\n% Incomplete command at '^' marker.",
		"":                                 "^\n% Incomplete command at '^' marker.",
		"show ip bgp summary extra":        "                    ^\n% Invalid command at '^' marker.",
		"show ip bgp 10.0.0.300":           "            ^\n% Invalid command at '^' marker.",
		"show ip bgp | foo":                "              ^\n% Invalid command at '^' marker.",
		"show ip bgp | include":            "                     ^\n% Incomplete command at '^' marker.",
		"show ip bgp |":                    "             ^\n% Incomplete command at '^' marker.",
		"show hostname | json":             "% JSON is not supported for this command",
		"show ip bgp | include a | json":   "% json must be the first of the pipes",
		"show ip bgp | include [":          "% invalid regular expression: error parsing regexp: missing closing ]: `[`",
		"show bgp ipv4 unicast 2001:db8::": "                      ^\n% Invalid command at '^' marker.",
	} {
		if out, err := shell.Exec(line); err == nil || err.Error() != want {
			t.Errorf("%q: %q, error\n%v\nwant\n%s", line, out, err, want)
		}
		if err := Check(line); (err == nil) != strings.HasPrefix(want, "% J") && (err == nil) != strings.HasPrefix(want, "% j") {
			t.Errorf("Check(%q) = %v", line, err)
		}
	}
}

func TestPipes(t *testing.T) {
	shell := walkthrough(t).shell()
	for line, want := range map[string]string{
		"show ip route bgp | include .via | count":    "4\n",
		"show ip route bgp | include 10.10.2.11[34]":  "    *via 10.10.2.113, [20/0], 00:00:39, bgp-65210, external, tag 65211\n    *via 10.10.2.114, [20/0], 00:00:40, bgp-65210, external, tag 65211\n",
		"show hostname | exclude switch":              "",
		"show ip route bgp | begin 172 | exclude via": "172.19.100.1/32, ubest/mbest: 3/0\n",
		"show ip bgp | begin nothing":                 "",
		"show hostname | no-more":                     "switch\n",
		"clear ip bgp *":                              "",
		"clear ip bgp 10.10.2.112":                    "",
		"clear ip bgp 10.10.2.9":                      "% No such neighbor: 10.10.2.9\n",
		"show ip bgp neighbors 10.10.2.9":             "% No such neighbor: 10.10.2.9\n",
	} {
		if got, err := shell.Exec(line); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", line, got, err, want)
		}
	}
}

// One row is an object, several are a list, and all values are text.
func TestJSONShapes(t *testing.T) {
	s := walkthrough(t)
	get := func(line string, path ...string) any {
		t.Helper()
		out, err := s.shell().Exec(line + " | json")
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatalf("%s: %v in %s", line, err, out)
		}
		for _, key := range path {
			o, ok := v.(map[string]any)
			if !ok {
				t.Fatalf("%s: %s is not within an object", line, key)
			}
			v = o[key]
		}
		return v
	}
	prefix := []string{"TABLE_vrf", "ROW_vrf", "TABLE_addrf", "ROW_addrf", "TABLE_prefix", "ROW_prefix"}
	if got := get("show ip route bgp", append(prefix, "ucast-nhops")...); got != "3" {
		t.Errorf("ucast-nhops of the one route: %v", got)
	}
	if rows, ok := get("show ip route bgp", append(prefix, "TABLE_path", "ROW_path")...).([]any); !ok || len(rows) != 3 {
		t.Errorf("paths: %v", rows)
	}
	s.learn(1, "10.10.2.112", ofNode(), "172.19.100.2/32")
	if rows, ok := get("show ip route bgp", prefix...).([]any); !ok || len(rows) != 2 {
		t.Errorf("two routes: %v", rows)
	}
	neighbors := []string{"TABLE_vrf", "ROW_vrf", "TABLE_af", "ROW_af", "TABLE_saf", "ROW_saf", "TABLE_neighbor", "ROW_neighbor"}
	rows := get("show ip bgp summary", neighbors...).([]any)
	first := rows[0].(map[string]any)
	if len(rows) != 3 || first["neighborid"] != "10.10.2.112" || first["state"] != "Established" || first["prefixreceived"] != "2" || first["time"] != "PT30S" {
		t.Errorf("neighbors: %v", rows)
	}
	empty := newScene(t, "hostname alone\n")
	if out, err := empty.shell().Exec("show ip bgp sum | json"); err != nil || out != `{"TABLE_vrf":{"ROW_vrf":{"vrf-name-out":"default"}}}`+"\n" {
		t.Errorf("without BGP: %s, %v", out, err)
	}
	// Nobody to tell of: the heading alone, as of a VRF without neighbors.
	for line, want := range map[string]string{
		"show bgp ipv6 unicast summary":        "BGP summary information for VRF default, address family IPv6 Unicast\n",
		"show bgp ipv6 unicast summary | json": `{"TABLE_vrf":{"ROW_vrf":{"vrf-name-out":"default"}}}` + "\n",
	} {
		if out, err := walkthrough(t).shell().Exec(line); err != nil || out != want {
			t.Errorf("%s: %s, %v", line, out, err)
		}
	}
	if out, _ := empty.shell().Exec("show ip bgp sum"); out != "BGP summary information for VRF default, address family IPv4 Unicast\n" {
		t.Errorf("without BGP: %s", out)
	}
}

func TestStates(t *testing.T) {
	s := walkthrough(t)
	s.status.Neighbors[0].Session.Families = nil
	s.status.Neighbors[1].Tripped = true
	s.status.Neighbors[2].Config.Shutdown = true
	out, err := s.shell().Exec("show ip bgp sum | include ^10")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"0 (No Cap) ", "Idle (PfxCt) ", "Shut (Admin) "} {
		if line := strings.Split(out, "\n")[i]; !strings.Contains(line+" ", " "+want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
}

func TestTimes(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration][2]string{
		-time.Second:                           {"00:00:00", "PT0S"},
		41 * time.Second:                       {"00:00:41", "PT41S"},
		day - time.Second:                      {"23:59:59", "PT23H59M59S"},
		26 * time.Hour:                         {"1d02h", "P1DT2H"},
		7*day - time.Second:                    {"6d23h", "P6DT23H59M59S"},
		74 * day:                               {"10w4d", "P74D"},
		364 * day:                              {"52w0d", "P364D"},
		365*day + 17*7*day:                     {"1y17w", "P484D"},
		15*day + 16*time.Hour + 28*60e9 + 27e9: {"2w1d", "P15DT16H28M27S"},
	} {
		if got := [2]string{clock(d), iso(d)}; got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// The arithmetic of the captures.
func TestMemory(t *testing.T) {
	for _, row := range []struct{ networks, paths, want int }{{9, 14, 2796}, {9, 13, 2676}, {8, 8, 1952}, {11, 11, 2684}} {
		if got, _, _, _, _ := memory(rib.Summary{Networks: row.networks, Paths: row.paths}); got != row.want {
			t.Errorf("%d/%d: %d bytes, want %d", row.networks, row.paths, got, row.want)
		}
	}
	_, attributes, asPaths, _, _ := memory(rib.Summary{Attributes: 7, ASPaths: 3, ASPathHops: 5})
	if attributes != 1204 || asPaths != 26 {
		t.Errorf("7 attributes take %d, three AS paths %d", attributes, asPaths)
	}
}

func TestComplete(t *testing.T) {
	for line, want := range map[string]string{
		"sh":                   "show ",
		"show ip bgp s":        "show ip bgp summary ",
		"show ip bgp ":         "show ip bgp ",
		"show r":               "show running-config ",
		"show i":               "show ip",
		"show ip bgp | in":     "show ip bgp | include ",
		"show ip bgp | js":     "show ip bgp | json",
		"show ip route bgp-6":  "show ip route bgp-6",
		"nonsense":             "nonsense",
		"show nonsense ":       "show nonsense ",
		"show ip bgp 10.1.1.1": "show ip bgp 10.1.1.1",
	} {
		if got, _ := Complete(line); got != want {
			t.Errorf("%q is completed to %q, want %q", line, got, want)
		}
	}
	_, help := Complete("show ip bgp ")
	text := strings.Join(help, "\n")
	for _, want := range []string{"  <CR>", "  <a.b.c.d/len>", "  neighbors        Neighbors and their sessions", "  |  "} {
		if !strings.Contains(text, want) {
			t.Errorf("help lacks %q:\n%s", want, text)
		}
	}
	if _, help := Complete("nonsense "); len(help) != 0 {
		t.Errorf("help for nonsense: %q", help)
	}
}

// Every word of both grammars is explained.
func TestEveryWordHasHelp(t *testing.T) {
	missing := map[string]bool{}
	unexplained(commands, missing)
	unexplained(pipeGrammar, missing)
	for _, g := range grammar {
		unexplained(g, missing)
	}
	if len(missing) > 0 {
		t.Errorf("without help: %v", missing)
	}
}

func unexplained[T any](n *node[T], missing map[string]bool) {
	for _, c := range n.next {
		if c.help() == "" {
			missing[c.name()] = true
		}
		unexplained(c, missing)
	}
}

func FuzzExec(f *testing.F) {
	for _, line := range []string{"show ip bgp sum | json", "sh ip bgp 172.19.100.1/32", "show ip route | include (a|b)* | count", "clear ip bgp *", "show ip bgp |", "sh\tip \"|\" x",
		"show bfd neighbors details | json", "clear ip bgp eth1/3 soft in", "show ip bgp neighbors 10.10.2.0/24"} {
		f.Add(line)
	}
	shell := busy(f).shell()
	f.Fuzz(func(t *testing.T, line string) {
		_, err := shell.Exec(line)
		var syntax *SyntaxError
		if errors.As(err, &syntax) && (syntax.Column < 0 || syntax.Column > len(line)) {
			t.Errorf("the marker is at %d of %q", syntax.Column, line)
		}
		if check := Check(line); check != nil && err == nil {
			t.Errorf("Check refuses %q, Exec does not: %v", line, check)
		}
		completed, _ := Complete(line)
		if len(completed) < len(line)-1 && !strings.HasPrefix(completed, line[:len(line)/2]) {
			t.Errorf("%q is completed to %q", line, completed)
		}
	})
}
