package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// watch hears what changes on the network, so that looking at it costs nothing
// while nothing does. It has no goroutine: what it heard waits in its socket.
type watch struct {
	socket *nl.NetlinkSocket
	buffer []byte
}

// watchGroups are the kernel's lists of changes that concern a view.
var watchGroups = []uint{
	unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
}

func (w *watch) open(ns int) error {
	at := netns.None()
	if ns != 0 {
		at = netns.NsHandle(ns)
	}
	s, err := nl.SubscribeAt(at, netns.None(), unix.NETLINK_ROUTE, watchGroups...)
	if err != nil {
		return fmt.Errorf("listen to rtnetlink: %w", err)
	}
	w.socket, w.buffer = s, make([]byte, 64<<10)
	return nil
}

func (w *watch) close() {
	if w.socket != nil {
		w.socket.Close()
		w.socket = nil
	}
}

// moved reports whether anything was heard that concerns a view. What was lost
// for lack of room does.
func (w *watch) moved(concerns func(kind uint16, data []byte) bool) bool {
	moved := false
	for range 1 << 16 { // what comes meanwhile is for the next time
		n, _, err := unix.Recvfrom(w.socket.GetFd(), w.buffer, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return moved
		case errors.Is(err, unix.EINTR):
		case err != nil:
			moved = true
			if !errors.Is(err, unix.ENOBUFS) {
				return moved
			}
		}
		for b := w.buffer[:max(n, 0)]; !moved && len(b) >= unix.SizeofNlMsghdr; {
			length := int(binary.NativeEndian.Uint32(b))
			if length < unix.SizeofNlMsghdr || length > len(b) {
				break
			}
			moved = concerns(binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:length])
			b = b[min(len(b), (length+3)&^3):]
		}
	}
	return moved
}

// lookAgain is how often the network is looked at though nothing was heard.
const lookAgain = 30 * time.Second

// askAgain is the same while a sibling's Ethernet address is not known, or a tunnel
// could not be made.
const askAgain = time.Second

// moved reports whether the view may be another one by now.
func (n *network) moved() bool {
	if since := time.Since(n.looked); n.watch.socket == nil || since > lookAgain || (n.silent || n.failed) && since > askAgain {
		return true
	}
	return n.watch.moved(func(kind uint16, data []byte) bool {
		if kind != unix.RTM_NEWNEIGH && kind != unix.RTM_DELNEIGH {
			return true
		}
		e, err := netlink.NeighDeserialize(data)
		if err != nil {
			return true
		}
		if e.LinkIndex == n.ends[0] || e.LinkIndex == n.ends[1] {
			return true
		}
		// Neighbors are confirmed and doubted all the time.
		h := hop{addr: addrOf(e.IP), device: uint32(e.LinkIndex)}
		m, known := n.known[h]
		return n.wanted[h] && len(e.HardwareAddr) == 6 && !(known && bytes.Equal(m[:], e.HardwareAddr))
	})
}
