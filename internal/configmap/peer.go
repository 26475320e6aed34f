package configmap

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pharoslb/pharos"
)

// peers reads the BGP peers. Their names are made of their addresses, so that a
// peer keeps its name, and its session, when another one comes or goes.
func (p *parser) peers(v value, profiles map[string]bool) []pharos.Peer {
	var peers []pharos.Peer
	first := map[string]value{}
	names := map[string]int{}
	for _, item := range v.list() {
		before := len(p.problems)
		peer := p.peer(item, profiles)
		if len(p.problems) > before {
			continue
		}
		key := identity(&peer)
		if other, ok := first[key]; ok {
			item.fail(fmt.Sprintf("is the same peer as %s on line %d", other.path, other.line()), "")
			continue
		}
		first[key] = item
		peer.Name = "peer-" + peer.Addr.String()
		names[peer.Name]++
		if n := names[peer.Name]; n > 1 {
			peer.Name = fmt.Sprintf("%s-%d", peer.Name, n)
		}
		peers = append(peers, peer)
	}
	return peers
}

func (p *parser) peer(v value, profiles map[string]bool) pharos.Peer {
	f := v.fields("my-asn", "peer-asn", "peer-address", "peer-port", "source-address", "hold-time", "keepalive-time",
		"router-id", "node-selectors", "password", "ebgp-multihop", "bfd-profile")
	peer := pharos.Peer{
		Origin:        origin(v),
		DualStack:     true, // as MetalLB's native mode offered both
		AnyDistance:   true, // nor did it know of distances
		LocalAS:       uint32(v.required(f, "my-asn").number(1, math.MaxUint32, 0)),
		RemoteAS:      uint32(v.required(f, "peer-asn").number(1, math.MaxUint32, 0)),
		Addr:          v.required(f, "peer-address").address(false),
		Port:          uint16(f["peer-port"].number(1, math.MaxUint16, 179)),
		SourceAddr:    f["source-address"].address(false),
		HoldTime:      f["hold-time"].duration(),
		KeepaliveTime: f["keepalive-time"].duration(),
		RouterID:      f["router-id"].address(true),
		NodeSelectors: p.selectors(f["node-selectors"]),
		Password:      pharos.Secret(f["password"].text()),
		EBGPMultiHop:  f["ebgp-multihop"].boolean(false),
		BFDProfile:    f["bfd-profile"].text(),
	}
	p.timers(f, &peer)
	if a := peer.SourceAddr; a.IsValid() && peer.Addr.IsValid() && a.Is4() != peer.Addr.Is4() {
		f["source-address"].fail(fmt.Sprintf("%s and the peer's address %s are of different families", a, peer.Addr), "")
	}
	if peer.EBGPMultiHop && peer.LocalAS == peer.RemoteAS && peer.LocalAS != 0 {
		f["ebgp-multihop"].fail("makes no sense for an iBGP peer", "my-asn and peer-asn are the same")
	}
	if len(peer.Password) > 80 { // TCP_MD5SIG_MAXKEYLEN
		f["password"].fail("is longer than 80 bytes, more than TCP MD5 signatures take", "")
	}
	if name := peer.BFDProfile; name != "" && !profiles[name] {
		f["bfd-profile"].fail("there is no BFD profile "+quote(name), p.meant(name, slices.Sorted(maps.Keys(profiles))))
	}
	return peer
}

// timers checks hold and keepalive time against RFC 4271 and each other.
func (p *parser) timers(f map[string]value, peer *pharos.Peer) {
	hold, keepalive := peer.HoldTime, peer.KeepaliveTime
	if keepalive != nil && *keepalive == 0 && (hold == nil || *hold != 0) {
		f["keepalive-time"].fail("is less than a second", "0s only goes with hold-time 0s")
		return
	}
	if hold == nil && keepalive != nil {
		threefold := 3 * *keepalive // RFC 4271 §10: keepalive is a third of hold
		if threefold >= 65536*time.Second {
			f["keepalive-time"].fail("a hold time three times as long does not fit", "give hold-time too")
			return
		}
		peer.HoldTime = &threefold
		return
	}
	if hold == nil {
		return
	}
	// RFC 4271 §4.2: the hold time is either zero or at least three seconds.
	if *hold != 0 && *hold < 3*time.Second {
		f["hold-time"].fail(fmt.Sprintf("%s is neither 0s nor 3s or more", *hold), "")
	}
	if keepalive != nil && *keepalive > *hold {
		f["keepalive-time"].fail(fmt.Sprintf("%s is more than the hold time %s", *keepalive, *hold), "")
	}
}

