package ipvs_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	mobyipvs "github.com/moby/ipvs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/ipvs"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

var addr, prefix = netip.MustParseAddr, netip.MustParsePrefix

// node is a node without anybody to talk to: what is looked at is the kernel.
type node struct {
	testing.TB
	ns       *netns.NS
	driver   *ipvs.Driver
	planner  *dataplane.Planner
	snapshot pharos.Snapshot
}

func newNode(t testing.TB, options ipvs.Options) *node {
	t.Helper()
	ns, err := netns.New("node")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	n := &node{TB: t, ns: ns, planner: dataplane.NewPlanner(dataplane.Options{Node: "cy01-net112"})}
	if err := ns.AddBridge("eth0"); err != nil {
		t.Fatal(err)
	}
	if err := ns.AddAddr("eth0", prefix("10.10.2.112/24")); err != nil {
		t.Fatal(err)
	}
	n.restart(options)
	n.snapshot = pharos.Snapshot{Synced: true, Nodes: pharos.MapOf(map[string]*pharos.Node{"cy01-net112": {
		Name: "cy01-net112", Addresses: []netip.Addr{addr("10.10.2.112")}, PodCIDRs: []netip.Prefix{prefix("10.233.93.0/24")}}})}
	return n
}

func (n *node) restart(options ipvs.Options) {
	options.NetNS = n.ns.Fd()
	n.driver = ipvs.New(options)
}

// web is the walk-through's Service, with pods of the nodes named.
func (n *node) web(change func(*pharos.Service), pods ...string) {
	n.Helper()
	name := pharos.Name{Namespace: "default", Name: "ng-svc"}
	s := &pharos.Service{
		Name: name, Type: pharos.LoadBalancer, ClusterIPs: []netip.Addr{addr("10.233.58.33")}, Ingress: []netip.Addr{addr("172.19.100.1")},
		Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80, NodePort: 31265}},
	}
	if change != nil {
		change(s)
	}
	e := &pharos.Endpoints{}
	for _, p := range pods {
		b := pharos.Backend{Addr: addr(p), Ready: true, Serving: true, Node: "cy01-net113", Ports: []pharos.BackendPort{{Protocol: s.Ports[0].Protocol, Port: 80}}}
		if strings.HasPrefix(p, "10.233.93.") {
			b.Node = "cy01-net112"
		}
		e.Backends = append(e.Backends, b)
	}
	n.snapshot.Services = n.snapshot.Services.With(name, s)
	n.snapshot.Endpoints = n.snapshot.Endpoints.With(name, e)
}

func (n *node) try() error {
	n.snapshot.Revision++
	s := n.snapshot
	return n.driver.Apply(n.Context(), n.planner.Plan(&s))
}

func (n *node) apply() {
	n.Helper()
	if err := n.try(); err != nil {
		n.Fatal(err)
	}
}

func (n *node) verify(want bool) {
	n.Helper()
	// On a busy machine a comparison may take so long that the next one is left
	// out.
	for deadline := time.Now().Add(time.Minute); ; {
		got, err := n.driver.Verify(n.Context())
		if err != nil {
			n.Fatal(err)
		}
		if got == want || got || time.Now().After(deadline) {
			if got != want {
				n.Errorf("verify: repaired %v, want %v", got, want)
			}
			return
		}
	}
}

func (n *node) output(name string, args ...string) string {
	n.Helper()
	out, err := n.ns.Output(n.Context(), name, args...)
	if err != nil {
		n.Fatal(err)
	}
	return out
}

