package wire

import (
	"bytes"
	"slices"
	"testing"
)

// malformation is one broken UPDATE and what has to come of it. The attributes stand in for a well-formed set unless
// alone is set; then they are all there is.
type malformation struct {
	name      string
	withdrawn string
	attrs     string
	nlri      string // "-" for none; empty for 10.1.2.0/24
	internal  bool
	as2       bool
	addPath   bool
	want      Outcome
	why       Reason
	attr      AttrType
	subcode   uint8  // of a session reset
	data      string // of a session reset
}

const (
	origin   = "40 01 01 00 "
	asPath   = "40 02 06 02 01 0000fde9 "
	nextHop  = "40 03 04 c0000201 "
	good     = origin + asPath + nextHop
	reach6   = "80 0e 1c 0002 01 10 " + hop6 + " 00 30 20010db80001 "
	unreach6 = "80 0f 0a 0002 01 30 20010db80002 "
)

func (m *malformation) session() Session {
	s := Session{AS4: !m.as2, Internal: m.internal, Families: both}
	if m.addPath {
		s.AddPathReceive = both
	}
	return s
}

func (m *malformation) run(t *testing.T) {
	s := m.session()
	nlri := m.nlri
	switch nlri {
	case "":
		nlri = "18 0a0102"
	case "-":
		nlri = ""
	}
	raw := body(octets(t, m.withdrawn), octets(t, m.attrs), octets(t, nlri))
	var u Update
	r := s.DecodeUpdate(raw, &u)
	checkInvariants(t, &s, &u, r, len(raw))
	if r.Outcome != m.want || r.Reason() != m.why {
		t.Fatalf("%v (%v), want %v: %v", r.Outcome, r.Findings, m.want, m.why)
	}
	if m.want != Accept && !slices.Contains(r.Findings, Finding{m.want, m.why, m.attr}) {
		t.Errorf("findings %v, want one about %v", r.Findings, m.attr)
	}
	if m.want == SessionReset {
		if n := r.Notification; n.Code != CodeUpdate || n.Subcode != m.subcode || !bytes.Equal(n.Data, octets(t, m.data)) {
			t.Errorf("notification %v data %x, want 3/%d data %s", n, n.Data, m.subcode, m.data)
		}
		return
	}
	list := u.NLRI
	if m.want == TreatAsWithdraw {
		list = u.Withdrawn
	}
	if m.nlri == "" && !slices.Contains(list, pfx("10.1.2.0/24")[0]) {
		t.Errorf("%v: NLRI %v, withdrawn %v", r.Outcome, u.NLRI, u.Withdrawn)
	}
}

func runAll(t *testing.T, tests []malformation) {
	t.Helper()
	for _, m := range tests {
		t.Run(m.name, m.run)
	}
}

// TestFieldErrors: RFC 7606 §3 b, i, j and §5.3 for the classic fields.
func TestFieldErrors(t *testing.T) {
	for name, raw := range map[string]string{
		"three octets":                       "0000 00",
		"withdrawn routes beyond the end":    "0001 0000",
		"withdrawn routes leave no length":   "0002 0000",
		"withdrawn routes far beyond":        "ffff 0000",
		"attributes beyond the end":          "0000 0001",
		"attributes far beyond":              "0000 ffff 18 0a0102",
		"both sum up to more than there is":  "0004 18 0a0102 0004 40 01 01",
		"withdrawn routes eat the attribute": "0008 0000 40010100",
	} {
		t.Run(name, func(t *testing.T) {
			var u Update
			s := Session{AS4: true, Families: both}
			r := s.DecodeUpdate(octets(t, raw), &u)
			checkInvariants(t, &s, &u, r, 8)
			if r.Outcome != SessionReset || r.Reason() != ReasonUpdateLength || r.Notification.Subcode != 1 || r.Notification.Data != nil {
				t.Errorf("%v %v", r.Findings, r.Notification)
			}
		})
	}
	runAll(t, []malformation{
		{name: "well-formed", attrs: good, want: Accept},
		{name: "prefix of 33 bits", attrs: good, nlri: "21 0a01020300", want: SessionReset, why: ReasonPrefixLength, subcode: 10},
		{name: "prefix of 255 bits", attrs: good, nlri: "ff 0a010203", want: SessionReset, why: ReasonPrefixLength, subcode: 10},
		{name: "prefix cut off", attrs: good, nlri: "18 0a01", want: SessionReset, why: ReasonPrefixLength, subcode: 10},
		{name: "prefix without octets", attrs: good, nlri: "18", want: SessionReset, why: ReasonPrefixLength, subcode: 10},
		{name: "second prefix cut off", attrs: good, nlri: "18 0a0102 20 0a0102", want: SessionReset, why: ReasonPrefixLength, subcode: 10},
		{name: "withdrawn prefix of 33 bits", withdrawn: "21 0a01020300", attrs: good, want: SessionReset, why: ReasonPrefixLength, subcode: 10},
		{name: "withdrawn prefix cut off", withdrawn: "18 0a01", attrs: good, want: SessionReset, why: ReasonPrefixLength, subcode: 10},
		{name: "multicast prefix", attrs: good, nlri: "18 0a0102 08 e0 18 ef0102", want: AttributeDiscard, why: ReasonPrefixValue},
	})
}

