package bgp_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

func offer(c ...wire.Capability) func(*wire.Open) {
	return func(o *wire.Open) { o.Capabilities = append(o.Capabilities, c...) }
}

// Any external AS will do where the configuration says so, and roles have to fit.
func TestOpensOfPeersNotKnownInAdvance(t *testing.T) {
	external := func(c *bgp.Config) { c.RemoteAS, c.AnyExternal = 0, true }
	role := func(r wire.Role, strict bool) func(*bgp.Config) {
		return func(c *bgp.Config) { c.Role, c.StrictRole = &r, strict }
	}
	for _, r := range []struct {
		name string
		edit func(*bgp.Config)
		open *wire.Open
		want string
	}{
		{"any external", external, wire.NewOpen(450000000, 90, hostB, both...), "keepalive 1"},
		{"our own AS is not external", external, wire.NewOpen(65001, 90, hostB, both...), "close 1 2/2"},
		{"customer of ours", role(wire.RoleProvider, false), peerOpen(offer(wire.RoleCapability(wire.RoleCustomer))), "keepalive 1"},
		{"two providers", role(wire.RoleProvider, false), peerOpen(offer(wire.RoleCapability(wire.RoleProvider))), "close 1 2/11"},
		{"no role", role(wire.RoleProvider, false), peerOpen(), "keepalive 1"},
		{"no role, strictly", role(wire.RoleProvider, true), peerOpen(), "close 1 2/11"},
		{"a role that we do not ask for", func(*bgp.Config) {}, peerOpen(offer(wire.RoleCapability(wire.RolePeer))), "keepalive 1"},
	} {
		t.Run(r.name, func(t *testing.T) {
			if got := in(bgp.OpenSent, r.edit).do(bgp.OpenReceived{Conn: 1, Open: r.open}); got[0] != r.want {
				t.Errorf("does %q, want %q", got, r.want)
			}
		})
	}
	b := established(wire.NewOpen(450000000, 90, hostB, both...), external)
	if s := b.Info().Session; s.Internal || s.FirstAS != 450000000 {
		t.Errorf("session %+v", s)
	}
}

// Messages longer than 4096 octets are sent and taken where both sides said so.
func TestExtendedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		a := speak(t, n, hostA, true, conf(hostA, hostB))
		h := speak(t, n, hostB, true, passive(conf(hostB, hostA)))
		a.Apply(changes(hostB, &bgp.Attrs{}, vips(5000)))
		h.heard.Wait(t, hostA.String(), "5000 routes", func(h bgptest.Heard) bool { return len(h.Routes) == 5000 })
		synctest.Wait()
		if sent := status(t, a).Sent.Updates; sent > 3 { // 1 and two End-of-RIB
			t.Errorf("%d UPDATEs", sent)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t)
		s.Establish(openB()) // without the capability
		long := wire.Encoder{Session: wire.Session{AS4: true, Families: both, MaxLen: wire.MaxExtendedLen}}
		octets, _, err := long.AppendReach(nil, &wire.Attrs{ASPath: wire.Sequence(65002), NextHop: hostB}, vips(2000), nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Send(octets[:4096])
		s.ExpectNotification(wire.CodeHeader, wire.SubHeaderBadLength)
		h.heard.WaitDown(t, hostB.String(), 1)
	})
}

