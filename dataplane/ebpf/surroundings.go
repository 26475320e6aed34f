package ebpf

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/dataplane"
)

// surroundings are what the kernel says of the network around the node.
type surroundings struct {
	uplinks []int // indexes of devices, sorted
	mtu     map[int]uint32
	own     []netip.Addr
	legs    map[string]directNode // by sibling
	macs    map[directMac]string  // of siblings on our segments
	asked   []netlink.Neigh       // neighbors to be solicited
	mss     [2]uint32
}

// look reads the surroundings. devices names the uplinks; empty means those with a
// default route or one of the node's addresses.
func look(h *netlink.Handle, state *dataplane.State, devices []string) (*surroundings, error) {
	s := &surroundings{mtu: map[int]uint32{}, legs: map[string]directNode{}, macs: map[directMac]string{}}
	links, err := h.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	addrs, err := h.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	chosen := map[int]bool{}
	for _, a := range addrs {
		if addr, ok := netip.AddrFromSlice(a.IP); ok && slices.Contains(state.Node.Addresses, addr.Unmap()) {
			chosen[a.LinkIndex] = true
			s.own = append(s.own, addr.Unmap())
		}
	}
	routes, err := h.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst != nil {
			if ones, _ := r.Dst.Mask.Size(); ones > 0 {
				continue
			}
		}
		chosen[r.LinkIndex] = true
		for _, hop := range r.MultiPath {
			chosen[hop.LinkIndex] = true
		}
	}
	for _, l := range links {
		a := l.Attrs()
		s.mtu[a.Index] = uint32(a.MTU)
		if len(devices) > 0 && !slices.Contains(devices, a.Name) || len(devices) == 0 && !chosen[a.Index] {
			continue
		}
		if a.EncapType == "ether" { // the programs want a link header
			s.uplinks = append(s.uplinks, a.Index)
		}
	}
	slices.Sort(s.uplinks)
	slices.SortFunc(s.own, netip.Addr.Compare)
	for i := range state.Siblings {
		if err := s.reach(h, &state.Siblings[i]); err != nil {
			return nil, err
		}
	}
	return s, s.neighbors(h, state)
}

// reach finds the way to a sibling: directly, where the kernel's route has no
// gateway, else in a tunnel.
func (s *surroundings) reach(h *netlink.Handle, sibling *dataplane.Sibling) error {
	var n directNode
	for _, addr := range sibling.Addresses {
		leg := directLeg{To: addrOf(addr)}
		routes, err := h.RouteGet(addr.AsSlice())
		if err == nil && len(routes) > 0 && slices.Contains(s.uplinks, routes[0].LinkIndex) {
			r := routes[0]
			leg.Device, leg.How, leg.Mtu = uint32(r.LinkIndex), legSegment, s.mtu[r.LinkIndex]
			if len(r.Gw) > 0 || r.Via != nil {
				src, _ := netip.AddrFromSlice(r.Src)
				leg.How, leg.Self = legTunnel, addrOf(src.Unmap())
				header := uint32(20)
				if addr.Is6() {
					header = 40
				}
				most := leg.Mtu - 2*header - 20 // both IP headers and that of TCP
				if i := bit(addr.Is6()); s.mss[i] == 0 || most < s.mss[i] {
					s.mss[i] = most
				}
			}
		}
		n.Legs[bit(addr.Is6())] = leg
	}
	s.legs[sibling.Name] = n
	return nil
}

// neighbors finds the hardware addresses of the siblings on our segments.
func (s *surroundings) neighbors(h *netlink.Handle, state *dataplane.State) error {
	type place struct {
		device int
		addr   netip.Addr
	}
	names := map[place]string{}
	for i := range state.Siblings {
		sibling := &state.Siblings[i]
		for _, leg := range s.legs[sibling.Name].Legs {
			if leg.How == legSegment {
				names[place{int(leg.Device), leg.To.addr()}] = sibling.Name
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		entries, err := h.NeighList(0, family)
		if err != nil {
			return fmt.Errorf("list neighbors: %w", err)
		}
		for _, e := range entries {
			addr, _ := netip.AddrFromSlice(e.IP)
			p := place{e.LinkIndex, addr.Unmap()}
			name, ok := names[p]
			if !ok || len(e.HardwareAddr) != 6 || e.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) != 0 || bytes.Equal(e.HardwareAddr, make([]byte, 6)) {
				continue
			}
			s.macs[directMac{Octets: [6]uint8(e.HardwareAddr)}] = name
			delete(names, p)
		}
	}
	for p := range names {
		family := netlink.FAMILY_V4
		if p.addr.Is6() {
			family = netlink.FAMILY_V6
		}
		s.asked = append(s.asked, netlink.Neigh{
			LinkIndex: p.device, IP: p.addr.AsSlice(), Family: family, State: unix.NUD_NONE, Flags: unix.NTF_USE,
		})
	}
	return nil
}
