package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

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
