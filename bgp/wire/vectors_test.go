package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// vectors returns the content of a file of the public test data that may lie beside the repository, in
// shared/vectors/bgp of some directory above. ok is false where it does not: the data is not part of the project,
// and what the package must do is tested without it.
func vectors(t *testing.T, name string) (data []byte, ok bool) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "shared", "vectors", "bgp", name))
		if err == nil {
			return data, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Logf("%s is not there; the cross-check with it is left out", name)
			return nil, false
		}
		dir = parent
	}
}

type vectorPrefix struct {
	Prefix string
}

type vectorAttrs struct {
	Origin          *uint8
	ASPath          []vectorSegment `json:"as_path"`
	NextHop         string          `json:"next_hop"`
	MED             *uint32
	LocalPref       *uint32 `json:"local_pref"`
	AtomicAggregate any     `json:"atomic_aggregate"`
	Aggregator      json.RawMessage
	Communities     []string
	ExtCommunities  []string `json:"ext_communities"`
	Large           []string `json:"large_communities"`
	OriginatorID    string   `json:"originator_id"`
	ClusterList     []string `json:"cluster_list"`
	OTC             *uint32
	AS4Path         []vectorSegment `json:"as4_path"`
	AS4Aggregator   json.RawMessage `json:"as4_aggregator"`
	MPReach         *struct {
		AFI     uint16
		SAFI    uint8
		NextHop []string `json:"next_hop"`
		NLRI    []vectorPrefix
	} `json:"mp_reach"`
	MPUnreach *struct {
		AFI       uint16
		SAFI      uint8
		Withdrawn []vectorPrefix
		NLRI      []vectorPrefix
	} `json:"mp_unreach"`
	Other []struct {
		Type  uint8
		Flags uint8
		Value string
	}
}

type vectorSegment struct {
	Type SegmentType
	ASNs []uint32
}

type vectorMessage struct {
	ID      string
	Core    bool
	ASN4    bool
	Addpath []any
	Hex     string
	Expect  struct {
		Type string
		Open *struct {
			Version  uint8
			AS       uint16 `json:"my_as"`
			HoldTime uint16 `json:"hold_time"`
			ID       string `json:"bgp_id"`
			Caps     []struct {
				Code  uint8
				Value string
				AFI   uint16
				SAFI  uint8
				ASN   uint32
				Name  string
			} `json:"capabilities"`
		}
		Notification *struct {
			Code, Subcode uint8
			Data          string
			Text          *string `json:"shutdown_communication"`
		}
		Refresh *struct {
			AFI     uint16
			Subtype uint8
			SAFI    uint8
			ORF     string
		} `json:"route_refresh"`
		Update *struct {
			Withdrawn []vectorPrefix
			NLRI      []vectorPrefix
			Attrs     vectorAttrs
			Other     []struct {
				Type  uint8
				Flags uint8
				Value string
			}
			EOR struct {
				AFI  uint16
				SAFI uint8
			}
		}
	}
	VerifiedBy []string `json:"verified_by"`
}

func TestVectorMessages(t *testing.T) {
	data, ok := vectors(t, "messages.jsonl")
	if !ok {
		return
	}
	checked, left := 0, 0
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m vectorMessage
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if !m.Core || len(m.VerifiedBy) < 2 || len(m.Addpath) > 0 { // path identifiers are never negotiated here
			left++
			continue
		}
		checked++
		t.Run(m.ID, func(t *testing.T) { checkVectorMessage(t, &m) })
	}
	t.Logf("%d messages checked, %d left out", checked, left)
	if checked < 200 {
		t.Errorf("only %d messages were checked", checked)
	}
}

