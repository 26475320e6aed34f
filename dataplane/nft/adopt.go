package nft

import (
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/dataplane"
)

// slot is where a backend of a target is in the kernel.
type slot struct {
	n    uint32
	addr netip.AddrPort
}

// slots returns the backends that the kernel has for each target, by the set
// that holds them and the target's key.
func (k *kernel) slots() map[id][]slot {
	found := map[id][]slot{}
	for _, e := range k.elements {
		base, _ := e.set.kind().of()
		if base != backends || len(e.key) < 4 {
			continue
		}
		target := len(e.key) - 4
		if addr, ok := unendpoint(e.value); ok {
			key := id{set: e.set, key: e.key[:target]}
			found[key] = append(found[key], slot{unmark(e.key[target:]), addr})
		}
	}
	return found
}

// adopt finds the slots of a Service's groups in the kernel, by its frontends.
func adopt(s *dataplane.Service, found map[id][]slot) map[dataplane.GroupKey][]netip.AddrPort {
	result := map[dataplane.GroupKey][]netip.AddrPort{}
	for i := range s.Frontends {
		fe := &s.Frontends[i]
		general, own := frontendPath, frontendInsidePath
		if fe.Kind == dataplane.NodePort {
			general, own = nodePortPath, nodePortInsidePath
		}
		at := func(p path, group int) {
			key := s.Groups[group].Key()
			slots := found[id{set: backends.on(p).in(familyOf(fe.Addr), 0), key: targetKey(fe.Target)}]
			if len(slots) > len(result[key]) {
				result[key] = inOrder(slots)
			}
		}
		at(general, fe.Outside)
		at(own, fe.Inside)
	}
	return result
}

// inOrder returns the backends by slot, up to the first slot that is missing.
func inOrder(slots []slot) []netip.AddrPort {
	slices.SortFunc(slots, func(a, b slot) int { return int(a.n) - int(b.n) })
	var result []netip.AddrPort
	for i, s := range slots {
		if s.n != uint32(i) {
			break
		}
		result = append(result, s.addr)
	}
	return result
}

// objects are the sets and chains that the tables have to hold.
type objects struct {
	sets   []setOf
	chains []chainOf
}

// objects lists what l needs.
func (l *live) objects() objects {
	var o objects
	if l.direct {
		o.direct(l.devices)
	}
	for _, f := range families {
		for _, s := range f.fixedSets() {
			o.sets = append(o.sets, setOf{f, s.spec()})
		}
		for _, c := range f.chains() {
			o.chains = append(o.chains, chainOf{f, c, false})
		}
		for p := range paths {
			for _, n := range l.classes[f.index][p] {
				o.sets = append(o.sets, setOf{f, class.on(p).in(f, n).spec()})
			}
			o.chains = append(o.chains, chainOf{f, f.pick(p, l.classes[f.index][p]), false})
		}
	}
	for _, c := range l.services {
		for _, s := range c.stuck {
			for _, set := range s.sets {
				o.sets = append(o.sets, setOf{s.family, set})
			}
			for _, c := range s.chains {
				o.chains = append(o.chains, chainOf{s.family, c, false})
			}
		}
	}
	return o
}

// against turns c, which adds all there has to be, into the difference from
// what the kernel holds. It reports false where a chain is hooked elsewhere or a
// set of another kind: that can't be changed, only replaced.
func (c *change) against(k *kernel, want objects) bool {
	var wanted [tables]map[string]bool
	for i := range wanted {
		wanted[i] = map[string]bool{}
	}
	c.sets, c.chains = nil, nil
	for _, s := range want.sets {
		wanted[s.family.index]["set "+s.spec.name] = true
		found := k.sets[s.family.index][s.spec.name]
		if found == nil {
			c.sets = append(c.sets, s)
		} else if !s.spec.same(found) {
			return false
		}
	}
	for _, ch := range want.chains {
		wanted[ch.family.index]["chain "+ch.chain.name] = true
		found := k.chains[ch.family.index][ch.chain.name]
		if found == nil {
			c.chains = append(c.chains, ch)
			continue
		}
		if !ch.chain.same(found) {
			return false
		}
		if !slices.Equal(k.rules[ch.family.index][ch.chain.name], ch.family.comments(ch.chain.rules)) {
			ch.known = true
			c.chains = append(c.chains, ch)
		}
	}
	for _, f := range k.of {
		for name := range k.sets[f.index] {
			if !wanted[f.index]["set "+name] {
				c.goneSets = append(c.goneSets, setOf{f, spec{name: name}})
			}
		}
		for name := range k.chains[f.index] {
			if !wanted[f.index]["chain "+name] {
				c.goneChains = append(c.goneChains, chainOf{family: f, chain: chain{name: name}})
			}
		}
	}
	c.elementsAgainst(k)
	return true
}

func (c *change) elementsAgainst(k *kernel) {
	found := make(map[id]bool, len(k.elements))
	stray := map[setID]bool{} // sets of networks, told anew as a whole
	var add []element
	for _, e := range c.add {
		if there, ok := k.elements[e.id()]; ok && there.same(&e) {
			found[e.id()] = true
			continue
		}
		add = append(add, e)
		stray[e.set] = true
	}
	for key, e := range k.elements {
		if !found[key] {
			c.remove = append(c.remove, e)
			stray[key.set] = true
		}
	}
	for _, e := range c.add {
		if found[e.id()] && e.set.networks() && stray[e.set] {
			c.remove, add = append(c.remove, e), append(add, e)
		}
	}
	c.add = add
}
