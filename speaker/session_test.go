package speaker

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
	"github.com/pharoslb/pharos/why"
)

// Sessions are made on a loopback interface that is the sandbox's own.
func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

// collector is the far end's Handler: it keeps what it is told.
type collector struct {
	bgp.NopHandler
	mu     sync.Mutex
	routes map[netip.Prefix]string
	closed []string
}

func (c *collector) Update(_ string, u *wire.Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range u.Withdrawn {
		delete(c.routes, p)
	}
	for _, p := range u.NLRI {
		next := u.Attrs.NextHop
		if p.Addr().Is6() {
			next = u.Attrs.NextHop6
		}
		c.routes[p] = fmt.Sprintf("via %s path %v origin %v pref %v %v", next, u.Attrs.ASPath, u.Attrs.Origin, u.Attrs.LocalPref.Set, u.Attrs.Communities)
	}
}

func (c *collector) Closed(_ string, why bgp.Down) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.routes)
	c.closed = append(c.closed, why.String())
}

func (c *collector) dump() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for p, r := range c.routes {
		lines = append(lines, fmt.Sprint(p, " ", r))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// until waits until get returns want.
func until(t *testing.T, want string, get func() string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for get() != want {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for\n%s\nit is\n%s", want, get())
		}
	}
}

// background runs f until stop is called, which returns f's error.
func background(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// The whole way from a Snapshot to the far end's table, over TCP with
// signatures: both families on one session, withdrawal, a new community, and
// the goodbye.
func TestRoutesReachThePeer(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	const password = "not so secret"
	near, far := addr("10.10.2.1"), addr("10.10.2.210")
	here, err := netns.Current("sandbox")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	for _, a := range []netip.Addr{near, far} {
		if err := here.AddAddr("lo", netip.PrefixFrom(a, 32)); err != nil {
			t.Fatal(err)
		}
	}
	got := &collector{routes: map[netip.Prefix]string{}}
	tor, err := bgp.NewServer(bgp.Options{Listener: bgptcp.Listen, ListenAddrs: []netip.AddrPort{netip.AddrPortFrom(far, 1179)}, Handler: got})
	if err != nil {
		t.Fatal(err)
	}
	if err := tor.SetPeers([]bgp.Config{{
		Name: "node", LocalAS: 65210, RemoteAS: 65211, RouterID: far, LocalAddr: far, RemoteAddr: near, Passive: true, Password: password,
		Families: []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast},
	}}); err != nil {
		t.Fatal(err)
	}
	background(t, tor.Run)

	sessions, err := bgp.NewServer(bgp.Options{Dialer: bgptcp.Dialer{}})
	if err != nil {
		t.Fatal(err)
	}
	feed := newFeed()
	s, err := New(Options{Node: "n1"}, Edge{Source: feed, Recorder: &notebook{}, Sessions: sessions})
	if err != nil {
		t.Fatal(err)
	}
	goodbye := background(t, sessions.Run)
	background(t, s.Run)

	cfg := base()
	cfg.Peers = []pharos.Peer{{Name: "tor", LocalAS: 65211, RemoteAS: 65210, Addr: far, Port: 1179, SourceAddr: near, Password: password, DualStack: true}}
	web := service("web", "172.19.100.1", "fd01::1")
	world := pharos.Snapshot{Synced: true, Config: cfg, Nodes: cluster(node(1), node(2))}
	world.Services = world.Services.With(web.Name, web)
	world.Endpoints = world.Endpoints.With(web.Name, backends("n2"))
	show := func() {
		snap := world
		feed.set(&snap)
	}
	show()
	until(t, "172.19.100.1/32 via 10.10.2.1 path 65211 origin INCOMPLETE pref false []\n"+
		"fd01::1/128 via fd00::1 path 65211 origin INCOMPLETE pref false []", got.dump)
	st := s.Status()
	if ses := st.Sessions[0]; ses.Peer != "tor" || ses.State != "Established" || ses.Addr != netip.AddrPortFrom(far, 1179) ||
		!ses.Authenticated || ses.HoldTime != 9*time.Second || ses.KeepaliveTime != 3*time.Second || ses.Desired != 2 {
		t.Errorf("session %+v", ses)
	}

	world.Endpoints = world.Endpoints.With(web.Name, backends("n2:down"))
	show()
	until(t, "", got.dump)

	tagged := *cfg
	tagged.Advertisements = slices.Clone(cfg.Advertisements)
	pref := uint32(300)
	tagged.Advertisements[0].Communities, tagged.Advertisements[0].LocalPref = []pharos.Community{65211<<16 | 7}, &pref
	world.Config = &tagged
	web4 := service("web", "172.19.100.1")
	world.Services = world.Services.With(web.Name, web4)
	world.Endpoints = world.Endpoints.With(web.Name, backends("n1"))
	show()
	until(t, "172.19.100.1/32 via 10.10.2.1 path 65211 origin INCOMPLETE pref false [65211:7]", got.dump)

	goodbye()
	until(t, "", got.dump)
	got.mu.Lock()
	defer got.mu.Unlock()
	if len(got.closed) != 1 || !strings.Contains(got.closed[0], "notification received: Cease") {
		t.Errorf("the peer saw the session end by %q", got.closed)
	}
}

