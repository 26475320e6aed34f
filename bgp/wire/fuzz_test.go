package wire

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

// The seeds are in testdata/fuzz, written by hand; those added here are the messages of the other tests.

func FuzzStream(f *testing.F) {
	f.Add(octets(f, openBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, limit := range []int{MaxLen, MaxExtendedLen} {
			fuzzStream(t, b, limit)
		}
	})
}

func fuzzStream(t *testing.T, b []byte, limit int) {
	r := NewReader(bytes.NewReader(b))
	r.SetMaxLen(limit)
	read := 0
	for {
		m, err := r.Next()
		if err != nil {
			var n *Notification
			switch {
			case err == io.EOF && read != len(b), err == io.ErrUnexpectedEOF && read >= len(b):
				t.Fatalf("%v after %d of %d octets", err, read, len(b))
			case err != io.EOF && err != io.ErrUnexpectedEOF && !(errors.As(err, &n) && n.Code == CodeHeader):
				t.Fatalf("%v", err)
			}
			break
		}
		read += m.Len()
		if read > len(b) || m.Len() > limit || m.Type == TypeOpen && m.Len() > MaxLen {
			t.Fatalf("message of %d octets, %d of %d read", m.Len(), read, len(b))
		}
		decodeAnything(t, m)
	}
	if cap(r.buf) > limit {
		t.Fatalf("buffer of %d", cap(r.buf))
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(octets(f, openBytes)[HeaderLen:])
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := DecodeOpen(b)
		if err != nil {
			if n := new(Notification); !errors.As(err, &n) || o != nil {
				t.Fatalf("%v %+v", err, o)
			}
			return
		}
		if o.HoldTime == 1 || o.HoldTime == 2 || o.PeerAS() == 0 || o.ID.IsUnspecified() {
			t.Fatalf("accepted %+v", o)
		}
		if len(b) > MaxLen-HeaderLen-4 {
			return // one parameter may need more octets than the message had
		}
		out, err := AppendOpen(nil, o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeOpen(split(t, out)[0].Body)
		if err != nil || !reflect.DeepEqual(again, o) {
			t.Fatalf("round trip of %+v: %+v, %v", o, again, err)
		}
		checkCapabilities(t, o)
		s := Negotiate(o, o)
		for _, f := range slices.Concat(s.AddPathReceive, s.AddPathSend) {
			if !s.Has(f) {
				t.Fatalf("path identifiers in %v, which is not among %v", f, s.Families)
			}
		}
	})
}

// checkCapabilities makes again the capabilities that were read.
func checkCapabilities(t *testing.T, o *Open) {
	t.Helper()
	again := &Open{}
	add := func(c Capability) { again.Capabilities = append(again.Capabilities, c) }
	g, graceful := o.GracefulRestart()
	if graceful {
		add(GracefulRestartCapability(g))
		add(LongLived(o.LongLived()...))
	}
	add(AddPath(o.AddPath()...))
	role, hasRole := o.Role()
	if hasRole {
		add(RoleCapability(role))
	}
	if g2, ok := again.GracefulRestart(); ok != graceful || !reflect.DeepEqual(g2, g) {
		t.Fatalf("graceful restart %+v, want %+v", g2, g)
	}
	if got, want := again.LongLived(), o.LongLived(); !slices.Equal(got, want) {
		t.Fatalf("long-lived %+v, want %+v", got, want)
	}
	if got, want := again.AddPath(), o.AddPath(); !slices.Equal(got, want) {
		t.Fatalf("additional paths %+v, want %+v", got, want)
	}
	if r, ok := again.Role(); ok != hasRole || r != role {
		t.Fatalf("role %v, want %v", r, role)
	}
	if host, domain, ok := o.FQDN(); ok && len(host) < maxNameLen && len(domain) < maxNameLen {
		again.Capabilities = []Capability{FQDN(host, domain)}
		if h, d, ok := again.FQDN(); !ok || h != host || d != domain {
			t.Fatalf("host name %q %q, want %q %q", h, d, host, domain)
		}
	}
}

