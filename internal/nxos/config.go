package nxos

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

// Timers that NX-OS proposes when nothing is configured.
const (
	DefaultKeepalive = 60 * time.Second
	DefaultHold      = 180 * time.Second
)

// Config is a switch's configuration.
type Config struct {
	Hostname   string // empty: "switch"
	FeatureBGP bool   // said, which changes nothing
	Interfaces []Interface
	BGP        *BGP // nil: none
}

// Interface is a layer-3 interface.
type Interface struct {
	Name         string // Ethernet1/1
	Description  string
	NoSwitchport bool
	Addrs        []netip.Prefix // host bits kept; the first of a family is its primary
	Shutdown     bool

	line int
}

// BGP is the routing process.
type BGP struct {
	AS              uint32
	RouterID        netip.Addr // zero: chosen among the interfaces' addresses
	Timers          *Timers    // nil: the defaults
	Relax           bool
	CompareRouterID bool
	LogChanges      bool
	IPv4, IPv6      *Family
	Neighbors       []*Neighbor

	line int
}

// Timers are a keepalive and a hold time.
type Timers struct{ Keepalive, Hold time.Duration }

// Family is an address family of the process. 0 means not configured.
type Family struct{ MaxPaths, MaxPathsInternal int }

// Neighbor is a BGP neighbor.
type Neighbor struct {
	Addr         netip.Addr
	AS           uint32
	Description  string
	Password     string
	Timers       *Timers // nil: the process's
	Shutdown     bool
	UpdateSource string
	MultiHop     int // 0: directly connected
	Passive      bool
	IPv4, IPv6   *NeighborFamily

	line, sourceLine int
	asGiven          bool // remote-as was there, with an error
}

// NeighborFamily is an address family exchanged with a neighbor.
type NeighborFamily struct{ MaxPrefixes int } // 0: the default limit

// Name is the switch's name.
func (c *Config) Name() string {
	if c.Hostname == "" {
		return "switch"
	}
	return c.Hostname
}

// Router is the routing process as the router role takes it.
func (c *Config) Router() router.Config {
	b := c.BGP
	if b == nil {
		return router.Config{}
	}
	out := router.Config{AS: b.AS, RouterID: c.routerID(), IPv4: b.policy(b.IPv4), IPv6: b.policy(b.IPv6)}
	for _, n := range b.Neighbors {
		timers := Timers{DefaultKeepalive, DefaultHold}
		if b.Timers != nil {
			timers = *b.Timers
		}
		if n.Timers != nil {
			timers = *n.Timers
		}
		neighbor := router.Neighbor{
			Addr: n.Addr, AS: n.AS, Description: n.Description, Shutdown: n.Shutdown,
			HoldTime: timers.Hold, KeepaliveTime: timers.Keepalive, Password: n.Password,
			Passive: n.Passive, MultiHop: n.MultiHop > 1,
			MaxPrefixes: make(map[wire.Family]router.PrefixLimit),
		}
		if n.UpdateSource != "" {
			neighbor.Source, _ = c.primary(n.UpdateSource, n.Addr.Is4())
		}
		if n.IPv4 != nil {
			neighbor.Families = append(neighbor.Families, wire.IPv4Unicast)
			neighbor.MaxPrefixes[wire.IPv4Unicast] = router.PrefixLimit{Max: n.IPv4.MaxPrefixes}
		}
		if n.IPv6 != nil {
			neighbor.Families = append(neighbor.Families, wire.IPv6Unicast)
			neighbor.MaxPrefixes[wire.IPv6Unicast] = router.PrefixLimit{Max: n.IPv6.MaxPrefixes}
		}
		out.Neighbors = append(out.Neighbors, neighbor)
	}
	return out
}

func (b *BGP) policy(f *Family) rib.Policy {
	p := rib.Policy{Relax: b.Relax, CompareRouterID: b.CompareRouterID}
	if f != nil {
		p.MaxPaths, p.MaxPathsInternal = f.MaxPaths, f.MaxPathsInternal
	}
	return p
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
