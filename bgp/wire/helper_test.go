package wire

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var both = []Family{IPv4Unicast, IPv6Unicast}

// octets reads hexadecimal with spaces, line breaks and "// comments".
func octets(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return b
}

// split frames a byte string that has to consist of whole messages.
func split(t testing.TB, b []byte) []Message {
	t.Helper()
	r := NewReader(bytes.NewReader(b))
	r.SetMaxLen(MaxExtendedLen)
	var out []Message
	for {
		m, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		m.Body = bytes.Clone(m.Body)
		out = append(out, m)
	}
}

func pfx(text ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range text {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func sameSet(a, b []netip.Prefix) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.Prefix.Compare)
	slices.SortFunc(b, netip.Prefix.Compare)
	return slices.Equal(a, b)
}

// decodeAnything decodes a message in every kind of session and checks what must hold of any input.
func decodeAnything(t testing.TB, m Message) {
	t.Helper()
	switch m.Type {
	case TypeOpen:
		_, _ = DecodeOpen(m.Body)
	case TypeNotification:
		if n, err := DecodeNotification(m.Body); err == nil {
			_ = n.String()
		}
	case TypeRouteRefresh:
		_, _ = DecodeRouteRefresh(m.Body)
	case TypeUpdate:
		for _, s := range []Session{
			{AS4: true, Families: both},
			{AS4: false, Families: both},
			{AS4: true, Internal: true, Families: both, ExtendedNextHop: true, MaxLen: MaxExtendedLen},
			{AS4: false, Internal: true, Families: both[1:], MaxLen: MaxExtendedLen},
			{AS4: true, Families: both, AddPathReceive: both},
			{AS4: true, Families: both, AddPathReceive: both[1:]},
		} {
			var u Update
			checkInvariants(t, &s, &u, s.DecodeUpdate(m.Body, &u), len(m.Body))
		}
	}
}

// checkInvariants checks what an Update promises for each outcome.
func checkInvariants(t testing.TB, s *Session, u *Update, r Report, size int) {
	t.Helper()
	reach, withdrawn := len(u.NLRI), len(u.Withdrawn)
	if len(s.AddPathReceive) == 0 {
		reach, withdrawn = 0, 0
	}
	if len(u.NLRIPaths) != reach || len(u.WithdrawnPaths) != withdrawn {
		t.Errorf("%d and %d path identifiers of %d and %d prefixes", len(u.NLRIPaths), len(u.WithdrawnPaths), len(u.NLRI), len(u.Withdrawn))
	}
	if (r.Notification != nil) != (r.Outcome == SessionReset) {
		t.Errorf("%v with notification %v", r.Outcome, r.Notification)
	}
	if (len(r.Findings) == 0) != (r.Outcome == Accept) || len(r.Findings) > maxFindings {
		t.Errorf("%v with findings %v", r.Outcome, r.Findings)
	}
	if r.Outcome != Accept && r.Reason() == ReasonNone {
		t.Errorf("%v without a reason", r.Outcome)
	}
	switch r.Outcome {
	case SessionReset:
		if len(u.NLRI)+len(u.Withdrawn) > 0 || u.Attrs != nil || u.EndOfRIB != (Family{}) {
			t.Errorf("after a reset: %+v", u)
		}
		if n := r.Notification; n.Code != CodeUpdate || n.Subcode == 0 || len(n.Data) > size {
			t.Errorf("notification %+v", n)
		}
	case TreatAsWithdraw:
		if len(u.NLRI) > 0 || u.Attrs != nil {
			t.Errorf("treated as withdrawn: %+v", u)
		}
	default:
		if len(u.NLRI) > 0 && u.Attrs == nil {
			t.Errorf("prefixes without attributes: %+v", u)
		}
	}
	if u.EndOfRIB != (Family{}) && (len(u.NLRI)+len(u.Withdrawn) > 0 || u.Attrs != nil) {
		t.Errorf("End-of-RIB with content: %+v", u)
	}
	for _, p := range slices.Concat(u.NLRI, u.Withdrawn) {
		if !p.IsValid() || p != p.Masked() {
			t.Errorf("prefix %v", p)
		}
	}
	for _, p := range u.NLRI {
		if hop := u.Attrs.NextHopFor(p); !hop.IsValid() || !validNextHop(hop) {
			t.Errorf("%v has next hop %v", p, hop)
		}
	}
}
