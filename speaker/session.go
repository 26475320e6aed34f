package speaker

import (
	"hash/crc32"
	"math/bits"
	"net/netip"
	"reflect"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/why"
)

// session is a peer as this node talks to it.
type session struct {
	peer   string // its name in the configuration
	config bgp.Config
}

// sessionKey names a peer's session by what makes it one, not by the peer's
// name: the legacy configuration numbers its peers, and removing the first must
// not reset the others.
func sessionKey(p *pharos.Peer) string {
	key := netip.AddrPortFrom(p.Addr, peerPort(p)).String()
	if p.SourceAddr.IsValid() {
		key += " from " + p.SourceAddr.String()
	}
	return key
}

func peerPort(p *pharos.Peer) uint16 {
	if p.Port == 0 {
		return bgp.Port
	}
	return p.Port
}

// sessions returns the sessions of the peers that select node self. A peer that
// the engine can't be given is left out, with the reason.
func sessions(cfg *pharos.Config, self *pharos.Node) (list []session, problems []why.Reason) {
	for i := range cfg.Peers {
		p := &cfg.Peers[i]
		if !pharos.MatchesAny(p.NodeSelectors, self.Labels) {
			continue
		}
		c := sessionConfig(p, self)
		c.Export, c.BFD = owned(cfg, p), watch(cfg, p)
		if err := c.Validate(); err != nil {
			problems = append(problems, why.New(why.ConfigInvalid, "node %s leaves out peer %q: %v", self.Name, p.Name, err))
			continue
		}
		if twin := slices.IndexFunc(list, func(s session) bool { return s.config.Name == c.Name }); twin >= 0 {
			if !reflect.DeepEqual(list[twin].config, c) {
				problems = append(problems, why.New(why.ConfigInvalid,
					"node %s leaves out peer %q: peer %q has the same address and port; tell them apart by node selectors", self.Name, p.Name, list[twin].peer))
			}
			continue
		}
		list = append(list, session{peer: p.Name, config: c})
	}
	return list, problems
}

func sessionConfig(p *pharos.Peer, self *pharos.Node) bgp.Config {
	c := bgp.Config{
		Name:          sessionKey(p),
		LocalAS:       p.LocalAS,
		RemoteAS:      p.RemoteAS,
		RouterID:      p.RouterID,
		LocalAddr:     p.SourceAddr,
		RemoteAddr:    p.Addr,
		RemotePort:    p.Port,
		HoldTime:      p.HoldTime,
		KeepaliveTime: p.KeepaliveTime,
		Password:      p.Password.Reveal(),
		Families:      []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast},
		// Files from MetalLB's native mode name peers behind routers without
		// ebgp-multihop, which did not exist or was not asked for: no peer is
		// held to one hop.
		MultiHop: true,
	}
	if !c.RouterID.IsValid() {
		c.RouterID = routerID(self)
	}
	// A session's own family has the session's address as next hop; the other
	// one has the node's.
	if p.Addr.Is4() {
		c.NextHopIPv6 = addressOf(self, netip.Addr.Is6)
	} else {
		c.NextHopIPv4 = addressOf(self, netip.Addr.Is4)
	}
	return c
}

func addressOf(n *pharos.Node, family func(netip.Addr) bool) netip.Addr {
	if i := slices.IndexFunc(n.Addresses, family); i >= 0 {
		return n.Addresses[i]
	}
	return netip.Addr{}
}

// routerID is the node's first IPv4 address, or for a node without one a number
// made of its name, as any non-zero one will do (RFC 6286 §2.1).
func routerID(n *pharos.Node) netip.Addr {
	if a := addressOf(n, netip.Addr.Is4); a.IsValid() {
		return a
	}
	// MetalLB's number for the same case: the checksum, low octet first.
	sum := bits.ReverseBytes32(crc32.ChecksumIEEE([]byte(n.Name)))
	if sum == 0 {
		sum = 1
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}
