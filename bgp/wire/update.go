package wire

import (
	"encoding/binary"
	"net/netip"
)

// Update is a decoded UPDATE (RFC 4271 §4.3), the classic fields and the multiprotocol attributes folded into one: a
// prefix's own family tells which it came from. A receiver applies Withdrawn first, then NLRI.
type Update struct {
	Withdrawn []netip.Prefix // host bits cleared
	Attrs     *Attrs         // nil when there are none but MP_UNREACH_NLRI, or they were not to be used
	NLRI      []netip.Prefix // reachable through Attrs.NextHopFor(prefix); host bits cleared
	EndOfRIB  Family         // zero unless the UPDATE is an End-of-RIB marker (RFC 4724 §2)

	// Path identifiers of Withdrawn and NLRI (RFC 7911 §3): empty unless the peer sends them for some family, else
	// as many as there are prefixes, 0 for those of a family without.
	WithdrawnPaths, NLRIPaths []uint32

	spare *Attrs // memory for Attrs while it is nil
}

// clear empties u, keeping its memory.
func (u *Update) clear() {
	if u.Attrs != nil {
		u.spare = u.Attrs
	}
	*u = Update{Withdrawn: u.Withdrawn[:0], NLRI: u.NLRI[:0], spare: u.spare,
		WithdrawnPaths: u.WithdrawnPaths[:0], NLRIPaths: u.NLRIPaths[:0]}
}

// updateDecoder is the state of one DecodeUpdate.
type updateDecoder struct {
	s      *Session
	u      *Update
	a      *Attrs
	report Report

	seen  [256 / 64]uint64 // attribute types met
	other bool             // some attribute besides MP_UNREACH_NLRI was met, or the list is broken
	reach bool             // prefixes are said to be reachable, in whatever family

	reach4    bool       // MP_REACH_NLRI had prefixes of IPv4 unicast
	nextHop4  netip.Addr // and this is their next hop
	unreach   Family     // family of an MP_UNREACH_NLRI without prefixes
	as4Path   []byte     // checked value, in sessions with two-octet numbers
	as4Aggr   Aggregator
	wdSubcode uint8 // what the first finding that asks for treat-as-withdraw would be told to the peer as
	wdData    []byte
}

// DecodeUpdate reads the body of an UPDATE into u, whose slices and attributes it reuses: pass a fresh Update when
// the previous one is still in use. Nothing in u aliases body.
//
// Errors are handled as RFC 7606 says. The report has the outcome; u can be applied as it is in any case: under
// TreatAsWithdraw all prefixes are in u.Withdrawn and u.Attrs is nil, after SessionReset u is empty and
// Report.Notification is to be sent. A well-formed UPDATE allocates nothing once u has grown.
func (s *Session) DecodeUpdate(body []byte, u *Update) Report {
	u.clear()
	if u.spare == nil {
		u.spare = new(Attrs)
	}
	u.spare.reset()
	d := updateDecoder{s: s, u: u, a: u.spare}
	if !d.decode(body) {
		u.clear()
	}
	return d.report
}