// TestStructureErrors: RFC 7606 §3 c, d, g and §4.
func TestStructureErrors(t *testing.T) {
	tests := []malformation{
		{name: "one octet left", attrs: good + "40", want: TreatAsWithdraw, why: ReasonAttrTruncated},
		{name: "two octets left", attrs: good + "40 01", want: TreatAsWithdraw, why: ReasonAttrTruncated},
		{name: "three octets left of an extended header", attrs: good + "50 08 00", want: TreatAsWithdraw, why: ReasonAttrTruncated},
		{name: "value runs past the list", attrs: good + "80 04 05 00000001", want: TreatAsWithdraw, why: ReasonAttrTruncated, attr: AttrMED},
		{name: "extended value runs past the list", attrs: good + "90 04 0100 00000001", want: TreatAsWithdraw, why: ReasonAttrTruncated, attr: AttrMED},
		{name: "unknown attribute runs past the list", attrs: good + "c0 63 02 00", want: TreatAsWithdraw, why: ReasonAttrTruncated, attr: 99},
		{name: "well-known attribute unknown", attrs: good + "40 63 01 07", want: SessionReset, why: ReasonUnknownWellKnown, attr: 99,
			subcode: 2, data: "40 63 01 07"},
		{name: "attribute type 0", attrs: good + "00 00 00", want: SessionReset, why: ReasonUnknownWellKnown, subcode: 2, data: "00 00 00"},
		{name: "unknown optional", attrs: good + "80 63 01 07", want: Accept},
		{name: "unknown optional transitive partial", attrs: good + "e0 63 01 07", want: Accept},
		{name: "unused flag bits", attrs: good + "8f 04 04 00000001", want: Accept},
		{name: "extended length for a short value", attrs: good + "90 04 0004 00000001", want: Accept},

		{name: "MED twice", attrs: good + "80 04 04 00000001 80 04 04 00000002", want: AttributeDiscard, why: ReasonAttrRepeated, attr: AttrMED},
		{name: "second of two is malformed", attrs: good + "80 04 04 00000001 80 04 03 000002", want: AttributeDiscard, why: ReasonAttrRepeated, attr: AttrMED},
		{name: "first of two is malformed", attrs: good + "80 04 03 000001 80 04 04 00000002", want: TreatAsWithdraw, why: ReasonAttrLength, attr: AttrMED},
		{name: "unknown twice", attrs: good + "c0 63 00 c0 63 00", want: AttributeDiscard, why: ReasonAttrRepeated, attr: 99},
		{name: "MP_REACH_NLRI twice", attrs: reach6 + good + reach6, want: SessionReset, why: ReasonMPRepeated, attr: AttrMPReach, subcode: 1},
		{name: "MP_UNREACH_NLRI twice", attrs: unreach6 + unreach6 + good, want: SessionReset, why: ReasonMPRepeated, attr: AttrMPUnreach, subcode: 1},

		{name: "ORIGIN missing", attrs: asPath + nextHop, want: TreatAsWithdraw, why: ReasonMissingAttr, attr: AttrOrigin},
		{name: "AS_PATH missing", attrs: origin + nextHop, want: TreatAsWithdraw, why: ReasonMissingAttr, attr: AttrASPath},
		{name: "NEXT_HOP missing", attrs: origin + asPath, want: TreatAsWithdraw, why: ReasonMissingAttr, attr: AttrNextHop},
		{name: "all missing", attrs: "", want: TreatAsWithdraw, why: ReasonMissingAttr, attr: AttrNextHop},
		{name: "NEXT_HOP missing with MP_REACH_NLRI alone", attrs: reach6 + origin + asPath, nlri: "-", want: Accept},
		{name: "ORIGIN missing with MP_REACH_NLRI alone", attrs: reach6 + asPath, nlri: "-", want: TreatAsWithdraw, why: ReasonMissingAttr, attr: AttrOrigin},
		{name: "NEXT_HOP missing with both fields", attrs: reach6 + origin + asPath, want: TreatAsWithdraw, why: ReasonMissingAttr, attr: AttrNextHop},
		{name: "LOCAL_PREF missing inside", attrs: good, internal: true, want: Accept},
	}
	// RFC 7606 §3 c, for each known attribute with the wrong optional or transitive bit.
	values := map[AttrType]string{
		AttrOrigin: "01 00", AttrASPath: "06 02 01 0000fde9", AttrNextHop: "04 c0000201", AttrMED: "04 00000001",
		AttrLocalPref: "04 00000064", AttrAtomicAggregate: "00", AttrAggregator: "08 0000fde9 c0000201",
		AttrCommunities: "04 fde90001", AttrOriginatorID: "04 0a000001", AttrClusterList: "04 0a000001",
		AttrExtCommunities: "08 0002fde900000001", AttrAS4Path: "06 02 01 0000fde9", AttrAS4Aggregator: "08 0000fde9 c0000201",
		AttrLargeComms: "0c 0000fde9 00000001 00000002", AttrOnlyToCustomer: "04 0000fde9",
	}
	for typ, value := range values {
		for _, bit := range []uint8{FlagOptional, FlagTransitive} {
			flags := wantFlags[typ] ^ bit
			list := hexOf(flags, uint8(typ)) + value
			for _, k := range []struct {
				t AttrType
				s string
			}{{AttrOrigin, origin}, {AttrASPath, asPath}, {AttrNextHop, nextHop}} {
				if k.t != typ {
					list = k.s + list
				}
			}
			tests = append(tests, malformation{name: typ.String() + " with flags " + hexOf(flags), attrs: list, internal: true,
				want: TreatAsWithdraw, why: ReasonAttrFlags, attr: typ})
		}
	}
	tests = append(tests,
		malformation{name: "MP_REACH_NLRI transitive", attrs: "c0" + reach6[2:] + good, want: TreatAsWithdraw, why: ReasonAttrFlags, attr: AttrMPReach},
		malformation{name: "MP_UNREACH_NLRI transitive", attrs: "c0" + unreach6[2:] + good, want: TreatAsWithdraw, why: ReasonAttrFlags, attr: AttrMPUnreach},
		malformation{name: "MP_UNREACH_NLRI alone, transitive", attrs: "c0" + unreach6[2:], nlri: "-", want: TreatAsWithdraw, why: ReasonAttrFlags, attr: AttrMPUnreach})
	runAll(t, tests)
}

