package nxos

import (
	"fmt"
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
	return out
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
	if b.Relax {
		p("  bestpath as-path multipath-relax")
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
	}
	for _, n := range b.Neighbors {
		n.text(p)
	}
	return out.String()
}

func (n *Neighbor) text(p func(string, ...any)) {
	p("  neighbor %v", n.Addr)
	p("    remote-as %d", n.AS)
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
	if n.Timers != nil {
		p("    timers %d %d", n.Timers.Keepalive/time.Second, n.Timers.Hold/time.Second)
	}
	if n.Passive {
		p("    transport connection-mode passive")
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
			p("      maximum-prefix %d", f.family.MaxPrefixes)
		}
	}
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
