package bgp

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// Defaults of Config's fields.
const (
	// Port is BGP's TCP port (RFC 4271 §4.1, IANA).
	Port = 179
	// DefaultHoldTime is proposed when Config.HoldTime is nil. The lower of the
	// two sides' values is used, so it is we who decide against a switch's
	// usual 180 s.
	DefaultHoldTime = 9 * time.Second
	// DefaultConnectRetry bounds the pause between two attempts to reach a peer
	// that does not answer, when Config.ConnectRetry is zero.
	DefaultConnectRetry = time.Second
	// maxPassword is the longest key the kernel takes (TCP_MD5SIG_MAXKEYLEN).
	maxPassword = 80
)

// Config is one neighbor: what the session is made of. It is a value; the
// engine keeps its own copy.
type Config struct {
	// Name is the caller's key for the neighbor, unique in a Server.
	Name string
	// LocalAS and RemoteAS are the two autonomous systems, 1..4294967295. Equal
	// ones make the session internal (iBGP). A peer that names another AS in its
	// OPEN is refused with NOTIFICATION 2/2.
	LocalAS, RemoteAS uint32
	// AnyExternal takes a peer of any AS but LocalAS; RemoteAS is 0 then.
	AnyExternal bool
	// RouterID is our BGP Identifier: a non-zero IPv4 address used as a number
	// (RFC 6286). It must differ between speakers of one AS.
	RouterID netip.Addr
	// LocalAddr is the source address of our connections and the only one on
	// which the peer's are taken. The zero value leaves it to the kernel's
	// routes and takes the peer's connections on any address.
	LocalAddr netip.Addr
	// RemoteAddr is the peer's address, with the interface as zone if it is IPv6
	// link-local. Exactly one of RemoteAddr, RemotePrefix and Interface says who
	// the peer is.
	RemoteAddr netip.Addr
	// RemotePrefix, in place of an address, admits every host in it that connects
	// (dynamic neighbors): such a peer is never dialed. Hosts that a longer prefix
	// or an address of another peer covers belong to that one. All of them share
	// the Password or the AO keys.
	RemotePrefix netip.Prefix
	// DynamicLimit is how many neighbors RemotePrefix may have at a time, and
	// DynamicTimeout how long one is remembered without a connection. 0:
	// DefaultDynamicLimit, DefaultDynamicTimeout.
	DynamicLimit   int
	DynamicTimeout time.Duration
	// Template is set in the Status of a neighbor that RemotePrefix admitted: the
	// Name of the Config that did. Such a neighbor is itself named by its address.
	Template string
	// Interface, in place of an address, makes the peer unnumbered: it is the one
	// neighbor on this link, whose IPv6 link-local address is learned from its
	// router advertisements (RFC 4861 §4.2). Until Resolve has filled in
	// RemoteAddr, the session waits.
	Interface string
	// Device is a network device that the session is bound to, BFD's included: that
	// of a VRF, as a rule. Such a peer is dialed, and its own connections are not
	// taken. Empty: the routes decide.
	Device string
	// RemotePort is the TCP port we dial; 0 means 179.
	RemotePort uint16
	// HoldTime is the hold time we propose: 0 (never expires) or 3 s to 65535 s
	// in whole seconds. Nil means DefaultHoldTime.
	HoldTime *time.Duration
	// KeepaliveTime is the pause between our KEEPALIVEs: 1 s up to the hold
	// time. Nil, or more than a third of the negotiated hold time, means a third
	// of it (RFC 4271 §10).
	KeepaliveTime *time.Duration
	// ConnectRetry is the longest pause between two attempts to reach a peer
	// that does not answer at all; the first pauses are shorter. 1 s to 65535 s;
	// zero means DefaultConnectRetry.
	ConnectRetry time.Duration
	// Password is the key of TCP MD5 signatures (RFC 2385), at most 80 octets;
	// empty means none. It is never logged and no Status shows it.
	Password string
	// AO are the keys of TCP-AO (RFC 5925), in place of a Password; none means
	// that it is not used. The first is the one we ask the peer to sign with,
	// and sign with ourselves until the peer asks for another. Keys that are added,
	// removed or put in another order are taken over by the session as it goes on,
	// if the peer has at least one of the new ones; it is only when a key's secret
	// or algorithm changes under the same IDs that it begins anew. Where the
	// kernel lacks TCP-AO, the peer is neither dialed nor let in.
	AO []AOKey
	// Families are the address families we offer; what the peer offers too is
	// used. Nil means the session's own family.
	Families []wire.Family
	// NextHopIPv4 and NextHopIPv6 stand for "self" in routes whose family is not
	// the session's own: over IPv4 an IPv6 route needs NextHopIPv6. Over IPv6 an
	// IPv4 route without NextHopIPv4 goes by the session's own address, if the
	// peer takes that (RFC 8950). Zero otherwise: such routes are held back and
	// counted in SessionStatus.Withheld. For the session's own family they
	// override its local address.
	NextHopIPv4, NextHopIPv6 netip.Addr
	// AddPath offers to send several paths to one prefix, or to receive them, in all
	// families (RFC 7911); 0: neither.
	AddPath wire.AddPathMode
	// GracefulRestart, if not nil, offers graceful restart (RFC 4724, 8538, 9494).
	GracefulRestart *GracefulRestart
	// Role, if not nil, is what we are to an external peer (RFC 9234): a peer whose
	// own role does not go with it is refused with NOTIFICATION 2/11, and our routes
	// are marked so that they leak no further. StrictRole refuses peers that tell no
	// role, too.
	Role       *wire.Role
	StrictRole bool
	// Shutdown keeps the neighbor known and without a session. ShutdownText is told
	// to the peer's operator when the session closes (RFC 9003), 255 octets at most.
	Shutdown     bool
	ShutdownText string
	// Passive peers are never dialed; they must connect to us.
	Passive bool
	// MultiHop says that the peer of an external session may be more than one
	// hop away. Unset, our packets to an external peer leave with TTL 1.
	// Internal sessions are never limited.
	MultiHop bool
	// TTLSecurity, if not zero, is the greatest number of hops the peer's packets
	// may have travelled, 1..254: ours leave with TTL 255 and those that arrive
	// with less than 256-TTLSecurity are dropped by the kernel (GTSM, RFC 5082).
	// It takes MultiHop's place.
	TTLSecurity uint8

	// What follows may change without the session being touched.

	// Export, if not nil, are the prefixes that the peer may be sent: a route is
	// withheld unless one of them covers it, whatever Apply asks for.
	Export []netip.Prefix
	// GracefulShutdown marks all routes with GRACEFUL_SHUTDOWN and, to internal
	// peers, with local preference 0 (RFC 8326 §3): the peer looks for other ways
	// before the session goes.
	GracefulShutdown bool
	// BFD, if not nil, has the Server's Detector watch the path to the peer.
	BFD *BFD
}

