package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/internal/lab"
)

// left is a Service as MetalLB leaves it behind: with addresses in its status.
type left struct {
	name        string
	annotations string // with what MetalLB noted
	spec        string
	addrs       []string
}

// What MetalLB of today leaves behind: addresses that are not the lowest, asked
// for and not, shared, of both families, of pools that give out none by
// themselves, and one that is another load balancer's.
var leftToday = []left{
	{"plain", "metallb.io/ip-allocated-from-pool: first", "", []string{"172.19.150.7"}},
	{"lowest", "metallb.io/ip-allocated-from-pool: first", "", []string{"172.19.150.0"}},
	{"asked", "metallb.io/ip-allocated-from-pool: first, metallb.io/loadBalancerIPs: 172.19.150.9", "", []string{"172.19.150.9"}},
	{"asked-old", "metallb.io/ip-allocated-from-pool: manual, metallb.universe.tf/address-pool: manual", "", []string{"172.19.151.3"}},
	{"field", "metallb.io/ip-allocated-from-pool: manual", "loadBalancerIP: 172.19.151.1", []string{"172.19.151.1"}},
	{"local", "metallb.io/ip-allocated-from-pool: first", "externalTrafficPolicy: Local", []string{"172.19.150.4"}},
	{"share-a", "metallb.io/ip-allocated-from-pool: first, metallb.io/allow-shared-ip: k", "", []string{"172.19.150.5"}},
	{"share-b", "metallb.io/ip-allocated-from-pool: first, metallb.io/allow-shared-ip: k", "ports: [{port: 81}]", []string{"172.19.150.5"}},
	{"dual", "metallb.io/ip-allocated-from-pool: first", "ipFamilyPolicy: PreferDualStack", []string{"172.19.150.11", "2001:db8:50::4"}},
	{"half", "metallb.io/ip-allocated-from-pool: manual", "ipFamilyPolicy: PreferDualStack", []string{"172.19.151.2"}},
	{"six", "metallb.io/ip-allocated-from-pool: first", "ipFamilies: [IPv6]", []string{"2001:db8:50::"}},
	{"flat", "metallb.io/ip-allocated-from-pool: flat", "", []string{"10.10.2.225"}},
	{"foreign", "", "loadBalancerClass: example.com/other", []string{"198.51.100.7"}},
	{"internal", "", "type: ClusterIP", nil},
}

// configuredToday is the configuration beside it.
var configuredToday = base + "---\n" +
	object("IPAddressPool", "first", "\naddresses: [172.19.150.0/28, \"2001:db8:50::/120\"]") +
	object("IPAddressPool", "manual", "\naddresses: [172.19.151.0/28]\nautoAssign: false") +
	object("IPAddressPool", "flat", "\naddresses: [10.10.2.224-10.10.2.230]\nautoAssign: false") +
	object("BGPAdvertisement", "all", "") + object("L2Advertisement", "flat", "\nipAddressPools: [flat]")

// What MetalLB of the ConfigMap's days leaves behind: addresses, and no word of
// where they are from.
var leftLongAgo = []left{
	{"plain", "", "", []string{"172.19.100.77"}},
	{"pooled", "metallb.universe.tf/address-pool: manual", "", []string{"172.19.151.3"}},
	{"field", "", "loadBalancerIP: 172.19.151.1", []string{"172.19.151.1"}},
	{"share-a", "metallb.universe.tf/allow-shared-ip: k", "", []string{"172.19.100.5"}},
	{"share-b", "metallb.universe.tf/allow-shared-ip: k", "ports: [{port: 81}]", []string{"172.19.100.5"}},
	{"flat", "metallb.universe.tf/address-pool: flat", "", []string{"10.10.2.225"}},
}

const configuredLongAgo = good + `- name: manual
  protocol: bgp
  auto-assign: false
  addresses: [172.19.151.0/28]
- name: flat
  protocol: layer2
  auto-assign: false
  addresses: [10.10.2.224-10.10.2.230]
`

