package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"os"
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
	cfg.Peers = []pharos.Peer{{Name: "tor", LocalAS: 65211, RemoteAS: 65210, Addr: far, Port: 1179, SourceAddr: near, Password: password}}
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
	hold := 30 * time.Second
	v4only := &pharos.Node{Name: "n1", Addresses: []netip.Addr{addr("10.10.2.112")}}
	v6only := &pharos.Node{Name: "n1", Addresses: []netip.Addr{addr("fd00::112")}}
	cases := []struct {
		name string
		peer pharos.Peer
		node *pharos.Node
		want func(c bgp.Config) bool
	}{
		{"defaults", peer("p", "10.10.2.210"), v4only, func(c bgp.Config) bool {
			return c.RouterID == addr("10.10.2.112") && c.HoldTime == nil && c.Name == "10.10.2.210:179" && !c.NextHopIPv6.IsValid() && len(c.Families) == 2
		}},
		{"own router id, hold time and source", pharos.Peer{LocalAS: 1, RemoteAS: 1, Addr: addr("10.10.2.210"), Port: 1790, RouterID: addr("9.9.9.9"), HoldTime: &hold, SourceAddr: addr("10.10.2.113")}, v4only,
			func(c bgp.Config) bool {
				return c.RouterID == addr("9.9.9.9") && *c.HoldTime == hold && c.LocalAddr == addr("10.10.2.113") && c.Name == "10.10.2.210:1790 from 10.10.2.113" && c.RemotePort == 1790
			}},
		{"port 0 is 179", pharos.Peer{LocalAS: 1, RemoteAS: 2, Addr: addr("10.10.2.210")}, v4only, func(c bgp.Config) bool { return c.Name == "10.10.2.210:179" }},
		{"IPv6 routes over IPv4 go to the node's address", peer("p", "10.10.2.210"), node(1), func(c bgp.Config) bool {
			return c.NextHopIPv6 == addr("fd00::1") && !c.NextHopIPv4.IsValid()
		}},
		{"IPv4 routes over IPv6 go to the node's address", peer("p", "fd00::210"), node(1), func(c bgp.Config) bool {
			return c.NextHopIPv4 == addr("10.10.2.1") && !c.NextHopIPv6.IsValid()
		}},
		{"a node without IPv4 has the checksum of its name", peer("p", "fd00::210"), v6only, func(c bgp.Config) bool {
			return c.RouterID == addr("236.84.121.235") && c.Validate() == nil
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := sessionConfig(&c.peer, c.node); !c.want(got) {
				t.Errorf("%+v", got)
			}
		})
	}
}
