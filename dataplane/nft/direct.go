package nft

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/nftables"

	"github.com/pharoslb/pharos/dataplane"
)

// direct is what the driver knows of other nodes, beyond what States say.
type direct struct {
	network network
	numbers map[string]uint32 // of nodes, as long as the driver lives
	view    view
	seen    *dataplane.State // that the view was made for

	// distrust says that what the stamps tell of the kernel's tables may be wrong.
	distrust bool
}

// errReplaced says that a device is another one by the same name. Its chains may
// be gone with the first.
var errReplaced = errors.New("a device was replaced")

// number gives a node a number; zero where there are too many.
func (d *direct) number(node string) uint32 {
	n, known := d.numbers[node]
	if !known && node != "" && len(d.numbers) < numbers-1 {
		taken := map[uint32]bool{}
		for _, other := range d.numbers {
			taken[other] = true
		}
		for n = sendOn + 1; taken[n]; {
			n++
		}
		d.numbers[node] = n
	}
	return n
}

// adopt takes the nodes' numbers over that the kernel holds.
func (d *direct) adopt(k *kernel) {
	taken := map[uint32]string{}
	for _, e := range k.elements {
		if e.set.kind() != nodes || len(e.key) != 4 || e.comment == "" {
			continue
		}
		n := unmark(e.key)
		if _, known := d.numbers[e.comment]; !known && taken[n] == "" && n > sendOn && n < sendOn+numbers {
			d.numbers[e.comment], taken[n] = n, e.comment
		}
	}
}

// elements are those that follow from the node and its view of others.
func (d *direct) elements(state *dataplane.State) []element {
	var result []element
	for i, f := range directFamilies {
		result = append(result, intervals(pods.in(f, 0), state.Node.PodCIDRs)...)
		for _, s := range state.Siblings {
			hop := d.view.hops[s.Name][i%2]
			if hop.device == 0 {
				continue
			}
			key := mark(d.number(s.Name))
			result = append(result, element{set: nodes.in(f, 0), key: key, value: address(hop.addr) + mark(hop.device), comment: s.Name})
			if hop.tunnel && f.isIngress() {
				result = append(result, element{set: tunnelled.in(f, 0), key: key})
			}
		}
		result = append(result, d.tunnel(f, i%2)...)
		for _, m := range d.view.macs {
			result = append(result, element{set: macs.in(f, 0), key: string(m[:])})
		}
	}
	return result
}

// look renews the view of other nodes, if it may be another one by now.
func (d *direct) look(state *dataplane.State) error {
	if d.seen != nil && d.seen.Node.Equal(&state.Node) && slices.EqualFunc(d.seen.Siblings, state.Siblings, dataplane.Sibling.Equal) && !d.network.moved() {
		return nil
	}
	d.seen = nil
	v, err := d.network.look(state, d.number)
	if err != nil {
		return err
	}
	d.view, d.seen = v, state
	return nil
}

// elements are those that follow from the node alone.
func (d *Driver) elements(state *dataplane.State, direct bool) []element {
	result := nodeElements(&state.Node)
	if direct {
		result = append(result, d.direct.elements(state)...)
	}
	return result
}

// done gives up what else than tables direct frontends needed, once there are none.
func (d *direct) done() error {
	d.seen, d.view = nil, view{}
	err := d.network.removeTunnels()
	d.network.close()
	return err
}

// surroundings notes the difference in what follows from the node and its view of
// others, and whether there are tables of direct frontends at all.
func (d *Driver) surroundings(c *change, state *dataplane.State) error {
	l := d.live
	wanted := l.carried > 0
	if wanted {
		was := d.direct.view.indexes
		if err := d.direct.look(state); err != nil {
			return err
		}
		for name, i := range d.direct.view.indexes {
			if before, known := was[name]; l.direct && known && before != i {
				return errReplaced
			}
		}
	}
	switch {
	case wanted && !l.direct:
		c.make = directFamilies[:]
		var o objects
		o.direct(nil)
		c.sets, c.chains = append(c.sets, o.sets...), append(c.chains, o.chains...)
	case !wanted && l.direct:
		c.drop, l.devices = directFamilies[:], nil
	}
	l.direct = wanted
	c.node(l, d.elements(state, wanted))
	if wanted {
		c.devices(l, d.direct.view.devices)
	}
	return nil
}