func hexOf(b ...byte) string {
	const digits = "0123456789abcdef"
	var s []byte
	for _, c := range b {
		s = append(s, digits[c>>4], digits[c&15], ' ')
	}
	return string(s)
}

// TestAttributeErrors: RFC 7606 §7 and the documents of later attributes.
func TestAttributeErrors(t *testing.T) {
	const taw, discard = TreatAsWithdraw, AttributeDiscard
	path := func(value string) string {
		return origin + nextHop + "40 02 " + hexOf(byte(len(octets(t, value)))) + value
	}
	hop := func(value string) string {
		return origin + asPath + "40 03 " + hexOf(byte(len(octets(t, value)))) + value
	}
	runAll(t, []malformation{
		// §7.1
		{name: "ORIGIN of 0", attrs: "40 01 00" + asPath + nextHop, want: taw, why: ReasonAttrLength, attr: AttrOrigin},
		{name: "ORIGIN of 2", attrs: "40 01 02 0000" + asPath + nextHop, want: taw, why: ReasonAttrLength, attr: AttrOrigin},
		{name: "ORIGIN 3", attrs: "40 01 01 03" + asPath + nextHop, want: taw, why: ReasonOriginValue, attr: AttrOrigin},
		{name: "ORIGIN 255", attrs: "40 01 01 ff" + asPath + nextHop, want: taw, why: ReasonOriginValue, attr: AttrOrigin},
		{name: "ORIGIN 2", attrs: "40 01 01 02" + asPath + nextHop, want: Accept},
		// §7.2
		{name: "AS_PATH segment type 0", attrs: path("00 01 0000fde9"), want: taw, why: ReasonSegmentType, attr: AttrASPath},
		{name: "AS_PATH segment type 5", attrs: path("05 01 0000fde9"), want: taw, why: ReasonSegmentType, attr: AttrASPath},
		{name: "AS_PATH segment overrun", attrs: path("02 02 0000fde9"), want: taw, why: ReasonSegmentLength, attr: AttrASPath},
		{name: "AS_PATH segment underrun", attrs: path("02 01 0000fde9 02"), want: taw, why: ReasonSegmentLength, attr: AttrASPath},
		{name: "AS_PATH segment of 0", attrs: path("02 00"), want: taw, why: ReasonSegmentLength, attr: AttrASPath},
		{name: "AS_PATH second segment of 0", attrs: path("02 01 0000fde9 01 00"), want: taw, why: ReasonSegmentLength, attr: AttrASPath},
		{name: "AS_PATH of two-octet numbers", attrs: path("02 01 fde9"), want: taw, why: ReasonSegmentLength, attr: AttrASPath},
		{name: "AS_PATH of four-octet numbers from an old speaker", attrs: path("02 01 0001fde9"), as2: true, want: taw, why: ReasonSegmentType, attr: AttrASPath},
		{name: "AS_PATH empty", attrs: path(""), internal: true, want: Accept},
		{name: "AS_PATH with AS 0 (RFC 7607)", attrs: path("02 02 0000fde9 00000000"), want: taw, why: ReasonASZero, attr: AttrASPath},
		{name: "AS_PATH set with AS 0", attrs: path("02 01 0000fde9 01 01 00000000"), want: taw, why: ReasonASZero, attr: AttrASPath},
		{name: "confederation sequence from outside (RFC 5065)", attrs: path("03 01 0000fde9"), want: taw, why: ReasonConfederation, attr: AttrASPath},
		{name: "confederation set from outside", attrs: path("02 01 0000fde9 04 01 0000fde9"), want: taw, why: ReasonConfederation, attr: AttrASPath},
		{name: "confederation sequence inside", attrs: path("03 01 0000fde9"), internal: true, want: Accept},
		// §7.3, RFC 4271 §6.3
		{name: "NEXT_HOP of 0", attrs: hop(""), want: taw, why: ReasonAttrLength, attr: AttrNextHop},
		{name: "NEXT_HOP of 3", attrs: hop("c00002"), want: taw, why: ReasonAttrLength, attr: AttrNextHop},
		{name: "NEXT_HOP of 5", attrs: hop("c000020100"), want: taw, why: ReasonAttrLength, attr: AttrNextHop},
		{name: "NEXT_HOP of 16", attrs: hop(hop6), want: taw, why: ReasonAttrLength, attr: AttrNextHop},
		{name: "NEXT_HOP 0.0.0.0", attrs: hop("00000000"), want: taw, why: ReasonNextHopValue, attr: AttrNextHop},
		{name: "NEXT_HOP 0.1.2.3", attrs: hop("00010203"), want: taw, why: ReasonNextHopValue, attr: AttrNextHop},
		{name: "NEXT_HOP loopback", attrs: hop("7f000001"), want: taw, why: ReasonNextHopValue, attr: AttrNextHop},
		{name: "NEXT_HOP multicast", attrs: hop("e0000001"), want: taw, why: ReasonNextHopValue, attr: AttrNextHop},
		{name: "NEXT_HOP broadcast", attrs: hop("ffffffff"), want: taw, why: ReasonNextHopValue, attr: AttrNextHop},
		// §7.4
		{name: "MED of 0", attrs: good + "80 04 00", want: taw, why: ReasonAttrLength, attr: AttrMED},
		{name: "MED of 3", attrs: good + "80 04 03 000001", want: taw, why: ReasonAttrLength, attr: AttrMED},
		{name: "MED of 5", attrs: good + "80 04 05 0000000100", want: taw, why: ReasonAttrLength, attr: AttrMED},
		// §7.5
		{name: "LOCAL_PREF from outside", attrs: good + "40 05 04 00000064", want: discard, why: ReasonExternal, attr: AttrLocalPref},
		{name: "LOCAL_PREF of 3 from outside", attrs: good + "40 05 03 000064", want: discard, why: ReasonExternal, attr: AttrLocalPref},
		{name: "LOCAL_PREF with wrong flags from outside", attrs: good + "c0 05 04 00000064", want: discard, why: ReasonExternal, attr: AttrLocalPref},
		{name: "LOCAL_PREF of 0 inside", attrs: good + "40 05 00", internal: true, want: taw, why: ReasonAttrLength, attr: AttrLocalPref},
		{name: "LOCAL_PREF of 3 inside", attrs: good + "40 05 03 000064", internal: true, want: taw, why: ReasonAttrLength, attr: AttrLocalPref},
		{name: "LOCAL_PREF of 5 inside", attrs: good + "40 05 05 0000006400", internal: true, want: taw, why: ReasonAttrLength, attr: AttrLocalPref},
		// §7.6
		{name: "ATOMIC_AGGREGATE of 1", attrs: good + "40 06 01 00", want: discard, why: ReasonAttrLength, attr: AttrAtomicAggregate},
		// §7.7
		{name: "AGGREGATOR of 0", attrs: good + "c0 07 00", want: discard, why: ReasonAttrLength, attr: AttrAggregator},
		{name: "AGGREGATOR of 6 with four-octet numbers", attrs: good + "c0 07 06 fde9 c0000201", want: discard, why: ReasonAttrLength, attr: AttrAggregator},
		{name: "AGGREGATOR of 8 with two-octet numbers", attrs: origin + "40 02 04 02 01 fde9" + nextHop + "c0 07 08 0000fde9 c0000201", as2: true, want: discard, why: ReasonAttrLength, attr: AttrAggregator},
		{name: "AGGREGATOR of AS 0 (RFC 7607)", attrs: good + "c0 07 08 00000000 c0000201", want: discard, why: ReasonASZero, attr: AttrAggregator},
		// §7.8
		{name: "COMMUNITIES of 0", attrs: good + "c0 08 00", want: taw, why: ReasonAttrLength, attr: AttrCommunities},
		{name: "COMMUNITIES of 5", attrs: good + "c0 08 05 fde9000100", want: taw, why: ReasonAttrLength, attr: AttrCommunities},
		// §7.9
		{name: "ORIGINATOR_ID from outside", attrs: good + "80 09 04 0a000001", want: discard, why: ReasonExternal, attr: AttrOriginatorID},
		{name: "ORIGINATOR_ID of 3 from outside", attrs: good + "80 09 03 0a0000", want: discard, why: ReasonExternal, attr: AttrOriginatorID},
		{name: "ORIGINATOR_ID of 3 inside", attrs: good + "80 09 03 0a0000", internal: true, want: taw, why: ReasonAttrLength, attr: AttrOriginatorID},
		{name: "ORIGINATOR_ID of 5 inside", attrs: good + "80 09 05 0a00000100", internal: true, want: taw, why: ReasonAttrLength, attr: AttrOriginatorID},
		// §7.10
		{name: "CLUSTER_LIST from outside", attrs: good + "80 0a 04 0a000001", want: discard, why: ReasonExternal, attr: AttrClusterList},
		{name: "CLUSTER_LIST of 0 inside", attrs: good + "80 0a 00", internal: true, want: taw, why: ReasonAttrLength, attr: AttrClusterList},
		{name: "CLUSTER_LIST of 5 inside", attrs: good + "80 0a 05 0a00000100", internal: true, want: taw, why: ReasonAttrLength, attr: AttrClusterList},
		// §7.14
		{name: "EXTENDED_COMMUNITIES of 0", attrs: good + "c0 10 00", want: taw, why: ReasonAttrLength, attr: AttrExtCommunities},
		{name: "EXTENDED_COMMUNITIES of 9", attrs: good + "c0 10 09 0002fde90000000100", want: taw, why: ReasonAttrLength, attr: AttrExtCommunities},
		// RFC 8092 §6
		{name: "LARGE_COMMUNITIES of 0", attrs: good + "c0 20 00", want: taw, why: ReasonAttrLength, attr: AttrLargeComms},
		{name: "LARGE_COMMUNITIES of 13", attrs: good + "c0 20 0d 0000fde9 00000001 00000002 00", want: taw, why: ReasonAttrLength, attr: AttrLargeComms},
		// RFC 9234 §5
		{name: "ONLY_TO_CUSTOMER of 3", attrs: good + "c0 23 03 00fde9", want: taw, why: ReasonAttrLength, attr: AttrOnlyToCustomer},
		{name: "ONLY_TO_CUSTOMER of AS 0", attrs: good + "c0 23 04 00000000", want: taw, why: ReasonASZero, attr: AttrOnlyToCustomer},
		// RFC 6793 §4.1
		{name: "AS4_PATH from a new speaker", attrs: good + "c0 11 06 02 01 0000fde9", want: discard, why: ReasonAS4FromNew, attr: AttrAS4Path},
		{name: "AS4_AGGREGATOR from a new speaker", attrs: good + "c0 12 08 0000fde9 c0000201", want: discard, why: ReasonAS4FromNew, attr: AttrAS4Aggregator},
		{name: "AS4_AGGREGATOR of 7 from a new speaker", attrs: good + "c0 12 07 0000fde9 c00002", want: discard, why: ReasonAttrLength, attr: AttrAS4Aggregator},
	})
}

