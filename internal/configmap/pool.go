package configmap

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/rule"
)

// place is a range of addresses and where it is configured.
type place struct {
	rule.Entry
	at value
}

// pools reads the address pools and, as the format keeps them there, how their
// addresses are advertised.
func (p *parser) pools(v value, c *pharos.Config) {
	first := map[string]value{}
	var all []place
	for _, item := range v.list() {
		f := item.fields("name", "protocol", "addresses", "auto-assign", "avoid-buggy-ips", "bgp-advertisements")
		pool := pharos.Pool{
			Origin:        origin(item),
			Name:          item.required(f, "name").text(),
			ManualOnly:    !f["auto-assign"].boolean(true),
			AvoidBuggyIPs: f["avoid-buggy-ips"].boolean(false),
		}
		if f["name"].there() && pool.Name == "" {
			f["name"].fail("is empty", "")
		}
		if other, ok := first[pool.Name]; ok && pool.Name != "" {
			f["name"].fail(fmt.Sprintf("there is a pool %s already, on line %d", rule.Quote(pool.Name), other.line()), "")
		}
		first[pool.Name] = item

		addresses := item.required(f, "addresses")
		ranges := addresses.list()
		if addresses.there() && len(ranges) == 0 {
			addresses.fail("is empty", "a pool needs a CIDR or a range")
		}
		var places []place
		for _, r := range ranges {
			if at, ok := p.addresses(r); ok {
				places = append(places, at)
				pool.Ranges = append(pool.Ranges, at.Range)
			}
		}
		all = append(all, places...)
		c.Pools = append(c.Pools, pool)

		switch item.required(f, "protocol").choice(string(pharos.BGP), string(pharos.Layer2)) {
		case string(pharos.BGP):
			c.Advertisements = append(c.Advertisements, p.advertisements(item, f["bgp-advertisements"], pool.Name, places)...)
		case string(pharos.Layer2):
			if f["bgp-advertisements"].there() {
				f["bgp-advertisements"].fail("a pool of protocol layer2 has none", "leave it out, or set protocol: bgp")
			}
			a := hostRoutes(pool.Name, item)
			a.Mode = pharos.Layer2
			c.Advertisements = append(c.Advertisements, a)
		}
	}
	p.overlaps(all)
	slices.SortStableFunc(c.Pools, func(a, b pharos.Pool) int { return cmp.Compare(a.Name, b.Name) })
}

// addresses reads a CIDR or first-last.
func (p *parser) addresses(v value) (place, bool) {
	entry, fault := rule.Addresses(v.text())
	return place{entry, v}, v.fits(fault)
}

// overlaps refuses addresses that two entries claim.
func (p *parser) overlaps(all []place) {
	rule.Overlaps(all, func(at place) pharos.Range { return at.Range }, func(a, b place) {
		if a.at.line() > b.at.line() || a.at.line() == b.at.line() && a.at.path > b.at.path {
			a, b = b, a
		}
		b.at.fail(fmt.Sprintf("%s overlaps %s, which is %s on line %d", b.at.text(), a.at.text(), a.at.path, a.at.line()), "")
	})
}

// origin is where something is configured. It names no line: lines move when
// something else changes.
func origin(v value) string { return "ConfigMap, " + v.path }

func hostRoutes(pool string, at value) pharos.Advertisement {
	return pharos.Advertisement{Name: pool, Origin: origin(at), Mode: pharos.BGP, Pools: []string{pool}, AggregationLength: 32, AggregationLengthV6: 128}
}

// advertisements reads how the bgp pool that is written at a place is advertised: as
// host routes unless told otherwise.
func (p *parser) advertisements(at, v value, pool string, places []place) []pharos.Advertisement {
	var out []pharos.Advertisement
	var narrow4, narrow6 place // the entry of each family that aggregates least
	for _, place := range places {
		if place.First.Is4() && place.Widest > narrow4.Widest {
			narrow4 = place
		} else if place.First.Is6() && place.Widest > narrow6.Widest {
			narrow6 = place
		}
	}
	for i, item := range v.list() {
		f := item.fields("aggregation-length", "aggregation-length-v6", "localpref", "communities")
		a := hostRoutes(pool, item)
		if i > 0 {
			a.Name = fmt.Sprintf("%s-%d", pool, i+1)
		}
		a.AggregationLength = int(f["aggregation-length"].number(1, 32, 32))
		a.AggregationLengthV6 = int(f["aggregation-length-v6"].number(1, 128, 128))
		f["aggregation-length"].fits(narrow4.admits(a.AggregationLength))
		f["aggregation-length-v6"].fits(narrow6.admits(a.AggregationLengthV6))
		if f["localpref"].there() {
			n := uint32(f["localpref"].number(0, math.MaxUint32, 0))
			a.LocalPref = &n
		}
		for _, c := range f["communities"].list() {
			if community, ok := p.community(c); ok {
				a.Communities = append(a.Communities, community)
			}
		}
		slices.Sort(a.Communities)
		a.Communities = slices.Compact(a.Communities)
		out = append(out, a)
	}
	if len(out) == 0 {
		return []pharos.Advertisement{hostRoutes(pool, at)}
	}
	return out
}

// admits refuses to aggregate beyond what a pool owns; the zero place admits all.
func (at place) admits(length int) *rule.Fault {
	if !at.at.there() {
		return nil
	}
	return rule.Aggregation(length, at.Entry, fmt.Sprintf("%s on line %d", at.at.text(), at.at.line()))
}

// aliases reads the names of communities.
func (p *parser) aliases(v value) map[string]pharos.Community {
	out := map[string]pharos.Community{}
	if !v.there() {
		return out
	}
	keys, of, at := v.entries()
	for _, name := range keys {
		if !of[name].there() {
			p.fail(at[name], v.child(name), "is empty", "a community is such as 65535:65282")
			continue
		}
		text := of[name].text()
		c, ok := rule.Community(text)
		if !ok {
			of[name].fail(fmt.Sprintf("%s is not a community", rule.Quote(text)), "two numbers up to 65535, such as 65535:65282")
			continue
		}
		out[name] = c
	}
	return out
}

// community reads a community or the alias of one.
func (p *parser) community(v value) (pharos.Community, bool) {
	text := v.text()
	if c, ok := p.communities[text]; ok {
		return c, true
	}
	c, ok := rule.Community(text)
	if !ok {
		hint := p.meant(text, slices.Sorted(maps.Keys(p.communities)))
		if strings.HasPrefix(text, rule.LargePrefix) {
			hint = "this format has no large communities"
		}
		v.fail(fmt.Sprintf("%s is neither a community nor one of bgp-communities", rule.Quote(text)), hint)
	}
	return c, ok
}