// The answer to a refresh is enclosed by markers, and so is the peer's (RFC 7313).
func TestEnhancedRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t)
		announce(h, hostB, &bgp.Attrs{}, "172.19.100.1/32", "172.19.100.2/32", "2001:db8:1::/64")
		s.Establish(openB(offer(wire.EnhancedRouteRefresh())))
		s.Table()
		s.Send(wire.AppendRouteRefresh(nil, wire.RouteRefresh{Family: wire.IPv4Unicast}))
		var got []string
		for len(got) < 3 {
			switch m := s.Next(); m.Type {
			case wire.TypeRouteRefresh:
				r, _ := wire.DecodeRouteRefresh(m.Body)
				got = append(got, fmt.Sprint(r.Family, " ", r.Subtype))
			case wire.TypeUpdate:
				u := new(wire.Update)
				(&wire.Session{AS4: true, Families: both, FirstAS: 65001}).DecodeUpdate(m.Body, u)
				got = append(got, fmt.Sprint(len(u.NLRI)))
			}
		}
		if want := []string{"IPv4 unicast 1", "2", "IPv4 unicast 2"}; !slices.Equal(got, want) {
			t.Errorf("answered by %q, want %q", got, want)
		}
		h.Refresh(wire.IPv6Unicast, hostB.String())
		for {
			if m := s.Next(); m.Type == wire.TypeRouteRefresh {
				if r, _ := wire.DecodeRouteRefresh(m.Body); r.Family != wire.IPv6Unicast || r.Subtype != wire.RefreshRequest {
					t.Errorf("asked for %+v", r)
				}
				break
			}
		}
		for _, subtype := range []uint8{wire.RefreshBegin, wire.RefreshEnd} {
			s.Send(wire.AppendRouteRefresh(nil, wire.RouteRefresh{Family: wire.IPv6Unicast, Subtype: subtype}))
		}
		h.heard.Wait(t, hostB.String(), "the markers", func(h bgptest.Heard) bool {
			return slices.Contains(h.Story, "refresh begins IPv6 unicast") && slices.Contains(h.Story, "refresh ends IPv6 unicast")
		})
		s.Conn.Close()
	})
}

// Several paths to one prefix reach a peer that takes them; another one gets the
// first, and the next when that goes.
func TestAdditionalPaths(t *testing.T) {
	vip := netip.MustParsePrefix("172.19.100.1/32")
	hops := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")}
	want := func(h *host, path uint32, hop netip.Addr) {
		c := bgp.Change{Peer: hostB.String(), Prefix: vip, Path: path}
		if hop.IsValid() {
			c.Attrs = &bgp.Attrs{NextHop: hop}
		}
		h.Apply([]bgp.Change{c})
	}
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t, func(c *bgp.Config) { c.AddPath = wire.AddPathBoth })
		want(h, 1, hops[0])
		want(h, 2, hops[1])
		s.Establish(openB(offer(wire.AddPath(wire.AddPathFamily{Family: wire.IPv4Unicast, Mode: wire.AddPathReceive}))))
		paths := map[uint32]netip.Addr{}
		for len(paths) < 2 {
			u := s.NextUpdate()
			for i := range u.NLRI {
				paths[u.NLRIPaths[i]] = u.Attrs.NextHop
			}
		}
		if paths[1] != hops[0] || paths[2] != hops[1] {
			t.Errorf("got %v", paths)
		}
		want(h, 1, netip.Addr{})
		for {
			if u := s.NextUpdate(); len(u.Withdrawn) > 0 {
				if !slices.Equal(u.WithdrawnPaths, []uint32{1}) {
					t.Errorf("withdrawn %v", u.WithdrawnPaths)
				}
				break
			}
		}
		synctest.Wait()
		if st := status(t, h); st.Desired != 1 || st.Advertised != 1 || st.Withheld != 0 {
			t.Errorf("desired %d, advertised %d, withheld %d", st.Desired, st.Advertised, st.Withheld)
		}
		s.Conn.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t, func(c *bgp.Config) { c.AddPath = wire.AddPathBoth })
		want(h, 2, hops[1])
		want(h, 1, hops[0])
		want(h, 3, hops[2])
		s.Establish(openB())
		if got := s.Table()[vip]; got == nil || got.NextHop != hops[0] {
			t.Errorf("table has %+v", got)
		}
		next := func(what string, hop netip.Addr) {
			t.Helper()
			u := s.NextUpdate()
			switch {
			case !hop.IsValid():
				if len(u.Withdrawn) != 1 || len(u.NLRI) != 0 {
					t.Errorf("%s: %+v, want a withdrawal", what, u)
				}
			case len(u.NLRI) != 1 || u.Attrs.NextHop != hop || len(u.Withdrawn) != 0:
				t.Errorf("%s: %+v, want %v", what, u, hop)
			}
		}
		want(h, 1, netip.Addr{})
		next("the first is gone", hops[1])
		want(h, 3, netip.Addr{}) // nobody sees it
		want(h, 1, hops[0])
		next("it is back", hops[0])
		if st := status(t, h); st.Desired != 2 || st.Advertised != 1 || st.Withheld != 1 {
			t.Errorf("desired %d, advertised %d, withheld %d", st.Desired, st.Advertised, st.Withheld)
		}
		h.Apply([]bgp.Change{{Peer: hostB.String(), Prefix: vip, Path: 1}, {Peer: hostB.String(), Prefix: vip, Path: 2}})
		next("all are gone", netip.Addr{})
		synctest.Wait()
		if st := status(t, h); st.Desired != 0 || st.Advertised != 0 || st.Withheld != 0 {
			t.Errorf("in the end: %+v", st)
		}
		s.Conn.Close()
	})
}

