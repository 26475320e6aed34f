package bfdudp

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bfd"
)

const (
	batch   = 64  // datagrams of one recvmmsg
	dataLen = 256 // longer ones are cut off: a control packet has 255 octets at most
	ctrlLen = 128
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	len uint32
	_   [4]byte
}

// receiver is a socket with the buffers of recvmmsg.
type receiver struct {
	fd     int
	kind   bfd.Kind
	v6     bool
	device int       // index of the one that the socket is bound to, else 0
	heard  time.Time // everything that came before has been returned
	last   time.Time // when the last datagram came

	msgs  [batch]mmsghdr
	iovs  [batch]unix.Iovec
	names [batch]unix.RawSockaddrInet6 // longer than IPv4's, and than sockaddr_ll
	ctrl  [batch][ctrlLen]byte
	data  [batch][dataLen]byte
}

func newReceiver(fd int, kind bfd.Kind, v6 bool) *receiver {
	r := &receiver{fd: fd, kind: kind, v6: v6}
	for i := range r.msgs {
		r.iovs[i].Base = &r.data[i][0]
		r.iovs[i].SetLen(dataLen)
		m := &r.msgs[i].Msghdr
		m.Name, m.Iov, m.Control = (*byte)(unsafe.Pointer(&r.names[i])), &r.iovs[i], &r.ctrl[i][0]
		m.SetIovlen(1)
	}
	return r
}

func (r *receiver) family() int {
	if r.v6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// port is the well-known one of the receiver's kind.
func (r *receiver) port() int {
	if r.kind == bfd.Multihop {
		return bfd.PortMultihop
	}
	return bfd.PortSingleHop
}

// receive takes up to len(dst) datagrams, and batch at most.
func (r *receiver) receive(dst []bfd.Datagram, c *clock) (int, error) {
	want := min(len(dst), batch)
	if want == 0 {
		return 0, nil
	}
	for i := range r.msgs[:want] {
		r.msgs[i].Namelen = unix.SizeofSockaddrInet6
		r.msgs[i].SetControllen(ctrlLen)
	}
	before := time.Now()
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.msgs[0])), uintptr(want), unix.MSG_DONTWAIT, 0, 0)
	switch {
	case errno == unix.EAGAIN:
		r.heard = before
		return 0, nil
	case errno == unix.EINTR, errno == unix.ENETDOWN, errno == unix.ENOBUFS, errno == unix.ENOMEM:
		return 0, nil // it passes
	case errno != 0:
		return 0, os.NewSyscallError("recvmmsg", errno)
	}
	now := time.Now()
	kept := 0
	for i := range int(n) {
		d := &dst[kept]
		*d = bfd.Datagram{Kind: r.kind, At: now, Data: r.data[i][:min(r.msgs[i].len, dataLen)]}
		if r.kind == bfd.EchoPacket {
			if !r.echo(i, d) {
				continue
			}
		} else if r.v6 {
			d.Source = netip.AddrFrom16(r.names[i].Addr).Unmap()
		} else {
			d.Source = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&r.names[i])).Addr)
		}
		r.control(r.ctrl[i][:r.msgs[i].Controllen], d, now, c)
		if r.device != 0 { // the kernel may name a device in the VRF
			d.Interface = r.device
		}
		// time.Now reads two clocks. If something came between, the datagrams of that time
		// look later than they were, but none of the next looks earlier than they.
		if d.At.Before(r.last) {
			d.At = r.last
		}
		r.last = d.At
		kept++
	}
	if int(n) < want {
		r.heard = before
	} else if kept > 0 {
		r.heard = dst[kept-1].At
	}
	return kept, nil
}

// control reads the control messages. They are the kernel's own, and aligned.
func (r *receiver) control(b []byte, d *bfd.Datagram, now time.Time, c *clock) {
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		length := int(h.Len)
		if length < unix.SizeofCmsghdr || length > len(b) {
			return
		}
		data := b[unix.CmsgLen(0):length]
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_TIMESTAMPNS && len(data) >= 16:
			ts := (*unix.Timespec)(unsafe.Pointer(&data[0]))
			d.At = c.at(now, ts.Nano())
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TTL && len(data) >= 4:
			d.TTL = uint8(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0]))
			d.Interface, d.Destination = int(info.Ifindex), netip.AddrFrom4(info.Addr)
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			d.TTL = uint8(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
			d.Interface, d.Destination = int(info.Ifindex), netip.AddrFrom16(info.Addr)
		}
		next := unix.CmsgSpace(length - unix.CmsgLen(0))
		if next > len(b) {
			return
		}
		b = b[next:]
	}
}

// listen opens the socket of a port, bound to a device if one is named.
func listen(family int, kind bfd.Kind, port int, device string) (fd int, err error) {
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	own := fd
	defer func() {
		if err != nil {
			unix.Close(own)
		}
	}()
	level, options := unix.IPPROTO_IP, []int{unix.IP_PKTINFO, unix.IP_RECVTTL}
	var addr unix.Sockaddr = &unix.SockaddrInet4{Port: port}
	if family == unix.AF_INET6 {
		level, options = unix.IPPROTO_IPV6, []int{unix.IPV6_V6ONLY, unix.IPV6_RECVPKTINFO, unix.IPV6_RECVHOPLIMIT}
		addr = &unix.SockaddrInet6{Port: port}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, level, o, 1); err != nil {
			return -1, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return -1, os.NewSyscallError("setsockopt SO_TIMESTAMPNS", err)
	}
	if kind == bfd.SingleHop {
		if err := attach(fd, nearOnly(family)); err != nil {
			return -1, err
		}
	}
	enlarge(fd)
	if device != "" {
		if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.BindToDevice(fd, device)); err != nil {
			return -1, os.NewSyscallError("setsockopt SO_BINDTODEVICE", err)
		}
	}
	if err := unix.Bind(fd, addr); err != nil {
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// room is the receive buffer that is asked for: some 5,000 datagrams, a quarter of a
// second of a thousand sessions at 50 ms. Less is fine where no more is allowed.
const room = 4 << 20

func enlarge(fd int) {
	if errors.Is(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room), unix.EPERM) {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room)
	}
}
