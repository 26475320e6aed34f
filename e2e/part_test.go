package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/internal/lab"
)

// The ports by which the parts of the product are found.
const (
	controllerPort = 7472
	speakerPort    = 7472
	proxyPort      = 7473
)

// Parts of the deployment that are missing, of another kind, unwilling, or dead
// without a word: what of the rest goes on, and what is told.
func TestParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := w.addrs()
	w.routed(lab.VIP, all...)
	for _, part := range []struct {
		name string
		run  func(world)
	}{
		{"no memberlist secret", noMemberlistSecret},
		{"unreachable peer", unreachablePeer},
		{"authenticated peer", authenticatedPeer},
		{"internal peer", internalPeer},
		{"watched peer", watchedPeer},
		{"controller killed", controllerKilled},
		{"speaker killed", speakerKilled},
		{"proxy killed", proxyKilled},
		{"memberlist secret at last", memberlistSecret},
		{"parts restarted without an API server", restartedWithoutAPIServer},
	} {
		t.Run(part.name, func(t *testing.T) {
			w := w.in(t)
			part.run(w)
			// Whatever happened, the walk-through still holds.
			w.routed(lab.VIP, all...)
			w.served(lab.VIP, 10)
		})
	}
}

// Without the Secret there is no membership, which BGP does not need. It is made
// before the test goes on, and looked for later: kubelets do once a minute.
func noMemberlistSecret(w world) {
	w.sh("kubectl delete secret -n metallb-system memberlist")
	w.sh("kubectl delete pod -n metallb-system -l component=speaker")
	if err := w.RolledOut(w.t.Context(), "metallb-system", "daemonset/speaker"); err != nil {
		w.t.Fatal(err)
	}
	for _, n := range w.Topology().Nodes {
		w.shows(n.Name, []string{"secretMissing"}, product, "status")
		w.says("kubectl get events --field-selector type=Warning,involvedObject.kind=Node,involvedObject.name="+n.Name, "secretMissing")
	}
	w.routed(lab.VIP, w.addrs()...)
	w.sh(lab.SecretCommand)
}

// The speakers find the Secret that was made meanwhile, without a restart.
func memberlistSecret(w world) {
	for _, n := range w.Topology().Nodes {
		w.measures(n.Name, n.Addr.String(), "pharos_speaker_members 3")
	}
}

// A peer that is not there is told of, and holds up nothing.
func unreachablePeer(w world) {
	before := w.connections()
	requests := w.asking()
	w.configure(strings.Replace(good, "address-pools:", "- peer-address: 10.10.2.250\n  peer-asn: 65250\n  my-asn: 65211\naddress-pools:", 1))
	for _, n := range w.Topology().Nodes {
		w.measures(n.Name, n.Addr.String(),
			`metallb_bgp_session_up{peer="10.10.2.210:179"} 1`, `metallb_bgp_session_up{peer="10.10.2.250:179"} 0`)
		w.shows(n.Name, []string{"10.10.2.250:179", "no route to host"}, product, "status")
	}
	w.apply(second)
	w.routed(w.allocated("second"), w.addrs()...)
	w.remove("second")
	w.configure(good)
	for _, n := range w.Topology().Nodes {
		w.measures(n.Name, n.Addr.String(), `metallb_bgp_session_up{peer="10.10.2.210:179"} 1`)
	}
	w.says(fmt.Sprintf("curl -sS %s:7472/metrics | grep -c ^metallb_bgp_session_up", w.Topology().Nodes[0].Addr), "1")
	requests.answered(w.t, 0)
	if now := w.connections(); !slices.Equal(now, before) {
		w.t.Errorf("the switch's connections are %v, were %v", now, before)
	}
}

// connections are the ends of the nodes of all BGP connections that the switch's
// kernel holds, sorted.
func (w world) connections() []netip.AddrPort {
	w.t.Helper()
	out, err := w.Output(w.t.Context(), lab.Switch, "ss", "-Htn", "state", "established", "sport = :179")
	if err != nil {
		w.t.Fatal(err)
	}
	var ends []netip.AddrPort
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		end, err := netip.ParseAddrPort(f[len(f)-1])
		if err != nil {
			w.t.Fatalf("%v: %s", err, line)
		}
		ends = append(ends, end)
	}
	slices.SortFunc(ends, netip.AddrPort.Compare)
	return ends
}

