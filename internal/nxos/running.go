package nxos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Text writes the configuration as show running-config does, without heading. It
// can be read again, but for passwords, which are left out.
func (c *Config) Text() string { return c.head() + c.interfaces() + c.bgp() }

func (c *Config) head() string {
	out := "hostname " + c.Name() + "\n"
	if c.FeatureBGP || c.BGP != nil {
		out += "feature bgp\n"
	}
	if c.FeatureBFD || c.usesBFD() {
		out += "feature bfd\n"
	}
	if c.Resilient {
		out += "\nhardware profile ecmp resilient\n"
	}
	if c.BFD != nil {
		out += "\nbfd " + c.BFD.text() + "\n"
	}
	return out
}

// usesBFD says that there is something about BFD.
func (c *Config) usesBFD() bool {
	return c.BFD != nil ||
		slices.ContainsFunc(c.Interfaces, func(i Interface) bool { return i.BFD != nil || i.Echo || i.BFDKey != nil }) ||
		c.BGP != nil && slices.ContainsFunc(c.BGP.Neighbors, func(n *Neighbor) bool { return n.BFD != nil })
}

func (c *Config) interfaces() string {
	var b strings.Builder
	for _, i := range c.Interfaces {
		fmt.Fprintf(&b, "\ninterface %s\n", i.Name)
		if i.Description != "" {
			fmt.Fprintf(&b, "  description %s\n", i.Description)
		}
		if i.NoSwitchport {
			b.WriteString("  no switchport\n")
		}
		more := ""
		for _, a := range i.Addrs {
			if a.Addr().Is4() {
				fmt.Fprintf(&b, "  ip address %v%s\n", a, more)
				more = " secondary"
			}
		}
		for _, a := range i.Addrs {
			if !a.Addr().Is4() {
				fmt.Fprintf(&b, "  ipv6 address %v\n", a)
			}
		}
		if i.LinkLocal {
			b.WriteString("  ipv6 address use-link-local-only\n")
		}
		if i.Forward {
			b.WriteString("  ip forward\n")
		}
		if i.BFD != nil {
			fmt.Fprintf(&b, "  bfd %s\n", i.BFD.text())
		}
		if i.Echo {
			b.WriteString("  bfd echo\n")
		}
		if i.BFDKey != nil {
			fmt.Fprintf(&b, "  bfd %s\n", i.BFDKey.text())
		}
		if i.Shutdown {
			b.WriteString("  shutdown\n")
		} else {
			b.WriteString("  no shutdown\n")
		}
	}
	return b.String()
}

func (c *Config) bgp() string {
	b := c.BGP
	if b == nil {
		return ""
	}
	var out strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	p("\nrouter bgp %d", b.AS)
	if b.RouterID.IsValid() {
		p("  router-id %v", b.RouterID)
	}
	if b.Timers != nil {
		p("  timers bgp %d %d", b.Timers.Keepalive/time.Second, b.Timers.Hold/time.Second)
	}
	if b.PeerTimeout > 0 {
		p("  timers prefix-peer-timeout %d", b.PeerTimeout/time.Second)
	}
	b.Restart.text(p)
	if b.Unaware {
		p("  no graceful-shutdown aware")
	}
	if b.Draining {
		p("  graceful-shutdown activate")
	}
	if b.Shutdown {
		p("  shutdown")
	}
	if b.Relax {
		p("  bestpath as-path multipath-relax")
	}
	if b.AlwaysMED {
		p("  bestpath always-compare-med")
	}
	if b.MissingMEDWorst {
		p("  bestpath med missing-as-worst")
	}
	if b.CompareRouterID {
		p("  bestpath compare-routerid")
	}
	if b.LogChanges {
		p("  log-neighbor-changes")
	}
	for _, f := range []struct {
		name   string
		family *Family
	}{{"ipv4", b.IPv4}, {"ipv6", b.IPv6}} {
		if f.family == nil {
			continue
		}
		p("  address-family %s unicast", f.name)
		if f.family.MaxPaths > 0 {
			p("    maximum-paths %d", f.family.MaxPaths)
		}
		if f.family.MaxPathsInternal > 0 {
			p("    maximum-paths ibgp %d", f.family.MaxPathsInternal)
		}
		if f.family.AddPath {
			p("    additional-paths receive")
		}
		if f.family.LinkBandwidth {
			p("    dmzlink-bw")
		}
	}
	for _, n := range b.Neighbors {
		n.text(p)
	}
	return out.String()
}

