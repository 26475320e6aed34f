package rule

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pharoslb/pharos"
)

// Entry is a range of addresses of a pool, and the length of the widest prefix
// inside.
type Entry struct {
	pharos.Range
	Widest int
}

// Addresses reads a CIDR or first-last, blanks around the two allowed.
func Addresses(text string) (Entry, *Fault) {
	const blanks = " \t"
	if first, last, ok := strings.Cut(text, "-"); ok {
		return addressRange(text, strings.Trim(first, blanks), strings.Trim(last, blanks))
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() {
		return Entry{}, faultf(hintEntry(text), "%s is neither a CIDR nor a range", Quote(text))
	}
	return Entry{pharos.PrefixRange(prefix), prefix.Bits()}, nil
}

// hintEntry guesses what was meant by what is neither a CIDR nor a range.
func hintEntry(text string) string {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return fmt.Sprintf("a single address is %s", netip.PrefixFrom(a, a.BitLen()))
	}
	switch {
	case strings.ContainsAny(text, dashes):
		return "a range is written with a hyphen, -, not with a dash"
	case strings.Contains(text, ","):
		return "each is an entry of its own"
	case strings.TrimSpace(text) != text:
		return noBlanks
	}
	return "such as 192.0.2.0/24 or 192.0.2.10-192.0.2.20"
}

const (
	dashes   = "\u2010\u2011\u2012\u2013\u2014\u2212" // what word processors make of a hyphen
	noBlanks = "leave out the blanks around it"
)

func addressRange(text, first, last string) (Entry, *Fault) {
	a, errA := netip.ParseAddr(first)
	b, errB := netip.ParseAddr(last)
	switch {
	case errA != nil || errB != nil || a.Zone() != "" || b.Zone() != "":
		hint := "such as 192.0.2.10-192.0.2.20"
		if strings.Contains(text, ",") {
			hint = "each is an entry of its own"
		} else if n, err := strconv.ParseUint(last, 10, 8); err == nil && errA == nil && a.Is4() {
			whole := a.As4()
			whole[3] = byte(n)
			hint = fmt.Sprintf("%s-%s?", a, netip.AddrFrom4(whole))
		}
		return Entry{}, faultf(hint, "%s is not a range of addresses", Quote(text))
	case a.Unmap().Is4() != b.Unmap().Is4():
		return Entry{}, faultf("", "%s and %s are of different families", a, b)
	}
	a, b = a.Unmap(), b.Unmap()
	if a.Compare(b) > 0 {
		return Entry{}, faultf(fmt.Sprintf("%s-%s?", b, a), "the range ends before it begins: %s is above %s", a, b)
	}
	r := pharos.Range{First: a, Last: b}
	return Entry{r, widest(r)}, nil
}

// widest is the length of the largest prefix among those that make up a range.
func widest(r pharos.Range) int {
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

// Aggregation refuses to announce, in prefixes of this length, more than a pool
// owns: at names the entry for people, such as "192.0.2.0/28 on line 7".
func Aggregation(length int, e Entry, at string) *Fault {
	if length >= e.Widest {
		return nil
	}
	return faultf(fmt.Sprintf("%d or more", e.Widest), "/%d is wider than %s, whose widest prefix is /%d", length, at, e.Widest)
}

// Address reads an IP address without zone; only one of version 4 where only4.
// One of version 4 written inside version 6 counts as version 4.
func Address(text string, only4 bool) (netip.Addr, *Fault) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil && strings.TrimSpace(text) != text:
		return netip.Addr{}, faultf(noBlanks, "%s is not an IP address", Quote(text))
	case err != nil || a.Zone() != "":
		return netip.Addr{}, faultf("host names and zones are not accepted", "%s is not an IP address", Quote(text))
	case only4 && !a.Unmap().Is4():
		return netip.Addr{}, faultf("", "%s is not an IPv4 address", a)
	}
	return a.Unmap(), nil
}

// Host refuses an address that no host has, or not on one link alone.
func Host(a netip.Addr) *Fault {
	switch {
	case a.IsUnspecified() || a.IsMulticast():
		return faultf("", "%s is not the address of a host", a)
	case a.Is6() && a.IsLinkLocalUnicast():
		return faultf("give interface instead: the router is found there", "%s is link-local, and does not say on which link", a)
	}
	return nil
}

// Overlaps tells of pairs whose ranges share an address: of each range that
// overlaps others, at least one pair. Its cost is that of sorting.
func Overlaps[T any](list []T, of func(T) pharos.Range, tell func(a, b T)) {
	order := slices.Clone(list)
	slices.SortStableFunc(order, func(a, b T) int { return of(a).First.Compare(of(b).First) })
	for i := 1; i < len(order); i++ {
		a, b := of(order[i-1]), of(order[i])
		if a.Overlaps(b) {
			tell(order[i-1], order[i])
		}
		if a.Last.BitLen() == b.Last.BitLen() && a.Last.Compare(b.Last) > 0 {
			order[i] = order[i-1] // the one that reaches further is compared with the next
		}
	}
}
