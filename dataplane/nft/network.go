package nft

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/dataplane"
)

// view is how a node sees its siblings and itself on the network.
type view struct {
	hops    map[string][2]hop // by sibling; IPv4, IPv6
	macs    [][6]byte         // that siblings send from, sorted
	devices []string          // at which packets from outside come in, sorted; tunnels last
	indexes map[string]int    // of devices
	mtus    [2]int            // of what a tunnel carries; zero where there is none
	peers   []netip.Addr      // that tunnels lead to, sorted
	trouble error             // of TunnelErrors: the siblings behind those are not reached
}

// hop is where packets to a sibling go: an address on the segment of a device. One
// whose Ethernet address is not known is no way: what came back from it would be taken
// for a client's, and two nodes with different tables might send a packet to and fro.
type hop struct {
	addr   netip.Addr
	device uint32 // index; zero where there is no way
	tunnel bool
}

// network looks at the kernel's links, routes and neighbors.
type network struct {
	netns  int
	handle *netlink.Handle // nil: to be opened
	known  map[hop][6]byte // Ethernet addresses of siblings
	asked  map[hop]bool    // whether one has been waited for

	watch  watch
	wanted map[hop]bool // siblings' hops of the last look
	silent bool         // one of those did not answer
	failed bool         // a tunnel could not be made
	looked time.Time

	made     [2]tunnel
	ends     [2]int // indexes of the tunnels' devices
	repaired uint64 // tunnels that somebody else had changed
}

