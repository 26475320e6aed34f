package fib

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// batchLen is how many octets of messages are sent at once; well below the
// socket's send buffer.
const batchLen = 16 << 10

// socket is an rtnetlink socket, of the network namespace it was opened in.
type socket struct {
	fd  int
	seq uint32
	buf []byte // what is received
	out []byte // what is sent
}

func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	timeout := unix.NsecToTimeval(int64(10 * time.Second))
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		// An error then carries the failed message's header alone, so that the
		// errors of a whole batch fit into the receive buffer.
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1),
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1),
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20), // cut to what the kernel allows
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set rtnetlink up: %w", err)
	}
	return &socket{fd: fd, buf: make([]byte, 256<<10)}, nil
}

func (s *socket) close() { unix.Close(s.fd) }

// request writes messages one after the other into a buffer.
type request struct {
	buf   []byte
	start int // of the last message
}

// begin starts a message with its fixed header.
func (r *request) begin(kind, flags uint16, header ...byte) {
	ne := binary.NativeEndian
	r.start = len(r.buf)
	r.buf = ne.AppendUint32(r.buf, 0) // the length: end
	r.buf = ne.AppendUint16(r.buf, kind)
	r.buf = ne.AppendUint16(r.buf, flags|unix.NLM_F_REQUEST)
	r.buf = ne.AppendUint64(r.buf, 0) // sequence number, port
	r.buf = append(r.buf, header...)
}

func (r *request) attr(kind uint16, value []byte) {
	r.attrHeader(kind, len(value))
	r.buf = append(r.buf, value...)
	r.pad()
}

func (r *request) attrHeader(kind uint16, length int) {
	r.buf = binary.NativeEndian.AppendUint16(r.buf, uint16(4+length))
	r.buf = binary.NativeEndian.AppendUint16(r.buf, kind)
}

func (r *request) pad() {
	for len(r.buf)&3 != 0 {
		r.buf = append(r.buf, 0)
	}
}

func (r *request) attr16(kind, value uint16) {
	r.attrHeader(kind, 2)
	r.buf = binary.NativeEndian.AppendUint16(r.buf, value)
	r.pad()
}

func (r *request) attr32(kind uint16, value uint32) {
	r.attrHeader(kind, 4)
	r.buf = binary.NativeEndian.AppendUint32(r.buf, value)
}

func (r *request) attrAddr(kind uint16, a netip.Addr) {
	if a.Is4() {
		b := a.As4()
		r.attr(kind, b[:])
		return
	}
	b := a.As16()
	r.attr(kind, b[:])
}

// nest begins an attribute that holds others; the result is for nested.
func (r *request) nest(kind uint16) (at int) {
	r.attrHeader(kind|unix.NLA_F_NESTED, 0)
	return len(r.buf)
}

func (r *request) nested(at int) {
	binary.NativeEndian.PutUint16(r.buf[at-4:], uint16(4+len(r.buf)-at))
}

// end finishes the message.
func (r *request) end(seq uint32) {
	ne := binary.NativeEndian
	ne.PutUint32(r.buf[r.start:], uint32(len(r.buf)-r.start))
	ne.PutUint32(r.buf[r.start+8:], seq)
}

// set adds flags to the last message.
func (r *request) set(flags uint16) {
	ne := binary.NativeEndian
	ne.PutUint16(r.buf[r.start+6:], ne.Uint16(r.buf[r.start+6:])|flags)
}

// refusal is the kernel's answer to one message: Errno, and its own words where it
// has some.
type refusal struct {
	errno unix.Errno
	text  string
}

func (r *refusal) Error() string {
	if r.text != "" {
		return fmt.Sprintf("%v (%s)", r.errno, r.text)
	}
	return r.errno.Error()
}

func (r *refusal) Unwrap() error { return r.errno }

