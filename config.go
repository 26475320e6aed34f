package pharos

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos/why"
)

// Config is everything the operator configures, valid as a whole. It is
// immutable.
type Config struct {
	Pools          []Pool // sorted by name
	Peers          []Peer
	Advertisements []Advertisement
	BFDProfiles    []BFDProfile

	// Reassign says what becomes of addresses in use that no pool has any more:
	// their Services get others (resources, as MetalLB does since 0.14.2), or the
	// configuration is refused as long as they are in use (the ConfigMap, as it
	// did before).
	Reassign bool
}

// Pool is a stock of addresses. Its ranges are disjoint, also from every other
// pool's.
type Pool struct {
	Name   string
	Origin string  // where it is configured, for people
	Ranges []Range // in the operator's order

	// ManualOnly withholds the pool from Services that do not ask for it by
	// name or address (autoAssign: false).
	ManualOnly bool

	// AvoidBuggyIPs skips IPv4 addresses that end in .0 and .255.
	AvoidBuggyIPs bool

	// Allocation says which Services the pool is for; nil: for all.
	Allocation *Allocation

	// CoolDown is how long an address that was given back is given to nobody
	// else; 0: not at all. The Service that had it may have it again. A
	// controller that starts knows of none.
	CoolDown time.Duration

	// Reservations keep addresses of the pool for Services, whether those exist
	// or not, and admit them to it. A Service has one of each family at most. Who
	// has such an address already keeps it.
	Reservations []Reservation

	// Quota is how many addresses of the pool the Services of a namespace may
	// hold together, one that they share counted once. Lowering it takes nothing
	// away. The key AnyNamespace stands for each one that is not named;
	// without it, those are not limited.
	Quota map[string]int
}

// AnyNamespace is the key in Pool.Quota of all namespaces that are not named.
const AnyNamespace = "*"

// Allocation pins a pool to some Services.
type Allocation struct {
	// Priority orders the pools pinned to a Service: the lowest first, 0 last.
	Priority int

	// Namespaces and NamespaceSelectors together are the namespaces whose
	// Services may use the pool: those named, and those whose labels one of the
	// selectors matches. Where neither is configured every namespace may;
	// selectors that match none admit nobody.
	Namespaces         []string
	NamespaceSelectors []Selector

	// ServiceSelectors are the Services of those namespaces that may use the
	// pool; none means every one.
	ServiceSelectors []Selector
}

// Admits reports whether a Service with these labels, in a namespace of this
// name and labels, may use a pool. A nil Allocation admits all.
func (a *Allocation) Admits(namespace string, namespaceLabels, labels map[string]string) bool {
	if a == nil {
		return true
	}
	inside := len(a.Namespaces)+len(a.NamespaceSelectors) == 0 || slices.Contains(a.Namespaces, namespace) ||
		slices.ContainsFunc(a.NamespaceSelectors, func(s Selector) bool { return s.Matches(namespaceLabels) })
	return inside && MatchesAny(a.ServiceSelectors, labels)
}

// Reservation keeps an address for a Service.
type Reservation struct {
	Service Name
	Addr    netip.Addr
}

// Range is an inclusive range of addresses of one family.
type Range struct{ First, Last netip.Addr }

// PrefixRange returns the range that a prefix covers.
func PrefixRange(p netip.Prefix) Range {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	return Range{p.Addr(), end}
}

// Contains reports whether the range has the address.
func (r Range) Contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// Overlaps reports whether the ranges share an address.
func (r Range) Overlaps(other Range) bool {
	return r.Contains(other.First) || r.Contains(other.Last) || other.Contains(r.First)
}

// Prefixes returns the fewest prefixes that together are the range.
func (r Range) Prefixes() []netip.Prefix {
	var out []netip.Prefix
	for first := r.First; first.IsValid() && first.Compare(r.Last) <= 0; {
		p := netip.PrefixFrom(first, first.BitLen())
		for p.Bits() > 0 {
			wider := netip.PrefixFrom(first, p.Bits()-1)
			if wider.Masked().Addr() != first || PrefixRange(wider).Last.Compare(r.Last) > 0 {
				break
			}
			p = wider
		}
		out = append(out, p)
		first = PrefixRange(p).Last.Next() // not valid behind the last address there is
	}
	return out
}

