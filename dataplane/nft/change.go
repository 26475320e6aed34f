package nft

import (
	"cmp"
	"slices"

	"github.com/pharoslb/pharos"
)

// live is what the kernel holds.
type live struct {
	services map[pharos.Name]*compiled
	node     []element
	shared   map[id]int      // how many frontends want an element of a shared set
	classes  [2][paths][]int // numbers of backends that have a set and a rule, sorted

	direct  bool // the tables of direct frontends are there
	devices []string
	carried int // Services with direct frontends
}

func newLive() *live {
	return &live{services: map[pharos.Name]*compiled{}, shared: map[id]int{}}
}

// change is the difference between two contents of the kernel. Whatever is
// removed goes first, so that a key may come back with another value.
type change struct {
	make        []*family // tables to be made, or made anew
	drop        []*family // tables to be deleted
	remove, add []element
	slots       []slotChange // of tables of direct frontends
	sets        []setOf      // new ones
	chains      []chainOf    // new ones, or with other rules
	goneChains  []chainOf
	goneSets    []setOf
}

type setOf struct {
	family *family
	spec   spec
}

type chainOf struct {
	family *family
	chain  chain
	known  bool // to the kernel, with other rules
}

// replace notes the difference between what one Service was compiled to and
// what it is now; either may be nil.
func (c *change) replace(l *live, was, is *compiled) {
	old := map[id]element{}
	before := map[id]int{} // counts of the shared elements that are touched
	count := func(e element, by int) {
		key := e.id()
		if _, ok := before[key]; !ok {
			before[key] = l.shared[key]
		}
		l.shared[key] += by
	}
	if was != nil {
		for _, e := range was.elements {
			if e.set.shared() {
				count(e, -1)
			} else {
				old[e.id()] = e
			}
		}
	}
	if is != nil {
		for _, e := range is.elements {
			if e.set.shared() {
				count(e, 1)
				continue
			}
			o, ok := old[e.id()]
			delete(old, e.id())
			switch {
			case !ok:
				c.add = append(c.add, e)
			case !o.same(&e):
				c.remove, c.add = append(c.remove, o), append(c.add, e)
			}
			c.class(l, e.set)
		}
	}
	for _, e := range old {
		c.remove = append(c.remove, e)
	}
	for key, n := range before {
		e := element{set: key.set, key: key.key}
		switch after := l.shared[key]; {
		case n == 0 && after > 0:
			c.add = append(c.add, e)
		case n > 0 && after == 0:
			c.remove = append(c.remove, e)
		}
		if l.shared[key] == 0 {
			delete(l.shared, key)
		}
	}
	c.stick(was, is)
}

// class makes a class known to the kernel when it is first used.
func (c *change) class(l *live, s setID) {
	if s.class() == 0 {
		return
	}
	_, p := s.kind().of()
	classes := &l.classes[s.family().index][p]
	i, found := slices.BinarySearch(*classes, s.class())
	if found {
		return
	}
	*classes = slices.Insert(slices.Clip(*classes), i, s.class())
	c.sets = append(c.sets, setOf{s.family(), s.spec()})
	c.rules(s.family(), s.family().pick(p, *classes))
}

// rules gives a chain that the kernel knows other rules; of several times the
// last holds.
func (c *change) rules(f *family, is chain) {
	for i := range c.chains {
		if c.chains[i].family == f && c.chains[i].chain.name == is.name {
			c.chains[i].chain = is
			return
		}
	}
	c.chains = append(c.chains, chainOf{f, is, true})
}

// stick notes the difference in the chains and sets of session affinity.
func (c *change) stick(was, is *compiled) {
	type key struct {
		family int
		name   string
	}
	oldChains, oldSets := map[key]chain{}, map[key]spec{}
	if was != nil {
		for _, s := range was.stuck {
			for _, ch := range s.chains {
				oldChains[key{s.family.index, ch.name}] = ch
			}
			for _, set := range s.sets {
				oldSets[key{s.family.index, set.name}] = set
			}
		}
	}
	if is != nil {
		for _, s := range is.stuck {
			for _, ch := range s.chains {
				k := key{s.family.index, ch.name}
				old, known := oldChains[k]
				delete(oldChains, k)
				if !known || !slices.Equal(s.family.comments(old.rules), s.family.comments(ch.rules)) {
					c.chains = append(c.chains, chainOf{s.family, ch, known})
				}
			}
			for _, set := range s.sets {
				k := key{s.family.index, set.name}
				if _, known := oldSets[k]; !known {
					c.sets = append(c.sets, setOf{s.family, set})
				}
				delete(oldSets, k)
			}
		}
	}
	for k, ch := range oldChains {
		c.goneChains = append(c.goneChains, chainOf{family: allFamilies[k.family], chain: ch})
	}
	for k, set := range oldSets {
		c.goneSets = append(c.goneSets, setOf{allFamilies[k.family], set})
	}
}

