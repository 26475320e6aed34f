package interop

import (
	"net/netip"
	"testing"
)

// A daemon that offers long-lived graceful restart (RFC 9494) is killed: our switch
// keeps its routes as stale for the restart time, as long-lived stale ones for the
// stale time after that, and then no longer.
func switchKeepsLongLived(t *testing.T, program string) {
	for _, x := range daemons {
		if x.name == "OpenBGPD" {
			continue // 7.7 does not know it
		}
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			need(t, x.programs...)
			l := newLab(t, 1)
			defer l.capture(onSegment).check("bgp")
			us := l.nodes[0] // the lab runs daemons at the switch's address; here that is a node's
			d := x.make(l)
			d.start([]neighbor{{name: "node1", local: switch4, remote: us.v4, as: nodeAS, restart: true, longLived: true, brief: true}})
			l.must(d.originate(route{prefix: netip.MustParsePrefix("198.18.1.0/24")}))
			sw := l.nxos(program, us, `interface Ethernet1/1
  no switchport
  ip address 10.10.2.112/24
  no shutdown
router bgp 65211
  router-id 2.2.2.2
  address-family ipv4 unicast
  neighbor 10.10.2.210 remote-as 65210
    address-family ipv4 unicast
`)
			sw.want("show ip bgp 198.18.1.0/24", `path is valid, is best path`)
			us.wantRoute(l, "198.18.1.0/24", "via 10.10.2.210 dev eth0")
			sw.want("show ip bgp neighbors 10.10.2.210", `Restart time advertised by peer: 1 seconds`, `Long-lived stale time advertised by peer for IPv4 Unicast: 12 seconds`)
			d.kill()
			sw.want("show ip bgp 198.18.1.0/24", `path is valid, is long-lived stale, is best path`)
			us.wantRoute(l, "198.18.1.0/24", "via 10.10.2.210 dev eth0")
			us.wantRoute(l, "198.18.1.0/24", "")
		})
	}
}
