package ndp

import "net/netip"

// solicitedNode are all solicited-node groups.
var solicitedNode = netip.MustParsePrefix("ff02::1:ff00:0/104")

// SolicitedNode is the multicast group in which addr is asked for (RFC 4291 §2.7.1).
// Addresses that end in the same 24 bits share one.
func SolicitedNode(addr netip.Addr) netip.Addr {
	group, a := solicitedNode.Addr().As16(), addr.As16()
	copy(group[13:], a[13:])
	return netip.AddrFrom16(group)
}

// groupMAC is the Ethernet address of an IPv6 multicast group (RFC 2464 §7).
func groupMAC(group netip.Addr) MAC {
	g := group.As16()
	return MAC{0x33, 0x33, g[12], g[13], g[14], g[15]}
}

// Groups counts which solicited-node groups a set of addresses needs. The zero value is
// of no addresses.
type Groups struct{ users map[netip.Addr]int }

// Add takes an address in that is not there yet. first says that its group was not
// needed before.
func (g *Groups) Add(addr netip.Addr) (group netip.Addr, first bool) {
	if g.users == nil {
		g.users = make(map[netip.Addr]int)
	}
	group = SolicitedNode(addr)
	g.users[group]++
	return group, g.users[group] == 1
}

// Remove takes an address out. last says that its group was needed for it, and is needed
// no more.
func (g *Groups) Remove(addr netip.Addr) (group netip.Addr, last bool) {
	group = SolicitedNode(addr)
	n, there := g.users[group]
	if n > 1 {
		g.users[group] = n - 1
		return group, false
	}
	delete(g.users, group)
	return group, there
}
