package rib

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// Table holds the routes of one address family. It is not safe for concurrent
// use.
type Table struct {
	family   wire.Family
	localAS  uint32
	routerID netip.Addr
	policy   Policy
	networks Networks

	entries map[netip.Prefix]*entry
	sources map[string]*source
	attrs   map[string]*Attrs
	dirty   []*entry

	order   uint64 // of the youngest path
	version uint64 // counts decided changes of entries
	live    int    // paths that are not deleted

	// Memory of Decide and Update, reused.
	paths    []*Path
	verdicts []Verdict
	hops     []Hop
	encoded  []byte
	key      []byte
}

// entry is a prefix and its paths, oldest first.
type entry struct {
	prefix  netip.Prefix
	paths   []*path
	set     HopSet // the next hops last handed out by Decide
	version uint64
	dirty   bool
}

// path is a Path in its two lists: of its prefix, and of its source.
type path struct {
	Path
	verdict    Verdict
	index      int // interface of the next hop
	entry      *entry
	source     *source
	prev, next *path
}

type source struct {
	Source
	head     *path
	live     int // paths that are not deleted
	deleted  int
	rejected map[Reason]uint64 // announcements not taken, by reason
}

// NewTable returns an empty table for a family: that of a router with this AS
// number and router ID.
func NewTable(family wire.Family, localAS uint32, routerID netip.Addr) *Table {
	return &Table{
		family: family, localAS: localAS, routerID: routerID, version: 1,
		entries: make(map[netip.Prefix]*entry),
		sources: make(map[string]*source),
		attrs:   make(map[string]*Attrs),
	}
}

// SetPolicy changes how the table decides.
func (t *Table) SetPolicy(p Policy) {
	if p == t.policy {
		return
	}
	t.policy = p
	for _, e := range t.entries {
		t.touch(e)
	}
}

// Up makes a neighbor known, or what is known of it up to date, when its session
// is established. Paths of an earlier session stay deleted until they are
// announced again.
func (t *Table) Up(s Source) {
	if s.Limit == 0 {
		s.Limit = DefaultLimit
	}
	src := t.sources[s.Name]
	if src == nil {
		src = &source{rejected: make(map[Reason]uint64)}
		t.sources[s.Name] = src
	}
	src.Source = s
}

// Update takes the prefixes of the table's family from an UPDATE. It reports
// false when the neighbor has more prefixes than it may: those above its limit
// were not taken.
func (t *Table) Update(name string, u *wire.Update, now time.Time) bool {
	src := t.sources[name]
	if src == nil {
		return true
	}
	for _, p := range u.Withdrawn {
		if wire.FamilyOf(p) == t.family {
			t.withdraw(src, p)
		}
	}
	if u.Attrs == nil || len(u.NLRI) == 0 {
		return true
	}
	within := true
	refuse := t.refuse(u.Attrs)
	attrs := t.intern(u.Attrs)
	for _, p := range u.NLRI {
		switch {
		case wire.FamilyOf(p) != t.family:
		case refuse != OK:
			// Not eligible at all (RFC 4271 §9.1.2); it replaces what was there.
			src.rejected[refuse]++
			t.withdraw(src, p)
		case !t.announce(src, p, attrs, u.Attrs.NextHopFor(p), now):
			src.rejected[LimitExceeded]++
			within = false
		}
	}
	t.release(attrs)
	return within
}

// refuse says why paths with such attributes are not taken.
func (t *Table) refuse(a *wire.Attrs) Reason {
	switch {
	case a.ASPath.Contains(t.localAS):
		return LocalASInPath
	case a.OriginatorID == t.routerID && t.routerID.IsValid(), slices.Contains(a.ClusterList, t.routerID):
		return OwnOriginator
	}
	return OK
}

// intern returns the one copy of the attributes, held once more.
func (t *Table) intern(w *wire.Attrs) *Attrs {
	t.key = appendKey(t.key[:0], w)
	a := t.attrs[string(t.key)]
	if a == nil {
		key := string(t.key)
		a = newAttrs(w, key)
		t.attrs[key] = a
	}
	a.refs++
	return a
}

func (t *Table) release(a *Attrs) {
	if a.refs--; a.refs == 0 {
		delete(t.attrs, a.key)
	}
}

// announce reports false when the source may not have one more path.
func (t *Table) announce(src *source, prefix netip.Prefix, attrs *Attrs, hop netip.Addr, now time.Time) bool {
	e := t.entries[prefix]
	var p *path
	if e != nil {
		p = e.of(src)
	}
	if p != nil && p.Fault != Deleted && p.Attrs == attrs && p.NextHop == hop {
		return true // said again: its age stays (RFC 4271 §9.1.4 replaces like by like)
	}
	// A deleted path that comes back is counted as new; deleted ones are those of
	// one session at most (Down), so that they are within the limit on their own.
	if src.live >= src.Limit && (p == nil || p.Fault == Deleted) {
		return false
	}
	if p == nil {
		if e == nil {
			e = &entry{prefix: prefix}
			t.entries[prefix] = e
		}
		p = &path{entry: e, source: src, Path: Path{Source: &src.Source}}
		src.link(p)
		src.live++
		t.live++
	} else {
		e.remove(p)
		t.release(p.Attrs)
		if p.Fault == Deleted {
			src.deleted--
			src.live++
			t.live++
		}
	}
	attrs.refs++
	p.Attrs, p.NextHop, p.Fault = attrs, hop, OK
	t.renew(p, now)
	t.resolve(p)
	e.paths = append(e.paths, p)
	t.touch(e)
	return true
}

