package crd

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/internal/configmap"
)

// inForce renders a Config briefly.
func inForce(c *pharos.Config) string {
	var out []string
	for _, p := range c.Pools {
		out = append(out, fmt.Sprintf("%s%v", p.Name, p.Ranges))
	}
	for _, p := range c.Peers {
		text := fmt.Sprintf("%s@%d", p.Name, p.RemoteAS)
		if p.BFDProfile != "" {
			text += fmt.Sprintf("+%s*%d", p.BFDProfile, c.BFDProfile(p.BFDProfile).DetectMultiplier)
		}
		out = append(out, text)
	}
	for _, a := range c.Advertisements {
		out = append(out, fmt.Sprintf("%s:%s%v%v", a.Mode, a.Name, a.Pools, a.Communities))
	}
	return strings.Join(out, " ")
}

// What objects said when they were last right stays in force while they are
// wrong; conflicts are decided by who was there first.
func TestPast(t *testing.T) {
	type step struct{ text, want, problems string }
	const (
		older = "IPAddressPool %s metadata: {creationTimestamp: '2020-01-01T00:00:00Z'}\n"
		newer = "IPAddressPool %s metadata: {creationTimestamp: '2024-01-01T00:00:00Z'}\n"
	)
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"a wrong edit leaves the last good version", []step{
			{"IPAddressPool a: {addresses: [10.0.0.0/31]}\nIPAddressPool b: {addresses: [x]}\nL2Advertisement l: {}", "a[10.0.0.0-10.0.0.1] layer2:l[a][]", `IPAddressPool b: spec.addresses[0]: "x" is neither a CIDR nor a range`},
			{"IPAddressPool a: {addresses: [10.0.0.0]}\nIPAddressPool b: {addresses: [10.0.1.0/32]}\nL2Advertisement l: {}", "a[10.0.0.0-10.0.0.1] b[10.0.1.0-10.0.1.0] layer2:l[a b][]", `IPAddressPool a: spec.addresses[0]: "10.0.0.0" is neither a CIDR nor a range`},
			{"IPAddressPool a: {addresses: [10.0.0.0/32]}\nL2Advertisement l: {}", "a[10.0.0.0-10.0.0.0] layer2:l[a][]", ""},
		}},
		{"deleted and created anew is another object", []step{
			{"IPAddressPool a metadata: {uid: x}\nIPAddressPool a: {addresses: [10.0.0.0/31]}", "a[10.0.0.0-10.0.0.1]", ""},
			{"IPAddressPool a metadata: {uid: y}\nIPAddressPool a: {addresses: [x]}", "", `IPAddressPool a: spec.addresses[0]: "x" is neither a CIDR nor a range`},
		}},
		{"an overlap with one that is unchanged", []step{
			{fmt.Sprintf(older, "a") + "IPAddressPool a: {addresses: [10.0.0.0/32]}\nIPAddressPool z: {addresses: [10.0.1.0/32]}", "a[10.0.0.0-10.0.0.0] z[10.0.1.0-10.0.1.0]", ""},
			{fmt.Sprintf(older, "a") + "IPAddressPool a: {addresses: [10.0.0.0/23]}\nIPAddressPool z: {addresses: [10.0.1.0/32]}", "a[10.0.0.0-10.0.0.0] z[10.0.1.0-10.0.1.0]", "IPAddressPool a: spec.addresses[0]: 10.0.0.0-10.0.1.255 overlaps 10.0.1.0-10.0.1.0 of IPAddressPool z"},
			{fmt.Sprintf(older, "a") + "IPAddressPool a: {addresses: [10.0.0.0/23]}", "a[10.0.0.0-10.0.1.255]", ""}, // and it is looked at again
		}},
		{"an overlap of two that are new: the older one stands", []step{
			{fmt.Sprintf(newer, "a") + fmt.Sprintf(older, "b") + "IPAddressPool a: {addresses: [10.0.0.0/32]}\nIPAddressPool b: {addresses: [10.0.0.0/31]}", "b[10.0.0.0-10.0.0.1]", "IPAddressPool a: spec.addresses[0]: 10.0.0.0-10.0.0.0 overlaps 10.0.0.0-10.0.0.1 of IPAddressPool b"},
		}},
		{"two exchange their addresses", []step{
			{"IPAddressPool a: {addresses: [10.0.0.0/32]}\nIPAddressPool b: {addresses: [10.0.1.0/32]}", "a[10.0.0.0-10.0.0.0] b[10.0.1.0-10.0.1.0]", ""},
			{"IPAddressPool a: {addresses: [10.0.1.0/32]}\nIPAddressPool b: {addresses: [10.0.0.0/32]}", "a[10.0.1.0-10.0.1.0] b[10.0.0.0-10.0.0.0]", ""},
		}},
		{"an edit takes the place of one whose own edit is refused", []step{
			{"IPAddressPool a: {addresses: [10.0.0.0/32]}\nIPAddressPool b: {addresses: [10.0.1.0/32]}\nIPAddressPool c: {addresses: [10.0.2.0/32]}", "a[10.0.0.0-10.0.0.0] b[10.0.1.0-10.0.1.0] c[10.0.2.0-10.0.2.0]", ""},
			{"IPAddressPool a: {addresses: [10.0.1.0/32]}\nIPAddressPool b: {addresses: [10.0.2.0/32]}\nIPAddressPool c: {addresses: [10.0.2.0/32]}", "a[10.0.0.0-10.0.0.0] b[10.0.1.0-10.0.1.0] c[10.0.2.0-10.0.2.0]", "IPAddressPool a: spec.addresses[0]: 10.0.1.0-10.0.1.0 overlaps 10.0.1.0-10.0.1.0 of IPAddressPool b\nIPAddressPool b: spec.addresses[0]: 10.0.2.0-10.0.2.0 overlaps 10.0.2.0-10.0.2.0 of IPAddressPool c"},
			{"IPAddressPool a: {addresses: [10.0.1.0/32]}\nIPAddressPool b: {addresses: [10.0.2.0/32]}", "a[10.0.1.0-10.0.1.0] b[10.0.2.0-10.0.2.0]", ""}, // with the winner gone, both are in force
		}},
		{"and one of peers", []step{
			{"BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}\nBGPPeer b: {myASN: 1, peerASN: 3, peerAddress: 10.0.0.2}\nBGPPeer c: {myASN: 1, peerASN: 4, peerAddress: 10.0.0.3}", "a@2 b@3 c@4", ""},
			{"BGPPeer a: {myASN: 1, peerASN: 5, peerAddress: 10.0.0.2}\nBGPPeer b: {myASN: 1, peerASN: 3, peerAddress: 10.0.0.3}\nBGPPeer c: {myASN: 1, peerASN: 4, peerAddress: 10.0.0.3}", "a@2 b@3 c@4", "BGPPeer a: spec.peerAddress: 10.0.0.2 is the peer of BGPPeer b already\nBGPPeer b: spec.peerAddress: 10.0.0.3 is the peer of BGPPeer c already"},
		}},
		{"labels change, and the pool stands", []step{
			{"IPAddressPool a: {addresses: [10.0.0.0/32]}\nL2Advertisement l: {ipAddressPoolSelectors: [{matchLabels: {x: y}}]}", "a[10.0.0.0-10.0.0.0] layer2:l[][]", ""},
			{"IPAddressPool a metadata: {labels: {x: y}}\nIPAddressPool a: {addresses: [x]}\nL2Advertisement l: {ipAddressPoolSelectors: [{matchLabels: {x: y}}]}", "a[10.0.0.0-10.0.0.0] layer2:l[a][]", `IPAddressPool a: spec.addresses[0]: "x" is neither a CIDR nor a range`},
		}},
		{"the ConfigMap was there first", []step{
			{"IPAddressPool a: {addresses: [10.0.0.0/24]}\nL2Advertisement l: {}\nConfigMap config: 'address-pools: [{name: old, protocol: bgp, addresses: [10.0.0.0/32]}]'", "old[10.0.0.0-10.0.0.0] bgp:old[old][] layer2:l[][]", "IPAddressPool a: spec.addresses[0]: 10.0.0.0-10.0.0.255 overlaps 10.0.0.0-10.0.0.0 of ConfigMap config, address-pools[0].addresses[0]"},
			{"IPAddressPool a: {addresses: [10.0.0.0/24]}\nL2Advertisement l: {}", "a[10.0.0.0-10.0.0.255] layer2:l[a][]", ""},
		}},
		{"the ConfigMap is edited into the way of a pool", []step{
			{"IPAddressPool a: {addresses: [10.0.0.0/32]}\nConfigMap config: 'address-pools: [{name: old, protocol: layer2, addresses: [10.0.1.0/32]}]'", "a[10.0.0.0-10.0.0.0] old[10.0.1.0-10.0.1.0] layer2:old[old][]", ""},
			{"IPAddressPool a: {addresses: [10.0.0.0/32]}\nConfigMap config: 'address-pools: [{name: old, protocol: bgp, addresses: [10.0.0.0/24]}, {name: a, protocol: bgp, addresses: [10.0.2.0/24]}]'", "a[10.0.0.0-10.0.0.0] old[10.0.1.0-10.0.1.0] layer2:old[old][]", `ConfigMap config: address-pools[1].name: there is a pool "a" already, IPAddressPool a
ConfigMap config: address-pools[0].addresses[0]: 10.0.0.0-10.0.0.255 overlaps 10.0.0.0-10.0.0.0 of IPAddressPool a`},
			{"IPAddressPool a: {addresses: [10.0.0.0/32]}\nConfigMap config: 'address-pools: [{name: old, protocol: bgp, addresses: [10.0.1.0/32]}]'", "a[10.0.0.0-10.0.0.0] old[10.0.1.0-10.0.1.0] bgp:old[old][]", ""},
		}},
		{"a profile that is deleted stays for its peers", []step{
			{"BFDProfile f: {detectMultiplier: 9}\nBGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, bfdProfile: f}\nBGPPeer b: {myASN: 1, peerASN: 3, peerAddress: 10.0.0.2, bfdProfile: f}", "a@2+f*9 b@3+f*9", ""},
			{"BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, bfdProfile: f}\nBGPPeer b: {myASN: 1, peerASN: 3, peerAddress: 10.0.0.2, bfdProfile: f}", "a@2+f*9 b@3+f*9", `BGPPeer a: spec.bfdProfile: there is no BFDProfile "f" any more
BGPPeer b: spec.bfdProfile: there is no BFDProfile "f" any more`},
			{"BFDProfile f: {}\nBGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, bfdProfile: f}", "a@2+f*3", ""},
			{"BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}", "a@2", ""},
		}},
		{"a profile that never was", []step{
			{"BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}", "a@2", ""},
			{"BGPPeer a: {myASN: 1, peerASN: 3, peerAddress: 10.0.0.1, bfdProfile: f}", "a@2", `BGPPeer a: spec.bfdProfile: there is no BFDProfile "f"`},
			{"BFDProfile f: {}\nBGPPeer a: {myASN: 1, peerASN: 3, peerAddress: 10.0.0.1, bfdProfile: f}", "a@3+f*3", ""},
		}},
		{"an alias that goes", []step{
			{"Community c: {communities: [{name: x, value: '1:1'}]}\nIPAddressPool p: {addresses: [10.0.0.0/32]}\nBGPAdvertisement a: {communities: [x]}", "p[10.0.0.0-10.0.0.0] bgp:a[p][1:1]", ""},
			{"IPAddressPool p: {addresses: [10.0.0.0/32]}\nBGPAdvertisement a: {communities: [x]}", "p[10.0.0.0-10.0.0.0] bgp:a[p][1:1]", `BGPAdvertisement a: spec.communities[0]: "x" is neither`},
			{"Community c: {communities: [{name: x, value: '1:2'}]}\nIPAddressPool p: {addresses: [10.0.0.0/32]}\nBGPAdvertisement a: {communities: [x]}", "p[10.0.0.0-10.0.0.0] bgp:a[p][1:2]", ""},
		}},
		{"an alias that another object takes", []step{
			{"Community c: {communities: [{name: x, value: '1:1'}]}\nIPAddressPool p: {addresses: [10.0.0.0/32]}\nBGPAdvertisement a: {communities: [x]}", "p[10.0.0.0-10.0.0.0] bgp:a[p][1:1]", ""},
			{"Community a: {communities: [{name: x, value: '1:2'}]}\nCommunity c: {communities: [{name: x, value: '1:1'}]}\nIPAddressPool p: {addresses: [10.0.0.0/32]}\nBGPAdvertisement a: {communities: [x]}", "p[10.0.0.0-10.0.0.0] bgp:a[p][1:1]", `Community a: spec.communities[0].name: the alias "x" is of Community c`},
		}},
		{"a pool too small for an aggregate is left out", []step{
			{"IPAddressPool p: {addresses: [10.0.0.0/24]}\nBGPAdvertisement a: {aggregationLength: 24}", "p[10.0.0.0-10.0.0.255] bgp:a[p][]", ""},
			{"IPAddressPool p: {addresses: [10.0.0.0/24]}\nIPAddressPool q: {addresses: [10.0.1.0/31]}\nBGPAdvertisement a: {aggregationLength: 24}", "p[10.0.0.0-10.0.0.255] q[10.0.1.0-10.0.1.1] bgp:a[p][]", "BGPAdvertisement a: spec.aggregationLength: /24 is wider than 10.0.1.0-10.0.1.1"},
			{"IPAddressPool p: {addresses: [10.0.0.0/24]}\nBGPAdvertisement a: {aggregationLength: 23, communities: ['1:1']}", "p[10.0.0.0-10.0.0.255] bgp:a[p][]", "BGPAdvertisement a: spec.aggregationLength: /23 is wider than 10.0.0.0-10.0.0.255"},
		}},
		{"a second peer of one address", []step{
			{"BGPPeer b: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}", "b@2", ""},
			{"BGPPeer a: {myASN: 1, peerASN: 3, peerAddress: 10.0.0.1}\nBGPPeer b: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}", "b@2", "BGPPeer a: spec.peerAddress: 10.0.0.1 is the peer of BGPPeer b already"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p Parser
			for i, s := range c.steps {
				o := objects(t, s.text)
				config, problems := p.Parse(o)
				valid(t, config)
				if got := inForce(config); got != s.want {
					t.Errorf("step %d: in force is\n%s\nwant\n%s", i+1, got, s.want)
				}
				lines, want := strings.Split(show(problems), "\n"), strings.Split(s.problems, "\n")
				ok := len(lines) == len(want)
				for i := 0; ok && i < len(lines); i++ {
					ok = strings.HasPrefix(lines[i], want[i]) && (want[i] == "") == (lines[i] == "")
				}
				if !ok {
					t.Errorf("step %d: problems are\n%s\nwant\n%s", i+1, show(problems), s.problems)
				}
			}
		})
	}
}

