package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// addPath is a session in which both sides send path identifiers for the families.
func addPath(families ...Family) Session {
	return Session{AS4: true, Families: both, ExtendedNextHop: true, AddPathReceive: families, AddPathSend: families}
}

// TestAddPathBytes: every field that prefixes come in, written by hand from RFC 7911 §3.
func TestAddPathBytes(t *testing.T) {
	a := Attrs{ASPath: Sequence(65001), NextHop: addr("192.0.2.1"), NextHop6: addr("2001:db8::1")}
	over6 := Attrs{ASPath: Sequence(65001), NextHop: addr("2001:db8::1")}
	for _, tt := range []struct {
		name            string
		families        []Family
		a               *Attrs
		prefixes        []netip.Prefix
		paths, sent     []uint32 // as given and as they come back
		reach, withdraw string   // bodies
	}{
		{"IPv4", both, &a, pfx("10.1.2.0/24", "10.1.2.0/24", "0.0.0.0/0"), []uint32{1, 4294967295, 7}, nil,
			"0000 0014" + good + "00000001 18 0a0102 ffffffff 18 0a0102 00000007 00",
			"0015 00000001 18 0a0102 ffffffff 18 0a0102 00000007 00 0000"},
		{"IPv6", both, &a, pfx("2001:db8:1::/48", "2001:db8:1::/48"), []uint32{1, 2}, nil,
			"0000 003b 80 0e 2b 0002 01 10" + hop6 + "00 00000001 30 20010db80001 00000002 30 20010db80001" + base,
			"0000 001c 80 0f 19 0002 01 00000001 30 20010db80001 00000002 30 20010db80001"},
		{"IPv4 over an IPv6 next hop", both, &over6, pfx("10.1.2.0/24"), []uint32{258}, nil,
			"0000 002d 80 0e 1d 0001 01 10" + hop6 + "00 00000102 18 0a0102" + base,
			"0008 00000102 18 0a0102 0000"},
		{"no identifiers given", both, &a, pfx("10.1.2.0/24"), nil, []uint32{0},
			"0000 0014" + good + "00000000 18 0a0102", "0008 00000000 18 0a0102 0000"},
		{"IPv6 alone has identifiers, IPv4 is sent", both[1:], &a, pfx("10.1.2.0/24"), []uint32{9}, []uint32{0},
			"0000 0014" + good + "18 0a0102", "0004 18 0a0102 0000"},
		{"IPv4 alone has identifiers, IPv6 is sent", both[:1], &a, pfx("2001:db8:1::/48"), []uint32{9}, []uint32{0},
			"0000 002c 80 0e 1c 0002 01 10" + hop6 + "00 30 20010db80001" + base,
			"0000 000d 80 0f 0a 0002 01 30 20010db80001"},
		{"no family has identifiers", nil, &a, pfx("10.1.2.0/24"), []uint32{9}, []uint32{},
			"0000 0014" + good + "18 0a0102", "0004 18 0a0102 0000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := Encoder{Session: addPath(tt.families...)}
			sent := tt.sent
			if sent == nil {
				sent = tt.paths
			}
			var u Update
			reach, n, err := e.AppendReach(nil, tt.a, tt.prefixes, tt.paths)
			if err != nil || n != 1 || !bytes.Equal(reach[HeaderLen:], octets(t, tt.reach)) {
				t.Fatalf("reach %x, %v\n want %x", reach[HeaderLen:], err, octets(t, tt.reach))
			}
			if r := e.Session.DecodeUpdate(reach[HeaderLen:], &u); r.Outcome != Accept ||
				!slices.Equal(u.NLRI, tt.prefixes) || !slices.Equal(u.NLRIPaths, sent) || len(u.WithdrawnPaths) > 0 {
				t.Errorf("%v %+v", r.Findings, u)
			}
			withdraw, n, err := e.AppendWithdraw(nil, tt.prefixes, tt.paths)
			if err != nil || n != 1 || !bytes.Equal(withdraw[HeaderLen:], octets(t, tt.withdraw)) {
				t.Fatalf("withdraw %x, %v\n want %x", withdraw[HeaderLen:], err, octets(t, tt.withdraw))
			}
			if r := e.Session.DecodeUpdate(withdraw[HeaderLen:], &u); r.Outcome != Accept ||
				!slices.Equal(u.Withdrawn, tt.prefixes) || !slices.Equal(u.WithdrawnPaths, sent) || len(u.NLRIPaths) > 0 {
				t.Errorf("%v %+v", r.Findings, u)
			}
		})
	}
}

