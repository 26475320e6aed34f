package bgp

import (
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/bgp/wire"
)

// defaultLocalPref is sent to internal peers when a route has none of its own:
// an absent LOCAL_PREF is malformed there (RFC 4271 §5.1.5), and 0 would lose to
// every other route.
const defaultLocalPref = 100

// Attrs are the path attributes of routes we originate, the same for every peer:
// what differs between sessions (AS_PATH, LOCAL_PREF on internal ones alone, the
// next hop "self") the engine adds.
//
// A set that was given to Apply must not be changed any more. Share one pointer
// between routes that have the same attributes: routes are packed into UPDATEs
// by pointer.
type Attrs struct {
	Origin wire.Origin
	// LocalPref is sent to internal peers only; nil means 100.
	LocalPref *uint32
	// MED is sent if not nil (RFC 4271 §5.1.4).
	MED *uint32
	// Prepend is how many times our AS number is put into AS_PATH in addition to
	// the one that external peers always see; ignored for internal peers.
	Prepend uint8
	// NextHop is used for the routes of its own family; zero means "self".
	NextHop netip.Addr
	// Communities are sent in the order given, those of each kind (RFC 1997, 4360,
	// 8092). A link bandwidth, by which a receiver may weigh paths, is one of the
	// extended ones.
	Communities      []wire.Community
	ExtCommunities   []wire.ExtCommunity
	LargeCommunities []wire.LargeCommunity
}

// Equal tells if two sets mean the same.
func (a *Attrs) Equal(b *Attrs) bool {
	if a == b || a == nil || b == nil {
		return a == b
	}
	return a.Origin == b.Origin && equalPtr(a.LocalPref, b.LocalPref) && equalPtr(a.MED, b.MED) &&
		a.Prepend == b.Prepend && a.NextHop == b.NextHop &&
		slices.Equal(a.Communities, b.Communities) && slices.Equal(a.ExtCommunities, b.ExtCommunities) &&
		slices.Equal(a.LargeCommunities, b.LargeCommunities)
}

// outbound is what attributes depend on besides themselves: one session's view.
type outbound struct {
	session  wire.Session
	localAS  uint32
	nextHop4 netip.Addr // "self" for IPv4 routes; zero: none can be sent
	nextHop6 netip.Addr // "self" for IPv6 routes; zero: none can be sent
	drain    bool       // Config.GracefulShutdown
	mark     bool       // with ONLY_TO_CUSTOMER (RFC 9234 §5)
}

// newOutbound says what "self" is on a session whose local address is local.
func newOutbound(c *Config, s wire.Session, local netip.Addr) outbound {
	o := outbound{session: s, localAS: c.LocalAS, nextHop4: c.NextHopIPv4, nextHop6: c.NextHopIPv6}
	if c.Role != nil {
		switch *c.Role {
		case wire.RoleProvider, wire.RolePeer, wire.RoleRouteServer:
			o.mark = true
		}
	}
	local = local.Unmap().WithZone("")
	if !o.nextHop4.IsValid() && (local.Is4() || s.ExtendedNextHop) {
		o.nextHop4 = local
	}
	if !o.nextHop6.IsValid() && local.Is6() {
		o.nextHop6 = local
	}
	return o
}

// nextHop of a route of the family; zero: none.
func (o *outbound) nextHop(f wire.Family, a *Attrs) netip.Addr {
	v4 := f == wire.IPv4Unicast
	switch {
	case a.NextHop.IsValid() && a.NextHop.Is4() == v4:
		return a.NextHop
	case v4:
		return o.nextHop4
	default:
		return o.nextHop6
	}
}

// wire turns attributes into what goes out on the session.
func (o *outbound) wire(a *Attrs) *wire.Attrs {
	w := &wire.Attrs{
		Origin:           a.Origin,
		NextHop:          o.nextHop(wire.IPv4Unicast, a),
		NextHop6:         o.nextHop(wire.IPv6Unicast, a),
		Communities:      a.Communities,
		ExtCommunities:   a.ExtCommunities,
		LargeCommunities: a.LargeCommunities,
	}
	if o.drain && !slices.Contains(a.Communities, wire.CommunityGracefulShutdown) {
		w.Communities = append(slices.Clip(a.Communities), wire.CommunityGracefulShutdown)
	}
	if o.mark {
		w.OnlyToCustomer = o.localAS
	}
	if a.MED != nil {
		w.MED = wire.Some(*a.MED)
	}
	if o.session.Internal { // RFC 4271 §5.1.2 b 1, §5.1.5
		w.LocalPref = wire.Some(defaultLocalPref)
		if a.LocalPref != nil {
			w.LocalPref = wire.Some(*a.LocalPref)
		}
		if o.drain {
			w.LocalPref = wire.Some(0)
		}
		return w
	}
	path := make([]uint32, 1+int(a.Prepend)) // RFC 4271 §5.1.2 b 2
	for i := range path {
		path[i] = o.localAS
	}
	w.ASPath = wire.Sequence(path...)
	return w
}

func equalPtr[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
