package bgp_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// sets are attribute sets, two of them the same under two pointers; nil withdraws.
var sets = []*bgp.Attrs{
	nil, nil,
	{Origin: wire.OriginIncomplete},
	{Origin: wire.OriginIncomplete},
	{MED: ptr(uint32(7)), Communities: []wire.Community{1, 2}},
	{LargeCommunities: []wire.LargeCommunity{{Global: 65001, Local1: 1, Local2: 2}}, Prepend: 2},
	{NextHop: netip.MustParseAddr("192.0.2.99")},
	{NextHop: netip.MustParseAddr("2001:db8::99")},
}

// want is what a peer shall see of a set, in a few words.
func want(p netip.Prefix, a *bgp.Attrs) string {
	hop := hostA
	if p.Addr().Is6() {
		hop = conf(hostA, hostB).NextHopIPv6
	}
	if a.NextHop.IsValid() && a.NextHop.Is4() == p.Addr().Is4() {
		hop = a.NextHop
	}
	med := wire.Optional{}
	if a.MED != nil {
		med = wire.Some(*a.MED)
	}
	return fmt.Sprint(hop, a.Origin, med, a.Communities, a.LargeCommunities, 1+a.Prepend)
}

func seen(p netip.Prefix, a *wire.Attrs) string {
	return fmt.Sprint(a.NextHopFor(p), a.Origin, a.MED, a.Communities, a.LargeCommunities, a.ASPath.Len())
}

// Whatever the order and timing of Apply, of losses of the session and of a peer
// that stops reading, the peer ends up with what it shall have, and is told
// nothing twice in vain.
func TestAnySequenceOfChangesEndsTheSame(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			n := bgptest.NewNet()
			passive := conf(hostB, hostA)
			passive.Passive = true
			a := speak(t, n, hostA, false, conf(hostA, hostB))
			b := speak(t, n, hostB, true, passive)
			if seed%3 > 0 {
				b.heard.WaitUp(t, hostA.String(), 1)
			}
			shall := make(map[netip.Prefix]*bgp.Attrs)
			for range 40 {
				var changes []bgp.Change
				for range r.IntN(40) {
					p := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 19, 100, byte(r.IntN(32))}), 32)
					if r.IntN(4) == 0 {
						p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 1, 15: byte(r.IntN(16))}), 128)
					}
					c := bgp.Change{Peer: hostB.String(), Prefix: p, Attrs: sets[r.IntN(len(sets))]}
					changes = append(changes, c, bgp.Change{Peer: "nobody", Prefix: p})
					if c.Attrs == nil {
						delete(shall, p)
					} else {
						shall[p] = c.Attrs
					}
				}
				a.Apply(changes)
				switch r.IntN(12) {
				case 0:
					n.Cut(hostB)
				case 1:
					n.Boot(hostB)
				case 2:
					pass(time.Duration(r.IntN(15)) * time.Second)
				case 3:
					synctest.Wait()
				}
			}
			n.Boot(hostB)
			b.heard.Wait(t, hostA.String(), fmt.Sprintf("seed %d: the table", seed), func(h bgptest.Heard) bool {
				return h.Up && len(h.Ends) == 2 && len(h.Routes) == len(shall) && !slices.ContainsFunc(slices.Collect(maps.Keys(shall)),
					func(p netip.Prefix) bool { return h.Routes[p] == nil || want(p, shall[p]) != seen(p, h.Routes[p]) })
			})
			synctest.Wait() // it may have been so for a moment, with more on its way
			h := b.heard.Heard(hostA.String())
			st := status(t, a)
			if st.Advertised != len(shall) || st.Desired != len(shall) || st.Pending != 0 || st.Withheld != 0 {
				t.Errorf("seed %d: advertised %d, desired %d, pending %d, withheld %d, want %d", seed, st.Advertised, st.Desired, st.Pending, st.Withheld, len(shall))
			}
			// The same again, under other pointers: not a word.
			var again []bgp.Change
			for p, s := range shall {
				c := *s
				again = append(again, bgp.Change{Peer: hostB.String(), Prefix: p, Attrs: &c})
			}
			a.Apply(again)
			synctest.Wait()
			if now := b.heard.Heard(hostA.String()); now.Updates != h.Updates {
				t.Errorf("seed %d: the same table again took %d UPDATEs", seed, now.Updates-h.Updates)
			}
		})
	}
}