// TestAddPathDirections: what is sent depends on AddPathSend only, what is read on AddPathReceive only.
func TestAddPathDirections(t *testing.T) {
	list, paths := pfx("10.1.2.0/24"), []uint32{5}
	sender := Encoder{Session: Session{AS4: true, Families: both, AddPathSend: both}}
	receiver := Session{AS4: true, Families: both, AddPathReceive: both}
	out, _, err := sender.AppendReach(nil, service(), list, paths)
	if err != nil {
		t.Fatal(err)
	}
	var u Update
	if r := receiver.DecodeUpdate(out[HeaderLen:], &u); r.Outcome != Accept || !slices.Equal(u.NLRIPaths, paths) {
		t.Errorf("%v %+v", r.Findings, u)
	}
	back := Encoder{Session: receiver}
	if out, _, err = back.AppendReach(nil, service(), list, paths); err != nil {
		t.Fatal(err)
	}
	if r := sender.Session.DecodeUpdate(out[HeaderLen:], &u); r.Outcome != Accept || !slices.Equal(u.NLRI, list) || len(u.NLRIPaths) > 0 {
		t.Errorf("%v %+v", r.Findings, u)
	}
}

// TestAddPathParallel: identifiers stay with their prefixes through all that moves or drops prefixes.
func TestAddPathParallel(t *testing.T) {
	const (
		reach   = "80 0e 20 0002 01 10 " + hop6 + " 00 00000006 30 20010db80001 "
		unreach = "80 0f 0e 0002 01 00000007 30 20010db80002 "
		old     = "00000001 18 0a0101 00000002 18 0a0102 "
		nlri    = "00000003 18 0a0103 00000004 08 e0 00000005 18 0a0105 "
	)
	withdrawn4, withdrawn6 := pfx("10.1.1.0/24", "10.1.2.0/24"), pfx("2001:db8:2::/48")
	nlri4, nlri6 := pfx("10.1.3.0/24", "10.1.5.0/24"), pfx("2001:db8:1::/48")
	for _, tt := range []struct {
		name      string
		s         Session
		attrs     string
		want      Outcome
		withdrawn []netip.Prefix
		wpaths    []uint32
		nlri      []netip.Prefix
		npaths    []uint32
	}{
		{"a multicast prefix is skipped", addPath(both...), unreach + reach + good, AttributeDiscard,
			slices.Concat(withdrawn4, withdrawn6), []uint32{1, 2, 7}, slices.Concat(nlri4, nlri6), []uint32{3, 5, 6}},
		{"treated as withdrawn", addPath(both...), unreach + reach + good + "80 04 03 000001", TreatAsWithdraw,
			slices.Concat(withdrawn4, withdrawn6, nlri4, nlri6), []uint32{1, 2, 7, 3, 5, 6}, nil, nil},
		{"IPv4 not negotiated", Session{AS4: true, Families: both[1:], AddPathReceive: both}, unreach + reach + good, AttributeDiscard,
			withdrawn6, []uint32{7}, nlri6, []uint32{6}},
		{"identifiers in IPv4 alone", addPath(IPv4Unicast), unreach6 + reach6 + good, AttributeDiscard,
			slices.Concat(withdrawn4, withdrawn6), []uint32{1, 2, 0}, slices.Concat(nlri4, nlri6), []uint32{3, 5, 0}},
	} {
		var u Update
		r := tt.s.DecodeUpdate(body(octets(t, old), octets(t, tt.attrs), octets(t, nlri)), &u)
		checkInvariants(t, &tt.s, &u, r, 4096)
		if r.Outcome != tt.want || !slices.Equal(u.Withdrawn, tt.withdrawn) || !slices.Equal(u.WithdrawnPaths, tt.wpaths) ||
			!slices.Equal(u.NLRI, tt.nlri) || !slices.Equal(u.NLRIPaths, tt.npaths) {
			t.Errorf("%s: %v\nwithdrawn %v %v\nNLRI %v %v", tt.name, r.Findings, u.Withdrawn, u.WithdrawnPaths, u.NLRI, u.NLRIPaths)
		}
		// An Update that is used again keeps nothing.
		s := Session{AS4: true, Families: both}
		if s.DecodeUpdate(body(nil, octets(t, good), octets(t, "18 0a0102")), &u); len(u.NLRIPaths)+len(u.WithdrawnPaths) > 0 {
			t.Errorf("%s: identifiers left: %+v", tt.name, u)
		}
	}
}