// whole is all that the kernel shows of the driver's work.
func (n *node) whole() string {
	n.Helper()
	lines := strings.Split(n.output("iptables-legacy-save"), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") || strings.HasPrefix(l, ":") })
	return n.output("ipvsadm", "-Sn") + n.addrs() + strings.Join(lines, "\n")
}

// addrs are the interface's, and whether it is there.
func (n *node) addrs() string {
	if _, err := n.ns.Link().LinkByName("kube-ipvs0"); err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for line := range strings.Lines(n.output("ip", "-o", "addr", "show", "dev", "kube-ipvs0")) {
		fmt.Fprintln(&b, strings.Fields(line)[1:4])
	}
	return b.String()
}

func handle(t testing.TB, n *node) *mobyipvs.Handle {
	t.Helper()
	h, err := mobyipvs.New(n.ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func service(at string) *mobyipvs.Service {
	ap := netip.MustParseAddrPort(at)
	return &mobyipvs.Service{AddressFamily: unix.AF_INET, Address: net.IP(ap.Addr().AsSlice()), Protocol: unix.IPPROTO_TCP, Port: ap.Port(), SchedName: "rr", Netmask: 0xffffffff}
}

func destination(at string, weight int) *mobyipvs.Destination {
	ap := netip.MustParseAddrPort(at)
	return &mobyipvs.Destination{AddressFamily: unix.AF_INET, Address: net.IP(ap.Addr().AsSlice()), Port: ap.Port(), Weight: weight}
}

// walkThrough is step 9: what ipvsadm shows of a Service, and its addresses on an
// interface that is down and answers no ARP.
func walkThrough(t *testing.T) {
	n := newNode(t, ipvs.Options{})
	n.web(nil, "10.233.93.2", "10.233.119.2", "10.233.64.16")
	n.apply()
	want := `TCP  172.19.100.1:80 rr
  -> 10.233.64.16:80              Masq    1      0          0         
  -> 10.233.93.2:80               Masq    1      0          0         
  -> 10.233.119.2:80              Masq    1      0          0         
`
	shown := n.output("ipvsadm", "-ln")
	if !strings.Contains(shown, want) {
		t.Errorf("ipvsadm -ln shows\n%swant\n%s", shown, want)
	}
	for _, at := range []string{"TCP  10.233.58.33:80 rr\n", "TCP  10.10.2.112:31265 rr\n"} {
		if !strings.Contains(shown, at) {
			t.Errorf("ipvsadm -ln shows\n%swithout %s", shown, at)
		}
	}
	if strings.Count(shown, "rr\n") != 3 {
		t.Errorf("ipvsadm -ln shows\n%swant three virtual services", shown)
	}
	link := n.output("ip", "-d", "link", "show", "kube-ipvs0")
	if !strings.Contains(link, "<BROADCAST,NOARP>") || !strings.Contains(link, "state DOWN") || !strings.Contains(link, "dummy") {
		t.Errorf("the interface is %s", link)
	}
	addrs := n.output("ip", "addr", "show", "kube-ipvs0")
	for _, want := range []string{"inet 10.233.58.33/32 ", "inet 172.19.100.1/32 "} {
		if !strings.Contains(addrs, want) {
			t.Errorf("the interface has %s, want %s", addrs, want)
		}
	}
}

// schedulers are the users' to choose; another process with another one changes
// what it finds.
func schedulers(t *testing.T) {
	n := newNode(t, ipvs.Options{})
	n.web(nil, "10.233.93.2")
	n.apply()
	n.restart(ipvs.Options{Scheduler: "wrr"})
	n.apply()
	if shown := n.output("ipvsadm", "-ln"); !strings.Contains(shown, "172.19.100.1:80 wrr\n") || strings.Contains(shown, " rr\n") {
		t.Errorf("ipvsadm -ln shows\n%s", shown)
	}
}

// repairs is what others may do to what is ours, and that one Verify mends it.
func repairs(t *testing.T) {
	n := newNode(t, ipvs.Options{})
	n.web(func(s *pharos.Service) {
		s.ExternalLocal, s.SourceRanges = true, []netip.Prefix{prefix("172.16.0.0/12"), prefix("0.0.0.0/0")}
	}, "10.233.93.2", "10.233.119.2")
	n.apply()
	n.verify(false)
	whole := n.whole()
	h := handle(t, n)
	for name, damage := range map[string]func() error{
		"virtual service": func() error { return h.DelService(service("172.19.100.1:80")) },
		"all of them":     h.Flush,
		"destination":     func() error { return h.DelDestination(service("172.19.100.1:80"), destination("10.233.93.2:80", 1)) },
		"weight":          func() error { return h.UpdateDestination(service("172.19.100.1:80"), destination("10.233.93.2:80", 9)) },
		"scheduler": func() error {
			s := service("10.233.58.33:80")
			s.SchedName = "wrr"
			return h.UpdateService(s)
		},
		"address": func() error {
			link, err := n.ns.Link().LinkByName("kube-ipvs0")
			if err != nil {
				return err
			}
			return n.ns.Link().AddrDel(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP("172.19.100.1").To4(), Mask: net.CIDRMask(32, 32)}})
		},
		"interface": func() error { return n.ns.Delete("kube-ipvs0") },
		"rule":      func() error { n.output("iptables-legacy", "-t", "mangle", "-D", "PHAROS-PREROUTING", "2"); return nil },
		"jump": func() error {
			n.output("iptables-legacy", "-t", "nat", "-D", "POSTROUTING", "-j", "PHAROS-POSTROUTING")
			return nil
		},
		"setting": func() error { return n.ns.Sysctl("net.ipv4.vs.conntrack", "0") },
	} {
		t.Run(name, func(t *testing.T) {
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			n.verify(true)
			n.verify(false)
			if now := n.whole(); now != whole {
				t.Errorf("was\n%s\nis\n%s", whole, now)
			}
		})
	}
	if got := n.driver.Status().Repaired; got != 10 {
		t.Errorf("%d repairs, want 10", got)
	}
}

// drains is what becomes of endpoints that are gone: no weight while they have
// connections, and only so long.
func drains(t *testing.T) {
	weights := func(n *node) string {
		var b strings.Builder
		for line := range strings.Lines(n.output("ipvsadm", "-Sn")) {
			if f := strings.Fields(line); f[0] == "-a" && f[2] == "172.19.100.1:80" {
				fmt.Fprintf(&b, "%s=%s ", f[4], f[7])
			}
		}
		return b.String()
	}
	n := newNode(t, ipvs.Options{})
	n.web(nil, "10.233.93.2", "10.233.119.2")
	n.apply()
	n.web(nil, "10.233.93.2")
	n.apply()
	if got := weights(n); got != "10.233.93.2:80=1 10.233.119.2:80=0 " {
		t.Errorf("gone: %s", got)
	}
	n.web(nil, "10.233.93.2", "10.233.119.2")
	n.apply()
	if got := weights(n); got != "10.233.93.2:80=1 10.233.119.2:80=1 " {
		t.Errorf("back: %s", got)
	}
	n.web(nil, "10.233.93.2")
	n.apply()
	n.restart(ipvs.Options{})
	n.apply()
	if s := n.driver.Status(); s.Added+s.Removed != 0 {
		t.Errorf("a restart while it drains: %+v", s)
	}
	n.verify(false) // it has no connections
	if got := weights(n); got != "10.233.93.2:80=1 " {
		t.Errorf("drained: %s", got)
	}
}

// schedulerMissing has the kernel refuse a step in the middle.
func schedulerMissing(t *testing.T) {
	n := newNode(t, ipvs.Options{})
	n.web(nil, "10.233.93.2")
	n.apply()
	whole := n.whole()
	n.restart(ipvs.Options{Scheduler: "lc"}) // a module that is not loaded
	n.web(func(s *pharos.Service) { s.Ports[0].Port = 81 }, "10.233.93.2", "10.233.119.2")
	if err := n.try(); err == nil || !strings.Contains(err.Error(), "has no scheduler lc (module ip_vs_lc)") {
		t.Errorf("a scheduler that the kernel lacks: %v", err)
	}
	if now := n.whole(); now != whole {
		t.Errorf("was\n%s\nis\n%s", whole, now)
	}
	if s := n.driver.Status(); s.Failed != 1 || s.LastError == "" || s.Added != 0 {
		t.Errorf("status %+v", s)
	}
}
