package wire

import (
	"encoding/binary"
	"net/netip"
)

// wantFlags has the optional and transitive bits each known attribute must carry.
var wantFlags = [256]uint8{
	AttrOrigin:          FlagTransitive,
	AttrASPath:          FlagTransitive,
	AttrNextHop:         FlagTransitive,
	AttrMED:             FlagOptional,
	AttrLocalPref:       FlagTransitive,
	AttrAtomicAggregate: FlagTransitive,
	AttrAggregator:      FlagOptional | FlagTransitive,
	AttrCommunities:     FlagOptional | FlagTransitive,
	AttrOriginatorID:    FlagOptional,
	AttrClusterList:     FlagOptional,
	AttrMPReach:         FlagOptional,
	AttrMPUnreach:       FlagOptional,
	AttrExtCommunities:  FlagOptional | FlagTransitive,
	AttrAS4Path:         FlagOptional | FlagTransitive,
	AttrAS4Aggregator:   FlagOptional | FlagTransitive,
	AttrLargeComms:      FlagOptional | FlagTransitive,
	AttrOnlyToCustomer:  FlagOptional | FlagTransitive,
}

// attributes reads the path attribute list. It returns false when the session is to be reset.
func (d *updateDecoder) attributes(b []byte) bool {
	for len(b) > 0 {
		header := 3
		if b[0]&FlagExtended != 0 {
			header = 4
		}
		if len(b) < header { // RFC 7606 §4
			d.other = true
			d.find(TreatAsWithdraw, ReasonAttrTruncated, 0, SubUpdateMalformedAttrs, nil)
			return true
		}
		flags, t, n := b[0], AttrType(b[1]), int(b[2])
		if header == 4 {
			n = int(binary.BigEndian.Uint16(b[2:]))
		}
		mp := t == AttrMPReach || t == AttrMPUnreach
		if header+n > len(b) {
			if mp { // RFC 7606 §3 j: its prefixes cannot be parsed
				return d.reset(ReasonAttrTruncated, t, SubUpdateOptionalAttribute, b)
			}
			d.other = true
			d.find(TreatAsWithdraw, ReasonAttrTruncated, t, SubUpdateAttrLength, b)
			return true
		}
		raw, value := b[:header+n], b[header:header+n]
		b = b[header+n:]

		d.other = d.other || t != AttrMPUnreach
		if d.has(t) { // RFC 7606 §3 g
			if mp {
				return d.reset(ReasonMPRepeated, t, SubUpdateMalformedAttrs, nil)
			}
			d.find(AttributeDiscard, ReasonAttrRepeated, t, 0, nil)
			continue
		}
		d.seen[t/64] |= 1 << (t % 64)

		if wantFlags[t] == 0 {
			if flags&FlagOptional == 0 { // RFC 4271 §6.3
				return d.reset(ReasonUnknownWellKnown, t, SubUpdateUnknownWellKnown, raw)
			}
			d.unknown(flags, t, value)
			continue
		}
		switch t { // RFC 7606 §7.5, §7.9, §7.10: whatever they hold
		case AttrLocalPref, AttrOriginatorID, AttrClusterList:
			if !d.s.Internal {
				d.find(AttributeDiscard, ReasonExternal, t, 0, nil)
				continue
			}
		}
		if flags&(FlagOptional|FlagTransitive) != wantFlags[t] { // RFC 7606 §3 c
			d.find(TreatAsWithdraw, ReasonAttrFlags, t, SubUpdateAttrFlags, raw)
			if !mp {
				continue
			}
		}
		switch t {
		case AttrMPReach:
			if !d.mpReach(value, raw) {
				return false
			}
		case AttrMPUnreach:
			if !d.mpUnreach(value, raw) {
				return false
			}
		default:
			d.attribute(t, value, raw)
		}
	}
	return true
}

// unknown keeps an optional attribute we do not know.
func (d *updateDecoder) unknown(flags uint8, t AttrType, value []byte) {
	first := len(d.a.raw)
	d.a.raw = append(d.a.raw, value...)
	d.a.Unknown = append(d.a.Unknown, RawAttr{
		Flags: flags & (FlagOptional | FlagTransitive | FlagPartial),
		Type:  t,
		Value: d.a.raw[first:len(d.a.raw):len(d.a.raw)],
	})
}

