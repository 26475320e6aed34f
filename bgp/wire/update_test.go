package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// sample holds every attribute that an internal session carries.
func sample() *Attrs {
	return &Attrs{
		Origin:           OriginIncomplete,
		ASPath:           ASPath{seg(ASSequence, 65001, 4200000001), seg(ASSet, 7, 8)},
		NextHop:          addr("192.0.2.1"),
		MED:              Some(10),
		LocalPref:        Some(100),
		AtomicAggregate:  true,
		Aggregator:       Aggregator{65010, addr("198.51.100.1")},
		Communities:      []Community{65001<<16 | 100, CommunityNoExport},
		ExtCommunities:   []ExtCommunity{{0, 2, 0xfd, 0xe9, 0, 0, 0, 1}},
		LargeCommunities: []LargeCommunity{{65001, 1, 2}},
		OriginatorID:     addr("10.0.0.1"),
		ClusterList:      []netip.Addr{addr("10.0.0.2"), addr("10.0.0.3")},
		OnlyToCustomer:   65020,
		Unknown:          []RawAttr{{FlagOptional | FlagTransitive, 99, []byte{1, 2, 3}}},
	}
}

// sampleBytes is the attribute list of sample with four-octet AS numbers, written by hand.
const sampleBytes = `
	40 01 01 02                                     // ORIGIN incomplete
	40 02 14 02 02 0000fde9 fa56ea01 01 02 00000007 00000008
	40 03 04 c0000201                               // NEXT_HOP
	80 04 04 0000000a                               // MULTI_EXIT_DISC
	40 05 04 00000064                               // LOCAL_PREF
	40 06 00                                        // ATOMIC_AGGREGATE
	c0 07 08 0000fdf2 c6336401                      // AGGREGATOR
	c0 08 08 fde90064 ffffff01                      // COMMUNITIES
	80 09 04 0a000001                               // ORIGINATOR_ID
	80 0a 08 0a000002 0a000003                      // CLUSTER_LIST
	c0 10 08 0002fde900000001                       // EXTENDED COMMUNITIES
	c0 20 0c 0000fde9 00000001 00000002             // LARGE_COMMUNITY
	c0 23 04 0000fdfc                               // ONLY_TO_CUSTOMER
	c0 63 03 010203                                 // unknown
`

// sampleBytes2 is the same for a speaker of two-octet AS numbers.
const sampleBytes2 = `
	40 01 01 02
	40 02 0c 02 02 fde9 5ba0 01 02 0007 0008        // AS_TRANS in the second place
	40 03 04 c0000201
	80 04 04 0000000a
	40 05 04 00000064
	40 06 00
	c0 07 06 fdf2 c6336401
	c0 08 08 fde90064 ffffff01
	80 09 04 0a000001
	80 0a 08 0a000002 0a000003
	c0 10 08 0002fde900000001
	c0 11 14 02 02 0000fde9 fa56ea01 01 02 00000007 00000008 // AS4_PATH
	c0 20 0c 0000fde9 00000001 00000002
	c0 23 04 0000fdfc
	c0 63 03 010203
`

// body puts an UPDATE's body together from its three fields.
func body(withdrawn, attrs, nlri []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(withdrawn)))
	b = append(b, withdrawn...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(attrs)))
	return append(append(b, attrs...), nlri...)
}

