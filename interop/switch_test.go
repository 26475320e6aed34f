package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

// TestSwitch tests our switch as a process of its own, built for it.
func TestSwitch(t *testing.T) {
	t.Parallel()
	need(t, "dumpcap", "tshark")
	program := build(t)
	for name, test := range map[string]func(*testing.T, string){
		"walkthrough":           switchWalkthrough,
		"takes over":            switchTakesOver,
		"reload":                switchReload,
		"avoids a dead node":    switchAvoidsADeadNode,
		"hears":                 switchHearsDaemons,
		"keeps long-lived":      switchKeepsLongLived,
		"loses 10,000 of three": switchLosesOneOfThree,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, program)
		})
	}
}

// nxos is our switch, a process on a machine of the lab.
type nxos struct {
	l    *lab
	m    machine
	path string // of the program
	conf string
	sock string
	cmd  *exec.Cmd
	done chan struct{}
	log  record
}

// record keeps what a process says, for readers while it runs.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// nxos starts our switch with a configuration and waits until it answers.
func (l *lab) nxos(program string, m machine, conf string) *nxos {
	l.t.Helper()
	s := &nxos{l: l, m: m, path: program, conf: l.file("switch.conf", conf), sock: filepath.Join(l.dir, "switch.sock")}
	s.start()
	l.t.Cleanup(func() { s.end(syscall.SIGKILL) })
	return s
}

func (s *nxos) start() {
	s.l.t.Helper()
	out := &s.log
	s.cmd = exec.Command(s.path, "switch", "run", "--config", s.conf, "--socket", s.sock, "--interface", "Ethernet1/1=eth0")
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.l.must(s.m.Start(s.cmd))
	done := make(chan struct{})
	s.done = done
	cmd := s.cmd
	go func() {
		cmd.Wait()
		if s.l.t.Failed() {
			s.l.t.Logf("the switch said:\n%s", out.String())
		}
		close(done)
	}()
	s.l.eventually("the switch's command line", func() error {
		_, err := s.ask("show hostname")
		return err
	})
}

// end signals the switch and waits for its end.
func (s *nxos) end(sig os.Signal) {
	s.cmd.Process.Signal(sig)
	<-s.done
}

func (s *nxos) ask(line string) (string, error) {
	ctx, cancel := context.WithTimeout(s.l.t.Context(), 20*time.Second)
	defer cancel()
	return s.m.Output(ctx, s.cmd.Path, "switch", "exec", "--socket", s.sock, line)
}

// want waits for an answer to match every pattern.
func (s *nxos) want(line string, patterns ...string) string {
	s.l.t.Helper()
	var out string
	s.l.eventually(line, func() (err error) {
		if out, err = s.ask(line); err != nil {
			return err
		}
		for _, p := range patterns {
			if !regexp.MustCompile("(?m)" + p).MatchString(out) {
				return fmt.Errorf("no %q in:\n%s", p, out)
			}
		}
		return nil
	})
	return out
}

// walkthrough is the walk-through's configuration, without its client's side.
func walkthrough(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../examples/walkthrough/switch.conf")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), "interface Ethernet1/2")
	_, after, _ := strings.Cut(rest, "router bgp")
	return before + "router bgp" + after
}

var incomplete = &bgp.Attrs{Origin: wire.OriginIncomplete}