// What may change while a session goes on: which prefixes may be exported, graceful
// shutdown, BFD.
func TestChangesThatSessionsSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		c := conf(hostA, hostB)
		c.Export = bgptest.Prefixes("172.19.0.0/16", "172.19.100.0/24", "2001:db8::/32")
		a := speak(t, n, hostA, true, c)
		b := speak(t, n, hostB, true, passive(conf(hostB, hostA)))
		announce(a, hostB, &bgp.Attrs{Communities: []wire.Community{7}}, "172.19.100.1/32", "172.20.0.1/32", "172.16.0.0/12", "2001:db8:1::/64", "10.0.0.0/8")
		b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32", "2001:db8:1::/64")
		synctest.Wait()
		if st := status(t, a); st.Withheld != 3 || st.Foreign != 3 || st.Desired != 5 {
			t.Errorf("withheld %d, foreign %d", st.Withheld, st.Foreign)
		}
		c.Export = bgptest.Prefixes("172.16.0.0/12")
		if err := a.SetPeers([]bgp.Config{c}); err != nil {
			t.Fatal(err)
		}
		b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32", "172.20.0.1/32", "172.16.0.0/12")
		c.Export = []netip.Prefix{}
		a.SetPeers([]bgp.Config{c})
		b.heard.WaitRoutes(t, hostA.String())
		c.Export, c.GracefulShutdown = nil, true
		a.SetPeers([]bgp.Config{c})
		h := b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32", "172.20.0.1/32", "172.16.0.0/12", "2001:db8:1::/64", "10.0.0.0/8")
		for p, attrs := range h.Routes {
			if !slices.Equal(attrs.Communities, []wire.Community{7, wire.CommunityGracefulShutdown}) {
				t.Errorf("%v: communities %v", p, attrs.Communities)
			}
		}
		c.GracefulShutdown = false
		c.BFD = &bgp.BFD{Profile: bfd.Profile{DetectMultiplier: 5}}
		a.SetPeers([]bgp.Config{c})
		b.heard.Wait(t, hostA.String(), "the community to go", func(h bgptest.Heard) bool {
			for _, attrs := range h.Routes {
				if len(attrs.Communities) > 1 {
					return false
				}
			}
			return true
		})
		if ups := b.heard.Heard(hostA.String()).Ups; ups != 1 {
			t.Errorf("%d sessions", ups)
		}
	})
}

// To internal peers a graceful shutdown is local preference 0 as well.
func TestGracefulShutdownInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		c, d := conf(hostA, hostB), conf(hostB, hostA)
		c.RemoteAS, d.LocalAS, c.GracefulShutdown = c.LocalAS, c.LocalAS, true
		a := speak(t, n, hostA, true, c)
		b := speak(t, n, hostB, true, passive(d))
		announce(a, hostB, &bgp.Attrs{}, "172.19.100.1/32")
		h := b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
		if got := h.Routes[netip.MustParsePrefix("172.19.100.1/32")]; got.LocalPref != wire.Some(0) {
			t.Errorf("local preference %v", got.LocalPref)
		}
	})
}

// Routes towards customers and peers are marked with our AS (RFC 9234 §5).
func TestOnlyToCustomer(t *testing.T) {
	for role, marked := range map[wire.Role]bool{
		wire.RoleProvider: true, wire.RolePeer: true, wire.RoleRouteServer: true,
		wire.RoleCustomer: false, wire.RoleRouteServerClient: false,
	} {
		synctest.Test(t, func(t *testing.T) {
			h, s, _ := scripted(t, func(c *bgp.Config) { c.Role = &role })
			announce(h, hostB, &bgp.Attrs{}, "172.19.100.1/32")
			s.Establish(openB())
			got := s.Table()[netip.MustParsePrefix("172.19.100.1/32")]
			if (got.OnlyToCustomer == 65001) != marked || (got.OnlyToCustomer == 0) == marked {
				t.Errorf("%v: ONLY_TO_CUSTOMER %d", role, got.OnlyToCustomer)
			}
			s.Conn.Close()
		})
	}
}

