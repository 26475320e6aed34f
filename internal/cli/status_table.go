package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/proxy"
	"github.com/pharoslb/pharos/router"
	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

// table writes rows in columns that line up; the first row is the heading.
// Nothing is written of a table without further rows.
type table [][]string

func (t *table) row(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		if row[i] = fmt.Sprint(c); row[i] == "" {
			row[i] = "-"
		}
	}
	*t = append(*t, row)
}

func (t table) write(w io.Writer) {
	if len(t) < 2 {
		return
	}
	fmt.Fprintln(w)
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	for _, row := range t {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	tw.Flush()
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

// age renders how long ago a moment is, in its two greatest units.
func age(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	s := max(int64(now.Sub(then)/time.Second), 0)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%dh", s/86400, s/3600%24)
}

// inForce says in a few words how a configuration stands.
func inForce(loaded, stale bool, r why.Reason) string {
	switch {
	case !loaded && r.Code == why.OK:
		return "none"
	case !loaded:
		return below("none: " + r.String())
	case stale:
		return below("in force, with the last good version of what is wrong: " + r.String())
	}
	return "in force"
}

func addresses(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}

// below indents the further lines of a value to where the first one begins.
func below(text string) string {
	return strings.ReplaceAll(text, "\n", "\n                  ")
}

// known says whether a role knows the cluster in full.
func known(synced bool) string {
	if synced {
		return "known in full"
	}
	return "not yet known in full; nothing is given out or taken back"
}

// because renders a reason with its code, for people to look up.
func because(r why.Reason) string { return fmt.Sprintf("%s: %s", r.Code, r) }

func showController(w io.Writer, st *controller.Status, _ time.Time) {
	fmt.Fprintln(w, "Controller")
	if st.Standby != "" {
		fmt.Fprintf(w, "  Standby:        %s\n", st.Standby)
		return
	}
	fmt.Fprintf(w, "  Cluster:        %s\n", known(st.Synced))
	if st.API.Code != why.OK {
		fmt.Fprintf(w, "                  %s\n", because(st.API))
	}
	fmt.Fprintf(w, "  Configuration:  %s\n", inForce(st.Config.Loaded, st.Config.Stale, st.Config.Reason))
	fmt.Fprintf(w, "  Services:       %d, of which %d have no address\n", len(st.Services), st.Waiting)

	pools := table{{"POOL", "IPV4 IN USE", "OF", "IPV6 IN USE", "OF"}}
	for _, p := range st.Pools {
		pools.row(p.Pool, p.IPv4.Used, p.IPv4.Total, p.IPv6.Used, p.IPv6.Total)
	}
	pools.write(w)

	services := table{{"SERVICE", "ADDRESS", "POOL", "BECAUSE"}}
	for _, s := range st.Services {
		var addrs []string
		for _, a := range s.Addresses {
			addrs = append(addrs, a.String())
		}
		reason := because(s.Reason)
		if len(addrs) > 0 && !s.Written && s.Reason.Code == why.IPAllocated {
			reason += " (yet to be written)"
		}
		services.row(s.Name, strings.Join(addrs, " "), s.Pool, reason)
	}
	services.write(w)
}

// bfdState tells a path's state, and within what time its failure is found.
func bfdState(b *speaker.BFD) string {
	switch {
	case b == nil:
		return ""
	case b.State == bfd.Up.String():
		return fmt.Sprintf("%s, %v", b.State, b.DetectionTime)
	case b.Error != "":
		return fmt.Sprintf("%s: %s", b.State, b.Error)
	}
	return b.State
}

func showSpeaker(w io.Writer, st *speaker.Status, now time.Time) {
	fmt.Fprintf(w, "Speaker on %s\n", st.Node)
	fmt.Fprintf(w, "  Cluster:        %s\n", known(st.Synced))
	fmt.Fprintf(w, "  Configuration:  %s\n", inForce(st.Config.Loaded, st.Config.Stale, st.Config.Reason))
	for _, p := range st.Config.Problems {
		fmt.Fprintf(w, "                  %s\n", p)
	}
	fmt.Fprintf(w, "  Members:        %s\n", members(st.Members))
	if text := segments(st.Layer2); text != "" {
		fmt.Fprintf(w, "  Layer 2:        %s\n", text)
	}
	if text := heard(st.DataPlane, now); text != "" {
		fmt.Fprintf(w, "  Data plane:     %s\n", text)
	}
	if st.Drain.Code != why.OK {
		fmt.Fprintf(w, "  Drain:          %s\n", because(st.Drain))
	}

	sessions := table{{"PEER", "ADDRESS", "AS", "STATE", "SINCE", "BFD", "ROUTES", "PENDING", "LAST ERROR"}}
	for _, s := range st.Sessions {
		routes := s.Advertised
		waiting := s.Pending
		if s.State != bgp.Established.String() {
			waiting = s.Desired
		}
		address := s.Addr.String()
		if !s.Addr.IsValid() {
			address = s.Interface
		}
		if s.VRF != "" {
			address += " in vrf " + s.VRF
		}
		if s.Reason.Code != why.OK && s.Reason.Code != why.SessionDown {
			s.LastError = because(s.Reason)
		}
		sessions.row(s.Peer, address, s.RemoteAS, s.State, age(now, s.Since), bfdState(s.BFD), routes, waiting, s.LastError)
	}
	sessions.write(w)

	services := table{{"SERVICE", "ADDRESS", "POOL", "ANNOUNCED", "AS"}}
	for _, svc := range st.Services {
		if len(svc.Addresses) == 0 {
			services.row(svc.Name, "", "", "no, "+because(svc.Reason), "")
		}
		for _, a := range svc.Addresses {
			announced, as := "no, "+because(a.Reason), ""
			if len(a.Protocols) > 0 {
				announced, as = "by "+protocols(a.Protocols), announcedAs(&a)
			}
			services.row(svc.Name, a.Addr, a.Pool, announced, as)
		}
	}
	services.write(w)
}

func protocols(list []pharos.Mode) string {
	var names []string
	for _, p := range list {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}

// announcedAs tells the prefixes of BGP, and on layer 2 which interfaces it is limited to.
func announcedAs(a *speaker.AddressStatus) string {
	var parts []string
	for _, p := range a.Prefixes {
		parts = append(parts, p.String())
	}
	if a.LastResort {
		parts = append(parts, "as the last resort")
	}
	if len(a.Interfaces) > 0 {
		parts = append(parts, "on "+strings.Join(a.Interfaces, ", "))
	}
	return strings.Join(parts, " ")
}

// heard tells whether announcements wait for the node's data plane, and how it is heard.
func heard(st *speaker.DataPlaneState, now time.Time) string {
	switch {
	case st == nil || !st.Gates:
		return ""
	case !st.Whole && st.Problem == "":
		return "awaited: it has put nothing into the kernel yet"
	case !st.Whole:
		return "awaited: " + st.Problem
	case !st.Silent.IsZero() && st.Problem == "":
		return fmt.Sprintf("begins anew, and has put nothing into the kernel for %s", age(now, st.Silent))
	case !st.Silent.IsZero():
		return fmt.Sprintf("not heard for %s: %s", age(now, st.Silent), st.Problem)
	}
	return "heard; what it does not serve is not announced"
}

// segments tells what layer 2 is about, in a line, unless there is nothing to tell.
func segments(st *speaker.Layer2Status) string {
	switch {
	case st == nil:
		return ""
	case st.Reason.Code != why.OK:
		return because(st.Reason)
	}
	var links []string
	for _, l := range st.Links {
		if l.IPv4 == layer2.Usable.String() || l.IPv6 == layer2.Usable.String() {
			links = append(links, l.Name)
		}
	}
	text := fmt.Sprintf("%s answered for, on %s", addresses(len(st.Addresses)), strings.Join(links, ", "))
	if len(links) == 0 {
		text = "no interface can be used"
	}
	if st.Conflicts > 0 {
		text += fmt.Sprintf("; %d claims of other hosts", st.Conflicts)
	}
	return text
}

func members(m speaker.MembershipStatus) string {
	if len(m.Members) == 0 && m.Reason.Code != why.OK {
		return "none, " + because(m.Reason)
	}
	var names []string
	for _, member := range m.Members {
		names = append(names, member.Name)
	}
	return strings.Join(names, " ")
}

func showProxy(w io.Writer, st *proxy.Status, now time.Time) {
	fmt.Fprintf(w, "Proxy on %s\n", st.Node)
	fmt.Fprintf(w, "  Cluster:        %s\n", known(st.Synced))
	state := "up to date for " + age(now, st.Since)
	if !st.Ready {
		state = "not up to date for " + age(now, st.Since) + ", " + because(st.Problem)
	}
	fmt.Fprintf(w, "  Data plane:     %s, %s\n", st.Driver.Driver, state)
	for _, r := range st.Chosen {
		fmt.Fprintf(w, "                  %s\n", because(r))
	}
	fmt.Fprintf(w, "  Mode:           %s\n", carried(st))
	if n := st.Driver.Repaired; n > 0 {
		fmt.Fprintf(w, "  Repairs:        %d: somebody else changed what is Pharos's in the kernel\n", n)
	}
	for _, s := range st.Sysctls {
		if s.Reason.Code != why.OK {
			fmt.Fprintf(w, "  Node:           %s\n", because(s.Reason))
		}
	}
	for _, h := range st.HealthChecks {
		if h.Reason.Code != why.OK {
			fmt.Fprintf(w, "  Health check:   %s of %s\n", because(h.Reason), h.Service)
		}
	}

	frontends := table{{"SERVICE", "KIND", "ADDRESS", "PORT", "MODE", "ACTION", "BACKENDS"}}
	tables := table{{"SERVICE", "TABLE", "SLOTS", "OWNERS AND THEIR SLOTS"}}
	var problems []string
	for _, svc := range st.Services {
		for _, f := range svc.Frontends {
			address := f.Addr.String()
			if f.Addr.IsUnspecified() {
				address = "node"
			}
			mode := pharos.NAT
			if f.Table > 0 {
				mode = pharos.Direct
			}
			frontends.row(svc.Name, f.Kind, address, fmt.Sprintf("%d/%s", f.Port, f.Protocol), mode, f.Action, backends(f.Backends))
		}
		for _, p := range svc.Problems {
			problems = append(problems, fmt.Sprintf("%s: %s", svc.Name, because(p)))
		}
		for _, t := range svc.Tables {
			tables.row(svc.Name, t.Generation, t.Slots, byNode(t.Owners))
		}
	}
	frontends.write(w)
	// A sentence in a column would push the others off the screen.
	for i, p := range problems {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, p)
	}
	tables.write(w)
}

// byNode sums owners' slots up by node: the first few, and the rest counted.
func byNode(owners []proxy.Owner) string {
	const most = 6
	slots, nodes := map[string]int{}, []string{}
	for _, o := range owners {
		if _, seen := slots[o.Node]; !seen {
			nodes = append(nodes, o.Node)
		}
		slots[o.Node] += o.Current
	}
	slices.Sort(nodes)
	var parts []string
	for i, n := range nodes {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more nodes", len(nodes)-most))
			break
		}
		parts = append(parts, fmt.Sprintf("%s: %d", n, slots[n]))
	}
	return strings.Join(parts, ", ")
}

// carried says which connections are carried, and how those of Services that don't
// choose.
func carried(st *proxy.Status) string {
	text := fmt.Sprintf("%s, unless a Service chooses", st.Mode)
	if st.Beside {
		text += "; beside kube-proxy: load balancer and external IPs of Services in mode direct alone"
	}
	return text
}

// backends lists the first few, and counts the rest.
func backends(list []proxy.Backend) string {
	const most = 4
	var parts []string
	for i, b := range list {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(list)-most))
			break
		}
		parts = append(parts, b.Addr.String())
	}
	return strings.Join(parts, " ")
}