func (n *network) open() error {
	if n.handle != nil {
		return nil
	}
	at := netns.None()
	if n.netns != 0 {
		at = netns.NsHandle(n.netns)
	}
	handle, err := netlink.NewHandleAt(at, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	n.handle, n.known, n.asked = handle, map[hop][6]byte{}, map[hop]bool{}
	return nil
}

// close gives the sockets up.
func (n *network) close() {
	n.watch.close()
	if n.handle != nil {
		n.handle.Close()
		n.handle = nil
	}
}

// look returns the view of a node.
func (n *network) look(state *dataplane.State, number numbering) (view, error) {
	v := view{hops: map[string][2]hop{}, indexes: map[string]int{}}
	if err := n.open(); err != nil {
		return v, err
	}
	if n.watch.socket == nil {
		if err := n.watch.open(n.netns); err != nil {
			return v, err
		}
	}
	n.looked = time.Now()
	links, err := n.handle.LinkList()
	if err != nil {
		return v, fmt.Errorf("list devices: %w", err)
	}
	if v.devices, err = n.outside(links, &state.Node); err != nil {
		return v, err
	}
	var tunnels [2]tunnel
	for _, a := range slices.Backward(state.Node.Addresses) {
		tunnels[index(a.Is6())].own = a
	}
	for _, l := range links {
		if slices.Contains(v.devices, l.Attrs().Name) {
			v.indexes[l.Attrs().Name] = l.Attrs().Index
		}
	}
	for _, s := range state.Siblings {
		var hops [2]hop
		for _, a := range s.Addresses {
			i := index(a.Is6())
			device, near := n.route(a)
			switch {
			case device == 0:
			case near && ethernet(links, device):
				hops[i] = hop{addr: a, device: uint32(device)}
			case tunnels[i].own.IsValid():
				p := peer{a, inner(a, number(s.Name))}
				hops[i] = hop{addr: p.inner, tunnel: true}
				tunnels[i].add(p, mtu(links, device)-headers[i])
			}
		}
		v.hops[s.Name] = hops
	}
	n.tunnels(&v, tunnels)
	if v.macs, err = n.senders(v.hops); err != nil {
		return v, err
	}
	for name, hops := range v.hops {
		for i, h := range hops {
			if _, known := n.known[h]; !h.tunnel && !known {
				hops[i] = hop{}
			}
		}
		v.hops[name] = hops
	}
	return v, nil
}

// tunnels makes the tunnels and notes them in the view. Where one can't be made the
// siblings behind it have no way, and that is noted too: all else is to work.
func (n *network) tunnels(v *view, want [2]tunnel) {
	n.failed = false
	for i, t := range want {
		slices.SortFunc(t.peers, func(a, b peer) int { return a.addr.Compare(b.addr) })
		link, changed, err := n.ensure(i, t)
		if err != nil {
			n.failed, n.made[i], n.ends[i] = true, tunnel{}, 0
			v.trouble = errors.Join(v.trouble, &TunnelError{Device: tunnelNames[i], Siblings: len(t.peers), Err: err})
			continue
		}
		if changed && n.made[i].equal(&t) {
			n.repaired++
		}
		n.made[i], n.ends[i] = t, 0
		if link == nil {
			continue
		}
		n.ends[i] = link.Attrs().Index
		v.indexes[tunnelNames[i]] = n.ends[i]
		for name, hops := range v.hops {
			if hops[i].tunnel {
				hops[i].device = uint32(link.Attrs().Index)
				v.hops[name] = hops
			}
		}
		v.devices = append(v.devices, tunnelNames[i])
		v.mtus[i] = t.mtu
		for _, p := range t.peers {
			v.peers = append(v.peers, p.addr)
		}
	}
}

// add adds a peer that is reached by a path that takes so much.
func (t *tunnel) add(p peer, mtu int) {
	if len(t.peers) == 0 || mtu < t.mtu {
		t.mtu = mtu
	}
	t.peers = append(t.peers, p)
}

func (t *tunnel) equal(other *tunnel) bool {
	return t.own == other.own && t.mtu == other.mtu && slices.Equal(t.peers, other.peers)
}

// route returns the device by which a sibling's address is reached, zero where it
// isn't, and whether no gateway is on the way.
func (n *network) route(a netip.Addr) (device int, near bool) {
	routes, err := n.handle.RouteGet(a.AsSlice())
	if err != nil || len(routes) == 0 || routes[0].Type == unix.RTN_LOCAL {
		return 0, false
	}
	return routes[0].LinkIndex, len(routes) == 1 && routes[0].Gw == nil && routes[0].Via == nil
}

func byIndex(links []netlink.Link, device int) *netlink.LinkAttrs {
	for _, l := range links {
		if l.Attrs().Index == device {
			return l.Attrs()
		}
	}
	return &netlink.LinkAttrs{}
}

// ethernet tells devices that have neighbors with Ethernet addresses.
func ethernet(links []netlink.Link, device int) bool {
	a := byIndex(links, device)
	return len(a.HardwareAddr) == 6 && a.RawFlags&unix.IFF_NOARP == 0
}

// mtu returns how much a device takes, with 1500 for one that is not known.
func mtu(links []netlink.Link, device int) int { return cmp.Or(byIndex(links, device).MTU, 1500) }

// outside returns the devices at which packets from outside may come in: those of
// Ethernet that have addresses which are not the pods', or by which a gateway is
// reached.
func (n *network) outside(links []netlink.Link, node *dataplane.Node) ([]string, error) {
	addrs, err := n.handle.AddrList(nil, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	has := map[int]bool{}
	for _, a := range addrs {
		addr := addrOf(a.IP)
		if !addr.IsLinkLocalUnicast() && !slices.ContainsFunc(node.PodCIDRs, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			has[a.LinkIndex] = true
		}
	}
	routes, err := n.handle.RouteListFiltered(unix.AF_UNSPEC, &netlink.Route{}, 0)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if r.Gw != nil || r.Via != nil {
			has[r.LinkIndex] = true
		}
	}
	var devices []string
	for _, l := range links {
		a := l.Attrs()
		if has[a.Index] && !slices.Contains(tunnelNames[:], a.Name) && a.MasterIndex == 0 && len(a.HardwareAddr) == 6 && l.Type() != "dummy" {
			devices = append(devices, a.Name)
		}
	}
	slices.Sort(devices)
	return devices, nil
}

// askTime bounds how long a look waits for neighbors that it asks for the first
// time. Those that have power answer within a millisecond.
const askTime = 300 * time.Millisecond

// senders returns the Ethernet addresses of the siblings, and has the kernel find
// out those that it doesn't know. What was known once holds until there is
// another one: a neighbor that is silent for a while is the same when it speaks.
func (n *network) senders(hops map[string][2]hop) ([][6]byte, error) {
	wanted := map[hop]bool{}
	for _, pair := range hops {
		for _, h := range pair {
			if h.device != 0 && !h.tunnel {
				wanted[h] = true
			}
		}
	}
	n.wanted, n.silent = wanted, false
	maps.DeleteFunc(n.known, func(h hop, _ [6]byte) bool { return !wanted[h] })
	maps.DeleteFunc(n.asked, func(h hop, _ bool) bool { return !wanted[h] })
	deadline := time.Now().Add(askTime)
	for {
		if err := n.neighbors(wanted); err != nil {
			return nil, err
		}
		waiting := false
		for h := range wanted {
			if _, ok := n.known[h]; ok {
				continue
			}
			waiting = waiting || !n.asked[h]
			// Asking is all that can be done; who has no power does not answer.
			_ = n.handle.NeighSet(&netlink.Neigh{LinkIndex: int(h.device), IP: h.addr.AsSlice(), Flags: unix.NTF_USE})
		}
		if !waiting || time.Now().After(deadline) {
			break
		}
		time.Sleep(askTime / 100)
	}
	var all [][6]byte
	for h := range wanted {
		n.asked[h] = true
		m, ok := n.known[h]
		if ok {
			all = append(all, m)
		}
		n.silent = n.silent || !ok
	}
	slices.SortFunc(all, func(a, b [6]byte) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(all), nil
}

// neighbors notes what the kernel knows of the wanted ones.
func (n *network) neighbors(wanted map[hop]bool) error {
	all, err := n.handle.NeighList(0, unix.AF_UNSPEC)
	if err != nil {
		return fmt.Errorf("list neighbors: %w", err)
	}
	for _, e := range all {
		h := hop{addr: addrOf(e.IP), device: uint32(e.LinkIndex)}
		if wanted[h] && len(e.HardwareAddr) == 6 && e.State&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) == 0 {
			n.known[h] = [6]byte(e.HardwareAddr)
		}
	}
	return nil
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
