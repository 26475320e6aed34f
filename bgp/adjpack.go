package bgp

import (
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/bgp/wire"
)

// appendSome appends UPDATEs for some of what differs.
func (t *adjOut) appendSome(dst []byte, n *tallied) []byte {
	withdrawn := t.sort()
	dst, m := t.appendWithdrawn(dst, withdrawn)
	n.updates += m
	for i := range t.buckets {
		dst, m = t.appendReach(dst, &t.buckets[i])
		n.updates += m
	}
	clear(t.buckets)
	clear(t.byAttrs)
	t.buckets = t.buckets[:0]
	return dst
}

// sort takes entries that are dirty and puts them in buckets; those to be withdrawn
// are returned. Both count as sent from here on.
func (t *adjOut) sort() (withdrawn []*entry) {
	for range min(t.dirty.len(), t.limit) {
		e := t.dirty.pop()
		e.dirty = false
		other := t.other(e)
		b, held := t.bucketOf(e, other)
		t.withheld[e.held]--
		t.withheld[held]++
		e.held = held
		switch {
		case b >= 0:
			t.announce(e, b)
		case other != nil:
			t.announce(other, t.bucket(other.want))
		case e.sent != nil:
			withdrawn = append(withdrawn, e)
			e.sent = nil
			t.count(e.prefix, -1)
		}
		e.again = false
		if e.want == nil && e.sent == nil {
			t.forget(e)
		}
	}
	return withdrawn
}

// announce puts an entry in its bucket, unless the peer has just that. To a peer that
// takes one path to each prefix it goes in the place of the others: now, and not when
// their or its own turn comes, since a marker may be between.
func (t *adjOut) announce(e *entry, b int) {
	if first := t.entries[e.prefix]; first.next != nil && !t.tellsPathsApart(e.prefix) {
		for o := first; o != nil; o = o.next {
			if o != e && o.sent != nil {
				e.sent, e.again = o.sent, e.again || o.again
				o.sent, o.again = nil, false
			}
		}
	}
	if !e.again && e.sent == e.want {
		return
	}
	if e.sent == nil {
		t.count(e.prefix, 1)
	}
	e.sent, e.again = e.want, false
	t.buckets[b].entries = append(t.buckets[b].entries, e)
}

// bucketOf finds where the entry's route goes; below zero: it is not to be sent, for
// the reason held, or because it is not wanted.
func (t *adjOut) bucketOf(e, other *entry) (b int, held hold) {
	switch {
	case e.want == nil:
		return -1, notHeld
	case !exports(t.export, e.prefix):
		return -1, heldHome
	case other != nil:
		return -1, heldOther
	}
	b = t.bucket(e.want)
	if !t.buckets[b].carries(e.prefix) {
		return -1, heldBack
	}
	return b, notHeld
}

// other returns the path that goes in the place of e to a peer that takes one to
// each prefix: the one with the lowest identifier that can be sent.
func (t *adjOut) other(e *entry) *entry {
	first := t.entries[e.prefix]
	if first.next == nil || t.tellsPathsApart(e.prefix) || !exports(t.export, e.prefix) {
		return nil
	}
	for o := first; o != nil; o = o.next {
		if o.want != nil && t.buckets[t.bucket(o.want)].carries(o.prefix) {
			if o == e {
				return nil
			}
			return o
		}
	}
	return nil
}

// tellsPathsApart says if the peer takes several paths to the prefix (RFC 7911).
func (t *adjOut) tellsPathsApart(p netip.Prefix) bool {
	return slices.Contains(t.out.session.AddPathSend, wire.FamilyOf(p))
}

// bucket returns the place of the bucket for the attributes. Most entries follow one
// with the same.
func (t *adjOut) bucket(a *Attrs) int {
	if n := len(t.buckets); n > 0 && t.buckets[n-1].attrs == a {
		return n - 1
	}
	if i, ok := t.byAttrs[a]; ok {
		return i
	}
	b := bucket{attrs: a, wire: t.out.wire(a)}
	b.v4 = t.fits(b.wire, wire.IPv4Unicast)
	b.v6 = t.fits(b.wire, wire.IPv6Unicast)
	t.byAttrs[a] = len(t.buckets)
	t.buckets = append(t.buckets, b)
	return len(t.buckets) - 1
}

func (b *bucket) carries(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return b.v4
	}
	return b.v6
}

// fits says if a route of the family can be sent with the attributes at all: the
// family is negotiated, there is a next hop, and one UPDATE has room for both.
func (t *adjOut) fits(a *wire.Attrs, f wire.Family) bool {
	p := netip.PrefixFrom(netip.IPv4Unspecified(), 32)
	if f == wire.IPv6Unicast {
		p = netip.PrefixFrom(netip.IPv6Unspecified(), 128)
	}
	_, _, err := t.enc.AppendReach(nil, a, []netip.Prefix{p}, nil)
	return err == nil
}

func (t *adjOut) appendWithdrawn(dst []byte, es []*entry) ([]byte, int) {
	if len(es) == 0 {
		return dst, 0
	}
	t.list(es)
	// What was sent was of a negotiated family, so this cannot fail.
	dst, n, _ := t.enc.AppendWithdraw(dst, t.prefixes, t.paths)
	return dst, n
}

func (t *adjOut) appendReach(dst []byte, b *bucket) ([]byte, int) {
	if len(b.entries) == 0 {
		return dst, 0
	}
	t.list(b.entries)
	// fits has shown that this cannot fail.
	dst, n, _ := t.enc.AppendReach(dst, b.wire, t.prefixes, t.paths)
	return dst, n
}

// list leaves the entries' prefixes and path identifiers in scratch memory.
func (t *adjOut) list(es []*entry) {
	t.prefixes, t.paths = t.prefixes[:0], t.paths[:0]
	for _, e := range es {
		t.prefixes = append(t.prefixes, e.prefix)
	}
	if len(t.out.session.AddPathSend) == 0 {
		return
	}
	for _, e := range es {
		t.paths = append(t.paths, e.path)
	}
}

func (t *adjOut) count(p netip.Prefix, n int) {
	for i := range t.families {
		if t.families[i].Family == wire.FamilyOf(p) {
			t.families[i].Advertised += n
		}
	}
}
