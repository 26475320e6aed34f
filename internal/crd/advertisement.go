package crd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/internal/meant"
	"github.com/pharoslb/pharos/internal/rule"
	"github.com/pharoslb/pharos/why"
)

// advertisement is one whose pools are not looked up yet.
type advertisement struct {
	pharos.Advertisement
	names     []string
	selectors []pharos.Selector
}

// covers reports whether the advertisement is meant for a pool: it names it, or a
// selector matches it, or there is neither.
func (a *advertisement) covers(p owned) bool {
	if len(a.names)+len(a.selectors) == 0 {
		return true
	}
	return slices.Contains(a.names, p.pool.Name) ||
		slices.ContainsFunc(a.selectors, func(s pharos.Selector) bool { return s.Matches(p.labels) })
}

// settleAdvertisements brings the advertisements into force. They are meant for
// IPAddressPools; the ConfigMap's pools have their own.
func (s *session) settleAdvertisements() {
	ours := len(s.config.Advertisements)
	none := func() {} // none is ever left out whole
	bgp := drafts(s, "BGPAdvertisement", s.BGPAdvertisements, s.past.bgp, s.readBGP)
	s.past.bgp = settle(s, bgp, none, func(_ *draft[advertisement], v *advertisement, lastChance bool) (bool, faults) {
		a := v.Advertisement
		var wrong faults
		others := rivals(&a, s.config.Advertisements[ours:])
		for _, p := range s.owned {
			if v.covers(p) && announces(&a, p, others, &wrong) {
				a.Pools = append(a.Pools, p.pool.Name)
			}
		}
		if len(wrong) > 0 && !lastChance {
			return false, wrong
		}
		s.config.Advertisements = append(s.config.Advertisements, a)
		return true, wrong
	})
	l2 := drafts(s, "L2Advertisement", s.L2Advertisements, s.past.l2, readL2)
	s.past.l2 = settle(s, l2, none, func(_ *draft[advertisement], v *advertisement, _ bool) (bool, faults) {
		a := v.Advertisement
		for _, p := range s.owned {
			if v.covers(p) {
				a.Pools = append(a.Pools, p.pool.Name)
			}
		}
		s.config.Advertisements = append(s.config.Advertisements, a)
		return true, nil
	})
	slices.SortStableFunc(s.config.Advertisements[ours:], func(a, b pharos.Advertisement) int {
		return cmp.Or(cmp.Compare(a.Mode, b.Mode), cmp.Compare(a.Name, b.Name))
	})
}

// announces reports whether an advertisement may announce a pool's addresses; that
// it may not is a fault, and the pool is left out.
func announces(a *pharos.Advertisement, p owned, rivals []*pharos.Advertisement, wrong *faults) bool {
	before := len(*wrong)
	for _, e := range p.entries {
		field, length := "spec.aggregationLength", a.AggregationLength
		if e.First.Is6() {
			field, length = "spec.aggregationLengthV6", a.AggregationLengthV6
		}
		wrong.fits(field, rule.Aggregation(length, e.Entry, e.String()))
	}
	for _, other := range rivals {
		if _, both := slices.BinarySearch(other.Pools, p.pool.Name); both && sameLength(a, other, p) {
			wrong.add("spec.localPref", "correct one of them, or tell them apart by aggregation length, peers, nodes or Services",
				"%d differs from localPref %d of %s, which announces %s too", preference(a), preference(other), other.Origin, p.pool.Origin)
		}
	}
	return len(*wrong) == before
}

// rivals are the advertisements that give routes another preference, and are sure
// to give them to a peer, on a node and for a Service that this one does.
func rivals(a *pharos.Advertisement, list []pharos.Advertisement) (out []*pharos.Advertisement) {
	for i := range list {
		b := &list[i]
		peers := len(a.Peers) == 0 || len(b.Peers) == 0 || slices.ContainsFunc(a.Peers, func(name string) bool { return slices.Contains(b.Peers, name) })
		if preference(a) != preference(b) && len(b.Pools) > 0 && peers && meet(a.NodeSelectors, b.NodeSelectors) && meet(a.ServiceSelectors, b.ServiceSelectors) {
			out = append(out, b)
		}
	}
	return out
}

func preference(a *pharos.Advertisement) uint32 {
	if a.LocalPref == nil {
		return 0
	}
	return *a.LocalPref
}

// sameLength reports whether two advertisements announce addresses of the pool in
// prefixes of one length.
func sameLength(a, b *pharos.Advertisement, p owned) bool {
	return slices.ContainsFunc(p.entries, func(e entry) bool {
		if e.First.Is4() {
			return a.AggregationLength == b.AggregationLength
		}
		return a.AggregationLengthV6 == b.AggregationLengthV6
	})
}