func vips(n int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		out[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	return out
}

func changes(peer netip.Addr, a *bgp.Attrs, prefixes []netip.Prefix) []bgp.Change {
	out := make([]bgp.Change, len(prefixes))
	for i, p := range prefixes {
		out[i] = bgp.Change{Peer: peer.String(), Prefix: p, Attrs: a}
	}
	return out
}

// 100,000 prefixes with one set of attributes take no more messages than their
// octets need.
func TestTableIsPacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		passive := conf(hostB, hostA)
		passive.Passive = true
		a := speak(t, n, hostA, false, conf(hostA, hostB))
		a.Apply(changes(hostB, &bgp.Attrs{}, vips(100_000)))
		b := speak(t, n, hostB, true, passive)
		h := b.heard.Wait(t, hostA.String(), "the table", func(h bgptest.Heard) bool { return len(h.Ends) == 2 })
		if len(h.Routes) != 100_000 || h.Updates > 126 {
			t.Errorf("%d routes in %d UPDATEs", len(h.Routes), h.Updates)
		}
		a.Apply(changes(hostB, nil, vips(100_000)))
		b.heard.WaitRoutes(t, hostA.String())
	})
}

// A peer that does not read holds nobody up, costs no memory for what changes
// meanwhile, and gets the last state alone when it reads again.
func TestSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		slow, err := n.Listen(t.Context(), at(hostB))
		if err != nil {
			t.Fatal(err)
		}
		fastConf := conf(hostC, hostA)
		fastConf.Passive = true
		fast := speak(t, n, hostC, true, fastConf)
		a := speak(t, n, hostA, false, conf(hostA, hostB), conf(hostA, hostC))
		s := bgptest.Await(t, slow)
		s.Conn.(*bgptest.Conn).SetWindow(4096)
		s.Establish(openB(func(o *wire.Open) { o.HoldTime = 0 }))
		s.Table()
		fast.heard.WaitUp(t, hostA.String(), 1)
		// From here on B does not read.
		table := vips(20_000)
		for i := range 20 {
			attrs := &bgp.Attrs{MED: ptr(uint32(i))}
			a.Apply(changes(hostB, attrs, table))
			a.Apply(changes(hostC, attrs, table))
			fast.heard.Wait(t, hostA.String(), "C's routes", func(h bgptest.Heard) bool {
				r := h.Routes[table[0]]
				return len(h.Routes) == len(table) && r.MED == wire.Some(uint32(i))
			})
		}
		st := a.Status()[0]
		if st.Name != hostB.String() || st.Pending != len(table) || st.State != bgp.Established {
			t.Errorf("B is %v with %d pending", st.State, st.Pending)
		}
		if st.OutQueue == 0 || st.OutQueue > 128<<10 {
			t.Errorf("%d octets on their way to B", st.OutQueue)
		}
		got, updates := make(map[netip.Prefix]*wire.Attrs), 0
		for len(got) < len(table) || got[table[0]].MED != wire.Some(19) || got[table[len(table)-1]].MED != wire.Some(19) {
			bgptest.Apply(got, s.NextUpdate())
			updates++
		}
		if updates > 60 {
			t.Errorf("B was told of 20 states in %d UPDATEs, two states fit in 52", updates)
		}
		s.Conn.Close()
	})
}

