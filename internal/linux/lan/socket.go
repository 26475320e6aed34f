package lan

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/arp"
	"github.com/pharoslb/pharos/ndp"
)

const (
	// maxFrame is the longest frame that is read whole; longer ones are cut, and refused if
	// that does damage.
	maxFrame = 2048
	// receiveBuffer holds some thousand frames, for bursts; the kernel may allow less.
	receiveBuffer = 1 << 20
)

// socket sends and receives the frames of one protocol on one link. It may be used from
// any goroutine.
type socket struct {
	file   *os.File
	raw    syscall.RawConn
	closed chan struct{}
}

// open opens the socket of a family in the calling thread's network namespace.
func open(link int, f family) (*socket, error) {
	protocol, filter := uint16(arp.EtherType), forARP(link)
	if f == ipv6 {
		protocol, filter = ndp.EtherType, forNDP(link)
	}
	program, err := bpf.Assemble(filter)
	if err != nil {
		return nil, err
	}
	// Without a protocol it hears nothing, until it is bound to its link.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		attach(fd, program),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer),
	)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol>>8 | protocol<<8, Ifindex: link})
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	s := &socket{file: os.NewFile(uintptr(fd), "packet"), closed: make(chan struct{})}
	if s.raw, err = s.file.SyscallConn(); err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

func attach(fd int, program []bpf.RawInstruction) error {
	filter := make([]unix.SockFilter, len(program))
	for i, x := range program {
		filter[i] = unix.SockFilter{Code: x.Op, Jt: x.Jt, Jf: x.Jf, K: x.K}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		return fmt.Errorf("attach filter: %w", err)
	}
	return nil
}

// read waits for a frame. It returns os.ErrClosed once the socket is closed.
func (s *socket) read(b []byte) (n int, err error) {
	waited := s.raw.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), b)
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	if waited != nil {
		return 0, os.ErrClosed
	}
	return n, err
}

// write hands a frame to the kernel. It never waits: if the kernel has no room the frame
// is lost, as it may be on the wire.
func (s *socket) write(frame []byte) (err error) {
	if failed := s.raw.Write(func(fd uintptr) bool {
		_, err = unix.Write(int(fd), frame)
		return true
	}); failed != nil {
		return os.ErrClosed
	}
	return err
}

func (s *socket) close() {
	close(s.closed)
	s.file.Close()
}

// What the kernel says of how a frame came (if_packet.h).
const lastReceived = unix.PACKET_MULTICAST // after those for this host and for all

// forARP lets ARP through that is meant for this host on this link: not what another host
// is sent, nor what belongs to a VLAN, whether it has a device of its own, on top of this
// one, or not.
func forARP(link int) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtInterfaceIndex},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(link), SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: lastReceived, SkipTrue: 1},
		bpf.RetConstant{Val: maxFrame},
		bpf.RetConstant{},
	}
}

// forNDP lets Neighbor Solicitations and Advertisements through, likewise, that have no
// extension headers.
func forNDP(link int) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtInterfaceIndex},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(link), SkipTrue: 8},
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: lastReceived, SkipTrue: 6},
		bpf.LoadAbsolute{Off: 20, Size: 1}, // IPv6: next header
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 4},
		bpf.LoadAbsolute{Off: 54, Size: 1}, // ICMPv6: type
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: uint32(ndp.Solicitation), SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: uint32(ndp.Advertisement), SkipTrue: 1},
		bpf.RetConstant{Val: maxFrame},
		bpf.RetConstant{},
	}
}
