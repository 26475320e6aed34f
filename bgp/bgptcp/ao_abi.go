package bgptcp

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket options of TCP-AO and their structures, from Linux 6.7's linux/tcp.h. Each
// structure is written in the machine's byte order, without holes.
const (
	tcpAOAddKey  = 38
	tcpAODelKey  = 39
	tcpAOInfo    = 40
	tcpAOGetKeys = 41
)

// aoAdd is struct tcp_ao_add.
type aoAdd struct {
	Addr      unix.SockaddrStorage
	Algorithm [64]byte
	IfIndex   int32
	Flags     uint32 // set_current, set_rnext
	_         uint16
	Prefix    uint8
	SendID    uint8
	RecvID    uint8
	MACLen    uint8
	KeyFlags  uint8
	KeyLen    uint8
	Key       [unix.TCP_AO_MAXKEYLEN]byte
}

// aoDel is struct tcp_ao_del.
type aoDel struct {
	Addr     unix.SockaddrStorage
	IfIndex  int32
	Flags    uint32 // set_current, set_rnext, del_async
	_        uint16
	Prefix   uint8
	SendID   uint8
	RecvID   uint8
	Current  uint8 // SendID
	RNext    uint8 // RecvID
	KeyFlags uint8
}

// aoInfo is struct tcp_ao_info_opt.
type aoInfo struct {
	Flags                                         uint32 // set_current, set_rnext, ao_required, set_counters, accept_icmps
	_                                             uint16
	Current                                       uint8 // SendID
	RNext                                         uint8 // RecvID
	Good, Bad, KeyNotFound, Required, DroppedICMP uint64
}

// aoGet is struct tcp_ao_getsockopt.
type aoGet struct {
	Addr      unix.SockaddrStorage
	Algorithm [64]byte
	Key       [unix.TCP_AO_MAXKEYLEN]byte
	NKeys     uint32
	Flags     uint16 // is_current, is_rnext, get_all
	SendID    uint8
	RecvID    uint8
	Prefix    uint8
	MACLen    uint8
	KeyFlags  uint8
	KeyLen    uint8
	IfIndex   int32
	Good, Bad uint64
}

// The first bits of a C bit-field, in a field of the width given: the lowest bits
// on little-endian machines, the highest on big-endian ones.
func bit(n, width int) uint32 {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return 1 << n
	}
	return 1 << (width - 1 - n)
}

var (
	aoSetCurrent = bit(0, 32)
	aoSetRNext   = bit(1, 32)
	aoRequired   = bit(2, 32) // aoInfo alone
	aoIsCurrent  = uint16(bit(0, 16))
	aoIsRNext    = uint16(bit(1, 16))
	aoGetAll     = uint16(bit(2, 16))
)

// setStruct sets an option to a structure.
func setStruct(fd, opt int, v any) error {
	b, err := binary.Append(nil, binary.NativeEndian, v)
	if err != nil {
		return err
	}
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, uintptr(opt), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0)
	clear(b)
	if errno != 0 {
		return errno
	}
	return nil
}

// getKeys lists up to limit keys of the socket; total is how many it has.
func getKeys(fd, limit int) (keys []aoGet, total int, err error) {
	size := binary.Size(aoGet{})
	ask, err := binary.Append(nil, binary.NativeEndian, &aoGet{NKeys: uint32(limit), Flags: aoGetAll})
	if err != nil {
		return nil, 0, err
	}
	b := make([]byte, max(1, limit)*size)
	defer clear(b)
	copy(b, ask)
	// optlen is the size of one entry; NKeys says how many there is room for.
	n := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, tcpAOGetKeys, uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return nil, 0, errno
	}
	total = int(binary.NativeEndian.Uint32(b[unsafe.Offsetof(aoGet{}.NKeys):]))
	for i := range min(limit, total) {
		var k aoGet
		if _, err := binary.Decode(b[i*size:(i+1)*size], binary.NativeEndian, &k); err != nil {
			return nil, 0, fmt.Errorf("decode key: %w", err)
		}
		keys = append(keys, k)
	}
	return keys, total, nil
}