// The ConfigMap's peers and profiles stand; the resources' are told of both places.
func TestLegacyPeers(t *testing.T) {
	o := objects(t, `
ConfigMap config: |
  peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1}, {my-asn: 7, peer-asn: 2, peer-address: 10.0.0.3}]
  bfd-profiles: [{name: fast}]
BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}
BGPPeer b: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.2, bfdProfile: fast}
BGPPeer peer-10.0.0.1: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.9}
BFDProfile fast: {detectMultiplier: 9}
`)
	o.Pools = append(o.Pools, &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"}})
	config, problems := new(Parser).Parse(o)
	if got, want := inForce(config), "peer-10.0.0.1@2 peer-10.0.0.3@2 b@2+fast*3"; got != want {
		t.Errorf("in force is %s, want %s", got, want)
	}
	if config.Reassign {
		t.Error("the ConfigMap's pools alone are not reassigned")
	}
	want := `BFDProfile fast: metadata.name: there is a BFD profile "fast" already, ConfigMap, bfd-profiles[0] (rename one of them)
BGPPeer a: spec.peerAddress: 10.0.0.1 is the peer of ConfigMap, peers[0] already, on the same nodes (delete one of them, or tell them apart by nodeSelectors)
BGPPeer peer-10.0.0.1: metadata.name: there is a peer "peer-10.0.0.1" already, ConfigMap, peers[0] (rename one of them)
IPAddressPool default/a: metadata.namespace: only objects of namespace metallb-system count (create it there)`
	if got := show(problems); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The ConfigMap alone gives what it gives without us.
func TestLegacyAlone(t *testing.T) {
	text, err := os.ReadFile("../configmap/testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var p Parser
	for range 2 {
		o := objects(t, "{}")
		if o.Legacy, err = configmap.Parse(text); err != nil {
			t.Fatal(err)
		}
		config, problems := p.Parse(o)
		if len(problems) > 0 || !reflect.DeepEqual(config, o.Legacy) {
			t.Errorf("%s\n%s", show(problems), cmp.Diff(o.Legacy, config, compare...))
		}
	}
}