// Shut by configuration: the peer is told why, and comes back when that ends.
func TestShutdownByConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		c := conf(hostA, hostB)
		a := speak(t, n, hostA, true, c)
		b := speak(t, n, hostB, true, conf(hostB, hostA))
		announce(a, hostB, &bgp.Attrs{}, "172.19.100.1/32")
		b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
		synctest.Wait()
		downs := len(b.heard.Heard(hostA.String()).Downs)
		c.Shutdown, c.ShutdownText = true, "rack 7 is being moved"
		a.SetPeers([]bgp.Config{c})
		d := b.heard.WaitDown(t, hostA.String(), downs+1).Downs[downs]
		if want := `notification received: Cease/Administrative Shutdown (6/2): "rack 7 is being moved"`; d.String() != want {
			t.Errorf("b: %v, want %s", d, want)
		}
		pass(10 * time.Minute)
		if st := status(t, a); st.State != bgp.Idle || !st.RetryAt.IsZero() || b.heard.Heard(hostA.String()).Up {
			t.Errorf("shut for ten minutes: %+v", st)
		}
		c.Shutdown = false
		a.SetPeers([]bgp.Config{c})
		b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
	})
}

// watcher is a Detector that remembers whom it is to watch.
type watcher struct {
	mu    sync.Mutex
	names []string
}

func (w *watcher) Set(paths []bfd.Config) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names = nil
	for _, p := range paths {
		w.names = append(w.names, p.Remote.String())
	}
	return nil
}

func (w *watcher) Status() []bfd.SessionStatus { return nil }

func (w *watcher) watched() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.names, " ")
}

