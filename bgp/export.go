package bgp

import (
	"cmp"
	"net/netip"
	"slices"
)

// normalExport sorts prefixes and leaves out those that another one covers. Nil stays
// nil: no limit.
func normalExport(prefixes []netip.Prefix) []netip.Prefix {
	if prefixes == nil {
		return nil
	}
	sorted := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		sorted = append(sorted, p.Masked())
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	out := sorted[:0]
	for _, p := range sorted {
		if n := len(out); n == 0 || !covers(out[n-1], p) {
			out = append(out, p)
		}
	}
	return out
}

// exports tells if one of the prefixes, in normal form, covers p.
func exports(prefixes []netip.Prefix, p netip.Prefix) bool {
	if prefixes == nil {
		return true
	}
	// As none covers another, the last that does not begin after p is the only
	// candidate.
	i, found := slices.BinarySearchFunc(prefixes, p, func(e, p netip.Prefix) int { return e.Addr().Compare(p.Addr()) })
	if !found {
		i--
	}
	return i >= 0 && covers(prefixes[i], p)
}

func covers(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}
