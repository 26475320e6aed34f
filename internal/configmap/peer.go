package configmap

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/rule"
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
		RouterID:      f["router-id"].address(true),
		NodeSelectors: p.selectors(f["node-selectors"]),
		Password:      pharos.Secret(f["password"].text()),
		EBGPMultiHop:  f["ebgp-multihop"].boolean(false),
		BFDProfile:    f["bfd-profile"].text(),
	}
	ofHold, ofKeepalive := rule.Timers(&peer, f["hold-time"].duration(), f["keepalive-time"].duration())
	f["hold-time"].fits(ofHold)
	f["keepalive-time"].fits(ofKeepalive)
	f["source-address"].fits(rule.SourceFamily(peer.SourceAddr, peer.Addr))
	f["ebgp-multihop"].fits(rule.MultiHop(&peer, "my-asn and peer-asn are the same"))
	f["password"].fits(rule.Password(peer.Password.Reveal()))
	if name := peer.BFDProfile; name != "" && !profiles[name] {
		f["bfd-profile"].fail("there is no BFD profile "+rule.Quote(name), p.meant(name, slices.Sorted(maps.Keys(profiles))))
	}
	return peer
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
		number := func(name string, limits rule.Limits, absent uint64) uint64 {
			return f[name].number(limits.Low, limits.High, absent)
		}
		milliseconds := func(name string, absent time.Duration) time.Duration {
			return time.Duration(number(name, rule.BFDInterval, uint64(absent.Milliseconds()))) * time.Millisecond
		}
		profile := rule.DefaultBFD()
		profile.Origin = origin(item)
		profile.Name = item.required(f, "name").text()
		profile.ReceiveInterval = milliseconds("receive-interval", profile.ReceiveInterval)
		profile.TransmitInterval = milliseconds("transmit-interval", profile.TransmitInterval)
		profile.DetectMultiplier = uint8(number("detect-multiplier", rule.BFDMultiplier, uint64(profile.DetectMultiplier)))
		profile.EchoInterval = milliseconds("echo-interval", profile.EchoInterval)
		profile.EchoMode = f["echo-mode"].boolean(false)
		profile.PassiveMode = f["passive-mode"].boolean(false)
		profile.MinimumTTL = uint8(number("minimum-ttl", rule.BFDMinimumTTL, uint64(profile.MinimumTTL)))
		if other, ok := first[profile.Name]; ok {
			item.fail(fmt.Sprintf("there is a BFD profile %s already, on line %d", rule.Quote(profile.Name), other.line()), "")
			continue
		}
		first[profile.Name] = item
		out = append(out, profile)
	}
	return out
}