func checkVectorMessage(t *testing.T, m *vectorMessage) {
	raw, err := hex.DecodeString(m.Hex)
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(bytes.NewReader(raw))
	r.SetMaxLen(MaxExtendedLen)
	msg, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if msg.Type.String() != m.Expect.Type {
		t.Fatalf("type %v, want %s", msg.Type, m.Expect.Type)
	}
	switch msg.Type {
	case TypeKeepalive:
		if got := AppendKeepalive(nil); !bytes.Equal(got, raw) {
			t.Errorf("encoded again: %x", got)
		}
	case TypeNotification:
		want := m.Expect.Notification
		n, err := DecodeNotification(msg.Body)
		if err != nil {
			t.Fatal(err)
		}
		if n.Code != want.Code || n.Subcode != want.Subcode || hex.EncodeToString(n.Data) != want.Data {
			t.Errorf("got %+v, want %+v", n, want)
		}
		if text, ok := n.ShutdownText(); want.Text != nil && (!ok || text != *want.Text) {
			t.Errorf("text %q, want %q", text, *want.Text)
		}
		if got := AppendNotification(nil, n); !bytes.Equal(got, raw) {
			t.Errorf("encoded again: %x", got)
		}
	case TypeRouteRefresh:
		want := m.Expect.Refresh
		rr, err := DecodeRouteRefresh(msg.Body)
		if err != nil {
			t.Fatal(err)
		}
		if rr.AFI != want.AFI || rr.SAFI != want.SAFI || rr.Subtype != want.Subtype || hex.EncodeToString(rr.ORF) != want.ORF {
			t.Errorf("got %+v, want %+v", rr, want)
		}
		if got := AppendRouteRefresh(nil, *rr); !bytes.Equal(got, raw) {
			t.Errorf("encoded again: %x", got)
		}
	case TypeOpen:
		checkVectorOpen(t, m, msg.Body)
	case TypeUpdate:
		checkVectorUpdate(t, m, msg.Body)
	}
}

