package nxos

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// unsupported are commands of NX-OS that people will try, and why they are not
// here.
var unsupported = map[string]string{
	"vrf": "there is one routing table", "vlan": "the switch has layer-3 interfaces only",
	"route-map": "there are no policies; every valid route is taken", "ip": "only ip address under interface",
	"network": "the switch originates no routes", "redistribute": "the switch originates no routes",
	"aggregate-address": "the switch originates no routes", "template": "write the lines under each neighbor",
	"inherit": "write the lines under each neighbor", "bfd": "failures are noticed by the hold time and by ARP",
	"snmp-server": "read pharos switch's status instead", "line": "there are no terminal lines",
	"username": "who may open the socket may use the switch", "mtu": "set it on the device (ip link)",
	"speed": "set it on the device (ethtool)", "switchport": "the switch has layer-3 interfaces only",
}

// grammar is what each mode knows. It is made once and then only read.
var grammar = makeGrammar()

func makeGrammar() [inNeighborFamily + 1]*node[action] {
	var g [inNeighborFamily + 1]*node[action]
	for m := range g {
		g[m] = &node[action]{}
	}
	nothing := func(*parser, []string) error { return nil }

	g[global].add("hostname <name>", func(p *parser, args []string) error { p.config.Hostname = args[0]; return nil })
	g[global].add("version <line>", nothing)
	g[global].add("feature bgp", func(p *parser, _ []string) error { p.config.FeatureBGP = true; return nil })
	g[global].add("interface <interface>", openInterface)
	g[global].add("router bgp <as>", openRouter)
	g[global].add("end", func(p *parser, _ []string) error { p.mode = global; return nil })
	for m := inInterface; m <= inNeighborFamily; m++ {
		g[m].add("exit", func(p *parser, _ []string) error { p.mode = parent[m]; return nil })
	}
	g[global].add("exit", nothing)

	i := g[inInterface]
	i.add("description <line>", func(p *parser, args []string) error { p.iface.Description = args[0]; return nil })
	i.add("no switchport", func(p *parser, _ []string) error { p.iface.NoSwitchport = true; return nil })
	i.add("shutdown", func(p *parser, _ []string) error { p.iface.Shutdown = true; return nil })
	i.add("no shutdown", func(p *parser, _ []string) error { p.iface.Shutdown = false; return nil })
	for _, secondary := range []bool{false, true} {
		end := map[bool]string{true: " secondary"}[secondary]
		i.add("ip address <a.b.c.d/len>"+end, func(p *parser, args []string) error {
			prefix, err := parsePrefix(args[0], true)
			if err != nil {
				return err
			}
			return p.address(prefix, secondary)
		})
		i.add("ip address <a.b.c.d> <mask>"+end, func(p *parser, args []string) error {
			a, err := parseIPv4(args[0])
			if err != nil {
				return err
			}
			bits, err := parseMask(args[1])
			if err != nil {
				return err
			}
			return p.address(netip.PrefixFrom(a, bits), secondary)
		})
	}
	i.add("ipv6 address <a:b::c/len>", func(p *parser, args []string) error {
		prefix, err := parsePrefix(args[0], false)
		if err != nil {
			return err
		}
		return p.address(prefix, true)
	})

	r := g[inRouter]
	r.add("router-id <a.b.c.d>", func(p *parser, args []string) error {
		id, err := parseIPv4(args[0])
		if err != nil || id.IsUnspecified() {
			return errors.New("the router ID must not be 0.0.0.0")
		}
		p.config.BGP.RouterID = id
		return nil
	})
	r.add("timers bgp <seconds> <seconds>", func(p *parser, args []string) (err error) {
		p.config.BGP.Timers, err = timers(args)
		return err
	})
	r.add("log-neighbor-changes", func(p *parser, _ []string) error { p.config.BGP.LogChanges = true; return nil })
	r.add("address-family ipv4 unicast", func(p *parser, _ []string) error { return p.openFamily(&p.config.BGP.IPv4) })
	r.add("address-family ipv6 unicast", func(p *parser, _ []string) error { return p.openFamily(&p.config.BGP.IPv6) })
	r.add("neighbor <address>", openNeighbor)
	r.add("neighbor <address> remote-as <as>", func(p *parser, args []string) error {
		if err := openNeighbor(p, args); err != nil {
			return err
		}
		return remoteAS(p, args[1:])
	})
	for _, m := range []mode{inRouter, inFamily} {
		g[m].add("bestpath as-path multipath-relax", func(p *parser, _ []string) error { p.config.BGP.Relax = true; return nil })
		g[m].add("bestpath compare-routerid", func(p *parser, _ []string) error { p.config.BGP.CompareRouterID = true; return nil })
	}

	f := g[inFamily]
	f.add("maximum-paths <paths>", func(p *parser, args []string) error { p.family.MaxPaths = atoi(args[0]); return nil })
	f.add("maximum-paths ibgp <paths>", func(p *parser, args []string) error { p.family.MaxPathsInternal = atoi(args[0]); return nil })

	n := g[inNeighbor]
	n.add("remote-as <as>", remoteAS)
	n.add("description <line>", func(p *parser, args []string) error { p.neighbor.Description = args[0]; return nil })
	n.add("password <word>", func(p *parser, args []string) error { return p.password(args[0]) })
	n.add("password 0 <word>", func(p *parser, args []string) error { return p.password(args[0]) })
	n.add("password 3 <word>", func(*parser, []string) error {
		return errors.New("an encrypted password can be read only by the switch that wrote it\nwrite password 0 TEXT")
	})
	n.add("timers <seconds> <seconds>", func(p *parser, args []string) (err error) {
		p.neighbor.Timers, err = timers(args)
		return err
	})
	n.add("shutdown", func(p *parser, _ []string) error { p.neighbor.Shutdown = true; return nil })
	n.add("no shutdown", func(p *parser, _ []string) error { p.neighbor.Shutdown = false; return nil })
	n.add("update-source <interface>", func(p *parser, args []string) (err error) {
		p.neighbor.sourceLine = p.line
		p.neighbor.UpdateSource, err = parseInterface(args[0])
		return err
	})
	n.add("ebgp-multihop <hops>", func(p *parser, args []string) error { p.neighbor.MultiHop = atoi(args[0]); return nil })
	n.add("transport connection-mode passive", func(p *parser, _ []string) error { p.neighbor.Passive = true; return nil })
	n.add("address-family ipv4 unicast", func(p *parser, _ []string) error { return p.openNeighborFamily(&p.neighbor.IPv4) })
	n.add("address-family ipv6 unicast", func(p *parser, _ []string) error { return p.openNeighborFamily(&p.neighbor.IPv6) })

	g[inNeighborFamily].add("maximum-prefix <prefixes>", func(p *parser, args []string) error {
		p.neighborFamily.MaxPrefixes = atoi(args[0])
		return nil
	})
	return g
}