// String returns first-last.
func (r Range) String() string { return r.First.String() + "-" + r.Last.String() }

// Widened returns the range that the prefixes of so many bits cover which have an
// address of this one.
func (r Range) Widened(bits int) Range {
	first, err := r.First.Prefix(bits)
	last, err2 := r.Last.Prefix(bits)
	if err != nil || err2 != nil {
		return r
	}
	return Range{first.Addr(), PrefixRange(last).Last}
}

// Contains reports whether the pool may give out the address.
func (p *Pool) Contains(a netip.Addr) bool {
	if p.AvoidBuggyIPs && Buggy(a) {
		return false
	}
	return slices.ContainsFunc(p.Ranges, func(r Range) bool { return r.Contains(a) })
}

// Buggy reports whether an IPv4 address ends in .0 or .255, which some old
// routers and clients mistake for a network's or a broadcast address.
func Buggy(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	last := a.As4()[3]
	return last == 0 || last == 255
}

// PoolOf returns the pool that may give out the address, or nil.
func (c *Config) PoolOf(a netip.Addr) *Pool {
	for i := range c.Pools {
		if c.Pools[i].Contains(a) {
			return &c.Pools[i]
		}
	}
	return nil
}

// Pool returns the pool of that name, or nil.
func (c *Config) Pool(name string) *Pool {
	i, ok := slices.BinarySearchFunc(c.Pools, name, func(p Pool, name string) int { return cmp.Compare(p.Name, name) })
	if !ok {
		return nil
	}
	return &c.Pools[i]
}

// Peer is one BGP neighbour of the nodes that its selectors choose. Exactly one
// of Addr and Interface says where it is, and exactly one of RemoteAS and
// DynamicAS which autonomous system it is of.
type Peer struct {
	Name          string
	Origin        string // where it is configured, for people
	LocalAS       uint32
	RemoteAS      uint32
	DynamicAS     DynamicAS
	Addr          netip.Addr
	Interface     string         // the peer is the one neighbour on this link (unnumbered)
	Port          uint16         // 179 unless set otherwise
	SourceAddr    netip.Addr     // zero: the kernel chooses
	HoldTime      *time.Duration // nil: the engine's default; 0 s: no hold timer
	KeepaliveTime *time.Duration // nil: a third of the hold time
	RouterID      netip.Addr     // zero: the node's own
	NodeSelectors []Selector     // one has to match; none means every node
	Password      Secret         // TCP MD5 (RFC 2385); empty: none
	EBGPMultiHop  bool           // the peer may be behind routers; decides single- or multihop BFD
	AnyDistance   bool           // so it may without EBGPMultiHop: the ConfigMap never held a peer to one hop
	BFDProfile    string         // name; empty: no BFD

	// LocalASOverride is the autonomous system that this peer knows us by, in
	// place of LocalAS; 0: LocalAS (localASN).
	LocalASOverride uint32
	ConnectTime     *time.Duration // longest pause between attempts to connect; nil: the engine's default
	GracefulRestart bool           // offer graceful restart (RFC 4724)
	VRF             string         // the node's VRF that the session runs in; empty: the default one
	DualStack       bool           // carry both address families; otherwise the session's own

	// Refused, unless OK, says why there must be no session with the peer, such as
	// why.SecretMissing. All else of the peer may be incomplete then.
	Refused why.Reason
}

// DynamicAS admits a peer of any autonomous system of a kind.
type DynamicAS string

// The kinds of peers whose autonomous system is not configured.
const (
	Internal DynamicAS = "internal" // our own
	External DynamicAS = "external" // any but our own
)

// Secret is text that is never printed, logged or marshalled.
type Secret string

const redacted = "<redacted>"

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the text, for the socket option that needs it.
func (s Secret) Reveal() string { return string(s) }

// Mode is how an advertisement tells the network of an address.
type Mode string

// The modes of advertisements.
const (
	BGP    Mode = "bgp"
	Layer2 Mode = "layer2"
)

