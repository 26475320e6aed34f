package crd

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/google/go-cmp/cmp"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/api/v1beta2"
	"github.com/pharoslb/pharos/internal/configmap"
)

// dice makes choices of bytes; out of them, it always chooses the first.
type dice struct{ bytes []byte }

func (d *dice) roll(n int) int {
	if len(d.bytes) == 0 {
		return 0
	}
	b := d.bytes[0]
	d.bytes = d.bytes[1:]
	return int(b) % n
}

func pick[T any](d *dice, list ...T) T { return list[d.roll(len(list))] }

// some picks up to three.
func some[T any](d *dice, list ...T) (out []T) {
	for range d.roll(4) {
		out = append(out, pick(d, list...))
	}
	return out
}

func (d *dice) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:              pick(d, "a", "b", "c", "peer-10.0.0.1", "config"),
		Namespace:         pick(d, own, own, own, own, own, "default"),
		UID:               pick[types.UID](d, "", "", "x", "y"),
		CreationTimestamp: metav1.Time{Time: time.Unix(int64(d.roll(4)), 0)},
		Labels:            map[string]string{"rack": pick(d, "1", "2")},
	}
}

func (d *dice) selectors() []metav1.LabelSelector {
	return some(d,
		metav1.LabelSelector{MatchLabels: map[string]string{"rack": "1"}},
		metav1.LabelSelector{MatchLabels: map[string]string{"rack": "2"}},
		metav1.LabelSelector{},
		metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "rack", Operator: "NotIn", Values: []string{"1"}}}},
		metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "rack", Operator: "Exists", Values: []string{"1"}}}},
	)
}

func (d *dice) duration() *metav1.Duration {
	s := pick[time.Duration](d, -1, 0, 1, 2, 3, 9, 90, 65535, 65536, 40000)
	return pick(d, nil, &metav1.Duration{Duration: s * time.Second}, &metav1.Duration{Duration: s*time.Second + time.Millisecond})
}

// change adds, replaces or removes an object.
func (d *dice) change(o *Objects) {
	switch d.roll(9) {
	case 0:
		m := d.meta()
		m.Annotations = map[string]string{
			pick(d, "x", "pharoslb.io/cool-down", "pharoslb.io/quota", "pharoslb.io/reservations", "pharoslb.io/x"): pick(d, "", "1m", "a=1", "a/b=10.0.0.1", "*=-1"),
		}
		put(&o.Pools, &v1beta1.IPAddressPool{ObjectMeta: m, Spec: v1beta1.IPAddressPoolSpec{
			Addresses: some(d, "10.0.0.0/24", "10.0.0.0/32", "10.0.1.0-10.0.2.9", "10.0.0.9-10.0.0.1", "2001:db8::/64", "::/0", "x", "10.0.0.5"),
			AllocateTo: pick(d, nil, &v1beta1.ServiceAllocation{
				Namespaces: some(d, "a", "b"), NamespaceSelectors: d.selectors(), ServiceSelectors: d.selectors(),
			}),
		}})
	case 1:
		put(&o.BGPAdvertisements, &v1beta1.BGPAdvertisement{ObjectMeta: d.meta(), Spec: v1beta1.BGPAdvertisementSpec{
			AggregationLength: pick(d, nil, ptr[int32](24), ptr[int32](32), ptr[int32](0)), AggregationLengthV6: pick(d, nil, ptr[int32](64), ptr[int32](129)),
			LocalPref: pick[uint32](d, 0, 1, 2), Communities: some(d, "x", "y", "1:2", "large:1:2:3", "large:1", ""),
			IPAddressPools: some(d, "a", "b", "z"), IPAddressPoolSelectors: d.selectors(), NodeSelectors: d.selectors(),
			Peers: some(d, "a", "b"), ServiceSelectors: d.selectors(),
		}})
	case 2:
		put(&o.L2Advertisements, &v1beta1.L2Advertisement{ObjectMeta: d.meta(), Spec: v1beta1.L2AdvertisementSpec{
			IPAddressPools: some(d, "a", "b", "z"), IPAddressPoolSelectors: d.selectors(), NodeSelectors: d.selectors(),
			PreferredNodeSelectors: some(d, v1beta1.PreferredNodeSelector{Weight: 1}, v1beta1.PreferredNodeSelector{Weight: 101}),
		}})
	case 3, 4:
		put(&o.Peers, &v1beta2.BGPPeer{ObjectMeta: d.meta(), Spec: v1beta2.BGPPeerSpec{
			MyASN: pick[uint32](d, 1, 1, 1, 2, 0), ASN: pick[uint32](d, 2, 2, 1, 0), DynamicASN: pick[v1beta2.DynamicASNMode](d, "", "", "internal", "external", "x"),
			Address: pick(d, "10.0.0.1", "10.0.0.1", "10.0.0.2", "::1", "x", ""), Interface: pick(d, "", "", "eth0"), SrcAddress: pick(d, "", "", "10.0.0.9", "::9"),
			Port: pick[uint16](d, 179, 0, 1179, 65535), HoldTime: d.duration(), KeepaliveTime: d.duration(), ConnectTime: d.duration(),
			RouterID: pick(d, "", "1.1.1.1", "1.1.1.2", "::1"), NodeSelectors: d.selectors(), Password: pick(d, "", "", "hunter2"),
			BFDProfile: pick(d, "", "a", "b", "old"), EBGPMultiHop: d.roll(2) == 0, VRFName: pick(d, "", "red"),
		}})
		o.Peers[len(o.Peers)-1].Spec.PasswordSecret.Name = pick(d, "", "", "good", "empty", "none")
	case 5:
		put(&o.BFDProfiles, &v1beta1.BFDProfile{ObjectMeta: d.meta(), Spec: v1beta1.BFDProfileSpec{
			ReceiveInterval: pick(d, nil, ptr[uint32](10), ptr[uint32](9)), DetectMultiplier: pick(d, nil, ptr[uint32](255), ptr[uint32](256)), MinimumTTL: pick(d, nil, ptr[uint32](0)),
		}})
	case 6:
		put(&o.Communities, &v1beta1.Community{ObjectMeta: d.meta(), Spec: v1beta1.CommunitySpec{
			Communities: some(d, v1beta1.CommunityAlias{Name: "x", Value: "1:1"}, v1beta1.CommunityAlias{Name: "y", Value: "large:1:1:1"}, v1beta1.CommunityAlias{Name: "z", Value: "?"}),
		}})
	case 7:
		o.Legacy, _ = configmap.Parse([]byte(pick(d, "peers: 1", "{}",
			"address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.7/32]}]\npeers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1}]",
			"address-pools: [{name: old, protocol: layer2, addresses: [10.0.1.0/24]}]\nbfd-profiles: [{name: old}, {name: a}]")))
	case 8:
		o.Extras = pick(d, "", "x")
		o.Pools, o.BFDProfiles, o.Communities = cut(d, o.Pools), cut(d, o.BFDProfiles), cut(d, o.Communities)
	}
}

