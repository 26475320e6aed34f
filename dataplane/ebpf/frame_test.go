package ebpf

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/pharoslb/pharos/dataplane"
)

// frame is an Ethernet frame with an IP packet.
type frame struct {
	src, dst netip.AddrPort
	protocol byte
	flags    byte
	tos, ttl byte
	payload  int
	seq      uint32           // 1000, if zero
	as       dataplane.Sender // who has sent it on, and if so
	tunnel   bool             // from n3, in a tunnel; else from n2
	extended bool             // with an option of IPv4, or a header of options of IPv6
	erring   bool             // an ICMP error from src that quotes what came back from dst
}

func sum(b ...[]byte) uint16 {
	s := uint32(0)
	for _, b := range b {
		for i := 0; i+1 < len(b); i += 2 {
			s += uint32(binary.BigEndian.Uint16(b[i:]))
		}
		if len(b)%2 == 1 {
			s += uint32(b[len(b)-1]) << 8
		}
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}

func (f *frame) bytes() []byte {
	from, tos := gateway, f.tos
	if f.as != dataplane.Network && !f.tunnel {
		from = second
		if f.as == dataplane.SecondChanced {
			tos = tos&3 | dataplane.SecondChance<<2
		}
	}
	b := append(own[:], from[:]...)
	packet := f.packet(tos)
	if f.as != dataplane.Network && f.tunnel {
		outer := byte(0)
		if f.as == dataplane.SecondChanced {
			outer = dataplane.SecondChance << 2
		}
		if f.src.Addr().Is4() {
			packet = ip(addr("10.0.5.3"), addr("10.0.0.1"), 4, outer, 64, packet)
		} else {
			packet = ip(addr("fd00:5::3"), addr("fd00::1"), 41, outer, 64, packet)
		}
	}
	if f.src.Addr().Is4() {
		return append(append(b, 8, 0), packet...)
	}
	return append(append(b, 0x86, 0xdd), packet...)
}

// packet is the frame's without its link header.
func (f *frame) packet(tos byte) []byte {
	if f.erring {
		protocol, message := f.message()
		return f.wrap(tos, protocol, message)
	}
	l4 := make([]byte, 8+f.payload)
	if f.protocol == 6 {
		l4 = make([]byte, 20+f.payload)
	}
	binary.BigEndian.PutUint16(l4, f.src.Port())
	binary.BigEndian.PutUint16(l4[2:], f.dst.Port())
	check := 6
	if f.protocol == 6 {
		binary.BigEndian.PutUint32(l4[4:], cmp.Or(f.seq, 1000))
		binary.BigEndian.PutUint32(l4[8:], 2000)
		l4[12], l4[13], check = 5<<4, f.flags, 16
	} else {
		binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
	}
	pseudo := append(f.src.Addr().AsSlice(), f.dst.Addr().AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(l4)))
	pseudo = append(pseudo, 0, 0, 0, f.protocol)
	binary.BigEndian.PutUint16(l4[check:], sum(pseudo, l4))
	return f.wrap(tos, f.protocol, l4)
}

// message is an error that says that a packet from dst didn't get to src.
func (f *frame) message() (protocol byte, message []byte) {
	back := frame{src: f.dst, dst: f.src, protocol: f.protocol, flags: 16, ttl: 3}
	quoted := back.packet(0)
	if f.src.Addr().Is4() {
		message = append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, quoted[:28]...)
		binary.BigEndian.PutUint16(message[2:], sum(message))
		return 1, message
	}
	message = append([]byte{1, 3, 0, 0, 0, 0, 0, 0}, quoted[:48]...)
	pseudo := append(f.src.Addr().AsSlice(), f.dst.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(message[2:], sum(append(pseudo, 0, 0, 0, byte(len(message)), 0, 0, 0, 58), message))
	return 58, message
}

// wrap puts a payload into the frame's IP packet.
func (f *frame) wrap(tos, protocol byte, payload []byte) []byte {
	switch {
	case !f.extended:
		return ip(f.src.Addr(), f.dst.Addr(), protocol, tos, f.ttl, payload)
	case f.src.Addr().Is6(): // RFC 8200, section 4.3
		options := []byte{protocol, 0, 1, 4, 0, 0, 0, 0}
		return ip(f.src.Addr(), f.dst.Addr(), 0, tos, f.ttl, append(options, payload...))
	}
	p := ip(f.src.Addr(), f.dst.Addr(), protocol, tos, f.ttl, append([]byte{1, 1, 1, 0}, payload...))
	p[0], p[10], p[11] = 0x46, 0, 0
	binary.BigEndian.PutUint16(p[10:], sum(p[:24]))
	return p
}

