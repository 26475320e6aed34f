package crd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/internal/rule"
)

// pools is what one object brings: one pool, or all of the ConfigMap's.
type pools struct {
	pools   []pharos.Pool
	names   []string // the fields that the pools' names are in
	entries []entry
}

// entry is a range of a pool, and where it is written.
type entry struct {
	rule.Entry
	origin, field string
}

func (e entry) String() string { return e.Range.String() + " of " + e.origin + ", " + e.field }

// stock is the ranges in force that others contest, sorted; they are disjoint.
type stock []entry

// twin returns an entry that shares an address with the range.
func (s stock) twin(r pharos.Range) (entry, bool) {
	i, _ := slices.BinarySearchFunc(s, r, func(e entry, r pharos.Range) int { return e.Last.Compare(r.First) })
	if i < len(s) && s[i].Overlaps(r) {
		return s[i], true
	}
	return entry{}, false
}

// contest finds the ranges that overlap others, whichever versions come into
// force. They are few, so that only they have to be looked at one by one.
func (s *session) contest(list []draft[pools]) {
	var all []*entry
	for i := range list {
		for _, v := range list[i].versions() {
			for j := range v.entries {
				all = append(all, &v.entries[j])
			}
		}
	}
	s.contested = map[*entry]bool{}
	rule.Overlaps(all, func(e *entry) pharos.Range { return e.Range }, func(a, b *entry) { s.contested[a], s.contested[b] = true, true })
}

// hold notes the ranges of a pool that comes into force.
func (s *session) hold(v *pools) {
	before := len(s.held)
	for i := range v.entries {
		if s.contested[&v.entries[i]] {
			s.held = append(s.held, v.entries[i])
		}
	}
	if len(s.held) > before {
		slices.SortFunc(s.held, func(a, b entry) int { return a.First.Compare(b.First) })
	}
}

// settlePools brings the pools into force, those of the ConfigMap among them: they
// come and go with all of its configuration.
func (s *session) settlePools() {
	list := drafts(s, "IPAddressPool", s.Pools, s.past.pools, readPool)
	if s.Legacy != nil {
		d := draft[pools]{ref: s.LegacyRef, now: s.legacyPools(s.Legacy)}
		if s.past.legacy != nil {
			d.last = s.legacyPools(s.past.legacy)
		}
		list = inOrder(append([]draft[pools]{d}, list...))
	}
	s.contest(list)
	names := map[string]string{}
	start := func() {
		clear(names)
		s.config.Pools, s.owned, s.held, s.legacy = nil, nil, nil, &pharos.Config{}
	}
	s.past.pools = settle(s, list, start, func(d *draft[pools], v *pools, _ bool) (bool, faults) {
		wrong := s.clash(v, names)
		if len(wrong) > 0 {
			return false, wrong
		}
		for i := range v.pools {
			names[v.pools[i].Name] = v.pools[i].Origin
		}
		s.config.Pools = append(s.config.Pools, v.pools...)
		s.hold(v)
		switch {
		case d.ref != s.LegacyRef:
			s.owned = append(s.owned, owned{v, &v.pools[0], d.labels})
		case v == d.now:
			s.legacy = s.Legacy
		default:
			s.legacy = s.past.legacy
		}
		return true, nil
	})
	delete(s.past.pools, s.LegacyRef)
	s.past.legacy = nil
	if s.Legacy != nil {
		s.past.legacy = s.legacy
	}
	sortByName(s.owned, func(p owned) string { return p.pool.Name })
	s.config.Peers = append(s.config.Peers, s.legacy.Peers...)
	s.config.Advertisements = append(s.config.Advertisements, s.legacy.Advertisements...)
}

// clash tells of names and addresses that a pool in force has already.
func (s *session) clash(v *pools, names map[string]string) (wrong faults) {
	for i := range v.pools {
		if origin, ok := names[v.pools[i].Name]; ok {
			wrong.add(v.names[i], "rename one of them", "there is a pool %s already, %s", rule.Quote(v.pools[i].Name), origin)
		}
	}
	for i := range v.entries {
		e := &v.entries[i]
		if !s.contested[e] {
			continue
		}
		if twin, ok := s.held.twin(e.Range); ok {
			wrong.add(e.field, "an address is in one pool alone", "%s overlaps %s", e.Range, twin)
		}
	}
	return wrong
}

func (s *session) legacyPools(c *pharos.Config) *pools {
	v := &pools{pools: c.Pools}
	for i := range c.Pools {
		_, path, _ := strings.Cut(c.Pools[i].Origin, ", ")
		v.names = append(v.names, path+".name")
		for j, r := range c.Pools[i].Ranges {
			v.entries = append(v.entries, entry{rule.Entry{Range: r}, s.LegacyRef.String(), fmt.Sprintf("%s.addresses[%d]", path, j)})
		}
	}
	return v
}

func readPool(o *v1beta1.IPAddressPool, f *faults) *pools {
	p := pharos.Pool{
		Name:          o.Name,
		Origin:        ref("IPAddressPool", o).String(),
		ManualOnly:    o.Spec.AutoAssign != nil && !*o.Spec.AutoAssign,
		AvoidBuggyIPs: o.Spec.AvoidBuggyIPs,
		Allocation:    readAllocation(o.Spec.AllocateTo, f),
	}
	v := &pools{names: []string{"metadata.name"}}
	if len(o.Spec.Addresses) == 0 {
		f.add("spec.addresses", "a pool needs a CIDR or a range", "is empty")
	}
	for i, text := range o.Spec.Addresses {
		field := fmt.Sprintf("spec.addresses[%d]", i)
		e, wrong := rule.Addresses(text)
		if f.fits(field, wrong) {
			v.entries = append(v.entries, entry{e, p.Origin, field})
			p.Ranges = append(p.Ranges, e.Range)
		}
	}
	rule.Overlaps(v.entries, func(e entry) pharos.Range { return e.Range }, func(a, b entry) {
		if len(a.field) > len(b.field) || len(a.field) == len(b.field) && a.field > b.field {
			a, b = b, a
		}
		f.add(b.field, "leave one out", "%s overlaps %s, which is %s", b.Range, a.Range, a.field)
	})
	readAnnotations(o.Annotations, &p, f)
	v.pools = []pharos.Pool{p}
	return v
}

func readAllocation(a *v1beta1.ServiceAllocation, f *faults) *pharos.Allocation {
	if a == nil {
		return nil
	}
	const field = "spec.serviceAllocation."
	f.texts(field+"namespaces", a.Namespaces)
	f.unique(field+"namespaceSelectors", a.NamespaceSelectors)
	f.unique(field+"serviceSelectors", a.ServiceSelectors)
	return &pharos.Allocation{
		Priority:           a.Priority,
		Namespaces:         slices.Clone(a.Namespaces),
		NamespaceSelectors: f.selectors(field+"namespaceSelectors", a.NamespaceSelectors),
		ServiceSelectors:   f.selectors(field+"serviceSelectors", a.ServiceSelectors),
	}
}