// TestMultiprotocolErrors: RFC 7606 §3 j, §5.3, §7.11 and §7.12.
func TestMultiprotocolErrors(t *testing.T) {
	// bad has one wrong attribute, which is the data of the notification whole.
	bad := func(name, attr string, typ AttrType, why Reason) malformation {
		return malformation{name: name, attrs: good + attr, want: SessionReset, why: why, attr: typ, subcode: 9, data: attr}
	}
	reach, unreach := AttrMPReach, AttrMPUnreach
	runAll(t, []malformation{
		bad("reach of 0", "80 0e 00", reach, ReasonAttrLength),
		bad("reach of 4", "80 0e 04 0002 01 00", reach, ReasonAttrLength),
		bad("reach runs past the list", "80 0e 1d 0002 01 10 "+hop6+" 00 30 20010db80001", reach, ReasonAttrTruncated),
		bad("next hop longer than the attribute", "80 0e 15 0002 01 11 "+hop6+" 00", reach, ReasonNextHopLength),
		bad("next hop of 255", "80 0e 05 0002 01 ff 00", reach, ReasonNextHopLength),
		bad("next hop longer, family unknown", "80 0e 05 4004 47 04 00", reach, ReasonNextHopLength),
		bad("next hop of 0 for IPv6", "80 0e 0c 0002 01 00 00 30 20010db80001", reach, ReasonNextHopLength),
		bad("next hop of 4 for IPv6", "80 0e 10 0002 01 04 c0000201 00 30 20010db80001", reach, ReasonNextHopLength),
		bad("next hop of 17 for IPv6", "80 0e 16 0002 01 11 "+hop6+" 00 00", reach, ReasonNextHopLength),
		bad("next hop of 24 for IPv6", "80 0e 1d 0002 01 18 0000000000000000 "+hop6+" 00", reach, ReasonNextHopLength),
		{name: "next hop of 16 for IPv4, not negotiated", attrs: good + "80 0e 1a 0001 01 10 " + hop6 + " 00 20 ac136401", want: TreatAsWithdraw, why: ReasonNextHopFamily, attr: reach},
		{name: "next hop of 32 for IPv4, not negotiated", attrs: good + "80 0e 2a 0001 01 20 " + hop6 + hop6 + " 00 20 ac136401", want: TreatAsWithdraw, why: ReasonNextHopFamily, attr: reach},
		// A next hop of 4 that says 16: where the prefixes are is not known.
		bad("next hop of 16 for IPv4, too short", "80 0e 0e 0001 01 10 c0000201 00 20 ac136401", reach, ReasonNextHopLength),
		bad("next hop of 16 for IPv4, no prefixes behind it", "80 0e 18 0001 01 10 c0000201 00 20 ac136401 20 ac136402 20 ac136403", reach, ReasonPrefixLength),
		bad("next hop of 5 for IPv4", "80 0e 0e 0001 01 05 c000020100 00 18 0a0103", reach, ReasonNextHopLength),
		bad("IPv6 prefix of 129 bits", "80 0e 27 0002 01 10 "+hop6+" 00 81 20010db800000000000000000000000000", reach, ReasonPrefixLength),
		bad("IPv6 prefix cut off", "80 0e 1b 0002 01 10 "+hop6+" 00 30 20010db800", reach, ReasonPrefixLength),
		bad("IPv4 prefix of 33 bits", "80 0e 0f 0001 01 04 c0000201 00 21 0a01030000", reach, ReasonPrefixLength),
		bad("unreach of 2", "80 0f 02 0002", unreach, ReasonAttrLength),
		bad("unreach runs past the list", "80 0f 0b 0002 01 30 20010db80002", unreach, ReasonAttrTruncated),
		bad("unreach IPv6 prefix of 129 bits", "80 0f 15 0002 01 81 20010db800000000000000000000000000", unreach, ReasonPrefixLength),
		bad("unreach prefix cut off", "80 0f 09 0002 01 30 20010db800", unreach, ReasonPrefixLength),
		// A later reset outweighs an earlier treat-as-withdraw (§3 h).
		{name: "the strongest decides", attrs: "40 01 01 09" + asPath + nextHop + "80 0f 02 0002", want: SessionReset,
			why: ReasonAttrLength, attr: unreach, subcode: 9, data: "80 0f 02 0002"},

		{name: "reach without prefixes", attrs: good + "80 0e 15 0002 01 10 " + hop6 + " 00", want: AttributeDiscard, why: ReasonEmptyReach, attr: reach},
		{name: "reach of an unknown family", attrs: good + "80 0e 0a 4004 47 04 c0000201 00 07", want: AttributeDiscard, why: ReasonFamily, attr: reach},
		{name: "unreach of an unknown family", attrs: good + "80 0f 04 4004 47 07", want: AttributeDiscard, why: ReasonFamily, attr: unreach},
		{name: "next hop ::", attrs: good + "80 0e 1c 0002 01 10 00000000000000000000000000000000 00 30 20010db80001", want: TreatAsWithdraw, why: ReasonNextHopValue, attr: reach},
		{name: "next hop ::1", attrs: good + "80 0e 1c 0002 01 10 00000000000000000000000000000001 00 30 20010db80001", want: TreatAsWithdraw, why: ReasonNextHopValue, attr: reach},
		{name: "next hop ff02::1", attrs: good + "80 0e 1c 0002 01 10 ff020000000000000000000000000001 00 30 20010db80001", want: TreatAsWithdraw, why: ReasonNextHopValue, attr: reach},
		{name: "two next hops for IPv4", attrs: good + "80 0e 0d 0001 01 04 c0000202 00 18 0a0103", want: TreatAsWithdraw, why: ReasonNextHopConflict, attr: AttrNextHop},
	})
}

