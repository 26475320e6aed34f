package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// hosts returns n host prefixes of a family, all different.
func hosts(n int, f Family) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		if f == IPv4Unicast {
			var a [4]byte
			binary.BigEndian.PutUint32(a[:], 172<<24|16<<16+uint32(i))
			out[i] = netip.PrefixFrom(netip.AddrFrom4(a), 32)
		} else {
			a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
			binary.BigEndian.PutUint32(a[12:], uint32(i))
			out[i] = netip.PrefixFrom(netip.AddrFrom16(a), 128)
		}
	}
	return out
}

// service is what a load balancer announces: a short path, both next hops, a community.
func service() *Attrs {
	return &Attrs{Origin: OriginIncomplete, ASPath: Sequence(65001), NextHop: addr("192.0.2.1"), NextHop6: addr("2001:db8::1"),
		Communities: []Community{65001<<16 | 100}}
}

// collect decodes messages and returns all their prefixes.
func collect(t testing.TB, s Session, out []byte, max int) (nlri, withdrawn []netip.Prefix, attrs []*Attrs) {
	t.Helper()
	for _, m := range split(t, out) {
		if m.Len() > max {
			t.Errorf("message of %d octets", m.Len())
		}
		var u Update
		if r := s.DecodeUpdate(m.Body, &u); r.Outcome != Accept {
			t.Fatalf("%v", r.Findings)
		}
		nlri, withdrawn = append(nlri, u.NLRI...), append(withdrawn, u.Withdrawn...)
		attrs = append(attrs, u.Attrs)
	}
	return nlri, withdrawn, attrs
}

func TestPackMany(t *testing.T) {
	e := Encoder{Session: Session{AS4: true, Families: both}}
	routes := hosts(100000, IPv4Unicast)
	out, n, err := e.AppendReach(nil, service(), routes, nil)
	if err != nil || n > 126 {
		t.Fatalf("100000 routes in %d messages, %v", n, err)
	}
	nlri, _, attrs := collect(t, e.Session, out, MaxLen)
	if !slices.Equal(nlri, routes) || len(attrs) != n {
		t.Errorf("%d prefixes in %d messages", len(nlri), len(attrs))
	}
	want := service()
	want.NextHop6 = netip.Addr{}
	for _, a := range attrs {
		if !a.Equal(want) {
			t.Fatalf("got %+v", a)
		}
	}

	out, n, err = e.AppendWithdraw(nil, routes, nil)
	if err != nil || n > 123 {
		t.Fatalf("100000 withdrawals in %d messages, %v", n, err)
	}
	if _, withdrawn, _ := collect(t, e.Session, out, MaxLen); !slices.Equal(withdrawn, routes) {
		t.Errorf("%d prefixes", len(withdrawn))
	}

	six := hosts(10000, IPv6Unicast)
	out, n, err = e.AppendReach(nil, service(), six, nil)
	if err != nil || n > 43 {
		t.Fatalf("10000 IPv6 routes in %d messages, %v", n, err)
	}
	if nlri, _, _ := collect(t, e.Session, out, MaxLen); !slices.Equal(nlri, six) {
		t.Errorf("%d prefixes", len(nlri))
	}
	out, n, err = e.AppendWithdraw(nil, six, nil)
	if err != nil || n > 42 {
		t.Fatalf("10000 IPv6 withdrawals in %d messages, %v", n, err)
	}
	if _, withdrawn, _ := collect(t, e.Session, out, MaxLen); !slices.Equal(withdrawn, six) {
		t.Errorf("%d prefixes", len(withdrawn))
	}

	e.Session.MaxLen = MaxExtendedLen
	out, n, err = e.AppendReach(nil, service(), routes, nil)
	if err != nil || n != 8 {
		t.Fatalf("100000 routes in %d long messages, %v", n, err)
	}
	if nlri, _, _ := collect(t, e.Session, out, MaxExtendedLen); !slices.Equal(nlri, routes) {
		t.Errorf("%d prefixes", len(nlri))
	}
}

