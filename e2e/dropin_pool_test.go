package e2e

import (
	"fmt"
	"strings"
)

// given waits until a Service has just these addresses.
func (w world) given(service string, want ...string) {
	w.t.Helper()
	namespace, name, ok := strings.Cut(service, "/")
	if !ok {
		namespace, name = "default", service
	}
	w.says("kubectl get svc -n "+namespace+" "+name+` -o 'jsonpath=<{.status.loadBalancer.ingress[*].ip}>'`, "<"+strings.Join(want, " ")+">")
}

// refused waits until a Service has a Warning with some words, and no address.
func (w world) refused(service, reason string, words ...string) {
	w.t.Helper()
	namespace, name, ok := strings.Cut(service, "/")
	if !ok {
		namespace, name = "default", service
	}
	w.says("kubectl get events -n "+namespace+" --field-selector type=Warning,involvedObject.kind=Service,involvedObject.name="+name, append(words, reason)...)
	w.given(service)
}

// namespace makes a namespace that goes at the end of the test.
func (w world) namespace(name, labels string) {
	w.t.Helper()
	manifest := fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {%s}}\n", name, labels)
	w.apply(manifest)
	w.finally(func() { w.unapply(manifest) })
}

// elsewhere is a Service of another namespace.
func (w world) elsewhere(namespace, name, labels, annotations string) {
	w.t.Helper()
	w.apply(fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %s, namespace: %s, labels: {%s}, annotations: {%s}}
spec: {type: LoadBalancer, selector: {app: con-test}, ports: [{port: 80}]}
`, name, namespace, labels, annotations))
}

var poolCases = []dropIn{
	{name: "pool of ranges and a CIDR that is not assigned automatically", apply: object("IPAddressPool", "manual", `
autoAssign: false
addresses: ["172.19.101.8 - 172.19.101.9", 172.19.101.64/31]`), check: func(w world) {
		for i, addr := range []string{"172.19.101.8", "172.19.101.9", "172.19.101.64", "172.19.101.65"} {
			name := fmt.Sprintf("manual-%d", i)
			w.service(name, from("manual"), "")
			w.given(name, addr)
		}
		w.service("manual-late", from("manual"), "")
		w.refused("manual-late", "AllocationFailed", "manual")
		w.service("automatic", "", "")
		w.given("automatic", "172.19.100.2")
		w.says("kubectl get ipaddresspool -n metallb-system manual", "false", "172.19.101.8 - 172.19.101.9")
		w.says("kubectl get ipaddresspool -n metallb-system manual -o jsonpath={.status}", `"assignedIPv4":4`, `"availableIPv4":0`)
	}},
	{name: "pool without addresses that old devices mistake", apply: object("IPAddressPool", "strict", `
autoAssign: false
avoidBuggyIPs: true
addresses: [172.19.102.254-172.19.103.1]`), check: func(w world) {
		w.service("strict-0", from("strict"), "")
		w.given("strict-0", "172.19.102.254")
		w.service("strict-1", from("strict"), "")
		w.given("strict-1", "172.19.103.1")
		w.service("strict-2", "metallb.io/loadBalancerIPs: 172.19.102.255", "")
		w.refused("strict-2", "AllocationFailed", "172.19.102.255")
	}},
	{name: "pools pinned to namespaces and Services", apply: object("IPAddressPool", "second-choice", `
addresses: [172.19.104.0/29]
serviceAllocation:
  priority: 20
  namespaces: [shop]`) + object("IPAddressPool", "first-choice", `
addresses: [172.19.105.0/31]
serviceAllocation:
  priority: 10
  namespaceSelectors: [{matchLabels: {team: red}}]
  serviceSelectors:
  - matchExpressions: [{key: app, operator: In, values: [web, api]}]`) + object("IPAddressPool", "nobody", `
addresses: [172.19.106.0/29]
serviceAllocation:
  namespaceSelectors: [{matchLabels: {team: ghosts}}]`), check: func(w world) {
		w.namespace("shop", "team: red")
		w.namespace("office", "team: blue")
		w.elsewhere("shop", "web", "app: web", "")
		w.given("shop/web", "172.19.105.0")
		w.elsewhere("shop", "db", "app: db", "")
		w.given("shop/db", "172.19.104.0")
		w.elsewhere("shop", "api", "app: api", "")
		w.given("shop/api", "172.19.105.1")
		w.elsewhere("shop", "late", "app: web", "") // the better pool is empty
		w.given("shop/late", "172.19.104.1")
		w.elsewhere("office", "web", "app: web", "")
		w.given("office/web", "172.19.100.2")
		// A pool is no more open to who asks for it by name.
		w.elsewhere("office", "thief", "app: web", from("first-choice"))
		w.refused("office/thief", "AllocationFailed", "first-choice")
		// And selectors that match no namespace admit nobody.
		w.elsewhere("office", "ghost", "", from("nobody"))
		w.refused("office/ghost", "AllocationFailed", "nobody")
		w.sh("kubectl label namespace office team=ghosts --overwrite")
		w.given("office/ghost", "172.19.106.0")
	}},
	{name: "two families of one pool and of two", apply: object("IPAddressPool", "both", `
autoAssign: false
addresses: [172.19.107.0/30, 2001:db8:7::/126]`) + object("IPAddressPool", "six", `
addresses: [2001:db8:8::/64]`), check: func(w world) {
		w.service("both", from("both"), "ipFamilyPolicy: RequireDualStack")
		w.given("both", "172.19.107.0", "2001:db8:7::")
		w.service("wide", "", "ipFamilyPolicy: PreferDualStack")
		w.given("wide", "172.19.100.2", "2001:db8:8::")
		w.service("six", "", "ipFamilies: [IPv6]")
		w.given("six", "2001:db8:8::1")
		w.service("asked", `metallb.io/loadBalancerIPs: "172.19.107.3, 2001:db8:7::3"`, "ipFamilyPolicy: RequireDualStack")
		w.given("asked", "172.19.107.3", "2001:db8:7::3")
		w.says("kubectl get ipaddresspool -n metallb-system six -o jsonpath={.status}", `"assignedIPv6":2`, `"availableIPv6":9223372036854775807`)
	}},
	{name: "annotations of both prefixes and the field", apply: object("IPAddressPool", "asked", `
autoAssign: false
addresses: [172.19.108.0/28]`), check: func(w world) {
		w.service("new", "metallb.io/loadBalancerIPs: 172.19.108.5", "")
		w.given("new", "172.19.108.5")
		w.says("kubectl get svc new -o yaml", "metallb.io/ip-allocated-from-pool: asked")
		w.service("old", "metallb.universe.tf/address-pool: asked", "")
		w.given("old", "172.19.108.0")
		w.says("kubectl get events --field-selector type=Warning,involvedObject.name=old", "deprecatedAnnotation")
		w.service("field", "", "loadBalancerIP: 172.19.108.6")
		w.given("field", "172.19.108.6")
		w.service("mixed", "metallb.io/loadBalancerIPs: 172.19.108.7", "loadBalancerIP: 172.19.108.7")
		w.refused("mixed", "LoadBalancerFailed")
		w.service("share-80", "metallb.io/allow-shared-ip: s, metallb.io/loadBalancerIPs: 172.19.108.9", "")
		w.given("share-80", "172.19.108.9")
		shared := strings.Replace(balanced("share-81", "81", "metallb.universe.tf/allow-shared-ip: s, metallb.io/loadBalancerIPs: 172.19.108.9", ""), "port: 81", "port: 81, targetPort: 80", 1)
		w.apply(shared)
		w.finally(func() { w.unapply(shared) })
		w.given("share-81", "172.19.108.9")
		w.service("share-again", "metallb.io/allow-shared-ip: s, metallb.io/loadBalancerIPs: 172.19.108.9", "")
		w.refused("share-again", "AllocationFailed", "172.19.108.9", "share-80")
		w.service("class", "", "loadBalancerClass: example.com/other")
		w.service("after", from("asked"), "")
		w.given("after", "172.19.108.1")
		w.given("class")
	}},
	{name: "cool-down and reservations and quota", apply: strings.Replace(object("IPAddressPool", "own", `
autoAssign: false
addresses: [172.19.109.0/29]`), "namespace: metallb-system}", `namespace: metallb-system, annotations: {pharoslb.io/cool-down: 1h, pharoslb.io/reservations: "default/kept=172.19.109.1", pharoslb.io/quota: "default=3"}}`, 1), check: func(w world) {
		w.apply(balanced("gone", "80", from("own"), ""))
		w.given("gone", "172.19.109.0")
		w.remove("gone")
		w.service("next", from("own"), "")
		w.given("next", "172.19.109.2") // .0 cools down, .1 is reserved
		w.service("thief", "metallb.io/loadBalancerIPs: 172.19.109.1", "")
		w.refused("thief", "AllocationFailed", "172.19.109.1", "default/kept")
		w.service("kept", from("own"), "")
		w.given("kept", "172.19.109.1")
		w.apply(balanced("third", "80", from("own"), ""))
		w.given("third", "172.19.109.3")
		w.apply(balanced("fourth", "80", from("own"), ""))
		w.refused("fourth", "AllocationFailed", "own", "3")
		w.remove("fourth")
		w.apply(balanced("gone", "80", from("own"), "")) // who had it may have it back: but for the quota
		w.refused("gone", "AllocationFailed")
		w.remove("third")
		w.given("gone", "172.19.109.0")
		w.remove("gone")
	}},
	{name: "pool that goes while it is in use", check: func(w world) {
		doomed := object("IPAddressPool", "doomed", "\naddresses: [172.19.110.0/30]\nautoAssign: false")
		spare := object("IPAddressPool", "spare", "\naddresses: [172.19.111.0/30]\nserviceAllocation: {namespaces: [default], serviceSelectors: [{matchLabels: {spare: yes-please}}]}")
		adverts := object("BGPAdvertisement", "doomed", "\nipAddressPools: [doomed, spare]")
		w.apply(doomed + spare + adverts)
		w.finally(func() { w.unapply(doomed + spare + adverts) })
		manifest := strings.Replace(balanced("mover", "80", "", "loadBalancerIP: 172.19.110.2"), "name: mover", "name: mover, labels: {spare: yes-please}", 1)
		w.apply(manifest)
		w.finally(func() { w.unapply(manifest) })
		w.given("mover", "172.19.110.2")
		w.patch("mover", `{"spec":{"loadBalancerIP":null}}`)
		w.routed("172.19.110.2", w.addrs()...)
		w.unapply(doomed)
		w.given("mover", "172.19.111.0")
		w.routed("172.19.111.0", w.addrs()...)
		w.routed("172.19.110.2")
		w.says("kubectl get events --field-selector involvedObject.name=mover", "ClearAssignment")
	}},
}