func checkVectorOpen(t *testing.T, m *vectorMessage, body []byte) {
	want := m.Expect.Open
	o, err := DecodeOpen(body)
	if err != nil {
		t.Fatal(err)
	}
	if o.Version != want.Version || o.AS != want.AS || o.HoldTime != want.HoldTime || o.ID.String() != want.ID ||
		len(o.Capabilities) != len(want.Caps) {
		t.Fatalf("got %+v, want %+v", o, want)
	}
	for i, c := range o.Capabilities {
		w := want.Caps[i]
		if c.Code != w.Code || hex.EncodeToString(c.Value) != w.Value {
			t.Errorf("capability %d: got %+v, want %+v", i, c, w)
		}
		if f, ok := c.MultiProtocol(); ok && f != (Family{w.AFI, w.SAFI}) {
			t.Errorf("family %v, want %v/%v", f, w.AFI, w.SAFI)
		}
		if as, ok := c.FourOctetAS(); ok && as != w.ASN {
			t.Errorf("AS %d, want %d", as, w.ASN)
		}
	}
	again, err := AppendOpen(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	o2, err := DecodeOpen(again[HeaderLen:])
	if err != nil || fmt.Sprint(o2) != fmt.Sprint(o) {
		t.Errorf("encoded again: %v, %v", o2, err)
	}
}

// vectorRefused are messages whose octets all checkers can show, but which a receiver must not accept.
var vectorRefused = map[string]string{
	"exabgp/encoding/conf-generic-attribute#2": "RFC 4271 §6.3: an unknown attribute that claims to be well-known",
	"exabgp/encoding/conf-generic-attribute#3": "RFC 4271 §6.3: an unknown attribute that claims to be well-known",
	"exabgp/encoding/extended-nexthop#2":       "RFC 7606 §7.11: IPv6 prefixes with a next hop of 4 octets",
}

// semantic tells if all that makes the routes unusable is a next hop that is no host (these messages use loopback
// addresses) or, for BGPsec, that AS_PATH is left out by agreement.
func semantic(r Report) bool {
	for _, f := range r.Findings {
		if f.Reason != ReasonNextHopValue && (f.Reason != ReasonMissingAttr || f.Attr != AttrASPath) {
			return false
		}
	}
	return true
}

// vectorSession reads everything: an internal session with both families.
func vectorSession(as4 bool) *Session {
	return &Session{AS4: as4, Internal: true, Families: []Family{IPv4Unicast, IPv6Unicast}, ExtendedNextHop: true,
		MaxLen: MaxExtendedLen}
}

func prefixes(t *testing.T, lists ...[]vectorPrefix) []netip.Prefix {
	var out []netip.Prefix
	for _, l := range lists {
		for _, p := range l {
			out = append(out, netip.MustParsePrefix(p.Prefix))
		}
	}
	return out
}

func checkVectorUpdate(t *testing.T, m *vectorMessage, body []byte) {
	s, want := vectorSession(m.ASN4), m.Expect.Update
	var u Update
	report := s.DecodeUpdate(body, &u)
	wa := &want.Attrs
	withdrawn, nlri := prefixes(t, want.Withdrawn), prefixes(t, want.NLRI)
	if wa.MPReach != nil {
		nlri = append(nlri, prefixes(t, wa.MPReach.NLRI)...)
	}
	if wa.MPUnreach != nil {
		withdrawn = append(withdrawn, prefixes(t, wa.MPUnreach.NLRI, wa.MPUnreach.Withdrawn)...)
	}
	if why, ok := vectorRefused[m.ID]; ok {
		if report.Outcome != SessionReset {
			t.Errorf("%v, want a session reset: %s", report.Findings, why)
		}
		return
	}
	if report.Outcome == TreatAsWithdraw && semantic(report) {
		// The message is well formed and was read to its end; only its use is refused. Look at what was read.
		if !sameSet(u.Withdrawn, slices.Concat(withdrawn, nlri)) {
			t.Errorf("withdrawn %v, want %v and %v", u.Withdrawn, withdrawn, nlri)
		}
		u.Attrs = u.spare
		checkVectorAttrs(t, m, &u)
		return
	}
	if report.Outcome > AttributeDiscard {
		t.Fatalf("report %v", report.Findings)
	}
	if len(report.Findings) > 0 {
		t.Logf("findings: %v", report.Findings)
	}
	if u.EndOfRIB != Family(want.EOR) {
		t.Errorf("End-of-RIB of %v, want %v", u.EndOfRIB, want.EOR)
	}
	if !slices.Equal(u.Withdrawn, withdrawn) {
		t.Errorf("withdrawn %v, want %v", u.Withdrawn, withdrawn)
	}
	if !slices.Equal(u.NLRI, nlri) {
		t.Errorf("NLRI %v, want %v", u.NLRI, nlri)
	}
	if u.Attrs != nil {
		checkVectorAttrs(t, m, &u)
	}

	// Encoded again and decoded, it means the same.
	e := &Encoder{Session: *s}
	var again Update
	if out, _, err := e.AppendWithdraw(nil, u.Withdrawn, nil); err != nil {
		t.Error(err)
	} else if _, got, _ := collect(t, *s, out, MaxExtendedLen); !sameSet(got, u.Withdrawn) {
		t.Errorf("encoded again: withdrawn %v, want %v", got, u.Withdrawn)
	}
	if len(u.NLRI) > 0 {
		out, n, err := e.AppendReach(nil, u.Attrs, u.NLRI, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n != len(split(t, out)) {
			t.Errorf("%d messages announced, %d made", n, len(split(t, out)))
		}
		var got []netip.Prefix
		for _, msg := range split(t, out) {
			if r := s.DecodeUpdate(msg.Body, &again); r.Outcome != Accept {
				t.Fatalf("encoded again: %v", r.Findings)
			}
			got = append(got, again.NLRI...)
			a := *again.Attrs
			for _, p := range again.NLRI {
				if a.NextHopFor(p) != u.Attrs.NextHopFor(p) {
					t.Errorf("next hop of %v: %v, want %v", p, a.NextHopFor(p), u.Attrs.NextHopFor(p))
				}
			}
			a.NextHop, a.NextHop6, a.LinkLocal = u.Attrs.NextHop, u.Attrs.NextHop6, u.Attrs.LinkLocal
			if !a.Equal(u.Attrs) {
				t.Errorf("encoded again: %+v, want %+v", a, u.Attrs)
			}
		}
		if !sameSet(got, u.NLRI) {
			t.Errorf("encoded again: NLRI %v, want %v", got, u.NLRI)
		}
	}
}

func checkVectorAttrs(t *testing.T, m *vectorMessage, u *Update) {
	a, wa := u.Attrs, &m.Expect.Update.Attrs
	if wa.Origin != nil && uint8(a.Origin) != *wa.Origin {
		t.Errorf("origin %v, want %d", a.Origin, *wa.Origin)
	}
	if m.ASN4 {
		var path ASPath
		for _, s := range wa.ASPath {
			path = append(path, Segment(s))
		}
		if !a.ASPath.Equal(path) {
			t.Errorf("path %v, want %v", a.ASPath, path)
		}
	} else if n := len(wa.AS4Path); n > 0 {
		// Each of these paths is one sequence, so that the merged path ends in AS4_PATH and is as long as AS_PATH.
		if got, tail := a.ASPath[len(a.ASPath)-1].ASNs, wa.AS4Path[n-1].ASNs; !slices.Equal(got[len(got)-len(tail):], tail) ||
			a.ASPath.Len() != ASPath([]Segment{Segment(wa.ASPath[0])}).Len() {
			t.Errorf("path %v from %v and %v", a.ASPath, wa.ASPath, wa.AS4Path)
		}
	}
	hops := []string{}
	if wa.MPReach != nil {
		hops = wa.MPReach.NextHop
	}
	switch {
	case wa.MPReach != nil && wa.MPReach.AFI == AFIIPv4 && len(wa.MPReach.NLRI) > 0:
		if a.NextHop.String() != hops[0] {
			t.Errorf("next hop %v, want %v", a.NextHop, hops)
		}
	case wa.NextHop != "" && a.NextHop.String() != wa.NextHop:
		t.Errorf("next hop %v, want %v", a.NextHop, wa.NextHop)
	}
	if wa.MPReach != nil && wa.MPReach.AFI == AFIIPv6 && len(wa.MPReach.NLRI) > 0 {
		if a.NextHop6.String() != hops[0] {
			t.Errorf("next hop %v, want %v", a.NextHop6, hops)
		}
		if len(hops) > 1 && a.LinkLocal.String() != hops[1] {
			t.Logf("link-local %v, message has %v", a.LinkLocal, hops)
		}
	}
	number := func(name string, got Optional, want *uint32) {
		if got.Set != (want != nil) || want != nil && got.Value != *want {
			t.Errorf("%s %v, want %v", name, got, want)
		}
	}
	number("MED", a.MED, wa.MED)
	number("LOCAL_PREF", a.LocalPref, wa.LocalPref)
	if a.AtomicAggregate != (wa.AtomicAggregate != nil && wa.AtomicAggregate != false) {
		t.Errorf("atomic aggregate %v", a.AtomicAggregate)
	}
	if wa.OTC != nil && a.OnlyToCustomer != *wa.OTC {
		t.Errorf("only to customer %d, want %d", a.OnlyToCustomer, *wa.OTC)
	}
	texts := func(name string, got, want []string) {
		if !slices.Equal(got, want) {
			t.Errorf("%s %v, want %v", name, got, want)
		}
	}
	texts("communities", stringsOf(a.Communities), wa.Communities)
	texts("large communities", stringsOf(a.LargeCommunities), wa.Large)
	texts("cluster list", stringsOf(a.ClusterList), wa.ClusterList)
	var ext []string
	for _, c := range a.ExtCommunities {
		ext = append(ext, hex.EncodeToString(c[:]))
	}
	texts("extended communities", ext, wa.ExtCommunities)
	if wa.OriginatorID != "" && a.OriginatorID.String() != wa.OriginatorID {
		t.Errorf("originator %v, want %v", a.OriginatorID, wa.OriginatorID)
	}
	if len(wa.Aggregator) > 0 && len(wa.AS4Aggregator) == 0 {
		var g struct {
			ASN     uint32
			AS      uint32
			Address string
			Addr    string
			IP      string
		}
		if err := json.Unmarshal(wa.Aggregator, &g); err != nil {
			t.Fatal(err)
		}
		if a.Aggregator.AS != g.ASN+g.AS || a.Aggregator.ID.String() != g.Address+g.Addr+g.IP {
			t.Errorf("aggregator %v, want %s", a.Aggregator, wa.Aggregator)
		}
	}
	others := append(m.Expect.Update.Other, wa.Other...)
	for i, o := range others {
		if AttrType(o.Type) == AttrAggregator { // of the wrong length for the session (RFC 7606 §7.7)
			others = slices.Delete(others, i, i+1)
			break
		}
	}
	if len(others) != len(a.Unknown) {
		t.Fatalf("unknown %v, want %v", a.Unknown, others)
	}
	for i, o := range others {
		r := a.Unknown[i]
		if uint8(r.Type) != o.Type || r.Flags != o.Flags&^FlagExtended || hex.EncodeToString(r.Value) != o.Value {
			t.Errorf("unknown %+v, want %+v", r, o)
		}
	}
}

func stringsOf[T fmt.Stringer](in []T) []string {
	var out []string
	for _, v := range in {
		out = append(out, v.String())
	}
	return out
}

// vectorExceptions are the cases of other engines' tests where we follow the RFC instead.
var vectorExceptions = map[string]string{
	"7606-as4path-seg-type-0-ebgp": "RFC 6793 §4.1: AS4_PATH from a speaker of four-octet numbers is discarded",
	"7606-as4path-seg-type-0-ibgp": "RFC 6793 §4.1: AS4_PATH from a speaker of four-octet numbers is discarded",
}

func TestVectorErrors(t *testing.T) {
	data, ok := vectors(t, "rfc7606.json")
	if !ok {
		return
	}
	var file struct {
		Cases []struct {
			ID, Phase, Peer, Note string
			Send                  []string
			Expect                []struct {
				Action        string
				Code, Subcode uint8
				Data          *string
			}
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 100 {
		t.Fatalf("%d cases", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.ID, func(t *testing.T) {
			s := &Session{AS4: true, Internal: c.Peer == "ibgp", Families: []Family{IPv4Unicast, IPv6Unicast}}
			var u Update
			var r Report
			for _, h := range c.Send {
				raw, _ := hex.DecodeString(h)
				msg, err := NewReader(bytes.NewReader(raw)).Next()
				if err != nil {
					t.Fatal(err)
				}
				r = s.DecodeUpdate(msg.Body, &u)
			}
			for _, e := range c.Expect {
				switch e.Action {
				case "accept", "attribute-discard", "ignore":
					if r.Outcome <= AttributeDiscard && len(u.NLRI) > 0 {
						return
					}
				case "treat-as-withdraw":
					if r.Outcome == TreatAsWithdraw && len(u.NLRI) == 0 && len(u.Withdrawn) > 0 {
						return
					}
				case "notification":
					if n := r.Notification; n != nil && n.Code == e.Code && n.Subcode == e.Subcode &&
						(e.Data == nil || *e.Data == hex.EncodeToString(n.Data)) {
						return
					}
				}
			}
			if why, ok := vectorExceptions[c.ID]; ok {
				t.Logf("%v: %s", r.Findings, why)
				return
			}
			t.Errorf("%s: %v %v %v, want %+v", c.Note, r.Outcome, r.Findings, r.Notification, c.Expect)
		})
	}
}

func TestVectorUnits(t *testing.T) {
	data, ok := vectors(t, "frr-units.json")
	if !ok {
		return
	}
	type unit struct {
		Cases []struct {
			Name, Desc, Table, Hex, Expect, Peer string
			NLRI                                 bool    `json:"has_nlri"`
			Attrs                                string  `json:"attrs_hex"`
			PeekAS4                              uint32  `json:"peek_asn4"`
			Text                                 *string `json:"text"`
			Hops                                 int
			Loops                                uint32 `json:"loops_with"`
			NoLoop                               uint32 `json:"does_not_loop_with"`
			ASNBytes                             int    `json:"asn_bytes"`
		}
	}
	var file map[string]unit
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range file["mp_attr"].Cases {
		typ := AttrMPReach
		switch {
		case c.Table == "mp_unreach_segments":
			typ = AttrMPUnreach
		case c.Table == "mp_prefix_sid":
			continue // an attribute we pass on as unknown
		}
		t.Run("mp/"+c.Name, func(t *testing.T) {
			v := unhex(c.Hex)
			if f := (Family{uint16(v[0])<<8 | uint16(v[1]), v[2]}); f != IPv4Unicast && f != IPv6Unicast {
				t.Logf("%v is not read", f)
				return
			}
			d := updateDecoder{s: vectorSession(true), u: new(Update), a: new(Attrs)}
			var ok bool
			if typ == AttrMPReach {
				ok = d.mpReach(v, nil)
			} else {
				ok = d.mpUnreach(v, nil)
			}
			wellFormed := !slices.ContainsFunc(d.report.Findings, func(f Finding) bool {
				return f.Reason != ReasonNextHopValue && f.Reason != ReasonPrefixValue // they use addresses in ff00::/8, multicast
			})
			if good := ok && wellFormed; good != (c.Expect == "parse") {
				t.Errorf("%s: %v, want %s", c.Desc, d.report.Findings, c.Expect)
			}
		})
	}
	for _, c := range file["capability"].Cases {
		t.Run("capability/"+c.Name, func(t *testing.T) {
			v := unhex(c.Hex)
			body := slices.Concat([]byte{4, 0xfd, 0xe9, 0, 90, 192, 0, 2, 1, byte(len(v) + 2), 2, byte(len(v))}, v)
			o, err := DecodeOpen(body)
			if (err == nil) != (c.Expect == "parse") {
				t.Errorf("%s: %v, want %s", c.Desc, err, c.Expect)
			}
			if n := new(Notification); err != nil && (!errors.As(err, &n) || n.Code != CodeOpen || n.Subcode != 0) {
				t.Errorf("%s: %v", c.Desc, err)
			}
			if err != nil {
				return
			}
			if as, _ := o.FourOctetAS(); as != c.PeekAS4 {
				t.Errorf("AS %d, want %d", as, c.PeekAS4)
			}
		})
	}
	for _, c := range file["aspath"].Cases {
		if strings.Contains(c.Name, "asdot") {
			continue // the same octets in another notation
		}
		t.Run("aspath/"+c.Name, func(t *testing.T) {
			v := unhex(c.Hex)
			_, _, why := checkASPath(v, c.ASNBytes)
			if strings.Contains(c.Name, "AS_ZERO") { // a matter of the attribute there, of the path here
				if why != ReasonASZero {
					t.Errorf("%v", why)
				}
				return
			}
			if (why == ReasonNone) != (c.Text != nil) {
				t.Fatalf("%s: %v", c.Desc, why)
			}
			if why != ReasonNone {
				return
			}
			p, _ := decodeASPath(nil, nil, v, c.ASNBytes)
			if got := canonical(p).String(); got != *c.Text {
				t.Errorf("text %q, want %q", got, *c.Text)
			}
			if p.Len() != c.Hops {
				t.Errorf("hops %d, want %d", p.Len(), c.Hops)
			}
			if len(p) > 0 && (!p.Contains(c.Loops) || p.Contains(c.NoLoop)) {
				t.Errorf("loops: %v", p)
			}
		})
	}
	for _, c := range file["attr_parse"].Cases {
		if c.Peer == "ebgp-oad" {
			continue // a kind of session of a draft
		}
		t.Run("attr/"+c.Name, func(t *testing.T) {
			v := unhex(c.Attrs)
			body := append([]byte{0, 0, byte(len(v) >> 8), byte(len(v))}, v...)
			if c.NLRI {
				body = append(body, 24, 10, 1, 2)
			}
			s := &Session{AS4: true, Internal: c.Peer == "ibgp", Families: []Family{IPv4Unicast, IPv6Unicast}}
			r := s.DecodeUpdate(body, new(Update))
			want := map[string]Outcome{"accept": AttributeDiscard, "treat-as-withdraw": TreatAsWithdraw,
				"notification": SessionReset}[c.Expect]
			if max(r.Outcome, AttributeDiscard) != want {
				t.Errorf("%s: %v, want %v", c.Desc, r.Findings, want)
			}
		})
	}
}

// canonical sorts sets and joins adjoining sequences, as some routers do before they print.
func canonical(p ASPath) ASPath {
	var out ASPath
	for _, s := range p.Clone() {
		if s.Type == ASSet || s.Type == ASConfedSet {
			slices.Sort(s.ASNs)
			s.ASNs = slices.Compact(s.ASNs)
		}
		if n := len(out); n > 0 && s.Type == ASSequence && out[n-1].Type == ASSequence {
			out[n-1].ASNs = append(out[n-1].ASNs, s.ASNs...)
			continue
		}
		out = append(out, s)
	}
	return out
}

func TestVectorRobustness(t *testing.T) {
	data, ok := vectors(t, "robustness.jsonl")
	if !ok {
		return
	}
	n := 0
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c struct{ ID, Hex, Unit string }
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(c.Hex)
		if err != nil {
			t.Fatal(err)
		}
		n++
		t.Run(c.ID, func(t *testing.T) {
			if c.Unit == "UPDATE body" {
				decodeAnything(t, Message{TypeUpdate, raw})
				return
			}
			r := NewReader(bytes.NewReader(raw))
			for {
				m, err := r.Next()
				var n *Notification
				if err != nil {
					if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.As(err, &n) {
						t.Errorf("%v", err)
					}
					return
				}
				decodeAnything(t, m)
			}
		})
	}
	if n < 50 {
		t.Errorf("%d cases", n)
	}
}