func TestSessionConfig(t *testing.T) {
	hold, keep, connect := 30*time.Second, 5*time.Second, 7*time.Second
	v4only := &pharos.Node{Name: "n1", Addresses: []netip.Addr{addr("10.10.2.112")}}
	v6only := &pharos.Node{Name: "n1", Addresses: []netip.Addr{addr("fd00::112")}}
	both := []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast}
	tor := func(address string, edit ...func(*pharos.Peer)) pharos.Peer {
		p := peer("p", address)
		for _, f := range edit {
			f(&p)
		}
		return p
	}
	dual := func(p *pharos.Peer) { p.DualStack = true }
	cases := []struct {
		name string
		peer pharos.Peer
		node *pharos.Node
		want bgp.Config // without what is of the plain peer
	}{
		{"defaults: one family, one hop", tor("10.10.2.210"), v4only, bgp.Config{}},
		{"the ConfigMap's peers may be anywhere", tor("10.10.2.210", func(p *pharos.Peer) { p.AnyDistance = true }), v4only, bgp.Config{MultiHop: true}},
		{"ebgpMultiHop", tor("10.10.2.210", func(p *pharos.Peer) { p.EBGPMultiHop = true }), v4only, bgp.Config{MultiHop: true}},
		{"router id, timers, port and source", tor("10.10.2.210", func(p *pharos.Peer) {
			p.Port, p.RouterID, p.HoldTime, p.KeepaliveTime, p.ConnectTime, p.SourceAddr = 1790, addr("9.9.9.9"), &hold, &keep, &connect, addr("10.10.2.113")
		}), v4only, bgp.Config{
			Name: "10.10.2.210:1790 from 10.10.2.113", RouterID: addr("9.9.9.9"), HoldTime: &hold, KeepaliveTime: &keep, ConnectRetry: connect,
			LocalAddr: addr("10.10.2.113"), RemotePort: 1790,
		}},
		{"port 0 is 179", tor("10.10.2.210", func(p *pharos.Peer) { p.Port = 0 }), v4only, bgp.Config{Name: "10.10.2.210:179"}},
		{"both families over IPv4: IPv6 goes to the node's address", tor("10.10.2.210", dual), node(1), bgp.Config{
			RouterID: addr("10.10.2.1"), Families: both, NextHopIPv6: addr("fd00::1"),
		}},
		{"both families over IPv6: IPv4 goes to the node's address", tor("fd00::210", dual), node(1), bgp.Config{
			Name: "[fd00::210]:179", RouterID: addr("10.10.2.1"), RemoteAddr: addr("fd00::210"), Families: both, NextHopIPv4: addr("10.10.2.1"),
		}},
		{"both families, and the node has one", tor("10.10.2.210", dual), v4only, bgp.Config{Families: both}},
		{"by interface: both families by IPv6 next hops", tor("", func(p *pharos.Peer) { p.Interface = "eth1" }), node(1), bgp.Config{
			Name: "eth1:179", RouterID: addr("10.10.2.1"), Interface: "eth1", Families: both,
		}},
		{"a node without IPv4 has the checksum of its name", tor("fd00::210"), v6only, bgp.Config{
			Name: "[fd00::210]:179", RemoteAddr: addr("fd00::210"), RouterID: addr("236.84.121.235"),
		}},
		{"dynamic internal", tor("10.10.2.210", func(p *pharos.Peer) { p.RemoteAS, p.DynamicAS = 0, pharos.Internal }), v4only, bgp.Config{RemoteAS: 65211}},
		{"dynamic external", tor("10.10.2.210", func(p *pharos.Peer) { p.RemoteAS, p.DynamicAS = 0, pharos.External }), v4only, bgp.Config{RemoteAS: 0, AnyExternal: true}},
		{"another AS of ours", tor("10.10.2.210", func(p *pharos.Peer) { p.LocalASOverride = 64999 }), v4only, bgp.Config{LocalAS: 64999}},
		{"dynamic internal, by another AS of ours", tor("10.10.2.210", func(p *pharos.Peer) {
			p.LocalASOverride, p.RemoteAS, p.DynamicAS = 64999, 0, pharos.Internal
		}), v4only, bgp.Config{LocalAS: 64999, RemoteAS: 64999}},
		{"graceful restart", tor("10.10.2.210", func(p *pharos.Peer) { p.GracefulRestart = true }), v4only, bgp.Config{
			GracefulRestart: &bgp.GracefulRestart{Restart: 120 * time.Second, ForwardingLost: true},
		}},
		{"in a VRF", tor("10.10.2.210", func(p *pharos.Peer) { p.VRF = "red" }), v4only, bgp.Config{Name: "10.10.2.210:179 in vrf red", Device: "red"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := c.want
			want.Name = cmp.Or(want.Name, "10.10.2.210:179")
			want.LocalAS = cmp.Or(want.LocalAS, 65211)
			if !want.AnyExternal {
				want.RemoteAS = cmp.Or(want.RemoteAS, 65210)
			}
			if !want.RouterID.IsValid() {
				want.RouterID = addr("10.10.2.112")
			}
			if !want.RemoteAddr.IsValid() && want.Interface == "" {
				want.RemoteAddr = addr("10.10.2.210")
			}
			if want.RemotePort == 0 && c.peer.Port != 0 {
				want.RemotePort = 179
			}
			got := sessionConfig(Options{ForwardingLost: true}, &c.peer, c.node)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, want)
			}
			if err := got.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What keeps a session down is told by name: an address or a VRF that the node lacks,
// a neighbor that nobody found.
func TestReasonsOfSessionsThatAreDown(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	cfg := base()
	source, red, link := peer("source", "127.0.0.1"), peer("red", "127.0.0.1"), peer("link", "")
	source.SourceAddr, red.VRF, link.Interface = addr("192.0.2.77"), "red", "eth9"
	cfg.Peers = []pharos.Peer{source, red, link}
	sessions, err := bgp.NewServer(bgp.Options{Dialer: bgptcp.Dialer{}})
	if err != nil {
		t.Fatal(err)
	}
	feed := newFeed()
	s, err := New(Options{Node: "n1"}, Edge{Source: feed, Recorder: &notebook{}, Sessions: sessions})
	if err != nil {
		t.Fatal(err)
	}
	background(t, sessions.Run)
	background(t, s.Run)
	feed.set(&pharos.Snapshot{Synced: true, Config: cfg, Nodes: cluster(node(1))})
	until(t, "true true true", func() string {
		var told []string
		for i, ses := range s.Status().Sessions {
			want := []string{"source address 192.0.2.77 is none of this host's", `this host has no network device "red"`, "no neighbor was found on interface eth9 yet"}[i]
			told = append(told, fmt.Sprint(ses.Reason.Code == why.SessionDown && strings.Contains(ses.Reason.Detail, want)))
		}
		return strings.Join(told, " ")
	})
}

// Which sessions a node has, and which it must not have: those are told of, and
// disturb no others.
func TestSessionsLeftOut(t *testing.T) {
	secret := peer("secret", "10.10.2.211")
	secret.Refused, secret.Origin = why.New(why.SecretMissing, "Secret metallb-system/tor does not exist"), "BGPPeer metallb-system/secret"
	wrong := peer("wrong", "10.10.2.212")
	wrong.LocalAS = 0
	twin := peer("twin", "10.10.2.210")
	twin.RemoteAS = 65299
	red := peer("red", "10.10.2.210")
	red.VRF = "red"
	elsewhere := peer("elsewhere", "10.10.2.213")
	elsewhere.NodeSelectors = onRack("9")
	cfg := base()
	cfg.Peers = []pharos.Peer{peer("tor", "10.10.2.210"), secret, wrong, twin, red, peer("same", "10.10.2.210"), elsewhere}
	v := NewView(Options{Node: "n1"}, cfg, node(1), cluster(node(1)))
	var got []string
	for _, s := range v.sessions {
		got = append(got, fmt.Sprintf("%s %s %s", s.peer, s.config.Name, s.refused.Code))
	}
	want := []string{
		"tor 10.10.2.210:179 ok", "secret 10.10.2.211:179 secretMissing", "wrong 10.10.2.212:179 configInvalid",
		"twin 10.10.2.210:179 configInvalid", "red 10.10.2.210:179 in vrf red ok",
	}
	if !slices.Equal(got, want) {
		t.Errorf("sessions\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(v.problems) != 2 || !strings.HasPrefix(v.problems[0].String(), `node n1 leaves out peer "wrong"`) ||
		!strings.HasPrefix(v.problems[1].String(), `node n1 leaves out peer "twin"`) {
		t.Errorf("problems %v", v.problems)
	}
	if c := v.configs(); len(c) != 2 || c[0].Name != "10.10.2.210:179" || c[1].Name != "10.10.2.210:179 in vrf red" {
		t.Errorf("the engine is given %v", c)
	}
	const routes = "172.19.100.1 nodeAssigned 172.19.100.1/32>10.10.2.210:179,10.10.2.210:179 in vrf red\nnodeAssigned by n1"
	if got := render(v.Plan(service("web", "172.19.100.1"), backends("n1"))); got != routes {
		t.Errorf("plan\n%s\nwant\n%s", got, routes)
	}

	world := pharos.Snapshot{Synced: true, Config: cfg, Nodes: cluster(node(1))}
	s, err := New(Options{Node: "n1"}, Edge{Source: newFeed(), Recorder: &notebook{}, Sessions: &engine{}})
	if err != nil {
		t.Fatal(err)
	}
	s.Reconcile(&world)
	got = nil
	for _, ses := range s.Status().Sessions {
		got = append(got, fmt.Sprintf("%s %s %q %s %s", ses.Peer, ses.State, ses.VRF, ses.Addr, ses.Reason.Code))
	}
	want = []string{
		`tor Established "" 10.10.2.210:179 ok`, `secret Idle "" 10.10.2.211:179 secretMissing`, `wrong Idle "" 10.10.2.212:179 configInvalid`,
		`twin Idle "" 10.10.2.210:179 configInvalid`, `red Established "red" 10.10.2.210:179 ok`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("status\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Which peers hold a Service's routes is what their sessions carried, not what they
// were meant to.
func TestStatusNamesThePeersThatHoldRoutes(t *testing.T) {
	cfg := base()
	wide := advert("wide", "a")
	wide.AggregationLength, wide.Peers = 24, []string{"tor2"}
	cfg.Advertisements[0].Peers = []string{"tor1"}
	cfg.Advertisements = append(cfg.Advertisements, wide)
	e := &engine{}
	s, err := New(Options{Node: "n1"}, Edge{Source: newFeed(), Recorder: &notebook{}, Sessions: e})
	if err != nil {
		t.Fatal(err)
	}
	web, idle := service("web", "172.19.100.1", "172.19.101.1"), service("idle", "172.19.100.2")
	world := pharos.Snapshot{Synced: true, Config: cfg, Nodes: cluster(node(1))}
	world.Services = world.Services.With(web.Name, web).With(idle.Name, idle)
	world.Endpoints = world.Endpoints.With(web.Name, backends("n1"))
	s.Reconcile(&world)
	peers := func() string {
		var lines []string
		for _, svc := range s.Status().Services {
			for _, a := range svc.Addresses {
				lines = append(lines, fmt.Sprintf("%s%s", a.Addr, a.Peers))
			}
			lines = append(lines, fmt.Sprint(svc.Name.Name, svc.Peers()))
		}
		return strings.Join(lines, " ")
	}
	if got, want := peers(), "172.19.100.2[] idle[] 172.19.100.1[tor1 tor2] 172.19.101.1[tor1 tor2] web[tor1 tor2]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	e.deaf = []string{"10.10.2.210:179"}
	if got, want := peers(), "172.19.100.2[] idle[] 172.19.100.1[tor2] 172.19.101.1[tor2] web[tor2]"; got != want {
		t.Errorf("with one session down: got %s, want %s", got, want)
	}
}