// Advertisement says how the addresses of some pools are announced.
type Advertisement struct {
	Name             string
	Origin           string // where it is configured, for people
	Mode             Mode
	Pools            []string   // names, sorted; none covers none
	NodeSelectors    []Selector // one has to match; none means every node
	ServiceSelectors []Selector // one has to match; none means every Service

	// What follows is of mode BGP.

	// IGP says that routes carry ORIGIN IGP, as those of MetalLB's resources do;
	// otherwise incomplete, as those of its ConfigMap did. A router that hears
	// both prefers IGP, so that it has to be what the other nodes say.
	IGP                 bool
	Peers               []string    // names; none means all
	AggregationLength   int         // IPv4 prefix length, 32 for host routes
	AggregationLengthV6 int         // IPv6 prefix length, 128 for host routes
	LocalPref           *uint32     // nil: unset; iBGP alone carries it (RFC 4271 §5.1.5)
	Communities         []Community // sorted, no duplicates
	LargeCommunities    []LargeCommunity

	// What follows is of mode Layer2.

	Interfaces []string     // exact names; none means all
	Preferred  []Preference // nodes that are to announce rather than others
}

// Preference is a weight of the nodes whose labels match, 1 to 100. The weights
// of all that match a node add up.
type Preference struct {
	Weight int
	Nodes  Selector
}

// Covers reports whether the advertisement is meant for a pool's addresses.
func (a *Advertisement) Covers(pool string) bool { return slices.Contains(a.Pools, pool) }

// Selects reports whether the advertisement is meant for a pool's addresses on
// a node with these labels.
func (a *Advertisement) Selects(pool string, nodeLabels map[string]string) bool {
	return a.Covers(pool) && MatchesAny(a.NodeSelectors, nodeLabels)
}

// Prefix returns the prefix under which the advertisement announces an address.
func (a *Advertisement) Prefix(addr netip.Addr) netip.Prefix {
	bits := a.AggregationLength
	if addr.Is6() {
		bits = a.AggregationLengthV6
	}
	p, _ := addr.Prefix(bits)
	return p
}

// Community is a BGP community of two 16-bit numbers (RFC 1997).
type Community uint32

// String returns the community as high:low.
func (c Community) String() string { return fmt.Sprintf("%d:%d", uint32(c)>>16, uint32(c)&0xffff) }

// LargeCommunity is a BGP large community (RFC 8092).
type LargeCommunity struct{ Global, Local1, Local2 uint32 }

// Compare orders large communities by their numbers.
func (c LargeCommunity) Compare(other LargeCommunity) int {
	return cmp.Or(cmp.Compare(c.Global, other.Global), cmp.Compare(c.Local1, other.Local1), cmp.Compare(c.Local2, other.Local2))
}

// String returns the large community as large:global:local1:local2.
func (c LargeCommunity) String() string {
	return fmt.Sprintf("large:%d:%d:%d", c.Global, c.Local1, c.Local2)
}

// BFDProfile returns the profile of that name, or nil.
func (c *Config) BFDProfile(name string) *BFDProfile {
	i := slices.IndexFunc(c.BFDProfiles, func(p BFDProfile) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &c.BFDProfiles[i]
}

// BFDProfile holds the parameters of BFD sessions (RFC 5880).
type BFDProfile struct {
	Name             string
	Origin           string // where it is configured, for people
	ReceiveInterval  time.Duration
	TransmitInterval time.Duration
	DetectMultiplier uint8
	EchoInterval     time.Duration
	EchoMode         bool
	PassiveMode      bool
	MinimumTTL       uint8
}

// Orphans tells which addresses in use a configuration would no longer have in
// any pool, with the Service that uses each, sorted by the Service's name. The
// result is empty where the configuration may come into force.
func (c *Config) Orphans(inUse map[netip.Addr]Name) []why.Reason {
	var lost []netip.Addr
	for a := range inUse {
		if c.PoolOf(a) == nil {
			lost = append(lost, a)
		}
	}
	slices.SortFunc(lost, func(a, b netip.Addr) int {
		if c := inUse[a].Compare(inUse[b]); c != 0 {
			return c
		}
		return a.Compare(b)
	})
	var reasons []why.Reason
	for _, a := range lost {
		reasons = append(reasons, why.New(why.ConfigOrphans, "address %s of Service %s would be in no pool", a, inUse[a]))
	}
	return reasons
}
