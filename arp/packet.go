package arp

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Len is the length of a frame that Append writes, in octets. Links pad it to their
// least length.
const Len = 42

// EtherType is ARP's number in an Ethernet header.
const EtherType = 0x0806

// MAC is an Ethernet address.
type MAC = [6]byte

// Broadcast is the Ethernet address of all stations.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Op says what a packet is for (RFC 826: ar$op).
type Op uint16

// The two that are used; Parse refuses others.
const (
	Request Op = 1
	Reply   Op = 2
)

// Packet is one ARP packet for IPv4 and the Ethernet header before it.
type Packet struct {
	Dst, Src  MAC // of the Ethernet header
	Op        Op
	SenderMAC MAC
	SenderIP  netip.Addr // 0.0.0.0 in a probe
	TargetMAC MAC        // of no meaning in a request
	TargetIP  netip.Addr
}

// Why a frame is not one that Parse accepts.
var (
	ErrShort    = errors.New("frame is shorter than an ARP packet")
	ErrType     = errors.New("frame is not ARP")
	ErrProtocol = errors.New("ARP is not for IPv4 on Ethernet")
	ErrOp       = errors.New("ARP operation is neither request nor reply")
	ErrSender   = errors.New("ARP sender is not a single station")
)

// fixed are the octets from the EtherType to the operation.
const fixed = "\x08\x06\x00\x01\x08\x00\x06\x04"

// Parse reads a frame. What follows the packet, be it padding, does not count. Frames
// with a VLAN tag are refused: they belong to another link. The errors are this package's.
func Parse(frame []byte) (Packet, error) {
	if len(frame) < Len {
		return Packet{}, ErrShort
	}
	if got := string(frame[12:20]); got != fixed {
		if got[:2] != fixed[:2] {
			return Packet{}, ErrType
		}
		return Packet{}, ErrProtocol
	}
	p := Packet{
		Dst: MAC(frame[0:]), Src: MAC(frame[6:]), Op: Op(binary.BigEndian.Uint16(frame[20:])),
		SenderMAC: MAC(frame[22:]), SenderIP: netip.AddrFrom4([4]byte(frame[28:])),
		TargetMAC: MAC(frame[32:]), TargetIP: netip.AddrFrom4([4]byte(frame[38:])),
	}
	if p.Op != Request && p.Op != Reply {
		return Packet{}, ErrOp
	}
	// Who believed such a sender would send to a group, or to nobody.
	if !station(p.Src) || !station(p.SenderMAC) {
		return Packet{}, ErrSender
	}
	return p, nil
}

// station says if an address can be that of one station.
func station(m MAC) bool { return m[0]&1 == 0 && m != MAC{} }

// Append writes the packet to the end of b, as Len octets. Its IP addresses must be
// IPv4.
func (p Packet) Append(b []byte) []byte {
	b = append(b, p.Dst[:]...)
	b = append(b, p.Src[:]...)
	b = append(b, fixed...)
	b = binary.BigEndian.AppendUint16(b, uint16(p.Op))
	for _, end := range [...]struct {
		mac MAC
		ip  netip.Addr
	}{{p.SenderMAC, p.SenderIP}, {p.TargetMAC, p.TargetIP}} {
		ip := end.ip.As4()
		b = append(append(b, end.mac[:]...), ip[:]...)
	}
	return b
}