// The walk-through's steps 5, 7 and 10, on the wire and in the kernel.
func switchWalkthrough(t *testing.T, program string) {
	l := newLab(t, 3)
	defer l.capture(onSegment).check("bgp")
	sw := l.nxos(program, l.sw, walkthrough(t))
	var nodes []*speaker
	for _, m := range l.nodes {
		nodes = append(nodes, l.serve(m, nil, m.peer()))
	}
	sw.want("sh ip bgp sum", `config peers 3, capable peers 3$`,
		`^10\.10\.2\.112     4 65211 +\d+ +\d+ +\d+ +0    0 00:0\d:\d\d 0 `)
	for i, n := range nodes {
		n.announce("switch", incomplete, "172.19.100.1/32")
		l.wantKernel("172.19.100.1/32", []string{"10.10.2.112", "10.10.2.113", "10.10.2.114"}[:i+1]...)
	}
	sw.want("show ip bgp",
		`^\*>e +10\.10\.2\.112 {36} {0,1}0 65211 \?$`, `^\*\|e +10\.10\.2\.113 `, `^\*\|e172\.19\.100\.1/32    10\.10\.2\.114 `)
	sw.want("show ip route bgp", `^172\.19\.100\.1/32, ubest/mbest: 3/0$`, `^    \*via 10\.10\.2\.112, \[20/0\], \d\d:\d\d:\d\d, bgp-65210, external, tag 65211$`)
	out, err := l.sw.Output(t.Context(), "ip", "route", "show", "172.19.100.1")
	l.must(err)
	if !strings.Contains(out, "proto 179") || strings.Count(out, "nexthop via 10.10.2.11") != 3 {
		t.Errorf("the kernel's route:\n%s", out)
	}
	for key, want := range map[string]string{"ip_forward": "1", "fib_multipath_hash_policy": "1", "fib_multipath_use_neigh": "1"} {
		got, err := l.sw.Output(t.Context(), "cat", "/proc/sys/net/ipv4/"+key)
		if l.must(err); strings.TrimSpace(got) != want {
			t.Errorf("%s is %q", key, got)
		}
	}

	// The node with the best path goes; its path is shown as deleted.
	nodes[0].stop()
	l.wantKernel("172.19.100.1/32", "10.10.2.113", "10.10.2.114")
	sw.want("show ip bgp", `^x e +10\.10\.2\.112 `, `^\*>e +10\.10\.2\.113 `)
	sw.want("show ip bgp sum", `capable peers 2$`, `^10\.10\.2\.112 .*(Idle|Active|Connect) *$`)
	sw.want("show ip bgp neighbors 10.10.2.112", `Last reset by peer .*, due to administratively shutdown$`, `Connections established 1, dropped 1$`)

	// And comes back.
	back := l.serve(l.nodes[0], nil, l.nodes[0].peer())
	back.announce("switch", incomplete, "172.19.100.1/32")
	l.wantKernel("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114")
	if out := sw.want("show ip bgp", `^\*\|e172\.19\.100\.1/32    10\.10\.2\.112 `, `^\*>e +10\.10\.2\.113 `); strings.Contains(out, "\nx") {
		t.Errorf("a path is still deleted:\n%s", out)
	}

	var answer struct {
		Vrf struct {
			Row struct {
				Af struct {
					Row struct {
						Prefix struct {
							Row struct {
								Hops string `json:"ucast-nhops"`
							} `json:"ROW_prefix"`
						} `json:"TABLE_prefix"`
					} `json:"ROW_addrf"`
				} `json:"TABLE_addrf"`
			} `json:"ROW_vrf"`
		} `json:"TABLE_vrf"`
	}
	text, err := sw.ask("sh ip route bgp | json")
	l.must(err, json.Unmarshal([]byte(text), &answer))
	if got := answer.Vrf.Row.Af.Row.Prefix.Row.Hops; got != "3" {
		t.Errorf("ucast-nhops %q in %s", got, text)
	}
	if out, err := sw.ask("show ip bgp nonsense"); err == nil || !strings.Contains(err.Error(), "\n            ^\n% Invalid command at '^' marker.") {
		t.Errorf("an invalid command: %q, %v", out, err)
	}

	// The switch ends in good order: its routes go.
	sw.end(syscall.SIGTERM)
	l.wantKernel("172.19.100.1/32")
}

