package rib

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/internal/compact"
)

// Table holds the routes of one address family. It is not safe for concurrent
// use.
//
// What there is much of, entries and paths, is numbered and refers to others by
// number: a route costs some hundred octets and the garbage collector nothing.
type Table struct {
	family   wire.Family
	localAS  uint32
	routerID netip.Addr
	policy   Policy
	networks Networks

	entries compact.PrefixMap[entry]
	paths   compact.Slab[path]
	dirty   []uint32 // entries whose paths changed

	sources      compact.Slab[*source]
	sourceByName map[string]*source
	attrs        compact.Slab[*Attrs]
	attrsByKey   map[string]*Attrs
	hops         compact.Slab[nextHop]
	hopByKey     map[hopKey]uint32

	epoch   time.Time // from which ages are counted
	order   uint64    // of the youngest path
	version uint64    // counts decided changes of entries

	// Memory of Decide and Update, reused.
	decision decision
	key      []byte
}

// entry is a prefix.
type entry struct {
	set     HopSet // the next hops last handed out by Decide
	version uint64
	oldest  uint32 // its first path; the others follow by age
	dirty   bool
}

// path is a way to a prefix, in two lists: of its prefix, by age, and of its source.
type path struct {
	order uint64        // counts up
	since time.Duration // after the table's epoch
	way
	entry      uint32
	next       uint32 // of the entry
	prev, more uint32 // of the source
	generation uint8  // of the source, when it was announced
	standing   standing
}

// state is what became of a path's session.
type state uint8

const (
	live      state = iota
	stale           // it is over and expected back; the path is used
	longLived       // and has been so for long
	deleted         // it is over; the path is only shown
	states
)

type source struct {
	info     *Source
	number   uint32
	first    uint32 // its paths
	count    [states]int
	rejected map[Reason]uint64 // announcements not taken, by reason
	octets   int               // of attributes that it was the first to bring

	generation uint8 // counts its refreshes
	refreshing bool
}

// NewTable returns an empty table for a family: that of a router with this AS
// number and router ID.
func NewTable(family wire.Family, localAS uint32, routerID netip.Addr) *Table {
	return &Table{
		family: family, localAS: localAS, routerID: routerID, version: 1,
		sourceByName: make(map[string]*source),
		attrsByKey:   make(map[string]*Attrs),
		hopByKey:     make(map[hopKey]uint32),
	}
}

// SetPolicy changes how the table decides.
func (t *Table) SetPolicy(p Policy) {
	if p == t.policy {
		return
	}
	t.policy = p
	t.decision.forget()
	for id := range t.entries.All() {
		t.touch(id)
	}
}

// Up makes a neighbor known, or what is known of it up to date, when its session
// is established. Paths of an earlier session stay as they are until they are
// announced again.
func (t *Table) Up(s Source) {
	s.Limit = cmp.Or(s.Limit, DefaultLimit)
	src := t.sourceByName[s.Name]
	if src == nil {
		src = &source{number: t.sources.Alloc(), rejected: make(map[Reason]uint64)}
		*t.sources.At(src.number) = src
		t.sourceByName[s.Name] = src
	}
	src.info = &s
	t.decision.forget()
}

// Drain has a neighbor's paths used only where there are no others, or like anybody's
// again (Source.Draining).
func (t *Table) Drain(name string, on bool) {
	src := t.sourceByName[name]
	if src == nil || src.info.Draining == on {
		return
	}
	info := *src.info // views have the old one
	info.Draining = on
	src.info = &info
	t.decision.forget()
	for at := src.first; at != 0; {
		p := t.paths.At(at)
		t.touch(p.entry)
		at = p.more
	}
}

// SetLimit changes how many paths a neighbor may have (Source.Limit), while its session
// goes on. What it has above that stays.
func (t *Table) SetLimit(name string, limit int) {
	if src := t.sourceByName[name]; src != nil {
		info := *src.info // views have the old one
		info.Limit = cmp.Or(limit, DefaultLimit)
		src.info = &info
	}
}

