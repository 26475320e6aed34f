package arp

import "net/netip"

// For says if the frame is for a station of this address: sent to it, or to all.
func (p Packet) For(mac MAC) bool { return p.Dst == mac || p.Dst == Broadcast }

// Asks is the address that the packet asks for. Announcements, which ask for the
// sender's own address, ask nobody (RFC 5227 §3).
func (p Packet) Asks() (addr netip.Addr, ok bool) {
	return p.TargetIP, p.Op == Request && p.TargetIP != p.SenderIP
}

// Probes says if the packet asks because the sender would like to have the address
// itself (RFC 5227 §1.1: ARP Probe).
func (p Packet) Probes() bool { return p.Op == Request && p.SenderIP.IsUnspecified() }

// Claims is the address that the packet says the sender has, at p.SenderMAC: every
// packet does, question or answer, but a probe (RFC 5227 §2.4).
func (p Packet) Claims() (addr netip.Addr, ok bool) {
	return p.SenderIP, !p.SenderIP.IsUnspecified()
}

// Answer is the reply to a question, from a station that has the address at mac: to the
// asker alone.
func (p Packet) Answer(mac MAC) Packet {
	return Packet{
		Dst: p.SenderMAC, Src: mac, Op: Reply,
		SenderMAC: mac, SenderIP: p.TargetIP,
		TargetMAC: p.SenderMAC, TargetIP: p.SenderIP,
	}
}

// Announce are the packets that tell all stations that addr is at mac from now on
// (gratuitous ARP). There are two, as some systems heed only requests, which RFC 5227
// §2.3 prescribes, and some only replies; the target's hardware address is that of all
// stations, as MetalLB's is, and nobody looks at it.
func Announce(mac MAC, addr netip.Addr) [2]Packet {
	p := Packet{
		Dst: Broadcast, Src: mac, Op: Request,
		SenderMAC: mac, SenderIP: addr,
		TargetMAC: Broadcast, TargetIP: addr,
	}
	reply := p
	reply.Op = Reply
	return [2]Packet{p, reply}
}

// Probe asks if any other station has addr. As it names no sender's address, no
// station's table changes (RFC 5227 §2.1.1).
func Probe(mac MAC, addr netip.Addr) Packet {
	return Packet{
		Dst: Broadcast, Src: mac, Op: Request,
		SenderMAC: mac, SenderIP: netip.IPv4Unspecified(),
		TargetIP: addr,
	}
}
