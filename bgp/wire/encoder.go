package wire

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
)

// Errors of an Encoder.
var (
	// ErrFamily: a prefix is invalid or of a family that was not negotiated.
	ErrFamily = errors.New("prefix of a family that was not negotiated")
	// ErrNextHop: the attributes lack the next hop a prefix's family needs.
	ErrNextHop = errors.New("no next hop for the prefix's family")
	// ErrPaths: there are path identifiers, but not as many as prefixes.
	ErrPaths = errors.New("path identifiers are not parallel to the prefixes")
	// ErrAttrsTooLong: the attributes leave no room for a prefix.
	ErrAttrsTooLong = errors.New("path attributes exceed the largest message")
)

// Encoder packs routes into UPDATEs. It keeps scratch memory: use one per goroutine. Its methods append whole
// messages to dst, as many as needed and none longer than the session allows, and allocate nothing once dst and
// the scratch memory have grown. On an error dst is returned as it was.
type Encoder struct {
	Session Session

	attrs []byte
}

// AppendReach appends UPDATEs that announce the prefixes with the attributes a, and returns how many. The
// attributes are encoded once; IPv4 goes into the classic field (into MP_REACH_NLRI when its next hop is an IPv6
// address), IPv6 into MP_REACH_NLRI, each in the order given. LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST are left
// out in external sessions; nothing else is added or left out.
//
// The path identifiers are parallel to the prefixes, or nil when all are 0. They are sent for the families of
// Session.AddPathSend and for no other (RFC 7911 §3).
func (e *Encoder) AppendReach(dst []byte, a *Attrs, prefixes []netip.Prefix, paths []uint32) (out []byte, messages int, err error) {
	v4, v6, err := e.split(prefixes, paths)
	if err != nil {
		return dst, 0, err
	}
	if v4.left > 0 && !a.NextHop.Is4() && !(e.Session.ExtendedNextHop && a.NextHop.Is6()) || v6.left > 0 && !a.NextHop6.Is6() {
		return dst, 0, ErrNextHop
	}
	out, m4, err := e.reach(dst, a, v4)
	if err != nil {
		return dst, 0, err
	}
	out, m6, err := e.reach(out, a, v6)
	if err != nil {
		return dst, 0, err
	}
	return out, m4 + m6, nil
}

// AppendWithdraw appends UPDATEs that withdraw the prefixes, and returns how many. The path identifiers are as in
// AppendReach.
func (e *Encoder) AppendWithdraw(dst []byte, prefixes []netip.Prefix, paths []uint32) (out []byte, messages int, err error) {
	v4, v6, err := e.split(prefixes, paths)
	if err != nil {
		return dst, 0, err
	}
	for ; v4.left > 0; messages++ {
		start := len(dst)
		dst = append(appendHeader(dst, TypeUpdate), 0, 0)
		field := len(dst)
		dst = v4.appendNLRI(dst, start+e.Session.maxLen()-2)
		binary.BigEndian.PutUint16(dst[field-2:], uint16(len(dst)-field))
		dst = finish(append(dst, 0, 0), start)
	}
	for ; v6.left > 0; messages++ {
		start := len(dst)
		dst = append(appendHeader(dst, TypeUpdate), 0, 0, 0, 0)
		attr := len(dst)
		dst = append(dst, FlagOptional|FlagExtended, byte(AttrMPUnreach), 0, 0, 0, byte(AFIIPv6), SAFIUnicast)
		dst = v6.appendNLRI(dst, start+e.Session.maxLen())
		dst = closeExtended(dst, attr)
		binary.BigEndian.PutUint16(dst[attr-2:], uint16(len(dst)-attr))
		dst = finish(dst, start)
	}
	return dst, messages, nil
}

// AppendEndOfRIB appends the marker that the initial routes of a family have been sent (RFC 4724 §2).
func AppendEndOfRIB(dst []byte, f Family) []byte {
	start := len(dst)
	dst = append(appendHeader(dst, TypeUpdate), 0, 0)
	if f == IPv4Unicast {
		return finish(append(dst, 0, 0), start)
	}
	dst = append(dst, 0, 6, FlagOptional, byte(AttrMPUnreach), 3, byte(f.AFI>>8), byte(f.AFI), f.SAFI)
	return finish(dst, start)
}

