package wire

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"testing"
)

// The seeds are in testdata/fuzz, written by hand; those added here are the messages of the other tests.

func FuzzStream(f *testing.F) {
	f.Add(octets(f, openBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
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
			if read > len(b) || m.Len() > MaxLen {
				t.Fatalf("message of %d octets, %d of %d read", m.Len(), read, len(b))
			}
			decodeAnything(t, m)
		}
		if cap(r.buf) > MaxLen {
			t.Fatalf("buffer of %d", cap(r.buf))
		}
	})
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
		_ = Negotiate(o, o)
	})
}

func fuzzUpdate(f *testing.F, as4 bool) {
	f.Add(body(octets(f, "08 0b"), octets(f, sampleBytes), octets(f, "20 ac136401")))
	f.Add(body(nil, octets(f, sampleBytes2), octets(f, "20 ac136401")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > MaxExtendedLen-HeaderLen {
			return
		}
		for _, s := range []Session{
			{AS4: as4, Families: both},
			{AS4: as4, Internal: true, Families: both, ExtendedNextHop: true},
		} {
			var u Update
			r := s.DecodeUpdate(b, &u)
			checkInvariants(t, &s, &u, r, len(b))
			if r.Outcome > AttributeDiscard {
				continue
			}
			roundTrip(t, s, &u)
		}
	})
}

func FuzzUpdate(f *testing.F)    { fuzzUpdate(f, true) }
func FuzzUpdateAS2(f *testing.F) { fuzzUpdate(f, false) }

// roundTrip encodes what was decoded and decodes it again.
func roundTrip(t *testing.T, s Session, u *Update) {
	t.Helper()
	e := Encoder{Session: s}
	out, n, err := e.AppendWithdraw(nil, u.Withdrawn, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(u.NLRI) > 0 {
		more, m, err := e.AppendReach(out, u.Attrs, u.NLRI, nil)
		if errors.Is(err, ErrAttrsTooLong) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		out, n = more, n+m
	}
	var nlri, withdrawn []netip.Prefix
	messages := split(t, out)
	if len(messages) != n {
		t.Fatalf("%d messages, said to be %d", len(messages), n)
	}
	for _, m := range messages {
		var again Update
		if r := s.DecodeUpdate(m.Body, &again); r.Outcome != Accept || m.Len() > MaxLen {
			t.Fatalf("encoded again: %d octets, %v", m.Len(), r.Findings)
		}
		nlri, withdrawn = append(nlri, again.NLRI...), append(withdrawn, again.Withdrawn...)
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
	if !sameSet(nlri, u.NLRI) || !sameSet(withdrawn, u.Withdrawn) {
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
