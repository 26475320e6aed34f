package nft

import (
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/dataplane"
)

// element is one element of a set or map as it has to be in the kernel.
type element struct {
	set     setID
	key     string
	end     string // of an interval over a concatenated key
	closing bool   // the first value after an interval over a single key
	value   string // of a map; a chain's name where the set has verdicts
	comment string
}

// id is what an element is found by.
type id struct {
	set     setID
	key     string
	end     string
	closing bool
}

func (e *element) id() id { return id{e.set, e.key, e.end, e.closing} }

// same reports whether both do the same, whatever their comments say; but those
// of direct frontends say which table is in the kernel.
func (e *element) same(other *element) bool {
	k := e.set.kind()
	return e.id() == other.id() && e.value == other.value && (k != directPorts && k != directClients || e.comment == other.comment)
}

// targetKey is a frontend's key on the path on which it is found.
func targetKey(t dataplane.Target) string {
	key := protocol(t.Protocol) + port(t.Port)
	if t.Addr.IsUnspecified() {
		return key
	}
	return address(t.Addr) + key
}

// intervals returns the elements of a set of networks: the first address of
// each run, and the first one after it.
func intervals(set setID, prefixes []netip.Prefix) []element {
	var own []netip.Prefix
	for _, p := range prefixes {
		if p.Addr().Is6() == set.family().is6() {
			own = append(own, p.Masked())
		}
	}
	slices.SortFunc(own, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	var result []element
	var next netip.Addr // after the run before
	for _, p := range own {
		first, last := p.Addr(), lastOf(p)
		if len(result) > 0 && last.Less(next) {
			continue // inside the run before
		}
		if len(result) > 0 && first.Compare(next) <= 0 {
			result = result[:len(result)-1] // the run goes on
		} else {
			result = append(result, element{set: set, key: address(first)})
		}
		if next = last.Next(); !next.IsValid() {
			return result // the run ends with the last address there is
		}
		result = append(result, element{set: set, key: address(next), closing: true})
	}
	return result
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// everywhere are the addresses that serve node ports where nothing else is
// said: all but loopback.
var everywhere = append(
	except(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("127.0.0.0/8")),
	except(netip.MustParsePrefix("::/0"), netip.MustParsePrefix("::1/128"))...)

// except returns the networks that make up whole without part.
func except(whole, part netip.Prefix) []netip.Prefix {
	var rest []netip.Prefix
	for bits := whole.Bits() + 1; bits <= part.Bits(); bits++ {
		sibling := part.Addr().AsSlice()
		sibling[(bits-1)/8] ^= 1 << (7 - (bits-1)%8)
		a, _ := netip.AddrFromSlice(sibling)
		rest = append(rest, netip.PrefixFrom(a, bits).Masked())
	}
	return rest
}

// nodeElements are the elements that follow from the node alone.
func nodeElements(node *dataplane.Node) []element {
	served := node.NodePorts
	if len(served) == 0 {
		served = everywhere
	}
	var result []element
	for _, f := range families {
		result = append(result, intervals(pods.in(f, 0), node.PodCIDRs)...)
		result = append(result, intervals(nodeAddrs.in(f, 0), served)...)
	}
	return result
}
