package nxos

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

// Router is the routing process as the router role takes it. devices has the kernel's
// names of interfaces; one that it lacks is called as in the configuration.
func (c *Config) Router(devices map[string]string) router.Config {
	b := c.BGP
	if b == nil {
		return router.Config{}
	}
	out := router.Config{
		AS: b.AS, RouterID: c.routerID(), IPv4: b.policy(b.IPv4), IPv6: b.policy(b.IPv6), Resilient: c.Resilient,
	}
	for _, n := range b.Neighbors {
		out.Neighbors = append(out.Neighbors, c.neighbor(n, devices))
	}
	return out
}

func (c *Config) neighbor(n *Neighbor, devices map[string]string) router.Neighbor {
	b := c.BGP
	timers := Timers{DefaultKeepalive, DefaultHold}
	if b.Timers != nil {
		timers = *b.Timers
	}
	if n.Timers != nil {
		timers = *n.Timers
	}
	device := func(name string) string { return cmp.Or(devices[name], name) }
	out := router.Neighbor{
		Addr: n.Addr, Prefix: n.Prefix, AS: n.AS, AnyExternal: n.External, LocalAS: n.LocalAS,
		Description: n.Description, Shutdown: n.Shutdown || b.Shutdown, Draining: n.Draining || b.Draining,
		HoldTime: timers.Hold, KeepaliveTime: timers.Keepalive, Password: n.Password,
		Passive: n.Passive, MultiHop: n.MultiHop > 1, TTLSecurity: n.TTLSecurity,
		MaxPrefixes:     make(map[wire.Family]router.PrefixLimit),
		GracefulRestart: b.Restart.offer(), StaleTime: cmp.Or(b.Restart.Stale, DefaultStaleTime),
		MaxPeers: n.MaxPeers, Role: n.Role, StrictRole: n.StrictRole, BFD: c.bfd(n),
	}
	if n.Prefix.IsValid() {
		out.PeerTimeout = b.PeerTimeout
	}
	if n.Interface != "" {
		out.Interface = device(n.Interface)
	}
	switch {
	case n.UpdateSource == "":
	case linkLocal(n.Addr):
		out.Addr = n.Addr.WithZone(device(n.UpdateSource))
	default:
		out.Source, _ = c.primary(n.UpdateSource, n.is4())
	}
	for _, f := range []struct {
		family    wire.Family
		of        *NeighborFamily
		processes *Family
	}{{wire.IPv4Unicast, n.IPv4, b.IPv4}, {wire.IPv6Unicast, n.IPv6, b.IPv6}} {
		if f.of == nil {
			continue
		}
		out.Families = append(out.Families, f.family)
		out.MaxPrefixes[f.family] = router.PrefixLimit{
			Max: f.of.MaxPrefixes, Threshold: f.of.Threshold, WarningOnly: f.of.WarningOnly, Restart: f.of.Restart,
		}
		// The engine offers it for all families of a session or for none.
		out.AddPath = out.AddPath || f.of.AddPath || f.processes != nil && f.processes.AddPath
	}
	return out
}

func (b *BGP) policy(f *Family) rib.Policy {
	p := rib.Policy{Relax: b.Relax, CompareRouterID: b.CompareRouterID,
		AlwaysCompareMED: b.AlwaysMED, MissingMEDWorst: b.MissingMEDWorst, IgnoreGracefulShutdown: b.Unaware}
	if f != nil {
		p.MaxPaths, p.MaxPathsInternal, p.LinkBandwidth = f.MaxPaths, f.MaxPathsInternal, f.LinkBandwidth
	}
	return p
}

// offer is what neighbors are offered of graceful restart; nil: nothing.
func (g GracefulRestart) offer() *bgp.GracefulRestart {
	if g.Off {
		return nil
	}
	out := &bgp.GracefulRestart{Restart: cmp.Or(g.Restart, DefaultRestartTime), MaxLongLived: g.AcceptStale}
	if g.HelperOnly {
		out.Restart = 0
	}
	return out
}

// bfd is how the path to a neighbor is watched: over one hop as its interface says,
// over several as the neighbor itself; what neither says, as the switch says.
func (c *Config) bfd(n *Neighbor) *bgp.BFD {
	if n.BFD == nil {
		return nil
	}
	timers, key := n.BFD.Timers, n.BFD.Key
	out := &bgp.BFD{Multihop: n.BFD.Multihop}
	if i := c.towards(n); i != nil && !n.BFD.Multihop {
		timers, key, out.EchoMode = i.BFD, i.BFDKey, i.Echo
	}
	if timers == nil {
		timers = c.BFD
	}
	if timers == nil {
		timers = &DefaultBFDTimers
	}
	out.TransmitInterval, out.ReceiveInterval, out.DetectMultiplier = timers.Transmit, timers.Receive, timers.Multiplier
	if key != nil {
		out.Auth = &bfd.Auth{Type: key.Type, KeyID: key.ID, Key: key.Key}
	}
	return out
}

// towards is the interface on whose network a neighbor is; nil: none.
func (c *Config) towards(n *Neighbor) *Interface {
	name := n.Interface
	if linkLocal(n.Addr) {
		name = n.UpdateSource
	}
	a := n.Addr
	if n.Prefix.IsValid() {
		a = n.Prefix.Addr()
	}
	i := slices.IndexFunc(c.Interfaces, func(i Interface) bool {
		return name != "" && i.Name == name ||
			name == "" && slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Contains(a) })
	})
	if i < 0 {
		return nil
	}
	return &c.Interfaces[i]
}

// linkLocal says that an address is one that only its link knows.
func linkLocal(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }
