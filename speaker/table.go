package speaker

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

// table holds which prefixes are wanted, and by how many addresses: several
// Services may share an address, and several addresses aggregate to a prefix.
type table struct {
	claims map[netip.Prefix][]claim
	attrs  attrTable
}

// claim counts the addresses that want a prefix with an Offer.
type claim struct {
	offer *Offer
	last  bool // Route.Last
	n     int
}

func newTable(attrs attrTable) *table {
	return &table{claims: map[netip.Prefix][]claim{}, attrs: attrs}
}

// add counts a plan's routes in, and returns dirty with the prefixes appended
// whose attributes may have changed.
func (t *table) add(p *Plan, dirty []netip.Prefix) []netip.Prefix {
	for i := range p.Addresses {
		for _, r := range p.Addresses[i].Routes {
			list := t.claims[r.Prefix]
			if at := claimOf(list, r); at >= 0 {
				list[at].n++
				continue
			}
			t.claims[r.Prefix] = append(list, claim{r.Offer, r.Last, 1})
			dirty = append(dirty, r.Prefix)
		}
	}
	return dirty
}

// remove counts a plan's routes out, as add counted them in.
func (t *table) remove(p *Plan, dirty []netip.Prefix) []netip.Prefix {
	for i := range p.Addresses {
		for _, r := range p.Addresses[i].Routes {
			list := t.claims[r.Prefix]
			at := claimOf(list, r)
			if list[at].n--; list[at].n > 0 {
				continue
			}
			if list = slices.Delete(list, at, at+1); len(list) == 0 {
				delete(t.claims, r.Prefix)
			} else {
				t.claims[r.Prefix] = list
			}
			dirty = append(dirty, r.Prefix)
		}
	}
	return dirty
}

func claimOf(list []claim, r Route) int {
	return slices.IndexFunc(list, func(c claim) bool { return c.offer == r.Offer && c.last == r.Last })
}

// want returns the attributes with which a peer shall have a prefix, or nil. It is the
// last resort where it is for all who want it.
func (t *table) want(prefix netip.Prefix, peer string) *bgp.Attrs {
	var room [4]*Offer
	offers, last := room[:0], true
	for _, c := range t.claims[prefix] {
		if slices.Contains(c.offer.Peers, peer) {
			last = last && c.last
			if !slices.Contains(offers, c.offer) {
				offers = append(offers, c.offer)
			}
		}
	}
	if len(offers) == 0 {
		return nil
	}
	return t.attrs.of(offers, last)
}

// changes states what every peer shall have of the prefixes.
func (t *table) changes(prefixes []netip.Prefix, peers []string) []bgp.Change {
	if len(prefixes) == 0 || len(peers) == 0 {
		return nil
	}
	list := make([]bgp.Change, 0, len(prefixes)*len(peers))
	for _, peer := range peers {
		for _, prefix := range prefixes {
			list = append(list, bgp.Change{Peer: peer, Prefix: prefix, Attrs: t.want(prefix, peer)})
		}
	}
	return list
}

// attrTable interns attributes: one pointer for equal ones, for as long as they
// are in use, since the engine packs UPDATEs by pointer.
type attrTable struct {
	known map[string]*bgp.Attrs
	was   map[string]*bgp.Attrs // of the table before; looked into, not kept
}

// next returns a table that gives out the same pointers and forgets those that
// nobody asks it for.
func (t attrTable) next() attrTable {
	return attrTable{known: map[string]*bgp.Attrs{}, was: t.known}
}

// of unites what several offers say of one route: all their communities, and
// the highest LOCAL_PREF that one of them sets. The order does not matter, so
// that all nodes say the same whichever Service came first. A last resort has the
// community GRACEFUL_SHUTDOWN, and inside the AS the lowest LOCAL_PREF (RFC 8326 §4.1).
func (t *attrTable) of(offers []*Offer, last bool) *bgp.Attrs {
	var pref *uint32
	// INCOMPLETE: learned by some other means than routing (RFC 4271 §5.1.1).
	origin := wire.OriginIncomplete
	var communities []wire.Community
	var large []wire.LargeCommunity
	for _, o := range offers {
		a := o.Advertisement
		if a.LocalPref != nil && (pref == nil || *a.LocalPref > *pref) {
			pref = a.LocalPref
		}
		if a.IGP {
			origin = wire.OriginIGP
		}
		for _, c := range a.Communities {
			communities = append(communities, wire.Community(c))
		}
		for _, c := range a.LargeCommunities {
			large = append(large, wire.LargeCommunity(c))
		}
	}
	if last {
		communities, pref = append(communities, wire.CommunityGracefulShutdown), new(uint32)
	}
	slices.Sort(communities)
	communities = slices.Compact(communities)
	slices.SortFunc(large, func(a, b wire.LargeCommunity) int {
		return pharos.LargeCommunity(a).Compare(pharos.LargeCommunity(b))
	})
	large = slices.Compact(large)

	var room [64]byte
	key := append(room[:0], byte(origin))
	if pref != nil {
		key = binary.BigEndian.AppendUint32(append(key, 1), *pref)
	} else {
		key = append(key, 0)
	}
	key = binary.BigEndian.AppendUint32(key, uint32(len(communities)))
	for _, c := range communities {
		key = binary.BigEndian.AppendUint32(key, uint32(c))
	}
	for _, c := range large {
		for _, n := range []uint32{c.Global, c.Local1, c.Local2} {
			key = binary.BigEndian.AppendUint32(key, n)
		}
	}
	if a := t.known[string(key)]; a != nil {
		return a
	}
	a := t.was[string(key)]
	if a == nil {
		a = &bgp.Attrs{Origin: origin, Communities: communities, LargeCommunities: large}
		if pref != nil {
			value := *pref
			a.LocalPref = &value
		}
	}
	t.known[string(key)] = a
	return a
}
