package nft

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"runtime"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/internal/linux/sysctl"
)

// The tunnels to siblings on other segments are VXLAN (RFC 7348), one device for
// each address family, with a number and a port that nobody else uses.
const (
	tunnelVNI  = 0x706872
	tunnelPort = 7475
)

var tunnelNames = [2]string{"pharos4", "pharos6"}

// headers is how much a tunnel adds to a packet: Ethernet, VXLAN, UDP and IP.
var headers = [2]int{14 + 8 + 8 + 20, 14 + 8 + 8 + 40}

// tunnel is what a tunnel's device has to be.
type tunnel struct {
	own   netip.Addr
	mtu   int
	peers []peer
}

// peer is a sibling behind a tunnel, and the address by which it is a neighbor of
// the device.
type peer struct{ addr, inner netip.Addr }

// TunnelError says that siblings on other segments are not reached: packets that
// they own are dropped at this node.
type TunnelError struct {
	Device   string
	Siblings int // behind it
	Err      error
}

func (e *TunnelError) Error() string {
	return fmt.Sprintf("%d nodes on other segments are not reached: %v", e.Siblings, e.Err)
}

func (e *TunnelError) Unwrap() error { return e.Err }

// tunnelNet is where the IPv4 neighbors of the tunnel's device are, for this node
// alone: a route has to lead there, which must not be that to the siblings'
// own addresses.
var tunnelNet = netip.MustParsePrefix("169.254.112.0/20")

// hardware returns the Ethernet address that a node's end of a tunnel has: it
// follows from the node's address, so nobody has to be asked.
func hardware(a netip.Addr) net.HardwareAddr {
	h := fnv.New64a()
	h.Write(a.AsSlice())
	sum := h.Sum(nil)
	return net.HardwareAddr{0x02, 0x70, sum[4], sum[5], sum[6], sum[7]}
}

// inner returns the address by which a node's end of a tunnel is a neighbor, given
// the node's number.
func inner(a netip.Addr, number uint32) netip.Addr {
	if a.Is4() {
		b := tunnelNet.Addr().As4()
		number %= numbers
		return netip.AddrFrom4([4]byte{b[0], b[1], b[2] | byte(number>>8), byte(number)})
	}
	m := hardware(a) // as the kernel makes a link-local address of it (RFC 4291, appendix A)
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// ensure brings the device of a tunnel to what it has to be, or removes it where
// there are no peers. It reports whether it did anything.
func (n *network) ensure(i int, t tunnel) (link netlink.Link, changed bool, err error) {
	link, err = n.handle.LinkByName(tunnelNames[i])
	if err != nil && !errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, false, fmt.Errorf("find %s: %w", tunnelNames[i], err)
	}
	if err == nil {
		v, ours := link.(*netlink.Vxlan)
		switch ours = ours && v.VxlanId == tunnelVNI; {
		case !ours && len(t.peers) == 0:
			return nil, false, nil
		case !ours:
			return nil, false, fmt.Errorf("device %s is somebody else's", tunnelNames[i])
		}
		if len(t.peers) > 0 && v.Port == tunnelPort && addrOf(v.SrcAddr) == t.own && bytes.Equal(v.HardwareAddr, hardware(t.own)) &&
			v.MTU == t.mtu && v.Flags&net.FlagUp != 0 {
			changed, err = n.peers(link, i, t)
			return link, changed, err
		}
		if err := n.handle.LinkDel(link); err != nil {
			return nil, false, fmt.Errorf("delete %s: %w", tunnelNames[i], err)
		}
		changed = true
	}
	if len(t.peers) == 0 {
		return nil, changed, nil
	}
	link = &netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: tunnelNames[i], MTU: t.mtu, HardwareAddr: hardware(t.own)},
		VxlanId:   tunnelVNI, SrcAddr: t.own.AsSlice(), Port: tunnelPort, UDPCSum: true, TOS: 1, // as the inner header's
	}
	if err := n.handle.LinkAdd(link); err != nil {
		return nil, true, fmt.Errorf("make %s (VXLAN): %w", tunnelNames[i], err)
	}
	if link, err = n.setUp(i, t); err != nil {
		err = errors.Join(err, n.handle.LinkDel(&netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: tunnelNames[i]}}))
	}
	return link, true, err
}

