package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// A whole batch goes to the kernel in one message and its acknowledgements
	// come back at once: the socket's limits have to admit both. They are limits
	// only; no memory is set aside.
	writeBuffer = 256 << 20
	readBuffer  = 64 << 20

	// dumpBuffer is more than the kernel ever fills at once. It fills as much as
	// it is given, and walks a set from the start each time: with pages, a set of
	// 200,000 elements takes ten times as long to read.
	dumpBuffer = 64 << 10
)

// socket is a connection to the kernel's nftables that is kept open: closing it
// waits until the kernel has freed what the last transaction removed.
type socket struct {
	netns int
	conn  *netlink.Conn // nil: to be opened
}

func (s *socket) open() error {
	if s.conn != nil {
		return nil
	}
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: s.netns})
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	if err := errors.Join(conn.SetWriteBuffer(writeBuffer), conn.SetReadBuffer(readBuffer)); err != nil {
		conn.Close()
		return fmt.Errorf("set the socket's buffers: %w", err)
	}
	s.conn = conn
	return nil
}

// close gives up the socket and what was not read from it.
func (s *socket) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// flush sends the batch and waits until it is done. An error names the object
// that the kernel refused first.
func (s *socket) flush(b *batch) (err error) {
	if err := s.open(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	bound := func(kind int) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request},
			Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES},
		}
	}
	all := make([]netlink.Message, 0, len(b.messages)+2)
	all = append(all, bound(unix.NFNL_MSG_BATCH_BEGIN))
	all = append(all, b.messages...)
	all = append(all, bound(unix.NFNL_MSG_BATCH_END))
	if _, err := s.conn.SendMessages(all); err != nil {
		if errors.Is(err, unix.EMSGSIZE) {
			return fmt.Errorf("%d messages at once are more than the socket may send; raise net.core.wmem_max or run with CAP_NET_ADMIN of the machine: %w", len(all), err)
		}
		return err
	}
	// The kernel answers in the order of the messages, when it is through with all
	// of them. Where it refused one it goes on, to report all errors of a batch;
	// the first is the cause.
	for i := range b.messages {
		if _, err := s.conn.Receive(); err != nil {
			return fmt.Errorf("%s: %w", b.what[i](), err)
		}
	}
	return nil
}

// dump sends a request for a list and hands each message of the answer to
// visit, whose argument is valid during the call only.
func (s *socket) dump(request netlink.Message, visit func(data []byte) error) (err error) {
	if err := s.open(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	request.Header.Flags = netlink.Request | netlink.Dump
	if _, err := s.conn.Send(request); err != nil {
		return err
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	buffer := make([]byte, dumpBuffer)
	for {
		n, received := 0, error(nil)
		if err := raw.Read(func(fd uintptr) bool {
			n, _, received = unix.Recvfrom(int(fd), buffer, 0)
			return received != unix.EAGAIN
		}); err != nil {
			return err
		}
		if received != nil {
			return received
		}
		done, err := messages(buffer[:n], visit)
		if done || err != nil {
			return err
		}
	}
}

// errInterrupted says that a list was changed while it was read.
var errInterrupted = errors.New("the tables were changed while they were read")

// messages hands each message of a datagram to visit and reports whether the
// list ends with it.
func messages(b []byte, visit func(data []byte) error) (done bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		length := int(binary.NativeEndian.Uint32(b))
		kind, flags := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:])
		if length < unix.SizeofNlMsghdr || length > len(b) {
			return false, fmt.Errorf("message of %d bytes in %d", length, len(b))
		}
		data := b[unix.SizeofNlMsghdr:length]
		switch {
		case flags&unix.NLM_F_DUMP_INTR != 0:
			return false, errInterrupted
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR:
			if len(data) < 4 {
				return false, errors.New("short error message")
			}
			return false, syscall.Errno(-int32(binary.NativeEndian.Uint32(data)))
		case len(data) >= 4: // after the header of netfilter's own
			if err := visit(data[4:]); err != nil {
				return false, err
			}
		}
		b = b[min(len(b), (length+3)&^3):]
	}
	return false, nil
}

// generation returns the number of transactions that nftables has seen in the
// namespace, anybody's.
func (s *socket) generation() (uint32, error) {
	if err := s.open(); err != nil {
		return 0, err
	}
	replies, err := s.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil {
		s.close()
		return 0, fmt.Errorf("ask for the generation: %w", err)
	}
	for _, m := range replies {
		if len(m.Data) < 4 {
			continue
		}
		for kind, value := range attributesOf(m.Data[4:]) {
			if kind == unix.NFTA_GEN_ID && len(value) == 4 {
				return binary.BigEndian.Uint32(value), nil
			}
		}
	}
	return 0, errors.New("nftables told no generation")
}

// attributesOf iterates over netlink attributes, and ends where they are
// malformed.
func attributesOf(b []byte) func(yield func(kind uint16, value []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			length := int(binary.NativeEndian.Uint16(b))
			if length < 4 || length > len(b) {
				return
			}
			kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if !yield(kind, b[4:length]) {
				return
			}
			b = b[min(len(b), (length+3)&^3):]
		}
	}
}