// Validate says what makes the configuration unusable. All faults are joined.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		bad("name is empty")
	}
	if c.AnyExternal && c.RemoteAS != 0 {
		bad("remote AS %d is given, and any external one would do", c.RemoteAS)
	}
	if c.LocalAS == 0 || c.RemoteAS == 0 && !c.AnyExternal {
		bad("autonomous system 0 is reserved (RFC 7607)")
	}
	if c.LocalAS == wire.ASTrans || c.RemoteAS == wire.ASTrans {
		bad("autonomous system %d is reserved (RFC 6793)", wire.ASTrans)
	}
	if !c.RouterID.Is4() || c.RouterID.IsUnspecified() {
		bad("router id %v is not a non-zero IPv4 address", c.RouterID)
	}
	if err := c.validateRemote(); err != nil {
		errs = append(errs, err)
	}
	if h := c.HoldTime; h != nil && *h != 0 && (*h < 3*time.Second || *h > 65535*time.Second || *h%time.Second != 0) {
		bad("hold time %v is neither 0 nor whole seconds of 3s to 65535s (RFC 4271 §4.2)", *h)
	}
	if k := c.KeepaliveTime; k != nil {
		if *k < time.Second {
			bad("keepalive time %v is below 1s (RFC 4271 §4.4)", *k)
		}
		if h := c.holdTime(); h != 0 && *k > h {
			bad("keepalive time %v is above the hold time %v", *k, h)
		}
	}
	if r := c.ConnectRetry; r != 0 && (r < time.Second || r > 65535*time.Second) {
		bad("connect retry time %v is outside 1s to 65535s", r)
	}
	if len(c.Password) > maxPassword {
		bad("password is longer than %d octets", maxPassword)
	}
	if err := c.validateAO(); err != nil {
		errs = append(errs, err)
	}
	for _, f := range c.Families {
		if f != wire.IPv4Unicast && f != wire.IPv6Unicast {
			bad("address family %v is not supported", f)
		}
	}
	if a := c.NextHopIPv4; a.IsValid() && (!a.Is4() || a.IsUnspecified()) {
		bad("IPv4 next hop %v is not an IPv4 host address", a)
	}
	if a := c.NextHopIPv6; a.IsValid() && (!a.Is6() || a.Is4In6() || a.IsUnspecified()) {
		bad("IPv6 next hop %v is not an IPv6 host address", a)
	}
	if c.TTLSecurity == 255 {
		bad("ttl security of 255 hops would drop nothing")
	}
	if c.Device != "" && (c.Passive || c.RemotePrefix.IsValid()) {
		bad("a peer on device %q is dialed, and not waited for", c.Device)
	}
	c.validateDynamic(bad)
	if c.AddPath > wire.AddPathBoth {
		bad("additional paths mode %d is none of receive, send and both", c.AddPath)
	}
	if c.GracefulRestart != nil {
		c.GracefulRestart.validate(bad)
	}
	if c.Role != nil && (*c.Role > wire.RolePeer || c.Internal()) {
		bad("role %v is not one of an external session (RFC 9234 §4)", *c.Role)
	}
	if len(c.ShutdownText) > 255 {
		bad("shutdown text is longer than 255 octets (RFC 9003 §2)")
	}
	for _, p := range c.Export {
		if !p.IsValid() {
			bad("a prefix to export is not valid")
		}
	}
	errs = append(errs, c.validateBFD())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("peer %q: %w", c.Name, err)
	}
	return nil
}