// identity renders all that tells a peer from another.
func identity(p *pharos.Peer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d %s %d %s %s %t %q %q", p.LocalAS, p.RemoteAS, p.Addr, p.Port, p.SourceAddr, p.RouterID,
		p.EBGPMultiHop, p.BFDProfile, p.Password.Reveal())
	for _, d := range []*time.Duration{p.HoldTime, p.KeepaliveTime} {
		if d == nil {
			b.WriteString(" -")
		} else {
			fmt.Fprintf(&b, " %d", *d)
		}
	}
	for _, s := range p.NodeSelectors {
		fmt.Fprintf(&b, " %q", s.String())
	}
	return b.String()
}

// selectors reads node selectors; one of them has to match.
func (p *parser) selectors(v value) []pharos.Selector {
	var out []pharos.Selector
	for _, item := range v.list() {
		f := item.fields("match-labels", "match-expressions")
		s := pharos.Selector{}
		keys, labels, _ := f["match-labels"].entries()
		slices.Sort(keys)
		for _, key := range keys {
			s = append(s, pharos.Requirement{Key: key, Operator: pharos.In, Values: []string{labels[key].text()}})
		}
		for _, e := range f["match-expressions"].list() {
			s = append(s, p.requirement(e))
		}
		out = append(out, s)
	}
	return out
}

func (p *parser) requirement(v value) pharos.Requirement {
	f := v.fields("key", "operator", "values")
	r := pharos.Requirement{
		Key:      v.required(f, "key").text(),
		Operator: pharos.Operator(v.required(f, "operator").choice("In", "NotIn", "Exists", "DoesNotExist")),
	}
	for _, item := range f["values"].list() {
		r.Values = append(r.Values, item.text())
	}
	switch r.Operator {
	case pharos.In, pharos.NotIn:
		if len(r.Values) == 0 {
			v.fail(fmt.Sprintf("operator %s needs values", r.Operator), "")
		}
	case pharos.Exists, pharos.DoesNotExist:
		if len(r.Values) > 0 {
			f["values"].fail(fmt.Sprintf("operator %s takes no values", r.Operator), "")
		}
	}
	return r
}

// profiles reads the BFD profiles. RFC 5880 §4.1 counts microseconds; the
// format, milliseconds.
func (p *parser) profiles(v value) []pharos.BFDProfile {
	var out []pharos.BFDProfile
	first := map[string]value{}
	for _, item := range v.list() {
		f := item.fields("name", "receive-interval", "transmit-interval", "detect-multiplier", "echo-interval", "echo-mode", "passive-mode", "minimum-ttl")
		milliseconds := func(name string, absent uint64) time.Duration {
			return time.Duration(f[name].number(10, 60000, absent)) * time.Millisecond
		}
		profile := pharos.BFDProfile{
			Origin:           origin(item),
			Name:             item.required(f, "name").text(),
			ReceiveInterval:  milliseconds("receive-interval", 300),
			TransmitInterval: milliseconds("transmit-interval", 300),
			DetectMultiplier: uint8(f["detect-multiplier"].number(2, 255, 3)),
			EchoInterval:     milliseconds("echo-interval", 50),
			EchoMode:         f["echo-mode"].boolean(false),
			PassiveMode:      f["passive-mode"].boolean(false),
			MinimumTTL:       uint8(f["minimum-ttl"].number(1, 254, 254)),
		}
		if other, ok := first[profile.Name]; ok {
			item.fail(fmt.Sprintf("there is a BFD profile %s already, on line %d", quote(profile.Name), other.line()), "")
			continue
		}
		first[profile.Name] = item
		out = append(out, profile)
	}
	return out
}