// ip puts a payload into an IP packet.
func ip(src, dst netip.Addr, protocol, tos, ttl byte, payload []byte) []byte {
	if src.Is4() {
		h := make([]byte, 20, 20+len(payload))
		h[0], h[1], h[8], h[9] = 0x45, tos, ttl, protocol
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(payload)))
		copy(h[12:], src.AsSlice())
		copy(h[16:], dst.AsSlice())
		binary.BigEndian.PutUint16(h[10:], sum(h))
		return append(h, payload...)
	}
	h := make([]byte, 40, 40+len(payload))
	h[0], h[1], h[6], h[7] = 0x60|tos>>4, tos<<4, protocol, ttl
	binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
	copy(h[8:], src.AsSlice())
	copy(h[24:], dst.AsSlice())
	return append(h, payload...)
}

// seen is a frame read back.
type seen struct {
	frame
	header int
}

func parse(t testing.TB, b []byte) seen {
	t.Helper()
	var s seen
	ip := b[14:]
	var addrs []byte
	if ip[0]>>4 == 4 {
		s.header, s.protocol, s.tos, s.ttl = int(ip[0]&15)*4, ip[9], ip[1], ip[8]
		if sum(ip[:s.header]) != 0 {
			t.Errorf("IP checksum of %x", ip)
		}
		if n := int(binary.BigEndian.Uint16(ip[2:])); n != len(ip) {
			t.Errorf("%d octets by the header of %x", n, ip)
		}
		addrs = ip[12:20]
	} else {
		s.header, s.protocol, s.tos, s.ttl = 40, ip[6], ip[0]<<4|ip[1]>>4, ip[7]
		if n := int(binary.BigEndian.Uint16(ip[4:])); n+40 != len(ip) {
			t.Errorf("%d octets by the header of %x", n, ip)
		}
		addrs = ip[8:40]
		if s.protocol == 0 {
			s.protocol, s.header = ip[40], 48
		}
	}
	n := len(addrs) / 2
	src, _ := netip.AddrFromSlice(addrs[:n])
	dst, _ := netip.AddrFromSlice(addrs[n:])
	l4 := ip[s.header:]
	s.src, s.dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	switch {
	case s.protocol == 1:
		if sum(l4) != 0 || sum(l4[8:28]) != 0 {
			t.Errorf("checksums of an error: %x", ip)
		}
		if l4[1] == 1 { // a frame's own; programs make others
			s.turned(l4[28:], l4[20:28])
		}
	case s.protocol == 58:
		pseudo := binary.BigEndian.AppendUint32(bytes.Clone(addrs), uint32(len(l4)))
		if got := sum(append(pseudo, 0, 0, 0, 58), l4); got != 0 {
			t.Errorf("checksum of an error is off by %#x: %x", got, ip)
		}
		if l4[0] == 1 {
			s.turned(l4[48:], l4[16:48])
		}
	}
	if s.protocol == 6 || s.protocol == 17 {
		s.src, s.dst = netip.AddrPortFrom(src, binary.BigEndian.Uint16(l4)), netip.AddrPortFrom(dst, binary.BigEndian.Uint16(l4[2:]))
		if s.protocol == 6 {
			s.flags = l4[13]
		}
		pseudo := binary.BigEndian.AppendUint32(bytes.Clone(addrs), uint32(len(l4)))
		if got := sum(append(pseudo, 0, 0, 0, s.protocol), l4); got != 0 {
			t.Errorf("checksum of protocol %d is off by %#x: %x", s.protocol, got, ip)
		}
	}
	return s
}

// turned reads what an error quotes as if it were on its way back.
func (s *seen) turned(ports, addrs []byte) {
	if len(ports) < 4 {
		return
	}
	n := len(addrs) / 2
	src, _ := netip.AddrFromSlice(addrs[n:])
	dst, _ := netip.AddrFromSlice(addrs[:n])
	s.src, s.dst = netip.AddrPortFrom(src, binary.BigEndian.Uint16(ports[2:])), netip.AddrPortFrom(dst, binary.BigEndian.Uint16(ports))
}
