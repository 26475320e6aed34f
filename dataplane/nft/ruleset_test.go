package nft_test

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/nft"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// node is a namespace with a driver in it.
type node struct {
	t       testing.TB
	ns      *netns.NS
	driver  *nft.Driver
	planner *dataplane.Planner
	cluster map[pharos.Name]*pharos.Service
	ends    map[pharos.Name]*pharos.Endpoints
}

func newNode(t testing.TB) *node {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.New("node")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return &node{
		t: t, ns: ns, driver: nft.New(nft.Options{NetNS: ns.Fd()}), planner: dataplane.NewPlanner(dataplane.Options{Node: "n1"}),
		cluster: map[pharos.Name]*pharos.Service{}, ends: map[pharos.Name]*pharos.Endpoints{},
	}
}

// nft runs nft(8), an implementation that is not ours, in the namespace.
func (n *node) nft(args ...string) string {
	n.t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		n.t.Fatal("nft is missing: install the package nftables")
	}
	out, err := n.ns.Output(context.Background(), "nft", args...)
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

func (n *node) state() *dataplane.State { return n.planner.Plan(n.snapshot()) }

func (n *node) snapshot() *pharos.Snapshot {
	return &pharos.Snapshot{
		Revision: 1, Synced: true, Services: pharos.MapOf(n.cluster), Endpoints: pharos.MapOf(n.ends),
		Nodes: pharos.Map[string, *pharos.Node]{}.With("n2", &pharos.Node{Name: "n2", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00:a::2")}}).With("n1", &pharos.Node{
			Name: "n1", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00:a::1")}, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:244:1::/64")}}),
	}
}

func (n *node) apply() {
	n.t.Helper()
	if err := n.driver.Apply(context.Background(), n.state()); err != nil {
		n.t.Fatal(err)
	}
}

// add adds a dual-stack Service with so many endpoints.
func (n *node) add(name string, i, endpoints int, options ...func(*pharos.Service)) {
	full := pharos.Name{Namespace: "default", Name: name}
	s := &pharos.Service{
		Name: full, Type: pharos.LoadBalancer, Created: time.Unix(int64(i), 0),
		ClusterIPs: []netip.Addr{nth("10.96.0.0", i), nth("fd00:96::", i)},
		Ingress:    []netip.Addr{nth("172.19.0.0", i), nth("fd00:172::", i)},
		Ports:      []pharos.ServicePort{{Name: "http", Protocol: pharos.TCP, Port: 80, NodePort: uint16(30000 + i%2768)}},
	}
	for _, o := range options {
		o(s)
	}
	n.cluster[full] = s
	n.endpoints(name, i, endpoints)
}

func (n *node) endpoints(name string, i, count int) {
	full := pharos.Name{Namespace: "default", Name: name}
	e := &pharos.Endpoints{}
	ports := []pharos.BackendPort{{Name: "http", Protocol: pharos.TCP, Port: 8080}}
	for j := range count {
		node := []string{"n1", "n2"}[j%2]
		e.Backends = append(e.Backends,
			pharos.Backend{Addr: nth("10.244.0.0", 256+i*16+j), Node: node, Ready: true, Ports: ports},
			pharos.Backend{Addr: nth("fd00:244::", 256+i*16+j), Node: node, Ready: true, Ports: ports})
	}
	n.ends[full] = e
}

// nth returns the n-th address after a.
func nth(a string, n int) netip.Addr {
	b := netip.MustParseAddr(a).AsSlice()
	last := len(b) - 1
	b[last], b[last-1], b[last-2] = b[last]+byte(n), b[last-1]+byte(n>>8), b[last-2]+byte(n>>16)
	result, _ := netip.AddrFromSlice(b)
	return result
}

func sticky(s *pharos.Service) { s.Affinity = 90 * time.Minute }
func local(s *pharos.Service)  { s.ExternalLocal = true }
func guarded(s *pharos.Service) {
	s.SourceRanges = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
}

// all adds one Service of each kind.
func (n *node) all() {
	n.add("plain", 1, 3)
	n.add("sticky", 2, 2, sticky)
	n.add("local", 3, 4, local, guarded)
	n.add("empty", 4, 0)
	n.add("sticky-local", 5, 3, sticky, local)
}

// Everything that the driver makes is shown by nft(8), and reads as what it is.
func TestRulesetIsReadable(t *testing.T) {
	n := newNode(t)
	n.all()
	n.apply()
	out := n.nft("list", "ruleset")
	for _, want := range []string{
		`10.96.0.1 . tcp . 80 comment "default/plain:http ClusterIP"`,
		`ip daddr . meta l4proto . th dport @frontends-of-3 dnat ip to ip daddr . meta l4proto . th dport . numgen random mod 3 map @frontends-backends`,
		`ip6 daddr . meta l4proto . th dport @frontends-of-3 dnat ip6 to ip6 daddr . meta l4proto . th dport . numgen random mod 3 map @frontends-backends`,
		`172.19.0.3 . tcp . 80 . 192.0.2.0/24`,
		`{ ip saddr timeout 1h30m }`,
		`0.0.0.0-126.255.255.255, 128.0.0.0/1`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the ruleset has no %s", want)
		}
	}
	if strings.Contains(out, "unknown") || strings.Contains(out, "invalid type") {
		t.Error("nft does not understand all of the ruleset")
	}
	if t.Failed() {
		t.Log(out)
	}
}

