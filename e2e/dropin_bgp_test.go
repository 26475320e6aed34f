package e2e

import (
	"slices"
	"strings"
)

// manual is a pool of addresses that Services have to ask for, with a label.
func manual(name string, addresses ...string) string {
	return strings.Replace(object("IPAddressPool", name, "\nautoAssign: false\naddresses: ["+strings.Join(addresses, ", ")+"]"),
		"name: "+name, "name: "+name+", labels: {pool: "+name+"}", 1)
}

// others are the nodes' addresses without those of some.
func (w world) others(names ...string) []string {
	gone := w.addrsOf(names...)
	return slices.DeleteFunc(w.addrs(), func(a string) bool { return slices.Contains(gone, a) })
}

var advertisementCases = []dropIn{
	{name: "aggregates of both families", apply: manual("wide", "172.19.120.0/24", "2001:db8:20::/64") + object("BGPAdvertisement", "wide", `
ipAddressPools: [wide]
aggregationLength: 25
aggregationLengthV6: 96`) + object("BGPPeer", "tor-v6", `
myASN: 65211
peerASN: 65210
peerAddress: fd10:10:2::210`), check: func(w world) {
		w.refabric(w.everyone("65211", unicast4) + neighbor("fd10:10:2::112", "65211", unicast6) + neighbor("fd10:10:2::113", "65211", unicast6) + neighbor("fd10:10:2::114", "65211", unicast6))
		w.service("wide", `metallb.io/loadBalancerIPs: "172.19.120.130,2001:db8:20::7"`, "ipFamilyPolicy: RequireDualStack")
		w.given("wide", "172.19.120.130", "2001:db8:20::7")
		w.routed("172.19.120.128/25", w.addrs()...)
		w.switchShows("show bgp ipv6 unicast 2001:db8:20::/96", "fd10:10:2::112", "fd10:10:2::113", "fd10:10:2::114")
	}},
	{name: "communities and aliases and two advertisements of one pool", apply: manual("marked", "172.19.121.0/24") + object("Community", "names", `
communities:
- {name: no-transit, value: "65211:300"}
- {name: region, value: "large:65211:7:9"}`) + object("BGPAdvertisement", "marked", `
ipAddressPoolSelectors: [{matchLabels: {pool: marked}}]
communities: ["65211:100", no-transit, region, "large:65211:1:2"]`) + object("BGPAdvertisement", "marked-wide", `
ipAddressPools: [marked]
aggregationLength: 24
communities: ["65211:200"]`), check: func(w world) {
		w.service("marked", from("marked"), "")
		w.given("marked", "172.19.121.0")
		w.routed("172.19.121.0/32", w.addrs()...)
		w.routed("172.19.121.0/24", w.addrs()...)
		w.switchShows("show ip bgp 172.19.121.0/32", "Origin IGP", "Community: 65211:100 65211:300", "Large Community: 65211:1:2 65211:7:9")
		w.switchShows("show ip bgp 172.19.121.0/24", "65211:200")
	}},
	{name: "local preference of an internal peer", apply: manual("preferred", "172.19.122.0/24") + object("BGPAdvertisement", "preferred", `
ipAddressPools: [preferred]
localPref: 250
peers: [inside]`) + object("BGPPeer", "inside", `
myASN: 65210
peerASN: 65210
peerAddress: 10.10.2.210
sourceAddress: 10.10.2.213
nodeSelectors: [{matchLabels: {kubernetes.io/hostname: cy01-net113}}]`), check: func(w world) {
		if _, err := w.Output(w.t.Context(), "cy01-net113", "ip", "addr", "add", "10.10.2.213/24", "dev", "eth0"); err != nil {
			w.t.Fatal(err)
		}
		w.finally(func() { w.Output(w.t.Context(), "cy01-net113", "ip", "addr", "del", "10.10.2.213/24", "dev", "eth0") })
		w.refabric(w.everyone("65211", unicast4) + neighbor("10.10.2.213", "65210", unicast4))
		w.service("preferred", from("preferred"), "")
		w.given("preferred", "172.19.122.0")
		w.routed("172.19.122.0", "10.10.2.213")
		w.switchShows("show ip bgp 172.19.122.0", "localpref 250", "AS-Path: NONE")
	}},
	{name: "advertisement for some nodes and some Services", apply: manual("some", "172.19.123.0/24") + object("BGPAdvertisement", "some", `
ipAddressPools: [some]
nodeSelectors:
- matchLabels: {kubernetes.io/hostname: cy01-net112}
- matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [cy01-net114]}]
serviceSelectors: [{matchLabels: {public: "true"}}]`), check: func(w world) {
		w.service("shown", from("some"), "")
		w.service("hidden", from("some"), "")
		shown, hidden := w.allocated("shown"), w.allocated("hidden")
		w.sh("kubectl label svc shown public=true")
		w.routed(shown, w.addrsOf("cy01-net112", "cy01-net114")...)
		w.routed(hidden)
		w.shows("cy01-net112", []string{"noMatchingAdvertisement"}, product, "explain", "hidden")
		w.sh("kubectl label svc shown public-")
		w.routed(shown)
	}},
	{name: "advertisement of every pool", apply: manual("any", "172.19.124.0/24") + object("BGPAdvertisement", "everything", "\ncommunities: [\"65211:999\"]"), check: func(w world) {
		w.service("any", from("any"), "")
		w.given("any", "172.19.124.0")
		w.routed("172.19.124.0", w.addrs()...)
		w.switchShows("show ip bgp 172.19.124.0/32", "65211:999")
		w.switchShows("show ip bgp 172.19.100.1/32", "65211:999") // united with the other's, which has none
	}},
	{name: "status objects", apply: manual("told", "172.19.128.0/24") + object("BGPAdvertisement", "told", "\nipAddressPools: [told]"), check: func(w world) {
		w.service("told", from("told"), "")
		w.given("told", "172.19.128.0")
		for _, node := range w.nodes() {
			w.says("kubectl get servicebgpstatus -n metallb-system -l metallb.io/service-namespace=default,metallb.io/service-name=told,metallb.io/node="+node+" -o 'jsonpath={.items[*].status}'",
				`"node":"`+node+`"`, `"serviceName":"told"`, `"serviceNamespace":"default"`, `"peers":["tor"]`)
			w.says("kubectl get bgpsessionstate -n metallb-system -o 'jsonpath={range .items[*]}{.status}{\"\\n\"}{end}'", node, "10.10.2.210", "Established")
			w.says("kubectl get configurationstate -n metallb-system speaker-"+node+" -o yaml", "result: Valid", "configReconcilerValid", "metallb.io/node-name: "+node, "metallb.io/component-type: speaker")
		}
		w.says("kubectl get configurationstate -n metallb-system controller -o yaml", "result: Valid", "poolReconcilerValid", "reason: Reconciled")
		w.unapply(balanced("told", "80", "", ""))
		w.says("kubectl get servicebgpstatus -n metallb-system -l metallb.io/service-name=told -o 'jsonpath=<{.items[*].metadata.name}>'", "<>")
	}},
	{name: "what one mistake hurts", apply: manual("fine", "172.19.125.0/24") + object("BGPAdvertisement", "fine", "\nipAddressPools: [fine]"), check: func(w world) {
		// The pool overlaps another, the peer names a profile that is not there,
		// the advertisement an alias that is not.
		bad := object("IPAddressPool", "overlapping", "\naddresses: [172.19.100.128/25]\nautoAssign: false") +
			object("BGPPeer", "profiled", "\nmyASN: 65211\npeerASN: 65299\npeerAddress: 10.10.2.250\nbfdProfile: missing") +
			object("BGPAdvertisement", "aliased", "\nipAddressPools: [fine]\ncommunities: [nobody]")
		w.apply(bad)
		w.finally(func() { w.unapply(bad) })
		w.says("kubectl get events -n metallb-system --field-selector type=Warning,involvedObject.name=overlapping", "172.19.100", "public")
		w.says("kubectl get events -n metallb-system --field-selector type=Warning,involvedObject.name=profiled", "missing")
		w.says("kubectl get events -n metallb-system --field-selector type=Warning,involvedObject.name=aliased", "nobody")
		w.says("kubectl get configurationstate -n metallb-system controller -o yaml", "result: Invalid", "overlapping", "profiled", "aliased")
		w.stale(true)
		// Everybody else goes on, new Services too.
		w.service("fine", from("fine"), "")
		w.given("fine", "172.19.125.0")
		w.routed("172.19.125.0", w.addrs()...)
		w.unapply(bad)
		w.stale(false)
		w.says("kubectl get configurationstate -n metallb-system controller -o yaml", "result: Valid")
	}},
	{name: "edit that is wrong", apply: manual("edited", "172.19.126.0/24") + object("BGPAdvertisement", "edited", "\nipAddressPools: [edited]"), check: func(w world) {
		w.service("edited", from("edited"), "")
		w.given("edited", "172.19.126.0")
		w.routed("172.19.126.0", w.addrs()...)
		w.sh(`kubectl patch ipaddresspool -n metallb-system edited --type=merge -p '{"spec":{"addresses":["172.19.126.0/24","172.19.100.0/30"]}}'`)
		w.says("kubectl get events -n metallb-system --field-selector type=Warning,involvedObject.name=edited", "172.19.100.0", "public")
		w.service("edited-too", from("edited"), "")
		w.given("edited-too", "172.19.126.1")
		w.routed("172.19.126.0", w.addrs()...)
		w.routed("172.19.126.1", w.addrs()...)
	}},
	{name: "ConfigMap beside the resources", check: func(w world) {
		w.configure("address-pools:\n- name: old\n  protocol: bgp\n  auto-assign: false\n  addresses: [172.19.127.0/24]\n")
		w.finally(func() { w.sh("kubectl delete configmap -n metallb-system config") })
		w.service("old", from("old"), "")
		w.given("old", "172.19.127.0")
		w.routed("172.19.127.0", w.addrs()...)
		// What both claim is refused, with both places.
		clash := object("IPAddressPool", "clash", "\naddresses: [172.19.127.0/25]\nautoAssign: false")
		w.apply(clash)
		w.finally(func() { w.unapply(clash) })
		w.says("kubectl get events -n metallb-system --field-selector type=Warning,involvedObject.name=clash", "172.19.127.0", "ConfigMap")
		w.routed("172.19.127.0", w.addrs()...)
	}},
}