// split returns what is to be sent of each family.
func (e *Encoder) split(prefixes []netip.Prefix, paths []uint32) (v4, v6 routes, err error) {
	if len(paths) > 0 && len(paths) != len(prefixes) {
		return v4, v6, ErrPaths
	}
	s := &e.Session
	v4 = routes{prefixes, paths, IPv4Unicast, slices.Contains(s.AddPathSend, IPv4Unicast), 0}
	v6 = routes{prefixes, paths, IPv6Unicast, slices.Contains(s.AddPathSend, IPv6Unicast), 0}
	for _, p := range prefixes {
		switch {
		case !p.IsValid():
			return v4, v6, ErrFamily
		case p.Addr().Is4():
			v4.left++
		default:
			v6.left++
		}
	}
	if v4.left > 0 && !s.Has(IPv4Unicast) || v6.left > 0 && !s.Has(IPv6Unicast) {
		return v4, v6, ErrFamily
	}
	return v4, v6, nil
}

// reach appends the UPDATEs for the routes of one family.
func (e *Encoder) reach(dst []byte, a *Attrs, r routes) (out []byte, messages int, err error) {
	if r.left == 0 {
		return dst, 0, nil
	}
	hop := a.NextHop6
	if r.family == IPv4Unicast {
		hop = a.NextHop
	}
	classic := hop.Is4()
	e.attrs = e.appendAttrs(e.attrs[:0], a, classic)
	need := HeaderLen + 4 + len(e.attrs) + 5 // with the longest IPv4 prefix
	if !classic {
		need += 4 + 5 + 32 + 12 // or MP_REACH_NLRI with two next hops and the longest IPv6 prefix
	}
	if r.withPath {
		need += 4
	}
	if need > e.Session.maxLen() {
		return dst, 0, ErrAttrsTooLong
	}
	for ; r.left > 0; messages++ {
		start := len(dst)
		limit := start + e.Session.maxLen()
		dst = append(appendHeader(dst, TypeUpdate), 0, 0, 0, 0)
		list := len(dst)
		if classic {
			dst = append(dst, e.attrs...)
			binary.BigEndian.PutUint16(dst[list-2:], uint16(len(e.attrs)))
			dst = r.appendNLRI(dst, limit)
		} else { // RFC 7606 §5.1: MP_REACH_NLRI comes first
			dst = append(dst, FlagOptional|FlagExtended, byte(AttrMPReach), 0, 0,
				byte(r.family.AFI>>8), byte(r.family.AFI), r.family.SAFI)
			dst = appendNextHop(dst, hop, a.LinkLocal)
			dst = r.appendNLRI(dst, limit-len(e.attrs))
			dst = append(closeExtended(dst, list), e.attrs...)
			binary.BigEndian.PutUint16(dst[list-2:], uint16(len(dst)-list))
		}
		dst = finish(dst, start)
	}
	return dst, messages, nil
}

// appendNextHop appends the next hop of an MP_REACH_NLRI, of either family, and the reserved octet (RFC 2545 §3, RFC
// 8950 §3). A link-local address alone takes the place of a global one.
func appendNextHop(dst []byte, global, local netip.Addr) []byte {
	g := global.As16()
	if !local.Is6() {
		return append(append(append(dst, 16), g[:]...), 0)
	}
	l := local.As16()
	return append(append(append(append(dst, 32), g[:]...), l[:]...), 0)
}

// closeExtended sets the length of the attribute that starts at dst[at] with a two-octet length and ends with dst.
// A length that fits is moved into one octet, as the extended form is for longer ones only (RFC 4271 §4.3).
func closeExtended(dst []byte, at int) []byte {
	n := len(dst) - at - 4
	if n > 255 {
		binary.BigEndian.PutUint16(dst[at+2:], uint16(n))
		return dst
	}
	dst[at] &^= FlagExtended
	dst[at+2] = byte(n)
	copy(dst[at+3:], dst[at+4:])
	return dst[:len(dst)-1]
}

