package demo

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/internal/lab"
)

var plan = lab.Walkthrough()

// check fails unless err is nil, or holds the text that is wanted of it.
func check(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got %q", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestEstablished(t *testing.T) {
	const summary = `BGP summary information for VRF default, address family IPv4 Unicast
BGP router identifier 1.1.1.1, local AS number 65210

Neighbor        V    AS MsgRcvd MsgSent   TblVer  InQ OutQ Up/Down  State/PfxRcd
10.10.2.112     4 65211    1764    1773       42    0    0 00:00:30 1
10.10.2.113     4 65211    2132    2151       42    0    0 00:00:30 1
10.10.2.114     4 65211    1198    1208       42    0    0 00:00:30 1
`
	check(t, established(summary, plan, 1), "")
	check(t, established(summary, plan, 0), `State/PfxRcd is "1"`)
	check(t, established(strings.Replace(summary, "00:00:30 1", "00:00:30 Idle", 1), plan, 1), "Idle")
	check(t, established(strings.Replace(summary, "10.10.2.113 ", "10.10.2.115 ", 1), plan, 1), "10.10.2.113")
	check(t, established("", plan, 0), "10.10.2.112")
}

func TestExchanged(t *testing.T) {
	const out = "  Opens:                         1                  1\n  Opens:                         2                  1\n"
	check(t, exchanged(out, "Opens", 2), "")
	check(t, exchanged(out, "Opens", 3), "2 neighbors")
	check(t, exchanged(strings.Replace(out, "2", "0", 1), "Opens", 2), "not exchanged")
}

const before = `BGP routing table information for VRF default, address family IPv4 Unicast
BGP table version is 45, Local Router ID is 1.1.1.1
Status: s-suppressed, x-deleted, S-stale, d-dampened, h-history, *-valid, >-best
Path type: i-internal, e-external, c-confed, l-local, a-aggregate, r-redist, I-injected
Origin codes: i - IGP, e - EGP, ? - incomplete, | - multipath, & - backup

   Network            Next Hop            Metric     LocPrf     Weight Path
*|e172.19.100.1/32    10.10.2.113                                     0 65211 ?
*>e                   10.10.2.112                                     0 65211 ?
*|e                   10.10.2.114                                     0 65211 ?
*>e172.19.100.2/32    10.10.2.115                                     0 65211 ?
`

const after = `   Network            Next Hop            Metric     LocPrf     Weight Path
*>e172.19.100.1/32    10.10.2.113                                     0 65211 ?
x e                   10.10.2.112                                     0 65211 ?
*|e                   10.10.2.114                                     0 65211 ?
`

func TestBGPPaths(t *testing.T) {
	want := map[string]string{"10.10.2.112": "*>e", "10.10.2.113": "*|e", "10.10.2.114": "*|e"}
	if got := bgpPaths(before); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	check(t, withoutPath(after, plan.Nodes[0]), "")
	check(t, withoutPath(before, plan.Nodes[0]), "still has a valid path")
	check(t, withoutPath(after, plan.Nodes[2]), "still has a valid path")
	check(t, withoutPath("", plan.Nodes[0]), "no best path")
}

func TestHops(t *testing.T) {
	const multipath = "172.19.100.1 nhid 1342177281 proto 179 metric 2179 \n\tnexthop via 10.10.2.113 dev Ethernet1-1 weight 1 \n\tnexthop via 10.10.2.112 dev Ethernet1-1 weight 1 \n"
	const single = "172.19.100.1 via 10.10.2.112 dev Ethernet1-1 proto 179 metric 2179 \n"
	check(t, hops(multipath, []string{"10.10.2.112", "10.10.2.113"}), "")
	check(t, hops(multipath, []string{"10.10.2.112"}), "next hops")
	check(t, hops(single, []string{"10.10.2.112"}), "")
	check(t, hops("", []string{"10.10.2.112"}), "0 routes")
	check(t, hops(single+single, []string{"10.10.2.112", "10.10.2.112"}), "2 routes")
}

func TestTranslations(t *testing.T) {
	const listing = `10.233.63.68 . tcp . 80 . 0x00000000 : 10.233.119.2 . 80
10.233.63.68 . tcp . 80 . 0x00000001 : 10.233.93.2 . 80
172.19.100.1 . tcp . 80 . 0x00000000 : 10.233.119.2 . 80
172.19.100.1 . tcp . 80 . 0x00000001 : 10.233.93.2 . 80
`
	addrs, backends := []string{"10.233.63.68", "172.19.100.1"}, []string{"10.233.119.2", "10.233.93.2"}
	check(t, translations(listing, addrs, backends), "")
	check(t, translations(listing, addrs, append(backends, "10.233.99.2")), "leads to")
	check(t, translations(strings.Replace(listing, "10.233.93.2 . 80", "10.233.93.2 . 81", 1), addrs, backends), "not asked for")
	check(t, translations("", addrs, backends), "leads to []")
}