// Internal says whether the session stays inside one AS (iBGP).
func (c *Config) Internal() bool { return c.LocalAS == c.RemoteAS }

// Remote is the address and port we dial.
func (c *Config) Remote() netip.AddrPort {
	return netip.AddrPortFrom(c.RemoteAddr, cmp.Or(c.RemotePort, Port))
}

// TTL is the time to live (hop limit) that the session's packets leave with;
// 0 means the kernel's default.
func (c *Config) TTL() int {
	switch {
	case c.TTLSecurity != 0:
		return 255
	case c.Internal() || c.MultiHop:
		return 0
	default:
		return 1
	}
}

// MinTTL is the lowest time to live accepted from the peer; 0 means any.
func (c *Config) MinTTL() int {
	if c.TTLSecurity == 0 {
		return 0
	}
	return 256 - int(c.TTLSecurity)
}

func (c *Config) holdTime() time.Duration {
	if c.HoldTime == nil {
		return DefaultHoldTime
	}
	return *c.HoldTime
}

func (c *Config) connectRetry() time.Duration { return cmp.Or(c.ConnectRetry, DefaultConnectRetry) }

func (c *Config) families() []wire.Family {
	if len(c.Families) > 0 {
		return c.Families
	}
	if c.over4() {
		return []wire.Family{wire.IPv4Unicast}
	}
	return []wire.Family{wire.IPv6Unicast}
}

