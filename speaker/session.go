package speaker

import (
	"cmp"
	"hash/crc32"
	"math/bits"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/why"
)

// RestartTime is how long a peer keeps our routes while the speaker is away, where
// graceful restart is asked for: what FRR, and so MetalLB, asks of peers.
const RestartTime = 120 * time.Second

// session is a peer as this node talks to it.
type session struct {
	peer   string // its name in the configuration
	link   string // the interface that the peer is found on; empty: it has an address
	vrf    string // empty: the default one
	config bgp.Config

	// refused, unless OK, says why the engine is not given the session.
	refused why.Reason
}

// sessionKey names a peer's session by what makes it one, not by the peer's
// name: the legacy configuration numbers its peers, and removing the first must
// not reset the others.
func sessionKey(p *pharos.Peer) string {
	port := cmp.Or(p.Port, bgp.Port)
	key := netip.AddrPortFrom(p.Addr, port).String()
	if !p.Addr.IsValid() {
		key = net.JoinHostPort(p.Interface, strconv.Itoa(int(port)))
	}
	if p.SourceAddr.IsValid() {
		key += " from " + p.SourceAddr.String()
	}
	if p.VRF != "" {
		key += " in vrf " + p.VRF
	}
	return key
}

// sessions returns the sessions of the peers that select node self. Peers that the
// engine can't be given are among them, and problems has the reasons.
func sessions(opt Options, cfg *pharos.Config, self *pharos.Node) (list []session, problems []why.Reason) {
	for i := range cfg.Peers {
		p := &cfg.Peers[i]
		if !pharos.MatchesAny(p.NodeSelectors, self.Labels) {
			continue
		}
		ses := session{peer: p.Name, link: p.Interface, vrf: p.VRF, config: sessionConfig(opt, p, self)}
		c := &ses.config
		c.Export, c.BFD = owned(cfg, p), watch(cfg, p)
		twin := slices.IndexFunc(list, func(s session) bool { return s.config.Name == c.Name && s.refused.Code == why.OK })
		err := c.Validate()
		switch {
		case p.Refused.Code != why.OK:
			ses.refused = p.Refused
		case err != nil:
			ses.refused = why.New(why.ConfigInvalid, "%v", err)
		case twin >= 0 && reflect.DeepEqual(list[twin].config, *c):
			continue
		case twin >= 0:
			ses.refused = why.New(why.ConfigInvalid, "peer %q has the same address and port; tell them apart by node selectors", list[twin].peer)
		}
		if ses.refused.Code != why.OK && p.Refused.Code == why.OK { // of the others the configuration's own problems tell
			problems = append(problems, why.New(ses.refused.Code, "node %s leaves out peer %s: %s", self.Name, where(p.Name, p.Origin), ses.refused))
		}
		list = append(list, ses)
	}
	return list, problems
}

func sessionConfig(opt Options, p *pharos.Peer, self *pharos.Node) bgp.Config {
	c := bgp.Config{
		Name: sessionKey(p),
		// A peer that is to know us by another AS sees nothing of our own: routes
		// are all our own, and carry the one that the OPEN names. So whether the
		// session is internal is decided by that one, as the peer decides it.
		LocalAS:       cmp.Or(p.LocalASOverride, p.LocalAS),
		RemoteAS:      p.RemoteAS,
		AnyExternal:   p.DynamicAS == pharos.External,
		RouterID:      p.RouterID,
		LocalAddr:     p.SourceAddr,
		RemoteAddr:    p.Addr,
		Interface:     p.Interface,
		Device:        p.VRF,
		RemotePort:    p.Port,
		HoldTime:      p.HoldTime,
		KeepaliveTime: p.KeepaliveTime,
		Password:      p.Password.Reveal(),
		// An external peer is one hop away unless it says otherwise.
		MultiHop: p.EBGPMultiHop || p.AnyDistance,
	}
	if p.DynamicAS == pharos.Internal {
		c.RemoteAS = c.LocalAS
	}
	if p.ConnectTime != nil {
		c.ConnectRetry = *p.ConnectTime
	}
	if p.GracefulRestart {
		c.GracefulRestart = &bgp.GracefulRestart{Restart: RestartTime, ForwardingLost: opt.ForwardingLost}
	}
	if !c.RouterID.IsValid() {
		c.RouterID = routerID(self)
	}
	switch {
	case !p.Addr.IsValid():
		// IPv4 goes by an IPv6 next hop (RFC 8950): the link need not have IPv4.
		c.Families = []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast}
	case p.DualStack:
		// A session's own family has the session's address as next hop; the other
		// one has the node's.
		c.Families = []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast}
		if p.Addr.Is4() {
			c.NextHopIPv6 = addressOf(self, netip.Addr.Is6)
		} else {
			c.NextHopIPv4 = addressOf(self, netip.Addr.Is4)
		}
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
