package wire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// attributeRule is what the documents say about the length of an attribute's value.
type attributeRule struct {
	t        AttrType
	size     int     // the one length
	multiple bool    // or any multiple of it but 0
	wrong    Outcome // what any other length comes to
	internal bool    // discarded whatever it holds when it comes from outside
	clause   string
}

// attributeRules has every attribute whose value is of fixed size or a list of such. AS paths and the multiprotocol
// attributes have structure; their cases are in rfc7606_test.go.
func attributeRules(as4 bool) []attributeRule {
	rules := []attributeRule{
		{AttrOrigin, 1, false, TreatAsWithdraw, false, "RFC 7606 §7.1"},
		{AttrNextHop, 4, false, TreatAsWithdraw, false, "RFC 7606 §7.3"},
		{AttrMED, 4, false, TreatAsWithdraw, false, "RFC 7606 §7.4"},
		{AttrLocalPref, 4, false, TreatAsWithdraw, true, "RFC 7606 §7.5"},
		{AttrAtomicAggregate, 0, false, AttributeDiscard, false, "RFC 7606 §7.6"},
		{AttrAggregator, 4 + asnSize(as4), false, AttributeDiscard, false, "RFC 7606 §7.7"},
		{AttrCommunities, 4, true, TreatAsWithdraw, false, "RFC 7606 §7.8"},
		{AttrOriginatorID, 4, false, TreatAsWithdraw, true, "RFC 7606 §7.9"},
		{AttrClusterList, 4, true, TreatAsWithdraw, true, "RFC 7606 §7.10"},
		{AttrExtCommunities, 8, true, TreatAsWithdraw, false, "RFC 7606 §7.14"},
		{AttrLargeComms, 12, true, TreatAsWithdraw, false, "RFC 8092 §6"},
		{AttrOnlyToCustomer, 4, false, TreatAsWithdraw, false, "RFC 9234 §5"},
	}
	if !as4 {
		rules = append(rules, attributeRule{AttrAS4Aggregator, 8, false, AttributeDiscard, false, "RFC 6793 §6"})
	}
	return rules
}

func (r *attributeRule) outcome(n int, internal bool) Outcome {
	switch {
	case r.internal && !internal:
		return AttributeDiscard
	case !r.multiple && n == r.size, r.multiple && n > 0 && n%r.size == 0:
		return Accept
	}
	return r.wrong
}

// mandatory returns the well-known mandatory attributes without the one given.
func mandatory(t testing.TB, without AttrType, as4 bool) []byte {
	path := asPath
	if !as4 {
		path = "40 02 04 02 01 fde9"
	}
	var out []byte
	for _, a := range []struct {
		t AttrType
		s string
	}{{AttrOrigin, origin}, {AttrASPath, path}, {AttrNextHop, nextHop}} {
		if a.t != without {
			out = append(out, octets(t, a.s)...)
		}
	}
	return out
}

// attribute puts an attribute together, with a long header where the flags or the length ask for it.
func attribute(flags uint8, typ AttrType, value []byte) []byte {
	if n := len(value); flags&FlagExtended != 0 || n > 255 {
		return append([]byte{flags | FlagExtended, byte(typ), byte(n >> 8), byte(n)}, value...)
	}
	return append([]byte{flags, byte(typ), byte(len(value))}, value...)
}

// eachSession calls f for the kinds of session that errors in attributes depend on.
func eachSession(f func(name string, s Session)) {
	for _, as4 := range []bool{true, false} {
		for _, internal := range []bool{true, false} {
			name := fmt.Sprintf("as4=%v internal=%v", as4, internal)
			f(name, Session{AS4: as4, Internal: internal, Families: both, MaxLen: MaxExtendedLen})
		}
	}
}

// TestEveryAttributeLength: each attribute with each length, next to reachable prefixes.
func TestEveryAttributeLength(t *testing.T) {
	prefix := octets(t, "18 0a0102")
	eachSession(func(name string, s Session) {
		for _, rule := range attributeRules(s.AS4) {
			lengths := []int{255, 256, 257, 1200, 4000, 60000}
			for n := range 64 {
				lengths = append(lengths, n)
			}
			for _, n := range lengths {
				attrs := append(mandatory(t, rule.t, s.AS4), attribute(wantFlags[rule.t], rule.t, bytes.Repeat([]byte{1}, n))...)
				var u Update
				r := s.DecodeUpdate(body(nil, attrs, prefix), &u)
				checkInvariants(t, &s, &u, r, len(attrs))
				if want := rule.outcome(n, s.Internal); r.Outcome != want {
					t.Errorf("%s: %v of %d: %v, want %v (%s)", name, rule.t, n, r.Findings, want, rule.clause)
				}
			}
		}
	})
}