// TestPackFull: messages are filled to the last octet that a prefix fits in.
func TestPackFull(t *testing.T) {
	e := Encoder{Session: Session{AS4: true, Families: both}}
	a := &Attrs{ASPath: Sequence(65001), NextHop: addr("192.0.2.1"), NextHop6: addr("2001:db8::1")}
	for _, tt := range []struct {
		name     string
		overhead int // octets beside the prefixes
		size     int // of a prefix
		f        Family
		reach    bool
	}{
		{"reach IPv4", 23 + 4 + 9 + 7, 5, IPv4Unicast, true},
		{"withdraw IPv4", 23, 5, IPv4Unicast, false},
		{"reach IPv6", 23 + 4 + 5 + 16 + 4 + 9, 17, IPv6Unicast, true},
		{"withdraw IPv6", 23 + 4 + 3, 17, IPv6Unicast, false},
	} {
		most := (MaxLen - tt.overhead) / tt.size
		for _, n := range []int{1, most, most + 1, 2 * most, 2*most + 1} {
			list := hosts(n, tt.f)
			var out []byte
			var messages int
			var err error
			if tt.reach {
				out, messages, err = e.AppendReach(nil, a, list, nil)
			} else {
				out, messages, err = e.AppendWithdraw(nil, list, nil)
			}
			if want := (n + most - 1) / most; err != nil || messages != want {
				t.Errorf("%s: %d prefixes in %d messages, want %d (%v)", tt.name, n, messages, want, err)
			}
			nlri, withdrawn, _ := collect(t, e.Session, out, MaxLen)
			if got := append(nlri, withdrawn...); !slices.Equal(got, list) {
				t.Errorf("%s: %d prefixes of %d", tt.name, len(got), n)
			}
		}
	}
}

func TestPackMixedFamilies(t *testing.T) {
	var list []netip.Prefix
	four, six := hosts(3000, IPv4Unicast), hosts(3000, IPv6Unicast)
	for i := range four {
		list = append(list, four[i], six[i])
	}
	rng := rand.New(rand.NewPCG(1, 2))
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	e := Encoder{Session: Session{AS4: true, Families: both}}
	reach, n, err := e.AppendReach(nil, service(), list, nil)
	if err != nil || n != len(split(t, reach)) {
		t.Fatal(n, err)
	}
	withdraw, n, err := e.AppendWithdraw(nil, list, nil)
	if err != nil || n != len(split(t, withdraw)) {
		t.Fatal(n, err)
	}
	nlri, withdrawn, _ := collect(t, e.Session, append(reach, withdraw...), MaxLen)
	if !sameSet(nlri, list) || !sameSet(withdrawn, list) {
		t.Errorf("%d and %d prefixes", len(nlri), len(withdrawn))
	}
	if out, n, err := e.AppendReach([]byte("x"), service(), nil, nil); string(out) != "x" || n != 0 || err != nil {
		t.Errorf("no prefixes: %q %d %v", out, n, err)
	}
}