// renew makes a path the youngest.
func (t *Table) renew(p *path, now time.Time) {
	t.order++
	p.Order, p.Since = t.order, now
}

// resolve looks up the path's next hop.
func (t *Table) resolve(p *path) {
	if c, ok := t.networks.Find(p.NextHop); ok {
		p.Fault, p.index = OK, c.Index
	} else {
		p.Fault, p.index = NextHopUnreachable, 0
	}
}

func (t *Table) withdraw(src *source, prefix netip.Prefix) {
	e := t.entries[prefix]
	if e == nil {
		return
	}
	if p := e.of(src); p != nil {
		t.drop(p)
	}
}

// drop removes a path altogether.
func (t *Table) drop(p *path) {
	if p.Fault == Deleted {
		p.source.deleted--
	} else {
		p.source.live--
		t.live--
	}
	p.source.unlink(p)
	p.entry.remove(p)
	t.release(p.Attrs)
	t.touch(p.entry)
}

// Down marks all paths of a neighbor deleted: its session is over. They are shown,
// and not used, until Purge. Those that an earlier session left and this one did
// not bring back are removed: a neighbor that comes and goes with other prefixes
// each time would pile them up.
func (t *Table) Down(name string) {
	src := t.sources[name]
	if src == nil {
		return
	}
	t.Purge(name)
	for p := src.head; p != nil; p = p.next {
		p.Fault = Deleted
		t.touch(p.entry)
	}
	t.live -= src.live
	src.deleted, src.live = src.live, 0
}

// Purge removes the neighbor's deleted paths: it has sent its whole table
// (End-of-RIB), or was away for too long.
func (t *Table) Purge(name string) {
	src := t.sources[name]
	if src == nil || src.deleted == 0 {
		return
	}
	for p := src.head; p != nil; {
		next := p.next
		if p.Fault == Deleted {
			t.drop(p)
		}
		p = next
	}
}

// Forget removes a neighbor with all its paths: it is not configured any more.
func (t *Table) Forget(name string) {
	t.Down(name)
	t.Purge(name)
	delete(t.sources, name)
}

// Resolve takes the networks that are connected now, and looks every next hop up
// in them. A path that comes to be usable by it counts as new.
func (t *Table) Resolve(n Networks, now time.Time) {
	t.networks = n
	for _, e := range t.entries {
		for _, p := range e.paths {
			if p.Fault == Deleted {
				continue
			}
			fault, index := p.Fault, p.index
			t.resolve(p)
			if p.Fault == fault && p.index == index {
				continue
			}
			if fault != OK && p.Fault == OK {
				t.renew(p, now)
			}
			t.touch(e)
		}
		slices.SortFunc(e.paths, func(a, b *path) int { return cmp.Compare(a.Order, b.Order) })
	}
}

// touch marks an entry for the next Decide.
func (t *Table) touch(e *entry) {
	if !e.dirty {
		e.dirty = true
		t.dirty = append(t.dirty, e)
	}
}

// Dirty is how many prefixes the next Decide will look at.
func (t *Table) Dirty() int { return len(t.dirty) }

// Decide decides anew about the prefixes whose paths changed and appends to out
// those that have other next hops than before.
func (t *Table) Decide(out []Route) []Route {
	for i, e := range t.dirty {
		t.dirty[i] = nil
		e.dirty = false
		t.decide(e)
		t.version++
		e.version = t.version
		if !e.set.is(t.encoded) {
			e.set = hopSetOf(t.encoded)
			out = append(out, Route{e.prefix, e.set})
		}
		if len(e.paths) == 0 {
			delete(t.entries, e.prefix)
		}
	}
	t.dirty = t.dirty[:0]
	return out
}

// decide gives the entry's paths their verdicts and leaves the encoded next hops
// in t.encoded.
func (t *Table) decide(e *entry) {
	t.paths, t.hops = t.paths[:0], t.hops[:0]
	for _, p := range e.paths {
		t.paths = append(t.paths, &p.Path)
	}
	t.verdicts = Decide(t.policy, t.paths, t.verdicts[:0])
	for i, p := range e.paths {
		p.verdict = t.verdicts[i]
		if p.verdict.Used() {
			t.hops = append(t.hops, Hop{p.NextHop, p.index})
		}
	}
	slices.SortFunc(t.hops, Hop.compare)
	t.encoded = appendHops(t.encoded[:0], t.hops)
}

func (e *entry) of(src *source) *path {
	for _, p := range e.paths {
		if p.source == src {
			return p
		}
	}
	return nil
}

func (e *entry) remove(p *path) {
	if i := slices.Index(e.paths, p); i >= 0 {
		e.paths = slices.Delete(e.paths, i, i+1)
	}
}

func (s *source) link(p *path) {
	p.next = s.head
	if s.head != nil {
		s.head.prev = p
	}
	s.head = p
}

func (s *source) unlink(p *path) {
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		s.head = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
}