func (g GracefulRestart) text(p func(string, ...any)) {
	if g.Off {
		p("  no graceful-restart")
	}
	if g.HelperOnly && !g.Off {
		p("  graceful-restart-helper")
	}
	if g.Restart > 0 {
		p("  graceful-restart restart-time %d", g.Restart/time.Second)
	}
	if g.Stale > 0 {
		p("  graceful-restart stalepath-time %d", g.Stale/time.Second)
	}
	if g.AcceptStale > 0 {
		p("  long-lived-graceful-restart stale-time accept %d", g.AcceptStale/time.Second)
	}
}

func (n *Neighbor) text(p func(string, ...any)) {
	p("  neighbor %s", n.Peer())
	if n.External {
		p("    remote-as external")
	} else {
		p("    remote-as %d", n.AS)
	}
	if n.LocalAS > 0 {
		p("    local-as %d", n.LocalAS)
	}
	if n.Description != "" {
		p("    description %s", n.Description)
	}
	if n.Password != "" {
		p("    password 3 ********")
	}
	if n.UpdateSource != "" {
		p("    update-source %s", n.UpdateSource)
	}
	if n.MultiHop > 0 {
		p("    ebgp-multihop %d", n.MultiHop)
	}
	if n.TTLSecurity > 0 {
		p("    ttl-security hops %d", n.TTLSecurity)
	}
	if n.MaxPeers > 0 {
		p("    maximum-peers %d", n.MaxPeers)
	}
	n.BFD.text(p)
	for _, r := range roles {
		if n.Role != nil && *n.Role == r.role {
			p("    local-role %s%s", r.word, map[bool]string{true: " strict-mode"}[n.StrictRole])
		}
	}
	if n.Timers != nil {
		p("    timers %d %d", n.Timers.Keepalive/time.Second, n.Timers.Hold/time.Second)
	}
	if n.Passive {
		p("    transport connection-mode passive")
	}
	if n.Draining {
		p("    graceful-shutdown activate")
	}
	if n.Shutdown {
		p("    shutdown")
	}
	for _, f := range []struct {
		name   string
		family *NeighborFamily
	}{{"ipv4", n.IPv4}, {"ipv6", n.IPv6}} {
		if f.family == nil {
			continue
		}
		p("    address-family %s unicast", f.name)
		if f.family.MaxPrefixes > 0 {
			p("      maximum-prefix %s", f.family.limit())
		}
		if f.family.AddPath {
			p("      capability additional-paths receive")
		}
	}
}

func (b *NeighborBFD) text(p func(string, ...any)) {
	switch {
	case b == nil:
	case !b.Multihop:
		p("    bfd")
	default:
		p("    bfd multihop")
		if b.Timers != nil {
			p("    bfd multihop %s", b.Timers.text())
		}
		if b.Key != nil {
			p("    bfd multihop %s", b.Key.text())
		}
	}
}

// limit is the limit as maximum-prefix says it.
func (f *NeighborFamily) limit() string {
	out := fmt.Sprint(f.MaxPrefixes)
	if f.Threshold > 0 {
		out += fmt.Sprint(" ", f.Threshold)
	}
	if f.WarningOnly {
		out += " warning-only"
	}
	if f.Restart > 0 {
		out += fmt.Sprintf(" restart %d", f.Restart/time.Minute)
	}
	return out
}

// runningView is show running-config, or its part about BGP or interfaces.
type runningView struct {
	command string
	now     time.Time
	version string
	body    string
}

func (v *runningView) text() string {
	return fmt.Sprintf("\n!Command: %s\n!Time: %s\n\nversion %s\n%s", v.command, v.now.UTC().Format(time.ANSIC), v.version, v.body)
}

func (v *runningView) json() object {
	var lines []object
	for line := range strings.Lines(v.body) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			lines = append(lines, object{}.str("line", line))
		}
	}
	return object{}.table("line", lines)
}
