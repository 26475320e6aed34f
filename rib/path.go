package rib

import (
	"net/netip"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// DefaultLocalPref counts for paths without LOCAL_PREF (RFC 4271 §5.1.5).
const DefaultLocalPref = 100

// DefaultLimit is how many prefixes of one family a neighbor may announce when
// nothing else is configured.
const DefaultLimit = 250_000

// maxPathsPerPrefix is how many paths to one prefix a neighbor may announce
// (RFC 7911 sets no bound): each change of one has all of them decided anew.
const maxPathsPerPrefix = 32

// A neighbor's attributes may take as many octets as those of its limit's paths that
// each have attributesPerPath of their own, and attributesAtLeast besides. The limit alone
// bounds no memory: an UPDATE of 64 kB can be about a single prefix.
const (
	attributesPerPath = 256
	attributesAtLeast = 64 << 10
)

// Source is a neighbor that paths come from. A table never changes one.
type Source struct {
	Name     string     // unique
	Addr     netip.Addr // of the session; a link-local one with its zone
	AS       uint32
	RouterID netip.Addr // the neighbor's BGP Identifier
	Internal bool       // the session is internal (iBGP)
	Limit    int        // paths it may have in a table; 0 means DefaultLimit
	// LocalAS is our AS number in the session where it is not the table's (local-as);
	// 0: it is. Paths with either are loops.
	LocalAS uint32
	// Role is what we are to the neighbor (RFC 9234 §4.1); nil: nobody said, and leaks
	// are not looked for.
	Role *wire.Role
	// Draining paths have the local preference 0, as if the neighbor were about to go
	// (RFC 8326; graceful-shutdown activate).
	Draining bool
	// Interface is the device by which link-local next hops are reached. Empty: that
	// of Addr.
	Interface string
}

// Path is one way to a prefix, as the decision sees it.
type Path struct {
	Source  *Source
	Attrs   *Attrs
	ID      uint32 // path identifier (RFC 7911 §3); 0 where the session has none
	NextHop netip.Addr
	Weight  uint32 // 0 for learned paths; higher wins
	Local   bool   // originated by ourselves
	Metric  uint32 // of the way to the next hop; 0 if it is connected
	Fault   Reason // why it can't be used: Deleted, NextHopUnreachable or RouteLeak; OK if it can
	// Stale says that the path's session is over, and that the path is used until the
	// neighbor is back and has sent its table (RFC 4724 §4.2); LongLived that it has
	// been so for longer than the neighbor said it would take (RFC 9494).
	Stale, LongLived bool
	// Order numbers the paths by when they came to be usable: the lower the older.
	Order uint64
	// Since is when that was.
	Since time.Time
}

// longLived says that any other path is to be preferred (RFC 9494 §4.3).
func (p *Path) longLived() bool { return p.LongLived || p.Attrs.longLived }

// routerID is the identifier that ties are broken by (RFC 4456 §9).
func (p *Path) routerID() netip.Addr {
	if p.Attrs.OriginatorID.IsValid() {
		return p.Attrs.OriginatorID
	}
	return p.Source.RouterID
}
