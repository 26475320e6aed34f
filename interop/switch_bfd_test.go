package interop

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/internal/localapi"
)

// build builds our program and returns its path.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pharos")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/pharoslb/pharos/cmd/pharos").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return path
}

// Two neighbors of a prefix, watched by BFD, and hold times of three minutes. The link
// to one is cut: its routes are out of the kernel as soon as BFD knows, although it
// restarts gracefully; when the link is back, so are they.
func TestSwitchWatchesPaths(t *testing.T) {
	need(t)
	l := newLab(t, 2)
	sw := l.nxos(build(t), l.sw, `feature bgp
feature bfd
hardware profile ecmp resilient
interface Ethernet1/1
  no switchport
  ip address 10.10.2.210/24
  bfd interval 100 min_rx 100 multiplier 30
  bfd authentication Keyed-SHA1 key-id 7 key Sesame
router bgp 65210
  router-id 1.1.1.1
  address-family ipv4 unicast
    maximum-paths 4
  neighbor 10.10.2.0/24 remote-as external
    bfd
    address-family ipv4 unicast
`)
	hold := 180 * time.Second
	var watchers []*detector
	for _, m := range l.nodes {
		n := l.serve(m, nil, m.peer(func(c *bgp.Config) {
			c.HoldTime, c.GracefulRestart = &hold, &bgp.GracefulRestart{Restart: time.Minute}
		}))
		n.announce("switch", incomplete, "172.19.100.1/32")
		watchers = append(watchers, l.detect(m, watched("switch", switch4, 100*ms, func(c *bfd.Config) {
			c.Auth = &bfd.Auth{Type: bfd.AuthKeyedSHA1, KeyID: 7, Key: "Sesame"}
		})))
	}
	both := []string{"10.10.2.112", "10.10.2.113"}
	l.wantKernel("172.19.100.1/32", both...)
	groups, err := l.sw.Output(t.Context(), "ip", "nexthop", "show")
	if l.must(err); !strings.Contains(groups, "type resilient") {
		t.Errorf("no resilient group:\n%s", groups)
	}
	for _, d := range watchers {
		d.agreed("switch", 100*ms)
	}
	sw.want("show bfd neighbors", `^10\.10\.2\.210     10\.10\.2\.112     \d+/\d+ +Up +\d+\(30\) +Up +Eth1/1 +default +SH`, `10\.10\.2\.113 .* Up `)
	sw.want("show bfd neighbors details", `^Session state is Up and not using echo function$`, `Authentication: keyed SHA-1`)
	sw.want("show ip bgp summary", `config peers 2, capable peers 2$`, `^\*10\.10\.2\.112 .* 1 +$`)
	sw.want("show ip bgp neighbors 10.10.2.112", `^BGP neighbor is 10\.10\.2\.112,  remote AS 65211, ebgp link`,
		`Inherits peer configuration from prefix 10\.10\.2\.0/24`, `BFD live-detection is configured and enabled, state is Up`,
		`Restart time advertised to peer: 120 seconds`, `Restart time advertised by peer: 60 seconds`)

	for range 2 {
		cut := time.Now()
		l.must(l.segment.Down("port112"))
		l.wantKernel("172.19.100.1/32", "10.10.2.113")
		t.Logf("out of the kernel %v after the link was cut, as far as dumps can tell", time.Since(cut).Round(time.Millisecond))
		sw.want("show ip bgp neighbors 10.10.2.112", `Last reset by us .*, due to bfd session down$`, `state is Down`)
		l.must(l.segment.Up("port112"))
		l.wantKernel("172.19.100.1/32", both...)
		sw.want("show bfd neighbors", `10\.10\.2\.112 .* Up +\d+\(30\) +Up `) // which takes longer than BGP
	}
	// The other neighbor's session never ended.
	sw.want("show ip bgp neighbors 10.10.2.113", `Connections established 1, dropped 0$`)

	var status struct {
		BFD []struct {
			Neighbor, State string
			DetectionTime   time.Duration
			Downs           uint64
		}
	}
	l.must(localapi.Get(t.Context(), sw.sock, "/v1/status", &status))
	if len(status.BFD) != 2 || status.BFD[0].Neighbor != both[0] || status.BFD[0].State != "Up" || status.BFD[0].Downs != 2 || status.BFD[1].DetectionTime != multiplier*100*ms {
		t.Errorf("status: %+v", status.BFD)
	}
}