func TestUpdateBytes(t *testing.T) {
	nlri, withdrawn := "20 ac136401  18 0a0102  00  0f 0a02", "08 0b  1f c6336402"
	for name, tt := range map[string]struct {
		as4   bool
		attrs string
	}{"four octets": {true, sampleBytes}, "two octets": {false, sampleBytes2}} {
		t.Run(name, func(t *testing.T) {
			s := Session{AS4: tt.as4, Internal: true, Families: both}
			var u Update
			raw := body(octets(t, withdrawn), octets(t, tt.attrs), octets(t, nlri))
			r := s.DecodeUpdate(raw, &u)
			if r.Outcome != Accept {
				t.Fatal(r.Findings)
			}
			if !u.Attrs.Equal(sample()) {
				t.Errorf("got %+v, want %+v", u.Attrs, sample())
			}
			if want := pfx("172.19.100.1/32", "10.1.2.0/24", "0.0.0.0/0", "10.2.0.0/15"); !slices.Equal(u.NLRI, want) {
				t.Errorf("NLRI %v, want %v", u.NLRI, want)
			}
			if want := pfx("11.0.0.0/8", "198.51.100.2/31"); !slices.Equal(u.Withdrawn, want) {
				t.Errorf("withdrawn %v, want %v", u.Withdrawn, want)
			}
			// The input may be reused at once.
			kept := u.Attrs.Clone()
			for i := range raw {
				raw[i] = 0xee
			}
			if !u.Attrs.Equal(kept) {
				t.Error("attributes alias the input")
			}

			e := Encoder{Session: s}
			out, n, err := e.AppendReach([]byte("x"), sample(), u.NLRI, nil)
			want := body(nil, octets(t, tt.attrs), octets(t, nlri))
			if err != nil || n != 1 || !bytes.Equal(out[1+HeaderLen:], want) {
				t.Errorf("encoded %x, %v\n want %x", out, err, want)
			}
			out, n, err = e.AppendWithdraw(nil, u.Withdrawn, nil)
			if want = body(octets(t, withdrawn), nil, nil); err != nil || n != 1 || !bytes.Equal(out[HeaderLen:], want) {
				t.Errorf("encoded %x, %v\n want %x", out, err, want)
			}
		})
	}
}

// TestUpdateExternal: what does not belong in an external session is neither sent nor taken.
func TestUpdateExternal(t *testing.T) {
	s := Session{AS4: true, Families: both}
	var u Update
	r := s.DecodeUpdate(body(nil, octets(t, sampleBytes), octets(t, "20 ac136401")), &u)
	want := sample()
	want.LocalPref, want.OriginatorID, want.ClusterList = Optional{}, netip.Addr{}, nil
	if r.Outcome != AttributeDiscard || len(r.Findings) != 3 || !u.Attrs.Equal(want) {
		t.Errorf("%v %+v", r.Findings, u.Attrs)
	}
	e := Encoder{Session: s}
	out, _, err := e.AppendReach(nil, sample(), pfx("172.19.100.1/32"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.DecodeUpdate(out[HeaderLen:], &u); r.Outcome != Accept || !u.Attrs.Equal(want) {
		t.Errorf("%v %+v", r.Findings, u.Attrs)
	}
}

const (
	hop6   = "20010db8 00000000 00000000 00000001"
	local6 = "fe800000 00000000 00000000 00000001"
	base   = "40010100 40020602010000fde9 " // ORIGIN IGP, AS_PATH 65001
)

func TestMultiprotocolBytes(t *testing.T) {
	six := pfx("2001:db8:1::/48", "::/0", "2001:db8::2/127")
	nlri6 := "30 20010db80001  00  7f 20010db8000000000000000000000002"
	a := &Attrs{ASPath: Sequence(65001), NextHop6: addr("2001:db8::1")}
	withLocal := &Attrs{ASPath: Sequence(65001), NextHop6: addr("2001:db8::1"), LinkLocal: addr("fe80::1")}
	over6 := &Attrs{ASPath: Sequence(65001), NextHop: addr("2001:db8::1")}
	over6Local := &Attrs{ASPath: Sequence(65001), NextHop: addr("2001:db8::1"), LinkLocal: addr("fe80::1")}
	localOnly := &Attrs{ASPath: Sequence(65001), NextHop: addr("fe80::1")}
	localTwice := &Attrs{ASPath: Sequence(65001), NextHop: addr("fe80::1"), LinkLocal: addr("fe80::1")}
	local6Only := &Attrs{ASPath: Sequence(65001), NextHop6: addr("fe80::1")}
	for _, tt := range []struct {
		name  string
		attrs string
		want  *Attrs
		nlri  []netip.Prefix
	}{
		{"IPv6", "80 0e 2e 0002 01 10 " + hop6 + " 00 " + nlri6 + base, a, six},
		{"with a link-local next hop", "80 0e 3e 0002 01 20 " + hop6 + local6 + " 00 " + nlri6 + base, withLocal, six},
		{"IPv4 over an IPv6 next hop", "80 0e 1a 0001 01 10 " + hop6 + " 00 20 ac136401" + base, over6, pfx("172.19.100.1/32")},
		{"IPv4 with a global and a link-local next hop", "80 0e 2a 0001 01 20 " + hop6 + local6 + " 00 20 ac136401" + base, over6Local, pfx("172.19.100.1/32")},
		{"IPv4 with a link-local next hop alone", "80 0e 1a 0001 01 10 " + local6 + " 00 20 ac136401" + base, localOnly, pfx("172.19.100.1/32")},
		{"IPv4 with a link-local next hop twice", "80 0e 2a 0001 01 20 " + local6 + local6 + " 00 20 ac136401" + base, localTwice, pfx("172.19.100.1/32")},
		{"IPv6 with a link-local next hop alone", "80 0e 2e 0002 01 10 " + local6 + " 00 " + nlri6 + base, local6Only, six},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Session{AS4: true, Families: both, ExtendedNextHop: true}
			var u Update
			raw := body(nil, octets(t, tt.attrs), nil)
			if r := s.DecodeUpdate(raw, &u); r.Outcome != Accept {
				t.Fatal(r.Findings)
			}
			if !u.Attrs.Equal(tt.want) || !slices.Equal(u.NLRI, tt.nlri) || len(u.Withdrawn) > 0 {
				t.Errorf("got %+v %v", u.Attrs, u.NLRI)
			}
			e := Encoder{Session: s}
			out, n, err := e.AppendReach(nil, tt.want, tt.nlri, nil)
			if err != nil || n != 1 || !bytes.Equal(out[HeaderLen:], raw) {
				t.Errorf("encoded %x, %v\n want %x", out[HeaderLen:], err, raw)
			}
		})
	}

	t.Run("withdrawal", func(t *testing.T) {
		s := Session{AS4: true, Families: both}
		var u Update
		raw := body(nil, octets(t, "80 0f 1c 0002 01 "+nlri6), nil)
		if r := s.DecodeUpdate(raw, &u); r.Outcome != Accept || !slices.Equal(u.Withdrawn, six) || u.Attrs != nil {
			t.Errorf("%v %+v", r.Findings, u)
		}
		e := Encoder{Session: s}
		if out, n, err := e.AppendWithdraw(nil, six, nil); err != nil || n != 1 || !bytes.Equal(out[HeaderLen:], raw) {
			t.Errorf("encoded %x, %v\n want %x", out[HeaderLen:], err, raw)
		}
	})
}

