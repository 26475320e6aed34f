package crd

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/api/v1beta2"
)

// BenchmarkParse parses again, after one pool changed, 5,000 pools, 200 peers and
// 100 advertisements.
func BenchmarkParse(b *testing.B) {
	o := &Objects{Namespace: own}
	meta := func(format string, n int) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: own, Name: fmt.Sprintf(format, n)}
	}
	for i := range 5000 {
		o.Pools = append(o.Pools, &v1beta1.IPAddressPool{ObjectMeta: meta("pool%d", i), Spec: v1beta1.IPAddressPoolSpec{
			Addresses: []string{fmt.Sprintf("10.%d.%d.0/25", i/256, i%256), fmt.Sprintf("10.%d.%d.200-10.%d.%d.250", i/256, i%256, i/256, i%256)},
		}})
	}
	for i := range 200 {
		o.Peers = append(o.Peers, &v1beta2.BGPPeer{ObjectMeta: meta("peer%d", i), Spec: v1beta2.BGPPeerSpec{
			MyASN: 64500, ASN: 64501, Address: fmt.Sprintf("192.0.2.%d", i),
			NodeSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"rack": fmt.Sprint(i)}}},
		}})
	}
	for i := range 100 {
		o.BGPAdvertisements = append(o.BGPAdvertisements, &v1beta1.BGPAdvertisement{ObjectMeta: meta("advertisement%d", i), Spec: v1beta1.BGPAdvertisementSpec{
			IPAddressPools: []string{fmt.Sprintf("pool%d", i)},
		}})
	}
	var p Parser
	if _, problems := p.Parse(o); len(problems) > 0 {
		b.Fatal(show(problems))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		pool := *o.Pools[77]
		pool.Spec.Addresses = []string{fmt.Sprintf("10.0.77.%d/32", i%128)}
		o.Pools[77] = &pool
		if config, problems := p.Parse(o); len(problems) > 0 || len(config.Pools) != 5000 {
			b.Fatal(show(problems))
		}
	}
}

// BenchmarkLarge parses what is large in one way each.
func BenchmarkLarge(b *testing.B) {
	meta := func(n int) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: own, Name: fmt.Sprintf("o%d", n)}
	}
	for name, build := range map[string]func(o *Objects){
		"1000 pools, 300 advertisements of all": func(o *Objects) {
			for i := range 1000 {
				o.Pools = append(o.Pools, &v1beta1.IPAddressPool{ObjectMeta: meta(i), Spec: v1beta1.IPAddressPoolSpec{
					Addresses: []string{fmt.Sprintf("10.0.%d.%d/32", i/256, i%256)},
				}})
			}
			for i := range 300 {
				o.BGPAdvertisements = append(o.BGPAdvertisements, &v1beta1.BGPAdvertisement{ObjectMeta: meta(i), Spec: v1beta1.BGPAdvertisementSpec{
					LocalPref: uint32(i), NodeSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"rack": fmt.Sprint(i)}}},
				}})
			}
		},
		"a pool of 16384 ranges": func(o *Objects) {
			pool := &v1beta1.IPAddressPool{ObjectMeta: meta(0)}
			for i := range 16384 {
				pool.Spec.Addresses = append(pool.Spec.Addresses, fmt.Sprintf("10.0.%d.%d-10.0.%d.%d", i/64, i%64*4, i/64, i%64*4+2))
			}
			o.Pools = append(o.Pools, pool)
		},
		"5000 peers": func(o *Objects) {
			for i := range 5000 {
				o.Peers = append(o.Peers, &v1beta2.BGPPeer{ObjectMeta: meta(i), Spec: v1beta2.BGPPeerSpec{MyASN: 1, ASN: 2, Address: fmt.Sprintf("10.0.%d.%d", i/200, i%200+1)}})
			}
		},
		"400000 aliases": func(o *Objects) {
			for i := range 100 {
				c := &v1beta1.Community{ObjectMeta: meta(i)}
				for j := range 4000 {
					c.Spec.Communities = append(c.Spec.Communities, v1beta1.CommunityAlias{Name: fmt.Sprintf("alias-%d-%d", i, j), Value: "1:1"})
				}
				o.Communities = append(o.Communities, c)
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			o := &Objects{Namespace: own}
			build(o)
			var p Parser
			b.ReportAllocs()
			for b.Loop() {
				if _, problems := p.Parse(o); len(problems) > 0 {
					b.Fatal(show(problems))
				}
			}
		})
	}
}
