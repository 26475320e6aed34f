package e2e

import (
	"github.com/pharoslb/pharos/internal/lab"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// fromNode112 has one node alone be a peer's: the switch knows it by a second
// address, so that the walk-through's session stays.
const fromNode112 = `
sourceAddress: 10.10.2.222
nodeSelectors: [{matchLabels: {kubernetes.io/hostname: cy01-net112}}]`

// second gives node cy01-net112 the address of fromNode112.
func (w world) second() {
	w.t.Helper()
	if _, err := w.Output(w.t.Context(), "cy01-net112", "ip", "addr", "add", "10.10.2.222/24", "dev", "eth0"); err != nil {
		w.t.Fatal(err)
	}
	w.finally(func() { w.Output(w.t.Context(), "cy01-net112", "ip", "addr", "del", "10.10.2.222/24", "dev", "eth0") })
}

// cable is a second one, from a node to the switch, until the test ends.
func (w world) cable(node, device, port string) {
	w.t.Helper()
	a, err := w.NS(node)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := w.NS(lab.Switch)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := netns.Veth(a, device, b, port); err != nil {
		w.t.Fatal(err)
	}
	w.finally(func() { a.Delete(device) })
}

// nft changes what the switch's kernel does to packets, until the test ends.
func (w world) nft(rules string) {
	w.t.Helper()
	for _, rule := range []string{"add table ip trial", rules} {
		if _, err := w.Output(w.t.Context(), lab.Switch, "nft", rule); err != nil {
			w.t.Fatal(err)
		}
	}
	w.finally(func() { w.Output(w.t.Context(), lab.Switch, "nft", "delete table ip trial") })
}

// up waits until the switch has a session with a neighbor, and shows some texts
// of it.
func (w world) up(neighbor string, texts ...string) {
	w.t.Helper()
	w.switchShows("show ip bgp neighbors "+neighbor, append([]string{"BGP state = Established"}, texts...)...)
}

var peerCases = []dropIn{
	{name: "peer with timers and a router ID of its own", apply: object("BGPPeer", "timed", `
myASN: 65211
peerASN: 65210
peerAddress: 10.10.2.210
routerID: 9.9.9.9
holdTime: 30s
keepaliveTime: 4s
connectTime: 2s`+fromNode112), check: func(w world) {
		w.second()
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "65211", unicast4))
		w.up("10.10.2.222", "9.9.9.9", "hold time = 30")
	}},
	{name: "peer at another port", apply: object("BGPPeer", "ported", `
myASN: 65211
peerASN: 65210
peerAddress: 10.10.2.210
peerPort: 1179`+fromNode112), check: func(w world) {
		w.second()
		w.nft("add chain ip trial in { type nat hook prerouting priority dstnat; }; add rule ip trial in tcp dport 1179 redirect to :179")
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "65211", unicast4))
		w.up("10.10.2.222")
	}},
	{name: "peer with a password", apply: object("BGPPeer", "secretive", `
myASN: 65211
peerASN: 65210
peerAddress: 10.10.2.210
password: Sesame-7291`+fromNode112), check: func(w world) {
		w.second()
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "65211", "password Sesame-7291", unicast4))
		w.up("10.10.2.222")
	}},
	{name: "peer with a password in a Secret", apply: object("BGPPeer", "sealed", `
myASN: 65211
peerASN: 65210
peerAddress: 10.10.2.210
passwordSecret: {name: sealed-password, namespace: metallb-system}`+fromNode112), check: func(w world) {
		w.second()
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "65211", "password Sesame-4417", unicast4))
		// Without the Secret there is no session, not one without a password.
		w.says("kubectl get events -n metallb-system --field-selector type=Warning,involvedObject.name=sealed", "secretMissing", "sealed-password")
		secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: sealed-password, namespace: metallb-system}\ntype: kubernetes.io/basic-auth\nstringData: {username: '', password: Sesame-4417}\n"
		w.apply(secret)
		w.finally(func() { w.unapply(secret) })
		w.up("10.10.2.222")
	}},
	{name: "peer watched by BFD", apply: object("BFDProfile", "quick", `
receiveInterval: 150
transmitInterval: 150
detectMultiplier: 4
echoInterval: 60
echoMode: false
passiveMode: false
minimumTtl: 254`) + object("BGPPeer", "watched", `
myASN: 65211
peerASN: 65210
peerAddress: 10.10.2.210
bfdProfile: quick`+fromNode112), check: func(w world) {
		w.second()
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "65211", "bfd", unicast4))
		w.up("10.10.2.222")
		w.switchShows("show bfd neighbors", "10.10.2.222", "Up")
		w.measures("cy01-net112", "10.10.2.112", `metallb_bfd_session_up{peer="10.10.2.210"} 1`)
	}},
	{name: "peer of any other autonomous system", apply: object("BGPPeer", "external", `
myASN: 65211
dynamicASN: external
peerAddress: 10.10.2.210`+fromNode112), check: func(w world) {
		w.second()
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "65211", unicast4))
		w.up("10.10.2.222")
	}},
	{name: "peer of the own autonomous system", apply: object("BGPPeer", "internal", `
myASN: 65210
dynamicASN: internal
peerAddress: 10.10.2.210`+fromNode112), check: func(w world) {
		w.second()
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "65210", unicast4))
		w.up("10.10.2.222")
	}},
	{name: "peer that knows us by another autonomous system", apply: object("BGPPeer", "migrated", `
myASN: 65211
localASN: 64999
peerASN: 65210
peerAddress: 10.10.2.210
disableMP: true`+fromNode112) + manual("migrated", "172.19.130.0/24") + object("BGPAdvertisement", "migrated", `
ipAddressPools: [migrated]
peers: [migrated]`), check: func(w world) {
		w.second()
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "64999", unicast4))
		w.up("10.10.2.222")
		w.service("migrated", from("migrated"), "")
		w.routed(w.allocated("migrated"), "10.10.2.222")
		w.switchShows("show ip bgp 172.19.130.0/32", "AS-Path: 64999")
	}},
	{name: "peer with graceful restart", apply: object("BGPPeer", "graceful", `
myASN: 65211
peerASN: 65210
peerAddress: 10.10.2.210
enableGracefulRestart: true`+fromNode112), check: func(w world) {
		w.second()
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "65211", unicast4))
		w.up("10.10.2.222", "Graceful Restart")
	}},
	{name: "peer of both families", apply: object("BGPPeer", "dual", `
myASN: 65211
peerASN: 65210
peerAddress: 10.10.2.210
dualStackAddressFamily: true`+fromNode112) + manual("dual", "172.19.131.0/24", "2001:db8:31::/64") + object("BGPAdvertisement", "dual", `
ipAddressPools: [dual]
peers: [dual]`), check: func(w world) {
		w.second()
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "65211", unicast4, unicast6))
		w.up("10.10.2.222")
		w.service("dual", from("dual"), "ipFamilyPolicy: RequireDualStack")
		w.given("dual", "172.19.131.0", "2001:db8:31::")
		w.routed("172.19.131.0", "10.10.2.222")
		w.switchShows("show bgp ipv6 unicast 2001:db8:31::/128", "fd10:10:2::112")
	}},
	{name: "peer more than a hop away", apply: object("BGPPeer", "far", `
myASN: 65211
peerASN: 65210
peerAddress: 10.10.2.210
ebgpMultiHop: true`+fromNode112), check: func(w world) {
		w.second()
		// Packets that could not come farther are lost.
		w.nft("add chain ip trial in { type filter hook input priority 0; }; add rule ip trial in ip saddr 10.10.2.222 ip ttl 1 drop")
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "65211", "ebgp-multihop 3", unicast4))
		w.up("10.10.2.222")
		w.sh(`kubectl patch bgppeer -n metallb-system far --type=merge -p '{"spec":{"ebgpMultiHop":false}}'`)
		w.established(w.addrs()...)
	}},
	{name: "peer in a VRF that the kernel can't have", apply: object("BGPPeer", "routed", `
myASN: 65211
peerASN: 65210
peerAddress: 10.10.2.210
vrf: red`+fromNode112), check: func(w world) {
		w.second()
		w.shows("cy01-net112", []string{"vrf", "red"}, product, "status")
		w.established(w.addrs()...)
	}},
	{name: "peer without a number", apply: object("BGPPeer", "unnumbered", `
myASN: 65211
peerASN: 65210
interface: eth1
nodeSelectors: [{matchLabels: {kubernetes.io/hostname: cy01-net112}}]`), check: func(w world) {
		w.cable("cy01-net112", "eth1", "Ethernet1-3")
		w.refabric(w.everyone("65211", unicast4)+neighbor("Ethernet1/3", "65211", unicast4), "interface Ethernet1/3\n  no switchport\n  ipv6 address use-link-local-only\n  no shutdown\n")
		w.switchShows("show ip bgp neighbors", "Ethernet1/3", "BGP state = Established")
	}},
	{name: "v1beta1", apply: `apiVersion: metallb.io/v1beta1
kind: BGPPeer
metadata: {name: ancient, namespace: metallb-system}
spec:
  myASN: 65211
  peerASN: 65210
  peerAddress: 10.10.2.210
  sourceAddress: 10.10.2.222
  nodeSelectors:
  - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [cy01-net112]}]
`, check: func(w world) {
		w.second()
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.222", "65211", unicast4))
		w.up("10.10.2.222")
		// Read as the newer version, nothing is lost, and nothing made up.
		w.says("kubectl get bgppeers.v1beta2.metallb.io -n metallb-system ancient -o 'jsonpath=<{.spec.holdTime}>{.spec.nodeSelectors}'", "<>", "cy01-net112")
		w.sh(`kubectl patch bgppeers.v1beta2.metallb.io -n metallb-system ancient --type=merge -p '{"spec":{"connectTime":"7s"}}'`)
		w.says("kubectl get bgppeers.v1beta1.metallb.io -n metallb-system ancient -o jsonpath={.spec}", `"connectTime":"7s"`)
	}},
}
