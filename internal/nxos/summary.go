package nxos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

// Octets that one release counts for what a table holds.
const (
	networkBytes     = 124
	pathBytes        = 120
	attributeBytes   = 172
	asPathBytes      = 2 // and asnBytes for each number
	asnBytes         = 4
	communityBytes   = 32
	clusterListBytes = 4
)

// view is the answer to a show command, in both of its forms.
type view interface {
	text() string
	json() object
}

// familyName is an address family as headings have it.
func familyName(f wire.Family) string {
	if f == wire.IPv4Unicast {
		return "IPv4 Unicast"
	}
	return "IPv6 Unicast"
}

// summaryView is show ip bgp summary.
type summaryView struct {
	status router.Status
	family wire.Family
	names  map[string]string // of interfaces, by device
}

// name is what the column Neighbor calls a neighbor; those that a prefix let in are
// marked.
func (v *summaryView) name(n *router.NeighborStatus) string {
	if n.Dynamic {
		return "*" + address(n.Addr)
	}
	return peerName(n, v.names)
}

func (v *summaryView) neighbors() []router.NeighborStatus {
	var out []router.NeighborStatus
	for _, n := range v.status.Neighbors {
		if n.Configured(v.family) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b router.NeighborStatus) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func (v *summaryView) capable() int {
	n := 0
	for _, s := range v.neighbors() {
		if s.Carries(v.family) {
			n++
		}
	}
	return n
}

// memory returns the octets of networks and paths, attributes, AS paths, communities
// and cluster lists.
func memory(s rib.Summary) (table, attributes, asPaths, communities, clusters int) {
	return networkBytes*s.Networks + pathBytes*s.Paths, attributeBytes * s.Attributes,
		asPathBytes*s.ASPaths + asnBytes*s.ASPathHops, communityBytes * s.Communities, clusterListBytes * s.ClusterLists
}

func (v *summaryView) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "BGP summary information for VRF default, address family %s\n", familyName(v.family))
	neighbors := v.neighbors()
	if len(neighbors) == 0 {
		return b.String()
	}
	s := v.status.Summary(v.family)
	table, attributes, asPaths, communities, clusters := memory(s)
	fmt.Fprintf(&b, "BGP router identifier %v, local AS number %d\n", v.status.RouterID, v.status.AS)
	fmt.Fprintf(&b, "BGP table version is %d, %s config peers %d, capable peers %d\n", s.Version, familyName(v.family), len(neighbors), v.capable())
	fmt.Fprintf(&b, "%d network entries and %d paths using %d bytes of memory\n", s.Networks, s.Paths, table)
	fmt.Fprintf(&b, "BGP attribute entries [%d/%d], BGP AS path entries [%d/%d]\n", s.Attributes, attributes, s.ASPaths, asPaths)
	fmt.Fprintf(&b, "BGP community entries [%d/%d], BGP clusterlist entries [%d/%d]\n", s.Communities, communities, s.ClusterLists, clusters)
	b.WriteString("\nNeighbor        V    AS MsgRcvd MsgSent   TblVer  InQ OutQ Up/Down  State/PfxRcd\n")
	for _, n := range neighbors {
		addr := v.name(&n)
		if len(addr) > 15 {
			fmt.Fprintf(&b, "%s\n%15s", addr, "")
		} else {
			fmt.Fprintf(&b, "%-15s", addr)
		}
		fmt.Fprintf(&b, " %1d %5d", 4, n.AS)
		if n.AS > 99999 {
			fmt.Fprintf(&b, "\n%23s", "")
		}
		fmt.Fprintf(&b, " %7d %7d %8d %4d %4d %8s %-10s\n",
			n.Session.Received.Total(), n.Session.Sent.Total(), v.tableVersion(&n), 0, n.Session.Pending,
			clock(v.status.Now.Sub(n.Since)), v.state(&n))
	}
	return b.String()
}

// tableVersion is the last one sent to the neighbor. There is nothing to send, so
// that whoever is up has it all.
func (v *summaryView) tableVersion(n *router.NeighborStatus) uint64 {
	if n.Carries(v.family) {
		return v.status.Summary(v.family).Version
	}
	return 0
}

// state is the State/PfxRcd column.
func (v *summaryView) state(n *router.NeighborStatus) string {
	switch {
	case n.Config.Shutdown:
		return "Shut (Admin)"
	case n.Tripped:
		return "Idle (PfxCt)"
	case n.Carries(v.family):
		return fmt.Sprint(n.Sources[v.family].Paths)
	case n.Established():
		return "0 (No Cap)"
	}
	return n.State
}

func (v *summaryView) json() object {
	vrf := object{}.str("vrf-name-out", "default")
	if neighbors := v.neighbors(); len(neighbors) > 0 {
		s := v.status.Summary(v.family)
		table, attributes, asPaths, communities, clusters := memory(s)
		var rows []object
		for _, n := range neighbors {
			state, prefixes := n.State, 0
			if n.Config.Shutdown {
				state = "Shut (Admin)"
			}
			if n.Carries(v.family) {
				prefixes = n.Sources[v.family].Paths
			}
			rows = append(rows, append(object{}.str("neighborid", peerName(&n, v.names)), dynamic(&n)...).
				str("neighborversion", 4).
				str("msgrecvd", n.Session.Received.Total()).str("msgsent", n.Session.Sent.Total()).
				str("neighbortableversion", v.tableVersion(&n)).str("inq", 0).str("outq", n.Session.Pending).
				str("neighboras", n.AS).str("time", iso(v.status.Now.Sub(n.Since))).
				str("state", state).str("prefixreceived", prefixes))
		}
		saf := object{}.str("safi", v.family.SAFI).str("af-name", familyName(v.family)).
			str("tableversion", s.Version).str("configuredpeers", len(neighbors)).str("capablepeers", v.capable()).
			str("totalnetworks", s.Networks).str("totalpaths", s.Paths).str("memoryused", table).
			str("numberattrs", s.Attributes).str("bytesattrs", attributes).
			str("numberpaths", s.ASPaths).str("bytespaths", asPaths).
			str("numbercommunities", s.Communities).str("bytescommunities", communities).
			str("numberclusterlist", s.ClusterLists).str("bytesclusterlist", clusters).
			str("dampening", "Disabled").table("neighbor", rows)
		af := object{}.str("af-id", v.family.AFI).table("saf", []object{saf})
		vrf = vrf.str("vrf-router-id", v.status.RouterID).str("vrf-local-as", v.status.AS).table("af", []object{af})
	}
	return object{}.table("vrf", []object{vrf})
}
