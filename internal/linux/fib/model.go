package fib

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/internal/compact"
	"github.com/pharoslb/pharos/rib"
)

// firstID begins the range of next-hop object identifiers that we give out.
const firstID = 0x5000_0000

// group is a next-hop group: a set of next hops and how many routes use it. The
// group with identifier 0 stands for whatever else an adopted route may point to.
type group struct {
	id        uint32
	set       rib.HopSet
	resilient bool
	routes    int
}

// place is where a next hop is, whatever its weight in a group.
type place struct {
	addr  netip.Addr
	index int // of the interface
}

func placeOf(h rib.Hop) place { return place{h.Addr, h.Index} }

// hop is a next-hop object and how many groups it is in.
type hop struct {
	id     uint32
	groups int
}

// flushAt is how many routes must go together with their group for it to be left to
// the kernel to remove them with the group: that is ten times as fast as one by one, but
// who watches the kernel's routes of IPv4 hears of the group alone.
const flushAt = 2000

// model is what we believe the kernel to hold of ours. It is plain data: plan
// changes it and says what the kernel must be told.
type model struct {
	resilient bool // the kind of groups that are wanted
	hops      map[place]*hop
	groups    map[uint32]*group
	bySet     map[rib.HopSet]*group // one of those of that kind with the set, for new routes
	routes    compact.PrefixMap[route]
	stale     int             // routes that are
	taken     map[uint32]bool // identifiers that are in use
	last      uint32          // identifier given out

	other  *group // that with the identifier 0
	strays []op   // remove what an earlier run left and nothing uses, once other has no routes
	// patient has nothing removed together with its group: it stays as long as a route
	// cannot be moved away.
	patient bool

	idle     []*group // perhaps without routes: for collect
	idleHops []place  // perhaps without groups: for collect
}

// route is a prefix in the kernel.
type route struct {
	group *group
	stale bool // adopted and not asked for
}

func newModel(resilient bool) *model {
	return &model{
		resilient: resilient,
		hops:      make(map[place]*hop),
		groups:    make(map[uint32]*group),
		bySet:     make(map[rib.HopSet]*group),
		taken:     make(map[uint32]bool),
		last:      firstID,
		other:     &group{},
	}
}

// of returns a prefix's group; nil if there is no route.
func (m *model) of(p netip.Prefix) *group {
	if n := m.routes.Find(p); n != 0 {
		return m.routes.At(n).group
	}
	return nil
}

// set gives a prefix a group; nil removes it.
func (m *model) set(p netip.Prefix, g *group) {
	n := m.routes.Find(p)
	switch {
	case g != nil && n == 0:
		n = m.routes.Insert(p)
		fallthrough
	case g != nil:
		m.routes.At(n).group = g
	case n != 0:
		m.routes.Delete(n)
	}
}

// ask says that a route is wanted or not, whatever an earlier run thought.
func (m *model) ask(p netip.Prefix) {
	if m.stale == 0 {
		return
	}
	if n := m.routes.Find(p); n != 0 && m.routes.At(n).stale {
		m.routes.At(n).stale = false
		m.stale--
	}
}

// verb is what to do with an object of the kernel.
type verb uint8

const (
	addHop verb = iota
	replaceGroup
	addGroup
	setRoute
	removeRoute
	removeGroup
	removeHop
)

// op is one message to the kernel.
type op struct {
	verb    verb
	id      uint32       // of the hop or group; of the route's group
	from    uint32       // the group that the route leaves: setRoute
	hop     place        // addHop
	members []member     // replaceGroup, addGroup
	prefix  netip.Prefix // setRoute, removeRoute
	// resilient is the kind of the group: replaceGroup, addGroup.
	resilient bool
	stray     bool // no route in the model can be by way of it: removeGroup, removeHop
}

// member is a next hop of a group.
type member struct {
	id     uint32
	weight int // 1 to 256
}

