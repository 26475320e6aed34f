package nft

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// events hears what others do to the driver's tables, so that only that has to be
// looked into, whatever they do to their own. It has no goroutine: what it heard
// waits in its socket.
type events struct {
	socket *nl.NetlinkSocket // nil: to be opened
	buffer []byte
	deaf   uint32 // port whose socket's changes are not heard; zero: none
}

func (e *events) close() {
	e.socket.Close()
	e.socket = nil
}

// eventBuffer is how many bytes wait at most. More are lost, which is noticed.
const eventBuffer = 4 << 20

func (e *events) open(ns int) error {
	if e.socket != nil {
		return nil
	}
	at := netns.None()
	if ns != 0 {
		at = netns.NsHandle(ns)
	}
	s, err := nl.SubscribeAt(at, netns.None(), unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return fmt.Errorf("listen to nftables: %w", err)
	}
	// A smaller buffer does as well, with more to look into.
	_ = s.SetReceiveBufferSize(eventBuffer, true)
	e.socket, e.buffer, e.deaf = s, make([]byte, 64<<10), 0
	return nil
}

// ignore has the kernel leave out what the socket with that port changes. Whatever
// one transaction changes comes in datagrams of its own.
func (e *events) ignore(port uint32) error {
	if e.socket == nil || e.deaf == port {
		return nil
	}
	var pid [4]byte // in the message's header, in the machine's order
	binary.NativeEndian.PutUint32(pid[:], port)
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: binary.BigEndian.Uint32(pid[:]), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
	}
	if err := unix.SetsockoptSockFprog(e.socket.GetFd(), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}); err != nil {
		return fmt.Errorf("filter what is heard of nftables: %w", err)
	}
	e.deaf = port
	return nil
}

// pause stops hearing, until resume: the kernel writes a message about each element
// that changes for whoever hears, which costs more than the change.
func (e *events) pause() error { return e.member(unix.NETLINK_DROP_MEMBERSHIP) }

func (e *events) resume() error { return e.member(unix.NETLINK_ADD_MEMBERSHIP) }

func (e *events) member(option int) error {
	if e.socket == nil {
		return nil
	}
	if err := unix.SetsockoptInt(e.socket.GetFd(), unix.SOL_NETLINK, option, unix.NFNLGRP_NFTABLES); err != nil {
		return fmt.Errorf("listen to nftables: %w", err)
	}
	return nil
}

// heard is what was heard since the last time.
type heard struct {
	touched bool // somebody else changed a table of the driver's
	direct  bool // one of those of direct frontends
	lost    bool // maybe more than that
}

// drain returns what was heard of others than the sockets with that port.
func (e *events) drain(port uint32) (h heard) {
	if e.socket == nil {
		return heard{lost: true}
	}
	for range 1 << 20 { // what comes meanwhile is for the next time
		n, _, err := unix.Recvfrom(e.socket.GetFd(), e.buffer, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return h
		case err != nil && !errors.Is(err, unix.EINTR):
			h.lost = true
			if !errors.Is(err, unix.ENOBUFS) {
				return h
			}
		}
		for b := e.buffer[:max(n, 0)]; len(b) >= unix.SizeofNlMsghdr; {
			length := int(binary.NativeEndian.Uint32(b))
			if length < unix.SizeofNlMsghdr || length > len(b) {
				break
			}
			if binary.NativeEndian.Uint32(b[12:]) != port {
				h.note(b[unix.SizeofNlMsghdr:length])
			}
			b = b[min(len(b), (length+3)&^3):]
		}
	}
	return h
}

// note notes one event, whose first attribute is the table's name whatever it is
// about.
func (h *heard) note(data []byte) {
	if len(data) < 4 {
		return
	}
	table := text(only(data[4:], unix.NFTA_TABLE_NAME))
	for i, f := range allFamilies {
		if byte(f.table) == data[0] && f.own == table {
			h.touched = true
			h.direct = h.direct || i >= len(families)
		}
	}
}

// portID returns the number that the kernel gave the socket, zero where it is not
// open.
func (s *socket) portID() uint32 {
	if s.conn == nil {
		return 0
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return 0
	}
	var port uint32
	_ = raw.Control(func(fd uintptr) {
		if a, err := unix.Getsockname(int(fd)); err == nil {
			if a, ok := a.(*unix.SockaddrNetlink); ok {
				port = a.Pid
			}
		}
	})
	return port
}
