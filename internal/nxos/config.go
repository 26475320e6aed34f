package nxos

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp/wire"
)

// What NX-OS does when nothing is configured.
const (
	DefaultKeepalive   = 60 * time.Second
	DefaultHold        = 180 * time.Second
	DefaultRestartTime = 120 * time.Second
	DefaultStaleTime   = 300 * time.Second
)

// DefaultBFDTimers are those of interfaces and of the switch.
var DefaultBFDTimers = BFDTimers{50 * time.Millisecond, 50 * time.Millisecond, 3}

// Config is a switch's configuration.
type Config struct {
	Hostname   string // empty: "switch"
	FeatureBGP bool   // said, which changes nothing
	FeatureBFD bool   // as well
	// Resilient has members of multipath sets come and go with few flows moved.
	Resilient  bool
	BFD        *BFDTimers // of all interfaces that have none of their own; nil: the defaults
	Interfaces []Interface
	BGP        *BGP // nil: none
}

// Interface is a layer-3 interface.
type Interface struct {
	Name         string // Ethernet1/1
	Description  string
	NoSwitchport bool
	Addrs        []netip.Prefix // host bits kept; the first of a family is its primary
	// Forward and LinkLocal are said of interfaces without addresses, and change
	// nothing: the kernel forwards on them, and gives each a link-local address.
	Forward, LinkLocal bool
	Shutdown           bool
	BFD                *BFDTimers // nil: the switch's
	// Echo is off unless it is asked for, other than on NX-OS: a neighbor may offer to
	// send echoes back and not forward, and would be taken for dead.
	Echo   bool
	BFDKey *BFDKey // nil: packets are not signed

	line int
}

// BFDTimers are how fast BFD detects.
type BFDTimers struct {
	Transmit, Receive time.Duration
	Multiplier        uint8
}

// BFDKey signs BFD packets.
type BFDKey struct {
	Type bfd.AuthType
	ID   uint8
	Key  string
}

// BGP is the routing process.
type BGP struct {
	AS              uint32
	RouterID        netip.Addr // zero: chosen among the interfaces' addresses
	Timers          *Timers    // nil: the defaults
	Relax           bool
	CompareRouterID bool
	AlwaysMED       bool // compare MEDs of different ASes
	MissingMEDWorst bool
	LogChanges      bool
	Shutdown        bool // no session is kept
	Restart         GracefulRestart
	Unaware         bool          // of graceful shutdown
	Draining        bool          // all neighbors
	PeerTimeout     time.Duration // of dynamic neighbors; 0: the default
	IPv4, IPv6      *Family
	Neighbors       []*Neighbor

	line int
}

// GracefulRestart is what the process says of it; durations of 0 mean the defaults.
type GracefulRestart struct {
	Off, HelperOnly             bool
	Restart, Stale, AcceptStale time.Duration
}

// Timers are a keepalive and a hold time.
type Timers struct{ Keepalive, Hold time.Duration }

// Family is an address family of the process. 0 means not configured.
type Family struct {
	MaxPaths, MaxPathsInternal int
	AddPath                    bool // all neighbors may send several paths
	LinkBandwidth              bool // weighs paths
}

// Neighbor is a BGP neighbor: that of an address, those of a prefix, or the one on
// an interface.
type Neighbor struct {
	Addr         netip.Addr
	Prefix       netip.Prefix
	Interface    string
	AS           uint32
	External     bool // of any AS but the switch's, in place of AS
	LocalAS      uint32
	Description  string
	Password     string
	Timers       *Timers // nil: the process's
	Shutdown     bool
	Draining     bool // its routes are used where there are no others
	UpdateSource string
	MultiHop     int   // 0: directly connected
	TTLSecurity  uint8 // hops; 0: off
	Passive      bool
	MaxPeers     int // 0: the default
	BFD          *NeighborBFD
	Role         *wire.Role
	StrictRole   bool
	IPv4, IPv6   *NeighborFamily

	line, sourceLine int
	lines            map[string]int // of what may be at odds with other lines
	asGiven          bool           // remote-as was there, with an error
}

// NeighborBFD has the path to a neighbor watched.
type NeighborBFD struct {
	Multihop bool
	Timers   *BFDTimers // of several hops; nil: the switch's
	Key      *BFDKey    // of several hops
}

// NeighborFamily is an address family exchanged with a neighbor.
type NeighborFamily struct {
	MaxPrefixes int // 0: the default limit
	Threshold   int // percent; 0: the default
	WarningOnly bool
	Restart     time.Duration // 0: a neighbor above its limit stays shut
	AddPath     bool
}

// Peer is how configurations call the neighbor.
func (n *Neighbor) Peer() string {
	switch {
	case n.Prefix.IsValid():
		return n.Prefix.String()
	case n.Interface != "":
		return n.Interface
	}
	return n.Addr.String()
}

// is4 says that the session runs over IPv4.
func (n *Neighbor) is4() bool {
	if n.Prefix.IsValid() {
		return n.Prefix.Addr().Is4()
	}
	return n.Addr.Is4()
}

// Name is the switch's name.
func (c *Config) Name() string {
	if c.Hostname == "" {
		return "switch"
	}
	return c.Hostname
}

// routerID is the configured one, or a loopback's address, or the highest address
// of all interfaces.
func (c *Config) routerID() netip.Addr {
	if c.BGP.RouterID.IsValid() {
		return c.BGP.RouterID
	}
	var loopback, highest netip.Addr
	for _, i := range c.Interfaces {
		a, ok := c.primary(i.Name, true)
		switch {
		case !ok || i.Shutdown:
		case len(i.Name) > 8 && i.Name[:8] == "loopback":
			if !loopback.IsValid() {
				loopback = a
			}
		case highest.Less(a):
			highest = a
		}
	}
	if loopback.IsValid() {
		return loopback
	}
	return highest
}

// primary returns an interface's first address of a family.
func (c *Config) primary(name string, v4 bool) (netip.Addr, bool) {
	i := slices.IndexFunc(c.Interfaces, func(i Interface) bool { return i.Name == name })
	if i < 0 {
		return netip.Addr{}, false
	}
	for _, p := range c.Interfaces[i].Addrs {
		if p.Addr().Is4() == v4 {
			return p.Addr(), true
		}
	}
	return netip.Addr{}, false
}
