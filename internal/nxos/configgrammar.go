package nxos

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// unsupported are commands of NX-OS that people will try, and why they are not
// here.
var unsupported = map[string]string{
	"vrf": "there is one routing table", "vlan": "the switch has layer-3 interfaces only",
	"route-map": "there are no policies; every valid route is taken", "ip": "only ip address under interface",
	"network": "the switch originates no routes", "redistribute": "the switch originates no routes",
	"aggregate-address": "the switch originates no routes", "template": "write the lines under each neighbor",
	"inherit":     "write the lines under each neighbor",
	"prefix-list": "there are no policies; every valid route is taken", "send-community": "the switch announces nothing",
	"next-hop-self": "the switch announces nothing", "soft-reconfiguration": "every route is kept as it was received",
	"snmp-server": "read pharos switch's status instead", "line": "there are no terminal lines",
	"username": "who may open the socket may use the switch", "mtu": "set it on the device (ip link)",
	"speed": "set it on the device (ethtool)", "switchport": "the switch has layer-3 interfaces only",
}

// grammar is what each mode knows. It is made once and then only read.
var grammar = makeGrammar()

// modes has the grammar of each mode.
type modes [inNeighborFamily + 1]*node[action]

func makeGrammar() modes {
	var g modes
	for m := range g {
		g[m] = &node[action]{}
	}
	nothing := func(*parser, []string) error { return nil }

	g[global].add("hostname <name>", func(p *parser, args []string) error { p.config.Hostname = args[0]; return nil })
	g[global].add("version <line>", nothing)
	g[global].add("feature bgp", func(p *parser, _ []string) error { p.config.FeatureBGP = true; return nil })
	g[global].add("feature bfd", func(p *parser, _ []string) error { p.config.FeatureBFD = true; return nil })
	g[global].add("hardware profile ecmp resilient", func(p *parser, _ []string) error { p.config.Resilient = true; return nil })
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

	i.add("ipv6 address use-link-local-only", func(p *parser, _ []string) error { p.iface.LinkLocal = true; return nil })
	i.add("ip forward", func(p *parser, _ []string) error { p.iface.Forward = true; return nil })

	addBFD(g)
	addRouter(g)
	addNeighbor(g)
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
