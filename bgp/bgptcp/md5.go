package bgptcp

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ErrNoMD5 says that the kernel was built without TCP MD5 signatures.
var ErrNoMD5 = errors.New("the kernel has no TCP MD5 signatures (CONFIG_TCP_MD5SIG)")

// setMD5 sets the password for segments to and from a prefix's hosts; an empty one
// removes it. A longer prefix's password goes before a shorter one's. The kernel
// has no passwords by zone: its TCP_MD5SIG_FLAG_IFINDEX is for VRF devices.
func setMD5(fd int, peers netip.Prefix, password string) error {
	sig := unix.TCPMD5Sig{Addr: storage(peers.Addr()), Keylen: uint16(len(password))}
	if len(password) > len(sig.Key) {
		return fmt.Errorf("password of %d octets: the kernel takes %d", len(password), len(sig.Key))
	}
	copy(sig.Key[:], password)
	opt := unix.TCP_MD5SIG
	if !peers.IsSingleIP() {
		opt = unix.TCP_MD5SIG_EXT
		sig.Flags, sig.Prefixlen = unix.TCP_MD5SIG_FLAG_PREFIX, uint8(peers.Bits())
	}
	err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, opt, &sig)
	switch {
	case err == nil, password == "" && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOPROTOOPT)):
		return nil // nothing to remove is fine
	case errors.Is(err, unix.ENOPROTOOPT):
		return ErrNoMD5
	}
	return fmt.Errorf("set TCP MD5 password: %w", err)
}

// storage is an address as a sockaddr_in or sockaddr_in6 has it: port, for IPv6
// flow label, address.
func storage(a netip.Addr) unix.SockaddrStorage {
	var s unix.SockaddrStorage
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		s.Family = unix.AF_INET
		copy(s.Data[2:], b[:])
	} else {
		b := a.As16()
		s.Family = unix.AF_INET6
		copy(s.Data[6:], b[:])
	}
	return s
}

// fromStorage is storage's inverse.
func fromStorage(s *unix.SockaddrStorage) netip.Addr {
	switch s.Family {
	case unix.AF_INET:
		return netip.AddrFrom4([4]byte(s.Data[2:6]))
	case unix.AF_INET6:
		return netip.AddrFrom16([16]byte(s.Data[6:22])).Unmap()
	}
	return netip.Addr{}
}

// host is the prefix of one address, without its zone.
func host(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}