// TestEveryAttributeFlags: each attribute with each combination of flags (RFC 7606 §3 c). The partial bit says
// nothing about the form, and the extended length may be used for any length (RFC 4271 §4.3).
func TestEveryAttributeFlags(t *testing.T) {
	prefix := octets(t, "18 0a0102")
	eachSession(func(name string, s Session) {
		for _, rule := range attributeRules(s.AS4) {
			for high := range 16 {
				flags := uint8(high << 4)
				attrs := append(mandatory(t, rule.t, s.AS4), attribute(flags, rule.t, bytes.Repeat([]byte{1}, rule.size))...)
				var u Update
				r := s.DecodeUpdate(body(nil, attrs, prefix), &u)
				want, why := rule.outcome(rule.size, s.Internal), ReasonAttrFlags
				if conflict := (flags^wantFlags[rule.t])&(FlagOptional|FlagTransitive) != 0; conflict && want == Accept {
					want = TreatAsWithdraw
				}
				if want == AttributeDiscard {
					why = ReasonExternal
				}
				if r.Outcome != want || want != Accept && r.Reason() != why {
					t.Errorf("%s: %v with flags %#x: %v, want %v", name, rule.t, flags, r.Findings, want)
				}
			}
		}
	})
}

// TestEveryAttributeCutOff: each attribute, known or not, with its header or its value cut off by the end of the list
// (RFC 7606 §4; §3 j for those that hold prefixes).
func TestEveryAttributeCutOff(t *testing.T) {
	prefix := octets(t, "18 0a0102")
	s := Session{AS4: true, Internal: true, Families: both}
	for code := range 256 {
		typ := AttrType(code)
		flags := wantFlags[typ]
		if flags == 0 {
			flags = FlagOptional | FlagTransitive
		}
		for _, extended := range []uint8{0, FlagExtended} {
			whole := attribute(flags|extended, typ, make([]byte, 8))
			for cut := 1; cut < len(whole); cut++ {
				attrs := append(mandatory(t, typ, true), whole[:cut]...)
				var u Update
				r := s.DecodeUpdate(body(nil, attrs, prefix), &u)
				checkInvariants(t, &s, &u, r, len(attrs))
				header := cut < len(whole)-8
				if mp := typ == AttrMPReach || typ == AttrMPUnreach; mp && !header {
					n := r.Notification
					if n == nil || n.Code != CodeUpdate || n.Subcode != SubUpdateOptionalAttribute || !bytes.Equal(n.Data, whole[:cut]) {
						t.Errorf("%v cut at %d: %v %v", typ, cut, r.Findings, n)
					}
					continue
				}
				if r.Outcome != TreatAsWithdraw || r.Reason() != ReasonAttrTruncated || !slices.Equal(u.Withdrawn, pfx("10.1.2.0/24")) {
					t.Errorf("%v cut at %d: %v", typ, cut, r.Findings)
				}
			}
		}
	}
}

