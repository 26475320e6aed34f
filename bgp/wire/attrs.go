package wire

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
)

// AttrType is the type code of a path attribute.
type AttrType uint8

// Path attribute type codes (IANA).
const (
	AttrOrigin          AttrType = 1
	AttrASPath          AttrType = 2
	AttrNextHop         AttrType = 3
	AttrMED             AttrType = 4
	AttrLocalPref       AttrType = 5
	AttrAtomicAggregate AttrType = 6
	AttrAggregator      AttrType = 7
	AttrCommunities     AttrType = 8
	AttrOriginatorID    AttrType = 9
	AttrClusterList     AttrType = 10
	AttrMPReach         AttrType = 14
	AttrMPUnreach       AttrType = 15
	AttrExtCommunities  AttrType = 16
	AttrAS4Path         AttrType = 17
	AttrAS4Aggregator   AttrType = 18
	AttrLargeComms      AttrType = 32
	AttrOnlyToCustomer  AttrType = 35
)

var attrNames = map[AttrType]string{
	AttrOrigin: "ORIGIN", AttrASPath: "AS_PATH", AttrNextHop: "NEXT_HOP", AttrMED: "MULTI_EXIT_DISC",
	AttrLocalPref: "LOCAL_PREF", AttrAtomicAggregate: "ATOMIC_AGGREGATE", AttrAggregator: "AGGREGATOR",
	AttrCommunities: "COMMUNITIES", AttrOriginatorID: "ORIGINATOR_ID", AttrClusterList: "CLUSTER_LIST",
	AttrMPReach: "MP_REACH_NLRI", AttrMPUnreach: "MP_UNREACH_NLRI", AttrExtCommunities: "EXTENDED_COMMUNITIES",
	AttrAS4Path: "AS4_PATH", AttrAS4Aggregator: "AS4_AGGREGATOR", AttrLargeComms: "LARGE_COMMUNITIES",
	AttrOnlyToCustomer: "ONLY_TO_CUSTOMER",
}

// String returns the RFC's name of the attribute, or "attribute N".
func (t AttrType) String() string {
	if s, ok := attrNames[t]; ok {
		return s
	}
	return fmt.Sprintf("attribute %d", uint8(t))
}

// Flags of a path attribute (RFC 4271 §4.3).
const (
	FlagOptional   uint8 = 0x80
	FlagTransitive uint8 = 0x40
	FlagPartial    uint8 = 0x20
	FlagExtended   uint8 = 0x10 // two-octet length; set by the encoder where needed
)

// Origin is the ORIGIN attribute (RFC 4271 §5.1.1); lower is preferred.
type Origin uint8

// Origins.
const (
	OriginIGP        Origin = 0
	OriginEGP        Origin = 1
	OriginIncomplete Origin = 2
)

// String returns the RFC's name.
func (o Origin) String() string {
	switch o {
	case OriginIGP:
		return "IGP"
	case OriginEGP:
		return "EGP"
	case OriginIncomplete:
		return "INCOMPLETE"
	}
	return fmt.Sprintf("origin %d", uint8(o))
}

// Optional is a number that may be absent; the zero value is.
type Optional struct {
	Value uint32
	Set   bool
}

// Some returns an Optional that is present.
func Some(v uint32) Optional { return Optional{v, true} }

// Or returns the value, or def when it is absent.
func (o Optional) Or(def uint32) uint32 {
	if o.Set {
		return o.Value
	}
	return def
}

// Aggregator is who aggregated a route (RFC 4271 §5.1.7). AS 0 means absent.
type Aggregator struct {
	AS uint32
	ID netip.Addr // IPv4
}

// RawAttr is a path attribute this package does not know.
type RawAttr struct {
	Flags uint8 // without FlagExtended
	Type  AttrType
	Value []byte
}