// plan makes the routes true in the model and appends to ops, in the order in
// which they must be done, what makes them true in the kernel.
//
// Where all routes of a group move to the same set of next hops, the group moves
// instead: one message, however many routes. Where all of them leave, many of them for
// nowhere, the group takes those along when it is removed.
func (m *model) plan(routes []rib.Route, ops []op) []op {
	moves := make(map[*group]*exodus)
	moving := make([]rib.Route, 0, len(routes))
	var last *group
	var out *exodus
	for _, r := range routes {
		m.ask(r.Prefix)
		g := m.of(r.Prefix)
		if g == nil && r.Hops.Len() == 0 || m.fits(g, r.Hops) {
			continue
		}
		moving = append(moving, r)
		if g == nil || g.id == 0 {
			continue
		}
		if g != last {
			if last, out = g, moves[g]; out == nil {
				out = &exodus{to: r.Hops, same: true}
				moves[g] = out
			}
		}
		out.add(r.Hops)
	}
	var left []rib.HopSet
	flushed := make(map[*group]bool)
	for _, g := range slices.SortedFunc(maps.Keys(moves), byID) {
		out := moves[g]
		switch {
		case out.n < g.routes:
		case out.same && out.to.Len() > 0 && g.resilient == m.resilient && (out.n > 1 || m.resilient || m.bySet[out.to] == nil):
			left = append(left, g.set)
			ops = m.replace(g, out.to, ops)
		case out.gone >= flushAt && !m.patient:
			flushed[g] = true
			if m.bySet[g.set] == g {
				delete(m.bySet, g.set) // nobody may join it any more
			}
		}
	}
	for _, r := range moving {
		g := m.of(r.Prefix)
		if m.fits(g, r.Hops) {
			continue // moved with its group
		}
		from := uint32(0)
		if m.leave(g); g != nil {
			from = g.id
		}
		if r.Hops.Len() == 0 {
			m.set(r.Prefix, nil)
			if !flushed[g] {
				ops = append(ops, op{verb: removeRoute, prefix: r.Prefix})
			}
			continue
		}
		to := m.bySet[r.Hops]
		if to == nil {
			to = &group{id: m.newID(), set: r.Hops, resilient: m.resilient}
			members := m.hold(r.Hops, &ops)
			ops = append(ops, op{verb: addGroup, id: to.id, members: members, resilient: m.resilient})
			m.groups[to.id], m.bySet[r.Hops] = to, to
		}
		to.routes++
		m.set(r.Prefix, to)
		ops = append(ops, op{verb: setRoute, id: to.id, from: from, prefix: r.Prefix})
	}
	// What a replaced group gave up is let go of only now, so that a next hop that
	// another group takes up in the same plan is not removed in between.
	for _, set := range left {
		m.letGo(set)
	}
	return m.collect(ops)
}

// exodus is how many routes leave a group.
type exodus struct {
	n, gone int        // of all, those that are removed
	to      rib.HopSet // where the first goes
	same    bool       // and all the others
}

func (e *exodus) add(to rib.HopSet) {
	e.n++
	e.same = e.same && to == e.to
	if to.Len() == 0 {
		e.gone++
	}
}

// fits says that a route of the group is as wanted.
func (m *model) fits(g *group, set rib.HopSet) bool {
	return g != nil && g.id != 0 && g.set == set && g.resilient == m.resilient
}

// choose has groups be of the other kind from now on. The kernel does not let groups
// change, so that every route moves to a new one; those are returned.
func (m *model) choose(resilient bool) []rib.Route {
	m.resilient = resilient
	clear(m.bySet)
	for _, g := range slices.SortedFunc(maps.Values(m.groups), byID) {
		if g.resilient == resilient && m.bySet[g.set] == nil {
			m.bySet[g.set] = g
		}
	}
	return m.wanted()
}

// wanted are the routes that were asked for.
func (m *model) wanted() []rib.Route {
	out := make([]rib.Route, 0, m.routes.Len())
	for n, r := range m.routes.All() {
		if !r.stale {
			out = append(out, rib.Route{Prefix: m.routes.Prefix(n), Hops: r.group.set})
		}
	}
	return out
}

// avoid takes next hops out of every group that has others.
func (m *model) avoid(hops []rib.Hop, ops []op) []op {
	lost := make(map[place]bool, len(hops))
	for _, h := range hops {
		lost[placeOf(h)] = true
	}
	for _, g := range slices.SortedFunc(maps.Values(m.groups), byID) {
		all := g.set.Hops()
		left := slices.DeleteFunc(slices.Clone(all), func(h rib.Hop) bool { return lost[placeOf(h)] })
		if len(left) == len(all) || len(left) == 0 {
			continue
		}
		old := g.set
		ops = m.replace(g, rib.NewHopSet(left...), ops)
		m.letGo(old)
	}
	return m.collect(ops)
}