// In MetalLB's place: not a byte of any Service's status changes.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	w := beforeInstallation(t)
	w.crds()
	w.apply(configuredToday)
	w.apply(`apiVersion: metallb.io/v1beta1
kind: ServiceL2Status
metadata: {name: l2-x7k2p, namespace: metallb-system, labels: {metallb.io/node: cy01-net112, metallb.io/service-name: flat, metallb.io/service-namespace: default}}
---
apiVersion: metallb.io/v1beta1
kind: ConfigurationState
metadata: {name: controller, namespace: metallb-system, labels: {metallb.io/component-type: controller}}
`)
	w.upgraded(leftToday, "172.19.150.1")
}

// The same from the days of the ConfigMap.
func TestUpgradeFromConfigMap(t *testing.T) {
	t.Parallel()
	w := beforeInstallation(t)
	w.configure(configuredLongAgo)
	w.upgraded(leftLongAgo, lab.VIP)
}

// beforeInstallation is a cluster without the product.
func beforeInstallation(t *testing.T) world {
	plan := lab.DualStack()
	w := startWorld(t, lab.Options{Until: lab.StageFabric, Topology: &plan})
	w.sh(lab.NamespaceCommand)
	return w
}

// upgraded installs the product where MetalLB has left some Services behind, and
// checks that all of them are announced with what they have. A new Service gets
// what nobody had.
func (w world) upgraded(all []left, next string) {
	w.t.Helper()
	w.leave(all)
	before := w.statuses()
	w.install()
	w.sh("kubectl create -f " + w.Input("test.yaml"))
	w.given("ng-svc", next)
	for _, l := range all {
		for _, addr := range l.addrs {
			if strings.HasPrefix(addr, "172.19.") && l.name != "local" {
				w.routed(addr, w.addrs()...)
			}
			if strings.HasPrefix(addr, "10.10.2.") {
				w.answered(addr, elected(addr, w.nodes()...))
			}
		}
	}
	if after := w.statuses(); after != before {
		w.t.Errorf("statuses are\n%s\nthey were\n%s", after, before)
	}
}

// crds installs the kinds alone.
func (w world) crds() {
	w.t.Helper()
	w.apply(kinds(w.t))
}

// leave makes Services as MetalLB leaves them.
func (w world) leave(all []left) {
	w.t.Helper()
	for _, l := range all {
		manifest := balanced(l.name, "80", l.annotations, l.spec)
		if strings.Contains(l.spec, "ports:") {
			manifest = strings.Replace(manifest, "ports: [{port: 80}], ", "", 1)
		}
		if strings.Contains(l.spec, "type:") {
			manifest = strings.Replace(manifest, "type: LoadBalancer, ", "", 1)
		}
		w.apply(manifest)
		var ingress []string
		for _, a := range l.addrs {
			ingress = append(ingress, fmt.Sprintf(`{"ip":%q}`, a))
		}
		if len(ingress) > 0 {
			w.sh("kubectl patch svc " + l.name + ` --subresource=status --type=merge -p '{"status":{"loadBalancer":{"ingress":[` + strings.Join(ingress, ",") + `]}}}'`)
		}
	}
}

// statuses are the statuses of all Services but the walk-through's, as the API
// server tells them.
func (w world) statuses() string {
	w.t.Helper()
	return w.sh(`kubectl get svc -A -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.uid} {.status}{"\n"}{end}' | grep -v ^default/ng-svc`)
}

// install is lab.Install without the namespace, which is there.
func (w world) install() {
	w.t.Helper()
	w.sh(w.ProxyCommand())
	w.sh(lab.SecretCommand)
	w.sh(lab.PharosCommand)
	for _, part := range []string{"kube-system daemonset/pharos-proxy", "metallb-system deployment/controller", "metallb-system daemonset/speaker"} {
		namespace, name, _ := strings.Cut(part, " ")
		if err := w.RolledOut(w.t.Context(), namespace, name); err != nil {
			w.t.Fatal(err)
		}
	}
}