// A peer that takes nothing for good is given up (RFC 9687), though it talks.
func TestSendHoldTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t)
		s.Conn.(*bgptest.Conn).SetWindow(4096)
		s.Establish(openB())
		s.Table()
		h.Apply(changes(hostB, &bgp.Attrs{}, vips(20_000)))
		s.Conn.SetDeadline(time.Time{})
		begin := time.Now()
		for h.heard.Heard(hostB.String()).Up {
			if _, err := s.Conn.Write(wire.AppendKeepalive(nil)); err != nil {
				break
			}
			pass(time.Second)
		}
		d := h.heard.WaitDown(t, hostB.String(), 1).Downs[0]
		if took := time.Since(begin); d.Cause != bgp.CauseSendHoldTimer || took < 8*time.Minute || took > 10*time.Minute {
			t.Errorf("%v after %v", d, took)
		}
		s.Conn.Close()
	})
}

// One octet at a time is as good as any other way, as long as the whole is in time.
func TestOneOctetAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t, func(c *bgp.Config) { c.HoldTime = ptr(90 * time.Second) })
		var stream []byte
		stream, _ = wire.AppendOpen(stream, openB())
		stream = wire.AppendKeepalive(stream)
		e := wire.Encoder{Session: wire.Session{AS4: true, Families: both}}
		stream, _, err := e.AppendReach(stream, &wire.Attrs{ASPath: wire.Sequence(65002), NextHop: hostB}, vips(20), nil)
		if err != nil {
			t.Fatal(err)
		}
		stream = wire.AppendEndOfRIB(stream, wire.IPv4Unicast)
		go io.Copy(io.Discard, s.Conn)
		for _, b := range stream {
			s.Send([]byte{b})
			pass(100 * time.Millisecond)
		}
		got := h.heard.Heard(hostB.String())
		if len(got.Routes) != 20 || len(got.Ends) != 1 || !got.Up {
			t.Errorf("%d routes, story %v", len(got.Routes), got.Story)
		}
		s.Conn.Close()
	})
}

func TestRouteRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t)
		announce(h, hostB, &bgp.Attrs{}, "172.19.100.1/32", "172.19.100.2/32", "2001:db8:1::/64")
		s.Establish(openB())
		if got := s.Table(); len(got) != 3 {
			t.Fatalf("table %v", got)
		}
		announce(h, hostB, nil, "172.19.100.2/32")
		s.NextUpdate()
		ask := func(f wire.Family, subtype uint8) {
			s.Send(wire.AppendRouteRefresh(nil, wire.RouteRefresh{Family: f, Subtype: subtype}))
		}
		ask(wire.IPv6Unicast, 0)
		if u := s.NextUpdate(); len(u.NLRI) != 1 || u.NLRI[0] != netip.MustParsePrefix("2001:db8:1::/64") {
			t.Errorf("IPv6: %v", u.NLRI)
		}
		before := status(t, h).Sent.Updates
		ask(wire.Family{AFI: 25, SAFI: 65}, 0)
		ask(wire.IPv4Unicast, 1) // begin of an enhanced refresh that was not agreed on
		synctest.Wait()
		if n := status(t, h).Sent.Updates - before; n != 0 {
			t.Errorf("%d UPDATEs for requests to be ignored", n)
		}
		ask(wire.IPv4Unicast, 0)
		if u := s.NextUpdate(); len(u.NLRI) != 1 || u.NLRI[0] != netip.MustParsePrefix("172.19.100.1/32") {
			t.Errorf("IPv4: %v", u.NLRI)
		}
		if got := h.heard.Heard(hostB.String()).Refresh; !slices.Equal(got, []wire.Family{wire.IPv6Unicast, wire.IPv4Unicast}) {
			t.Errorf("handler heard of %v", got)
		}
		s.Conn.Close()
	})
}

