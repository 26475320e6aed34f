package ipvs

import (
	"fmt"
	"net/netip"
	"slices"

	mobyipvs "github.com/moby/ipvs"
	"github.com/vishvananda/netlink"

	"github.com/pharoslb/pharos/dataplane"
)

// readSets returns the elements of all sets, and how many of the sets there are.
func (k *kernel) readSets(w *world) (there int, err error) {
	for _, set := range sets {
		for _, ipv6 := range []bool{false, true} {
			elements, ok, err := k.sets.list(set, ipv6)
			if err != nil {
				return 0, err
			}
			if ok {
				there++
			}
			for _, e := range elements {
				w.elements[e.elementKey] = e.mark
			}
		}
	}
	return there, nil
}

// makeSets makes the sets that are missing.
func (k *kernel) makeSets() error {
	for _, set := range sets {
		for _, ipv6 := range []bool{false, true} {
			if err := k.sets.create(set, ipv6); err != nil {
				return err
			}
		}
	}
	return nil
}

// readAddrs returns the addresses of the interface, and those of the others.
func (k *kernel) readAddrs(w *world) (own []netip.Addr, err error) {
	all, err := k.links.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range all {
		addr := addrOf(a.IP)
		switch {
		case k.device != nil && a.LinkIndex == k.device.Attrs().Index:
			if !addr.IsLinkLocalUnicast() { // the kernel's own, if somebody set it up
				w.addrs[addr] = true
			}
		case !addr.IsLoopback() && !addr.IsLinkLocalUnicast():
			own = append(own, addr)
		}
	}
	slices.SortFunc(own, netip.Addr.Compare)
	return slices.Compact(own), nil
}

// readVirtuals returns the virtual services that are ours: those of our marks,
// of our frontends, and of addresses on the interface. Others are left alone.
func (k *kernel) readVirtuals(w *world) error {
	all, err := k.ipvs.GetServices()
	if err != nil {
		return fmt.Errorf("list virtual services: %w", err)
	}
	for _, s := range all {
		v := &virtual{setting: setting{s.SchedName, s.Flags & flagMask, 0}}
		if s.Flags&flagPersistent != 0 {
			v.timeout = s.Timeout
		}
		if s.FWMark != 0 {
			v.virtualKey = virtualKey{addr: unspecified(s.AddressFamily == uint16(familyOf(true))), mark: s.FWMark}
		} else {
			v.virtualKey = virtualKey{addr: addrOf(s.Address), protocol: s.Protocol, port: s.Port}
		}
		if !w.ours(v.virtualKey) {
			if v.mark == 0 {
				w.others.note(v.virtualKey)
			}
			continue
		}
		if v.dests, err = k.readDests(s); err != nil {
			return fmt.Errorf("list the destinations of %s: %w", v.virtualKey, err)
		}
		w.virtuals[v.virtualKey] = v
	}
	return nil
}

// readDests returns the destinations in the order in which they were added: the
// kernel puts each before those that it has.
func (k *kernel) readDests(s *mobyipvs.Service) ([]dest, error) {
	all, err := k.ipvs.GetDestinations(s)
	if err != nil {
		return nil, err
	}
	result := make([]dest, 0, len(all))
	for _, d := range slices.Backward(all) {
		result = append(result, dest{netip.AddrPortFrom(addrOf(d.Address), d.Port), d.Weight, d.ConnectionFlags & mobyipvs.ConnectionFlagFwdMask})
	}
	return result, nil
}

// ours reports whether a virtual service in the kernel is this driver's, or that of
// a proxy before it. Sets and addresses have been read.
func (w *world) ours(key virtualKey) bool {
	if key.mark != 0 {
		return key.mark&^markRange == markBase
	}
	if w.addrs[key.addr] {
		return true
	}
	_, ok := w.elements[elementKey{set: setFrontends, addr: key.addr, protocol: uint8(key.protocol), port: key.port}]
	return ok
}

// Marks of packets: markBase and a number within markRange.
const (
	markBase  = 0x70400000
	markRange = 0x000fffff
)

// marker hands out marks: to each group the one that it has in the kernel, or one
// that nobody has.
type marker struct {
	used  map[uint32]bool
	found map[elementKey]uint32 // elements in the kernel
	addrs []netip.Addr          // the node's
	next  uint32
}

// mark returns the mark of a Service's group; before is what it was.
func (m *marker) mark(s *dataplane.Service, key markKey, before *compiled) uint32 {
	if before != nil {
		if mark, ok := before.marks[key]; ok {
			return mark
		}
	}
	for i := range s.Frontends {
		f := &s.Frontends[i]
		addrs := []netip.Addr{f.Addr}
		if f.Kind == dataplane.NodePort {
			addrs = m.addrs
		}
		for _, addr := range addrs {
			mark := m.found[elementKey{set: setMark, addr: addr, protocol: number(f.Protocol), port: f.Target.Port}]
			if s.Groups[f.Inside].Key() == key && mark&^markRange == markBase && !m.used[mark] {
				m.used[mark] = true
				return mark
			}
		}
	}
	for m.used[markBase|m.next] {
		m.next = (m.next + 1) & markRange
	}
	mark := markBase | m.next
	m.used[mark] = true
	return mark
}
