package election

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"net/netip"
	"slices"
)

// Candidate is a node that may announce an address.
type Candidate struct {
	Node   string
	Weight int // sum of the preferences that match the node; more goes first
}

// Hash is where a node stands among those of its weight for an address: the lowest
// announces. It is SHA-256 of the node's name, "#", and the address as text.
func Hash(node string, addr netip.Addr) [sha256.Size]byte {
	var room [320]byte // names have at most 253 octets, addresses 45
	text := append(room[:0], node...)
	text = append(text, '#')
	return sha256.Sum256(addr.AppendTo(text))
}

// Elect returns the candidate that announces an address; empty: there is none. The
// holder, if it is a candidate that no other outweighs, stays; empty: nobody does.
func Elect(addr netip.Addr, candidates []Candidate, holder string) string {
	var best contender
	for _, c := range candidates {
		if len(candidates) == 1 {
			return c.Node // no need to hash
		}
		k := contend(addr, c, holder)
		if best.node == "" || k.before(&best) {
			best = k
		}
	}
	return best.node
}

// Rank returns the candidates in the order in which they are to announce an address,
// the announcer that Elect returns first.
func Rank(addr netip.Addr, candidates []Candidate, holder string) []string {
	list := make([]contender, len(candidates))
	for i, c := range candidates {
		list[i] = contend(addr, c, holder)
	}
	slices.SortFunc(list, func(a, b contender) int { return a.compare(&b) })
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].node
	}
	return names
}

// Beats reports whether a candidate goes before another for an address, where neither
// holds it.
func Beats(addr netip.Addr, a, b Candidate) bool {
	x, y := contend(addr, a, ""), contend(addr, b, "")
	return x.before(&y)
}

// contender is a candidate with what it is compared by.
type contender struct {
	node   string
	weight int
	holds  bool
	hash   [sha256.Size]byte
}

func contend(addr netip.Addr, c Candidate, holder string) contender {
	return contender{node: c.Node, weight: c.Weight, holds: holder != "" && c.Node == holder, hash: Hash(c.Node, addr)}
}

func (c *contender) before(other *contender) bool { return c.compare(other) < 0 }

func (c *contender) compare(other *contender) int {
	switch {
	case c.weight != other.weight:
		return cmp.Compare(other.weight, c.weight)
	case c.holds != other.holds:
		if c.holds {
			return -1
		}
		return 1
	}
	return bytes.Compare(c.hash[:], other.hash[:])
}