// node notes the difference between two nodes' elements. Networks are told
// anew as a whole: two neighbours may share a bound.
func (c *change) node(l *live, is []element) {
	for _, f := range allFamilies {
		for _, s := range networks(f) {
			of := func(e element) bool { return e.set != s }
			was, want := slices.DeleteFunc(slices.Clone(l.node), of), slices.DeleteFunc(slices.Clone(is), of)
			if !slices.Equal(was, want) {
				c.remove, c.add = append(c.remove, was...), append(c.add, want...)
			}
		}
	}
	old := map[id]element{}
	for _, e := range l.node {
		if !e.set.networks() {
			old[e.id()] = e
		}
	}
	for _, e := range is {
		if e.set.networks() {
			continue
		}
		o, ok := old[e.id()]
		delete(old, e.id())
		if ok && o.same(&e) {
			continue
		}
		if ok {
			c.remove = append(c.remove, o)
		}
		c.add = append(c.add, e)
	}
	for _, e := range old {
		c.remove = append(c.remove, e)
	}
	l.node = is
}

// networks returns a table's sets of networks.
func networks(f *family) []setID {
	switch {
	case f.isIngress():
		return []setID{pods.in(f, 0), fits.in(f, 0)}
	case f.index >= len(families):
		return []setID{pods.in(f, 0)}
	}
	return []setID{pods.in(f, 0), nodeAddrs.in(f, 0)}
}

// batch turns the difference into a transaction.
func (c *change) batch(b *batch) *batch {
	order := func(x, y element) int {
		if x.set.networks() { // a run's end after its beginning, as they are
			return cmp.Compare(x.set, y.set)
		}
		return cmp.Or(cmp.Compare(x.set, y.set), cmp.Compare(x.key, y.key), cmp.Compare(x.end, y.end))
	}
	for _, f := range c.make {
		f.renew(b)
	}
	slices.SortStableFunc(c.remove, order)
	slices.SortStableFunc(c.add, order)
	b.elements(c.remove, false)
	for i := range c.slots {
		c.slots[i].write(b, false)
	}
	for i, s := range c.sets {
		b.object(s.family, s.family.newSet(&s.spec, uint32(i+1)), "set", s.spec.name)
		b.added++
	}
	for _, ch := range c.chains {
		if ch.known {
			b.object(ch.family, ch.family.flushChain(ch.chain.name), "chain", ch.chain.name)
		} else {
			b.object(ch.family, ch.family.newChain(&ch.chain), "chain", ch.chain.name)
			b.added++
		}
	}
	for _, ch := range c.chains {
		b.rules(ch.family, &ch.chain)
	}
	for _, ch := range c.goneChains {
		b.object(ch.family, ch.family.flushChain(ch.chain.name), "chain", ch.chain.name)
	}
	for _, ch := range c.goneChains {
		b.object(ch.family, ch.family.delChain(ch.chain.name), "chain", ch.chain.name)
		b.removed++
	}
	for _, s := range c.goneSets {
		b.object(s.family, s.family.delSet(s.spec.name), "set", s.spec.name)
		b.removed++
	}
	b.elements(c.add, true)
	for i := range c.slots {
		c.slots[i].write(b, true)
	}
	for _, f := range c.drop {
		f.drop(b)
	}
	return b
}

// renew makes a table, and deletes it first if there is one.
func (f *family) renew(b *batch) {
	f.drop(b)
	b.object(f, f.newTable(), "table", "")
}

// drop deletes a table. One that isn't there can't be deleted.
func (f *family) drop(b *batch) {
	b.object(f, f.newTable(), "table", "")
	b.object(f, f.delTable(), "table", "")
}

// comments returns the rules' comments.
func (f *family) comments(rules []rule) []string {
	result := make([]string, len(rules))
	for i, r := range rules {
		result[i] = f.comment(r)
	}
	return result
}
