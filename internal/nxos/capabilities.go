package nxos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/router"
)

// marks are the two sides of a capability.
func marks(sent, received bool) string {
	var out []string
	if sent {
		out = append(out, "advertised")
	}
	if received {
		out = append(out, "received")
	}
	return strings.Join(out, " ")
}

// said is what one side said of its capabilities.
type said struct{ wire.Open }

// offers are the capabilities that both sides said.
func offers(n *router.NeighborStatus) (sent, received said) {
	return said{wire.Open{Capabilities: n.Session.CapabilitiesSent}}, said{wire.Open{Capabilities: n.Session.CapabilitiesReceived}}
}

func (o *said) family(f wire.Family) bool {
	return slices.ContainsFunc(o.Capabilities, func(c wire.Capability) bool {
		got, ok := c.MultiProtocol()
		return ok && got == f
	})
}

// role is the role with a capability of it, as in "advertised (customer)".
func (o *said) role(verb string) string {
	r, ok := o.Role()
	if !ok {
		return ""
	}
	return fmt.Sprintf(" %s (%v)", verb, r)
}

func (v *neighborsView) capabilities(p func(string, ...any), n *router.NeighborStatus) {
	out, in := offers(n)
	mark := func(name string, sent, received bool) {
		if m := marks(sent, received); m != "" {
			p("  %s: %s", name, m)
		}
	}
	code := func(name string, code uint8) { mark(name, out.Has(code), in.Has(code)) }
	p("  Neighbor capabilities:")
	code("Route refresh capability (new)", wire.CapRouteRefresh)
	code("Route refresh capability (old)", wire.CapOldRouteRefresh)
	code("Enhanced route refresh capability", wire.CapEnhancedRouteRefresh)
	code("4-Byte AS capability", wire.CapFourOctetAS)
	code("Extended message capability", wire.CapExtendedMessage)
	for _, f := range families {
		mark("Address family "+familyName(f), out.family(f), in.family(f))
	}
	code("Graceful Restart capability", wire.CapGracefulRestart)
	code("Long-lived Graceful Restart capability", wire.CapLongLivedGR)
	if roles := out.role("advertised") + in.role("received"); roles != "" {
		p("  Role capability:%s", roles)
	}
	p("")
	v.restart(p, n, &out, &in)
	paths(p, &out, &in)
}

// families are those that the switch routes.
var families = []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast}

// names lists families as lines have them, indented.
func names(list []wire.Family) string {
	var out []string
	for _, f := range list {
		if slices.Contains(families, f) {
			out = append(out, familyName(f))
		}
	}
	return "    " + strings.Join(out, "  ")
}

// restart is the block about graceful restart and the encoding of next hops.
func (v *neighborsView) restart(p func(string, ...any), n *router.NeighborStatus, out, in *said) {
	ours, sent := out.GracefulRestart()
	theirs, received := in.GracefulRestart()
	extended := marks(out.Has(wire.CapExtendedNextHop), in.Has(wire.CapExtendedNextHop))
	if sent || received {
		of := func(title string, g wire.GracefulRestart, is func(wire.GracefulFamily) bool) {
			p("  %s", title)
			var list []wire.Family
			for _, f := range g.Families {
				if is(f) {
					list = append(list, f.Family)
				}
			}
			if len(list) > 0 {
				p("%s", names(list))
			}
		}
		any := func(wire.GracefulFamily) bool { return true }
		p("  Graceful Restart Parameters:")
		of("Address families advertised to peer:", ours, any)
		of("Address families received from peer:", theirs, any)
		of("Forwarding state preserved by peer for:", theirs, func(f wire.GracefulFamily) bool { return f.Forwarding })
		if sent {
			p("  Restart time advertised to peer: %d seconds", ours.Time/time.Second)
			p("  Stale time for routes advertised by peer: %d seconds", n.Config.StaleTime/time.Second)
		}
		if received {
			p("  Restart time advertised by peer: %d seconds", theirs.Time/time.Second)
		}
		for _, l := range in.LongLived() {
			if l.StaleTime > 0 && slices.Contains(families, l.Family) {
				p("  Long-lived stale time advertised by peer for %s: %d seconds", familyName(l.Family), l.StaleTime/time.Second)
			}
		}
	}
	if extended != "" {
		p("  Extended Next Hop Encoding Capability: %s", extended)
		if in.Has(wire.CapExtendedNextHop) {
			p("  Receive IPv6 next hop encoding Capability for AF:")
			p("%s", names([]wire.Family{wire.IPv4Unicast}))
		}
	}
	if sent || received || extended != "" {
		p("")
	}
}

// paths is the block about several paths to one prefix (RFC 7911).
func paths(p func(string, ...any), out, in *said) {
	if !out.Has(wire.CapAddPath) && !in.Has(wire.CapAddPath) {
		return
	}
	of := func(title string, list []wire.AddPathFamily, mode wire.AddPathMode) {
		var found []wire.Family
		for _, f := range list {
			if f.Mode&mode != 0 {
				found = append(found, f.Family)
			}
		}
		if len(found) > 0 {
			p("  %s", title)
			p("%s", names(found))
		}
	}
	p("  Additional Paths capability parameters:")
	of("Send capability advertised to Peer for AF:", out.AddPath(), wire.AddPathSend)
	of("Receive capability advertised to Peer for AF:", out.AddPath(), wire.AddPathReceive)
	of("Send capability received from Peer for AF:", in.AddPath(), wire.AddPathSend)
	of("Receive capability received from Peer for AF:", in.AddPath(), wire.AddPathReceive)
	p("")
}

// negotiated is what JSON tells of the same.
func (v *neighborsView) negotiated(n *router.NeighborStatus) object {
	out, in := offers(n)
	var o object
	if n.Config.LocalAS != 0 {
		o = o.str("localas", n.Config.LocalAS)
	}
	if n.Config.TTLSecurity != 0 {
		o = o.str("ttlsecurityhops", n.Config.TTLSecurity)
	}
	if n.Config.BFD != nil {
		o = o.str("bfdlivedetect", true).str("bfdstate", bfdState(n))
	}
	for _, c := range []struct {
		key  string
		code uint8
	}{
		{"caprefresh", wire.CapRouteRefresh}, {"capenhrefresh", wire.CapEnhancedRouteRefresh}, {"capas4", wire.CapFourOctetAS},
		{"capextmsg", wire.CapExtendedMessage}, {"capgr", wire.CapGracefulRestart}, {"capllgr", wire.CapLongLivedGR},
		{"capextendednh", wire.CapExtendedNextHop}, {"capaddpath", wire.CapAddPath},
	} {
		if m := marks(out.Has(c.code), in.Has(c.code)); m != "" {
			o = o.str(c.key, m)
		}
	}
	if g, ok := out.GracefulRestart(); ok {
		o = o.str("grrestarttime", int(g.Time/time.Second)).str("grstaletime", int(n.Config.StaleTime/time.Second))
	}
	if g, ok := in.GracefulRestart(); ok {
		o = o.str("grrecvrestarttime", int(g.Time/time.Second))
	}
	if r, ok := out.Role(); ok {
		o = o.str("localrole", r)
	}
	if r, ok := in.Role(); ok {
		o = o.str("remoterole", r)
	}
	return o
}
