package rib

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/bgp/wire"
)

// Communities of long-lived graceful restart (RFC 9494 §3).
const (
	communityLongLivedStale wire.Community = 0xffff0006 // LLGR_STALE
	communityNoLongLived    wire.Community = 0xffff0007 // NO_LLGR
)

// Attrs are a path's attributes but for its next hop, made once for all paths
// that share them. They are never changed.
type Attrs struct {
	Origin           wire.Origin
	ASPath           wire.ASPath
	PathLen          int    // of ASPath as the decision counts it
	NeighborAS       uint32 // first of ASPath; 0 if it has none
	MED              wire.Optional
	LocalPref        wire.Optional
	Communities      []wire.Community
	ExtCommunities   []wire.ExtCommunity
	LargeCommunities []wire.LargeCommunity
	OriginatorID     netip.Addr
	ClusterList      []netip.Addr
	OnlyToCustomer   uint32  // AS number, as received or added by us (RFC 9234 §5); 0: none
	Bandwidth        float32 // of the link bandwidth community, octets a second; 0: none

	leaving     bool // GRACEFUL_SHUTDOWN is among the communities
	longLived   bool // LLGR_STALE is
	noLongLived bool // NO_LLGR is

	key    string
	number uint32
	refs   int
	first  *source // that brought them, and whose octets they count as
}

func newAttrs(w *wire.Attrs, onlyToCustomer uint32, key string) *Attrs {
	a := &Attrs{
		Origin:           w.Origin,
		ASPath:           w.ASPath.Clone(),
		PathLen:          w.ASPath.Len(),
		MED:              w.MED,
		LocalPref:        w.LocalPref,
		Communities:      append([]wire.Community(nil), w.Communities...),
		ExtCommunities:   append([]wire.ExtCommunity(nil), w.ExtCommunities...),
		LargeCommunities: append([]wire.LargeCommunity(nil), w.LargeCommunities...),
		OriginatorID:     w.OriginatorID,
		ClusterList:      append([]netip.Addr(nil), w.ClusterList...),
		OnlyToCustomer:   onlyToCustomer,
		Bandwidth:        bandwidth(w.ExtCommunities),
		leaving:          slices.Contains(w.Communities, wire.CommunityGracefulShutdown),
		longLived:        slices.Contains(w.Communities, communityLongLivedStale),
		noLongLived:      slices.Contains(w.Communities, communityNoLongLived),
		key:              key,
	}
	a.NeighborAS, _ = w.ASPath.First()
	return a
}

// stale returns the attributes with LLGR_STALE attached (RFC 9494 §4.2).
func (a *Attrs) stale() *Attrs {
	if a.longLived {
		return a
	}
	c := *a
	c.Communities = append(slices.Clone(a.Communities), communityLongLivedStale)
	c.longLived = true
	return &c
}

// bandwidth reads the link bandwidth community, of either transitivity: an AS number
// and a float of octets a second. Of several the lowest counts; one that is no
// positive number is none.
func bandwidth(communities []wire.ExtCommunity) float32 {
	var lowest float32
	for _, c := range communities {
		if c[0]&^0x40 != 0 || c[1] != 4 {
			continue
		}
		v := math.Float32frombits(binary.BigEndian.Uint32(c[4:]))
		if v > 0 && v <= math.MaxFloat32 && (lowest == 0 || v < lowest) {
			lowest = v
		}
	}
	return lowest
}

// appendKey encodes what makes attributes different, unambiguously: every list
// carries its length.
func appendKey(dst []byte, w *wire.Attrs, onlyToCustomer uint32) []byte {
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
	dst = be.AppendUint16(dst, uint16(len(w.ExtCommunities)))
	for _, c := range w.ExtCommunities {
		dst = append(dst, c[:]...)
	}
	dst = be.AppendUint16(dst, uint16(len(w.LargeCommunities)))
	for _, c := range w.LargeCommunities {
		dst = be.AppendUint32(dst, c.Global)
		dst = be.AppendUint32(dst, c.Local1)
		dst = be.AppendUint32(dst, c.Local2)
	}
	addr(w.OriginatorID)
	dst = be.AppendUint16(dst, uint16(len(w.ClusterList)))
	for _, c := range w.ClusterList {
		addr(c)
	}
	return be.AppendUint32(dst, onlyToCustomer)
}

// intern returns the one copy of the attributes that a source brings, with this
// ONLY_TO_CUSTOMER, held once more.
func (t *Table) intern(src *source, w *wire.Attrs, onlyToCustomer uint32) *Attrs {
	t.key = appendKey(t.key[:0], w, onlyToCustomer)
	a := t.attrsByKey[string(t.key)]
	if a == nil {
		key := string(t.key)
		a = newAttrs(w, onlyToCustomer, key)
		a.number, a.first = t.attrs.Alloc(), src
		src.octets += len(key)
		*t.attrs.At(a.number) = a
		t.attrsByKey[key] = a
	}
	a.refs++
	return a
}

func (t *Table) release(a *Attrs) {
	if a.refs--; a.refs == 0 {
		a.first.octets -= len(a.key)
		delete(t.attrsByKey, a.key)
		t.attrs.Free(a.number)
		t.decision.forget()
	}
}