// attribute reads a known attribute other than the multiprotocol ones. None of them can end the session on its own.
func (d *updateDecoder) attribute(t AttrType, v, raw []byte) {
	a := d.a
	if why := d.wrongLength(t, len(v)); why != Accept {
		d.find(why, ReasonAttrLength, t, SubUpdateAttrLength, raw)
		return
	}
	switch t {
	case AttrOrigin: // RFC 7606 §7.1
		if a.Origin = Origin(v[0]); a.Origin > OriginIncomplete {
			d.find(TreatAsWithdraw, ReasonOriginValue, t, SubUpdateOrigin, raw)
		}
	case AttrASPath:
		d.asPath(v)
	case AttrNextHop: // its value is checked once it is known that it matters
		a.NextHop = netip.AddrFrom4([4]byte(v))
	case AttrMED:
		a.MED = Some(binary.BigEndian.Uint32(v))
	case AttrLocalPref:
		a.LocalPref = Some(binary.BigEndian.Uint32(v))
	case AttrAtomicAggregate:
		a.AtomicAggregate = true
	case AttrAggregator, AttrAS4Aggregator:
		d.aggregator(t, v)
	case AttrCommunities:
		for ; len(v) > 0; v = v[4:] {
			a.Communities = append(a.Communities, Community(binary.BigEndian.Uint32(v)))
		}
	case AttrOriginatorID:
		a.OriginatorID = netip.AddrFrom4([4]byte(v))
	case AttrClusterList:
		for ; len(v) > 0; v = v[4:] {
			a.ClusterList = append(a.ClusterList, netip.AddrFrom4([4]byte(v)))
		}
	case AttrExtCommunities:
		for ; len(v) > 0; v = v[8:] {
			a.ExtCommunities = append(a.ExtCommunities, ExtCommunity(v))
		}
	case AttrAS4Path:
		d.as4path(v)
	case AttrLargeComms:
		for ; len(v) > 0; v = v[12:] {
			a.LargeCommunities = append(a.LargeCommunities, LargeCommunity{
				binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:]), binary.BigEndian.Uint32(v[8:])})
		}
	case AttrOnlyToCustomer: // AS 0 is no AS number here either (RFC 7607 §2)
		if a.OnlyToCustomer = binary.BigEndian.Uint32(v); a.OnlyToCustomer == 0 {
			d.find(TreatAsWithdraw, ReasonASZero, t, SubUpdateOptionalAttribute, raw)
		}
	}
}

// wrongLength returns what a length the type cannot have comes to, Accept if it can.
func (d *updateDecoder) wrongLength(t AttrType, n int) Outcome {
	ok, o := true, TreatAsWithdraw
	switch t {
	case AttrOrigin: // RFC 7606 §7.1
		ok = n == 1
	case AttrNextHop, AttrMED, AttrLocalPref, AttrOriginatorID, // RFC 7606 §7.3, §7.4, §7.5, §7.9
		AttrOnlyToCustomer: // RFC 9234 §5
		ok = n == 4
	case AttrAtomicAggregate: // RFC 7606 §7.6
		ok, o = n == 0, AttributeDiscard
	case AttrAggregator: // RFC 7606 §7.7
		ok, o = n == asnSize(d.s.AS4)+4, AttributeDiscard
	case AttrAS4Aggregator: // RFC 6793 §6
		ok, o = n == 8, AttributeDiscard
	case AttrCommunities, AttrClusterList: // RFC 7606 §7.8, §7.10
		ok = n > 0 && n%4 == 0
	case AttrExtCommunities: // RFC 7606 §7.14
		ok = n > 0 && n%8 == 0
	case AttrLargeComms: // RFC 8092 §6
		ok = n > 0 && n%12 == 0
	}
	if ok {
		return Accept
	}
	return o
}

func (d *updateDecoder) asPath(v []byte) {
	size := asnSize(d.s.AS4)
	if _, _, why := checkASPath(v, size); why != ReasonNone { // RFC 7606 §7.2
		d.find(TreatAsWithdraw, why, AttrASPath, SubUpdateASPath, nil)
		return
	}
	d.a.ASPath, d.a.asns = decodeASPath(d.a.ASPath, d.a.asns, v, size)
	if d.s.Internal {
		return
	}
	for _, seg := range d.a.ASPath {
		if seg.Type.confed() { // RFC 5065 §5: we are in no confederation with an external peer
			d.find(TreatAsWithdraw, ReasonConfederation, AttrASPath, SubUpdateASPath, nil)
			return
		}
	}
}

// aggregator reads AGGREGATOR and AS4_AGGREGATOR; AS 0 in either discards it (RFC 7607 §2).
func (d *updateDecoder) aggregator(t AttrType, v []byte) {
	n := len(v) - 4
	g := Aggregator{asnAt(v, n), netip.AddrFrom4([4]byte(v[n:]))}
	switch {
	case t == AttrAS4Aggregator && d.s.AS4:
		d.find(AttributeDiscard, ReasonAS4FromNew, t, 0, nil)
	case g.AS == 0:
		d.find(AttributeDiscard, ReasonASZero, t, 0, nil)
	case t == AttrAggregator:
		d.a.Aggregator = g
	default:
		d.as4Aggr = g
	}
}

// as4path checks an AS4_PATH; all that can be wrong with it discards it (RFC 6793 §4.1, §6).
func (d *updateDecoder) as4path(v []byte) {
	if d.s.AS4 {
		d.find(AttributeDiscard, ReasonAS4FromNew, AttrAS4Path, 0, nil)
		return
	}
	if _, _, why := checkASPath(v, 4); why != ReasonNone {
		d.find(AttributeDiscard, why, AttrAS4Path, 0, nil)
		return
	}
	d.as4Path = v
}

