package bfdudp

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bfd"
)

// bound are the sockets of the well-known ports that hear of one device alone, or of
// those of the VRF that it is: the kernel keeps what comes to a VRF from sockets that
// are bound to nothing.
type bound struct {
	rx    []*receiver
	users int // endpoints
}

// bind opens the sockets that hear of a device, unless they are open.
func (t *Transport) bind(device string, index int) error {
	if b := t.bound[index]; b != nil {
		b.users++
		return nil
	}
	// Two sockets may have a port, if one of them is bound to a device, only if both say
	// so, when the second one comes. Said for longer, it would let other daemons in.
	plain := slices.DeleteFunc(slices.Clone(t.rx), func(r *receiver) bool { return r.kind == bfd.EchoPacket })
	share := func(rx []*receiver, on int) (err error) {
		for _, r := range rx {
			err = errors.Join(err, os.NewSyscallError("setsockopt SO_REUSEADDR", unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, on)))
		}
		return err
	}
	b := &bound{users: 1}
	err := share(plain, 1)
	for _, r := range plain {
		if err != nil {
			break
		}
		if r.device != 0 {
			continue
		}
		var fd int
		if fd, err = listen(r.family(), r.kind, r.port(), device); err == nil {
			own := newReceiver(fd, r.kind, r.v6)
			own.device, own.heard = index, time.Now()
			b.rx = append(b.rx, own)
		}
	}
	if err = errors.Join(err, share(plain, 0), share(b.rx, 0)); err != nil {
		for _, r := range b.rx {
			unix.Close(r.fd)
		}
		return fmt.Errorf("listen for bfd on device %s: %w", device, err)
	}
	for _, r := range b.rx {
		t.add(r)
	}
	t.bound[index] = b
	return nil
}

// unbind closes the sockets that bind opened when no endpoint needs them any more.
func (t *Transport) unbind(index int) {
	b := t.bound[index]
	if b.users--; b.users > 0 {
		return
	}
	delete(t.bound, index)
	for _, r := range b.rx {
		i := slices.Index(t.rx, r)
		t.rx, t.polls = slices.Delete(t.rx, i, i+1), slices.Delete(t.polls, i+1, i+2) // the first is of Wake
		unix.Close(r.fd)
	}
	t.first = 0
}
