package bfdudp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bfd"
)

const (
	ttl = 255
	// networkControl is DSCP CS6.
	networkControl = 0xc0
	sourcePorts    = 1<<16 - bfd.FirstSourcePort
)

// endpoint sends the packets of one session.
type endpoint struct {
	t      *Transport
	fd     int
	path   bfd.Path
	local  netip.Addr
	port   uint16 // source port
	device int    // index of path.Interface, else 0
	bound  bool   // counted in the Transport's bound
	hop    hop    // for echoes
}

// Open is bfd.Transport's.
func (t *Transport) Open(p bfd.Path) (bfd.Endpoint, error) {
	e := &endpoint{t: t, path: p, fd: -1}
	if err := t.do(e.open); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *endpoint) open() (err error) {
	p := e.path
	family := unix.AF_INET
	if p.Remote.Is6() {
		family = unix.AF_INET6
	}
	if e.fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	if p.Interface != "" {
		// One question to the kernel; package net would have all interfaces listed.
		ifr, err := unix.NewIfreq(p.Interface)
		if err == nil {
			err = unix.IoctlIfreq(e.fd, unix.SIOCGIFINDEX, ifr)
		}
		if err != nil {
			return fmt.Errorf("interface %s: %w", p.Interface, err)
		}
		e.device = int(ifr.Uint32())
	}
	options := []struct{ level, name, value int }{
		{unix.IPPROTO_IP, unix.IP_TTL, ttl}, {unix.IPPROTO_IP, unix.IP_TOS, networkControl},
	}
	if family == unix.AF_INET6 {
		options = []struct{ level, name, value int }{
			{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl}, {unix.IPPROTO_IPV6, unix.IPV6_TCLASS, networkControl},
			{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
		}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(e.fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if p.Interface != "" {
		if err := unix.BindToDevice(e.fd, p.Interface); err != nil {
			return fmt.Errorf("bind to interface %s: %w", p.Interface, err)
		}
	}
	if p.Bound {
		if err := e.t.bind(p.Interface, e.device); err != nil {
			return err
		}
		e.bound = true
	}
	if err := e.bind(); err != nil {
		return err
	}
	// Nothing is read here: the peer sends to the well-known port.
	unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0)
	port := bfd.PortSingleHop
	if p.Multihop {
		port = bfd.PortMultihop
	}
	if err := unix.Connect(e.fd, sockaddr(p.Remote, port, e.device)); err != nil {
		return fmt.Errorf("no way to %v: %w", p.Remote, err)
	}
	name, err := unix.Getsockname(e.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		e.local = netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		e.local = netip.AddrFrom16(a.Addr)
	}
	return nil
}

// bind takes a source port that no other session has (RFC 5881 §4).
func (e *endpoint) bind() error {
	local := e.path.Local
	if !local.IsValid() {
		local = netip.IPv4Unspecified()
		if e.path.Remote.Is6() {
			local = netip.IPv6Unspecified()
		}
	}
	first := rand.IntN(sourcePorts)
	for i := range sourcePorts {
		port := uint16(bfd.FirstSourcePort + (first+i)%sourcePorts)
		if e.t.ports[port] {
			continue
		}
		err := unix.Bind(e.fd, sockaddr(local, int(port), e.device))
		if errors.Is(err, unix.EADDRINUSE) {
			continue
		}
		if err != nil {
			return fmt.Errorf("bind to %v: %w", local, err)
		}
		e.port, e.t.ports[port] = port, true
		return nil
	}
	return errors.New("every source port for bfd is in use")
}

func sockaddr(a netip.Addr, port, device int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: a.As4()}
	}
	s := &unix.SockaddrInet6{Port: port, Addr: a.As16()}
	if a.IsLinkLocalUnicast() {
		s.ZoneId = uint32(device)
	}
	return s
}

// Send is bfd.Endpoint's.
func (e *endpoint) Send(b []byte) error {
	_, err := unix.Write(e.fd, b)
	if errors.Is(err, unix.ECONNREFUSED) {
		// That is the answer to an earlier packet; this one was not sent.
		if _, again := unix.Write(e.fd, b); again != nil {
			return again
		}
	}
	return err
}

// Interface is bfd.Endpoint's.
func (e *endpoint) Interface() int { return e.device }

// Close gives socket and source port up.
func (e *endpoint) Close() error {
	if e.fd < 0 {
		return nil
	}
	if e.bound {
		e.t.unbind(e.device)
		e.bound = false
	}
	delete(e.t.ports, e.port)
	err := unix.Close(e.fd)
	e.fd = -1
	return err
}