// decode returns false when the session is to be reset.
func (d *updateDecoder) decode(body []byte) bool {
	// RFC 7606 §3 b: lengths that do not fit the message end the session.
	if len(body) < 4 {
		return d.reset(ReasonUpdateLength, 0, SubUpdateMalformedAttrs, nil)
	}
	n := int(binary.BigEndian.Uint16(body))
	if n+4 > len(body) {
		return d.reset(ReasonUpdateLength, 0, SubUpdateMalformedAttrs, nil)
	}
	withdrawn, rest := body[2:2+n], body[2+n:]
	n = int(binary.BigEndian.Uint16(rest))
	if n+2 > len(rest) {
		return d.reset(ReasonUpdateLength, 0, SubUpdateMalformedAttrs, nil)
	}
	attrs, nlri := rest[2:2+n], rest[2+n:]

	// RFC 7606 §3 i, j: prefixes that cannot be parsed end the session.
	u := d.u
	if _, ok := d.prefixes(&u.Withdrawn, &u.WithdrawnPaths, withdrawn, IPv4Unicast, false); !ok {
		return d.reset(ReasonPrefixLength, 0, SubUpdateNetworkField, nil)
	}
	skipped, ok := d.prefixes(&u.NLRI, &u.NLRIPaths, nlri, IPv4Unicast, true)
	if !ok {
		return d.reset(ReasonPrefixLength, 0, SubUpdateNetworkField, nil)
	}
	if skipped {
		d.find(AttributeDiscard, ReasonPrefixValue, 0, 0, nil)
	}
	classic := len(nlri) > 0
	if (classic || len(withdrawn) > 0) && !d.s.Has(IPv4Unicast) {
		u.clear()
		d.find(AttributeDiscard, ReasonFamily, 0, 0, nil)
	}
	d.reach = classic

	if !d.attributes(attrs) {
		return false
	}
	d.mergeAS4()
	d.checkRoute(classic)
	if d.report.Outcome == TreatAsWithdraw {
		// RFC 7606 §5.2: with an attribute gone wrong and no prefix in sight, one cannot know what to withdraw.
		if d.other && !d.reach {
			return d.reset(ReasonNoReachable, 0, d.wdSubcode, d.wdData)
		}
		u.Withdrawn = append(u.Withdrawn, u.NLRI...)
		u.WithdrawnPaths = append(u.WithdrawnPaths, u.NLRIPaths...)
		u.NLRI, u.NLRIPaths = u.NLRI[:0], u.NLRIPaths[:0]
		return true
	}
	switch {
	case d.other:
		u.Attrs, u.spare = d.a, nil
	case len(body) == 4: // RFC 4724 §2: the empty UPDATE
		u.EndOfRIB = IPv4Unicast
	case len(withdrawn) == 0 && !classic:
		u.EndOfRIB = d.unreach
	}
	return true
}

// checkRoute makes the checks that need all attributes.
func (d *updateDecoder) checkRoute(classic bool) {
	a := d.a
	if d.reach4 {
		if classic && a.NextHop.IsValid() && a.NextHop != d.nextHop4 {
			d.find(TreatAsWithdraw, ReasonNextHopConflict, AttrNextHop, SubUpdateNextHop, nil)
		}
		// RFC 4760 §3: NEXT_HOP beside MP_REACH_NLRI alone is ignored.
		a.NextHop = d.nextHop4
	} else if classic && a.NextHop.IsValid() && !validNextHop(a.NextHop) {
		d.find(TreatAsWithdraw, ReasonNextHopValue, AttrNextHop, SubUpdateNextHop, nil)
	}
	if !d.reach {
		return
	}
	// RFC 7606 §3 d. RFC 4760 §3: NEXT_HOP is mandatory for the classic field only.
	for _, t := range [...]AttrType{AttrOrigin, AttrASPath, AttrNextHop} {
		if !d.has(t) && (t != AttrNextHop || classic) {
			d.find(TreatAsWithdraw, ReasonMissingAttr, t, SubUpdateMissingWellKnown, []byte{byte(t)})
		}
	}
	if d.s.FirstAS != 0 && !d.s.Internal && d.has(AttrASPath) {
		if as, ok := a.ASPath.First(); !ok || as != d.s.FirstAS {
			d.find(TreatAsWithdraw, ReasonFirstAS, AttrASPath, SubUpdateASPath, nil)
		}
	}
}

func (d *updateDecoder) has(t AttrType) bool { return d.seen[t/64]&(1<<(t%64)) != 0 }

// find records a finding and raises the outcome to its own.
func (d *updateDecoder) find(o Outcome, why Reason, t AttrType, subcode uint8, data []byte) {
	r := &d.report
	if f := (Finding{o, why, t}); len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, f)
	} else if o > r.Outcome {
		r.Findings[maxFindings-1] = f
	}
	if o == TreatAsWithdraw && r.Outcome < o {
		d.wdSubcode, d.wdData = subcode, data
	}
	r.Outcome = max(r.Outcome, o)
}

// reset records the finding that ends the session and returns false.
func (d *updateDecoder) reset(why Reason, t AttrType, subcode uint8, data []byte) bool {
	d.find(SessionReset, why, t, subcode, nil)
	n := &Notification{Code: CodeUpdate, Subcode: subcode}
	if len(data) > 0 {
		n.Data = append([]byte(nil), data...)
	}
	d.report.Notification = n
	return false
}

// validNextHop tells if an address can be a neighbor's (RFC 4271 §6.3).
func validNextHop(a netip.Addr) bool {
	if a.Is4() {
		first := a.As4()[0]
		return first != 0 && first != 127 && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	return !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast()
}
