package rib

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// DefaultLocalPref counts for paths without LOCAL_PREF (RFC 4271 §5.1.5).
const DefaultLocalPref = 100

// Source is a neighbor that paths come from.
type Source struct {
	Name     string     // unique
	Addr     netip.Addr // of the session
	AS       uint32
	RouterID netip.Addr // the neighbor's BGP Identifier
	Internal bool       // the session is internal (iBGP)
	Limit    int        // paths it may have in a table; 0 means DefaultLimit
}

// DefaultLimit is how many prefixes of one family a neighbor may announce when
// nothing else is configured.
const DefaultLimit = 250_000

// Attrs are a path's attributes but for its next hop, made once for all paths
// that share them. They are never changed.
type Attrs struct {
	Origin       wire.Origin
	ASPath       wire.ASPath
	PathLen      int    // of ASPath as the decision counts it
	NeighborAS   uint32 // first of ASPath; 0 if it has none
	MED          wire.Optional
	LocalPref    wire.Optional
	Communities  []wire.Community
	OriginatorID netip.Addr
	ClusterList  []netip.Addr

	key  string
	refs int
}

func newAttrs(w *wire.Attrs, key string) *Attrs {
	a := &Attrs{
		Origin:       w.Origin,
		ASPath:       w.ASPath.Clone(),
		PathLen:      w.ASPath.Len(),
		MED:          w.MED,
		LocalPref:    w.LocalPref,
		Communities:  append([]wire.Community(nil), w.Communities...),
		OriginatorID: w.OriginatorID,
		ClusterList:  append([]netip.Addr(nil), w.ClusterList...),
		key:          key,
	}
	a.NeighborAS, _ = w.ASPath.First()
	return a
}

// appendKey encodes what makes attributes different, unambiguously: every list
// carries its length.
func appendKey(dst []byte, w *wire.Attrs) []byte {
	be := binary.BigEndian
	optional := func(o wire.Optional) {
		if dst = append(dst, 0); o.Set {
			dst[len(dst)-1] = 1
			dst = be.AppendUint32(dst, o.Value)
		}
	}
	addr := func(a netip.Addr) {
		b := a.AsSlice()
		dst = append(append(dst, byte(len(b))), b...)
	}
	dst = append(dst, byte(w.Origin))
	dst = be.AppendUint16(dst, uint16(len(w.ASPath)))
	for _, s := range w.ASPath {
		dst = append(dst, byte(s.Type))
		dst = be.AppendUint16(dst, uint16(len(s.ASNs)))
		for _, as := range s.ASNs {
			dst = be.AppendUint32(dst, as)
		}
	}
	optional(w.MED)
	optional(w.LocalPref)
	dst = be.AppendUint16(dst, uint16(len(w.Communities)))
	for _, c := range w.Communities {
		dst = be.AppendUint32(dst, uint32(c))
	}
	addr(w.OriginatorID)
	dst = be.AppendUint16(dst, uint16(len(w.ClusterList)))
	for _, c := range w.ClusterList {
		addr(c)
	}
	return dst
}

// localPref is LOCAL_PREF as the decision counts it.
func (a *Attrs) localPref() uint32 { return a.LocalPref.Or(DefaultLocalPref) }

// Path is one way to a prefix, as the decision sees it.
type Path struct {
	Source  *Source
	Attrs   *Attrs
	NextHop netip.Addr
	Weight  uint32 // 0 for learned paths; higher wins
	Local   bool   // originated by ourselves
	Metric  uint32 // of the way to the next hop; 0 if it is connected
	Fault   Reason // why it can't be used: Deleted or NextHopUnreachable; OK if it can
	// Order numbers the paths by when they came to be usable: the lower the older.
	Order uint64
	// Since is when that was.
	Since time.Time
}

// routerID is the identifier that ties are broken by (RFC 4456 §9).
func (p *Path) routerID() netip.Addr {
	if p.Attrs.OriginatorID.IsValid() {
		return p.Attrs.OriginatorID
	}
	return p.Source.RouterID
}