// TestMultiprotocolForms are forms that a receiver takes and this package does not send.
func TestMultiprotocolForms(t *testing.T) {
	s := Session{AS4: true, Families: both, ExtendedNextHop: true}
	nlri := pfx("2001:db8:1::/48")
	for _, tt := range []struct {
		name, attrs, nlri string
		want              Attrs
		prefixes          []netip.Prefix
		outcome           Outcome
	}{
		{"attribute last, extended length", base + "90 0e 001c 0002 01 10" + hop6 + "00 30 20010db80001", "",
			Attrs{NextHop6: addr("2001:db8::1")}, nlri, Accept},
		{"reserved octet not zero", base + "80 0e 1c 0002 01 10" + hop6 + "ff 30 20010db80001", "",
			Attrs{NextHop6: addr("2001:db8::1")}, nlri, Accept},
		{"global address twice", base + "80 0e 2c 0002 01 20" + hop6 + hop6 + "00 30 20010db80001", "",
			Attrs{NextHop6: addr("2001:db8::1")}, nlri, Accept},
		{"only a link-local next hop", base + "80 0e 1c 0002 01 10" + local6 + "00 30 20010db80001", "",
			Attrs{NextHop6: addr("fe80::1")}, nlri, Accept},
		{"unspecified and link-local", base + "80 0e 2c 0002 01 20 00000000000000000000000000000000" + local6 + "00 30 20010db80001", "",
			Attrs{NextHop6: addr("fe80::1"), LinkLocal: addr("fe80::1")}, nlri, Accept},
		{"IPv4, unspecified and link-local", base + "80 0e 29 0001 01 20 00000000000000000000000000000000" + local6 + "00 18 0a0102", "",
			Attrs{NextHop: addr("fe80::1"), LinkLocal: addr("fe80::1")}, pfx("10.1.2.0/24"), Accept},
		{"IPv4, global address twice", base + "80 0e 29 0001 01 20" + hop6 + hop6 + "00 18 0a0102", "",
			Attrs{NextHop: addr("2001:db8::1")}, pfx("10.1.2.0/24"), Accept},
		{"host bits set", base + "80 0e 1c 0002 01 10" + hop6 + "00 2d 20010db8000f", "",
			Attrs{NextHop6: addr("2001:db8::1")}, pfx("2001:db8:8::/45"), Accept},
		{"both families", base + "40 03 04 c0000201 80 0e 1c 0002 01 10" + hop6 + "00 30 20010db80001", "18 0a0102",
			Attrs{NextHop: addr("192.0.2.1"), NextHop6: addr("2001:db8::1")}, pfx("10.1.2.0/24", "2001:db8:1::/48"), Accept},
		{"IPv4 in MP_REACH_NLRI", base + "80 0e 0d 0001 01 04 c0000201 00 18 0a0102", "",
			Attrs{NextHop: addr("192.0.2.1")}, pfx("10.1.2.0/24"), Accept},
		{"IPv4 in both, same next hop", base + "40 03 04 c0000201 80 0e 0d 0001 01 04 c0000201 00 18 0a0102", "18 0a0103",
			Attrs{NextHop: addr("192.0.2.1")}, pfx("10.1.3.0/24", "10.1.2.0/24"), Accept},
		{"NEXT_HOP beside MP_REACH_NLRI is ignored, even a bad one", "40 03 04 7f000001" + base + "80 0e 0d 0001 01 04 c0000201 00 18 0a0102", "",
			Attrs{NextHop: addr("192.0.2.1")}, pfx("10.1.2.0/24"), Accept},
		{"link-local prefix skipped", base + "80 0e 27 0002 01 10" + hop6 + "00 40 fe80000000000000 08 ff 30 20010db80001", "",
			Attrs{NextHop6: addr("2001:db8::1")}, nlri, AttributeDiscard},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var u Update
			r := s.DecodeUpdate(body(nil, octets(t, tt.attrs), octets(t, tt.nlri)), &u)
			tt.want.ASPath = Sequence(65001)
			if r.Outcome != tt.outcome || u.Attrs == nil || !u.Attrs.Equal(&tt.want) || !slices.Equal(u.NLRI, tt.prefixes) {
				t.Errorf("%v %+v %v", r.Findings, u.Attrs, u.NLRI)
			}
		})
	}
}