func openInterface(p *parser, args []string) error {
	name, err := parseInterface(args[0])
	if err != nil {
		return err
	}
	p.mode = inInterface
	for i := range p.config.Interfaces {
		if p.config.Interfaces[i].Name == name {
			p.iface = &p.config.Interfaces[i]
			return nil
		}
	}
	p.config.Interfaces = append(p.config.Interfaces, Interface{Name: name, line: p.line})
	p.iface = &p.config.Interfaces[len(p.config.Interfaces)-1]
	return nil
}

func openRouter(p *parser, args []string) error {
	as, err := parseAS(args[0])
	if err != nil {
		return err
	}
	if b := p.config.BGP; b != nil && b.AS != as {
		p.mode = inRouter // so that what follows is understood
		return fmt.Errorf("router bgp %d is already configured in line %d\na switch has one BGP process", b.AS, b.line)
	}
	if p.config.BGP == nil {
		p.config.BGP = &BGP{AS: as, line: p.line}
	}
	p.mode = inRouter
	return nil
}

func (p *parser) openFamily(f **Family) error {
	if *f == nil {
		*f = &Family{}
	}
	p.family, p.mode = *f, inFamily
	return nil
}

func (p *parser) openNeighborFamily(f **NeighborFamily) error {
	if *f == nil {
		*f = &NeighborFamily{}
	}
	p.neighborFamily, p.mode = *f, inNeighborFamily
	return nil
}

func openNeighbor(p *parser, args []string) error {
	a, err := parseAddr(args[0])
	if err != nil {
		return err
	}
	p.mode = inNeighbor
	for _, n := range p.config.BGP.Neighbors {
		if n.Addr == a {
			p.neighbor = n
			return nil
		}
	}
	p.neighbor = &Neighbor{Addr: a, line: p.line}
	p.config.BGP.Neighbors = append(p.config.BGP.Neighbors, p.neighbor)
	return nil
}

func remoteAS(p *parser, args []string) (err error) {
	p.neighbor.AS, err = parseAS(args[0])
	return err
}

// maxPassword is the longest key that the kernel takes (TCP_MD5SIG_MAXKEYLEN).
const maxPassword = 80

func (p *parser) password(text string) error {
	text = strings.Trim(text, `"`)
	if text == "" || len(text) > maxPassword {
		return fmt.Errorf("a password has 1 to %d octets", maxPassword)
	}
	p.neighbor.Password = text
	return nil
}

// timers reads a keepalive and a hold time.
func timers(args []string) (*Timers, error) {
	t := &Timers{seconds(args[0]), seconds(args[1])}
	switch {
	case t.Hold != 0 && t.Hold < 3*time.Second:
		return nil, errors.New("the hold time is 0 or at least 3 seconds (RFC 4271 §4.2)")
	case t.Hold != 0 && t.Keepalive > t.Hold:
		return nil, errors.New("the keepalive time is above the hold time\nthe order is timers KEEPALIVE HOLD")
	}
	return t, nil
}

// address gives the current interface an address.
func (p *parser) address(a netip.Prefix, more bool) error {
	addr := a.Addr()
	switch {
	case addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback():
		return fmt.Errorf("%v is not an interface's address", addr)
	case addr.Is4() && a.Bits() < 31 && addr == a.Masked().Addr():
		return fmt.Errorf("%v is the network's own address\ngive the interface's: %v", a, netip.PrefixFrom(addr.Next(), a.Bits()))
	case addr.Is4() && a.Bits() < 31 && !a.Contains(addr.Next()):
		return fmt.Errorf("%v is the network's broadcast address", a)
	case addr.Is4() && a.Bits() == 0, addr.Is6() && a.Bits() == 0:
		return errors.New("a network of prefix length 0 is everything")
	case strings.HasPrefix(p.iface.Name, "loopback") && a.Bits() != addr.BitLen():
		return fmt.Errorf("a loopback's address has prefix length %d", addr.BitLen())
	}
	for i, old := range p.iface.Addrs {
		if old == a {
			return nil
		}
		// A second ip address without "secondary" replaces the first.
		if !more && old.Addr().Is4() {
			p.iface.Addrs[i] = a
			return nil
		}
	}
	p.iface.Addrs = append(p.iface.Addrs, a)
	return nil
}