// do sends n messages in batches and waits until the kernel has worked on all of
// them. write appends one, up to end. refused is called for each one that the kernel
// refused, by position; the error is the socket's own, after which it is not known
// what was done.
func (s *socket) do(n int, write func(r *request, i int), refused func(i int, err error)) error {
	for from := 0; from < n; {
		first, to := s.seq+1, from
		r := request{buf: s.out[:0]}
		for to < n && len(r.buf) < batchLen {
			s.seq++
			write(&r, to)
			r.end(s.seq)
			to++
		}
		r.set(unix.NLM_F_ACK) // of the last one alone
		s.out = r.buf
		if err := s.send(r.buf); err != nil {
			return err
		}
		last, offset := s.seq, from
		err := s.receive(func(h unix.NlMsghdr, body []byte) (done bool) {
			if h.Type != unix.NLMSG_ERROR || h.Seq < first || h.Seq > last {
				return false
			}
			if err := parseError(h, body); err != nil {
				refused(offset+int(h.Seq-first), err)
			}
			return h.Seq == last
		})
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (s *socket) send(b []byte) error {
	if err := unix.Sendto(s.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send to rtnetlink: %w", err)
	}
	return nil
}

// dump asks for all objects of a kind.
func (s *socket) dump(kind uint16, header []byte, each func(body []byte)) error {
	s.seq++
	var r request
	r.begin(kind, unix.NLM_F_DUMP, header...)
	r.end(s.seq)
	if err := s.send(r.buf); err != nil {
		return err
	}
	var failed error
	seq := s.seq
	err := s.receive(func(h unix.NlMsghdr, body []byte) (done bool) {
		if h.Seq != seq {
			return false
		}
		if h.Flags&unix.NLM_F_DUMP_INTR != 0 {
			failed = unix.EINTR
		}
		switch h.Type {
		case unix.NLMSG_DONE:
			return true
		case unix.NLMSG_ERROR:
			failed = parseError(h, body)
			return true
		}
		each(body)
		return false
	})
	return errors.Join(err, failed)
}

// receive hands on messages until done.
func (s *socket) receive(each func(h unix.NlMsghdr, body []byte) (done bool)) error {
	ne := binary.NativeEndian
	for {
		n, _, err := unix.Recvfrom(s.fd, s.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive from rtnetlink: %w", err)
		}
		done := false
		for b := s.buf[:n]; len(b) >= unix.SizeofNlMsghdr; {
			h := unix.NlMsghdr{Len: ne.Uint32(b), Type: ne.Uint16(b[4:]), Flags: ne.Uint16(b[6:]), Seq: ne.Uint32(b[8:])}
			if int(h.Len) < unix.SizeofNlMsghdr || int(h.Len) > len(b) {
				return errors.New("receive from rtnetlink: truncated message")
			}
			done = each(h, b[unix.SizeofNlMsghdr:h.Len]) || done
			b = b[min(int(h.Len+3)&^3, len(b)):]
		}
		if done {
			return nil
		}
	}
}

// parseError reads NLMSG_ERROR; an acknowledgement is nil.
func parseError(h unix.NlMsghdr, body []byte) error {
	if len(body) < 4 {
		return errors.New("truncated error of rtnetlink")
	}
	errno := -int32(binary.NativeEndian.Uint32(body))
	if errno == 0 {
		return nil
	}
	r := &refusal{errno: unix.Errno(errno)}
	if h.Flags&unix.NLM_F_ACK_TLVS != 0 && len(body) >= 4+unix.SizeofNlMsghdr {
		attrs(body[4+unix.SizeofNlMsghdr:], func(kind uint16, value []byte) {
			if kind == unix.NLMSGERR_ATTR_MSG && len(value) > 0 {
				r.text = string(value[:len(value)-1])
			}
		})
	}
	return r
}

// attrs walks over attributes.
func attrs(b []byte, each func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		n, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if n < 4 || n > len(b) {
			return
		}
		each(kind&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}