// fuzzUpdate decodes octets in sessions, each of a classic and an extended length, and encodes what was decoded.
func fuzzUpdate(f *testing.F, sessions ...Session) {
	f.Add(body(octets(f, "08 0b"), octets(f, sampleBytes), octets(f, "20 ac136401")))
	f.Add(body(nil, octets(f, sampleBytes2), octets(f, "20 ac136401")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > MaxExtendedLen-HeaderLen {
			return
		}
		for _, s := range sessions {
			for _, s.MaxLen = range []int{MaxLen, MaxExtendedLen} {
				var u Update
				r := s.DecodeUpdate(b, &u)
				checkInvariants(t, &s, &u, r, len(b))
				if r.Outcome <= AttributeDiscard {
					roundTrip(t, s, &u)
				}
			}
		}
	})
}

func FuzzUpdate(f *testing.F) {
	fuzzUpdate(f, Session{AS4: true, Families: both}, Session{AS4: true, Internal: true, Families: both, ExtendedNextHop: true})
}

func FuzzUpdateAS2(f *testing.F) {
	fuzzUpdate(f, Session{Families: both}, Session{Internal: true, Families: both, ExtendedNextHop: true})
}

func FuzzUpdateAddPath(f *testing.F) {
	fuzzUpdate(f, addPath(both...), addPath(IPv4Unicast), addPath(IPv6Unicast))
}

// route is a prefix with its path identifier.
type route struct {
	prefix netip.Prefix
	path   uint32
}

// appendRoutes appends prefixes and identifiers as they are in an Update.
func appendRoutes(out []route, prefixes []netip.Prefix, paths []uint32) []route {
	for i, p := range prefixes {
		r := route{prefix: p}
		if len(paths) > 0 {
			r.path = paths[i]
		}
		out = append(out, r)
	}
	return out
}

func sameRoutes(a, b []route) bool {
	order := func(x, y route) int { return cmp.Or(x.prefix.Compare(y.prefix), cmp.Compare(x.path, y.path)) }
	slices.SortFunc(a, order)
	slices.SortFunc(b, order)
	return slices.Equal(a, b)
}

// roundTrip encodes what was decoded and decodes it again.
func roundTrip(t *testing.T, s Session, u *Update) {
	t.Helper()
	e := Encoder{Session: s}
	out, n, err := e.AppendWithdraw(nil, u.Withdrawn, u.WithdrawnPaths)
	if err != nil {
		t.Fatal(err)
	}
	if len(u.NLRI) > 0 {
		more, m, err := e.AppendReach(out, u.Attrs, u.NLRI, u.NLRIPaths)
		if errors.Is(err, ErrAttrsTooLong) {
			return // the body was longer than the session allows, or nearly
		}
		if err != nil {
			t.Fatal(err)
		}
		out, n = more, n+m
	}
	var nlri, withdrawn []route
	messages := split(t, out)
	if len(messages) != n {
		t.Fatalf("%d messages, said to be %d", len(messages), n)
	}
	for _, m := range messages {
		var again Update
		if r := s.DecodeUpdate(m.Body, &again); r.Outcome != Accept || m.Len() > s.maxLen() {
			t.Fatalf("encoded again: %d octets, %v", m.Len(), r.Findings)
		}
		nlri = appendRoutes(nlri, again.NLRI, again.NLRIPaths)
		withdrawn = appendRoutes(withdrawn, again.Withdrawn, again.WithdrawnPaths)
		if again.Attrs == nil {
			continue
		}
		// Each message has the next hop of its own family only.
		a, want := *again.Attrs, u.Attrs.Clone()
		for _, p := range again.NLRI {
			if a.NextHopFor(p) != want.NextHopFor(p) {
				t.Fatalf("next hop of %v: %v, want %v", p, a.NextHopFor(p), want.NextHopFor(p))
			}
		}
		a.NextHop, a.NextHop6, a.LinkLocal = want.NextHop, want.NextHop6, want.LinkLocal
		if !s.AS4 {
			checkPathAS2(t, a.ASPath, want.ASPath)
			a.ASPath = want.ASPath
		}
		if !a.Equal(want) {
			t.Fatalf("encoded again: %+v, want %+v", a, want)
		}
	}
	if !sameRoutes(nlri, appendRoutes(nil, u.NLRI, u.NLRIPaths)) ||
		!sameRoutes(withdrawn, appendRoutes(nil, u.Withdrawn, u.WithdrawnPaths)) {
		t.Fatalf("encoded again: %v %v, want %v %v", nlri, withdrawn, u.NLRI, u.Withdrawn)
	}
}