// TestAddPathErrors: RFC 7606 §3 i, j and §5.3 where prefixes have identifiers.
func TestAddPathErrors(t *testing.T) {
	bad := func(name, attr string, typ AttrType) malformation {
		return malformation{name: name, attrs: good + attr, addPath: true, nlri: "00000001 18 0a0102", want: SessionReset,
			why: ReasonPrefixLength, attr: typ, subcode: 9, data: attr}
	}
	classic := func(name, withdrawn, nlri string) malformation {
		return malformation{name: name, withdrawn: withdrawn, attrs: good, addPath: true, nlri: nlri, want: SessionReset,
			why: ReasonPrefixLength, subcode: 10}
	}
	runAll(t, []malformation{
		{name: "well-formed", attrs: good, addPath: true, nlri: "00000001 18 0a0102", want: Accept},
		classic("an identifier cut off", "", "000000"),
		classic("an identifier alone", "", "00000001"),
		classic("a prefix of 33 bits", "", "00000001 21 0a01020300"),
		classic("a prefix cut off", "", "00000001 18 0a01"),
		classic("a second identifier cut off", "", "00000001 18 0a0102 00"),
		classic("a prefix without an identifier", "", "18 0a0102"),
		classic("a withdrawn identifier cut off", "0000", "-"),
		classic("a withdrawn identifier alone", "00000001", "-"),
		classic("a withdrawn prefix of 33 bits", "00000001 21 0a01020300", "-"),
		classic("a withdrawn prefix cut off", "00000001 18 0a01", "-"),
		bad("reach, an identifier alone", "80 0e 19 0002 01 10 "+hop6+" 00 00000001", AttrMPReach),
		bad("reach, a prefix of 129 bits", "80 0e 2b 0002 01 10 "+hop6+" 00 00000001 81 20010db800000000000000000000000000", AttrMPReach),
		bad("reach, a prefix cut off", "80 0e 1f 0002 01 10 "+hop6+" 00 00000001 30 20010db800", AttrMPReach),
		bad("unreach, an identifier cut off", "80 0f 06 0002 01 000000", AttrMPUnreach),
		bad("unreach, a prefix of 129 bits", "80 0f 19 0002 01 00000001 81 20010db800000000000000000000000000", AttrMPUnreach),
		bad("unreach, a prefix cut off", "80 0f 0d 0002 01 00000001 30 20010db800", AttrMPUnreach),
		{name: "End-of-RIB has no identifier", attrs: "80 0f 03 0002 01", addPath: true, nlri: "-", want: Accept},
	})
}

func TestAddPathEncoderErrors(t *testing.T) {
	e := Encoder{Session: addPath(both...)}
	list := pfx("10.0.0.0/8", "11.0.0.0/8")
	if out, n, err := e.AppendReach([]byte("x"), service(), list, []uint32{1}); string(out) != "x" || n != 0 || !errors.Is(err, ErrPaths) {
		t.Errorf("reach: %q %d %v", out, n, err)
	}
	if out, n, err := e.AppendWithdraw([]byte("x"), list, []uint32{1, 2, 3}); string(out) != "x" || n != 0 || !errors.Is(err, ErrPaths) {
		t.Errorf("withdraw: %q %d %v", out, n, err)
	}
}

// TestAddPathPacking: messages are filled to the last octet, with identifiers, in both kinds of session.
func TestAddPathPacking(t *testing.T) {
	a := &Attrs{ASPath: Sequence(65001), NextHop: addr("192.0.2.1"), NextHop6: addr("2001:db8::1")}
	for _, limit := range []int{MaxLen, MaxExtendedLen} {
		for _, tt := range []struct {
			name     string
			overhead int
			size     int
			f        Family
			reach    bool
		}{
			{"reach IPv4", 23 + 4 + 9 + 7, 9, IPv4Unicast, true},
			{"withdraw IPv4", 23, 9, IPv4Unicast, false},
			{"reach IPv6", 23 + 4 + 5 + 16 + 4 + 9, 21, IPv6Unicast, true},
			{"withdraw IPv6", 23 + 4 + 3, 21, IPv6Unicast, false},
		} {
			e := Encoder{Session: addPath(both...)}
			e.Session.MaxLen = limit
			most := (limit - tt.overhead) / tt.size
			for _, n := range []int{1, most, most + 1, 2*most + 1} {
				list, paths := hosts(n, tt.f), make([]uint32, n)
				for i := range paths {
					paths[i] = uint32(i * 7)
				}
				var out []byte
				var messages int
				var err error
				if tt.reach {
					out, messages, err = e.AppendReach(nil, a, list, paths)
				} else {
					out, messages, err = e.AppendWithdraw(nil, list, paths)
				}
				if want := (n + most - 1) / most; err != nil || messages != want {
					t.Errorf("%s: %d prefixes in %d messages, want %d (%v)", tt.name, n, messages, want, err)
				}
				var got []netip.Prefix
				var ids []uint32
				for _, m := range split(t, out) {
					var u Update
					if r := e.Session.DecodeUpdate(m.Body, &u); r.Outcome != Accept || m.Len() > limit {
						t.Fatalf("%s: %d octets, %v", tt.name, m.Len(), r.Findings)
					}
					got, ids = append(append(got, u.NLRI...), u.Withdrawn...), append(append(ids, u.NLRIPaths...), u.WithdrawnPaths...)
				}
				if !slices.Equal(got, list) || !slices.Equal(ids, paths) {
					t.Errorf("%s: %d prefixes and %d identifiers of %d", tt.name, len(got), len(ids), n)
				}
			}
		}
	}
}

// TestAddPathAtTheLimit: the longest attributes beside which one prefix with its identifier still fits.
func TestAddPathAtTheLimit(t *testing.T) {
	e := Encoder{Session: addPath(both...)}
	for over := range 2 {
		a := service()
		a.Communities = nil
		a.Unknown = []RawAttr{{FlagOptional | FlagTransitive, 99, make([]byte, MaxLen-23-9-4-9-7-4+over)}}
		out, n, err := e.AppendReach(nil, a, pfx("10.1.2.3/32"), []uint32{1})
		if over == 0 && (err != nil || n != 1 || len(out) != MaxLen) || over == 1 && err != ErrAttrsTooLong {
			t.Errorf("%d: %d octets, %v", over, len(out), err)
		}
	}
}
