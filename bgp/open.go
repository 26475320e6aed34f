package bgp

import (
	"slices"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// negotiate is what two OPENs agree on.
func (c *Config) negotiate(sent, received *wire.Open) wire.Session {
	s := wire.Negotiate(sent, received)
	if !s.Internal {
		s.FirstAS = received.PeerAS()
	}
	return s
}

// open is the OPEN we send; restarting says that we have just come back.
func (c *Config) open(restarting bool) *wire.Open {
	families := c.families()
	o := wire.NewOpen(c.LocalAS, uint16(c.holdTime()/time.Second), c.RouterID, families...)
	add := func(capabilities ...wire.Capability) { o.Capabilities = append(o.Capabilities, capabilities...) }
	add(wire.EnhancedRouteRefresh(), wire.ExtendedMessage())
	if slices.Contains(families, wire.IPv4Unicast) && !c.over4() {
		add(wire.ExtendedNextHop())
	}
	if c.AddPath != 0 {
		var all []wire.AddPathFamily
		for _, f := range families {
			all = append(all, wire.AddPathFamily{Family: f, Mode: c.AddPath})
		}
		add(wire.AddPath(all...))
	}
	if c.GracefulRestart != nil {
		add(c.GracefulRestart.capabilities(families, restarting)...)
	}
	if c.Role != nil {
		add(wire.RoleCapability(*c.Role))
	}
	return o
}
