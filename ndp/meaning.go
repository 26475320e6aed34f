package ndp

import "net/netip"

// AllNodes is the group of all nodes on a link.
var AllNodes = netip.MustParseAddr("ff02::1")

// For says if the frame is for a station of this address: sent to it, or to the group
// that the packet is addressed to.
func (m Message) For(mac MAC) bool {
	return m.DstMAC == mac || m.Dst.IsMulticast() && m.DstMAC == groupMAC(m.Dst)
}

// Asks is the address that the message asks for: by multicast, or one node alone, which
// Neighbor Unreachability Detection does.
func (m Message) Asks() (addr netip.Addr, ok bool) { return m.Target, m.Type == Solicitation }

// Probes says if the message asks because the sender would like to have the address
// itself: Duplicate Address Detection (RFC 4862 §5.4.2).
func (m Message) Probes() bool { return m.Type == Solicitation && m.Src.IsUnspecified() }

// Claims is the address that the message says its sender has, and where: the target of
// an advertisement, the source of a solicitation. A probe claims none.
func (m Message) Claims() (addr netip.Addr, mac MAC, ok bool) {
	if m.Type == Advertisement {
		return m.Target, m.sender(), true
	}
	return m.Src, m.sender(), !m.Src.IsUnspecified()
}

// sender is where the message says its sender is to be found.
func (m Message) sender() MAC {
	if m.LinkLayer != (MAC{}) {
		return m.LinkLayer
	}
	return m.SrcMAC
}

// Answer is the advertisement in return for a solicitation, from a station that has the
// target at mac; src is an address of its interface (RFC 4861 §7.2.4). It goes to the
// asker, or, if the asker has no address yet, to all nodes.
func (m Message) Answer(mac MAC, src netip.Addr) Message {
	a := Message{
		DstMAC: m.sender(), SrcMAC: mac, Src: src, Dst: m.Src,
		Type: Advertisement, Target: m.Target, Solicited: true, LinkLayer: mac,
	}
	if m.Src.IsUnspecified() {
		a.Dst, a.DstMAC, a.Solicited = AllNodes, groupMAC(AllNodes), false
	}
	return a
}

// Announce is the advertisement that tells all nodes that addr is at mac from now on
// (RFC 4861 §7.2.6); src is an address of the interface.
func Announce(mac MAC, src, addr netip.Addr) Message {
	return Message{
		DstMAC: groupMAC(AllNodes), SrcMAC: mac, Src: src, Dst: AllNodes,
		Type: Advertisement, Target: addr, Override: true, LinkLayer: mac,
	}
}

// Probe asks if any other station has addr, from src, an address of the interface. It is
// not Duplicate Address Detection, whose answer goes to all nodes: the answer comes to
// us alone, and no client's cache changes.
func Probe(mac MAC, src, addr netip.Addr) Message {
	group := SolicitedNode(addr)
	return Message{
		DstMAC: groupMAC(group), SrcMAC: mac, Src: src, Dst: group,
		Type: Solicitation, Target: addr, LinkLayer: mac,
	}
}