// setUp completes a device that was made.
func (n *network) setUp(i int, t tunnel) (netlink.Link, error) {
	// What comes out of it comes from clients, who are reached elsewhere.
	if err := n.set("net/ipv4/conf/"+tunnelNames[i]+"/rp_filter", "0"); err != nil {
		return nil, err
	}
	link, err := n.handle.LinkByName(tunnelNames[i])
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", tunnelNames[i], err)
	}
	if err := errors.Join(n.handle.LinkSetARPOff(link), n.handle.LinkSetUp(link)); err != nil {
		return nil, fmt.Errorf("set %s up: %w", tunnelNames[i], err)
	}
	_, err = n.peers(link, i, t)
	return link, err
}

// removeTunnels deletes the devices.
func (n *network) removeTunnels() error {
	if err := n.open(); err != nil {
		return err
	}
	for i := range n.made {
		if _, _, err := n.ensure(i, tunnel{}); err != nil {
			return err
		}
		n.made[i] = tunnel{}
	}
	return nil
}

// peers brings the tunnel's neighbors, and where their frames go, to what they
// have to be.
func (n *network) peers(link netlink.Link, i int, t tunnel) (changed bool, err error) {
	index := link.Attrs().Index
	if i == 0 {
		if changed, err = n.reach(index); err != nil {
			return changed, err
		}
	}
	for _, family := range []int{[2]int{unix.AF_INET, unix.AF_INET6}[i], unix.AF_BRIDGE} {
		is, err := n.handle.NeighListExecute(netlink.Ndmsg{Family: uint8(family), Index: uint32(index)})
		if err != nil {
			return changed, fmt.Errorf("list neighbors of %s: %w", tunnelNames[i], err)
		}
		for _, p := range t.peers {
			want := netlink.Neigh{LinkIndex: index, Family: family, State: unix.NUD_PERMANENT, IP: p.inner.AsSlice(), HardwareAddr: hardware(p.addr)}
			if family == unix.AF_BRIDGE {
				want.IP, want.Flags = p.addr.AsSlice(), unix.NTF_SELF
			}
			same := func(e netlink.Neigh) bool {
				return e.State&unix.NUD_PERMANENT != 0 && e.IP.Equal(want.IP) && bytes.Equal(e.HardwareAddr, want.HardwareAddr)
			}
			if k := slices.IndexFunc(is, same); k >= 0 {
				is = slices.Delete(is, k, k+1)
				continue
			}
			changed = true
			if err := n.handle.NeighSet(&want); err != nil {
				return changed, fmt.Errorf("tell %s of %s: %w", tunnelNames[i], p.addr, err)
			}
		}
		for _, e := range is {
			if e.State&unix.NUD_PERMANENT == 0 || e.IP == nil {
				continue
			}
			changed = true
			e.Family = family
			if err := n.handle.NeighDel(&e); err != nil && !errors.Is(err, unix.ENOENT) {
				return changed, fmt.Errorf("have %s forget %s: %w", tunnelNames[i], e.IP, err)
			}
		}
	}
	return changed, nil
}

// reach makes the route to the neighbors of the tunnel's device.
func (n *network) reach(device int) (changed bool, err error) {
	to := &net.IPNet{IP: tunnelNet.Addr().AsSlice(), Mask: net.CIDRMask(tunnelNet.Bits(), 32)}
	route := &netlink.Route{LinkIndex: device, Dst: to, Scope: netlink.SCOPE_LINK}
	there, err := n.handle.RouteListFiltered(unix.AF_INET, route, netlink.RT_FILTER_OIF|netlink.RT_FILTER_DST)
	if err != nil {
		return false, fmt.Errorf("list routes: %w", err)
	}
	if len(there) > 0 {
		return false, nil
	}
	if err := n.handle.RouteReplace(route); err != nil {
		return true, fmt.Errorf("route to %s by %s: %w", tunnelNet, tunnelNames[0], err)
	}
	return true, nil
}

// set changes a kernel setting of the network namespace.
func (n *network) set(key, value string) error {
	return n.inside(func() error { return sysctl.Dir("").SetSysctl(key, value) })
}

// inside runs f on a thread in the network namespace.
func (n *network) inside(f func() error) error {
	if n.netns == 0 {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		err := netns.Set(netns.NsHandle(n.netns))
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}
