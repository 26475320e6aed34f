package file

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/pharoslb/pharos/deploy"
	"github.com/pharoslb/pharos/internal/lab/cluster"
)

const (
	good  = "good"  // both take it
	bad   = "bad"   // both refuse it
	later = "later" // the schema can't tell; the parser refuses it
)

// verdicts are objects, by kind and spec, and what both are to think of them.
var verdicts = []struct{ want, kind, spec string }{
	{good, "IPAddressPool", "{addresses: [192.0.2.0/24, 198.51.100.7-198.51.100.9, ' 10.0.0.1 - 10.0.0.3 ', '2001:db8::/64', '2001:db8:1::-2001:db8:1::ff']}"},
	{good, "IPAddressPool", "{addresses: [192.0.2.77/24], autoAssign: false, avoidBuggyIPs: true, serviceAllocation: {priority: 1, namespaces: [a, b], namespaceSelectors: [{matchLabels: {a: b}}], serviceSelectors: [{}]}}"},
	{good, "IPAddressPool", "{addresses: ['::ffff:10.0.0.1-::ffff:10.0.0.2'], serviceAllocation: {}}"},
	{good, "IPAddressPool", "{addresses: [10.0.0.0/24], autoAssign: null, avoidBuggyIPs: null, serviceAllocation: null}"},
	{good, "IPAddressPool", "{addresses: [10.0.0.0/24], serviceAllocation: {priority: 1.0, namespaces: null, serviceSelectors: [{matchLabels: null}]}}"},
	{bad, "IPAddressPool", "{addresses: [10.0.0.0/24], serviceAllocation: {priority: 1.5}}"},
	{bad, "IPAddressPool", "{addresses: [null]}"},
	{bad, "IPAddressPool", "{addresses: null}"},
	{bad, "IPAddressPool", "null"},
	{bad, "IPAddressPool", "{addresses: []}"},
	{bad, "IPAddressPool", "{}"},
	{bad, "IPAddressPool", "{addresses: [192.0.2.1]}"},
	{bad, "IPAddressPool", "{addresses: [192.0.2.0/33]}"},
	{bad, "IPAddressPool", "{addresses: [192.0.2.1-192.0.2.2-192.0.2.3]}"},
	{bad, "IPAddressPool", "{addresses: [a-b.example]}"},
	{bad, "IPAddressPool", "{addresses: [192.0.2.0/24], addrs: []}"},
	{bad, "IPAddressPool", "{addresses: 192.0.2.0/24}"},
	{bad, "IPAddressPool", "{addresses: [192.0.2.0/24], autoAssign: 'true'}"},
	{bad, "IPAddressPool", "{addresses: [192.0.2.0/24], serviceAllocation: {priority: high}}"},
	{bad, "IPAddressPool", "{addresses: [192.0.2.0/24], serviceAllocation: {namespaces: [a, b, a]}}"},
	{bad, "IPAddressPool", "{addresses: [' 192.0.2.0/24']}"},
	{bad, "IPAddressPool", "{addresses: [\"192.0.2.1-192.0.2.2\\n\"]}"},
	{bad, "IPAddressPool", "{addresses: [192.0.2.1–192.0.2.2]}"},
	{later, "IPAddressPool", "{addresses: [192.0.2.9-192.0.2.1]}"},
	{later, "IPAddressPool", "{addresses: [192.0.2.9-192.0.2]}"},
	{later, "IPAddressPool", "{addresses: [192.0.2.0/24, 192.0.2.9/32]}"},
	{later, "IPAddressPool", "{addresses: [192.0.2.0/24], serviceAllocation: {serviceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}}"},
	{later, "IPAddressPool", "{addresses: [192.0.2.0/24], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: a, operator: in, values: [b]}]}]}}"},

	{good, "BGPAdvertisement", "{}"},
	{good, "BGPAdvertisement", "{aggregationLength: 1, aggregationLengthV6: 128, localPref: 4294967295, communities: ['1:1', 'large:1:2:3'], ipAddressPools: [], peers: []}"},
	{good, "BGPAdvertisement", "{aggregationLength: 32, serviceSelectors: [{matchLabels: {a: b}}]}"},
	{good, "BGPAdvertisement", "null"},
	{good, "BGPAdvertisement", "{aggregationLength: 2.4e1, localPref: 1e2, communities: null, peers: null, serviceSelectors: null}"},
	{bad, "BGPAdvertisement", "{communities: [null]}"},
	{bad, "BGPAdvertisement", "{aggregationLength: 31, serviceSelectors: [{matchLabels: {a: b}}]}"},
	{bad, "BGPAdvertisement", "{aggregationLengthV6: 64, serviceSelectors: [{}]}"},
	{bad, "BGPAdvertisement", "{aggregationLength: 0}"},
	{bad, "BGPAdvertisement", "{aggregationLength: 33}"},
	{bad, "BGPAdvertisement", "{aggregationLengthV6: 129}"},
	{bad, "BGPAdvertisement", "{localPref: -1}"},
	{bad, "BGPAdvertisement", "{localPref: 4294967296}"},
	{bad, "BGPAdvertisement", "{communities: ['1:1', '1:1']}"},
	{bad, "BGPAdvertisement", "{ipAddressPools: pool}"},
	{bad, "BGPAdvertisement", "{nodeSelector: []}"},
	{later, "BGPAdvertisement", "{communities: [no-such-alias]}"},
	{later, "BGPAdvertisement", "{communities: ['large:1:2']}"},

	{good, "L2Advertisement", "{}"},
	{good, "L2Advertisement", "{interfaces: [eth0], preferredNodeSelectors: [{weight: 1, preference: {}}, {weight: 100, preference: {matchLabels: {a: b}}}]}"},
	{bad, "L2Advertisement", "{preferredNodeSelectors: [{weight: 0, preference: {}}]}"},
	{bad, "L2Advertisement", "{preferredNodeSelectors: [{weight: 101, preference: {}}]}"},
	{bad, "L2Advertisement", "{preferredNodeSelectors: [{weight: 1}]}"},
	{bad, "L2Advertisement", "{interfaces: [1]}"},

	{good, "BGPPeer", "{myASN: 4294967295, peerASN: 4294967295, peerAddress: 10.0.0.1}"},
	{good, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: '2001:db8::1', sourceAddress: '2001:db8::2', routerID: 1.2.3.4, peerPort: 16384}"},
	{good, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: '::ffff:10.0.0.1', peerPort: 0}"},
	{good, "BGPPeer", "{myASN: 1, dynamicASN: internal, interface: eth0, vrf: red, localASN: 4294967295, enableGracefulRestart: true, disableMP: true, dualStackAddressFamily: true}"},
	{good, "BGPPeer", "{myASN: 1, dynamicASN: external, peerASN: 0, peerAddress: 10.0.0.1, interface: '', sourceAddress: '', routerID: '', ebgpMultiHop: true}"},
	{good, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 0s, keepaliveTime: 0s, connectTime: 65535s}"},
	{good, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 1m30s, keepaliveTime: 30s, connectTime: 1000ms}"},
	{good, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 500ms}"},
	{good, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 9s, keepaliveTime: 0s}"},
	{good, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, password: x, passwordSecret: {}}"},
	{good, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, password: '', passwordSecret: {name: x, namespace: metallb-system}}"},
	{good, "BGPPeer", "{myASN: 1, peerASN: 1, peerAddress: 10.0.0.1, ebgpMultiHop: false}"},
	{good, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, interface: null, peerPort: null, holdTime: null, password: null, passwordSecret: null, nodeSelectors: null, ebgpMultiHop: null}"},
	{good, "BGPPeer", "{myASN: 64500.0, peerASN: 4.2e9, peerAddress: 10.0.0.1}"},
	{bad, "BGPPeer", "{myASN: null, peerASN: 2, peerAddress: 10.0.0.1}"},
	{bad, "BGPPeer", "{peerASN: 2, peerAddress: 10.0.0.1}"},
	{bad, "BGPPeer", "{myASN: 0, peerASN: 2, peerAddress: 10.0.0.1}"},
	{bad, "BGPPeer", "{myASN: 1, peerAddress: 10.0.0.1}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 4294967296, peerAddress: 10.0.0.1}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, dynamicASN: external, peerAddress: 10.0.0.1}"},
	{bad, "BGPPeer", "{myASN: 1, dynamicASN: any, peerAddress: 10.0.0.1}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, interface: eth0}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: tor.example}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 'fe80::1%eth0'}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: ' 10.0.0.1'}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, sourceAddress: '10.0.0.2 '}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, routerID: ' 1.2.3.4'}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: ' 90s'}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, sourceAddress: '::1'}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, sourceAddress: eth0}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, routerID: '::1'}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, routerID: 7}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, peerPort: 16385}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 2s}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: -3s}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 65536s}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: '90'}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 90}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 9s, keepaliveTime: 10s}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, connectTime: 0s}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, connectTime: 65536s}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, connectTime: 1500ms}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 1, peerAddress: 10.0.0.1, ebgpMultiHop: true}"},
	{bad, "BGPPeer", "{myASN: 1, dynamicASN: internal, peerAddress: 10.0.0.1, ebgpMultiHop: true}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, password: x, passwordSecret: {name: x}}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, localASN: 0}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, peer-port: 179}"},
	{bad, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, nodeSelectors: [{matchExpressions: [{key: a}]}]}"},
	{later, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, keepaliveTime: 30000s}"},
	{later, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, bfdProfile: nosuch}"},
	{later, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, password: " + strings.Repeat("x", 81) + "}"},
	{later, "BGPPeer", "{myASN: 23456, peerASN: 2, peerAddress: 10.0.0.1}"},
	{later, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 0.0.0.0}"},
	{later, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 'fe80::1'}"},
	{later, "BGPPeer", "{myASN: 1, peerASN: 2, interface: eth0, sourceAddress: 10.0.0.1}"},
	{later, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, routerID: 0.0.0.0}"},
	{later, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, passwordSecret: {name: x, namespace: kube-system}}"},
	{later, "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, nodeSelectors: [{matchExpressions: [{key: a, operator: In}]}]}"},

	{good, "BFDProfile", "{}"},
	{good, "BFDProfile", "{receiveInterval: 10, transmitInterval: 60000, detectMultiplier: 2, echoInterval: 10, minimumTtl: 254, echoMode: true, passiveMode: true}"},
	{bad, "BFDProfile", "{receiveInterval: 9}"},
	{bad, "BFDProfile", "{transmitInterval: 60001}"},
	{bad, "BFDProfile", "{detectMultiplier: 1}"},
	{bad, "BFDProfile", "{detectMultiplier: 256}"},
	{bad, "BFDProfile", "{echoInterval: 9}"},
	{bad, "BFDProfile", "{minimumTtl: 0}"},
	{bad, "BFDProfile", "{minimumTTL: 254}"},

	{good, "Community", "{communities: [{name: a, value: '65535:65535'}, {name: b, value: 'large:4294967295:0:1'}, {name: c, value: '0:0'}]}"},
	{bad, "Community", "{communities: [{name: a, value: '65536:1'}]}"},
	{bad, "Community", "{communities: [{name: a, value: '1:2:3'}]}"},
	{bad, "Community", "{communities: [{name: a, value: 'large:1:2:4294967296'}]}"},
	{bad, "Community", "{communities: [{name: a, value: 'large:1:2'}]}"},
	{bad, "Community", "{communities: [{name: a, value: no-export}]}"},
	{bad, "Community", "{communities: [{name: a, value: 65535}]}"},
	{later, "Community", "{communities: [{name: a, value: '1:1'}, {name: a, value: '1:2'}]}"},
}

