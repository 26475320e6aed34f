package bgp

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// packLimit is how many prefixes are turned into UPDATEs at a time. It is large,
// so that few messages are not full, and bounds what is on its way to a slow
// peer: all beyond it stays subject to change.
const packLimit = 1 << 16

// adjOut is one peer's Adj-RIB-Out (RFC 4271 §3.2): what it shall have, what it
// has, and which prefixes differ. Whoever changes what it shall have never waits
// for the peer; the connection's writer takes the differences when the socket
// takes octets.
//
//	set ──▶ want ─┐                        ┌─▶ UPDATEs
//	              ├─ differ? ─▶ dirty ─pack┤
//	        sent ─┘                        └─▶ sent := want
type adjOut struct {
	mu      sync.Mutex
	entries map[netip.Prefix]*entry
	desired int // entries that are wanted

	// The rest is about the session and empty while there is none.
	out        *outbound
	owner      *conn // the connection that it is on
	enc        wire.Encoder
	dirty      fifo
	initial    int // of dirty, those that End-of-RIB waits for
	refresh    []wire.Family
	families   []FamilyStatus // as in out.session.Families
	withheld   int
	markersDue bool

	prefixes []netip.Prefix // scratch
}

// entry is one prefix.
type entry struct {
	prefix     netip.Prefix
	want, sent *Attrs // nil: not wanted, not sent
	dirty      bool   // is in adjOut.dirty
	again      bool   // to be sent even if the peer has it
	withheld   bool   // wanted, and cannot be sent
}

// bucket is what goes out with the same attributes.
type bucket struct {
	attrs   *wire.Attrs
	v4, v6  bool // routes of the family can be sent
	entries []*entry
}

func newAdjOut() *adjOut { return &adjOut{entries: make(map[netip.Prefix]*entry)} }

// set takes changes of what the peer shall have.
func (t *adjOut) set(changes []Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range changes {
		if p := changes[i].Prefix.Masked(); p.IsValid() {
			t.setOne(p, changes[i].Attrs)
		}
	}
	if t.out != nil && t.dirty.len() > 0 {
		t.owner.poke()
	}
}

func (t *adjOut) setOne(p netip.Prefix, a *Attrs) {
	e := t.entries[p]
	switch {
	case e == nil && a == nil:
		return
	case e == nil:
		e = &entry{prefix: p}
		t.entries[p] = e
	case e.want != nil && e.want.Equal(a):
		return
	}
	switch {
	case e.want == nil && a != nil:
		t.desired++
	case e.want != nil && a == nil:
		t.desired--
	}
	e.want = a
	if t.out != nil {
		t.mark(e)
	} else if a == nil {
		delete(t.entries, p)
	}
}

func (t *adjOut) mark(e *entry) {
	if !e.dirty {
		e.dirty = true
		t.dirty.push(e)
	}
}

// attach begins a session on a connection: the peer has nothing, and the
// connection is poked whenever pack has something to give.
func (t *adjOut) attach(out outbound, owner *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out, t.owner, t.enc = &out, owner, wire.Encoder{Session: out.session}
	t.dirty.grow(len(t.entries))
	for _, e := range t.entries {
		t.mark(e)
	}
	t.initial, t.markersDue = t.dirty.len(), true
	for _, f := range out.session.Families {
		t.families = append(t.families, FamilyStatus{Family: f})
	}
	t.owner.poke()
}

// detach ends a session.
func (t *adjOut) detach() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out, t.owner, t.enc = nil, nil, wire.Encoder{}
	t.dirty, t.initial, t.refresh, t.families, t.withheld, t.markersDue = fifo{}, 0, nil, nil, 0, false
	for p, e := range t.entries {
		e.sent, e.dirty, e.again, e.withheld = nil, false, false, false
		if e.want == nil {
			delete(t.entries, p)
		}
	}
}

// resend asks for all routes of a family once more (RFC 2918 §4). Requests that
// come faster than the peer reads are one request.
func (t *adjOut) resend(f wire.Family) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil || !t.out.session.Has(f) || slices.Contains(t.refresh, f) {
		return
	}
	t.refresh = append(t.refresh, f)
	t.owner.poke()
}