// TestNoReachable: RFC 7606 §5.2, where an attribute goes wrong and no prefix is there to be withdrawn.
func TestNoReachable(t *testing.T) {
	const why = ReasonNoReachable
	runAll(t, []malformation{
		{name: "ORIGIN undefined", attrs: "40 01 01 09" + asPath, nlri: "-", want: SessionReset, why: why, subcode: 6, data: "40 01 01 09"},
		{name: "ORIGIN of 2", attrs: "40 01 02 0000", nlri: "-", want: SessionReset, why: why, subcode: 5, data: "40 01 02 0000"},
		{name: "AS_PATH malformed", attrs: "40 02 02 02 00", nlri: "-", want: SessionReset, why: why, subcode: 11},
		{name: "flags of NEXT_HOP", attrs: "c0 03 04 c0000201", nlri: "-", want: SessionReset, why: why, subcode: 4, data: "c0 03 04 c0000201"},
		{name: "COMMUNITIES of 3", attrs: "c0 08 03 fde900", nlri: "-", want: SessionReset, why: why, subcode: 5, data: "c0 08 03 fde900"},
		{name: "attribute cut off", attrs: "40 01", nlri: "-", want: SessionReset, why: why, subcode: 1},
		{name: "the first error is told", attrs: "40 01 01 09 40 02 02 02 00", nlri: "-", want: SessionReset, why: why, subcode: 6, data: "40 01 01 09"},
		{name: "withdrawn routes do not count", withdrawn: "18 0a0103", attrs: "40 01 01 09", nlri: "-", want: SessionReset, why: why, subcode: 6, data: "40 01 01 09"},
		{name: "beside MP_UNREACH_NLRI", attrs: unreach6 + "40 01 01 09", nlri: "-", want: SessionReset, why: why, subcode: 6, data: "40 01 01 09"},
		{name: "after MP_UNREACH_NLRI", attrs: unreach6 + "40", nlri: "-", want: SessionReset, why: why, subcode: 1},
		{name: "an empty MP_REACH_NLRI does not count", attrs: "80 0e 15 0002 01 10 " + hop6 + " 00 40 01 01 09", nlri: "-", want: SessionReset, why: why, subcode: 6, data: "40 01 01 09"},
		{name: "MP_REACH_NLRI counts", attrs: reach6 + "40 01 01 09" + asPath, nlri: "-", want: TreatAsWithdraw, why: ReasonOriginValue, attr: AttrOrigin},
		{name: "attribute discard is no reason", attrs: "40 06 01 00", nlri: "-", want: AttributeDiscard, why: ReasonAttrLength, attr: AttrAtomicAggregate},
		{name: "nothing missing without prefixes", withdrawn: "18 0a0103", attrs: origin, nlri: "-", want: Accept},
	})
}

