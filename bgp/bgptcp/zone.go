package bgptcp

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// Package net keeps the interfaces' names and indices for a minute, and those of
// one network namespace for the whole program. A link that went and came back
// has another index under its old name, so zones are looked up here, each time.

// interfaceName names an interface of the socket's network namespace.
func interfaceName(fd int, index uint32) (string, error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	ifr.SetUint32(index)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFNAME, ifr); err != nil {
		return "", fmt.Errorf("name interface %d: %w", index, err)
	}
	return ifr.Name(), nil
}

// dialable replaces the zone's name by its index in the calling thread's network
// namespace.
func dialable(a netip.Addr) (netip.Addr, error) {
	if a.Zone() == "" {
		return a, nil
	}
	ifr, err := unix.NewIfreq(a.Zone())
	if err != nil {
		return a, fmt.Errorf("interface %q: %w", a.Zone(), err)
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return a, fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return a, fmt.Errorf("interface %q: %w", a.Zone(), err)
	}
	return a.WithZone(strconv.FormatUint(uint64(ifr.Uint32()), 10)), nil
}

// ends reads a connected socket's two addresses, mapped ones unmapped.
func ends(fd int) (local, remote netip.AddrPort, err error) {
	l, err := unix.Getsockname(fd)
	if err != nil {
		return local, remote, fmt.Errorf("read local address: %w", err)
	}
	r, err := unix.Getpeername(fd)
	if err != nil {
		return local, remote, fmt.Errorf("read remote address: %w", err)
	}
	if local, err = addrPort(fd, l); err != nil {
		return local, remote, err
	}
	remote, err = addrPort(fd, r)
	return local, remote, err
}

func addrPort(fd int, sa unix.Sockaddr) (netip.AddrPort, error) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		a := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			name, err := interfaceName(fd, sa.ZoneId)
			if err != nil {
				return netip.AddrPort{}, err
			}
			a = a.WithZone(name)
		}
		return netip.AddrPortFrom(a, uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("address family of %T", sa)
}

func tcpAddr(a netip.AddrPort) *net.TCPAddr { return net.TCPAddrFromAddrPort(a) }