func TestReported(t *testing.T) {
	var events string
	for _, n := range plan.Nodes {
		events += n.Name + "   net.ipv4.conf.all.arp_ignore was 0: why; it was corrected as by: sysctl -w net.ipv4.conf.all.arp_ignore=1\n"
		events += n.Name + "   net.ipv4.conf.all.arp_announce was 0: why; it was corrected as by: sysctl -w net.ipv4.conf.all.arp_announce=2\n"
	}
	check(t, reported(events, plan), "")
	check(t, reported(strings.Replace(events, "cy01-net113   net.ipv4.conf.all.arp_announce was 0", "cy01-net113   net.ipv4.conf.all.arp_announce was 1", 1), plan), "arp_announce on cy01-net113")
	check(t, reported("", plan), "nothing is said")
}

func TestWrap(t *testing.T) {
	if got := wrap("one two three", 7); !slices.Equal(got, []string{"one two", "three"}) {
		t.Errorf("got %q", got)
	}
}

func TestAnswers(t *testing.T) {
	pods := []string{"a", "b", "c"}
	check(t, allAnswered("     20 a\n     21 b\n     19 c\n", 60, pods), "")
	check(t, allAnswered("     20 a\n     21 b\n     18 c\n      1 failed\n", 60, pods), "59 of 60")
	check(t, allAnswered("     20 a\n     21 b\n     18 c\n      1 elsewhere\n", 60, pods), "59 of 60")
	check(t, allAnswered("     60 a\n", 60, pods), "no answer of pod b")
	check(t, allAnswered("<html>\n", 60, pods), "no pod's name")
	check(t, noneFailed("     30 a\n     30 b\n", 60), "")
	check(t, noneFailed("     30 a\n     29 b\n      1 failed\n", 60), "59 of 60")
}

func TestListening(t *testing.T) {
	const all = `udp   UNCONN 0      0          10.10.2.112:7946      0.0.0.0:*
tcp   LISTEN 0      4096       10.10.2.112:7946      0.0.0.0:*
tcp   LISTEN 0      4096                 *:7472            *:*
`
	check(t, listening(all), "")
	check(t, listening(strings.Replace(all, "udp", "tcp", 1)), "udp 7946")
	check(t, listening(strings.Replace(all, ":7472", ":7473", 1)), "tcp 7472")
}

func TestOnePerNode(t *testing.T) {
	const pods = `NAME                          READY   STATUS    RESTARTS   AGE   IP             NODE          NOMINATED NODE   READINESS GATES
controller-7d8f6c5b9d-abcde   1/1     Running   0          5s    10.233.93.2    cy01-net112   <none>           <none>
speaker-11111                 1/1     Running   0          5s    10.10.2.112    cy01-net112   <none>           <none>
speaker-22222                 1/1     Running   0          5s    10.10.2.113    cy01-net113   <none>           <none>
speaker-33333                 1/1     Running   0          5s    10.10.2.114    cy01-net114   <none>           <none>
`
	check(t, onePerNode(pods, plan), "")
	check(t, onePerNode(strings.Replace(pods, "10.10.2.114    cy01-net114", "10.10.2.113    cy01-net113", 1), plan), "2 speakers on cy01-net113")
	check(t, onePerNode(strings.Replace(pods, "1/1", "0/1", 1), plan), "0/1 ready")
	check(t, onePerNode(strings.Replace(pods, "controller-", "other-", 1), plan), "0 controllers")
}

func TestConnections(t *testing.T) {
	const out = "0      0          10.10.2.210:179    10.10.2.112:41234\n0      0          10.10.2.210:179    10.10.2.113:51234\n"
	any := func(local, peer netip.AddrPort) error { return nil }
	check(t, connections(out, any, 2), "")
	check(t, connections(out, any, 3), "2 connections")
	check(t, connections("nonsense\n", any, 1), "row")
}

func TestParseUDP(t *testing.T) {
	packet := []byte{
		0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0, 0, 10, 10, 2, 112, 10, 10, 2, 113,
		0x1f, 0x0a, 0x1f, 0x0a, 0, 11, 0, 0, 'a', 'b', 'c',
	}
	p, ok := parseUDP(packet)
	if !ok || p.from.String() != "10.10.2.112:7946" || p.to.String() != "10.10.2.113:7946" || string(p.payload) != "abc" {
		t.Errorf("got %+v, %v", p, ok)
	}
	for n := range len(packet) - 3 {
		if p, ok := parseUDP(packet[:n]); ok {
			t.Errorf("%d bytes were taken for %+v", n, p)
		}
	}
}

func TestVirtualService(t *testing.T) {
	const listing = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  172.19.100.1:80 rr
  -> 10.233.64.16:80              Masq    1      0          3
  -> 10.233.93.2:80               Masq    1      1          0
TCP  10.233.0.1:443 rr
  -> 10.10.2.100:6443             Masq    1      4          0
`
	pods := []string{"10.233.64.16", "10.233.93.2"}
	check(t, virtualService(listing, "172.19.100.1", pods), "")
	check(t, virtualService(listing, "172.19.100.1", pods[:1]), "leads to")
	check(t, virtualService(listing, "172.19.100.2", pods), "no line")
	check(t, virtualService(strings.Replace(listing, ":80 rr", ":80 wrr", 1), "172.19.100.1", pods), "no line")
	check(t, virtualService(strings.Replace(listing, "Masq ", "Route", 1), "172.19.100.1", pods), "Route")
	check(t, virtualService(strings.Replace(listing, "Masq    1", "Masq    0", 1), "172.19.100.1", pods), "Masq    0")
}