// TestTreatAsWithdrawMoves: every reachable prefix of the UPDATE is withdrawn, whatever field it came in.
func TestTreatAsWithdrawMoves(t *testing.T) {
	s := Session{AS4: true, Families: both}
	var u Update
	r := s.DecodeUpdate(body(octets(t, "18 0a0103"), octets(t, unreach6+reach6+"40 01 01 09"+asPath+nextHop), octets(t, "18 0a0102")), &u)
	want := pfx("10.1.3.0/24", "10.1.2.0/24", "2001:db8:1::/48", "2001:db8:2::/48")
	if r.Outcome != TreatAsWithdraw || !sameSet(u.Withdrawn, want) || len(u.NLRI) > 0 || u.Attrs != nil {
		t.Errorf("%v %+v", r.Findings, u)
	}
}

// TestDiscardLeaves: what is discarded is absent, and nothing else.
func TestDiscardLeaves(t *testing.T) {
	s := Session{AS4: true, Internal: true, Families: both}
	var u Update
	r := s.DecodeUpdate(body(nil, octets(t, good+"80 04 04 00000001 80 04 04 00000002 40 06 01 00 c0 07 05 0000fde901"), octets(t, "18 0a0102")), &u)
	want := &Attrs{ASPath: Sequence(65001), NextHop: addr("192.0.2.1"), MED: Some(1)}
	if r.Outcome != AttributeDiscard || len(r.Findings) != 3 || !u.Attrs.Equal(want) {
		t.Errorf("%v %+v", r.Findings, u.Attrs)
	}
}

