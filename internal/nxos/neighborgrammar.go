package nxos

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// roles are the words for what the switch is to a neighbor (RFC 9234 §4.1).
var roles = []struct {
	word string
	role wire.Role
}{
	{"provider", wire.RoleProvider}, {"customer", wire.RoleCustomer}, {"peer", wire.RolePeer},
	{"rs-server", wire.RoleRouteServer}, {"rs-client", wire.RoleRouteServerClient},
}

// addNeighbor adds what stands under a neighbor and its address families.
func addNeighbor(g modes) {
	n := g[inNeighbor]
	n.add("remote-as <as>", remoteAS)
	n.add("remote-as external", func(p *parser, _ []string) error { return anyExternal(p) })
	n.add("local-as <as>", func(p *parser, args []string) (err error) {
		p.neighbor.lines["local-as"] = p.line
		p.neighbor.LocalAS, err = parseAS(args[0])
		return err
	})
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
	n.add("graceful-shutdown activate", func(p *parser, _ []string) error { p.neighbor.Draining = true; return nil })
	n.add("no graceful-shutdown activate", func(p *parser, _ []string) error { p.neighbor.Draining = false; return nil })
	n.add("update-source <interface>", func(p *parser, args []string) (err error) {
		p.neighbor.sourceLine = p.line
		p.neighbor.UpdateSource, err = parseInterface(args[0])
		return err
	})
	n.add("ebgp-multihop <hops>", func(p *parser, args []string) error { p.neighbor.MultiHop = atoi(args[0]); return nil })
	n.add("ttl-security hops <ttl-hops>", func(p *parser, args []string) error {
		p.neighbor.lines["ttl-security"] = p.line
		p.neighbor.TTLSecurity = uint8(atoi(args[0]))
		return nil
	})
	n.add("maximum-peers <peers>", func(p *parser, args []string) error {
		p.neighbor.lines["maximum-peers"] = p.line
		p.neighbor.MaxPeers = atoi(args[0])
		return nil
	})
	n.add("transport connection-mode passive", func(p *parser, _ []string) error { p.neighbor.Passive = true; return nil })
	for _, r := range roles {
		for _, strict := range []bool{false, true} {
			n.add("local-role "+r.word+map[bool]string{true: " strict-mode"}[strict], func(p *parser, _ []string) error {
				p.neighbor.lines["local-role"] = p.line
				p.neighbor.Role, p.neighbor.StrictRole = &r.role, strict
				return nil
			})
		}
	}
	n.add("address-family ipv4 unicast", func(p *parser, _ []string) error { return p.openNeighborFamily(&p.neighbor.IPv4) })
	n.add("address-family ipv6 unicast", func(p *parser, _ []string) error { return p.openNeighborFamily(&p.neighbor.IPv6) })

	f := g[inNeighborFamily]
	for _, threshold := range []bool{false, true} {
		head := "maximum-prefix <prefixes>" + map[bool]string{true: " <percent>"}[threshold]
		limit := func(change func(f *NeighborFamily, args []string)) action {
			return func(p *parser, args []string) error {
				f := p.neighborFamily
				f.MaxPrefixes, f.Threshold, f.WarningOnly, f.Restart = atoi(args[0]), 0, false, 0
				args = args[1:]
				if threshold {
					f.Threshold, args = atoi(args[0]), args[1:]
				}
				change(f, args)
				return nil
			}
		}
		f.add(head, limit(func(*NeighborFamily, []string) {}))
		f.add(head+" warning-only", limit(func(f *NeighborFamily, _ []string) { f.WarningOnly = true }))
		f.add(head+" restart <minutes>", limit(func(f *NeighborFamily, args []string) { f.Restart = time.Duration(atoi(args[0])) * time.Minute }))
	}
	f.add("capability additional-paths receive", func(p *parser, _ []string) error { p.neighborFamily.AddPath = true; return nil })
}

func (p *parser) openNeighborFamily(f **NeighborFamily) error {
	if *f == nil {
		*f = &NeighborFamily{}
	}
	p.neighborFamily, p.mode = *f, inNeighborFamily
	return nil
}

func openNeighbor(p *parser, args []string) error {
	who, err := parsePeer(args[0])
	if err != nil {
		return err
	}
	p.mode = inNeighbor
	for _, n := range p.config.BGP.Neighbors {
		if n.Addr == who.Addr && n.Prefix == who.Prefix && n.Interface == who.Interface {
			p.neighbor = n
			return nil
		}
	}
	who.line, who.lines = p.line, make(map[string]int)
	p.neighbor = &who
	p.config.BGP.Neighbors = append(p.config.BGP.Neighbors, p.neighbor)
	return nil
}

func remoteAS(p *parser, args []string) (err error) {
	p.neighbor.External = false
	p.neighbor.AS, err = parseAS(args[0])
	return err
}

func anyExternal(p *parser) error {
	p.neighbor.AS, p.neighbor.External = 0, true
	return nil
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
