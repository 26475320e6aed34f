package nxos

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

// Preferences (administrative distances) of NX-OS.
const (
	preferenceExternal = 20
	preferenceInternal = 200
)

// route is a prefix in show ip route.
type route struct {
	prefix   netip.Prefix
	attached bool
	via      []via
}

// via is one of its next hops.
type via struct {
	hop        netip.Addr
	iface      string // empty: found by recursion, and not shown; link-local hops have one
	preference int
	metric     uint32
	age        time.Duration
	client     string // direct, local, bgp-65210
	kind       string // external, internal; empty if it is neither
	tag        uint32
}

// routeView is show ip route, perhaps of one protocol.
type routeView struct {
	family wire.Family
	routes []route
}

// bgpRoutes are the routes in use.
func bgpRoutes(status *router.Status, entries []rib.Entry, names map[string]string) []route {
	var out []route
	for _, e := range entries {
		r := route{prefix: e.Prefix}
		for i := range e.Paths {
			p := &e.Paths[i]
			if !p.Used() {
				continue
			}
			v := via{
				hop: p.NextHop.WithZone(""), preference: preferenceExternal, metric: p.Attrs.MED.Or(0), age: status.Now.Sub(p.Since),
				client: fmt.Sprintf("bgp-%d", status.AS), kind: "external", tag: p.Attrs.NeighborAS,
			}
			if linkLocal(v.hop) {
				device := cmp.Or(p.Source.Interface, p.NextHop.Zone(), p.Source.Addr.Zone())
				v.iface = shortInterface(interfaceName(device, names))
			}
			if p.Source.Internal {
				v.preference, v.kind = preferenceInternal, "internal"
			}
			if v.tag == 0 {
				v.tag = p.Source.AS
			}
			r.via = append(r.via, v)
		}
		if len(r.via) == 0 {
			continue
		}
		slices.SortFunc(r.via, func(a, b via) int { return a.hop.Compare(b.hop) })
		out = append(out, r)
	}
	return out
}

// connectedRoutes are the networks of the interfaces and their own addresses.
func connectedRoutes(status *router.Status, f wire.Family, names map[string]string) []route {
	var out []route
	age := status.Now.Sub(status.Since)
	for _, c := range status.Connected {
		a := c.Prefix.Addr()
		if family(a) != f || a.IsLoopback() {
			continue
		}
		name := shortInterface(cmp.Or(names[c.Device], c.Device))
		host := netip.PrefixFrom(a, a.BitLen())
		if c.Prefix != host {
			out = append(out, route{c.Prefix.Masked(), true, []via{{hop: a, iface: name, age: age, client: "direct"}}})
		}
		out = append(out, route{host, true, []via{{hop: a, iface: name, age: age, client: "local"}}})
	}
	return out
}

// best keeps of each prefix the route of the lowest preference, sorted.
func best(routes []route) []route {
	slices.SortStableFunc(routes, func(a, b route) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()),
			cmp.Compare(a.via[0].preference, b.via[0].preference))
	})
	return slices.CompactFunc(routes, func(a, b route) bool { return a.prefix == b.prefix })
}

func (v *routeView) text() string {
	var b strings.Builder
	if v.family == wire.IPv4Unicast {
		b.WriteString("IP Route Table for VRF \"default\"\n'*' denotes best ucast next-hop\n'**' denotes best mcast next-hop\n")
		b.WriteString("'[x/y]' denotes [preference/metric]\n'%<string>' in via output denotes VRF <string>\n\n")
	} else {
		b.WriteString("IPv6 Routing Table for VRF \"default\"\n'*' denotes best ucast next-hop\n'**' denotes best mcast next-hop\n")
		b.WriteString("'[x/y]' denotes [preference/metric]\n\n")
	}
	if len(v.routes) == 0 {
		b.WriteString("Route not found\n")
	}
	for _, r := range v.routes {
		fmt.Fprintf(&b, "%v, ubest/mbest: %d/0", r.prefix, len(r.via))
		if r.attached {
			b.WriteString(", attached")
		}
		b.WriteByte('\n')
		for _, h := range r.via {
			fmt.Fprintf(&b, "    *via %v, ", h.hop)
			if h.iface != "" {
				fmt.Fprintf(&b, "%s, ", h.iface)
			}
			fmt.Fprintf(&b, "[%d/%d], %s, %s", h.preference, h.metric, clock(h.age), h.client)
			if h.kind != "" {
				fmt.Fprintf(&b, ", %s, tag %d", h.kind, h.tag)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func (v *routeView) json() object {
	var prefixes []object
	for _, r := range v.routes {
		var paths []object
		for _, h := range r.via {
			row := object{}.str("ipnexthop", h.hop)
			if h.iface != "" {
				row = row.str("ifname", h.iface)
			}
			row = row.str("uptime", iso(h.age)).str("pref", h.preference).str("metric", h.metric).str("clientname", h.client)
			if h.kind != "" {
				row = row.str("type", h.kind).str("tag", h.tag)
			}
			paths = append(paths, row.str("ubest", true))
		}
		prefixes = append(prefixes, object{}.str("ipprefix", r.prefix).str("ucast-nhops", len(r.via)).str("mcast-nhops", 0).
			str("attached", r.attached).table("path", paths))
	}
	name := map[bool]string{true: "ipv4", false: "ipv6"}[v.family == wire.IPv4Unicast]
	addrf := object{}.str("addrf", name).table("prefix", prefixes)
	return object{}.table("vrf", []object{object{}.str("vrf-name-out", "default").table("addrf", []object{addrf})})
}