// TestEndOfRIB goes through RFC 4724 §2.
func TestEndOfRIB(t *testing.T) {
	s := Session{AS4: true, Families: both}
	for f, text := range map[Family]string{
		IPv4Unicast: "0017 02 0000 0000",
		IPv6Unicast: "001d 02 0000 0006 80 0f 03 0002 01",
	} {
		raw := AppendEndOfRIB([]byte("x"), f)[1:]
		if want := octets(t, marker+text); !bytes.Equal(raw, want) {
			t.Errorf("%v: %x, want %x", f, raw, want)
		}
		u := Update{EndOfRIB: Family{9, 9}}
		if r := s.DecodeUpdate(raw[HeaderLen:], &u); r.Outcome != Accept || u.EndOfRIB != f {
			t.Errorf("%v: %v %v", f, r.Findings, u.EndOfRIB)
		}
	}
	for name, text := range map[string]string{
		"with a prefix":                "0000 000a 80 0f 07 0002 01 18 20010d",
		"with a withdrawn IPv4 prefix": "0002 08 0a 0006 80 0f 03 0002 01",
		"with an attribute":            "0000 000a 80 0f 03 0002 01 40 01 01 00",
		"of a family not negotiated":   "0000 0006 80 0f 03 0019 41",
	} {
		var u Update
		if s.DecodeUpdate(octets(t, text), &u); u.EndOfRIB != (Family{}) {
			t.Errorf("%s: End-of-RIB of %v", name, u.EndOfRIB)
		}
	}
	var u Update
	if s.DecodeUpdate(octets(t, "0000 0007 90 0f 0003 0001 01"), &u); u.EndOfRIB != IPv4Unicast {
		t.Errorf("empty MP_UNREACH_NLRI for IPv4: %v", u.EndOfRIB)
	}
}

