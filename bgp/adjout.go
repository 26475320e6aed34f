package bgp

import (
	"iter"
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
	entries map[netip.Prefix]*entry // the first path to each prefix
	desired int                     // entries that are wanted
	export  []netip.Prefix          // Config.Export
	drain   bool                    // Config.GracefulShutdown
	partial bool                    // End-of-RIB would not be true yet
	limit   int                     // packLimit, but for tests

	// The rest is about the session and empty while there is none.
	out      *outbound
	owner    *conn // the connection that it is on
	enc      wire.Encoder
	dirty    fifo
	refresh  []wire.Family  // to be sent once more
	markers  []marker       // to be written when what they wait for is
	families []FamilyStatus // as in out.session.Families
	withheld [holds]int

	prefixes []netip.Prefix // scratch
	paths    []uint32
	buckets  []bucket // in the order in which they were needed
	byAttrs  map[*Attrs]int
}

// entry is one path to a prefix.
type entry struct {
	prefix     netip.Prefix
	next       *entry // another path to the prefix, with a higher identifier
	want, sent *Attrs // nil: not wanted, not sent
	path       uint32
	dirty      bool // is in adjOut.dirty
	again      bool // to be sent even if the peer has it
	stays      bool // replace has met it
	held       hold
}

// hold is why a wanted path is not sent.
type hold uint8

const (
	notHeld   hold = iota
	heldBack       // the session cannot carry it: family, next hop or size
	heldHome       // outside Config.Export
	heldOther      // the peer takes one path to a prefix, and another one has it
	holds
)

// bucket is what goes out with the same attributes.
type bucket struct {
	attrs   *Attrs
	wire    *wire.Attrs
	v4, v6  bool // routes of the family can be sent
	entries []*entry
}

// marker is a message that follows the entries which are dirty now.
type marker struct {
	after    uint64 // of dirty.popped
	family   wire.Family
	enhanced bool // End-of-RR, not End-of-RIB
}

// newAdjOut makes an empty table; partial holds End-of-RIB back until complete.
func newAdjOut(c *Config, partial bool) *adjOut {
	return &adjOut{
		partial: partial,
		entries: make(map[netip.Prefix]*entry), export: c.Export, drain: c.GracefulShutdown,
		byAttrs: make(map[*Attrs]int), limit: packLimit,
	}
}

// set takes changes of what the peer shall have.
func (t *adjOut) set(changes []Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range changes {
		if p := changes[i].Prefix.Masked(); p.IsValid() {
			t.setOne(p, changes[i].Path, changes[i].Attrs)
		}
	}
	t.wake()
}

// holds tells of each prefix whether the peer has been sent it on the present session.
func (t *adjOut) holds(prefixes []netip.Prefix) []bool {
	out := make([]bool, len(prefixes))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil {
		return out
	}
	for i, p := range prefixes {
		for e := t.entries[p.Masked()]; e != nil && !out[i]; e = e.next {
			out[i] = e.sent != nil
		}
	}
	return out
}

// replace makes the routes all that the peer shall have.
func (t *adjOut) replace(routes iter.Seq2[netip.Prefix, *Attrs]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, a := range routes {
		if p = p.Masked(); p.IsValid() && a != nil {
			t.setOne(p, 0, a)
			t.entries[p].stays = true
		}
	}
	t.all(func(e *entry) {
		if !e.stays {
			t.setOne(e.prefix, e.path, nil)
		}
		e.stays = false
	})
	t.wake()
}

func (t *adjOut) wake() {
	if t.out != nil && (t.dirty.len() > 0 || len(t.refresh) > 0) {
		t.owner.poke()
	}
}

func (t *adjOut) setOne(p netip.Prefix, path uint32, a *Attrs) {
	e := t.find(p, path, a != nil)
	if e == nil || e.want != nil && e.want.Equal(a) {
		return
	}
	switch {
	case e.want == nil && a != nil:
		t.desired++
	case e.want != nil && a == nil:
		t.desired--
	}
	e.want = a
	switch {
	case t.out != nil:
		for e := t.entries[p]; e != nil; e = e.next { // which of several is sent may change
			t.mark(e)
		}
	case a == nil:
		t.forget(e)
	}
}

