package nxos

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

// legend explains the letters of show ip bgp.
const legend = `Status: s-suppressed, x-deleted, S-stale, d-dampened, h-history, *-valid, >-best
Path type: i-internal, e-external, c-confed, l-local, a-aggregate, r-redist, I-injected
Origin codes: i - IGP, e - EGP, ? - incomplete, | - multipath, & - backup, 2 - best2

   Network            Next Hop            Metric     LocPrf     Weight Path
`

// tableView is show ip bgp.
type tableView struct {
	status  router.Status
	family  wire.Family
	entries []rib.Entry
}

// codes are the three characters before a path: status, selection, path type.
func codes(p *rib.PathView) (status, selection, kind byte) {
	status, selection, kind = '*', ' ', 'e'
	switch {
	case p.Fault == rib.Deleted:
		status = 'x'
	case p.Fault != rib.OK:
		status = ' '
	case p.Stale:
		status = 'S'
	}
	switch {
	case p.Best:
		selection = '>'
	case p.Multipath:
		selection = '|'
	}
	switch {
	case p.Local:
		kind = 'l'
	case p.Source.Internal:
		kind = 'i'
	}
	return status, selection, kind
}

// originLetter ends a path.
func originLetter(o wire.Origin) byte {
	switch o {
	case wire.OriginIGP:
		return 'i'
	case wire.OriginEGP:
		return 'e'
	}
	return '?'
}

// localPref is the LocPrf column: that of external paths is empty.
func localPref(p *rib.PathView) string {
	if !p.Source.Internal && !p.Local && p.LocalPref == rib.DefaultLocalPref {
		return ""
	}
	return fmt.Sprint(p.LocalPref)
}

func metric(p *rib.PathView) string {
	if !p.Attrs.MED.Set {
		return ""
	}
	return fmt.Sprint(p.Attrs.MED.Value)
}

func asPath(p *rib.PathView) string {
	path := p.Attrs.ASPath.String()
	if path != "" {
		path += " "
	}
	return path + string(originLetter(p.Attrs.Origin))
}

func (v *tableView) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "BGP routing table information for VRF default, address family %s\n", familyName(v.family))
	fmt.Fprintf(&b, "BGP table version is %d, Local Router ID is %v\n", v.status.Summary(v.family).Version, v.status.RouterID)
	b.WriteString(legend)
	for _, e := range v.entries {
		prefix := e.Prefix.String()
		for i := range e.Paths {
			p := &e.Paths[i]
			status, selection, kind := codes(p)
			fmt.Fprintf(&b, "%c%c%c", status, selection, kind)
			if len(prefix) > 18 {
				fmt.Fprintf(&b, "%s\n%21s", prefix, "")
			} else {
				fmt.Fprintf(&b, "%-18s", prefix)
			}
			prefix = ""
			hop := p.NextHop.WithZone("").String()
			if len(hop) > 15 {
				fmt.Fprintf(&b, " %s\n%37s", hop, "")
			} else {
				fmt.Fprintf(&b, " %-15s", hop)
			}
			fmt.Fprintf(&b, " %10s %10s %10d %s\n", metric(p), localPref(p), p.Weight, asPath(p))
		}
	}
	return b.String()
}

func (v *tableView) json() object {
	var prefixes []object
	for _, e := range v.entries {
		var paths []object
		for i := range e.Paths {
			paths = append(paths, pathJSON(i, &e.Paths[i]))
		}
		prefixes = append(prefixes, object{}.str("ipprefix", e.Prefix).table("path", paths))
	}
	saf := object{}.str("safi", v.family.SAFI).str("af-name", familyName(v.family)).
		str("table-version", v.status.Summary(v.family).Version).str("router-id", v.status.RouterID).table("prefix", prefixes)
	af := object{}.str("afi", v.family.AFI).table("safi", []object{saf})
	return object{}.table("vrf", []object{object{}.str("vrf-name-out", "default").table("afi", []object{af})})
}

func pathJSON(i int, p *rib.PathView) object {
	status, selection, kind := codes(p)
	state := map[byte]string{'*': "valid", 'x': "deleted", 'S': "stale", ' ': "invalid"}[status]
	best := map[byte]string{'>': "bestpath", '|': "multipath", ' ': "none"}[selection]
	return object{}.str("pathnr", i).str("status", state).str("best", best).str("type", pathType(p)).
		str("statuscode", string(status)).str("bestcode", string(selection)).str("typecode", string(kind)).
		str("ipnexthop", p.NextHop.WithZone("")).str("metric", metric(p)).str("localpref", localPref(p)).str("weight", p.Weight).
		str("path", p.Attrs.ASPath).str("origin", string(originLetter(p.Attrs.Origin)))
}

func pathType(p *rib.PathView) string {
	switch {
	case p.Local:
		return "local"
	case p.Source.Internal:
		return "internal"
	}
	return "external"
}

// entryView is show ip bgp PREFIX.
type entryView struct {
	family wire.Family
	entry  rib.Entry
}