// Attrs is a set of path attributes. The zero value of each field means absent, except for Origin and ASPath, which
// every route has. Treat a set that was handed out as immutable and share it.
type Attrs struct {
	Origin Origin
	ASPath ASPath // four-octet numbers, whatever the session
	// NextHop of the IPv4 prefixes: NEXT_HOP, or the next hop of an MP_REACH_NLRI for IPv4 unicast, which
	// may be an IPv6 address (RFC 8950).
	NextHop netip.Addr
	// NextHop6 of the IPv6 prefixes: the global address, or a link-local one if the peer sent no other
	// (RFC 2545 §3).
	NextHop6 netip.Addr
	// LinkLocal is the link-local address that came with an IPv6 next hop, of IPv6 or of IPv4 prefixes, if there
	// was one beside it (RFC 2545 §3, RFC 8950 §3). It is sent with either.
	LinkLocal netip.Addr

	MED             Optional
	LocalPref       Optional // only in internal sessions; not sent in external ones
	AtomicAggregate bool
	Aggregator      Aggregator

	Communities      []Community
	ExtCommunities   []ExtCommunity
	LargeCommunities []LargeCommunity

	OriginatorID   netip.Addr   // only in internal sessions (RFC 4456)
	ClusterList    []netip.Addr // only in internal sessions (RFC 4456)
	OnlyToCustomer uint32       // AS number; 0 means absent (RFC 9234)

	// Unknown optional attributes in wire order. The non-transitive among them mean something to the next hop
	// only: see PassOn.
	Unknown []RawAttr

	asns        []uint32 // memory of ASPath
	as4, merged ASPath   // memory for merging AS4_PATH into it
	raw         []byte   // memory of Unknown
}

// NextHopFor returns the next hop of a prefix by its family; for IPv6 the global one.
func (a *Attrs) NextHopFor(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		return a.NextHop
	}
	return a.NextHop6
}

// PassOn returns the unknown attributes as they are sent on to another peer: the transitive ones, marked partial
// (RFC 4271 §5).
func (a *Attrs) PassOn() []RawAttr {
	var out []RawAttr
	for _, u := range a.Unknown {
		if u.Flags&FlagTransitive != 0 {
			u.Flags |= FlagPartial
			out = append(out, u)
		}
	}
	return out
}

// Equal tells if two sets mean the same. Communities are compared in order.
func (a *Attrs) Equal(b *Attrs) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Origin == b.Origin && a.ASPath.Equal(b.ASPath) &&
		a.NextHop == b.NextHop && a.NextHop6 == b.NextHop6 && a.LinkLocal == b.LinkLocal &&
		a.MED == b.MED && a.LocalPref == b.LocalPref && a.AtomicAggregate == b.AtomicAggregate &&
		a.Aggregator == b.Aggregator && slices.Equal(a.Communities, b.Communities) &&
		slices.Equal(a.ExtCommunities, b.ExtCommunities) && slices.Equal(a.LargeCommunities, b.LargeCommunities) &&
		a.OriginatorID == b.OriginatorID && slices.Equal(a.ClusterList, b.ClusterList) &&
		a.OnlyToCustomer == b.OnlyToCustomer &&
		slices.EqualFunc(a.Unknown, b.Unknown, func(x, y RawAttr) bool {
			return x.Flags == y.Flags && x.Type == y.Type && bytes.Equal(x.Value, y.Value)
		})
}

// Clone returns a copy that shares no memory, for keeping what was decoded into a reused Update.
func (a *Attrs) Clone() *Attrs {
	if a == nil {
		return nil
	}
	c := *a
	c.asns, c.as4, c.merged, c.raw = nil, nil, nil, nil
	c.ASPath = a.ASPath.Clone()
	c.Communities = slices.Clone(a.Communities)
	c.ExtCommunities = slices.Clone(a.ExtCommunities)
	c.LargeCommunities = slices.Clone(a.LargeCommunities)
	c.ClusterList = slices.Clone(a.ClusterList)
	c.Unknown = slices.Clone(a.Unknown)
	for i := range c.Unknown {
		c.Unknown[i].Value = slices.Clone(c.Unknown[i].Value)
	}
	return &c
}

// reset empties the set and keeps its memory.
func (a *Attrs) reset() {
	*a = Attrs{
		ASPath: a.ASPath[:0], asns: a.asns[:0], as4: a.as4[:0], merged: a.merged[:0], raw: a.raw[:0],
		Communities: a.Communities[:0], ExtCommunities: a.ExtCommunities[:0],
		LargeCommunities: a.LargeCommunities[:0], ClusterList: a.ClusterList[:0], Unknown: a.Unknown[:0],
	}
}