// appendAttrs appends all attributes but the multiprotocol ones, by ascending type.
func (e *Encoder) appendAttrs(dst []byte, a *Attrs, nextHop bool) []byte {
	s := &e.Session
	dst = append(dst, FlagTransitive, byte(AttrOrigin), 1, byte(a.Origin))
	at := len(dst)
	dst = append(dst, FlagTransitive|FlagExtended, byte(AttrASPath), 0, 0)
	dst = closeExtended(appendASPath(dst, a.ASPath, asnSize(s.AS4), true), at)
	if nextHop {
		dst = appendAddr(dst, FlagTransitive, AttrNextHop, a.NextHop)
	}
	if a.MED.Set {
		dst = appendUint32(dst, FlagOptional, AttrMED, a.MED.Value)
	}
	if a.LocalPref.Set && s.Internal {
		dst = appendUint32(dst, FlagTransitive, AttrLocalPref, a.LocalPref.Value)
	}
	if a.AtomicAggregate {
		dst = append(dst, FlagTransitive, byte(AttrAtomicAggregate), 0)
	}
	if g := a.Aggregator; g.AS != 0 {
		dst = appendAggregator(dst, AttrAggregator, g, asnSize(s.AS4))
	}
	if len(a.Communities) > 0 {
		at = len(dst)
		dst = append(dst, FlagOptional|FlagTransitive|FlagExtended, byte(AttrCommunities), 0, 0)
		for _, c := range a.Communities {
			dst = binary.BigEndian.AppendUint32(dst, uint32(c))
		}
		dst = closeExtended(dst, at)
	}
	if s.Internal {
		dst = appendReflection(dst, a)
	}
	if len(a.ExtCommunities) > 0 {
		at = len(dst)
		dst = append(dst, FlagOptional|FlagTransitive|FlagExtended, byte(AttrExtCommunities), 0, 0)
		for _, c := range a.ExtCommunities {
			dst = append(dst, c[:]...)
		}
		dst = closeExtended(dst, at)
	}
	if !s.AS4 { // RFC 6793 §4.2.2
		if a.ASPath.needsAS4() {
			at = len(dst)
			dst = append(dst, FlagOptional|FlagTransitive|FlagExtended, byte(AttrAS4Path), 0, 0)
			dst = closeExtended(appendASPath(dst, a.ASPath, 4, false), at)
		}
		if g := a.Aggregator; g.AS > 0xffff {
			dst = appendAggregator(dst, AttrAS4Aggregator, g, 4)
		}
	}
	if len(a.LargeCommunities) > 0 {
		at = len(dst)
		dst = append(dst, FlagOptional|FlagTransitive|FlagExtended, byte(AttrLargeComms), 0, 0)
		for _, c := range a.LargeCommunities {
			dst = binary.BigEndian.AppendUint32(dst, c.Global)
			dst = binary.BigEndian.AppendUint32(dst, c.Local1)
			dst = binary.BigEndian.AppendUint32(dst, c.Local2)
		}
		dst = closeExtended(dst, at)
	}
	if a.OnlyToCustomer != 0 {
		dst = appendUint32(dst, FlagOptional|FlagTransitive, AttrOnlyToCustomer, a.OnlyToCustomer)
	}
	for _, u := range a.Unknown {
		at = len(dst)
		dst = append(dst, u.Flags|FlagExtended, byte(u.Type), 0, 0)
		dst = closeExtended(append(dst, u.Value...), at)
	}
	return dst
}

// appendReflection appends ORIGINATOR_ID and CLUSTER_LIST (RFC 4456 §8).
func appendReflection(dst []byte, a *Attrs) []byte {
	if a.OriginatorID.Is4() {
		dst = appendAddr(dst, FlagOptional, AttrOriginatorID, a.OriginatorID)
	}
	if len(a.ClusterList) == 0 {
		return dst
	}
	at := len(dst)
	dst = append(dst, FlagOptional|FlagExtended, byte(AttrClusterList), 0, 0)
	for _, id := range a.ClusterList {
		b := as4(id)
		dst = append(dst, b[:]...)
	}
	return closeExtended(dst, at)
}

// as4 is netip.Addr.As4 without its panic: an identifier that is not an IPv4 address becomes 0.0.0.0.
func as4(a netip.Addr) [4]byte {
	if !a.Is4() {
		return [4]byte{}
	}
	return a.As4()
}

func appendAddr(dst []byte, flags uint8, t AttrType, a netip.Addr) []byte {
	b := as4(a)
	return append(append(dst, flags, byte(t), 4), b[:]...)
}

func appendUint32(dst []byte, flags uint8, t AttrType, v uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, flags, byte(t), 4), v)
}

func appendAggregator(dst []byte, t AttrType, g Aggregator, size int) []byte {
	dst = append(dst, FlagOptional|FlagTransitive, byte(t), byte(size+4))
	if size == 2 {
		dst = binary.BigEndian.AppendUint16(dst, as2(g.AS))
	} else {
		dst = binary.BigEndian.AppendUint32(dst, g.AS)
	}
	id := as4(g.ID)
	return append(dst, id[:]...)
}