// A flood of refresh requests from a peer that does not read the answers is one
// request.
func TestRefreshFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t)
		s.Conn.(*bgptest.Conn).SetWindow(4096)
		h.Apply(changes(hostB, &bgp.Attrs{}, vips(5000)))
		s.Establish(openB())
		s.Table()
		ask := wire.AppendRouteRefresh(nil, wire.RouteRefresh{Family: wire.IPv4Unicast})
		for range 2000 {
			s.Send(ask)
		}
		synctest.Wait()
		if st := status(t, h); st.Received.RouteRefreshes != 2000 {
			t.Fatalf("%d requests arrived", st.Received.RouteRefreshes)
		}
		s.Answer(time.Second) // now it reads
		pass(time.Minute)
		// Seven for the table and two markers, seven that were under way, seven for the flood.
		if st := status(t, h); st.Pending != 0 || st.Sent.Updates > 23 {
			t.Errorf("%d pending, %d UPDATEs sent", st.Pending, st.Sent.Updates)
		}
		s.Conn.Close()
	})
}

// Attributes that leave no room for a prefix hold the routes back, once sent ones
// included.
func TestAttributesThatDoNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t)
		s.Establish(openB())
		s.Table()
		announce(h, hostB, &bgp.Attrs{}, "172.19.100.1/32")
		s.NextUpdate()
		announce(h, hostB, &bgp.Attrs{Communities: make([]wire.Community, 2000)}, "172.19.100.1/32", "172.19.100.2/32")
		if u := s.NextUpdate(); len(u.Withdrawn) != 1 || len(u.NLRI) != 0 {
			t.Errorf("got %+v", u)
		}
		synctest.Wait()
		if st := status(t, h); st.Withheld != 2 || st.Advertised != 0 {
			t.Errorf("withheld %d, advertised %d", st.Withheld, st.Advertised)
		}
		announce(h, hostB, &bgp.Attrs{}, "172.19.100.1/32", "172.19.100.2/32")
		if u := s.NextUpdate(); len(u.NLRI) != 2 {
			t.Errorf("got %+v", u)
		}
		s.Conn.Close()
	})
}

// RFC 4271 §6.3, NEXT_HOP a: a route to us through us is no route.
func TestRoutesThroughOurselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t)
		s.Establish(openB())
		s.Announce(&wire.Attrs{ASPath: wire.Sequence(65002), NextHop: hostB}, "198.51.100.0/24", "203.0.113.0/24")
		s.Announce(&wire.Attrs{ASPath: wire.Sequence(65002), NextHop: hostA}, "198.51.100.0/24")
		h.heard.WaitRoutes(t, hostB.String(), "203.0.113.0/24")
		s.Conn.Close()
	})
}

// RFC 7606 as the session shows it: the route before, the bad UPDATE, what is left.
func TestMalformedUpdates(t *testing.T) {
	const (
		origin  = "40010100"
		path    = "4002060201 0000fdea"
		hop     = "400304 c0000202"
		prefix  = "20 0a400001"
		stays   = "stays"
		goes    = "goes"
		noRoute = "treat-as-withdraw"
	)
	for _, r := range []struct{ name, attrs, want, finding string }{
		{"good", origin + path + hop, stays, ""},
		{"ORIGIN 3", "40010103" + path + hop, goes, noRoute},
		{"AS_PATH of another first AS", origin + "4002060201 0000fde8" + hop, goes, noRoute},
		{"no NEXT_HOP", origin + path, goes, noRoute},
		{"MED of three octets", origin + path + hop + "800403 000000", goes, noRoute},
		{"LOCAL_PREF from outside", origin + path + hop + "400504 000000c8", stays, ""},
		{"ATOMIC_AGGREGATE with a value", origin + path + hop + "40060100", stays, "attribute-discard"},
		{"COMMUNITIES of five octets", origin + path + hop + "c00805 0000000000", goes, noRoute},
	} {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, s, _ := scripted(t)
				s.Establish(openB())
				p := netip.MustParsePrefix("10.64.0.1/32")
				s.Announce(&wire.Attrs{ASPath: wire.Sequence(65002), NextHop: hostB, MED: wire.Some(77)}, p.String())
				h.heard.WaitRoutes(t, hostB.String(), p.String())
				attrs := bgptest.Hex(t, r.attrs)
				body := append([]byte{0, 0, 0, byte(len(attrs))}, attrs...)
				body = append(body, bgptest.Hex(t, prefix)...)
				s.Send(append(bgptest.Hex(t, bgptest.Marker), append([]byte{0, byte(19 + len(body)), 2}, body...)...))
				s.Keepalive()
				synctest.Wait()
				got := h.heard.Heard(hostB.String())
				route := got.Routes[p]
				if !got.Up || (route != nil) != (r.want == stays) || route != nil && route.MED.Set {
					t.Errorf("up %v, route %v", got.Up, route)
				}
				st := status(t, h)
				if f := st.LastMalformed; r.finding != "" && (st.Malformed != 1 || f.Outcome.String() != r.finding) {
					t.Errorf("status: %d malformed, last %v", st.Malformed, f)
				}
				s.Conn.Close()
			})
		})
	}
}