// A switch that is killed leaves its routes; the next run takes them over, without
// a gap for those that are announced again, and removes the rest.
func switchTakesOver(t *testing.T, program string) {
	l := newLab(t, 3)
	defer l.capture(onSegment).check("bgp")
	sw := l.nxos(program, l.sw, walkthrough(t))
	var nodes []*speaker
	for _, m := range l.nodes {
		n := l.serve(m, nil, m.peer())
		n.announce("switch", incomplete, "172.19.100.1/32", "172.19.100.2/32")
		nodes = append(nodes, n)
	}
	all := []string{"10.10.2.112", "10.10.2.113", "10.10.2.114"}
	l.wantKernel("172.19.100.1/32", all...)
	l.wantKernel("172.19.100.2/32", all...)
	_, err := l.sw.Output(t.Context(), "ip", "route", "add", "198.51.100.0/24", "via", "10.10.2.113", "proto", "static")
	l.must(err)
	sw.end(syscall.SIGKILL)
	for _, n := range nodes {
		n.announce("switch", nil, "172.19.100.2/32")
	}
	// Whoever watches the route sees no removal.
	ctx, cancel := context.WithCancel(t.Context())
	monitor := exec.CommandContext(ctx, "ip", "-o", "monitor", "route")
	var seen bytes.Buffer
	monitor.Stdout = &seen
	l.must(l.sw.Start(monitor))
	sw.start()
	l.wantKernel("172.19.100.2/32")
	l.wantKernel("172.19.100.1/32", all...)
	l.wantKernel("198.51.100.0/24", "10.10.2.113")
	cancel()
	monitor.Wait()
	if strings.Contains(seen.String(), "Deleted 172.19.100.1 ") || !strings.Contains(seen.String(), "Deleted 172.19.100.2 ") {
		t.Errorf("the kernel's changes were\n%s", seen.String())
	}
}

// SIGHUP: a bad file changes nothing, a good one only what it says.
func switchReload(t *testing.T, program string) {
	l := newLab(t, 3)
	defer l.capture(onSegment).check("bgp")
	sw := l.nxos(program, l.sw, walkthrough(t))
	var nodes []*speaker
	for _, m := range l.nodes {
		n := l.serve(m, nil, m.peer())
		n.announce("switch", incomplete, "172.19.100.1/32")
		n.heard.WaitUp(t, "switch", 1)
		nodes = append(nodes, n)
	}
	all := []string{"10.10.2.112", "10.10.2.113", "10.10.2.114"}
	l.wantKernel("172.19.100.1/32", all...)
	reload := func(conf string) {
		t.Helper()
		l.must(os.Rename(l.file("switch.new", conf), sw.conf), sw.cmd.Process.Signal(syscall.SIGHUP))
	}
	refused := func(what string) {
		t.Helper()
		l.eventually("the refusal", func() error {
			if log := sw.log.String(); !strings.Contains(log, "the old one stays in force") || !strings.Contains(log, what) {
				return fmt.Errorf("no refusal with %q in:\n%s", what, log)
			}
			return nil
		})
	}
	reload(strings.Replace(walkthrough(t), "maximum-paths 3", "maximum-paths 1\n  nonsense here", 1))
	refused(`switch.conf:10: \"nonsense\" is not understood`)
	reload("! somebody emptied the file\n")
	refused("nothing is configured")
	reload("hostname reloaded\n" + walkthrough(t))
	sw.want("show hostname", "^reloaded$")
	l.wantKernel("172.19.100.1/32", all...)

	reload(strings.Replace(walkthrough(t), "maximum-paths 3", "maximum-paths 2", 1))
	l.eventually("two next hops", func() error {
		hops, err := l.kernel("172.19.100.1/32")
		if err == nil && len(hops) != 2 {
			err = fmt.Errorf("next hops %v", hops)
		}
		return err
	})
	reload(strings.Replace(walkthrough(t), "neighbor 10.10.2.114\n", "neighbor 10.10.2.114\n    password Sesame\n", 1))
	l.must(nodes[2].SetPeers([]bgp.Config{l.nodes[2].peer(func(c *bgp.Config) { c.Password = "Sesame" })}))
	nodes[2].heard.WaitUp(t, "switch", 2)
	l.wantKernel("172.19.100.1/32", all...)
	sw.want("show ip bgp neighbors 10.10.2.114", "TCP MD5 authentication is enabled")
	if out := sw.want("show running-config", "password 3"); strings.Contains(out, "Sesame") {
		t.Error("the password is shown")
	}
	for i, n := range nodes[:2] {
		if h := n.heard.Heard("switch"); h.Ups != 1 || !h.Up {
			t.Errorf("the session with node %d was touched: %v", i+1, h.Story)
		}
	}
}

