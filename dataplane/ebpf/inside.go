package ebpf

import (
	"fmt"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// inside runs f on a thread in a network namespace; zero is the program's own. A
// thread that can't go back ends with its goroutine.
func inside(fd int, f func() error) error {
	if fd == 0 {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		origin, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("open own namespace: %w", err)
			return
		}
		defer origin.Close()
		if err = netns.Set(netns.NsHandle(fd)); err == nil {
			err = f()
		} else {
			err = fmt.Errorf("enter namespace: %w", err)
		}
		if netns.Set(origin) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// newHandle returns an rtnetlink handle of a namespace.
func newHandle(fd int) (*netlink.Handle, error) {
	var h *netlink.Handle
	err := inside(fd, func() (err error) {
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	return h, nil
}