// cut removes the first object, or none.
func cut[T any](d *dice, list []T) []T { return list[min(d.roll(2), len(list)):] }

// put adds an object, in the place of one of its kind and name.
func put[T metav1.Object](list *[]T, o T) {
	*list = slices.DeleteFunc(slices.Clone(*list), func(other T) bool {
		return other.GetName() == o.GetName() && other.GetNamespace() == o.GetNamespace()
	})
	*list = append(*list, o)
}

func reversed[T any](list []T) []T {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// stays checks that what was in force is, as long as its object is there: nobody
// loses it by what others say.
func stays[T any, O metav1.Object](t *testing.T, objects []O, before, after memory[T]) {
	t.Helper()
	for _, o := range objects {
		ref := pharos.Ref{Kind: strings.TrimPrefix(reflect.TypeOf(o).String(), "*v1beta1."), Namespace: o.GetNamespace(), Name: o.GetName()}
		v, was := before[ref]
		if _, is := after[ref]; was && !is && v.uid == o.GetUID() {
			t.Errorf("%s is no longer in force", ref)
		}
	}
}

// Whatever the objects say, one after the other, the Config is valid; the same
// objects in another order, or once more, give the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x01\x00\x00\x00\x00\x00\x00\x01\x00\x03\x00\x00\x01\x01\x00\x00\x00\x00\x01\x00\x01"))
	f.Add([]byte("the quick brown fox jumps over the lazy dog, and over the pool, the peer and the profile"))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		if len(bytes) > 4096 {
			return
		}
		d := &dice{bytes}
		o := &Objects{
			Namespace: own, LegacyRef: pharos.Ref{Kind: "ConfigMap", Namespace: own, Name: "config"},
			Secrets: map[string]Secret{"good": {"kubernetes.io/basic-auth", ptr(pharos.Secret("s3cret"))}, "empty": {"kubernetes.io/basic-auth", ptr(pharos.Secret(""))}},
		}
		var p Parser
		for steps := 0; len(d.bytes) > 0 && steps < 12; steps++ {
			for range 1 + d.roll(4) {
				d.change(o)
			}
			p.SecretNames(own, o.Peers)
			twin := p
			config, problems := p.Parse(o)
			valid(t, config)
			stays(t, o.Pools, twin.pools, p.pools)
			stays(t, o.Communities, twin.communities, p.communities)
			for _, problem := range problems {
				if problem.Object.Kind == "" || problem.Reason.Code.String() == "ok" || problem.Reason.Detail == "" {
					t.Errorf("problem %+v", problem)
				}
			}
			for _, peer := range config.Peers {
				if peer.Password == "" && slices.ContainsFunc(o.Peers, func(o *v1beta2.BGPPeer) bool {
					return o.Name == peer.Name && o.Namespace == own && peer.Origin != "ConfigMap, peers[0]" && o.Spec.PasswordSecret.Name != ""
				}) && p.peers[pharos.Ref{Kind: "BGPPeer", Namespace: own, Name: peer.Name}].value.secret != "" && peer.Refused.Code == 0 {
					t.Errorf("peer %q has a session without its password", peer.Name)
				}
			}

			again := *o
			again.Pools, again.Peers, again.BFDProfiles = reversed(o.Pools), reversed(o.Peers), reversed(o.BFDProfiles)
			again.BGPAdvertisements, again.L2Advertisements, again.Communities = reversed(o.BGPAdvertisements), reversed(o.L2Advertisements), reversed(o.Communities)
			config2, problems2 := twin.Parse(&again)
			if !reflect.DeepEqual(config, config2) || !reflect.DeepEqual(problems, problems2) {
				t.Errorf("another order makes another configuration:\n%s\n%s", cmp.Diff(config, config2, compare...), cmp.Diff(problems, problems2))
			}
			// What was accepted is senior from now on, which may change the verdict
			// once, about routes that two advertisements claim.
			config, problems = p.Parse(o)
			config3, problems3 := p.Parse(o)
			if !reflect.DeepEqual(config, config3) || !reflect.DeepEqual(problems, problems3) {
				t.Errorf("a third look makes another configuration:\n%s\n%s", cmp.Diff(config, config3, compare...), cmp.Diff(problems, problems3))
			}
		}
	})
}
