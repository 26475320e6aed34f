package ebpf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// follow brings what the programs know of the nodes up to date.
func (k *kernel) follow(t *transaction, state *dataplane.State) error {
	k.watch.changed()
	around, err := k.meet(state)
	if err != nil {
		return err
	}
	k.around, k.node, k.siblings = around, state.Node, state.Siblings
	if err := k.number(t, state); err != nil {
		return err
	}
	if _, err := k.place(t); err != nil {
		return err
	}
	return k.tune(t)
}

// place writes who the nodes are, and reports whether that was written otherwise.
func (k *kernel) place(t *transaction) (changed bool, err error) {
	before := t.added + t.removed
	hosts := map[directAddr]uint32{}
	for i := range k.siblings {
		for _, a := range k.siblings[i].Addresses {
			hosts[addrOf(a)] = hostSibling
		}
	}
	for _, a := range k.around.own {
		hosts[addrOf(a)] = hostSelf
	}
	macs := map[directMac]uint32{}
	for m, name := range k.around.macs {
		macs[m] = uint32(k.ids[name])
	}
	if err := bring(t, k.objects.Hosts, hosts); err != nil {
		return false, err
	}
	err = bring(t, k.objects.Macs, macs)
	return t.added+t.removed > before, err
}

// askTime is how long neighbors that are new are waited for.
const askTime = 200 * time.Millisecond

// meet reads the surroundings, and waits a while for the hardware addresses of
// siblings that are new: there is no way to them before. Those that have no power
// don't answer; they are asked again with every Verify.
func (k *kernel) meet(state *dataplane.State) (*surroundings, error) {
	deadline := time.Now().Add(askTime)
	for {
		around, err := look(k.handle, state, k.options.Devices)
		if err != nil {
			return nil, err
		}
		if k.around != nil {
			around.keep(k.around, state)
		}
		around.solicit(k.handle)
		silent, waiting := map[neighbor]bool{}, false
		for _, n := range around.asked {
			key := neighbor{n.LinkIndex, n.IP.String()}
			silent[key] = true
			waiting = waiting || !k.silent[key]
		}
		if !waiting || time.Now().After(deadline) {
			k.silent = silent
			around.trust()
			return around, nil
		}
		time.Sleep(askTime / 100)
	}
}

// neighbor is an address on a device's segment.
type neighbor struct {
	device int
	addr   string
}

// solicit has the kernel ask for the neighbors that it doesn't know.
func (s *surroundings) solicit(h *netlink.Handle) {
	for i := range s.asked {
		h.NeighSet(&s.asked[i])
	}
}

// keep takes over hardware addresses that the kernel has forgotten since: siblings
// keep theirs.
func (s *surroundings) keep(was *surroundings, state *dataplane.State) {
	found := map[string]bool{}
	for _, name := range s.macs {
		found[name] = true
	}
	for mac, name := range was.macs {
		if !found[name] && slices.ContainsFunc(state.Siblings, func(s dataplane.Sibling) bool { return s.Name == name }) {
			s.macs[mac] = name
		}
	}
}

// trust leaves siblings on our segments out as ways while their hardware addresses aren't
// known. What such a one sent would be taken for a client's, and two nodes whose tables
// differ might send a packet to and fro.
func (s *surroundings) trust() {
	known := map[string]bool{}
	for _, name := range s.macs {
		known[name] = true
	}
	for name, n := range s.legs {
		for i := range n.Legs {
			if n.Legs[i].How == legSegment && !known[name] {
				n.Legs[i] = directLeg{}
			}
		}
		s.legs[name] = n
	}
}

// number gives each sibling a number, and writes the ways to them.
func (k *kernel) number(t *transaction, state *dataplane.State) error {
	k.ids[state.Node.Name] = here
	used := map[uint16]bool{here: true}
	for _, id := range k.ids {
		used[id] = true
	}
	next := uint16(1)
	for i := range state.Siblings {
		name := state.Siblings[i].Name
		id, ok := k.ids[name]
		if !ok {
			for used[next] && next < maxNodes {
				next++
			}
			if next == maxNodes {
				return fmt.Errorf("more than %d nodes", maxNodes)
			}
			id, used[next] = next, true
			k.ids[name] = id
		}
		if n := k.around.legs[name]; k.nodes[id] != n {
			had := k.nodes[id]
			if err := t.put(k.objects.Nodes, uint32(id), n, had); err != nil {
				return err
			}
			k.nodes[id] = n
		}
	}
	return nil
}

// tune writes the settings.
func (k *kernel) tune(t *transaction) error {
	want := directTuning{Mss: k.around.mss}
	var is directTuning
	if err := k.objects.Settings.Lookup(uint32(0), &is); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	if is == want {
		return nil
	}
	return t.put(k.objects.Settings, uint32(0), want, is)
}