// TestPublicVectors plays the wire cases of public test suites against a session,
// where they are at hand: BGP_VECTORS names their directory.
func TestPublicVectors(t *testing.T) {
	dir := os.Getenv("BGP_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "vectors", "bgp")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "rfc7606.json"))
	if err != nil {
		t.Logf("no public vectors: %v", err)
		return
	}
	var file struct {
		Cases []struct {
			ID, Peer string
			Send     []string
			Expect   []struct {
				Action        string
				Code, Subcode uint8
			}
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	p := netip.MustParsePrefix("10.64.0.1/32")
	prober, dut := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, c := range file.Cases {
		if strings.HasPrefix(c.ID, "7606-as4path-seg-type-0-") {
			// The expectation is one implementation's. RFC 6793 §4.1: between speakers of
			// four-octet numbers AS4_PATH is discarded, whatever it holds.
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := bgptest.NewNet()
				cfg := bgp.Config{Name: "prober", LocalAS: 65002, RemoteAS: 65001, RouterID: dut, RemoteAddr: prober, Families: both, Passive: true}
				if c.Peer == "ibgp" {
					cfg.LocalAS = 65001
				}
				h := speak(t, n, dut, true, cfg)
				synctest.Wait()
				s := bgptest.Connect(t, n, prober, at(dut))
				s.Establish(wire.NewOpen(65001, 90, prober, both...))
				before := &wire.Attrs{NextHop: prober, MED: wire.Some(4242)}
				if c.Peer == "ebgp" {
					before.ASPath = wire.Sequence(65001)
				}
				s.Announce(before, p.String())
				h.heard.WaitRoutes(t, "prober", p.String())
				for _, m := range c.Send {
					b, err := hex.DecodeString(m)
					if err != nil {
						t.Fatal(err)
					}
					s.Send(b)
				}
				synctest.Wait()
				got := h.heard.Heard("prober")
				saw := "treat-as-withdraw"
				switch r := got.Routes[p]; {
				case !got.Up:
					n := got.Downs[0].Notification
					saw = fmt.Sprintf("notification %d/%d", n.Code, n.Subcode)
				case r != nil && r.MED != wire.Some(4242):
					saw = "route"
				case r != nil:
					saw = "nothing"
				}
				for _, e := range c.Expect {
					switch e.Action {
					case "accept", "attribute-discard", "ignore":
						if saw == "route" {
							return
						}
					case "treat-as-withdraw":
						if saw == e.Action {
							return
						}
					case "notification":
						if saw == fmt.Sprintf("notification %d/%d", e.Code, e.Subcode) {
							return
						}
					default:
						t.Fatalf("action %q", e.Action)
					}
				}
				t.Errorf("saw %s, want one of %+v", saw, c.Expect)
				s.Conn.Close()
			})
		})
	}
}