// normal returns a copy that shares nothing with the caller, with mapped
// addresses unmapped and the families in order, each once.
func (c Config) normal() Config {
	c.RemoteAddr, c.LocalAddr = c.RemoteAddr.Unmap(), c.LocalAddr.Unmap()
	if linkLocal6(c.LocalAddr) && linkLocal6(c.RemoteAddr) {
		c.LocalAddr = c.LocalAddr.WithZone(c.RemoteAddr.Zone()) // one link has both ends
	}
	c.RemotePrefix = c.RemotePrefix.Masked()
	c.Passive = c.Passive || !c.RemoteAddr.IsValid()
	c.AO = normalAO(c.AO)
	c.HoldTime, c.KeepaliveTime = clonePtr(c.HoldTime), clonePtr(c.KeepaliveTime)
	c.GracefulRestart, c.Role, c.BFD = clonePtr(c.GracefulRestart), clonePtr(c.Role), clonePtr(c.BFD)
	if c.BFD != nil {
		c.BFD.Auth = clonePtr(c.BFD.Auth)
	}
	families := slices.Clone(c.Families)
	slices.SortFunc(families, func(a, b wire.Family) int {
		return cmp.Or(cmp.Compare(a.AFI, b.AFI), cmp.Compare(a.SAFI, b.SAFI))
	})
	c.Families = append([]wire.Family(nil), slices.Compact(families)...)
	c.Export = normalExport(c.Export)
	return c
}

// equal compares normal configurations.
func (c *Config) equal(o *Config) bool { return reflect.DeepEqual(c, o) }

// sameSession tells if a session of one normal configuration can go on under the
// other, but for the keys that it may need.
func (c *Config) sameSession(o *Config) bool {
	a, b := *c, *o
	for _, x := range []*Config{&a, &b} {
		x.Export, x.GracefulShutdown, x.BFD, x.AO = nil, false, nil, nil
		x.DynamicLimit, x.DynamicTimeout = 0, 0 // the template's
		if !x.Shutdown {
			x.ShutdownText = "" // only a shutdown tells it
		}
	}
	return a.equal(&b)
}

// sameNeighbor tells if two normal configurations are about one and the same speaker,
// as far as they say: the neighbor on a link may be yet to be found.
func (c *Config) sameNeighbor(o *Config) bool {
	return c.LocalAS == o.LocalAS && c.RemoteAS == o.RemoteAS && c.AnyExternal == o.AnyExternal &&
		(c.RemoteAddr == o.RemoteAddr || c.Unnumbered() || o.Unnumbered())
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// validateSet checks a whole set of neighbors and returns normal copies.
func validateSet(peers []Config) ([]Config, error) {
	type endpoint struct {
		local  netip.Addr
		remote netip.AddrPort
		prefix netip.Prefix
		link   string
		device string
	}
	names := make(map[string]bool, len(peers))
	ends := make(map[endpoint]string, len(peers))
	out := make([]Config, 0, len(peers))
	var errs []error
	for _, c := range peers {
		if err := c.Validate(); err != nil {
			errs = append(errs, err)
			continue
		}
		c = c.normal()
		if names[c.Name] {
			errs = append(errs, fmt.Errorf("peer %q: name given twice", c.Name))
		}
		names[c.Name] = true
		end := endpoint{local: c.LocalAddr, remote: c.Remote(), prefix: c.RemotePrefix, device: c.Device}
		if c.Unnumbered() {
			end.link = c.Interface
		}
		if other, ok := ends[end]; ok {
			errs = append(errs, fmt.Errorf("peer %q: same remote and local end as peer %q", c.Name, other))
		}
		ends[end] = c.Name
		out = append(out, c)
	}
	return out, errors.Join(errs...)
}

// jitter shortens d to between 75 and 100 percent of it (RFC 4271 §10).
func jitter(r *rand.Rand, d time.Duration) time.Duration {
	return d - time.Duration(r.Float64()*float64(d)/4)
}
