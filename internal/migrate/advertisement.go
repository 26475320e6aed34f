package migrate

import (
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// advertisements tells of the routes that MetalLB's mode has otherwise than the
// configuration says.
func (c *check) advertisements() {
	var everywhere []string
	routes := false
	for i := range c.config.Advertisements {
		a := &c.config.Advertisements[i]
		if a.Mode == pharos.Layer2 {
			if len(a.Interfaces) == 0 && len(a.Pools) > 0 {
				everywhere = append(everywhere, a.Name)
			}
			continue
		}
		goesTo := c.peersOf(a)
		routes = routes || len(goesTo) > 0 && !a.IGP
		if c.m.Mode == Native {
			c.refusedRoutes(a)
		}
		c.preference(a, goesTo)
	}
	c.origin(routes)
	if len(everywhere) > 0 {
		c.report.note(Finding{Kind: Owner, Object: "L2Advertisements without interfaces: " + list(everywhere), Is: "announced on all interfaces", Becomes: "on those whose subnets hold the address, or on all if there are none",
			Why: "others have no use for it; the API does not tell the nodes' subnets", Hint: "name them in interfaces to have others"})
	}
}

// peersOf returns the peers with a session on some node that an advertisement goes
// to.
func (c *check) peersOf(a *pharos.Advertisement) (list []*pharos.Peer) {
	for i := range c.config.Peers {
		if p := &c.config.Peers[i]; p.Refused.Code == why.OK && len(a.Pools) > 0 && (len(a.Peers) == 0 || slices.Contains(a.Peers, p.Name)) {
			list = append(list, p)
		}
	}
	return list
}

// refusedRoutes: native mode refuses what it cannot say, and all of the
// configuration with it.
func (c *check) refusedRoutes(a *pharos.Advertisement) {
	f := Finding{Kind: Announcement, Object: object("BGPAdvertisement", a.Name, a.Origin), Is: "refused by native mode, with all of the configuration", Becomes: "in force",
		Hint: "an older configuration is in force in MetalLB; see that this one is what you want"}
	if len(a.LargeCommunities) > 0 {
		f.Why = "large communities: only MetalLB's FRR modes know them"
		c.report.change(f)
	}
	if c.covers(a, true) && !legacy(a.Origin) {
		f.Why = "a pool with IPv6 addresses: only MetalLB's FRR modes announce them"
		c.report.change(f)
	}
}

// preference: native mode sends internal peers a local preference of 0 where none is
// set, everybody else 100.
func (c *check) preference(a *pharos.Advertisement, goesTo []*pharos.Peer) {
	var names []string
	for _, p := range goesTo {
		if internal(p) {
			names = append(names, p.Name)
		}
	}
	if a.LocalPref != nil || len(names) == 0 {
		return
	}
	c.differs(Native, Finding{Kind: Attribute, Object: object("BGPAdvertisement", a.Name, a.Origin), Is: "LOCAL_PREF 0", Becomes: "LOCAL_PREF 100",
		Why: "native mode sends internal peers (" + list(names) + ") 0 where localPref is not set", Hint: "set localPref if other routes are to win over these"})
}

// origin: MetalLB's FRR mode says that the ConfigMap's routes are of the IGP too.
func (c *check) origin(routes bool) {
	if !routes || c.m.Mode == Native {
		return
	}
	c.report.note(Finding{Kind: Attribute, Object: "the ConfigMap's BGP routes", Is: "ORIGIN IGP", Becomes: "ORIGIN incomplete",
		Why:  "a router prefers IGP: while some nodes have MetalLB still, it sends them all traffic of an address that both announce",
		Hint: "replace the speakers of all nodes at once, or mind the load of the last one"})
}
