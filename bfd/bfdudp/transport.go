package bfdudp

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// Transport is a bfd.Transport over the kernel's sockets.
type Transport struct {
	ns     *netns.NS    // where sockets are opened
	thread atomic.Int64 // that of Begin, if it is in ns; else 0
	rx     []*receiver
	first  int // the receiver that is asked first next time
	polls  []unix.PollFd
	clock  clock
	ports  map[uint16]bool // source ports in use
	bound  map[int]*bound  // by index of the device
	echo   *echoes         // nil: no echo was sent yet

	mu     sync.Mutex // for Wake, which any goroutine may call
	event  int        // eventfd
	closed bool
}

// Open opens the sockets of single and multiple hops, of IPv4 and, if the kernel has it,
// of IPv6, in the calling thread's network namespace. A port that another BFD daemon
// holds is an error.
func Open() (*Transport, error) {
	t := &Transport{event: -1, ports: make(map[uint16]bool), bound: make(map[int]*bound)}
	err := t.open()
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Transport) open() error {
	var err error
	if t.ns, err = netns.OfThread("bfd"); err != nil {
		return err
	}
	if t.event, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return fmt.Errorf("make eventfd: %w", err)
	}
	t.polls = append(t.polls, unix.PollFd{Fd: int32(t.event), Events: unix.POLLIN})
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		for _, kind := range []bfd.Kind{bfd.SingleHop, bfd.Multihop} {
			r := newReceiver(-1, kind, family == unix.AF_INET6)
			fd, err := listen(family, kind, r.port(), "")
			if family == unix.AF_INET6 && errors.Is(err, unix.EAFNOSUPPORT) {
				continue
			}
			if err != nil {
				return fmt.Errorf("listen for bfd on udp port %d: %w", r.port(), err)
			}
			r.fd = fd
			t.add(r)
		}
	}
	return nil
}

func (t *Transport) add(r *receiver) {
	t.rx = append(t.rx, r)
	t.polls = append(t.polls, unix.PollFd{Fd: int32(r.fd), Events: unix.POLLIN})
}

// Wait is bfd.Transport's.
func (t *Transport) Wait(until time.Time, packets bool) error {
	polls := t.polls[:1]
	if packets {
		polls = t.polls
	}
	for {
		var timeout *unix.Timespec
		if !until.IsZero() {
			left := unix.NsecToTimespec(max(0, time.Until(until).Nanoseconds()))
			timeout = &left
		}
		n, err := unix.Ppoll(polls, timeout, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("ppoll", err)
		case n == 0 && !until.IsZero() && time.Now().Before(until):
			continue
		}
		if polls[0].Revents != 0 {
			var count [8]byte
			unix.Read(t.event, count[:]) // it only counts: EAGAIN is as well
		}
		return nil
	}
}

// Wake is bfd.Transport's.
func (t *Transport) Wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		unix.Write(t.event, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // EAGAIN: woken long since
	}
}

// Receive is bfd.Transport's. Sockets take turns in being asked first, so that none is
// starved by a flood on another.
func (t *Transport) Receive(dst []bfd.Datagram) (n int, heard time.Time, err error) {
	before := time.Now()
	for i := range t.rx {
		r := t.rx[(t.first+i)%len(t.rx)]
		got, err := r.receive(dst[n:], &t.clock)
		if err != nil {
			return n, heard, err
		}
		n += got
	}
	t.first = (t.first + 1) % len(t.rx)
	if n < len(dst) {
		t.clock.read(before)
	}
	for i, r := range t.rx {
		if i == 0 || r.heard.Before(heard) {
			heard = r.heard
		}
	}
	return n, heard, nil
}

// Close closes all sockets but those of Endpoints.
func (t *Transport) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	for _, r := range t.rx {
		unix.Close(r.fd)
	}
	if t.event >= 0 {
		unix.Close(t.event)
	}
	t.echo.close()
	if t.ns != nil {
		return t.ns.Close()
	}
	return nil
}
