package fib

import (
	"encoding/binary"
	"errors"
	"fmt"
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
	buf []byte
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

// message is one request under construction.
type message struct {
	kind  uint16
	flags uint16
	body  []byte
}

func (m *message) attr(kind uint16, value []byte) {
	m.body = binary.NativeEndian.AppendUint16(m.body, uint16(4+len(value)))
	m.body = binary.NativeEndian.AppendUint16(m.body, kind)
	m.body = append(m.body, value...)
	m.body = append(m.body, make([]byte, -len(value)&3)...)
}

func (m *message) attr32(kind uint16, value uint32) {
	m.attr(kind, binary.NativeEndian.AppendUint32(nil, value))
}

func (s *socket) append(dst []byte, m message) []byte {
	s.seq++
	ne := binary.NativeEndian
	dst = ne.AppendUint32(dst, uint32(unix.SizeofNlMsghdr+len(m.body)))
	dst = ne.AppendUint16(dst, m.kind)
	dst = ne.AppendUint16(dst, m.flags|unix.NLM_F_REQUEST)
	dst = ne.AppendUint32(dst, s.seq)
	dst = ne.AppendUint32(dst, 0)
	return append(dst, m.body...)
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

// do sends messages in batches and waits until the kernel has worked on all of
// them. refused is called for each one that it refused, by position; the error is
// the socket's own, after which it is not known what was done.
func (s *socket) do(messages []message, refused func(i int, err error)) error {
	for from := 0; from < len(messages); {
		first := s.seq + 1
		var batch []byte
		to := from
		for to < len(messages) && len(batch) < batchLen {
			m := messages[to]
			to++
			if to == len(messages) || len(batch)+unix.SizeofNlMsghdr+len(m.body) >= batchLen {
				m.flags |= unix.NLM_F_ACK // of the last one alone
			}
			batch = s.append(batch, m)
		}
		if err := unix.Sendto(s.fd, batch, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return fmt.Errorf("send to rtnetlink: %w", err)
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

// dump asks for all objects of a kind.
func (s *socket) dump(m message, each func(body []byte)) error {
	m.flags |= unix.NLM_F_DUMP
	request := s.append(nil, m)
	if err := unix.Sendto(s.fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send to rtnetlink: %w", err)
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