// checkPathAS2 compares paths that went through two-octet fields, where RFC 6793 §4.2.3 loses the place of
// confederation segments and may cut a segment in two.
func checkPathAS2(t *testing.T, got, want ASPath) {
	t.Helper()
	plain := func(p ASPath) (out ASPath) {
		for _, s := range canonical(p) {
			if !s.Type.confed() {
				out = append(out, s)
			}
		}
		return canonical(out)
	}
	if !plain(got).Equal(plain(want)) {
		t.Fatalf("path %v, want %v", got, want)
	}
}

func FuzzNotification(f *testing.F) {
	f.Add([]byte("\x06\x02\x04down"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := DecodeNotification(b)
		if err != nil {
			if len(b) >= 2 {
				t.Fatal(err)
			}
			return
		}
		for _, r := range n.String() {
			if r < ' ' || r == 0x7f {
				t.Fatalf("control character in %q", n)
			}
		}
		if len(b) > MaxLen-HeaderLen {
			return
		}
		if inner, ok := n.HardReset(); ok && len(b) >= 4 {
			if again := HardReset(inner); !bytes.Equal(again.Data, n.Data) {
				t.Fatalf("hard reset of %x: %x", n.Data, again.Data)
			}
		}
		if f, limit, ok := n.MaxPrefixes(); ok && !bytes.Equal(MaxPrefixes(f, limit).Data, n.Data) {
			t.Fatalf("limit %v %d of %x", f, limit, n.Data)
		}
		if out := AppendNotification(nil, n); !bytes.Equal(out[HeaderLen:], b) {
			t.Fatalf("round trip of %x: %x", b, out)
		}
	})
}

func FuzzRouteRefresh(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRouteRefresh(b)
		if err != nil {
			if n := new(Notification); !errors.As(err, &n) || r != nil {
				t.Fatalf("%v %+v", err, r)
			}
			return
		}
		if out := AppendRouteRefresh(nil, *r); !bytes.Equal(out[HeaderLen:], b) {
			t.Fatalf("round trip of %x: %x", b, out)
		}
	})
}

func FuzzCommunity(f *testing.F) {
	for _, text := range []string{"65001:100", "NO_EXPORT", "1:2:3", "rt:192.0.2.1:1", "soo:65001L:1", "lb:65001:1.5", "0x40040001cf000000"} {
		f.Add(text, []byte("\x00\x02\xfd\xe9\x00\x00\x00\x01"))
	}
	f.Fuzz(func(t *testing.T, text string, b []byte) {
		if c, err := ParseCommunity(text); err == nil {
			if again, err := ParseCommunity(c.String()); err != nil || again != c {
				t.Fatalf("%q: %v, again %v, %v", text, c, again, err)
			}
		}
		if c, err := ParseLargeCommunity(text); err == nil {
			if again, err := ParseLargeCommunity(c.String()); err != nil || again != c {
				t.Fatalf("%q: %v, again %v, %v", text, c, again, err)
			}
		}
		check := func(c ExtCommunity) {
			if again, err := ParseExtCommunity(c.String()); err != nil || again != c {
				t.Fatalf("%q: %v, again %v, %v", text, c, again, err)
			}
		}
		if c, err := ParseExtCommunity(text); err == nil {
			check(c)
		}
		if len(b) >= 8 {
			check(ExtCommunity(b))
		}
	})
}
