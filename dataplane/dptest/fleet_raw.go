package dptest

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"
)

// The flags of a TCP segment (RFC 9293, section 3.1).
const (
	flagSYN = 1 << 1
	flagRST = 1 << 2
	flagACK = 1 << 4
)

// stranger sends single TCP segments from an address of the client's, and hears what
// comes back. The kernel knows nothing of them.
type stranger struct {
	conn *net.IPConn
	from netip.Addr
	to   netip.AddrPort
}

// newStranger returns a stranger that sends to the VIP.
func (f *Fleet) newStranger(t testing.TB, from netip.Addr) *stranger {
	t.Helper()
	s := &stranger{from: from, to: f.family.VIP()}
	network := "ip4:tcp"
	if from.Is6() {
		network = "ip6:tcp"
	}
	err := f.Client.Do(func() (err error) {
		s.conn, err = net.DialIP(network, &net.IPAddr{IP: from.AsSlice()}, &net.IPAddr{IP: s.to.Addr().AsSlice()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	return s
}

// send sends a segment without data and returns the flags of what comes back to its
// port first; 0 if nothing does.
func (s *stranger) send(t testing.TB, port uint16, seq uint32, flags byte, patience time.Duration) byte {
	t.Helper()
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, port)
	binary.BigEndian.PutUint16(b[2:], s.to.Port())
	binary.BigEndian.PutUint32(b[4:], seq)
	if flags&flagACK != 0 {
		binary.BigEndian.PutUint32(b[8:], 1)
	}
	b[12], b[13] = 5<<4, flags
	binary.BigEndian.PutUint16(b[14:], 1024)
	binary.BigEndian.PutUint16(b[16:], checksum(s.from, s.to.Addr(), b))
	if _, err := s.conn.Write(b); err != nil {
		t.Error(err)
		return 0
	}
	s.conn.SetReadDeadline(time.Now().Add(patience))
	answer := make([]byte, 1500)
	for {
		n, _, err := s.conn.ReadFrom(answer) // without the IP header
		if err != nil {
			return 0
		}
		if n >= 20 && binary.BigEndian.Uint16(answer) == s.to.Port() && binary.BigEndian.Uint16(answer[2:]) == port {
			return answer[13]
		}
	}
}

// checksum is TCP's, over the pseudo-header and the segment (RFC 9293, section 3.1; RFC
// 8200, section 8.1).
func checksum(from, to netip.Addr, segment []byte) uint16 {
	b := append(from.AsSlice(), to.AsSlice()...)
	b = append(b, 0, 6)
	b = binary.BigEndian.AppendUint16(b, uint16(len(segment)))
	b = append(b, segment...)
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
