package ebpf

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// watch hears of changes of devices, addresses, routes and neighbors.
type watch struct{ fd int }

func newWatch(netns int) (*watch, error) {
	w := &watch{-1}
	err := inside(netns, func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		w.fd = fd
		return unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK |
			unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE | unix.RTMGRP_NEIGH})
	})
	if err != nil {
		w.close()
		return nil, fmt.Errorf("listen to rtnetlink: %w", err)
	}
	return w, nil
}

// changed reports whether there was a change since it was asked last. It doesn't
// wait. What the kernel had no room for counts as one.
func (w *watch) changed() bool {
	var buffer [8192]byte
	changed := false
	for {
		_, _, err := unix.Recvfrom(w.fd, buffer[:], 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil && !errors.Is(err, unix.ENOBUFS):
			return changed
		default:
			changed = true
		}
	}
}

func (w *watch) close() {
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
}