func (s *session) readBGP(o *v1beta1.BGPAdvertisement, f *faults) *advertisement {
	spec := &o.Spec
	v := readAdvertisement(pharos.BGP, ref("BGPAdvertisement", o), spec.IPAddressPools, spec.IPAddressPoolSelectors, spec.NodeSelectors, spec.ServiceSelectors, f)
	v.Peers = slices.Clone(spec.Peers)
	length := func(field string, given *int32, use *int, most int32) {
		if given == nil {
			return
		}
		if *given < 1 || *given > most {
			f.add(field, "", "%d is not from 1 to %d", *given, most)
			return
		}
		*use = int(*given)
	}
	length("spec.aggregationLength", spec.AggregationLength, &v.AggregationLength, 32)
	length("spec.aggregationLengthV6", spec.AggregationLengthV6, &v.AggregationLengthV6, 128)
	if len(v.ServiceSelectors) > 0 && (v.AggregationLength != 32 || v.AggregationLengthV6 != 128) {
		f.add("spec.serviceSelectors", "leave the aggregation lengths out", "only go with aggregationLength 32 and aggregationLengthV6 128: an aggregate would announce other Services' addresses too")
	}
	if spec.LocalPref != 0 {
		n := spec.LocalPref
		v.LocalPref = &n
	}
	s.readCommunities(spec.Communities, v, f)
	return v
}

func (s *session) readCommunities(list []string, v *advertisement, f *faults) {
	f.texts("spec.communities", list)
	for i, text := range list {
		a, known := s.aliases[text]
		if !known {
			if a.plain, known = rule.Community(text); !known {
				a.large, known = rule.LargeCommunity(text)
				a.isLarge = known
			}
		}
		switch {
		case a.isLarge:
			v.LargeCommunities = append(v.LargeCommunities, a.large)
		case known:
			v.Communities = append(v.Communities, a.plain)
		default:
			field := fmt.Sprintf("spec.communities[%d]", i)
			if strings.HasPrefix(text, rule.LargePrefix) {
				f.add(field, "three numbers up to 4294967295, such as large:64500:1:2", "%s is not a large community", rule.Quote(text))
				continue
			}
			hint := "a community is such as 65535:65282, or large:64500:1:2"
			if m := meant.Word(text, s.names); m != "" {
				hint = "did you mean " + m + "?"
			} else if number, ok := rule.WellKnown(text); ok {
				hint = "it is " + number + "; a Community object can give it that name"
			}
			f.awaits(why.ReferenceMissing, field, hint, "%s is neither a community nor the alias of one", rule.Quote(text))
		}
	}
	slices.Sort(v.Communities)
	v.Communities = slices.Compact(v.Communities)
	slices.SortFunc(v.LargeCommunities, pharos.LargeCommunity.Compare)
	v.LargeCommunities = slices.Compact(v.LargeCommunities)
}

func readL2(o *v1beta1.L2Advertisement, f *faults) *advertisement {
	spec := &o.Spec
	v := readAdvertisement(pharos.Layer2, ref("L2Advertisement", o), spec.IPAddressPools, spec.IPAddressPoolSelectors, spec.NodeSelectors, spec.ServiceSelectors, f)
	v.Interfaces = slices.Clone(spec.Interfaces)
	for i := range spec.PreferredNodeSelectors {
		p := &spec.PreferredNodeSelectors[i]
		field := fmt.Sprintf("spec.preferredNodeSelectors[%d]", i)
		if p.Weight < 1 || p.Weight > 100 {
			f.add(field+".weight", "", "%d is not from 1 to 100", p.Weight)
		}
		v.Preferred = append(v.Preferred, pharos.Preference{Weight: int(p.Weight), Nodes: f.selector(field+".preference", &p.Preference)})
	}
	return v
}

func readAdvertisement(mode pharos.Mode, object pharos.Ref, names []string, poolSelectors, nodes, services []metav1.LabelSelector, f *faults) *advertisement {
	return &advertisement{
		Advertisement: pharos.Advertisement{
			Name:                object.Name,
			Origin:              object.String(),
			Mode:                mode,
			NodeSelectors:       f.selectors("spec.nodeSelectors", nodes),
			ServiceSelectors:    f.selectors("spec.serviceSelectors", services),
			AggregationLength:   32,
			AggregationLengthV6: 128,
			IGP:                 mode == pharos.BGP,
		},
		names:     slices.Clone(names),
		selectors: f.selectors("spec.ipAddressPoolSelectors", poolSelectors),
	}
}