// TestFamilyNotNegotiated: routes of a family that is not ours to take are left out, whichever field they come in.
func TestFamilyNotNegotiated(t *testing.T) {
	raw := body(octets(t, "18 0a0103"), octets(t, reach6+unreach6+good), octets(t, "18 0a0102"))
	for _, tt := range []struct {
		families        []Family
		nlri, withdrawn []string
	}{
		{both[:1], []string{"10.1.2.0/24"}, []string{"10.1.3.0/24"}},
		{both[1:], []string{"2001:db8:1::/48"}, []string{"2001:db8:2::/48"}},
		{nil, nil, nil},
	} {
		s := Session{AS4: true, Families: tt.families}
		var u Update
		r := s.DecodeUpdate(raw, &u)
		if r.Outcome != AttributeDiscard || r.Reason() != ReasonFamily || !slices.Equal(u.NLRI, pfx(tt.nlri...)) || !slices.Equal(u.Withdrawn, pfx(tt.withdrawn...)) {
			t.Errorf("%v: %v %+v", tt.families, r.Findings, u)
		}
	}
	// An error beside routes of another family only: there is nothing of ours to withdraw.
	s := Session{AS4: true, Families: both[:1]}
	var u Update
	if r := s.DecodeUpdate(body(nil, octets(t, reach6+"40 01 01 09"), nil), &u); r.Outcome != TreatAsWithdraw || len(u.Withdrawn) > 0 {
		t.Errorf("%v %+v", r.Findings, u)
	}
}