// What others have in nftables stays as it is, byte for byte, whatever the
// driver does; their tables may have names and chains like ours.
func TestForeignTablesStay(t *testing.T) {
	n := newNode(t)
	foreign := []string{"inet pharos", "ip kube-proxy", "ip6 other"}
	n.nft(`
		table inet pharos {
			set frontends { type ipv4_addr; elements = { 192.0.2.1 }; }
			chain refuse { type filter hook input priority 0; ip saddr @frontends drop; }
		}
		table ip kube-proxy {
			chain services { type nat hook prerouting priority -100; meta mark set 0x4000; }
		}
		table ip6 other {
			map frontends { type ipv6_addr : verdict; }
		}`)
	list := func() (all string) {
		for _, table := range foreign {
			all += n.nft(append([]string{"list", "table"}, strings.Fields(table)...)...)
		}
		return all
	}
	before := list()
	check := func(when string) {
		t.Helper()
		if after := list(); after != before {
			t.Errorf("%s: before\n%s\nafter\n%s", when, before, after)
		}
	}
	n.all()
	n.apply()
	check("applied")
	n.driver = nft.New(nft.Options{NetNS: n.ns.Fd()})
	delete(n.cluster, pharos.Name{Namespace: "default", Name: "plain"})
	n.apply()
	check("applied by another process")
	if err := n.driver.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("removed")
	if left := n.nft("list", "tables"); strings.Contains(left, "ip pharos") || strings.Contains(left, "ip6 pharos") {
		t.Errorf("tables are left: %s", left)
	}
	if err := n.driver.Remove(t.Context()); err != nil {
		t.Errorf("removing what isn't there: %v", err)
	}
}

// Somebody else's changes to our tables are found and repaired, as is a change
// that was based on them. What results is what a driver would have made that
// nobody disturbed.
func TestRepair(t *testing.T) {
	for name, damage := range map[string]string{
		"table deleted":          "delete table ip pharos",
		"both tables deleted":    "delete table ip pharos; delete table ip6 pharos",
		"chain flushed":          "flush chain ip pharos pick-frontends",
		"rule added":             "insert rule ip pharos serve-prerouting return",
		"chain added":            "add chain ip6 pharos extra",
		"set added":              "add set ip pharos extra { type ipv4_addr; }",
		"element deleted":        "delete element ip pharos frontends-of-3 { 10.96.0.1 . tcp . 80 }",
		"elements flushed":       "flush map ip pharos frontends-backends",
		"element added":          "add element ip pharos cluster-ips { 192.0.2.1 }",
		"networks changed":       "add element ip pharos pods { 192.0.2.0/24 }",
		"client remembered":      "add element ip pharos sticky/default/sticky/http/TCP/Cluster/10.244.1.32/8080 { 192.0.2.7 }",
		"affinity chain flushed": "flush chain ip6 pharos sticky/default/sticky/http/TCP/Cluster",
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.all()
			n.apply()
			want := n.nft("-s", "list", "ruleset")
			n.nft(damage)
			repaired, err := n.driver.Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			kept := name == "client remembered" // packets may do that
			if repaired == kept {
				t.Errorf("repaired: %v", repaired)
			}
			got := n.nft("-s", "list", "ruleset")
			if !kept && sorted(got) != sorted(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if repaired, err = n.driver.Verify(t.Context()); repaired || err != nil {
				t.Errorf("repaired again: %v, %v", repaired, err)
			}
		})
	}
}

// sorted makes two listings comparable: elements and sets are in no order.
func sorted(listing string) string {
	counts := map[string]int{}
	for _, word := range strings.Fields(listing) {
		counts[strings.Trim(word, ",")]++
	}
	return fmt.Sprint(counts)
}

// An update that the kernel refuses because somebody changed the tables is
// made to fit what there really is.
func TestUpdateRecovers(t *testing.T) {
	n := newNode(t)
	n.all()
	n.apply()
	n.nft("delete table ip6 pharos")
	n.endpoints("plain", 1, 5)
	n.apply()
	if s := n.driver.Status(); s.Failed != 0 || s.Rebuilt != 2 {
		t.Errorf("status %+v", s)
	}
	if out := n.nft("list", "table", "ip6", "pharos"); !strings.Contains(out, "frontends-of-5") {
		t.Errorf("the table is not as it should be:\n%s", out)
	}
}

// Tables that another version made are replaced as a whole.
func TestOtherLayoutIsReplaced(t *testing.T) {
	n := newNode(t)
	n.nft(`table ip pharos {
			set frontends { type ipv4_addr; }
			chain old { type nat hook prerouting priority -100; }
		}`)
	n.all()
	n.apply()
	if s := n.driver.Status(); s.Rebuilt != 1 || s.Adopted != 0 {
		t.Errorf("status %+v", s)
	}
	if out := n.nft("list", "table", "ip", "pharos"); strings.Contains(out, "chain old") || !strings.Contains(out, "th dport @frontends") {
		t.Errorf("the table was not replaced:\n%s", out)
	}
}

// Backends keep their slots when another driver takes over, so that it has
// less to write.
func TestRestartKeepsSlots(t *testing.T) {
	n := newNode(t)
	n.add("web", 1, 8)
	n.apply()
	e := n.ends[pharos.Name{Namespace: "default", Name: "web"}]
	n.ends[pharos.Name{Namespace: "default", Name: "web"}] = &pharos.Endpoints{Backends: e.Backends[2:]} // the first of each family goes
	n.apply()
	want := n.nft("list", "map", "ip", "pharos", "frontends-backends")
	n.driver = nft.New(nft.Options{NetNS: n.ns.Fd()})
	n.apply()
	if s := n.driver.Status(); s.Added+s.Removed != 0 {
		t.Errorf("the new driver wrote: %+v", s)
	}
	if got := n.nft("list", "map", "ip", "pharos", "frontends-backends"); sorted(got) != sorted(want) {
		t.Errorf("slots moved:\n%s\nwas\n%s", got, want)
	}
}
