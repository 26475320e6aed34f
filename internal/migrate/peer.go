package migrate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// peers tells of the sessions that MetalLB's mode or version has otherwise than the
// configuration says.
func (c *check) peers() {
	var untimed []string
	for i := range c.config.Peers {
		p := &c.config.Peers[i]
		if p.Refused.Code != why.OK {
			continue
		}
		c.refusedByNative(p)
		c.ignoredByFRRK8s(p)
		c.distance(p)
		c.families(p)
		if p.HoldTime == nil && p.KeepaliveTime == nil {
			untimed = append(untimed, p.Name)
		}
	}
	if len(untimed) > 0 {
		is := map[Mode]string{Native: "90s", FRR: "180s", FRRK8s: "180s"}[c.m.Mode]
		c.report.note(Finding{Kind: Session, Object: "BGPPeers without holdTime: " + list(untimed), Is: "hold time " + or(is, "90s or 180s"), Becomes: "hold time 9s",
			Why:  "a router that is told nothing forgets a lost node after the hold time; the lower of the two that are proposed holds",
			Hint: "give holdTime what it is to be"})
	}
}

// differs tells of what one mode makes of a setting: a change where that mode is
// there, a note where the mode is not known, and nothing in another one.
func (c *check) differs(mode Mode, f Finding) {
	switch c.m.Mode {
	case mode:
		c.report.change(f)
	case "":
		f.Is += ", if MetalLB is in " + string(mode) + " mode"
		c.report.note(f)
	}
}

// object names a part of the configuration by where it is written.
func object(kind, name, origin string) string {
	if origin == "" || legacy(origin) {
		return strings.TrimSpace(or(origin, kind) + " " + name)
	}
	return origin
}

// refusedByNative: native mode refuses what only FRR can do, and with it all of the
// configuration, so that an older one is in force.
func (c *check) refusedByNative(p *pharos.Peer) {
	var fields []string
	add := func(set bool, field string) {
		if set {
			fields = append(fields, field)
		}
	}
	add(p.KeepaliveTime != nil, "keepaliveTime")
	add(p.VRF != "", "vrf")
	add(p.ConnectTime != nil, "connectTime")
	add(p.GracefulRestart, "enableGracefulRestart")
	add(p.DualStack && !legacy(p.Origin), "dualStackAddressFamily")
	add(p.DynamicAS != "", "dynamicASN")
	add(p.Interface != "", "interface")
	add(p.LocalASOverride != 0, "localASN")
	add(p.BFDProfile != "", "bfdProfile")
	if len(fields) > 0 && c.m.Mode == Native {
		c.report.change(Finding{Kind: Session, Object: object("BGPPeer", p.Name, p.Origin), Is: "refused by native mode, with all of the configuration", Becomes: "in force",
			Why: strings.Join(fields, ", ") + ": only MetalLB's FRR modes know it", Hint: "an older configuration is in force in MetalLB; see that this one is what you want"})
	}
}

// ignoredByFRRK8s: two fields pass MetalLB's validation and never reach frr-k8s.
func (c *check) ignoredByFRRK8s(p *pharos.Peer) {
	if p.SourceAddr.IsValid() {
		c.differs(FRRK8s, Finding{Kind: Session, Object: object("BGPPeer", p.Name, p.Origin), Is: "sourceAddress ignored: the kernel chooses", Becomes: "from " + p.SourceAddr.String(),
			Why: "frr-k8s mode does not hand sourceAddress on", Hint: "remove it, unless the router expects sessions from there; every node of the peer has to have the address"})
	}
	if p.LocalASOverride != 0 {
		c.differs(FRRK8s, Finding{Kind: Session, Object: object("BGPPeer", p.Name, p.Origin), Is: "localASN ignored: " + as(p.LocalAS), Becomes: as(p.LocalASOverride),
			Why: "frr-k8s mode does not hand localASN on", Hint: "remove it, unless the router expects that autonomous system"})
	}
}

// internal reports whether a session is internal.
func internal(p *pharos.Peer) bool {
	return p.DynamicAS == pharos.Internal || p.DynamicAS == "" && p.RemoteAS == cmp.Or(p.LocalASOverride, p.LocalAS)
}

// distance: native mode reaches external peers at any distance, Pharos as FRR does.
func (c *check) distance(p *pharos.Peer) {
	if p.EBGPMultiHop || p.AnyDistance || !p.Addr.IsValid() || internal(p) || c.near(p) {
		return
	}
	c.differs(Native, Finding{Kind: Session, Object: object("BGPPeer", p.Name, p.Origin), Is: "reached over any number of routers", Becomes: "one hop away, or no session",
		Why:  p.Addr.String() + " is in no network that a node has an address of, as far as addresses tell (the same /24 or /64)",
		Hint: "set ebgpMultiHop: true if there is a router between"})
}

// near reports whether every node of a peer has an address close to the peer's. The
// API does not tell the lengths of the nodes' networks: /24 and /64 are a guess.
func (c *check) near(p *pharos.Peer) bool {
	bits := 24
	if p.Addr.Is6() {
		if p.Addr.IsLinkLocalUnicast() {
			return true
		}
		bits = 64
	}
	network, _ := p.Addr.Prefix(bits)
	for _, n := range c.Nodes.All() {
		if pharos.MatchesAny(p.NodeSelectors, n.Labels) && !slices.ContainsFunc(n.Addresses, network.Contains) {
			return false
		}
	}
	return true
}

// families: which of them a session carries has changed from version to version.
func (c *check) families(p *pharos.Peer) {
	if !p.Addr.IsValid() {
		return
	}
	if p.Addr.Is6() && c.m.Mode == Native {
		f := Finding{Kind: Session, Object: object("BGPPeer", p.Name, p.Origin), Is: "IPv4 routes, malformed", Becomes: "IPv6 routes alone",
			Why: "native mode sends IPv4 routes to an IPv6 peer, with a next hop that is none", Hint: "set dualStackAddressFamily: true if the router is to get IPv4 routes here"}
		if p.DualStack {
			f.Becomes, f.Hint = "routes of both families", ""
		}
		c.report.change(f)
	}
	if p.DualStack || !c.m.Version.before(15) || c.m.Mode == Native || c.m.Mode == "" || slices.Contains(c.m.SingleFamily, p.Name) || !c.advertises(p, p.Addr.Is4()) {
		return
	}
	own, other := "IPv4", "IPv6"
	if p.Addr.Is6() {
		own, other = other, own
	}
	c.report.change(Finding{Kind: Announcement, Object: object("BGPPeer", p.Name, p.Origin), Is: own + " and " + other + " routes", Becomes: own + " routes alone",
		Why: "before 0.15 every session of MetalLB's FRR modes carried both families", Hint: "set dualStackAddressFamily: true"})
}

// advertises reports whether a pool with addresses of a family is announced to the
// peer.
func (c *check) advertises(p *pharos.Peer, six bool) bool {
	return slices.ContainsFunc(c.config.Advertisements, func(a pharos.Advertisement) bool {
		return a.Mode == pharos.BGP && (len(a.Peers) == 0 || slices.Contains(a.Peers, p.Name)) && c.covers(&a, six)
	})
}

// covers reports whether an advertisement covers a pool with addresses of a family.
func (c *check) covers(a *pharos.Advertisement, six bool) bool {
	return slices.ContainsFunc(a.Pools, func(name string) bool {
		pool := c.config.Pool(name)
		return pool != nil && slices.ContainsFunc(pool.Ranges, func(r pharos.Range) bool { return r.First.Is6() == six })
	})
}