// established waits until the switch has sessions with these nodes alone: on its
// command line and in its kernel.
func (w world) established(addrs ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%v have sessions", addrs), func() error {
		var nodes []string
		for _, end := range w.connections() {
			nodes = append(nodes, end.Addr().String())
		}
		if !slices.Equal(nodes, addrs) {
			return fmt.Errorf("connections with %v", nodes)
		}
		return nil
	})
	for _, addr := range addrs {
		w.switchShows("show ip bgp neighbors "+addr, "BGP state = Established")
	}
}

// Sessions with a password, RFC 2385. A wrong one is told of; no password is
// told to anybody.
func authenticatedPeer(w world) {
	const right, wrong = "Sesame-open-7291", "Sesame-shut-3804"
	protected := func(password string) string {
		return strings.Replace(good, "  my-asn: 65211\n", "  my-asn: 65211\n  password: "+password+"\n", 1)
	}
	w.reconfigure("remote-as 65211", "remote-as 65211\n    password "+right)
	w.configure(protected(right))
	w.established(w.addrs()...)
	w.routed(lab.VIP, w.addrs()...)
	w.served(lab.VIP, 10)

	w.configure(protected(wrong))
	w.routed(lab.VIP)
	w.established()
	var said strings.Builder
	for _, n := range w.Topology().Nodes {
		w.measures(n.Name, n.Addr.String(), `metallb_bgp_session_up{peer="10.10.2.210:179"} 0`)
		w.shows(n.Name, []string{"10.10.2.210:179", "no answer"}, product, "status")
		for _, args := range [][]string{{"status"}, {"status", "--output=json"}, {"explain", "ng-svc"}} {
			out, err := w.Output(w.t.Context(), n.Name, append([]string{product}, args...)...)
			if err != nil {
				w.t.Fatal(err)
			}
			said.WriteString(out)
		}
	}
	for _, line := range []string{"show running-config", "show ip bgp neighbors", "show ip bgp neighbors | json"} {
		out, err := w.SwitchExec(w.t.Context(), line)
		if err != nil {
			w.t.Fatal(err)
		}
		said.WriteString(out)
	}
	said.WriteString(w.sh("kubectl get events -A -o yaml"))

	w.configure(protected(right))
	w.routed(lab.VIP, w.addrs()...)
	w.reconfigure()
	w.configure(good)
	w.routed(lab.VIP, w.addrs()...)

	logs := w.logs()
	if !strings.Contains(logs, "speaker started") {
		w.t.Error("the speakers' logs were not found")
	}
	for _, password := range []string{right, wrong} {
		if strings.Contains(said.String(), password) {
			w.t.Error("a status, an event or the switch tells a password")
		}
		if strings.Contains(logs, password) {
			w.t.Error("a log tells a password")
		}
	}
}

// logs is all that the programs in the lab have logged.
func (w world) logs() string {
	w.t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(w.Dir(), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // pods come and go
			return nil
		}
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(path, ".log") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			all.Write(text)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all.String()
}

// With the same AS on both ends: LOCAL_PREF is sent, no AS prepended, and the
// switch's own limit of paths holds.
func internalPeer(w world) {
	w.reconfigure("remote-as 65211", "remote-as 65210", "maximum-paths 3", "maximum-paths ibgp 2")
	internal := strings.Replace(good, "my-asn: 65211", "my-asn: 65210", 1) + "  bgp-advertisements:\n  - localpref: 250\n"
	w.configure(internal)
	w.established(w.addrs()...)
	w.eventually("the kernel has two next hops", func() error {
		if hops, err := w.hops(lab.VIP); err != nil || len(hops) != 2 {
			return fmt.Errorf("%v, %v", hops, err)
		}
		return nil
	})
	w.reconfigure("remote-as 65211", "remote-as 65210", "maximum-paths 3", "maximum-paths ibgp 3")
	w.established(w.addrs()...)
	w.routed(lab.VIP, w.addrs()...)
	w.switchShows("show ip route bgp", lab.VIP+"/32, ubest/mbest: 3/0", "[200/0]", "internal, tag 65210")
	w.switchShows("show ip bgp "+lab.VIP, "AS-Path: NONE, path sourced internal to AS", "localpref 250")
	w.served(lab.VIP, 10)
	w.reconfigure()
	w.configure(good)
	w.established(w.addrs()...)
}