// TestAS4Attributes goes through RFC 6793 §4.2.3 and §6 as seen from a speaker of four-octet numbers.
func TestAS4Attributes(t *testing.T) {
	const (
		head   = "40 01 01 00  40 02 06 02 02 5ba0 0002  40 03 04 c0000201 "
		path   = "c0 11 0a 02 02 00011170 00000002 " // 70000 2
		aggr   = "c0 07 06 5ba0 c6336401 "
		aggr4  = "c0 12 08 00011171 c6336402 "
		aggrID = "c0 07 06 0009 c6336401 "
	)
	merged, trans := "70000 2", "23456 2"
	g, g4 := Aggregator{ASTrans, addr("198.51.100.1")}, Aggregator{70001, addr("198.51.100.2")}
	for _, tt := range []struct {
		name, attrs string
		path        string
		aggregator  Aggregator
		why         Reason // of an attribute discard
	}{
		{"path", head + path, merged, Aggregator{}, 0},
		{"before AS_PATH", path + head, merged, Aggregator{}, 0},
		{"no AS4_PATH", head, trans, Aggregator{}, 0},
		{"aggregator", head + path + aggr + aggr4, merged, g4, 0},
		{"an old speaker aggregated", head + path + aggrID + aggr4, trans, Aggregator{9, addr("198.51.100.1")}, 0},
		{"AS4_AGGREGATOR alone", head + path + aggr4, merged, Aggregator{}, 0},
		{"AGGREGATOR alone", head + path + aggr, merged, g, 0},
		{"empty AS4_PATH", head + "c0 11 00", trans, Aggregator{}, 0},
		{"longer AS4_PATH", head + "c0 11 0e 02 03 00011170 00000002 00000003", trans, Aggregator{}, 0},
		{"shorter AS4_PATH", head + "c0 11 06 02 01 00011170", "23456 70000", Aggregator{}, 0},
		{"confederation in AS4_PATH", head + "c0 11 10 03 01 00000005 02 02 00011170 00000002", merged, Aggregator{}, ReasonConfederation},
		{"AS4_PATH segment too long", head + "c0 11 06 02 02 00011170", trans, Aggregator{}, ReasonSegmentLength},
		{"AS4_PATH segment empty", head + "c0 11 02 02 00", trans, Aggregator{}, ReasonSegmentLength},
		{"AS4_PATH odd", head + "c0 11 01 02", trans, Aggregator{}, ReasonSegmentLength},
		{"AS4_PATH segment unknown", head + "c0 11 06 05 01 00011170", trans, Aggregator{}, ReasonSegmentType},
		{"AS4_PATH with AS 0", head + "c0 11 06 02 01 00000000", trans, Aggregator{}, ReasonASZero},
		{"AS4_AGGREGATOR of 7", head + path + aggr + "c0 12 07 00011171c63364", merged, g, ReasonAttrLength},
		{"AS4_AGGREGATOR of AS 0", head + path + aggr + "c0 12 08 00000000 c6336402", merged, g, ReasonASZero},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Session{Families: both}
			var u Update
			r := s.DecodeUpdate(body(nil, octets(t, tt.attrs), octets(t, "18 0a0102")), &u)
			want := Accept
			if tt.why != ReasonNone {
				want = AttributeDiscard
			}
			if r.Outcome != want || r.Reason() != tt.why {
				t.Fatalf("%v, want %v: %v", r.Findings, want, tt.why)
			}
			if u.Attrs.ASPath.String() != tt.path || u.Attrs.Aggregator != tt.aggregator {
				t.Errorf("path %q aggregator %v, want %q %v", u.Attrs.ASPath, u.Attrs.Aggregator, tt.path, tt.aggregator)
			}
		})
	}
}