func showSwitch(w io.Writer, st *switchStatus, now time.Time) {
	fmt.Fprintf(w, "Switch of AS %d, router ID %s\n", st.AS, st.RouterID)
	fmt.Fprintf(w, "  Networks:       %d of IPv4 by %d paths, %d of IPv6 by %d paths\n", st.IPv4.Networks, st.IPv4.Paths, st.IPv6.Networks, st.IPv6.Paths)
	fmt.Fprintf(w, "  Kernel:         %d routes\n", st.KernelRoutes)

	neighbors := table{{"NEIGHBOR", "AS", "STATE", "SINCE", "BFD", "PATHS", "LAST ERROR"}}
	for _, n := range st.Neighbors {
		neighbors.row(n.Name, n.AS, neighborState(&n), age(now, n.Since), pathState(st.BFD, n.Name), n.Paths, n.LastError)
	}
	neighbors.write(w)
}

// neighborState is the state of a neighbor's session, and who keeps it there.
func neighborState(n *router.NeighborStatus) string {
	switch {
	case n.Shutdown:
		return n.State + " (shut)"
	case n.Tripped:
		return n.State + " (too many prefixes)"
	}
	return n.State
}

// pathState is the state of the BFD session that watches the path to a neighbor; empty
// if none does.
func pathState(sessions []bfdSession, neighbor string) string {
	for _, s := range sessions {
		if s.Neighbor == neighbor {
			return s.State
		}
	}
	return ""
}
