package wire

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

type vectorPrefix struct {
	Prefix string
	Path   uint32 `json:"path_id"`
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
	return &Session{AS4: as4, Internal: true, Families: both, ExtendedNextHop: true, MaxLen: MaxExtendedLen}
}

func vectorRoutes(lists ...[]vectorPrefix) []route {
	var out []route
	for _, l := range lists {
		for _, p := range l {
			out = append(out, route{netip.MustParsePrefix(p.Prefix), p.Path})
		}
	}
	return out
}

func checkVectorUpdate(t *testing.T, m *vectorMessage, body []byte) {
	s, want := vectorSession(m.ASN4), m.Expect.Update
	for _, f := range m.AddPath {
		family := Family{uint16(f[0]), uint8(f[1])}
		s.AddPathReceive, s.AddPathSend = append(s.AddPathReceive, family), append(s.AddPathSend, family)
	}
	var u Update
	report := s.DecodeUpdate(body, &u)
	wa := &want.Attrs
	withdrawn, nlri := vectorRoutes(want.Withdrawn), vectorRoutes(want.NLRI)
	if wa.MPReach != nil {
		nlri = append(nlri, vectorRoutes(wa.MPReach.NLRI)...)
	}
	if wa.MPUnreach != nil {
		withdrawn = append(withdrawn, vectorRoutes(wa.MPUnreach.NLRI, wa.MPUnreach.Withdrawn)...)
	}
	if why, ok := vectorRefused[m.ID]; ok {
		if report.Outcome != SessionReset {
			t.Errorf("%v, want a session reset: %s", report.Findings, why)
		}
		return
	}
	gotWithdrawn, gotNLRI := appendRoutes(nil, u.Withdrawn, u.WithdrawnPaths), appendRoutes(nil, u.NLRI, u.NLRIPaths)
	if report.Outcome == TreatAsWithdraw && semantic(report) {
		// The message is well formed and was read to its end; only its use is refused. Look at what was read.
		if !sameRoutes(gotWithdrawn, slices.Concat(withdrawn, nlri)) {
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
	if !slices.Equal(gotWithdrawn, withdrawn) {
		t.Errorf("withdrawn %v, want %v", gotWithdrawn, withdrawn)
	}
	if !slices.Equal(gotNLRI, nlri) {
		t.Errorf("NLRI %v, want %v", gotNLRI, nlri)
	}
	if u.Attrs != nil {
		checkVectorAttrs(t, m, &u)
	}
	roundTrip(t, *s, &u)
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
