package fib

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
	"github.com/pharoslb/pharos/rib"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// bench is a router with one port, on 10.10.2.0/24 and 2001:db8::/64.
type bench struct {
	*netns.NS
	t    *testing.T
	port int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.New("switch")
	must(t, err)
	t.Cleanup(func() { ns.Close() })
	peer, err := netns.New("segment")
	must(t, err)
	t.Cleanup(func() { peer.Close() })
	must(t, netns.Veth(ns, "Ethernet1-1", peer, "eth0"),
		ns.AddAddr("Ethernet1-1", netip.MustParsePrefix("10.10.2.210/24")),
		ns.AddAddr("Ethernet1-1", netip.MustParsePrefix("2001:db8::210/64")))
	link, err := ns.Link().LinkByName("Ethernet1-1")
	must(t, err)
	return &bench{NS: ns, t: t, port: link.Attrs().Index}
}

func (b *bench) open() *FIB {
	b.t.Helper()
	var f *FIB
	must(b.t, b.Do(func() (err error) { f, err = Open(); return err }))
	b.t.Cleanup(f.Close)
	return f
}

func (b *bench) set(addrs ...string) rib.HopSet {
	var hops []rib.Hop
	for _, a := range addrs {
		hops = append(hops, rib.Hop{Addr: netip.MustParseAddr(a), Index: b.port})
	}
	return rib.NewHopSet(hops...)
}

func (b *bench) route(prefix string, addrs ...string) rib.Route {
	return rib.Route{Prefix: netip.MustParsePrefix(prefix), Hops: b.set(addrs...)}
}

// kernel tells what is in the main table under a protocol, by rtnetlink as others
// read it: the prefix and its next hops.
func (b *bench) kernel(protocol int) map[string]string {
	b.t.Helper()
	out := map[string]string{}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := b.Link().RouteListFiltered(family, &netlink.Route{Protocol: netlink.RouteProtocol(protocol), Table: unix.RT_TABLE_MAIN},
			netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		must(b.t, err)
		for _, r := range list {
			var hops []string
			if r.Gw != nil {
				hops = append(hops, r.Gw.String())
			}
			for _, h := range r.MultiPath {
				hops = append(hops, h.Gw.String())
			}
			slices.Sort(hops)
			out[r.Dst.String()] = strings.Join(hops, " ")
		}
	}
	return out
}

func (b *bench) want(protocol int, want map[string]string) {
	b.t.Helper()
	got := b.kernel(protocol)
	for p, hops := range want {
		if got[p] != hops {
			b.t.Errorf("%s is by way of %q, want %q", p, got[p], hops)
		}
	}
	if len(got) != len(want) {
		b.t.Errorf("the kernel has %v, want %v", got, want)
	}
}

func TestRoutesOfBothFamilies(t *testing.T) {
	b := newBench(t)
	f := b.open()
	must(t, f.Apply([]rib.Route{
		b.route("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114"),
		b.route("172.19.101.0/24", "10.10.2.113"),
		b.route("0.0.0.0/0", "10.10.2.113"),
		b.route("2001:db8:100::1/128", "2001:db8::112", "2001:db8::113"),
		b.route("::/0", "2001:db8::112"),
	}))
	b.want(Protocol, map[string]string{
		"172.19.100.1/32":     "10.10.2.112 10.10.2.113 10.10.2.114",
		"172.19.101.0/24":     "10.10.2.113",
		"0.0.0.0/0":           "10.10.2.113",
		"2001:db8:100::1/128": "2001:db8::112 2001:db8::113",
		"::/0":                "2001:db8::112",
	})
	must(t, f.Apply([]rib.Route{
		b.route("172.19.100.1/32", "10.10.2.113", "10.10.2.114"),
		b.route("172.19.101.0/24"),
		b.route("0.0.0.0/0"),
		b.route("2001:db8:100::1/128", "2001:db8::113"),
		b.route("::/0"),
	}))
	b.want(Protocol, map[string]string{
		"172.19.100.1/32":     "10.10.2.113 10.10.2.114",
		"2001:db8:100::1/128": "2001:db8::113",
	})
	out, err := b.Output(t.Context(), "ip", "route", "show", "172.19.100.1")
	must(t, err)
	if !strings.Contains(out, "proto 179 metric 2179") || strings.Count(out, "nexthop via") != 2 {
		t.Errorf("ip route shows %q", out)
	}
	must(t, f.Flush())
	b.want(Protocol, nil)
	if out, err := b.Output(t.Context(), "ip", "nexthop"); err != nil || out != "" {
		t.Errorf("next hops are left: %q, %v", out, err)
	}
}