// A profile of the ConfigMap has BFD watch the path. The hold time of three minutes
// could not be what takes a node without power out of the switch. Two seconds are
// enough for no session to fall because the machine is busy.
func watchedPeer(w world) {
	w.reconfigure("interface Ethernet1/1\n", "interface Ethernet1/1\n  bfd interval 100 min_rx 100 multiplier 20\n", "remote-as 65211", "remote-as 65211\n    bfd")
	watched := strings.Replace(good, "  my-asn: 65211\n", "  my-asn: 65211\n  hold-time: 180s\n  bfd-profile: fast\n", 1) + `bfd-profiles:
- name: fast
  receive-interval: 100
  transmit-interval: 100
  detect-multiplier: 20
`
	w.configure(watched)
	w.established(w.addrs()...)
	w.routed(lab.VIP, w.addrs()...)
	for _, n := range w.Topology().Nodes {
		w.shows(n.Name, []string{"Up, 2s"}, product, "status")
		w.measures(n.Name, n.Addr.String(), `metallb_bfd_session_up{peer="10.10.2.210"} 1`)
	}
	last := w.Topology().Nodes[len(w.Topology().Nodes)-1]
	if err := w.PowerOff(last.Name); err != nil {
		w.t.Fatal(err)
	}
	w.routed(lab.VIP, w.addrs()[:len(w.addrs())-1]...)
	w.switchShows("show ip bgp neighbors "+last.Addr.String(), "bfd session down")
	if err := w.PowerOn(last.Name); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Ready(w.t.Context(), last.Name); err != nil {
		w.t.Fatal(err)
	}
	w.routed(lab.VIP, w.addrs()...)
	w.reconfigure()
	w.configure(good)
	w.established(w.addrs()...)
}

// The controller dies while it gives addresses out: none is lost, none is given
// twice.
func controllerKilled(w world) {
	const services = 12
	var names, manifests []string
	for i := range services {
		names = append(names, fmt.Sprintf("burst-%d", i))
		manifests = append(manifests, balanced(names[i], "80", "", ""))
	}
	pod := "pod/metallb-system/" + w.component("metallb-system", "component=controller", "")
	w.apply(strings.Join(manifests[:services/2], "---\n"))
	restarted := w.kill(pod, controllerPort)
	given := map[string]string{"ng-svc": w.ingress("ng-svc")}
	for _, name := range names {
		if addr := w.sh("kubectl get svc " + name + " --ignore-not-found -o jsonpath={.status.loadBalancer.ingress[0].ip}"); addr != "" {
			given[name] = addr
		}
	}
	w.apply(strings.Join(manifests[services/2:], "---\n"))
	restarted()
	holder := map[string]string{}
	for _, name := range append([]string{"ng-svc"}, names...) {
		addr := w.allocated(name)
		if was := given[name]; was != "" && was != addr {
			w.t.Errorf("%s had %s, and has %s", name, was, addr)
		}
		if other, ok := holder[addr]; ok {
			w.t.Errorf("%s and %s have %s", other, name, addr)
		}
		holder[addr] = name
	}
	for addr := range holder {
		w.routed(addr, w.addrs()...)
	}
	w.remove(names...)
	for addr, name := range holder {
		if name != "ng-svc" {
			w.routed(addr)
		}
	}
}

// A speaker dies, again and again: its kernel closes the session, the switch goes
// on with the other paths, and the node's comes back with a successor.
func speakerKilled(w world) {
	node := w.Topology().Nodes[0]
	requests := w.asking()
	w.crash(node.Name, speakerPort)
	w.routed(lab.VIP, w.addrs()...)
	// The second time the kubelet makes a pause (CrashLoopBackOff).
	restarted := w.kill(node.Name, speakerPort)
	w.routed(lab.VIP, slices.DeleteFunc(w.addrs(), func(a string) bool { return a == node.Addr.String() })...)
	restarted()
	w.routed(lab.VIP, w.addrs()...)
	requests.answered(w.t, 4)
	if got := w.ingress("ng-svc"); got != lab.VIP {
		w.t.Errorf("the Service has %q", got)
	}
}