// pack appends UPDATEs for some of what differs, and says how many they are; none
// when there is nothing left. What it returns counts as sent. The writer of a
// connection that is no longer the session's gets nothing: it may ask late.
func (t *adjOut) pack(dst []byte, asking *conn, now time.Time) (out []byte, updates int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil || t.owner != asking {
		return dst, 0
	}
	if len(t.refresh) > 0 {
		t.markAgain()
	}
	n := min(t.dirty.len(), packLimit)
	var withdrawn []*entry
	var buckets []*bucket
	byAttrs := make(map[*Attrs]*bucket)
	for range n {
		e := t.dirty.pop()
		e.dirty = false
		t.initial = max(0, t.initial-1)
		b := t.bucketOf(e, byAttrs, &buckets)
		t.hold(e, b == nil && e.want != nil)
		switch {
		case b == nil && e.sent != nil:
			withdrawn = append(withdrawn, e)
		case b == nil && e.want == nil:
			delete(t.entries, e.prefix)
		case b != nil && (e.again || e.sent != e.want):
			b.entries = append(b.entries, e)
		}
		e.again = false
	}
	dst, updates = t.appendWithdrawn(dst, withdrawn)
	for _, b := range buckets {
		var m int
		dst, m = t.appendReach(dst, b)
		updates += m
	}
	if t.markersDue && t.initial == 0 {
		t.markersDue = false
		for i := range t.families {
			dst = wire.AppendEndOfRIB(dst, t.families[i].Family)
			t.families[i].EndOfRIBSent = now
			updates++
		}
	}
	return dst, updates
}

// markAgain carries out what resend asked for.
func (t *adjOut) markAgain() {
	for _, e := range t.entries {
		if e.sent != nil && slices.Contains(t.refresh, wire.FamilyOf(e.prefix)) {
			e.again = true
			t.mark(e)
		}
	}
	t.refresh = t.refresh[:0]
}

// bucketOf finds where the entry's route goes; nil: it is not to be sent.
func (t *adjOut) bucketOf(e *entry, byAttrs map[*Attrs]*bucket, order *[]*bucket) *bucket {
	if e.want == nil {
		return nil
	}
	b := byAttrs[e.want]
	if b == nil {
		b = &bucket{attrs: t.out.wire(e.want)}
		b.v4 = t.fits(b.attrs, wire.IPv4Unicast)
		b.v6 = t.fits(b.attrs, wire.IPv6Unicast)
		byAttrs[e.want] = b
		*order = append(*order, b)
	}
	if v4 := e.prefix.Addr().Is4(); v4 && !b.v4 || !v4 && !b.v6 {
		return nil
	}
	return b
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

func (t *adjOut) hold(e *entry, held bool) {
	switch {
	case held && !e.withheld:
		t.withheld++
	case !held && e.withheld:
		t.withheld--
	}
	e.withheld = held
}

func (t *adjOut) appendWithdrawn(dst []byte, es []*entry) ([]byte, int) {
	if len(es) == 0 {
		return dst, 0
	}
	t.prefixes = t.prefixes[:0]
	for _, e := range es {
		t.prefixes = append(t.prefixes, e.prefix)
		t.count(e.prefix, -1)
		e.sent = nil
		if e.want == nil {
			delete(t.entries, e.prefix)
		}
	}
	// What was sent was of a negotiated family, so this cannot fail.
	dst, n, _ := t.enc.AppendWithdraw(dst, t.prefixes, nil)
	return dst, n
}

func (t *adjOut) appendReach(dst []byte, b *bucket) ([]byte, int) {
	if len(b.entries) == 0 {
		return dst, 0
	}
	t.prefixes = t.prefixes[:0]
	for _, e := range b.entries {
		t.prefixes = append(t.prefixes, e.prefix)
		if e.sent == nil {
			t.count(e.prefix, 1)
		}
		e.sent = e.want
	}
	// fits has shown that this cannot fail.
	dst, n, _ := t.enc.AppendReach(dst, b.attrs, t.prefixes, nil)
	return dst, n
}

func (t *adjOut) count(p netip.Prefix, n int) {
	for i := range t.families {
		if t.families[i].Family == wire.FamilyOf(p) {
			t.families[i].Advertised += n
		}
	}
}

// report fills in what Status shows of the table.
func (t *adjOut) report(s *SessionStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Desired, s.Pending, s.Withheld = t.desired, t.dirty.len(), t.withheld
	for _, f := range t.families {
		s.Advertised += f.Advertised
		for i := range s.Families {
			if s.Families[i].Family == f.Family {
				s.Families[i].Advertised, s.Families[i].EndOfRIBSent = f.Advertised, f.EndOfRIBSent
			}
		}
	}
}

// fifo is a queue of entries, each in it at most once.
type fifo struct {
	items []*entry
	head  int
}

func (q *fifo) len() int   { return len(q.items) - q.head }
func (q *fifo) grow(n int) { q.items = slices.Grow(q.items, n) }
func (q *fifo) push(e *entry) {
	if q.head > len(q.items)/2 { // the front half is used up: its memory serves again
		q.items = append(q.items[:0], q.items[q.head:]...)
		q.head = 0
	}
	q.items = append(q.items, e)
}

func (q *fifo) pop() *entry {
	e := q.items[q.head]
	q.items[q.head] = nil
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return e
}