// find returns the entry of a path; nil if there is none, unless a new one is asked
// for.
func (t *adjOut) find(p netip.Prefix, path uint32, fresh bool) *entry {
	e := t.entries[p]
	before := (*entry)(nil)
	for ; e != nil && e.path < path; e = e.next {
		before = e
	}
	if e != nil && e.path == path {
		return e
	}
	if !fresh {
		return nil
	}
	e = &entry{prefix: p, path: path, next: e}
	if before != nil {
		before.next = e
	} else {
		t.entries[p] = e
	}
	return e
}

// forget removes an entry that is neither wanted nor sent.
func (t *adjOut) forget(e *entry) {
	first := t.entries[e.prefix]
	switch {
	case first == e && e.next == nil:
		delete(t.entries, e.prefix)
	case first == e:
		t.entries[e.prefix] = e.next
	default:
		for b := first; b != nil; b = b.next {
			if b.next == e {
				b.next = e.next
			}
		}
	}
}

// all calls f for every entry; f may forget it.
func (t *adjOut) all(f func(*entry)) {
	for _, e := range t.entries {
		for e != nil {
			next := e.next
			f(e)
			e = next
		}
	}
}

func (t *adjOut) mark(e *entry) {
	if !e.dirty {
		e.dirty = true
		t.dirty.push(e)
	}
}

// configure takes what of the configuration may change while the session goes on.
func (t *adjOut) configure(c *Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	same, drain := slices.Equal(t.export, c.Export) && (t.export == nil) == (c.Export == nil), t.drain == c.GracefulShutdown
	t.export, t.drain = c.Export, c.GracefulShutdown
	if t.out == nil || same && drain {
		return
	}
	t.out.drain = t.drain
	t.all(func(e *entry) {
		e.again = e.again || !drain && e.sent != nil
		t.mark(e)
	})
	t.wake()
}

// attach begins a session on a connection: the peer has nothing, and the
// connection is poked whenever pack has something to give.
func (t *adjOut) attach(out outbound, owner *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out.drain = t.drain
	t.out, t.owner, t.enc = &out, owner, wire.Encoder{Session: out.session}
	t.dirty.grow(len(t.entries))
	t.all(t.mark)
	for _, f := range out.session.Families {
		t.families = append(t.families, FamilyStatus{Family: f})
		t.markers = append(t.markers, marker{after: t.dirty.pushed, family: f})
	}
	t.owner.poke()
}

// detach ends a session.
func (t *adjOut) detach() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out, t.owner, t.enc = nil, nil, wire.Encoder{}
	t.dirty, t.refresh, t.markers, t.families, t.withheld = fifo{}, nil, nil, nil, [holds]int{}
	t.prefixes, t.paths = nil, nil
	t.all(func(e *entry) {
		e.sent, e.dirty, e.again, e.held = nil, false, false, notHeld
		if e.want == nil {
			t.forget(e)
		}
	})
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

// tallied is what pack wrote, by type of message.
type tallied struct{ updates, refreshes int }

// pack appends messages for some of what differs; none when there is nothing left.
// What it returns counts as sent. The writer of a connection that is no longer the
// session's gets nothing: it may ask late.
func (t *adjOut) pack(dst []byte, asking *conn, now time.Time) (out []byte, n tallied) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil || t.owner != asking {
		return dst, n
	}
	dst = t.beginRefresh(dst, &n)
	for empty := len(dst); t.dirty.len() > 0 && len(dst) == empty; {
		// What differs may come to nothing; the writer would take that for the end.
		dst = t.appendSome(dst, &n)
	}
	return t.appendMarkers(dst, now, &n), n
}

// report fills in what Status shows of the table.
func (t *adjOut) report(s *SessionStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Desired, s.Pending, s.Foreign = t.desired, t.dirty.len(), t.withheld[heldHome]
	s.Withheld = t.withheld[heldBack] + t.withheld[heldHome] + t.withheld[heldOther]
	for _, f := range t.families {
		s.Advertised += f.Advertised
		for i := range s.Families {
			if s.Families[i].Family == f.Family {
				s.Families[i].Advertised, s.Families[i].EndOfRIBSent = f.Advertised, f.EndOfRIBSent
			}
		}
	}
}