// Update takes the prefixes of the table's family from an UPDATE. It reports
// false when the neighbor has more prefixes than it may: those above its limit
// were not taken.
func (t *Table) Update(name string, u *wire.Update, now time.Time) bool {
	src := t.sourceByName[name]
	if src == nil {
		return true
	}
	for i, p := range u.Withdrawn {
		if wire.FamilyOf(p) == t.family {
			t.withdraw(src, p, pathID(u.WithdrawnPaths, i))
		}
	}
	if u.Attrs == nil || len(u.NLRI) == 0 {
		return true
	}
	within := true
	refuse := t.refuse(src, u.Attrs)
	a := announcement{now: now, leak: src.info.leaks(u.Attrs.OnlyToCustomer)}
	a.attrs = t.intern(src, u.Attrs, src.info.marks(u.Attrs.OnlyToCustomer))
	if refuse == OK && a.attrs.refs == 1 && src.octets > attributesAtLeast+attributesPerPath*src.info.Limit {
		refuse = AttributesExceeded
	}
	for i, p := range u.NLRI {
		if wire.FamilyOf(p) != t.family {
			continue
		}
		id := pathID(u.NLRIPaths, i)
		why := refuse
		if why != OK {
			// Not eligible at all (RFC 4271 §9.1.2); it replaces what was there.
			t.withdraw(src, p, id)
		} else {
			if addr := u.Attrs.NextHopFor(p); a.hop == 0 || addr != a.addr {
				t.changeHop(&a, src, addr)
			}
			why = t.announce(src, p, id, &a)
		}
		if why != OK {
			src.rejected[why]++
			within = within && why != LimitExceeded
		}
	}
	if a.hop != 0 {
		t.letGo(a.hop)
	}
	t.release(a.attrs)
	return within
}

// announcement is what the prefixes of one UPDATE have in common.
type announcement struct {
	attrs *Attrs
	leak  bool
	addr  netip.Addr // of the next hop
	hop   uint32     // and its number, held for as long as the UPDATE is worked on
	now   time.Time
}

func (t *Table) changeHop(a *announcement, src *source, addr netip.Addr) {
	old := a.hop
	a.addr, a.hop = addr, t.hold(src, addr)
	if old != 0 {
		t.letGo(old)
	}
}

func pathID(ids []uint32, i int) uint32 {
	if i < len(ids) {
		return ids[i]
	}
	return 0
}

// refuse says why paths with such attributes are not taken.
func (t *Table) refuse(src *source, a *wire.Attrs) Reason {
	switch {
	case a.ASPath.Contains(t.localAS), src.info.LocalAS != 0 && a.ASPath.Contains(src.info.LocalAS):
		return LocalASInPath
	case a.OriginatorID == t.routerID && t.routerID.IsValid(), slices.Contains(a.ClusterList, t.routerID):
		return OwnOriginator
	}
	return OK
}

// announce takes one path, or says why not.
func (t *Table) announce(src *source, prefix netip.Prefix, id uint32, a *announcement) Reason {
	// What an earlier session left does not count: it is that of one session at most,
	// so that it is within the limit on its own.
	full := src.count[live] >= src.info.Limit
	var number uint32
	if full {
		if number = t.entries.Find(prefix); number == 0 {
			return LimitExceeded
		}
	} else {
		number = t.entries.Insert(prefix)
	}
	e := t.entries.At(number)
	at, siblings := t.of(e, src, id)
	if at == 0 {
		switch {
		case full:
			return LimitExceeded
		case siblings >= maxPathsPerPrefix:
			return TooManyPaths
		}
		at = t.paths.Alloc()
		p := t.paths.At(at)
		p.source, p.id, p.entry = src.number, id, number
		t.link(src, at)
		src.count[live]++
	} else {
		p := t.paths.At(at)
		if full && p.state != live {
			return LimitExceeded
		}
		if p.state == longLived {
			t.touch(number)
		}
		was := p.state
		t.become(p, live)
		p.generation = src.generation
		if was != deleted && p.attrs == a.attrs.number && p.hop == a.hop && p.leak == a.leak {
			return OK // said again: its age stays (RFC 4271 §9.1.4 replaces like by like)
		}
		t.unlinkEntry(e, at)
		t.release(*t.attrs.At(p.attrs))
		t.hops.At(p.hop).used--
		t.letGo(p.hop)
	}
	p := t.paths.At(at)
	a.attrs.refs++
	h := t.hops.At(a.hop)
	h.paths++
	h.used++
	p.attrs, p.hop, p.leak, p.generation = a.attrs.number, a.hop, a.leak, src.generation
	t.appendPath(e, at, a.now)
	t.touch(number)
	return OK
}

