package port

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/rib"
)

// Port is how an interface is to be.
type Port struct {
	Name     string         // in the configuration: Ethernet1/1
	Device   string         // in the kernel; empty: found by Name
	Addrs    []netip.Prefix // with their prefix lengths, host bits kept
	Shutdown bool
}

// Ports are the interfaces of the network namespace that Open was called in.
type Ports struct {
	link    *netlink.Handle
	events  *os.File
	changed chan struct{}
	given   map[address]bool // by Apply
}

type address struct {
	index  int
	prefix netip.Prefix
}

// Open subscribes to changes of interfaces; Run delivers them.
func Open() (*Ports, error) {
	link, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		link.Close()
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		link.Close()
		return nil, fmt.Errorf("subscribe to interfaces: %w", err)
	}
	return &Ports{
		link: link, events: os.NewFile(uintptr(fd), "rtnetlink"),
		changed: make(chan struct{}, 1), given: make(map[address]bool),
	}, nil
}

// Run watches interfaces until ctx ends, and closes what Open opened then.
func (p *Ports) Run(ctx context.Context) error {
	defer p.link.Close()
	stop := context.AfterFunc(ctx, func() { p.events.Close() })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		// What happened does not matter: whoever is told looks for himself. Lost
		// notifications (ENOBUFS) are a change too.
		if _, err := p.events.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch interfaces: %w", err)
		}
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
}

// Changed delivers a value after interfaces or addresses changed; several changes
// may come as one.
func (p *Ports) Changed() <-chan struct{} { return p.changed }

// Connected returns the networks of all interfaces that are up and have carrier.
// Those of IPv6 link-local addresses are among them, for next hops that are known by
// address and interface.
func (p *Ports) Connected() ([]rib.Connected, error) {
	links, err := retry(p.link.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	addrs, err := retry(func() ([]netlink.Addr, error) { return p.link.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	up := make(map[int]*netlink.LinkAttrs, len(links))
	for _, l := range links {
		a := l.Attrs()
		if a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_LOWER_UP != 0 {
			up[a.Index] = a
		}
	}
	var out []rib.Connected
	for _, a := range addrs {
		l := up[a.LinkIndex]
		prefix, ok := prefixOf(a.IPNet)
		if l == nil || !ok || prefix.Addr().Is4() && prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		if l.Flags&net.FlagLoopback != 0 {
			// Nobody else is on lo: the address itself is all there is.
			prefix = netip.PrefixFrom(prefix.Addr(), prefix.Addr().BitLen())
		}
		out = append(out, rib.Connected{Prefix: prefix, Index: a.LinkIndex, Device: l.Name})
	}
	return out, nil
}

// Apply makes the ports as they are configured. All errors are joined; each says
// what would help.
func (p *Ports) Apply(ports []Port) error {
	var errs []error
	found := make(map[int]netlink.Link, len(ports)) // by position in ports
	wanted := make(map[address]bool)
	for i, port := range ports {
		l, err := p.find(port)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found[i] = l
		for _, prefix := range port.Addrs {
			wanted[address{l.Attrs().Index, prefix}] = true
		}
	}
	// Old addresses go first: the kernel makes a second address of the same network
	// depend on the first, and would remove it with that one.
	for a := range p.given {
		if wanted[a] {
			continue
		}
		delete(p.given, a)
		if l, err := p.link.LinkByIndex(a.index); err == nil {
			if err := p.link.AddrDel(l, &netlink.Addr{IPNet: ipNet(a.prefix)}); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				errs = append(errs, fmt.Errorf("remove address %v from %s: %w", a.prefix, l.Attrs().Name, err))
			}
		}
	}
	for i, port := range ports {
		if l := found[i]; l != nil {
			errs = append(errs, p.set(port, l))
		}
	}
	return errors.Join(errs...)
}

// set gives one device its addresses and its administrative state.
func (p *Ports) set(port Port, l netlink.Link) error {
	var errs []error
	has, err := retry(func() ([]netlink.Addr, error) { return p.link.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("interface %s: list addresses: %w", port.Name, err)
	}
	if up := l.Attrs().RawFlags&unix.IFF_UP != 0; up == port.Shutdown {
		change := p.link.LinkSetUp
		if port.Shutdown {
			change = p.link.LinkSetDown
		}
		if err := change(l); err != nil {
			errs = append(errs, fmt.Errorf("interface %s: set %s up or down: %w", port.Name, l.Attrs().Name, err))
		}
	}
	for _, prefix := range port.Addrs {
		if slices.ContainsFunc(has, func(a netlink.Addr) bool {
			p, ok := prefixOf(a.IPNet)
			return ok && p == prefix
		}) {
			continue
		}
		addr := &netlink.Addr{IPNet: ipNet(prefix)}
		if prefix.Addr().Is6() {
			// Usable at once: sessions and next hops do not wait for duplicate
			// address detection.
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := p.link.AddrAdd(l, addr); err != nil {
			errs = append(errs, fmt.Errorf("interface %s: add address %v to %s: %w", port.Name, prefix, l.Attrs().Name, err))
			continue
		}
		p.given[address{l.Attrs().Index, prefix}] = true
	}
	return errors.Join(errs...)
}

// Device returns the kernel's name of a port's device.
func (p *Ports) Device(port Port) (string, error) {
	l, err := p.find(port)
	if err != nil {
		return "", err
	}
	return l.Attrs().Name, nil
}

func (p *Ports) find(port Port) (netlink.Link, error) {
	name := DeviceName(port.Name)
	if port.Device != "" {
		name = port.Device
	}
	if l, err := p.link.LinkByName(name); err == nil {
		return l, nil
	}
	if port.Device == "" {
		links, err := retry(p.link.LinkList)
		if err != nil {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
		for _, l := range links {
			if l.Attrs().Alias == port.Name {
				return l, nil
			}
		}
	}
	return nil, fmt.Errorf("interface %s: there is no device %s: name one with --interface %s=DEVICE, or with ip link set DEVICE alias %s",
		port.Name, name, port.Name, port.Name)
}

// DeviceName is the conventional device of an interface.
func DeviceName(name string) string { return strings.ReplaceAll(name, "/", "-") }

// retry repeats a listing that changes interrupted.
func retry[T any](list func() ([]T, error)) ([]T, error) {
	for range 5 {
		out, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return out, err
		}
	}
	return list()
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), ok
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
