package interop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/radv"
	"github.com/pharoslb/pharos/internal/task"
	role "github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

// cluster is what a speaker is told: a Source without Kubernetes, of one node.
type cluster struct {
	changed chan struct{}

	mu   sync.Mutex
	snap pharos.Snapshot
}

// edit changes what the cluster is.
func (c *cluster) edit(f func(*pharos.Snapshot)) {
	c.mu.Lock()
	f(&c.snap)
	c.snap.Revision++
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Changed is of role.Source.
func (c *cluster) Changed() <-chan struct{} { return c.changed }

// Snapshot is of role.Source.
func (c *cluster) Snapshot() *pharos.Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	snap := c.snap
	return &snap
}

// serve adds a Service with endpoints on every node; without addresses it is removed.
func (c *cluster) serve(name string, addrs ...string) {
	c.edit(func(s *pharos.Snapshot) {
		svc := &pharos.Service{Name: pharos.Name{Namespace: "default", Name: name}, Type: pharos.LoadBalancer, Labels: map[string]string{"app": name}}
		if len(addrs) == 0 {
			s.Services = s.Services.Without(svc.Name)
			return
		}
		for _, a := range addrs {
			svc.Ingress = append(svc.Ingress, netip.MustParseAddr(a))
		}
		s.Services = s.Services.With(svc.Name, svc)
		s.Endpoints = s.Endpoints.With(svc.Name, &pharos.Endpoints{Backends: []pharos.Backend{{Addr: netip.MustParseAddr("10.233.64.1"), Ready: true}}})
	})
}

// newCluster has one node, one peer and a pool of each family that is announced to it.
func (m machine) newCluster(peer pharos.Peer) *cluster {
	c := &cluster{changed: make(chan struct{}, 1)}
	c.edit(func(s *pharos.Snapshot) {
		s.Synced = true
		s.Nodes = s.Nodes.With("node", &pharos.Node{Name: "node", Addresses: []netip.Addr{m.v4, m.v6}})
		s.Config = &pharos.Config{
			Reassign: true,
			Pools: []pharos.Pool{{Name: "web", Ranges: []pharos.Range{
				pharos.PrefixRange(netip.MustParsePrefix("172.19.100.0/24")), pharos.PrefixRange(netip.MustParsePrefix("2001:db8:100::/64")),
			}}},
			Peers: []pharos.Peer{peer},
			Advertisements: []pharos.Advertisement{{
				Name: "web", Mode: pharos.BGP, Pools: []string{"web"}, AggregationLength: 32, AggregationLengthV6: 128,
				LargeCommunities: []pharos.LargeCommunity{{Global: 65211, Local1: 7, Local2: 4294967295}, {Global: 65211, Local1: 8}},
			}},
		}
	})
	return c
}

// tor is a peer at the switch.
func tor(edit func(*pharos.Peer)) pharos.Peer {
	p := pharos.Peer{Name: "tor", LocalAS: nodeAS, RemoteAS: switchAS, Addr: switch4, Port: 179}
	edit(&p)
	return p
}

// silent is a Recorder that keeps nothing.
type silent struct{}

func (silent) Service(pharos.Name, why.Reason) {}
func (silent) Config(why.Reason)               {}
func (silent) Node(string, why.Reason)         {}

// linked is the engine with neighbors found on interfaces, as pharos speaker wires it.
type linked struct {
	*bgp.Server
	finder *radv.Finder

	mu    sync.Mutex
	peers []bgp.Config
}

// SetPeers is of role.Sessions.
func (s *linked) SetPeers(peers []bgp.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = peers
	var links []string
	for i := range peers {
		if peers[i].Unnumbered() {
			links = append(links, peers[i].Interface)
		}
	}
	s.finder.Set(links)
	return s.Server.SetPeers(bgp.Resolve(peers, s.finder.Neighbors()))
}

func (s *linked) follow(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.finder.Changed():
			s.mu.Lock()
			err := s.Server.SetPeers(bgp.Resolve(s.peers, s.finder.Neighbors()))
			s.mu.Unlock()
			if err != nil {
				return err
			}
		}
	}
}

// play runs a speaker of the product on a machine, until the test's end or stop.
func (l *lab) play(m machine, c *cluster, opt role.Options) (s *role.Speaker, stop func()) {
	l.t.Helper()
	log := slog.New(slog.NewTextHandler(testLog{l.t}, nil)).With("node", m.Name())
	server, err := bgp.NewServer(bgp.Options{Dialer: transport{m.NS}, Incomplete: true, Log: log})
	l.must(err)
	finder, err := radv.New(radv.Options{Do: m.Do, Log: log})
	l.must(err)
	sessions := &linked{Server: server, finder: finder}
	opt.Node = "node"
	s, err = role.New(opt, role.Edge{Source: c, Recorder: silent{}, Sessions: sessions, Log: log})
	l.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- task.Run(ctx, server.Run, finder.Run, sessions.follow, s.Run) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
	l.t.Cleanup(stop)
	return s, stop
}

