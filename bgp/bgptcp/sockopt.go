package bgptcp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bgp"
)

// leastUserTimeout is how long the kernel keeps trying at least to get octets
// acknowledged, as long as the engine does (RFC 9687 §3.3). The hold timer is
// usually faster; without one (hold time 0) this is what finds a dead peer.
const leastUserTimeout = 8 * time.Minute

// setSession sets what a session's socket has besides its key. TCP_NODELAY is
// package net's default.
func setSession(fd int, v4 bool, c *bgp.Config) error {
	if err := setTTL(fd, v4, c.TTL()); err != nil {
		return err
	}
	level, opt := unix.IPPROTO_IP, unix.IP_MINTTL
	if !v4 {
		level, opt = unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT
	}
	if err := unix.SetsockoptInt(fd, level, opt, c.MinTTL()); err != nil {
		return fmt.Errorf("set least time to live %d: %w", c.MinTTL(), err)
	}
	timeout := leastUserTimeout
	if c.HoldTime != nil {
		timeout = max(timeout, 2**c.HoldTime)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds())); err != nil {
		return fmt.Errorf("set user timeout: %w", err)
	}
	return nil
}

// setTTL sets the time to live, or hop limit, of what is sent; 0 is the kernel's
// default.
func setTTL(fd int, v4 bool, ttl int) error {
	level, opt := unix.IPPROTO_IP, unix.IP_TTL
	if !v4 {
		level, opt = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
	}
	if ttl == 0 {
		ttl = -1
	}
	if err := unix.SetsockoptInt(fd, level, opt, ttl); err != nil {
		return fmt.Errorf("set time to live: %w", err)
	}
	return nil
}

// bindDevice has all of a socket's packets go and come by a device, or by those of the
// VRF that the device is.
func bindDevice(fd int, device string) error {
	if device == "" {
		return nil
	}
	err := unix.BindToDevice(fd, device)
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("this host has no network device %q: %w", device, err)
	}
	if err != nil {
		return fmt.Errorf("bind to network device %q: %w", device, err)
	}
	return nil
}

// on says on which device, for messages.
func on(device string) string {
	if device == "" {
		return ""
	}
	return fmt.Sprintf(" on device %q", device)
}

func sinceAck(fd int) (time.Duration, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, fmt.Errorf("read tcp_info: %w", err)
	}
	return time.Duration(info.Last_ack_recv) * time.Millisecond, nil
}

// shut has the kernel drop whatever comes for a socket: a peer with a password could
// otherwise connect without it between listen(2) and the setting of the keys.
func shut(fd int) error {
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop}); err != nil {
		return fmt.Errorf("attach socket filter: %w", err)
	}
	return nil
}

// unshut ends what shut began. A SYN that was dropped meanwhile comes again after a
// second.
func unshut(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
		return fmt.Errorf("detach socket filter: %w", err)
	}
	return nil
}