// Routes of others for the same prefixes, with next-hop objects of their own, are
// not touched, whatever we do.
func TestForeignRoutesAreUntouched(t *testing.T) {
	b := newBench(t)
	for _, args := range []string{
		"route add 172.19.100.1/32 via 10.10.2.9 proto static",
		"route add 172.19.100.2/32 via 10.10.2.9 proto bgp metric 20",
		"nexthop add id 1342177281 via 10.10.2.8 dev Ethernet1-1", // the first identifier that we would take
		"route add 172.19.100.3/32 nhid 1342177281 proto zebra",
		"-6 route add 2001:db8:100::1/128 via 2001:db8::9 proto static",
	} {
		_, err := b.Output(t.Context(), "ip", strings.Fields(args)...)
		must(t, err)
	}
	foreign := func() string {
		var all string
		for _, args := range []string{"route", "-6 route", "nexthop"} {
			out, err := b.Output(t.Context(), "ip", strings.Fields(args)...)
			must(t, err)
			for line := range strings.Lines(out) {
				if !strings.Contains(line, "proto 179") && !strings.HasPrefix(line, "\t") {
					all += line
				}
			}
		}
		return all
	}
	before := foreign()
	f := b.open()
	must(t, f.Apply([]rib.Route{
		b.route("172.19.100.1/32", "10.10.2.112"),
		b.route("172.19.100.2/32", "10.10.2.112"),
		b.route("172.19.100.3/32", "10.10.2.112", "10.10.2.113"),
		b.route("2001:db8:100::1/128", "2001:db8::112"),
	}))
	if after := foreign(); after != before {
		t.Errorf("foreign routes were\n%s\nand are\n%s", before, after)
	}
	if n := len(b.kernel(Protocol)); n != 4 {
		t.Errorf("%d of our 4 routes are there", n)
	}
	must(t, f.Flush(), f.Sweep())
	if after := foreign(); after != before {
		t.Errorf("foreign routes were\n%s\nand after the flush are\n%s", before, after)
	}
}

// A run that ends without a word leaves its routes; the next one keeps what is
// asked for again, untouched, and removes the rest.
func TestRestartAdoptsAndSweeps(t *testing.T) {
	b := newBench(t)
	f := b.open()
	must(t, f.Apply([]rib.Route{
		b.route("172.19.100.1/32", "10.10.2.112", "10.10.2.113"),
		b.route("172.19.100.2/32", "10.10.2.112", "10.10.2.113"),
		b.route("172.19.100.3/32", "10.10.2.114"),
		b.route("2001:db8:100::1/128", "2001:db8::112"),
	}))
	// Something that looks like ours and is made otherwise.
	_, err := b.Output(t.Context(), "ip", strings.Fields("route add 172.19.100.4/32 via 10.10.2.114 proto 179 metric 2179")...)
	must(t, err)
	f.Close()

	f = b.open()
	if f.Len() != 5 || len(b.kernel(Protocol)) != 5 {
		t.Errorf("adopted %d routes, the kernel has %v", f.Len(), b.kernel(Protocol))
	}
	must(t, f.Apply([]rib.Route{b.route("172.19.100.1/32", "10.10.2.112", "10.10.2.113")}))
	if f.sent != 0 {
		t.Errorf("keeping an adopted route took %d messages", f.sent)
	}
	must(t, f.Sweep())
	b.want(Protocol, map[string]string{"172.19.100.1/32": "10.10.2.112 10.10.2.113"})
	out, err := b.Output(t.Context(), "ip", "nexthop")
	must(t, err)
	if strings.Count(out, "\n") != 3 {
		t.Errorf("want a group and its two next hops, there are\n%s", out)
	}
}