// A node that is gone without a word is avoided by the kernel as soon as it does not
// answer ARP, long before the hold time is over.
func switchAvoidsADeadNode(t *testing.T, program string) {
	l := newLab(t, 3)
	defer l.capture(onSegment).check("bgp")
	sw := l.nxos(program, l.sw, walkthrough(t))
	hold := 180 * time.Second
	for _, m := range l.nodes {
		n := l.serve(m, nil, m.peer(func(c *bgp.Config) { c.HoldTime = &hold }))
		n.announce("switch", incomplete, "172.19.100.1/32")
	}
	l.wantKernel("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114")
	// Forty connections' first packets, so that the kernel looks for the neighbors,
	// and where it sends each of them.
	chosen := func() map[string]int {
		var ask strings.Builder
		for port := 40000; port < 40040; port++ {
			l.must(l.sw.Do(func() error {
				conn, err := net.DialUDP("udp4", &net.UDPAddr{Port: port}, &net.UDPAddr{IP: net.IPv4(172, 19, 100, 1), Port: 80})
				if err != nil {
					return err
				}
				conn.Write([]byte("x")) // may report that the last one was refused
				return conn.Close()
			}))
			fmt.Fprintf(&ask, "route get 172.19.100.1 ipproto udp sport %d dport 80\n", port)
		}
		out, err := l.sw.Output(t.Context(), "ip", "-batch", l.file("ask", ask.String()))
		l.must(err)
		hops := map[string]int{}
		for line := range strings.Lines(out) {
			if words := strings.Fields(line); len(words) > 2 && words[1] == "via" {
				hops[words[2]]++
			}
		}
		return hops
	}
	if before := chosen(); len(before) != 3 {
		t.Fatalf("connections go to %v, want three nodes", before)
	}
	l.must(l.segment.Delete("port112"))
	cut := time.Now()
	l.eventually("no connection goes to the dead node", func() error {
		if now := chosen(); now["10.10.2.112"] > 0 || len(now) != 2 {
			return fmt.Errorf("connections go to %v", now)
		}
		return nil
	})
	t.Logf("avoided after %v", time.Since(cut))
	sw.want("show ip bgp sum", "capable peers 3$")
}