// mergeAS4 rebuilds four-octet information from a speaker of two-octet numbers (RFC 6793 §4.2.3).
func (d *updateDecoder) mergeAS4() {
	if d.as4Aggr.AS != 0 && d.a.Aggregator.AS != 0 {
		if d.a.Aggregator.AS != ASTrans {
			return // an old speaker aggregated on the way: both AS4 attributes are stale
		}
		d.a.Aggregator = d.as4Aggr
	}
	if len(d.as4Path) == 0 || !d.has(AttrASPath) {
		return
	}
	a := d.a
	a.as4, a.asns = decodeASPath(a.as4, a.asns, d.as4Path, 4)
	kept := a.as4[:0]
	for _, s := range a.as4 {
		if s.Type.confed() { // RFC 6793 §6: such segments are dropped, the rest is used
			d.find(AttributeDiscard, ReasonConfederation, AttrAS4Path, 0, nil)
			continue
		}
		kept = append(kept, s)
	}
	a.ASPath, a.merged = mergeAS4(a.merged[:0], a.ASPath, kept), a.ASPath
}

// mpReach reads MP_REACH_NLRI (RFC 4760 §3). It returns false when the session is to be reset.
func (d *updateDecoder) mpReach(v, raw []byte) bool {
	if len(v) < 5 {
		return d.reset(ReasonAttrLength, AttrMPReach, SubUpdateOptionalAttribute, raw)
	}
	f, n := Family{binary.BigEndian.Uint16(v), v[2]}, int(v[3])
	if 5+n > len(v) { // RFC 7606 §7.11
		return d.reset(ReasonNextHopLength, AttrMPReach, SubUpdateOptionalAttribute, raw)
	}
	hop, nlri := v[4:4+n], v[5+n:]
	if f != IPv4Unicast && f != IPv6Unicast || !d.s.Has(f) {
		// We hold no routes of that family, so there is nothing that an error could leave behind.
		d.reach = true
		d.find(AttributeDiscard, ReasonFamily, AttrMPReach, 0, nil)
		return true
	}
	var global, local netip.Addr
	switch {
	case n == 4 && f == IPv4Unicast:
		global = netip.AddrFrom4([4]byte(hop))
	case n == 16 || n == 32: // RFC 2545 §3, RFC 8950 §3
		if f == IPv4Unicast && !d.s.ExtendedNextHop {
			// Some peers send these on sessions over IPv6 although nobody agreed on them. RFC
			// 7606 §7.11 has sessions reset where a length that was not expected leaves the
			// prefixes hard to find. By RFC 8950 §3 it is the length that tells whose address
			// this is, and the prefixes are where they belong: they cannot be used, but it is
			// known which, and a reset would take all others with it, at every attempt.
			d.find(TreatAsWithdraw, ReasonNextHopFamily, AttrMPReach, SubUpdateOptionalAttribute, raw)
		}
		global = netip.AddrFrom16([16]byte(hop))
		if n == 32 {
			local = netip.AddrFrom16([16]byte(hop[16:]))
		}
	default: // RFC 7606 §7.11
		return d.reset(ReasonNextHopLength, AttrMPReach, SubUpdateOptionalAttribute, raw)
	}
	if len(nlri) == 0 {
		d.find(AttributeDiscard, ReasonEmptyReach, AttrMPReach, 0, nil)
		return true
	}
	skipped, ok := d.prefixes(&d.u.NLRI, &d.u.NLRIPaths, nlri, f, true)
	if !ok {
		return d.reset(ReasonPrefixLength, AttrMPReach, SubUpdateOptionalAttribute, raw)
	}
	if skipped {
		d.find(AttributeDiscard, ReasonPrefixValue, AttrMPReach, 0, nil)
	}
	d.reach = true
	if !local.IsLinkLocalUnicast() { // some peers repeat the global address there
		local = netip.Addr{}
	}
	if global.IsUnspecified() && local.IsValid() { // and some have only a link-local one
		global = local
	}
	if !validNextHop(global) {
		d.find(TreatAsWithdraw, ReasonNextHopValue, AttrMPReach, SubUpdateOptionalAttribute, raw)
	}
	if f == IPv4Unicast {
		d.reach4, d.nextHop4 = true, global
	} else {
		d.a.NextHop6 = global
	}
	d.a.LinkLocal = local
	return true
}

// mpUnreach reads MP_UNREACH_NLRI (RFC 4760 §4). It returns false when the session is to be reset.
func (d *updateDecoder) mpUnreach(v, raw []byte) bool {
	if len(v) < 3 {
		return d.reset(ReasonAttrLength, AttrMPUnreach, SubUpdateOptionalAttribute, raw)
	}
	f := Family{binary.BigEndian.Uint16(v), v[2]}
	if f != IPv4Unicast && f != IPv6Unicast || !d.s.Has(f) {
		d.find(AttributeDiscard, ReasonFamily, AttrMPUnreach, 0, nil)
		return true
	}
	if len(v) == 3 {
		d.unreach = f
		return true
	}
	if _, ok := d.prefixes(&d.u.Withdrawn, &d.u.WithdrawnPaths, v[3:], f, false); !ok {
		return d.reset(ReasonPrefixLength, AttrMPUnreach, SubUpdateOptionalAttribute, raw)
	}
	return true
}