// service notes the difference between what a Service was and is, that of tables
// only where the own node is named.
func (c *change) service(l *live, was, is *compiled, self string, number numbering) {
	c.replace(l, was, is)
	if self != "" {
		c.tables(was, is, self, number)
	}
	if was != nil && len(was.carried) > 0 {
		l.carried--
	}
	if is != nil && len(is.carried) > 0 {
		l.carried++
	}
}

// presentDirect returns which tables of direct frontends there are.
func presentDirect(s *socket) ([]*family, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(s.netns))
	if err != nil {
		return nil, err
	}
	tables, err := conn.ListTables()
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	var present []*family
	for _, f := range directFamilies {
		if slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == f.own && t.Family == f.table }) {
			present = append(present, f)
		}
	}
	return present, nil
}

// readDirect adds the tables of direct frontends, if they are of this version's
// making.
func (k *kernel) readDirect(s *socket) error {
	more, err := read(s, directFamilies[:])
	if err != nil || more == nil {
		return err
	}
	for _, f := range more.of {
		k.sets[f.index], k.chains[f.index], k.rules[f.index] = more.sets[f.index], more.chains[f.index], more.rules[f.index]
	}
	k.of = append(k.of, more.of...)
	maps.Copy(k.elements, more.elements)
	return nil
}

// tunnel returns the elements that follow from a tunnel.
func (d *direct) tunnel(f *family, i int) []element {
	mtu := min(d.view.mtus[i], 1<<16-2)
	if f.isIngress() {
		result := []element{{set: fits.in(f, 0), key: port(0)[:2]}}
		if mtu == 0 {
			return result // whatever the length
		}
		if f.is6() {
			mtu -= 40 // the length in the header leaves the header out (RFC 8200, section 3)
		}
		return append(result, element{set: fits.in(f, 0), key: port(uint16(mtu) + 1)[:2], closing: true})
	}
	if mtu == 0 {
		return nil
	}
	segment := uint16(mtu - 20 - 20) // RFC 9293, section 3.7.1
	if f.is6() {
		segment -= 20
	}
	result := []element{{set: clamp.in(f, 0), key: mark(0), value: port(segment)[:2]}}
	for _, p := range d.view.peers {
		if p.Is6() == f.is6() {
			result = append(result, element{set: peers.in(f, 0), key: address(p)})
		}
	}
	return result
}

// trusts reports whether the kernel holds the tables that the frontends among the
// elements need: it has the same frontends with the same stamps. Who changed
// elements of a table in between, before the driver listened, goes unnoticed.
func (k *kernel) trusts(want []element) bool {
	n := 0
	for _, e := range want {
		if kind := e.set.kind(); kind == directPorts || kind == directClients {
			n++
			if found, ok := k.elements[e.id()]; !ok || !found.same(&e) {
				return false
			}
		}
	}
	for key := range k.elements {
		if kind := key.set.kind(); kind == directPorts || kind == directClients {
			n--
		}
	}
	return n == 0
}

// forgetDirect makes the kernel's tables of direct frontends unknown.
func (k *kernel) forgetDirect() {
	k.of = k.of[:len(families)]
	maps.DeleteFunc(k.elements, func(key id, _ element) bool { return key.set.family().index >= len(families) })
	for _, f := range directFamilies {
		k.sets[f.index], k.chains[f.index], k.rules[f.index] = nil, nil, nil
	}
}

// hasDirect tells States with direct frontends.
func hasDirect(state *dataplane.State) bool {
	for _, s := range state.Services.All() {
		for i := range s.Frontends {
			if carries(s, &s.Frontends[i]) {
				return true
			}
		}
	}
	return false
}

// direct adds the objects of the tables of direct frontends.
func (o *objects) direct(devices []string) {
	for _, f := range directFamilies {
		for _, s := range f.directSets() {
			o.sets = append(o.sets, setOf{f, s.spec()})
		}
		for _, c := range f.directChains() {
			o.chains = append(o.chains, chainOf{f, c, false})
		}
		if f.isIngress() {
			for _, device := range devices {
				o.chains = append(o.chains, chainOf{f, f.hook(device), false})
			}
		}
	}
}

// devices notes the difference in the devices that have a chain.
func (c *change) devices(l *live, is []string) {
	for _, f := range directFamilies[2:] {
		for _, device := range is {
			if !slices.Contains(l.devices, device) {
				c.chains = append(c.chains, chainOf{f, f.hook(device), false})
			}
		}
		for _, device := range l.devices {
			if !slices.Contains(is, device) {
				c.goneChains = append(c.goneChains, chainOf{family: f, chain: chain{name: f.hook(device).name}})
			}
		}
	}
	l.devices = is
}
