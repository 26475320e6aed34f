package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// kernel follows the routes to vips in a namespace by what rtnetlink tells. It reads
// in the caller's goroutine, so that nothing but the kernel's queue lies between an
// event and its time.
type kernel struct {
	fd    int
	buf   []byte
	table *fibTable
}

// rtnlgrpNexthop is RTNLGRP_NEXTHOP of linux/rtnetlink.h.
const rtnlgrpNexthop = 32

// follow subscribes; messages wait from then on.
func follow(ns *netns.NS) (*kernel, error) {
	k := &kernel{buf: make([]byte, 1<<18), table: newFIBTable()}
	err := ns.Do(func() (err error) {
		k.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(k.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 512<<20),
		unix.SetsockoptTimeval(k.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}),
		unix.Bind(k.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptInt(k.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.RTNLGRP_IPV4_ROUTE),
		unix.SetsockoptInt(k.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, rtnlgrpNexthop),
	)
	if err != nil {
		k.close()
		return nil, fmt.Errorf("listen to the kernel's routes: %w", err)
	}
	return k, nil
}

func (k *kernel) close() { unix.Close(k.fd) }

// until reads what the kernel tells until there is no complaint, and says when the
// message was read after which there was none.
func (k *kernel) until(ctx context.Context, complain func(*fibTable) error) (time.Time, error) {
	for {
		n, _, err := unix.Recvfrom(k.fd, k.buf, 0)
		now := time.Now()
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			if ctx.Err() != nil {
				return now, fmt.Errorf("the kernel's routes: %w: %w", context.Cause(ctx), complain(k.table))
			}
			continue
		case err != nil:
			return now, fmt.Errorf("listen to the kernel's routes: %w", err)
		}
		if err := eachMessage(k.buf[:n], k.table.apply); err != nil {
			return now, err
		}
		if complain(k.table) == nil {
			return now, nil
		}
	}
}

// verify compares what the kernel told with what it has.
func (k *kernel) verify(ns *netns.NS, complain func(*fibTable) error) error {
	t, err := dump(ns)
	if err != nil {
		return err
	}
	if err := complain(t); err != nil {
		return fmt.Errorf("a dump of the kernel's table does not say what its messages did: %w", err)
	}
	return nil
}

// dump reads next hops and routes.
func dump(ns *netns.NS) (*fibTable, error) {
	k, err := follow(ns)
	if err != nil {
		return nil, err
	}
	defer k.close()
	for _, kind := range []uint16{unix.RTM_GETNEXTHOP, unix.RTM_GETROUTE} {
		request := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg)
		binary.NativeEndian.PutUint32(request, uint32(len(request)))
		binary.NativeEndian.PutUint16(request[4:], kind)
		binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
		request[unix.SizeofNlMsghdr] = unix.AF_INET
		if kind == unix.RTM_GETNEXTHOP {
			request[unix.SizeofNlMsghdr] = unix.AF_UNSPEC
			request = request[:unix.SizeofNlMsghdr+unix.SizeofNhmsg]
			binary.NativeEndian.PutUint32(request, uint32(len(request)))
		}
		if err := unix.Sendto(k.fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, fmt.Errorf("dump the kernel's routes: %w", err)
		}
		for done := false; !done; {
			n, _, err := unix.Recvfrom(k.fd, k.buf, 0)
			if err != nil {
				return nil, fmt.Errorf("dump the kernel's routes: %w", err)
			}
			err = eachMessage(k.buf[:n], func(kind uint16, body []byte) {
				done = done || kind == unix.NLMSG_DONE
				k.table.apply(kind, body)
			})
			if err != nil {
				return nil, fmt.Errorf("dump the kernel's routes: %w", err)
			}
		}
	}
	return k.table, nil
}

// eachMessage walks over netlink messages; the error is one that the kernel tells.
func eachMessage(b []byte, f func(kind uint16, body []byte)) error {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return fmt.Errorf("a netlink message of %d octets in %d", size, len(b))
		}
		kind, body := binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:size]
		if kind == unix.NLMSG_ERROR && len(body) >= 4 {
			if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
				return os.NewSyscallError("rtnetlink", unix.Errno(-code))
			}
		}
		f(kind, body)
		b = b[min(len(b), (size+3)&^3):]
	}
	return nil
}
