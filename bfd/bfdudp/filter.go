package bfdudp

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Classic BPF (Linux: Documentation/networking/filter.rst).
const (
	netOffset = -0x100000       // SKF_NET_OFF: from the network header
	random    = -0x1000 + 56    // SKF_AD_OFF + SKF_AD_RANDOM
	takeAll   = uint32(1 << 16) // octets to keep
)

func stmt(code uint16, k int) unix.SockFilter {
	return unix.SockFilter{Code: code, K: uint32(int32(k))}
}

// jump skips yes instructions if the comparison holds, else no.
func jump(code uint16, k int, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | code, Jt: yes, Jf: no, K: uint32(int32(k))}
}

const (
	loadByte = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
	loadHalf = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS
	loadWord = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	ret      = unix.BPF_RET | unix.BPF_K
)

// nearOnly keeps what came with time to live 255, and one in sixteen of the rest.
func nearOnly(family int) []unix.SockFilter {
	ttl := 8
	if family == unix.AF_INET6 {
		ttl = 7
	}
	return []unix.SockFilter{
		stmt(loadByte, netOffset+ttl),
		jump(unix.BPF_JEQ, 255, 2, 0),
		stmt(loadWord, random),
		jump(unix.BPF_JSET, 15, 1, 0),
		stmt(ret, int(takeAll)),
		stmt(ret, 0),
	}
}

// attach puts a filter on a socket.
func attach(fd int, code []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: (*unix.SockFilter)(unsafe.Pointer(&code[0]))}
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog))
}
