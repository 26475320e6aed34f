package bgp

import "net/netip"

// Resolve gives unnumbered peers (Config.Interface without RemoteAddr) the
// link-local address of the neighbor that was found on their interface. neighbors
// has addresses by interface, with or without a zone. Peers whose neighbor is not
// known stay without an address, so that the server waits with them and keeps what
// they shall be sent. Configs that name an address are left alone; the slice is a
// new one.
//
//	for { SetPeers(Resolve(configs, finder.Neighbors())); <-finder.Changed() }
func Resolve(configs []Config, neighbors map[string]netip.Addr) []Config {
	out := make([]Config, len(configs))
	for i, c := range configs {
		if a := neighbors[c.Interface]; c.Unnumbered() && a.IsLinkLocalUnicast() && a.Is6() {
			c.RemoteAddr = a.WithZone(c.Interface)
		}
		out[i] = c
	}
	return out
}

// Unnumbered says whether the peer's address is yet to be found on its Interface.
func (c *Config) Unnumbered() bool {
	return c.Interface != "" && !c.RemoteAddr.IsValid() && !c.RemotePrefix.IsValid()
}