// Verify mends whatever others did to our routes.
func TestVerifyMends(t *testing.T) {
	b := newBench(t)
	f := b.open()
	want := map[string]string{
		"172.19.100.1/32":     "10.10.2.112 10.10.2.113",
		"172.19.100.2/32":     "10.10.2.112 10.10.2.113",
		"172.19.100.3/32":     "10.10.2.114",
		"2001:db8:100::1/128": "2001:db8::112",
	}
	must(t, f.Apply([]rib.Route{
		b.route("172.19.100.1/32", "10.10.2.112", "10.10.2.113"),
		b.route("172.19.100.2/32", "10.10.2.112", "10.10.2.113"),
		b.route("172.19.100.3/32", "10.10.2.114"),
		b.route("2001:db8:100::1/128", "2001:db8::112"),
	}))
	if n, err := f.Verify(); n != 0 || err != nil {
		t.Fatalf("nothing is wrong, and Verify mended %d, %v", n, err)
	}
	for _, damage := range []string{
		"ip route del 172.19.100.1/32",
		"ip nexthop flush proto 179",
		"ip route replace 172.19.100.3/32 via 10.10.2.9 proto 179 metric 2179",
		"ip route add 172.19.100.9/32 via 10.10.2.9 proto 179 metric 2179",
		"ip link set Ethernet1-1 down; ip link set Ethernet1-1 up; ip addr add 2001:db8::210/64 dev Ethernet1-1 nodad",
	} {
		_, err := b.Output(t.Context(), "sh", "-c", damage)
		must(t, err)
		// A port that has just come up has no carrier for a moment.
		for deadline := time.Now().Add(10 * time.Second); ; {
			n, err := f.Verify()
			if err == nil {
				if n == 0 && len(b.kernel(Protocol)) != len(want) {
					t.Errorf("%s: nothing was found to mend", damage)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", damage, err)
			}
		}
		b.want(Protocol, want)
	}
}

func TestRefusalsAreReported(t *testing.T) {
	b := newBench(t)
	f := b.open()
	err := f.Apply([]rib.Route{
		b.route("172.19.100.1/32", "192.0.2.1"), // not on any network of ours
		b.route("172.19.100.2/32", "10.10.2.112"),
	})
	if err == nil || !strings.Contains(err.Error(), "add next hop 192.0.2.1") {
		t.Errorf("error %v", err)
	}
	b.want(Protocol, map[string]string{"172.19.100.2/32": "10.10.2.112"})
}

// A route that cannot be moved stays where it is: the group that it was to leave, with
// which the kernel would remove it, is left in place until Verify.
func TestRoutesThatCannotMoveStay(t *testing.T) {
	b := newBench(t)
	f := b.open()
	const few = 3
	for _, n := range []int{few, flushAt + few} {
		var before, after []rib.Route
		for i := range n {
			prefix := fmt.Sprintf("172.19.%d.%d/32", i>>8, i&255)
			before = append(before, b.route(prefix, "10.10.2.112"))
			r := b.route(prefix)
			if i < few {
				r = b.route(prefix, "192.0.2.1") // not on any network of ours
			}
			if i == 0 {
				r = b.route(prefix, "10.10.2.113")
			}
			after = append(after, r)
		}
		must(t, f.Apply(before))
		if err := f.Apply(after); err == nil {
			t.Error("no error")
		}
		if got := b.kernel(Protocol); got["172.19.0.1/32"] != "10.10.2.112" || got["172.19.0.0/32"] != "10.10.2.113" {
			t.Errorf("the kernel has %d routes, the first by %q and %q", len(got), got["172.19.0.0/32"], got["172.19.0.1/32"])
		}
		// What was to go goes, though the group has to stay.
		for range 2 {
			if _, err := f.Verify(); err == nil {
				t.Error("no error of Verify")
			}
		}
		b.want(Protocol, map[string]string{"172.19.0.0/32": "10.10.2.113", "172.19.0.1/32": "10.10.2.112", "172.19.0.2/32": "10.10.2.112"})
		for i := range few {
			after[i] = b.route(after[i].Prefix.String(), "10.10.2.114")
		}
		must(t, f.Apply(after))
		_, err := f.Verify()
		must(t, err, f.Flush())
		b.want(Protocol, nil)
	}
}

// What messages that got lost left behind is removed when no route uses it any more.
func TestTwinsAreRemoved(t *testing.T) {
	b := newBench(t)
	_, err := b.Output(t.Context(), "sh", "-c", `
		ip nexthop add id 1342180000 via 10.10.2.112 dev Ethernet1-1 proto 179 &&
		ip nexthop add id 1342180001 group 1342180000 proto 179 &&
		ip nexthop add id 1342180010 via 10.10.2.112 dev Ethernet1-1 proto 179 &&
		ip nexthop add id 1342180011 group 1342180010 proto 179 &&
		ip route add 172.19.100.1/32 nhid 1342180011 proto 179 metric 2179`)
	must(t, err)
	objects := func() int {
		out, err := b.Output(t.Context(), "ip", "nexthop", "list", "protocol", "179")
		must(t, err)
		return len(strings.Split(strings.TrimSpace(string(out)), "\n"))
	}
	f := b.open()
	must(t, f.Apply([]rib.Route{b.route("172.19.100.2/32", "10.10.2.112")}))
	b.want(Protocol, map[string]string{"172.19.100.1/32": "10.10.2.112", "172.19.100.2/32": "10.10.2.112"})
	must(t, f.Apply([]rib.Route{b.route("172.19.100.1/32", "10.10.2.112")}))
	b.want(Protocol, map[string]string{"172.19.100.1/32": "10.10.2.112", "172.19.100.2/32": "10.10.2.112"})
	if n := objects(); n != 2 {
		t.Errorf("%d next-hop objects are left, want one and its group", n)
	}
	if n, err := f.Verify(); n != 0 || err != nil {
		t.Errorf("Verify mended %d, %v", n, err)
	}
	must(t, f.Flush())
}

// Batches: more routes than fit in one, in and out, and moved by their group.
func TestManyRoutes(t *testing.T) {
	b := newBench(t)
	f := b.open()
	const n = 3000
	all := func(addrs ...string) []rib.Route {
		var out []rib.Route
		set := b.set(addrs...)
		for i := range n {
			out = append(out, rib.Route{Prefix: vip(i), Hops: set})
		}
		return out
	}
	must(t, f.Apply(all("10.10.2.112", "10.10.2.113", "10.10.2.114")))
	if got := b.kernel(Protocol); len(got) != n || got["172.19.11.183/32"] != "10.10.2.112 10.10.2.113 10.10.2.114" {
		t.Errorf("%d routes, one is %q", len(got), got["172.19.11.183/32"])
	}
	must(t, f.Apply(all("10.10.2.113", "10.10.2.114")))
	if f.sent != 2 {
		t.Errorf("the loss of a neighbor took %d messages, want 2", f.sent)
	}
	if got := b.kernel(Protocol); len(got) != n || got["172.19.11.183/32"] != "10.10.2.113 10.10.2.114" {
		t.Errorf("%d routes, one is %q", len(got), got["172.19.11.183/32"])
	}
	must(t, f.Flush())
	b.want(Protocol, nil)
}

func TestTune(t *testing.T) {
	b := newBench(t)
	must(t, b.Do(Tune), b.Do(func() error { return TunePort("Ethernet1-1") }))
	for key, want := range map[string]string{
		"net/ipv4/ip_forward":                               "1",
		"net/ipv6/conf/all/forwarding":                      "1",
		"net/ipv4/fib_multipath_hash_policy":                "1",
		"net/ipv6/fib_multipath_hash_policy":                "1",
		"net/ipv4/fib_multipath_use_neigh":                  "1",
		"net/ipv4/neigh/Ethernet1-1/base_reachable_time_ms": "1000",
		"net/ipv6/neigh/Ethernet1-1/retrans_time_ms":        "200",
		"net/ipv4/neigh/Ethernet1-1/delay_first_probe_time": "1",
		"net/ipv4/neigh/Ethernet1-1/ucast_solicit":          "5",
	} {
		var got []byte
		must(t, b.Do(func() (err error) { got, err = os.ReadFile("/proc/sys/" + key); return err }))
		if strings.TrimSpace(string(got)) != want {
			t.Errorf("%s is %q, want %s", key, strings.TrimSpace(string(got)), want)
		}
	}
	must(t, b.Do(func() error { return TunePort("no-such-device") }))
}

// A neighbor is avoided before anything is decided: its groups are replaced, and what
// goes by it alone stays until it is told otherwise.
func TestAvoid(t *testing.T) {
	b := newBench(t)
	f := b.open()
	must(t, f.Apply([]rib.Route{
		b.route("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114"),
		b.route("172.19.100.2/32", "10.10.2.112", "10.10.2.114"),
		b.route("172.19.100.3/32", "10.10.2.112"),
		b.route("172.19.100.4/32", "10.10.2.113"),
	}))
	must(t, f.Avoid(b.set("10.10.2.112").Hops()))
	if f.sent != 2 {
		t.Errorf("it took %d messages, want 2", f.sent)
	}
	after := map[string]string{
		"172.19.100.1/32": "10.10.2.113 10.10.2.114",
		"172.19.100.2/32": "10.10.2.114",
		"172.19.100.3/32": "10.10.2.112",
		"172.19.100.4/32": "10.10.2.113",
	}
	b.want(Protocol, after)
	must(t, f.Apply([]rib.Route{
		b.route("172.19.100.1/32", "10.10.2.113", "10.10.2.114"),
		b.route("172.19.100.2/32", "10.10.2.114"),
		b.route("172.19.100.3/32"),
	}))
	delete(after, "172.19.100.3/32")
	b.want(Protocol, after)
	if n, err := f.Verify(); n != 0 || err != nil {
		t.Errorf("Verify mended %d, %v", n, err)
	}
}

// RFC 8950: routes of IPv4 by next hops of IPv6, link-local ones on their interface.
func TestIPv4RoutesByIPv6NextHops(t *testing.T) {
	b := newBench(t)
	f := b.open()
	must(t, f.Apply([]rib.Route{
		b.route("172.19.100.1/32", "fe80::112", "fe80::113"),
		b.route("172.19.100.2/32", "2001:db8::112"),
		b.route("2001:db8:100::1/128", "fe80::112", "fe80::113"),
	}))
	for args, want := range map[string]string{
		"route show 172.19.100.1":           "nexthop via inet6 fe80::112 dev Ethernet1-1 weight 1",
		"route show 172.19.100.2":           "via inet6 2001:db8::112 dev Ethernet1-1",
		"-6 route show 2001:db8:100::1/128": "nexthop via fe80::113 dev Ethernet1-1 weight 1",
	} {
		if out, err := b.Output(t.Context(), "ip", strings.Fields(args)...); err != nil || !strings.Contains(out, want) {
			t.Errorf("ip %s: %q, %v", args, out, err)
		}
	}
	f.Close()
	f = b.open()
	must(t, f.Apply([]rib.Route{b.route("172.19.100.1/32", "fe80::113", "fe80::112")}))
	if f.sent != 0 {
		t.Errorf("an adopted route took %d messages", f.sent)
	}
}

func TestWeights(t *testing.T) {
	b := newBench(t)
	f := b.open()
	weighted := func(weights ...int) rib.Route {
		var hops []rib.Hop
		for i, w := range weights {
			hops = append(hops, rib.Hop{Addr: node(112 + i).Addr, Index: b.port, Weight: w})
		}
		return rib.Route{Prefix: netip.MustParsePrefix("172.19.100.1/32"), Hops: rib.NewHopSet(hops...)}
	}
	for _, weights := range [][]int{{2, 1, 1}, {1, 256, 85}, {7, 7, 7}, {1, 2, 3}} {
		must(t, f.Apply([]rib.Route{weighted(weights...)}))
		out, err := b.Output(t.Context(), "ip", "route", "show", "172.19.100.1")
		must(t, err)
		for i, w := range weights {
			if w == 7 {
				w = 1
			}
			if want := fmt.Sprintf("via 10.10.2.%d dev Ethernet1-1 weight %d", 112+i, w); !strings.Contains(out, want) {
				t.Errorf("weights %v: %q", weights, out)
			}
		}
		f.Close()
		f = b.open()
		must(t, f.Apply([]rib.Route{weighted(weights...)}))
		if f.sent != 0 {
			t.Errorf("weights %v: an adopted route took %d messages", weights, f.sent)
		}
	}
}