// replace gives a group other next hops. What it had is for the caller to let go.
func (m *model) replace(g *group, set rib.HopSet, ops []op) []op {
	members := m.hold(set, &ops)
	if m.bySet[g.set] == g {
		delete(m.bySet, g.set)
	}
	if g.set = set; m.bySet[set] == nil && g.resilient == m.resilient {
		m.bySet[set] = g
	}
	return append(ops, op{verb: replaceGroup, id: g.id, members: members, resilient: g.resilient})
}

// adopt takes a group of an earlier run over, if it is as we make them; else no route
// is taken to use it.
func (m *model) adopt(id uint32, members []member, resilient bool, hops map[uint32]place) {
	set := make([]rib.Hop, 0, len(members))
	for _, o := range members {
		p, ok := hops[o.id]
		if !ok || m.hops[p].id != o.id {
			return
		}
		set = append(set, rib.Hop{Addr: p.addr, Index: p.index, Weight: o.weight})
	}
	g := &group{id: id, set: rib.NewHopSet(set...), resilient: resilient}
	m.groups[id] = g
	if m.bySet[g.set] == nil && resilient == m.resilient {
		m.bySet[g.set] = g
	}
	for _, h := range set {
		m.hops[placeOf(h)].groups++
	}
	m.idle = append(m.idle, g)
}

// sweep removes the routes that nobody asked for since they were adopted.
func (m *model) sweep(ops []op) []op {
	for n, r := range m.routes.All() {
		if r.stale {
			m.leave(r.group)
			ops = append(ops, op{verb: removeRoute, prefix: m.routes.Prefix(n)})
			m.routes.Delete(n)
		}
	}
	m.stale = 0
	return m.collect(ops)
}

// hold returns a set's next hops as members of a group, each held once more; new ones
// are appended to ops.
func (m *model) hold(set rib.HopSet, ops *[]op) []member {
	hops := set.Hops()
	members := make([]member, len(hops))
	for i, h := range hops {
		p := placeOf(h)
		known := m.hops[p]
		if known == nil {
			known = &hop{id: m.newID()}
			m.hops[p] = known
			*ops = append(*ops, op{verb: addHop, id: known.id, hop: p})
		}
		known.groups++
		members[i] = member{known.id, max(1, h.Weight)}
	}
	return members
}

func (m *model) letGo(set rib.HopSet) {
	for _, h := range set.Hops() {
		p := placeOf(h)
		if m.hops[p].groups--; m.hops[p].groups == 0 {
			m.idleHops = append(m.idleHops, p)
		}
	}
}

// leave takes a route out of its group, if it has one.
func (m *model) leave(g *group) {
	if g == nil {
		return
	}
	if g.routes--; g.routes == 0 && g.id != 0 {
		m.idle = append(m.idle, g)
	}
}

// collect removes groups without routes and next hops without groups.
func (m *model) collect(ops []op) []op {
	for _, g := range m.idle {
		if g.routes > 0 || m.groups[g.id] != g {
			continue
		}
		delete(m.groups, g.id)
		delete(m.taken, g.id)
		if m.bySet[g.set] == g {
			delete(m.bySet, g.set)
		}
		m.letGo(g.set)
		ops = append(ops, op{verb: removeGroup, id: g.id})
	}
	for _, h := range m.idleHops {
		if known := m.hops[h]; known != nil && known.groups == 0 {
			delete(m.hops, h)
			delete(m.taken, known.id)
			ops = append(ops, op{verb: removeHop, id: known.id})
		}
	}
	m.idle, m.idleHops = m.idle[:0], m.idleHops[:0]
	if m.other.routes == 0 {
		ops = append(ops, m.strays...)
		m.strays = nil
	}
	return ops
}

func (m *model) newID() uint32 {
	for {
		m.last++
		if m.last < firstID {
			m.last = firstID + 1
		}
		if !m.taken[m.last] {
			m.taken[m.last] = true
			return m.last
		}
	}
}

func byID(a, b *group) int { return cmp.Compare(a.id, b.id) }