func TestFirstAS(t *testing.T) {
	for _, tt := range []struct {
		first    uint32
		internal bool
		path     string
		want     Outcome
	}{
		{0, false, "02 01 0000fde9", Accept},
		{65001, false, "02 01 0000fde9", Accept},
		{65002, false, "02 01 0000fde9", TreatAsWithdraw},
		{65002, false, "02 02 0000fde9 0000fdea", TreatAsWithdraw},
		{65001, false, "01 01 0000fde9", TreatAsWithdraw},
		{65001, false, "", TreatAsWithdraw},
		{65002, true, "02 01 0000fde9", Accept},
	} {
		s := Session{AS4: true, Families: both, FirstAS: tt.first, Internal: tt.internal}
		value := octets(t, tt.path)
		attrs := append(octets(t, origin+nextHop+"40 02"), byte(len(value)))
		var u Update
		r := s.DecodeUpdate(body(nil, append(attrs, value...), octets(t, "18 0a0102")), &u)
		if r.Outcome != tt.want || tt.want != Accept && r.Reason() != ReasonFirstAS {
			t.Errorf("%+v: %v", tt, r.Findings)
		}
	}
}

// TestFindingsBounded: a peer that repeats itself does not make us remember it all, and the outcome is still right.
func TestFindingsBounded(t *testing.T) {
	attrs := octets(t, good)
	for range 1000 {
		attrs = append(attrs, 0xc0, 99, 0)
	}
	attrs = append(attrs, octets(t, "80 04 03 000001")...)
	s := Session{AS4: true, Families: both}
	var u Update
	r := s.DecodeUpdate(body(nil, attrs, octets(t, "18 0a0102")), &u)
	if len(r.Findings) != maxFindings || r.Outcome != TreatAsWithdraw || r.Reason() != ReasonAttrLength {
		t.Errorf("%d findings, %v: %v", len(r.Findings), r.Outcome, r.Reason())
	}
}

func TestReportTexts(t *testing.T) {
	seen := map[string]Reason{}
	for r := ReasonNone; r <= ReasonNoReachable; r++ {
		if r.String() == "" || r != ReasonNone && r.Clause() == "" {
			t.Errorf("reason %d: %q %q", uint8(r), r, r.Clause())
		}
		if other, ok := seen[r.String()]; ok {
			t.Errorf("reasons %d and %d: %q", uint8(r), uint8(other), r)
		}
		seen[r.String()] = r
	}
	f := Finding{TreatAsWithdraw, ReasonAttrLength, AttrMED}
	if got, want := f.String(), "treat-as-withdraw: wrong attribute length (MULTI_EXIT_DISC)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	f = Finding{SessionReset, ReasonPrefixLength, 0}
	if got, want := f.String(), "session-reset: wrong prefix length"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		got  interface{ String() string }
		want string
	}{
		{IPv4Unicast, "IPv4 unicast"}, {IPv6Unicast, "IPv6 unicast"}, {Family{25, 70}, "AFI 25 SAFI 70"},
		{TypeOpen, "OPEN"}, {TypeUpdate, "UPDATE"}, {TypeNotification, "NOTIFICATION"}, {TypeKeepalive, "KEEPALIVE"},
		{TypeRouteRefresh, "ROUTE-REFRESH"}, {MessageType(9), "type 9"},
		{OriginIGP, "IGP"}, {OriginEGP, "EGP"}, {OriginIncomplete, "INCOMPLETE"}, {Origin(3), "origin 3"},
		{AttrMPReach, "MP_REACH_NLRI"}, {AttrType(99), "attribute 99"},
		{Accept, "accept"}, {AttributeDiscard, "attribute-discard"}, {TreatAsWithdraw, "treat-as-withdraw"},
		{SessionReset, "session-reset"}, {Outcome(9), "outcome 9"}, {Reason(99), "reason 99"},
	} {
		if tt.got.String() != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	if FamilyOf(pfx("10.0.0.0/8")[0]) != IPv4Unicast || FamilyOf(pfx("::/0")[0]) != IPv6Unicast {
		t.Error("FamilyOf")
	}
	if Some(7).Or(100) != 7 || (Optional{}).Or(100) != 100 || Some(0) == (Optional{}) {
		t.Error("Optional")
	}
	if c := Reason(99).Clause(); c != "" {
		t.Errorf("clause %q", c)
	}
}