// Every daemon as the origin: a signed session over IPv4 and one over IPv6, each
// with the routes of its family, in the kernel and in what the switch shows.
func switchHearsDaemons(t *testing.T, program string) {
	for _, x := range daemons {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			need(t, x.programs...)
			l := newLab(t, 1)
			defer l.capture(onSegment).check("bgp")
			us := l.nodes[0] // the lab runs daemons at the switch's address; here that is a node's
			d := x.make(l)
			over4 := neighbor{name: "over4", local: switch4, remote: us.v4, as: nodeAS, password: "Sesame"}
			d.start([]neighbor{
				over4,
				{name: "over6", local: switch6, remote: us.v6, as: nodeAS},
			})
			for _, r := range []route{
				{prefix: netip.MustParsePrefix("198.18.1.1/32")},
				{prefix: netip.MustParsePrefix("198.18.2.0/24"), med: 77, communities: []string{"65210:1"}},
				{prefix: netip.MustParsePrefix("2001:db8:ffff::1/128")},
			} {
				l.must(d.originate(r))
			}
			sw := l.nxos(program, us, `interface Ethernet1/1
  no switchport
  ip address 10.10.2.112/24
  ipv6 address 2001:db8:2::112/64
  no shutdown
router bgp 65211
  router-id 2.2.2.2
  timers bgp 3 9
  no graceful-restart
  address-family ipv4 unicast
  address-family ipv6 unicast
  neighbor 10.10.2.210 remote-as 65210
    password 0 Sesame
    address-family ipv4 unicast
      maximum-prefix 2
  neighbor 2001:db8:2::210
    remote-as 65210
    address-family ipv6 unicast
`)
			us.wantRoute(l, "198.18.1.1", "via 10.10.2.210 dev eth0")
			us.wantRoute(l, "198.18.2.0/24", "via 10.10.2.210 dev eth0")
			us.wantRoute(l, "2001:db8:ffff::1", "via 2001:db8:2::210 dev eth0")
			sw.want("show ip bgp", `^\*>e198\.18\.1\.1/32 +10\.10\.2\.210 .* 65210 [i?]$`, `^\*>e198\.18\.2\.0/24 +10\.10\.2\.210 +77 +0 65210 [i?]$`)
			sw.want("show ip bgp 198.18.2.0/24", `MED 77, localpref 100`, `Community: 65210:1$`)
			sw.want("show bgp ipv6 unicast summary", `^2001:db8:2::210 +4 65210 .* 1 *$`)
			sw.want("show ip route bgp", `\[20/77\]`)
			sw.want("show ip bgp neighbors 10.10.2.210", "TCP MD5 authentication is enabled", "hold time = 9, keepalive interval is 3 seconds")

			l.must(d.withdraw(netip.MustParsePrefix("198.18.1.1/32")))
			us.wantRoute(l, "198.18.1.1", "")
			sw.want("show ip bgp summary", ` 1 *$`)

			// More than maximum-prefix.
			for _, p := range []string{"198.18.3.0/24", "198.18.4.0/24"} {
				l.must(d.originate(route{prefix: netip.MustParsePrefix(p)}))
			}
			us.wantRoute(l, "198.18.2.0/24", "")
			l.wantWords(d, over4, tooMany[x.name])
			sw.want("show ip bgp summary", `^10\.10\.2\.210 .* Idle \(PfxCt\) *$`)
			d.kill() // FRR's routes would be kept otherwise, as it restarts gracefully
			us.wantRoute(l, "2001:db8:ffff::1", "")
		})
	}
}

// 10,000 routes of three origins; one closes its session. How long it takes until
// no route uses it is printed, not judged.
func switchLosesOneOfThree(t *testing.T, program string) {
	l := newLab(t, 3)
	defer l.capture(onSegment).check("bgp")
	sw := l.nxos(program, l.sw, walkthrough(t))
	const n = 10_000
	var nodes []*speaker
	for _, m := range l.nodes {
		s := l.serve(m, nil, m.peer())
		var table []bgp.Change
		for i := range n {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 20, byte(i >> 8), byte(i)}), 32)
			table = append(table, bgp.Change{Peer: "switch", Prefix: p, Attrs: incomplete})
		}
		s.Apply(table)
		nodes = append(nodes, s)
	}
	// The kernel's routes by how many next hops they have; and how many use the first
	// node.
	count := func() (routes, three, first int) {
		list, err := l.sw.Link().RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: 179}, netlink.RT_FILTER_PROTOCOL)
		l.must(err)
		for _, r := range list {
			if len(r.MultiPath) == 3 {
				three++
			}
			if strings.Contains(r.String(), "10.10.2.112") {
				first++
			}
		}
		return len(list), three, first
	}
	began := time.Now()
	l.eventually("all routes by three next hops", func() error {
		if routes, three, _ := count(); routes != n || three != n {
			return fmt.Errorf("%d routes, %d of them by three next hops", routes, three)
		}
		return nil
	})
	t.Logf("3 × %d routes are in the kernel after %v", n, time.Since(began).Round(time.Millisecond))
	began = time.Now()
	nodes[0].stop()
	l.eventually("no route by the first node", func() error {
		if routes, _, first := count(); routes != n || first > 0 {
			return fmt.Errorf("%d routes, %d of them by the first node", routes, first)
		}
		return nil
	})
	t.Logf("no route uses the lost node %v after its goodbye, as far as dumps can tell", time.Since(began).Round(time.Millisecond))
	sw.want("show ip bgp sum", fmt.Sprintf("^%d network entries and %d paths", n, 3*n), "capable peers 2$")
}