// bring brings a small map to what is wanted.
func bring[K comparable, V comparable](t *transaction, m *ebpf.Map, want map[K]V) error {
	is, err := all[K, V](m)
	if err != nil {
		return err
	}
	for key, value := range want {
		had, ok := is[key]
		if ok && had == value {
			continue
		}
		var before any
		if ok {
			before = had
		}
		if err := t.put(m, key, value, before); err != nil {
			return err
		}
	}
	for key, had := range is {
		if _, ok := want[key]; !ok {
			if err := t.drop(m, key, had); err != nil {
				return err
			}
		}
	}
	return nil
}

// all reads a map.
func all[K comparable, V any](m *ebpf.Map) (map[K]V, error) {
	found := map[K]V{}
	var key K
	var value V
	i := m.Iterate()
	for i.Next(&key, &value) {
		found[key] = value
	}
	if err := i.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return nil, fmt.Errorf("read %s: %w", m, err)
	}
	return found, nil
}

// adopt reads what an earlier process has left and brings it to state.
func (k *kernel) adopt(t *transaction, state *dataplane.State, renewed map[pharos.Name][]*wanted) error {
	if err := k.recall(state); err != nil {
		return err
	}
	if err := k.follow(t, state); err != nil {
		return err
	}
	there, err := all[directTarget, directFrontend](k.objects.Frontends)
	if err != nil {
		return err
	}
	for _, v := range there {
		k.last.meter, k.last.version, k.last.guard = max(k.last.meter, v.Meter), max(k.last.version, v.Version), max(k.last.guard, v.Guard)
	}
	keep := map[directTarget]bool{}
	for name, now := range renewed {
		for _, w := range now {
			key := targetOf(w.target)
			keep[key] = true
			v, ok := there[key]
			is := &installed{wanted: w, numbers: numbers{v.Meter, v.Version, v.Guard}}
			var want directFrontend
			if ok {
				is.image(&want, is.numbers, k.id)
			}
			if !ok || want != v {
				if ok {
					is.numbers = numbers{v.Meter, k.next(&k.last.version), k.next(&k.last.guard)}
				} else {
					is.numbers = numbers{k.next(&k.last.meter), k.next(&k.last.version), k.next(&k.last.guard)}
				}
				is.image(&want, is.numbers, k.id)
				var had any
				if ok {
					had = &v
				}
				if err := t.put(k.objects.Frontends, key, &want, had); err != nil {
					return err
				}
			}
			k.live[key] = is
		}
		if len(now) > 0 {
			k.names[name] = now
		}
	}
	for key, v := range there {
		if !keep[key] {
			if err := t.drop(k.objects.Frontends, key, &v); err != nil {
				return err
			}
		}
	}
	k.adopted = true
	return k.complete(t)
}

// recall learns from the kernel which number a node has, by its addresses, and from where
// nodes send.
func (k *kernel) recall(state *dataplane.State) error {
	names := map[netip.Addr]string{}
	for i := range state.Siblings {
		for _, a := range state.Siblings[i].Addresses {
			names[a] = state.Siblings[i].Name
		}
	}
	there, err := all[uint32, directNode](k.objects.Nodes)
	if err != nil {
		return err
	}
	for id, n := range there {
		for _, leg := range n.Legs {
			if name, ok := names[leg.To.addr()]; ok && n != (directNode{}) {
				k.ids[name], k.nodes[uint16(id)] = uint16(id), n
			}
		}
	}
	numbers := map[uint32]string{}
	for name, id := range k.ids {
		numbers[uint32(id)] = name
	}
	macs, err := all[directMac, uint32](k.objects.Macs)
	if err != nil {
		return err
	}
	k.around = &surroundings{macs: map[directMac]string{}}
	for mac, id := range macs {
		if name, ok := numbers[id]; ok {
			k.around.macs[mac] = name
		}
	}
	return nil
}

// complete brings the maps beside the frontends to what those need.
func (k *kernel) complete(t *transaction) error {
	pods, sources, owners := map[directTarget]uint32{}, map[directSource]uint32{}, map[directFurther]directOwner{}
	k.pods = map[directTarget]int{}
	meters := map[uint32]bool{}
	var v directFrontend
	for _, is := range k.live {
		meters[is.meter] = true
		for _, p := range is.pods {
			k.pods[p]++
			pods[p] = 1
		}
		for _, p := range is.sources {
			sources[prefixOf(is.guard, p)] = 1
		}
		for i, o := range is.image(&v, is.numbers, k.id) {
			owners[directFurther{Version: is.version, Index: uint32(inlined + i)}] = o
		}
	}
	if err := bring(t, k.objects.Pods, pods); err != nil {
		return err
	}
	if err := bring(t, k.objects.Sources, sources); err != nil {
		return err
	}
	if err := bring(t, k.objects.Owners, owners); err != nil {
		return err
	}
	there, err := all[uint32, []directMeter](k.objects.Meters)
	if err != nil {
		return err
	}
	for id := range meters {
		if _, ok := there[id]; !ok {
			if err := insist(func() error { return k.objects.Meters.Put(id, emptyMeters()) }); err != nil {
				return fmt.Errorf("add a meter: %w", err)
			}
		}
	}
	for id := range there {
		if !meters[id] {
			if err := remove(k.objects.Meters, id); err != nil {
				return err
			}
		}
	}
	return nil
}