// Hosts within a prefix become neighbors when they connect, and are forgotten a while
// after they left.
func TestDynamicNeighbors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		template := bgp.Config{
			Name: "rack", LocalAS: 65002, AnyExternal: true, RouterID: hostB, Families: both,
			RemotePrefix: netip.MustParsePrefix("192.0.2.0/24"), DynamicLimit: 2, BFD: &bgp.BFD{},
		}
		heard, w := bgptest.NewRecorder(), &watcher{}
		s, err := bgp.NewServer(bgp.Options{Listener: n.Listen, ListenAddrs: []netip.AddrPort{at(hostB)}, Handler: heard, Detector: w})
		if err != nil {
			t.Fatal(err)
		}
		fixed := conf(hostB, netip.MustParseAddr("192.0.2.9"))
		fixed.RemoteAS = 65009
		if err := s.SetPeers([]bgp.Config{template, fixed}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		names := func() string {
			synctest.Wait()
			var out []string
			for _, st := range s.Status() {
				out = append(out, fmt.Sprintf("%s(%s)", st.Name, st.Config.Template))
			}
			return strings.Join(out, " ")
		}
		a := speak(t, n, hostA, false, conf(hostA, hostB))
		announce(a, hostB, &bgp.Attrs{}, "172.19.100.1/32")
		h := heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
		if h.Session.Config.Template != "rack" || h.Session.RemoteAS != 65001 || h.Session.Config.RemotePrefix.IsValid() {
			t.Errorf("session %+v", h.Session)
		}
		c := speak(t, n, hostC, false, conf(hostC, hostB))
		heard.WaitUp(t, hostC.String(), 1)
		if got, want := names(), "192.0.2.1(rack) 192.0.2.3(rack) 192.0.2.9()"; got != want {
			t.Errorf("neighbors %s, want %s", got, want)
		}
		if got := w.watched(); got != "192.0.2.1 192.0.2.3" {
			t.Errorf("watched: %s", got)
		}
		// The third is one too many, and a host outside the prefix is a stranger.
		d := netip.MustParseAddr("192.0.2.4")
		for _, host := range []netip.Addr{d, netip.MustParseAddr("198.51.100.1")} {
			k, err := n.Dial(t.Context(), host, at(hostB))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.Read(make([]byte, 1)); err == nil {
				t.Errorf("%v is talked to", host)
			}
		}
		// A changed template reaches the neighbors, as far as it concerns them.
		template.GracefulShutdown = true
		if err := s.SetPeers([]bgp.Config{template, fixed}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if ups := heard.Heard(hostA.String()).Ups; ups != 1 || !s.Status()[0].Config.GracefulShutdown {
			t.Errorf("%d sessions; %+v", ups, s.Status()[0].Config)
		}
		a.stop()
		heard.WaitDown(t, hostA.String(), 1)
		pass(29 * time.Second)
		if got, want := names(), "192.0.2.1(rack) 192.0.2.3(rack) 192.0.2.9()"; got != want {
			t.Errorf("after 29 s %s, want %s", got, want)
		}
		pass(2 * time.Second)
		if got, want := names(), "192.0.2.3(rack) 192.0.2.9()"; got != want {
			t.Errorf("after 31 s %s, want %s", got, want)
		}
		s.SetPeers([]bgp.Config{fixed})
		if down := heard.WaitDown(t, hostC.String(), 1).Downs[0]; down.Cause != bgp.CauseDeconfigured {
			t.Errorf("c went by %v", down)
		}
		if got := names(); got != "192.0.2.9()" || w.watched() != "" {
			t.Errorf("in the end %s, watched %s", got, w.watched())
		}
		c.stop()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Replace states everything: what is not in it goes, what is stays untouched.
func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := scripted(t)
		attrs := &bgp.Attrs{}
		all := func(prefixes ...string) {
			h.Replace(hostB.String(), func(yield func(netip.Prefix, *bgp.Attrs) bool) {
				for _, p := range bgptest.Prefixes(prefixes...) {
					if !yield(p, attrs) {
						return
					}
				}
			})
		}
		all("172.19.100.1/32", "172.19.100.2/32", "2001:db8:1::/64")
		s.Establish(openB())
		if got := s.Table(); len(got) != 3 {
			t.Fatalf("table %v", got)
		}
		before := status(t, h).Sent.Updates
		all("172.19.100.2/32", "2001:db8:1::/64")
		all("172.19.100.2/32", "2001:db8:1::/64")
		if u := s.NextUpdate(); len(u.NLRI) > 0 || !slices.Equal(u.Withdrawn, bgptest.Prefixes("172.19.100.1/32")) {
			t.Errorf("got %+v", u)
		}
		all("172.19.100.3/32")
		routes := map[netip.Prefix]*wire.Attrs{}
		for n := 0; n < 3; {
			u := s.NextUpdate()
			n += len(u.NLRI) + len(u.Withdrawn)
			bgptest.Apply(routes, u)
		}
		synctest.Wait()
		st := status(t, h)
		if len(routes) != 1 || st.Desired != 1 || st.Advertised != 1 || st.Sent.Updates-before > 4 {
			t.Errorf("routes %v, status %+v", routes, st)
		}
		s.Conn.Close()
	})
}

// End-of-RIB waits until the caller has stated everything: a peer that kept our routes
// drops the others then.
func TestEndOfRIBWaitsForCompletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		b := speak(t, n, hostB, true, passive(conf(hostB, hostA)))
		a, err := bgp.NewServer(bgp.Options{Dialer: n.Dialer(hostA), Incomplete: true})
		if err != nil {
			t.Fatal(err)
		}
		a.SetPeers([]bgp.Config{conf(hostA, hostB)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		h := &host{Server: a}
		b.heard.WaitUp(t, hostA.String(), 1)
		announce(h, hostB, &bgp.Attrs{}, "172.19.100.1/32")
		b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
		pass(time.Minute)
		if ends := b.heard.Heard(hostA.String()).Ends; len(ends) > 0 {
			t.Errorf("End-of-RIB of %v before the table was complete", ends)
		}
		announce(h, hostB, &bgp.Attrs{}, "172.19.100.2/32")
		a.Complete()
		heard := b.heard.Wait(t, hostA.String(), "End-of-RIB", func(h bgptest.Heard) bool { return len(h.Ends) == 2 })
		if len(heard.Routes) != 2 {
			t.Errorf("End-of-RIB after %d routes", len(heard.Routes))
		}
		a.Reset("", hostB.String())
		b.heard.WaitUp(t, hostA.String(), 2)
		b.heard.Wait(t, hostA.String(), "End-of-RIB of the next session", func(h bgptest.Heard) bool { return len(h.Ends) == 2 })
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