// TestEveryCut: messages of each type that end early. The lengths in the header are right; what is within is not.
func TestEveryCut(t *testing.T) {
	notification := func(err error) Notification {
		var n *Notification
		if !errors.As(err, &n) {
			t.Fatalf("%v is not a NOTIFICATION", err)
		}
		return Notification{Code: n.Code, Subcode: n.Subcode}
	}
	short := Notification{Code: CodeHeader, Subcode: SubHeaderBadLength}
	open := octets(t, openBytes)[HeaderLen:]
	for cut := range open {
		o, err := DecodeOpen(open[:cut])
		want := Notification{Code: CodeOpen, Subcode: SubOpenUnspecific}
		if cut < 10 {
			want = short
		}
		if got := notification(err); o != nil || got.Code != want.Code || got.Subcode != want.Subcode {
			t.Errorf("OPEN cut at %d: %v", cut, err)
		}
	}
	for cut := range 2 {
		if _, err := DecodeNotification(make([]byte, cut)); notification(err).Code != CodeHeader {
			t.Errorf("NOTIFICATION cut at %d: %v", cut, err)
		}
	}
	for cut := range 4 {
		if _, err := DecodeRouteRefresh(make([]byte, cut)); notification(err).Code != CodeHeader {
			t.Errorf("ROUTE-REFRESH cut at %d: %v", cut, err)
		}
	}
	for subtype := range 256 { // RFC 7313 §5: the two markers have one length, and only they
		_, err := DecodeRouteRefresh([]byte{0, 1, byte(subtype), 1, 0})
		marker := uint8(subtype) == RefreshBegin || uint8(subtype) == RefreshEnd
		if marker != (err != nil) || marker && notification(err).Code != CodeRouteRefresh {
			t.Errorf("ROUTE-REFRESH %d of 24: %v", subtype, err)
		}
	}

	// An UPDATE that ends early is one whose fields do not add up, until only whole prefixes are missing.
	attrs := octets(t, good)
	update := body(octets(t, "18 0a0103"), attrs, octets(t, "18 0a0102 10 0a02"))
	first := len(update) - 7
	s := Session{AS4: true, Families: both}
	for cut := range update {
		var u Update
		r := s.DecodeUpdate(update[:cut], &u)
		checkInvariants(t, &s, &u, r, cut)
		switch {
		case cut < first:
			if n := r.Notification; n == nil || n.Subcode != SubUpdateMalformedAttrs {
				t.Errorf("UPDATE cut at %d: %v", cut, r.Findings)
			}
		case cut == first || cut == first+4:
			if r.Outcome != Accept || len(u.NLRI) != (cut-first)/4 {
				t.Errorf("UPDATE cut at %d: %v %v", cut, r.Findings, u.NLRI)
			}
		default:
			if n := r.Notification; n == nil || n.Subcode != SubUpdateNetworkField {
				t.Errorf("UPDATE cut at %d: %v", cut, r.Findings)
			}
		}
	}
}

// TestExtendedLimits: RFC 8654 §4, at the last octet of both lengths.
func TestExtendedLimits(t *testing.T) {
	update := func(size int) []byte {
		value := make([]byte, size-HeaderLen-4-len(octets(t, good))-4-4)
		attrs := append(octets(t, good), attribute(FlagOptional|FlagTransitive|FlagExtended, 99, value)...)
		b := body(nil, attrs, octets(t, "18 0a0102"))
		return finish(append(appendHeader(nil, TypeUpdate), b...), 0)
	}
	for _, tt := range []struct {
		size, limit int
		ok          bool
	}{
		{4096, MaxLen, true}, {4097, MaxLen, false}, {65535, MaxLen, false},
		{4096, MaxExtendedLen, true}, {4097, MaxExtendedLen, true}, {65534, MaxExtendedLen, true}, {65535, MaxExtendedLen, true},
	} {
		raw := update(tt.size)
		r := NewReader(bytes.NewReader(raw))
		r.SetMaxLen(tt.limit)
		m, err := r.Next()
		if !tt.ok {
			var n *Notification
			if !errors.As(err, &n) || n.Code != CodeHeader || n.Subcode != SubHeaderBadLength || !bytes.Equal(n.Data, raw[16:18]) {
				t.Errorf("%d of %d: %v", tt.size, tt.limit, err)
			}
			continue
		}
		s := Session{AS4: true, Families: both, MaxLen: tt.limit}
		var u Update
		if rep := s.DecodeUpdate(m.Body, &u); err != nil || m.Len() != tt.size || rep.Outcome != Accept || len(u.NLRI) != 1 {
			t.Fatalf("%d of %d: %v %v", tt.size, tt.limit, err, rep.Findings)
		}
		// What was read fits when it is sent, and one octet more does not.
		e := Encoder{Session: s}
		out, _, err := e.AppendReach(nil, u.Attrs, pfx("10.1.2.3/32"), nil)
		if room := tt.size < tt.limit; room != (err == nil) || err == nil && len(out) != tt.size+1 {
			t.Errorf("%d of %d, sent: %d octets, %v", tt.size, tt.limit, len(out), err)
		}
	}
}
