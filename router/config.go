package router

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

// Config is what the router shall do. It is a value that nobody changes.
type Config struct {
	AS         uint32
	RouterID   netip.Addr // IPv4
	IPv4, IPv6 rib.Policy
	// Resilient has members of multipath sets come and go with as few flows moved as
	// possible (hardware profile ecmp resilient). Changing it moves all flows once.
	Resilient bool
	Neighbors []Neighbor
}

// Neighbor is a BGP neighbor, or all those of a prefix.
type Neighbor struct {
	// Addr, Prefix or Interface says who it is: the host with this address, every host
	// of this network that connects (dynamic neighbors), or the one host on this link
	// (unnumbered).
	Addr      netip.Addr
	Prefix    netip.Prefix
	Interface string
	AS        uint32
	// AnyExternal takes a neighbor of any AS but ours; AS is 0 then.
	AnyExternal bool
	// LocalAS is our AS number in this session, if it is not Config.AS (local-as); 0:
	// it is.
	LocalAS     uint32
	Description string
	// Draining neighbors' routes are used only where there are no others
	// (graceful-shutdown activate).
	Draining bool
	// Shutdown neighbors are shown, and no session is kept with them.
	Shutdown bool
	// HoldTime is proposed to the neighbor; KeepaliveTime 0 means a third of what
	// is agreed.
	HoldTime, KeepaliveTime time.Duration
	Password                string // TCP MD5; empty: none
	// Families are the address families exchanged. Without any there is no session.
	Families    []wire.Family
	MaxPrefixes map[wire.Family]PrefixLimit
	// StaleTime is how long stale paths of a neighbor that is back are used at most,
	// while it sends its table; 0 means 300 s (graceful-restart stalepath-time).
	StaleTime time.Duration
	// PeerTimeout is how long a dynamic neighbor is known after its session ended; 0
	// means 30 s (prefix-peer-timeout). MaxPeers is how many a Prefix may have at a
	// time; 0 means bgp.DefaultDynamicLimit (maximum-peers).
	PeerTimeout time.Duration
	MaxPeers    int
	// GracefulRestart, if not nil, offers graceful restart and helps the neighbor that
	// does. AddPath offers to receive several paths to one prefix.
	GracefulRestart *bgp.GracefulRestart
	AddPath         bool
	// Role, if not nil, is what we are to the neighbor (RFC 9234); StrictRole refuses
	// one that tells no role.
	Role       *wire.Role
	StrictRole bool
	// BFD, if not nil, has the path to the neighbor watched.
	BFD      *bgp.BFD
	Source   netip.Addr // of our connections; zero: the kernel's choice
	Passive  bool       // the neighbor connects to us
	MultiHop bool       // it may be further than one hop away
	// TTLSecurity is how many hops the neighbor's packets may have come at most (GTSM),
	// in MultiHop's place; 0: it is not looked at.
	TTLSecurity uint8
}

// Name is the neighbor's key in the engine and the tables; dynamic neighbors have
// names of their own besides.
func (n *Neighbor) Name() string {
	switch {
	case n.Prefix.IsValid():
		return n.Prefix.Masked().String()
	case n.Interface != "":
		return n.Interface
	}
	return n.Addr.String()
}

func (n *Neighbor) localAS(c *Config) uint32 { return cmp.Or(n.LocalAS, c.AS) }

// remoteAS is the neighbor's AS number, as it is configured or as the neighbor says;
// 0: not known.
func (n *Neighbor) remoteAS(s *bgp.SessionStatus) uint32 {
	if n.AnyExternal {
		return s.RemoteAS
	}
	return n.AS
}

func (n *Neighbor) staleTime() time.Duration { return cmp.Or(n.StaleTime, defaultStaleTime) }

func (n *Neighbor) peerTimeout() time.Duration { return cmp.Or(n.PeerTimeout, defaultPeerTimeout) }

// session is the neighbor as the engine wants it.
func (n *Neighbor) session(c *Config) bgp.Config {
	keepalive := &n.KeepaliveTime
	if n.KeepaliveTime == 0 {
		keepalive = nil
	}
	out := bgp.Config{
		Name: n.Name(), LocalAS: n.localAS(c), RemoteAS: n.AS, AnyExternal: n.AnyExternal, RouterID: c.RouterID,
		LocalAddr: n.Source, RemoteAddr: n.Addr, RemotePrefix: n.Prefix, Interface: n.Interface,
		HoldTime: &n.HoldTime, KeepaliveTime: keepalive,
		Password: n.Password, Families: n.Families, Passive: n.Passive, MultiHop: n.MultiHop, TTLSecurity: n.TTLSecurity,
		GracefulRestart: n.GracefulRestart, Role: n.Role, StrictRole: n.StrictRole, BFD: n.BFD,
	}
	if n.AddPath {
		out.AddPath = wire.AddPathReceive
	}
	if n.Prefix.IsValid() {
		out.DynamicLimit, out.DynamicTimeout = n.MaxPeers, n.peerTimeout()
	}
	return out
}

// active says that a session is to be kept.
func (n *Neighbor) active() bool { return !n.Shutdown && len(n.Families) > 0 }

// Validate says what makes the configuration unusable.
func (c *Config) Validate() error {
	seen := make(map[string]bool, len(c.Neighbors))
	for i := range c.Neighbors {
		n := &c.Neighbors[i]
		if seen[n.Name()] {
			return fmt.Errorf("neighbor %s is given twice", n.Name())
		}
		seen[n.Name()] = true
		session := n.session(c)
		if err := session.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// byName are the neighbors by their names.
func (c *Config) byName() map[string]*Neighbor {
	out := make(map[string]*Neighbor, len(c.Neighbors))
	for i := range c.Neighbors {
		out[c.Neighbors[i].Name()] = &c.Neighbors[i]
	}
	return out
}

func (c *Config) policy(f wire.Family) rib.Policy {
	if f == wire.IPv4Unicast {
		return c.IPv4
	}
	return c.IPv6
}