// The API server, by the schema and its CEL rules, and the parser think the same
// of an object; nothing that the API server refuses gets past the parser.
func TestSchemaAndParserAgree(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	c, err := cluster.Start(ctx, cluster.Options{Dir: t.TempDir(), Components: []cluster.Component{cluster.APIServer}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var text strings.Builder
	files, err := fs.Glob(deploy.CRDs, "crds/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		crd, err := deploy.CRDs.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(crd)
	}
	cmd := c.Kubectl(ctx, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(text.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
	if err := c.AwaitKinds(ctx); err != nil {
		t.Fatal(err)
	}
	config := rest.CopyConfig(c.Config())
	config.WarningHandler = rest.NoWarnings{} // v1beta1 is deprecated
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	resources := map[string]string{
		"IPAddressPool": "ipaddresspools", "BGPAdvertisement": "bgpadvertisements", "L2Advertisement": "l2advertisements",
		"BGPPeer": "bgppeers", "BFDProfile": "bfdprofiles", "Community": "communities",
	}
	for _, v := range verdicts {
		versions := []string{"v1beta1"}
		if v.kind == "BGPPeer" {
			versions = append(versions, "v1beta2")
		}
		for _, version := range versions {
			doc := fmt.Sprintf("apiVersion: metallb.io/%s\nkind: %s\nmetadata: {name: a, namespace: default}\nspec: %s\n", version, v.kind, v.spec)
			s := New("default")
			if err := s.Read("-", strings.NewReader(strings.ReplaceAll(doc, "metallb-system", "default"))); err != nil {
				t.Fatal(err)
			}
			problems := s.Check()
			parser := !slices.ContainsFunc(problems, func(p Problem) bool { return !p.Warning })

			var o unstructured.Unstructured
			if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
				t.Fatal(err)
			}
			resource := client.Resource(apischema.GroupVersionResource{Group: "metallb.io", Version: version, Resource: resources[v.kind]}).Namespace("default")
			_, err := resource.Create(ctx, &o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
			if ctx.Err() != nil {
				t.Fatal(err)
			}
			if (err == nil) != (v.want != bad) || parser != (v.want == good) {
				t.Errorf("%s of %s %s %s: the API server says %v, the parser\n%s", v.want, version, v.kind, v.spec, err, show(problems))
			}
		}
	}
}
