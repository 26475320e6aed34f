package dptest

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// tap sees the TCP packets to an address that come in by devices of a namespace,
// also those that are inside a tunnel's.
type tap struct {
	file *os.File
	to   netip.AddrPort
	on   map[int]bool // indexes of the devices; nil means all

	mu     sync.Mutex
	seen   map[uint32]int // by sequence number
	marked int            // how many carry the second chance's DSCP
}

// listen begins to see packets to an address, port 0 meaning any, until the test ends.
func listen(t testing.TB, ns *netns.NS, to netip.AddrPort, devices ...string) *tap {
	t.Helper()
	p := &tap{to: to, seen: map[uint32]int{}}
	for _, name := range devices {
		l, err := ns.Link().LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.on == nil {
			p.on = map[int]bool{}
		}
		p.on[l.Attrs().Index] = true
	}
	err := ns.Do(func() error {
		const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00 // in network byte order
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
		if err != nil {
			return err
		}
		p.file = os.NewFile(uintptr(fd), "tap")
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run()
	}()
	t.Cleanup(func() { p.file.Close(); <-done })
	return p
}

func (p *tap) run() {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	buffer := make([]byte, 1<<16)
	for {
		var n int
		var from unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), buffer, 0)
			return failed != unix.EAGAIN
		})
		if err != nil {
			return
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if failed != nil || !ok || link.Pkttype == unix.PACKET_OUTGOING || p.on != nil && !p.on[link.Ifindex] {
			continue
		}
		if s, ok := inside(buffer[:n]); ok && s.dst.Addr() == p.to.Addr() && (p.to.Port() == 0 || s.dst.Port() == p.to.Port()) {
			p.mu.Lock()
			p.seen[s.seq]++
			if s.dscp == dataplane.SecondChance {
				p.marked++
			}
			p.mu.Unlock()
		}
	}
}

// count returns how often a sequence number was seen.
func (p *tap) count(seq uint32) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[seq]
}

// marks returns how many packets carried the second chance's DSCP.
func (p *tap) marks() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.marked
}

// segment is what a TCP packet says that matters here. The DSCP is the outermost one.
type segment struct {
	dst  netip.AddrPort
	seq  uint32
	dscp byte
}

// inside returns the TCP packet of an Ethernet frame, of those in tunnels (IP in IP,
// and VXLAN, RFC 7348, at whatever port) the innermost.
func inside(frame []byte) (segment, bool) {
	if len(frame) < 14 {
		return segment{}, false
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP, unix.ETH_P_IPV6:
		return insideIP(frame[14:])
	}
	return segment{}, false
}

func insideIP(b []byte) (segment, bool) {
	var protocol byte
	var dst netip.Addr
	var s segment
	switch {
	case len(b) >= 20 && b[0]>>4 == 4 && len(b) >= int(b[0]&15)*4:
		protocol, s.dscp = b[9], b[1]>>2
		dst, _ = netip.AddrFromSlice(b[16:20])
		b = b[int(b[0]&15)*4:]
	case len(b) >= 40 && b[0]>>4 == 6:
		protocol, s.dscp = b[6], byte(binary.BigEndian.Uint16(b)>>6&0x3f)
		dst, _ = netip.AddrFromSlice(b[24:40])
		b = b[40:]
	default:
		return s, false
	}
	var inner segment
	var ok bool
	switch {
	case protocol == unix.IPPROTO_TCP && len(b) >= 20:
		s.dst, s.seq = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:])), binary.BigEndian.Uint32(b[4:])
		return s, true
	case protocol == unix.IPPROTO_IPIP || protocol == unix.IPPROTO_IPV6:
		inner, ok = insideIP(b)
	case protocol == unix.IPPROTO_UDP && len(b) >= 16:
		inner, ok = inside(b[16:])
	}
	inner.dscp = s.dscp
	return inner, ok
}