// TestAS4Sending: what a speaker of two-octet numbers is sent (RFC 6793 §4.2.2).
func TestAS4Sending(t *testing.T) {
	e := Encoder{Session: Session{Families: both}}
	for _, tt := range []struct {
		name string
		a    Attrs
		want string // after ORIGIN, before NEXT_HOP and after it
		then string
	}{
		{"nothing needs four octets", Attrs{ASPath: Sequence(65001)}, "40 02 04 02 01 fde9", ""},
		{"a path does", Attrs{ASPath: Sequence(70000, 1)}, "40 02 06 02 02 5ba0 0001", "c0 11 0a 02 02 00011170 00000001"},
		{"inside a confederation only", Attrs{ASPath: ASPath{seg(ASConfedSequence, 70000), seg(ASSequence, 1)}},
			"40 02 08 03 01 5ba0 02 01 0001", ""},
		{"confederations are left out of AS4_PATH", Attrs{ASPath: ASPath{seg(ASConfedSequence, 70000), seg(ASSequence, 70001)}},
			"40 02 08 03 01 5ba0 02 01 5ba0", "c0 11 06 02 01 00011171"},
		{"an aggregator does", Attrs{Aggregator: Aggregator{70000, addr("10.0.0.1")}},
			"40 02 00", "c0 07 06 5ba0 0a000001 c0 12 08 00011170 0a000001"},
	} {
		tt.a.NextHop = addr("192.0.2.1")
		out, _, err := e.AppendReach(nil, &tt.a, pfx("10.0.0.0/8"), nil)
		want := body(nil, octets(t, "40 01 01 00"+tt.want+"40 03 04 c0000201"+tt.then), octets(t, "08 0a"))
		if err != nil || !bytes.Equal(out[HeaderLen:], want) {
			t.Errorf("%s: %x, %v\n want %x", tt.name, out[HeaderLen:], err, want)
		}
	}
}

func TestUpdateReuse(t *testing.T) {
	s := Session{AS4: true, Internal: true, Families: both}
	full := body(nil, octets(t, sampleBytes), octets(t, "20 ac136401"))
	empty := AppendEndOfRIB(nil, IPv4Unicast)[HeaderLen:]
	plain := body(octets(t, "08 0a"), octets(t, base+"40 03 04 c0000201"), octets(t, "18 0a0102"))
	bad := body(nil, octets(t, base+"40 03 03 c00002"), octets(t, "18 0a0102"))
	reset := octets(t, "ffff 0000")
	var reused Update
	for i, b := range [][]byte{full, plain, empty, full, bad, plain, reset, full, plain} {
		var fresh Update
		rf, rr := s.DecodeUpdate(b, &fresh), s.DecodeUpdate(b, &reused)
		if rf.Outcome != rr.Outcome || !slices.Equal(fresh.NLRI, reused.NLRI) || !slices.Equal(fresh.Withdrawn, reused.Withdrawn) ||
			!fresh.Attrs.Equal(reused.Attrs) || fresh.EndOfRIB != reused.EndOfRIB {
			t.Errorf("message %d: fresh %+v, reused %+v", i, fresh, reused)
		}
	}
}

func TestAttrsCloneEqual(t *testing.T) {
	a := sample()
	c := a.Clone()
	if !a.Equal(c) || (*Attrs)(nil).Clone() != nil || !(*Attrs)(nil).Equal(nil) || a.Equal(nil) {
		t.Fatal("clone")
	}
	// Every exported field counts, and is copied.
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		changed := a.Clone()
		f := reflect.ValueOf(changed).Elem().Field(i)
		f.SetZero()
		other := sample()
		if field.Name == "NextHop6" || field.Name == "LinkLocal" {
			f.Set(reflect.ValueOf(addr("2001:db8::9")))
		}
		if changed.Equal(other) {
			t.Errorf("%s does not count", field.Name)
		}
	}
	c.ASPath[0].ASNs[0], c.Communities[0], c.ExtCommunities[0][0], c.LargeCommunities[0].Global = 1, 1, 9, 1
	c.ClusterList[0], c.Unknown[0].Value[0] = id1, 9
	if !a.Equal(sample()) {
		t.Error("a clone shares memory")
	}
}

func TestPassOn(t *testing.T) {
	a := Attrs{Unknown: []RawAttr{
		{FlagOptional, 90, []byte{1}},
		{FlagOptional | FlagTransitive, 91, []byte{2}},
		{FlagOptional | FlagTransitive | FlagPartial, 92, nil},
	}}
	want := []RawAttr{
		{FlagOptional | FlagTransitive | FlagPartial, 91, []byte{2}},
		{FlagOptional | FlagTransitive | FlagPartial, 92, nil},
	}
	if got := a.PassOn(); !reflect.DeepEqual(got, want) || a.Unknown[1].Flags&FlagPartial != 0 {
		t.Errorf("got %v", got)
	}
}