// A neighbor on a cable without addresses: it is found, IPv4 routes go by its
// link-local address, and BFD watches it there.
func TestSwitchFindsNeighbors(t *testing.T) {
	need(t)
	l := newLab(t, 1)
	node := l.nodes[0]
	l.cable(l.sw, "Ethernet1-2", node, "up1")
	conf := `interface Ethernet1/1
  no switchport
  ip address 10.10.2.210/24
interface Ethernet1/2
  no switchport
  ip forward
  ipv6 address use-link-local-only
  bfd interval 200 min_rx 200 multiplier 10
router bgp 65210
  router-id 1.1.1.1
  address-family ipv4 unicast
  address-family ipv6 unicast
  neighbor Ethernet1/2 remote-as external
    ttl-security hops 1
    password 0 Sesame
    bfd
    address-family ipv4 unicast
    address-family ipv6 unicast
`
	sw := l.nxos(build(t), l.sw, conf)
	n := l.unnumbered(node, node.link("up1", nodeAS, switchAS, func(c *bgp.Config) {
		c.Password, c.Passive = "Sesame", true // no two connections at once
	}))
	n.announce("up1", incomplete, "172.19.100.1/32", "2001:db8:100::1/128")
	hop := l.linkLocal(node, "up1").String()
	l.detect(node, bfd.Config{
		Name: "switch", Remote: l.linkLocal(l.sw, "Ethernet1-2").WithZone("up1"),
		Profile: bfd.Profile{ReceiveInterval: 200 * ms, TransmitInterval: 200 * ms, DetectMultiplier: 10},
	})
	routes := func(want bool) {
		t.Helper()
		l.eventually(fmt.Sprintf("routes in the kernel: %v", want), func() error {
			for _, args := range []string{"-4 route show 172.19.100.1", "-6 route show 2001:db8:100::1"} {
				out, err := l.sw.Output(t.Context(), "ip", strings.Fields(args)...)
				if err != nil {
					return err
				}
				if got := strings.Contains(out, "via "+hop) || strings.Contains(out, "via inet6 "+hop); got != want {
					return fmt.Errorf("ip %s: %q, want a route by %s: %v", args, out, hop, want)
				}
			}
			return nil
		})
	}
	routes(true)
	sw.want("show ip bgp summary", `^Eth1/2 +4 65211 .* 1 +$`)
	sw.want("show ip bgp neighbors Ethernet1/2", `^BGP neighbor is Eth1/2,  remote AS 65211, ebgp link`,
		`Peer is directly attached, interface Ethernet1/2$`, `TTL security is enabled`, `TCP MD5 authentication is enabled`,
		`Extended Next Hop Encoding Capability: advertised received`, `BFD live-detection is configured and enabled, state is Up`)
	sw.want("show ip interface brief", `^Eth1/2 +forward-enabled protocol-up/link-up/admin-up$`)
	sw.want("show ip route bgp", `^    \*via `+hop+`, Eth1/2, \[20/0\], `)
	sw.want("show bfd neighbors", ` `+hop+` .* Up +Eth1/2 `)
	if out := sw.want("clear ip bgp Ethernet1/2 soft in", ""); out != "" {
		t.Errorf("clear said %q", out)
	}
	sw.want("show ip bgp neighbors Ethernet1/2", `Route Refresh: +1 +\d+$`, `Connections established 1, dropped 0$`)

	// The other end of the cable stops answering, with the cable in place.
	far, err := node.Link().LinkByName("up1")
	l.must(err)
	filter := &netlink.GenericQdisc{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: far.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}, QdiscType: "blackhole"}
	l.must(node.Link().QdiscAdd(filter))
	routes(false)
	sw.want("show ip bgp neighbors Ethernet1/2", `Last reset by us .*, due to bfd session down$`)
	l.must(node.Link().QdiscDel(filter))
	routes(true)

	// The cable is cut and healed.
	l.must(node.Down("up1"))
	routes(false)
	l.must(node.Up("up1"))
	routes(true)

	// The operator ends BFD, and the session does not notice.
	sw.want("show bfd neighbors", ` Up +Eth1/2 `)
	before := sw.want("show ip bgp neighbors | include established", `Connections established`)
	l.must(os.Rename(l.file("switch.new", strings.Replace(conf, "    bfd\n", "", 1)), sw.conf), sw.cmd.Process.Signal(syscall.SIGHUP))
	sw.want("show running-config | include bfd | count", `^2$`)
	sw.want("show bfd neighbors | count", `^2$`)
	if after := sw.want("show ip bgp neighbors | include established", `Connections established`); after != before {
		t.Errorf("%q, then %q", before, after)
	}
}

// The switch's echo function: the neighbor is FRR, whose kernel sends the echoes back.
// The session stays up by them, and they find a cut.
func TestSwitchEchoes(t *testing.T) {
	need(t, "vtysh", frrLib+"/bfdd")
	l := newLab(t, 1)
	node := l.nodes[0] // the lab runs daemons at the switch's address; here that is a node's
	l.must(l.sw.Sysctl("net.ipv4.ip_forward", "1"))
	l.bfdd(fmt.Sprintf("bfd\n profile p\n  receive-interval 200\n  transmit-interval 200\n exit\n peer %v local-address %v interface eth0\n  profile p\n  no shutdown\n exit\n", node.v4, switch4))
	s := l.serve(l.sw, []netip.AddrPort{netip.AddrPortFrom(switch4, bgp.Port)}, bgp.Config{
		Name: "switch", LocalAS: nodeAS, RemoteAS: switchAS, RouterID: switch4, RemoteAddr: node.v4, Passive: true,
	})
	s.announce("switch", incomplete, "172.19.100.1/32")
	sw := l.nxos(build(t), node, `interface Ethernet1/1
  no switchport
  ip address 10.10.2.112/24
  bfd interval 200 min_rx 200 multiplier 10
  bfd echo
router bgp 65210
  router-id 1.1.1.1
  address-family ipv4 unicast
  neighbor 10.10.2.210 remote-as 65211
    bfd
    address-family ipv4 unicast
`)
	sw.want("show bfd neighbors details", `^Session state is Up and using echo function with \d+ ms interval$`)
	sw.want("show ip bgp summary", `^10\.10\.2\.210 .* 1 +$`)
	echoes := func() (n uint64) {
		var status struct {
			BFD []struct{ EchoesReceived, Downs uint64 }
		}
		l.must(localapi.Get(t.Context(), sw.sock, "/v1/status", &status))
		if len(status.BFD) != 1 {
			t.Fatalf("status: %+v", status.BFD)
		}
		return status.BFD[0].EchoesReceived
	}
	l.eventually("a hundred echoes", func() error {
		if n := echoes(); n < 100 {
			return fmt.Errorf("%d are back", n)
		}
		return nil
	})
	l.must(l.segment.Down("port210"))
	sw.want("show ip bgp neighbors", `Last reset by us .*, due to bfd session down$`)
	sw.want("show bfd neighbors details", `^Down reason: (echo failed|detection time expired)$`)
}
