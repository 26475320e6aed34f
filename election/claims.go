package election

import (
	"net/netip"
	"slices"
)

const (
	// MaxClaims is how many addresses Claims remember the holders of.
	MaxClaims = 1 << 16
	// MaxEpoch is the highest epoch of a claim.
	MaxEpoch = 1 << 62
)

// Claim says that a node announces an address. Of two claims to an address the one of
// the higher epoch holds.
type Claim struct {
	Addr  netip.Addr
	Epoch uint64
	Node  string
}

// Claims are who holds which address, as far as one node was told: what sticky ownership
// remembers. Speakers that tell each other all their claims, in any order and any number
// of times, come to hold the same. The zero value holds none.
type Claims struct{ held map[netip.Addr]Claim }

// Merge takes in what another node said, and reports whether that was news. A claim that
// can't be, or one too many, is none.
func (c *Claims) Merge(claim Claim) bool {
	was, ok := c.held[claim.Addr]
	switch {
	case !claim.Addr.IsValid() || claim.Node == "" || claim.Epoch == 0 || claim.Epoch > MaxEpoch:
		return false
	case !ok && len(c.held) >= MaxClaims:
		return false
	case ok && !claim.after(was):
		return false
	}
	if c.held == nil {
		c.held = map[netip.Addr]Claim{}
	}
	c.held[claim.Addr] = claim
	return true
}

// after reports whether a claim holds against another. Two nodes that were cut off from
// each other may have come to the same epoch: then the election's hash decides.
func (c Claim) after(other Claim) bool {
	if c.Epoch != other.Epoch || c.Node == other.Node {
		return c.Epoch > other.Epoch
	}
	return Beats(c.Addr, Candidate{Node: c.Node}, Candidate{Node: other.Node})
}

// Take has a node hold an address, and returns the claim to tell the others; false: it
// holds it already, or there is no room.
func (c *Claims) Take(addr netip.Addr, node string) (Claim, bool) {
	was := c.held[addr]
	if was.Node == node {
		return was, false
	}
	claim := Claim{Addr: addr, Epoch: min(was.Epoch+1, MaxEpoch), Node: node}
	return claim, c.Merge(claim)
}

// Holder returns who holds an address; empty: nobody.
func (c *Claims) Holder(addr netip.Addr) string { return c.held[addr].Node }

// All returns all claims, by address.
func (c *Claims) All() []Claim {
	list := make([]Claim, 0, len(c.held))
	for _, claim := range c.held {
		list = append(list, claim)
	}
	slices.SortFunc(list, func(a, b Claim) int { return a.Addr.Compare(b.Addr) })
	return list
}