func (v *entryView) text() string {
	var b strings.Builder
	e := &v.entry
	best, multipath := 0, false
	for i, p := range e.Paths {
		if p.Best {
			best, multipath = i+1, p.Multipath
		}
	}
	fmt.Fprintf(&b, "BGP routing table information for VRF default, address family %s\n", familyName(v.family))
	fmt.Fprintf(&b, "BGP routing table entry for %v, version %d\n", e.Prefix, e.Version)
	fmt.Fprintf(&b, "Paths: (%d available, best #%d)\n", len(e.Paths), best)
	if best > 0 {
		b.WriteString("Flags: (0x8008001a) (high32 00000000) on xmit-list, is in urib, is best urib route, is in HW\n")
	} else {
		b.WriteString("Flags: (0x00000000) (high32 00000000)\n")
	}
	if multipath {
		fmt.Fprintf(&b, "Multipath: %s\n", map[bool]string{true: "iBGP", false: "eBGP"}[e.Best().Source.Internal])
	}
	for i := range e.Paths {
		p := &e.Paths[i]
		b.WriteByte('\n')
		if p.Best {
			b.WriteString("  Advertised path-id 1\n")
		}
		fmt.Fprintf(&b, "  Path type: %s, %s\n", pathType(p), standing(p))
		if path := p.Attrs.ASPath.String(); path != "" {
			fmt.Fprintf(&b, "  AS-Path: %s , path sourced %s to AS\n", path, pathType(p))
		} else {
			fmt.Fprintf(&b, "  AS-Path: NONE, path sourced %s to AS\n", pathType(p))
		}
		reach := fmt.Sprintf("(metric %d)", p.Metric)
		if p.Fault == rib.NextHopUnreachable {
			reach = "(inaccessible)"
		}
		fmt.Fprintf(&b, "    %v %s from %v (%v)\n", p.NextHop.WithZone(""), reach, p.Source.Addr.WithZone(""), p.Source.RouterID)
		med := "not set"
		if p.Attrs.MED.Set {
			med = fmt.Sprint(p.Attrs.MED.Value)
		}
		fmt.Fprintf(&b, "      Origin %s, MED %s, localpref %d, weight %d\n",
			strings.NewReplacer("INCOMPLETE", "incomplete").Replace(p.Attrs.Origin.String()), med, p.LocalPref, p.Weight)
		if len(p.Attrs.Communities) > 0 {
			b.WriteString("      Community:")
			for _, c := range p.Attrs.Communities {
				fmt.Fprintf(&b, " %v", c)
			}
			b.WriteByte('\n')
		}
		if len(p.Attrs.LargeCommunities) > 0 {
			b.WriteString("      Large Community:")
			for _, c := range p.Attrs.LargeCommunities {
				fmt.Fprintf(&b, " %v", c)
			}
			b.WriteByte('\n')
		}
		if p.Attrs.Bandwidth > 0 {
			fmt.Fprintf(&b, "      Extcommunity: link-bandwidth %.0f bytes/s\n", p.Attrs.Bandwidth)
		}
		if p.ID != 0 {
			fmt.Fprintf(&b, "      Received path-id %d\n", p.ID)
		}
	}
	b.WriteString("\n  Path-id 1 not advertised to any peer\n")
	return b.String()
}

// standing says what a path is and why.
func standing(p *rib.PathView) string {
	valid := "path is valid"
	switch {
	case p.LongLived:
		valid += ", is long-lived stale"
	case p.Stale:
		valid += ", is stale"
	}
	switch {
	case p.Fault == rib.Deleted:
		return "path is deleted, no labeled nexthop"
	case p.Fault != rib.OK:
		return "path is invalid(rnh not resolved), not best reason: " + p.Why.String() + ", no labeled nexthop"
	case p.Best:
		return valid + ", is best path, no labeled nexthop, in rib"
	case p.Multipath:
		return valid + ", not best reason: " + p.Why.String() + ", multipath, no labeled nexthop, in rib"
	}
	return valid + ", not best reason: " + p.Why.String() + ", no labeled nexthop"
}

func (v *entryView) json() object {
	var paths []object
	for i := range v.entry.Paths {
		p := &v.entry.Paths[i]
		row := pathJSON(i, p)
		if p.ID != 0 {
			row = row.str("pathid", p.ID)
		}
		row = row.str("neighbor", p.Source.Addr.WithZone("")).str("neighborid", p.Source.RouterID)
		if !p.Best {
			row = row.str("notbestreason", p.Why)
		}
		paths = append(paths, row)
	}
	prefix := object{}.str("ipprefix", v.entry.Prefix).str("version", v.entry.Version).str("totalpaths", len(v.entry.Paths)).table("path", paths)
	saf := object{}.str("safi", v.family.SAFI).str("af-name", familyName(v.family)).table("prefix", []object{prefix})
	af := object{}.str("afi", v.family.AFI).table("safi", []object{saf})
	return object{}.table("vrf", []object{object{}.str("vrf-name-out", "default").table("afi", []object{af})})
}

// family is that of an address.
func family(a netip.Addr) wire.Family {
	if a.Is4() {
		return wire.IPv4Unicast
	}
	return wire.IPv6Unicast
}