// A proxy dies: what it told the kernel stays, and so do connections.
func proxyKilled(w world) {
	node := w.Topology().Nodes[2]
	w.mirrors()
	w.apply(balanced("mirror", mirrorTCP, "", ""))
	vip := net.JoinHostPort(w.allocated("mirror"), mirrorTCP)
	calls := w.calls(vip, 12)
	before := w.rules(node.Name)
	requests := w.asking()
	restarted := w.kill(node.Name, proxyPort)
	if now := w.rules(node.Name); now != before {
		w.t.Errorf("without its proxy the kernel has\n%s\nit had\n%s", now, before)
	}
	calls.alive()
	restarted()
	calls.alive()
	w.remove("mirror")
	w.eventually("the proxy's successor takes the Service away", func() error {
		if strings.Contains(w.rules(node.Name), "default/mirror") {
			return errors.New("it is still there")
		}
		return nil
	})
	requests.answered(w.t, 0)
	w.meetsNobody(vip)
}

// rules is what the proxy told the kernel of a node, without counters, and
// without the API server's own Service: an API server that ends takes itself
// out of it.
func (w world) rules(node string) string {
	w.t.Helper()
	out, err := w.Output(w.t.Context(), node, "nft", "-s", "list", "table", "ip", "pharos")
	if err != nil {
		w.t.Fatal(err)
	}
	// Sets are listed in no particular order.
	elements := strings.FieldsFunc(out, func(r rune) bool { return strings.ContainsRune(",{}\n", r) })
	for i, e := range elements {
		elements[i] = strings.TrimSpace(e)
	}
	elements = slices.DeleteFunc(elements, func(e string) bool { return strings.HasPrefix(e, "10.233.0.1 .") })
	slices.Sort(elements)
	return strings.Join(elements, "\n")
}

// meetsNobody checks that nobody answers at an address any more.
func (w world) meetsNobody(addr string) {
	w.t.Helper()
	w.eventually("nobody answers at "+addr, func() error { return w.silent(lab.Client, addr, 3) })
}

// calls are conversations that go on.
type calls struct {
	w    world
	open []*call
}

// calls begins so many with the mirrors.
func (w world) calls(addr string, n int) calls {
	w.t.Helper()
	w.meetings(lab.Client, "tcp", addr, 10)
	ns, err := w.NS(lab.Client)
	if err != nil {
		w.t.Fatal(err)
	}
	all := calls{w: w}
	for range n {
		c, err := dial(w.t.Context(), ns, "tcp", addr)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { c.Close() })
		all.open = append(all.open, c)
	}
	return all
}

// alive checks that every one still goes on.
func (c calls) alive() {
	c.w.t.Helper()
	for i, call := range c.open {
		if err := call.alive(); err != nil {
			c.w.t.Errorf("call %d of %d, with %s, is lost: %v", i+1, len(c.open), call.pod, err)
		}
	}
}

// Without an API server all goes on, and parts that start again meanwhile tear
// nothing down: the proxy leaves the kernel as it finds it, the speaker, which
// can't know what to announce, leaves the traffic to the others. A Service that
// comes when the API server is back is served everywhere.
func restartedWithoutAPIServer(w world) {
	w.mirrors()
	w.apply(balanced("mirror", mirrorTCP, "", ""))
	vip := net.JoinHostPort(w.allocated("mirror"), mirrorTCP)
	calls := w.calls(vip, 12)
	requests := w.asking()
	node := w.Topology().Nodes[1]
	before := w.rules(node.Name)

	if err := w.StopAPIServer(); err != nil {
		w.t.Fatal(err)
	}
	w.crash(node.Name, proxyPort)
	calls.alive()
	w.routed(lab.VIP, w.addrs()...)
	w.shows(node.Name, []string{"Proxy on " + node.Name, "not yet known in full"}, product, "status")
	if now := w.rules(node.Name); now != before {
		w.t.Errorf("a proxy that knows nothing has made of the kernel's rules\n%s\nthey were\n%s", now, before)
	}
	w.crash(node.Name, speakerPort)
	others := slices.DeleteFunc(w.addrs(), func(a string) bool { return a == node.Addr.String() })
	w.routed(lab.VIP, others...)
	w.shows(node.Name, []string{"Speaker on " + node.Name, "not yet known in full"}, product, "status")
	w.served(lab.VIP, 20)
	w.routed(lab.VIP, others...)
	if now := w.rules(node.Name); now != before {
		w.t.Errorf("without an API server the kernel's rules have become\n%s\nthey were\n%s", now, before)
	}

	if err := w.StartAPIServer(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.apply(second)
	addr := w.allocated("second")
	w.routed(addr, w.addrs()...)
	w.served(addr, 10)
	requests.answered(w.t, 2)
	w.remove("second", "mirror")
	w.routed(addr)
}