// TestPrefixLengths: every length of both families comes back, host bits cleared.
func TestPrefixLengths(t *testing.T) {
	e := Encoder{Session: Session{AS4: true, Families: both}}
	a4, a6 := addr("172.255.255.255"), addr("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
	var list, want []netip.Prefix
	for bits := range 129 {
		if bits <= 32 {
			list = append(list, netip.PrefixFrom(a4, bits))
		}
		list = append(list, netip.PrefixFrom(a6, bits))
	}
	for _, p := range list {
		want = append(want, p.Masked())
	}
	out, _, err := e.AppendReach(nil, service(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err = e.AppendWithdraw(out, list, nil)
	if err != nil {
		t.Fatal(err)
	}
	nlri, withdrawn, _ := collect(t, e.Session, out, MaxLen)
	if !sameSet(nlri, want) || !sameSet(withdrawn, want) {
		t.Errorf("NLRI %v\nwithdrawn %v", nlri, withdrawn)
	}
	for _, m := range split(t, out) { // no stray bits on the wire either
		if bytes.Contains(m.Body, []byte{1, 0xac}) {
			t.Error("host bits were sent")
		}
	}
}

func TestEncoderErrors(t *testing.T) {
	four, six := pfx("10.0.0.0/8"), pfx("2001:db8::/32")
	only4, only6 := Session{AS4: true, Families: both[:1]}, Session{AS4: true, Families: both[1:]}
	all := Session{AS4: true, Families: both}
	long := service()
	long.Unknown = []RawAttr{{FlagOptional | FlagTransitive, 99, make([]byte, 4096)}}
	huge := service()
	huge.Communities = make([]Community, 40000)
	over6 := service()
	over6.NextHop = addr("2001:db8::1")
	for _, tt := range []struct {
		name   string
		s      Session
		a      *Attrs
		routes []netip.Prefix
		want   error
	}{
		{"IPv6 not negotiated", only4, service(), six, ErrFamily},
		{"IPv4 not negotiated", only6, service(), four, ErrFamily},
		{"one of two not negotiated", only4, service(), append(four, six...), ErrFamily},
		{"invalid prefix", all, service(), []netip.Prefix{{}}, ErrFamily},
		{"no next hop", all, &Attrs{}, four, ErrNextHop},
		{"no IPv6 next hop", all, &Attrs{NextHop: addr("192.0.2.1")}, six, ErrNextHop},
		{"IPv4 as IPv6 next hop", all, &Attrs{NextHop6: addr("192.0.2.1")}, six, ErrNextHop},
		{"IPv6 next hop for IPv4 not negotiated", all, over6, four, ErrNextHop},
		{"attributes fill a message", all, long, four, ErrAttrsTooLong},
		{"attributes exceed every message", all, huge, four, ErrAttrsTooLong},
		{"attributes fill a message, IPv6", all, long, six, ErrAttrsTooLong},
	} {
		e := Encoder{Session: tt.s}
		out, n, err := e.AppendReach([]byte("x"), tt.a, tt.routes, nil)
		if string(out) != "x" || n != 0 || !errors.Is(err, tt.want) {
			t.Errorf("%s: %d octets, %d messages, %v", tt.name, len(out), n, err)
		}
	}
	e := Encoder{Session: only4}
	if out, n, err := e.AppendWithdraw([]byte("x"), six, nil); string(out) != "x" || n != 0 || err != ErrFamily {
		t.Errorf("withdrawal: %q %d %v", out, n, err)
	}
	// Identifiers that are no IPv4 addresses do no harm.
	odd := service()
	odd.Aggregator, odd.ClusterList, odd.OriginatorID = Aggregator{AS: 1}, []netip.Addr{{}, addr("::1")}, addr("::1")
	e = Encoder{Session: Session{AS4: true, Internal: true, Families: both}}
	if out, _, err := e.AppendReach(nil, odd, four, nil); err != nil || len(split(t, out)) != 1 {
		t.Errorf("%v", err)
	}
}

// TestAttributesAtTheLimit: the longest attributes beside which one prefix still fits, and one octet more.
func TestAttributesAtTheLimit(t *testing.T) {
	e := Encoder{Session: Session{AS4: true, Families: both}}
	for _, tt := range []struct {
		prefix string
		room   int // octets left for attributes of any length
		size   int // of the message
	}{
		{"10.1.2.3/32", MaxLen - 23 - 5 - 4 - 9 - 7, MaxLen},
		// Room is kept for the extended length of MP_REACH_NLRI, which one prefix turns out not to need.
		{"2001:db8::1/128", MaxLen - 23 - (4 + 5 + 32 + 17) - 4 - 9, MaxLen - 1},
	} {
		for over := range 2 {
			a := &Attrs{ASPath: Sequence(65001), NextHop: addr("192.0.2.1"), NextHop6: addr("2001:db8::1"), LinkLocal: addr("fe80::1"),
				Unknown: []RawAttr{{FlagOptional | FlagTransitive, 99, make([]byte, tt.room-4+over)}}}
			out, n, err := e.AppendReach(nil, a, pfx(tt.prefix), nil)
			if over == 1 {
				if err != ErrAttrsTooLong {
					t.Errorf("%s: %d octets, %v", tt.prefix, len(out), err)
				}
				continue
			}
			if err != nil || n != 1 || len(out) != tt.size {
				t.Fatalf("%s: %d octets, %v", tt.prefix, len(out), err)
			}
			if nlri, _, _ := collect(t, e.Session, out, MaxLen); !slices.Equal(nlri, pfx(tt.prefix)) {
				t.Errorf("%s: got %v", tt.prefix, nlri)
			}
		}
	}
}

// TestLongAttributes: the extended length is used from 256 octets on, and not before (RFC 4271 §4.3).
func TestLongAttributes(t *testing.T) {
	e := Encoder{Session: Session{AS4: true, Families: both}}
	for _, tt := range []struct {
		n      int
		header string
	}{{63, "c0 08 fc"}, {64, "d0 08 0100"}, {900, "d0 08 0e10"}} {
		a := service()
		a.Communities = make([]Community, tt.n)
		for i := range a.Communities {
			a.Communities[i] = Community(0xfeed0000 + i)
		}
		out, _, err := e.AppendReach(nil, a, pfx("10.0.0.0/8", "2001:db8::/32"), nil)
		if err != nil || bytes.Count(out, octets(t, tt.header+"feed0000")) != 2 {
			t.Errorf("%d communities: %v, header not found", tt.n, err)
		}
		_, _, attrs := collect(t, e.Session, out, MaxLen)
		for _, got := range attrs {
			if !slices.Equal(got.Communities, a.Communities) {
				t.Errorf("%d communities came back as %d", tt.n, len(got.Communities))
			}
		}
	}
	// MP_REACH_NLRI around the limit: 21 octets before the prefixes, 5 each.
	for _, n := range []int{1, 46, 47, 48} {
		list := make([]netip.Prefix, n)
		for i := range list {
			list[i] = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, byte(i)}), 32)
		}
		out, messages, err := e.AppendReach(nil, service(), list, nil)
		if err != nil || messages != 1 {
			t.Fatal(messages, err)
		}
		extended := out[HeaderLen+4]&FlagExtended != 0
		if want := 21+5*n > 255; extended != want {
			t.Errorf("%d octets: extended %v", 21+5*n, extended)
		}
		if nlri, _, _ := collect(t, e.Session, out, MaxLen); !slices.Equal(nlri, list) {
			t.Errorf("%d prefixes came back as %d", n, len(nlri))
		}
	}
}
