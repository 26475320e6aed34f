package router

import (
	"fmt"
	"net/netip"
	"slices"
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
	Neighbors  []Neighbor
}

// Neighbor is a BGP neighbor.
type Neighbor struct {
	Addr        netip.Addr
	AS          uint32
	Description string
	// Shutdown neighbors are shown, and no session is kept with them.
	Shutdown bool
	// HoldTime is proposed to the neighbor; KeepaliveTime 0 means a third of what
	// is agreed.
	HoldTime, KeepaliveTime time.Duration
	Password                string // TCP MD5; empty: none
	// Families are the address families exchanged. Without any there is no session.
	Families []wire.Family
	// MaxPrefixes of each family; 0 means rib.DefaultLimit.
	MaxPrefixes map[wire.Family]int
	Source      netip.Addr // of our connections; zero: the kernel's choice
	Passive     bool       // the neighbor connects to us
	MultiHop    bool       // it may be further than one hop away
}

// Name is the neighbor's key in the engine and the tables.
func (n *Neighbor) Name() string { return n.Addr.String() }

// session is the neighbor as the engine wants it.
func (n *Neighbor) session(c *Config) bgp.Config {
	keepalive := &n.KeepaliveTime
	if n.KeepaliveTime == 0 {
		keepalive = nil
	}
	return bgp.Config{
		Name: n.Name(), LocalAS: c.AS, RemoteAS: n.AS, RouterID: c.RouterID,
		LocalAddr: n.Source, RemoteAddr: n.Addr,
		HoldTime: &n.HoldTime, KeepaliveTime: keepalive,
		Password: n.Password, Families: n.Families, Passive: n.Passive, MultiHop: n.MultiHop,
	}
}

// active says that a session is to be kept.
func (n *Neighbor) active() bool { return !n.Shutdown && len(n.Families) > 0 }

// Validate says what makes the configuration unusable.
func (c *Config) Validate() error {
	for i := range c.Neighbors {
		n := &c.Neighbors[i]
		if slices.ContainsFunc(c.Neighbors[:i], func(o Neighbor) bool { return o.Addr == n.Addr }) {
			return fmt.Errorf("neighbor %v is given twice", n.Addr)
		}
		session := n.session(c)
		if err := session.Validate(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) neighbor(name string) *Neighbor {
	for i := range c.Neighbors {
		if c.Neighbors[i].Name() == name {
			return &c.Neighbors[i]
		}
	}
	return nil
}

func (c *Config) policy(f wire.Family) rib.Policy {
	if f == wire.IPv4Unicast {
		return c.IPv4
	}
	return c.IPv6
}
