package configmap

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pharoslb/pharos"
)

// place is a range of addresses and where it is configured.
type place struct {
	pharos.Range
	at     value
	widest int // prefix length of the largest prefix inside
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
			f["name"].fail(fmt.Sprintf("there is a pool %s already, on line %d", quote(pool.Name), other.line()), "")
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
			c.Advertisements = append(c.Advertisements, p.advertisements(f["bgp-advertisements"], pool.Name, places)...)
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
	text := strings.TrimSpace(v.text())
	if first, last, ok := strings.Cut(text, "-"); ok {
		a, errA := netip.ParseAddr(strings.TrimSpace(first))
		b, errB := netip.ParseAddr(strings.TrimSpace(last))
		switch {
		case errA != nil || errB != nil || a.Zone() != "" || b.Zone() != "":
			v.fail(fmt.Sprintf("%s is not a range of addresses", quote(text)), "such as 192.0.2.10-192.0.2.20")
			return place{}, false
		case a.Is4() != b.Is4():
			v.fail(fmt.Sprintf("%s and %s are of different families", a, b), "")
			return place{}, false
		case a.Is4In6() || b.Is4In6():
			v.fail(fmt.Sprintf("%s is an IPv4 address inside an IPv6 one", a), fmt.Sprintf("write %s-%s", a.Unmap(), b.Unmap()))
			return place{}, false
		case a.Compare(b) > 0:
			v.fail(fmt.Sprintf("the range ends before it begins: %s is above %s", a, b), fmt.Sprintf("%s-%s?", b, a))
			return place{}, false
		}
		r := pharos.Range{First: a, Last: b}
		return place{r, v, widestPrefix(r)}, true
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() {
		hint := "such as 192.0.2.0/24 or 192.0.2.10-192.0.2.20"
		if a, err := netip.ParseAddr(text); err == nil {
			hint = fmt.Sprintf("a single address is %s", netip.PrefixFrom(a, a.BitLen()))
		}
		v.fail(fmt.Sprintf("%s is neither a CIDR nor a range", quote(text)), hint)
		return place{}, false
	}
	return place{pharos.PrefixRange(prefix), v, prefix.Bits()}, true
}

// widestPrefix is the length of the largest prefix among those that make up a
// range.
func widestPrefix(r pharos.Range) int {
	widest := r.First.BitLen()
	for a := r.First; ; {
		n := a.BitLen() - trailingZeros(a)
		for ; n < a.BitLen(); n++ {
			p, _ := a.Prefix(n)
			if pharos.PrefixRange(p).Last.Compare(r.Last) <= 0 {
				break
			}
		}
		widest = min(widest, n)
		p, _ := a.Prefix(n)
		a = pharos.PrefixRange(p).Last.Next()
		if !a.IsValid() || a.Compare(r.Last) > 0 {
			return widest
		}
	}
}

func trailingZeros(a netip.Addr) int {
	n := 0
	for _, b := range slices.Backward(a.AsSlice()) {
		if b != 0 {
			return n + bits.TrailingZeros8(b)
		}
		n += 8
	}
	return n
}

// overlaps refuses addresses that two entries claim.
func (p *parser) overlaps(all []place) {
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b place) int { return a.First.Compare(b.First) })
	for i := 1; i < len(order); i++ {
		a, b := order[i-1], order[i]
		if a.Overlaps(b.Range) {
			if a.at.line() > b.at.line() || a.at.line() == b.at.line() && a.at.path > b.at.path {
				a, b = b, a
			}
			b.at.fail(fmt.Sprintf("%s overlaps %s, which is %s on line %d", b.at.text(), a.at.text(), a.at.path, a.at.line()), "")
		}
		if order[i-1].Last.BitLen() == order[i].Last.BitLen() && order[i-1].Last.Compare(order[i].Last) > 0 {
			order[i] = order[i-1] // the one that reaches further is compared with the next
		}
	}
}

// origin is where something is configured. It names no line: lines move when
// something else changes.
func origin(v value) string { return "ConfigMap, " + v.path }

func hostRoutes(pool string, at value) pharos.Advertisement {
	return pharos.Advertisement{Name: pool, Origin: origin(at), Mode: pharos.BGP, Pools: []string{pool}, AggregationLength: 32, AggregationLengthV6: 128}
}

// advertisements reads how a bgp pool is advertised: as host routes unless told
// otherwise.
func (p *parser) advertisements(v value, pool string, places []place) []pharos.Advertisement {
	var out []pharos.Advertisement
	var narrow4, narrow6 place // the entry of each family that aggregates least
	for _, at := range places {
		if at.First.Is4() && at.widest > narrow4.widest {
			narrow4 = at
		} else if at.First.Is6() && at.widest > narrow6.widest {
			narrow6 = at
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
		p.fits(f["aggregation-length"], a.AggregationLength, narrow4)
		p.fits(f["aggregation-length-v6"], a.AggregationLengthV6, narrow6)
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
		return []pharos.Advertisement{hostRoutes(pool, v)}
	}
	return out
}

// fits refuses to aggregate beyond what a pool owns.
func (p *parser) fits(v value, length int, at place) {
	if length < at.widest {
		v.fail(fmt.Sprintf("/%d is wider than %s on line %d, whose widest prefix is /%d", length, at.at.text(), at.at.line(), at.widest),
			fmt.Sprintf("%d or more", at.widest))
	}
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
		c, ok := parseCommunity(text)
		if !ok {
			of[name].fail(fmt.Sprintf("%s is not a community", quote(text)), "two numbers up to 65535, such as 65535:65282")
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
	c, ok := parseCommunity(text)
	if !ok {
		hint := p.meant(text, slices.Sorted(maps.Keys(p.communities)))
		if strings.HasPrefix(text, "large:") {
			hint = "this format has no large communities"
		}
		v.fail(fmt.Sprintf("%s is neither a community nor one of bgp-communities", quote(text)), hint)
	}
	return c, ok
}

func parseCommunity(text string) (pharos.Community, bool) {
	high, low, ok := strings.Cut(text, ":")
	if !ok {
		return 0, false
	}
	a, errA := strconv.ParseUint(high, 10, 16)
	b, errB := strconv.ParseUint(low, 10, 16)
	return pharos.Community(a<<16 | b), errA == nil && errB == nil
}
