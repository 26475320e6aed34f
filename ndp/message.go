package ndp

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// EtherType is IPv6's number in an Ethernet header.
const EtherType = 0x86dd

// Len is the length of a frame that Append writes, in octets, and MinLen of one without
// option.
const (
	Len    = MinLen + optionLen
	MinLen = ethernetLen + ipLen + messageLen
)

const (
	ethernetLen = 14
	ipLen       = 40
	messageLen  = 24
	optionLen   = 8

	icmpv6   = 58
	hopLimit = 255

	sourceOption = 1
	targetOption = 2
)

// MAC is an Ethernet address.
type MAC = [6]byte

// Type is the ICMPv6 type of a message.
type Type uint8

// The two that are used; Parse refuses others.
const (
	Solicitation  Type = 135
	Advertisement Type = 136
)

// Message is a Neighbor Solicitation or Advertisement, and the headers before it.
type Message struct {
	DstMAC, SrcMAC MAC
	Src, Dst       netip.Addr
	Type           Type
	Target         netip.Addr
	// Router, Solicited and Override are the flags of an advertisement.
	Router, Solicited, Override bool
	// LinkLayer is the source link-layer address of a solicitation or the target
	// link-layer address of an advertisement; zero: there is no such option.
	LinkLayer MAC
}

// Why a frame is not one that Parse accepts.
var (
	ErrShort    = errors.New("frame is shorter than it says, or than a neighbor message")
	ErrType     = errors.New("neither a neighbor solicitation nor an advertisement")
	ErrHopLimit = errors.New("hop limit is not 255: it may come from afar")
	ErrChecksum = errors.New("ICMPv6 checksum is wrong")
	ErrCode     = errors.New("ICMPv6 code is not 0")
	ErrTarget   = errors.New("target is not a unicast address")
	ErrSource   = errors.New("source is not a single station")
	ErrOption   = errors.New("option is malformed or not allowed")
	ErrDAD      = errors.New("solicitation without source to other than a solicited-node group")
	ErrFlags    = errors.New("solicited advertisement to a group")
)

// Parse reads a frame. What follows the IPv6 packet, be it padding, does not count.
// Messages behind extension headers and frames with a VLAN tag are refused with
// ErrType. The errors are this package's.
func Parse(frame []byte) (Message, error) {
	if len(frame) < MinLen {
		return Message{}, ErrShort
	}
	ip := frame[ethernetLen:]
	if binary.BigEndian.Uint16(frame[12:]) != EtherType || ip[0]>>4 != 6 || ip[6] != icmpv6 {
		return Message{}, ErrType
	}
	payload := int(binary.BigEndian.Uint16(ip[4:]))
	if payload < messageLen || payload > len(ip)-ipLen {
		return Message{}, ErrShort
	}
	body := ip[ipLen : ipLen+payload]
	m := Message{
		DstMAC: MAC(frame[0:]), SrcMAC: MAC(frame[6:]),
		Src: netip.AddrFrom16([16]byte(ip[8:])), Dst: netip.AddrFrom16([16]byte(ip[24:])),
		Type: Type(body[0]), Target: netip.AddrFrom16([16]byte(body[8:])),
	}
	if m.Type == Advertisement {
		m.Router, m.Solicited, m.Override = body[4]&0x80 != 0, body[4]&0x40 != 0, body[4]&0x20 != 0
	}
	switch {
	case m.Type != Solicitation && m.Type != Advertisement:
		return Message{}, ErrType
	case ip[7] != hopLimit:
		return Message{}, ErrHopLimit
	case checksum(m.Src, m.Dst, body) != 0:
		return Message{}, ErrChecksum
	case body[1] != 0:
		return Message{}, ErrCode
	}
	var err error
	if m.LinkLayer, err = linkLayer(m.Type, body[messageLen:]); err != nil {
		return Message{}, err
	}
	if err := m.check(); err != nil {
		return Message{}, err
	}
	return m, nil
}

// check is what RFC 4861 §7.1.1 and §7.1.2 ask of a message's fields.
func (m *Message) check() error {
	switch {
	case !station(m.SrcMAC) || m.Src.IsMulticast():
		return ErrSource
	case m.Target.IsMulticast() || m.Target.IsUnspecified():
		return ErrTarget
	case m.Type == Advertisement && m.Src.IsUnspecified():
		return ErrSource // §4.4: an address of the interface
	case m.Type == Advertisement && m.Solicited && m.Dst.IsMulticast():
		return ErrFlags
	case m.Src.IsUnspecified() && !solicitedNode.Contains(m.Dst):
		return ErrDAD
	case m.Src.IsUnspecified() && m.LinkLayer != MAC{}:
		return ErrOption
	}
	return nil
}

// linkLayer walks over the options for the one that goes with the type. Others are
// passed over, whatever they are (§7.1.1); the first of several counts.
func linkLayer(t Type, b []byte) (found MAC, err error) {
	want := byte(sourceOption)
	if t == Advertisement {
		want = targetOption
	}
	for len(b) > 0 {
		if len(b) < 2 || b[1] == 0 || int(b[1])*8 > len(b) {
			return MAC{}, ErrOption
		}
		n := int(b[1]) * 8
		if b[0] == want && found == (MAC{}) {
			if n != optionLen || !station(MAC(b[2:])) {
				return MAC{}, ErrOption
			}
			found = MAC(b[2:])
		}
		b = b[n:]
	}
	return found, nil
}

// station says if an address can be that of one station.
func station(m MAC) bool { return m[0]&1 == 0 && m != MAC{} }

// Append writes the message to the end of b, as MinLen octets, or Len if there is a
// link-layer address. Its addresses must be IPv6.
func (m Message) Append(b []byte) []byte {
	length, option := messageLen, byte(sourceOption)
	if m.LinkLayer != (MAC{}) {
		length += optionLen
	}
	src, dst, target := m.Src.As16(), m.Dst.As16(), m.Target.As16()
	b = append(append(b, m.DstMAC[:]...), m.SrcMAC[:]...)
	b = binary.BigEndian.AppendUint16(b, EtherType)
	b = append(b, 0x60, 0, 0, 0, 0, byte(length), icmpv6, hopLimit)
	b = append(append(b, src[:]...), dst[:]...)
	start := len(b)
	var flags byte
	if m.Type == Advertisement {
		option = targetOption
		flags = bit(m.Router, 0x80) | bit(m.Solicited, 0x40) | bit(m.Override, 0x20)
	}
	b = append(b, byte(m.Type), 0, 0, 0, flags, 0, 0, 0)
	b = append(b, target[:]...)
	if m.LinkLayer != (MAC{}) {
		b = append(append(b, option, 1), m.LinkLayer[:]...)
	}
	binary.BigEndian.PutUint16(b[start+2:], checksum(m.Src, m.Dst, b[start:]))
	return b
}

func bit(on bool, value byte) byte {
	if on {
		return value
	}
	return 0
}

// checksum is that of an ICMPv6 message with its pseudo-header (RFC 4443 §2.3, RFC 8200
// §8.1); 0 for one whose checksum is right.
func checksum(src, dst netip.Addr, body []byte) uint16 {
	s, d := src.As16(), dst.As16()
	sum := sum16(0, s[:])
	sum = sum16(sum, d[:])
	sum = sum16(sum+uint32(len(body))+icmpv6, body)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// sum16 adds up 16-bit words; at most 64 KiB of them, so that nothing overflows.
func sum16(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}