// become changes the state of a path, and what is counted by it.
func (t *Table) become(p *path, s state) {
	src, h := *t.sources.At(p.source), t.hops.At(p.hop)
	if p.state == deleted {
		h.used++
	}
	if s == deleted {
		h.used--
	}
	src.count[p.state]--
	src.count[s]++
	p.state = s
}

// appendPath makes a path the youngest of its entry, and of the table.
func (t *Table) appendPath(e *entry, at uint32, now time.Time) {
	if t.epoch.IsZero() {
		t.epoch = now
	}
	t.order++
	p := t.paths.At(at)
	p.order, p.since, p.next = t.order, now.Sub(t.epoch), 0
	if last := t.last(e); last != 0 {
		t.paths.At(last).next = at
	} else {
		e.oldest = at
	}
}

func (t *Table) last(e *entry) uint32 {
	at := e.oldest
	for at != 0 && t.paths.At(at).next != 0 {
		at = t.paths.At(at).next
	}
	return at
}

// of returns a source's path with an identifier, and how many it has to the prefix.
func (t *Table) of(e *entry, src *source, id uint32) (found uint32, siblings int) {
	for at := e.oldest; at != 0; at = t.paths.At(at).next {
		if p := t.paths.At(at); p.source == src.number {
			siblings++
			if p.id == id {
				found = at
			}
		}
	}
	return found, siblings
}

func (t *Table) unlinkEntry(e *entry, at uint32) {
	link := &e.oldest
	for *link != at {
		link = &t.paths.At(*link).next
	}
	*link = t.paths.At(at).next
}

func (t *Table) link(src *source, at uint32) {
	p := t.paths.At(at)
	p.prev, p.more = 0, src.first
	if src.first != 0 {
		t.paths.At(src.first).prev = at
	}
	src.first = at
}

func (t *Table) unlink(src *source, p *path) {
	if p.prev != 0 {
		t.paths.At(p.prev).more = p.more
	} else {
		src.first = p.more
	}
	if p.more != 0 {
		t.paths.At(p.more).prev = p.prev
	}
}

func (t *Table) withdraw(src *source, prefix netip.Prefix, id uint32) {
	number := t.entries.Find(prefix)
	if number == 0 {
		return
	}
	if at, _ := t.of(t.entries.At(number), src, id); at != 0 {
		t.drop(at)
	}
}

// drop removes a path altogether.
func (t *Table) drop(at uint32) {
	p := t.paths.At(at)
	src := *t.sources.At(p.source)
	src.count[p.state]--
	t.unlink(src, p)
	t.unlinkEntry(t.entries.At(p.entry), at)
	t.release(*t.attrs.At(p.attrs))
	if p.state != deleted {
		t.hops.At(p.hop).used--
	}
	t.letGo(p.hop)
	t.touch(p.entry)
	t.paths.Free(at)
}

// touch marks an entry for the next Decide.
func (t *Table) touch(number uint32) {
	if e := t.entries.At(number); !e.dirty {
		e.dirty = true
		t.dirty = append(t.dirty, number)
	}
}