// session is the speaker's only one.
func onlySession(s *role.Speaker) role.Session { return s.Status().Sessions[0] }

// What BGPPeer and BGPAdvertisement can say, as FRR shows it.
func TestFRRHearsTheSpeaker(t *testing.T) {
	t.Parallel()
	need(t, "vtysh", frrLib+"/zebra", frrLib+"/bgpd", "dumpcap", "tshark")
	l := newLab(t, 4)
	defer l.capture(onSegment).check("bgp")
	const localAS = 64999
	neighbors := []neighbor{
		{name: "dynamic", local: switch4, remote: l.nodes[0].v4, as: nodeAS, restart: true},
		{name: "local", local: switch4, remote: l.nodes[1].v4, as: localAS, restart: true},
		{name: "dual", local: switch4, remote: l.nodes[2].v4, as: nodeAS, restart: true},
		{name: "internal", local: switch4, remote: l.nodes[3].v4, as: switchAS, restart: true},
	}
	d := &frr{l: l}
	d.start(neighbors)
	const v4, v6 = "172.19.100.1", "2001:db8:100::1"
	start := func(i int, edit func(*pharos.Peer), config ...func(*pharos.Config)) *role.Speaker {
		c := l.nodes[i].newCluster(tor(edit))
		for _, f := range config {
			c.edit(func(s *pharos.Snapshot) { f(s.Config) })
		}
		c.serve("web", v4, v6)
		s, _ := l.play(l.nodes[i], c, role.Options{})
		return s
	}
	t.Run("dynamicASN external, large communities, one family", func(t *testing.T) {
		l, n := l.on(t), neighbors[0]
		s := start(0, func(p *pharos.Peer) { p.RemoteAS, p.DynamicAS = 0, pharos.External })
		l.wantPath(d, n, v4+"/32", func(p path) error {
			if p.aspath != "65211" || p.nextHop != n.remote || p.largeCommunities != "65211:7:4294967295 65211:8:0" {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
		l.wantNone(d, n, v6+"/128")
		l.eventually("the status that says so", func() error { // the daemon may have the route before we count it
			if ses := onlySession(s); ses.RemoteAS != switchAS || ses.Reason.Code != why.OK || ses.Withheld != 1 {
				return fmt.Errorf("session %+v", ses)
			}
			if addrs := s.Status().Services[0].Addresses; !slices.Equal(addrs[0].Peers, []string{"tor"}) || len(addrs[1].Peers) > 0 {
				return fmt.Errorf("addresses %+v", addrs)
			}
			return nil
		})
	})
	t.Run("localASN", func(t *testing.T) {
		l, n := l.on(t), neighbors[1]
		start(1, func(p *pharos.Peer) { p.LocalASOverride = localAS })
		l.wantPath(d, n, v4+"/32", func(p path) error {
			if p.aspath != "64999" {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
	})
	t.Run("both families over one session", func(t *testing.T) {
		l, n := l.on(t), neighbors[2]
		start(2, func(p *pharos.Peer) { p.DualStack = true })
		l.wantPath(d, n, v4+"/32", nil)
		l.wantPath(d, n, v6+"/128", func(p path) error {
			if p.nextHop != l.nodes[2].v6 {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
	})
	t.Run("internal by localASN, with a preference", func(t *testing.T) {
		l, n := l.on(t), neighbors[3]
		pref := uint32(250)
		start(3, func(p *pharos.Peer) { p.LocalASOverride, p.RemoteAS, p.DynamicAS = switchAS, 0, pharos.Internal },
			func(c *pharos.Config) { c.Advertisements[0].LocalPref = &pref })
		l.wantPath(d, n, v4+"/32", func(p path) error {
			if p.aspath != "" || p.localPref != pref {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
	})
}

// A peer that is named by the interface alone: FRR is found there, and has both
// families by link-local next hops.
func TestFRRIsFoundByTheSpeaker(t *testing.T) {
	t.Parallel()
	need(t, "vtysh", frrLib+"/bgpd")
	l := newLab(t, 1)
	node := l.nodes[0]
	l.cable(l.sw, "swp1", node, "up1")
	l.frr(fmt.Sprintf(`router bgp %d
 bgp router-id 1.1.1.1
 no bgp ebgp-requires-policy
 neighbor swp1 interface remote-as external
 neighbor swp1 timers connect 1
 address-family ipv6 unicast
  neighbor swp1 activate
 exit-address-family
`, switchAS))
	c := node.newCluster(tor(func(p *pharos.Peer) {
		p.Addr, p.Interface, p.RemoteAS, p.DynamicAS = netip.Addr{}, "up1", 0, pharos.External
	}))
	c.serve("web", "172.19.100.1", "2001:db8:100::1")
	s, _ := l.play(node, c, role.Options{})
	own := l.linkLocal(node, "up1").String()
	l.wantFRR("ipv4", "172.19.100.1/32", nil, own)
	l.wantFRR("ipv6", "2001:db8:100::1/128", nil, own)
	l.eventually("FRR's kernel route", func() error {
		out, err := l.sw.Output(t.Context(), "ip", "route", "show", "172.19.100.1")
		if err == nil && !strings.Contains(out, "via inet6 "+own) {
			err = fmt.Errorf("%q", out)
		}
		return err
	})
	if ses := onlySession(s); ses.Endpoint() != "up1:179" || ses.RemoteAS != switchAS || ses.Addr.Addr().Zone() != "up1" {
		t.Errorf("session %+v", ses)
	}
	// A peer on a link that is not there says so, and the other goes on.
	c.edit(func(snap *pharos.Snapshot) {
		cfg := *snap.Config
		cfg.Peers = append(slices.Clone(cfg.Peers), tor(func(p *pharos.Peer) {
			p.Name, p.Addr, p.Interface = "other", netip.Addr{}, "up2"
		}))
		snap.Config = &cfg
	})
	l.eventually("the reason of the other session", func() error {
		list := s.Status().Sessions
		if len(list) != 2 || list[0].State != "Established" || !strings.Contains(list[1].Reason.Detail, "no neighbor was found on interface up2 yet") {
			return fmt.Errorf("%+v", list)
		}
		return nil
	})
}

// A speaker restarts: FRR keeps its routes, in its kernel too, and drops at the end of
// the new table what is not announced again. After a reboot of the node it keeps none.
func TestFRRKeepsRoutesOverRestarts(t *testing.T) {
	t.Parallel()
	need(t, "vtysh", frrLib+"/zebra", frrLib+"/bgpd", "dumpcap", "tshark")
	l := newLab(t, 1)
	defer l.capture(onSegment).check("bgp")
	node := l.nodes[0]
	n := neighbor{name: "node", local: switch4, remote: node.v4, as: nodeAS, restart: true}
	d := &frr{l: l}
	d.start([]neighbor{n})
	const stays, goes = "172.19.100.1/32", "172.19.100.2/32"
	stale := func(want bool) func(path) error {
		return func(p path) error {
			if p.stale != want {
				return fmt.Errorf("stale is %v, want %v", p.stale, want)
			}
			return nil
		}
	}
	c := node.newCluster(tor(func(p *pharos.Peer) { p.GracefulRestart = true }))
	c.serve("web", "172.19.100.1")
	c.serve("old", "172.19.100.2")
	_, stop := l.play(node, c, role.Options{})
	l.wantPath(d, n, stays, stale(false))
	l.wantPath(d, n, goes, stale(false))
	l.wantKernel(stays, node.v4.String())

	stop()
	l.wantPath(d, n, stays, stale(true))
	l.wantPath(d, n, goes, stale(true))
	l.wantKernel(stays, node.v4.String())

	// The new one does not know the cluster yet: the session is up, nothing is said.
	c.serve("old")
	c.edit(func(s *pharos.Snapshot) { s.Synced = false })
	s, stop := l.play(node, c, role.Options{})
	up := func(s *role.Speaker) {
		t.Helper()
		l.eventually("the session", func() error {
			if ses := onlySession(s); ses.State != "Established" {
				return errors.New(ses.Reason.Detail)
			}
			return nil
		})
	}
	l.eventually("a session that is known", func() error {
		if len(s.Status().Sessions) == 0 {
			return errors.New("none")
		}
		return nil
	})
	up(s)
	l.eventually("FRR's session", func() error {
		ses, err := d.session(n)
		if err == nil && !ses.up {
			err = errors.New("down")
		}
		return err
	})
	l.wantPath(d, n, stays, stale(true))
	l.wantPath(d, n, goes, stale(true))
	l.wantKernel(stays, node.v4.String())
	c.edit(func(s *pharos.Snapshot) { s.Synced = true })
	l.wantPath(d, n, stays, stale(false))
	l.wantNone(d, n, goes)
	l.wantKernel(stays, node.v4.String())

	// As after a reboot: what FRR kept goes, whatever comes next.
	stop()
	l.wantPath(d, n, stays, stale(true))
	c.edit(func(s *pharos.Snapshot) { s.Synced = false })
	l.play(node, c, role.Options{ForwardingLost: true})
	l.wantNone(d, n, stays)
	l.wantKernel(stays)
	c.edit(func(s *pharos.Snapshot) { s.Synced = true })
	l.wantPath(d, n, stays, stale(false))
}
