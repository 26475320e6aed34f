package router

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

// kernel is a FIB that behaves: it holds what it was told and counts how often.
type kernel struct {
	routes map[netip.Prefix]rib.HopSet
	stale  map[netip.Prefix]bool
	calls  int
	refuse bool
	lost   []rib.Route // refused, mended by Verify
	checks int

	avoided   []rib.Hop
	resilient bool
}

func (k *kernel) Apply(routes []rib.Route) error {
	k.calls++
	if k.refuse {
		k.lost = append(k.lost, routes...)
		return errors.New("refused")
	}
	for _, r := range routes {
		delete(k.stale, r.Prefix)
		if r.Hops.Len() == 0 {
			delete(k.routes, r.Prefix)
		} else {
			k.routes[r.Prefix] = r.Hops
		}
	}
	return nil
}

func (k *kernel) Avoid(hops []rib.Hop) error {
	k.avoided = append(k.avoided, hops...)
	for p, set := range k.routes {
		left := slices.DeleteFunc(set.Hops(), func(h rib.Hop) bool { return slices.Contains(hops, h) })
		if len(left) > 0 {
			k.routes[p] = rib.NewHopSet(left...)
		}
	}
	return nil
}

func (k *kernel) Resilient(on bool) error { k.resilient = on; return nil }

func (k *kernel) Sweep() error {
	for p := range k.stale {
		delete(k.routes, p)
	}
	clear(k.stale)
	return nil
}

func (k *kernel) Flush() error { clear(k.routes); return nil }
func (k *kernel) Len() int     { return len(k.routes) }

func (k *kernel) Verify() (int, error) {
	k.checks++
	if k.refuse {
		return 0, errors.New("refused")
	}
	n := len(k.lost)
	lost := k.lost
	k.lost = nil
	return n, k.Apply(lost)
}

// view is what the kernel has, as text.
func (k *kernel) view() string {
	var lines []string
	for p, set := range k.routes {
		line := p.String() + " via"
		for _, h := range set.Hops() {
			line += " " + strings.TrimPrefix(h.Addr.String(), "10.10.2.")
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// links are one segment, present or not.
type links struct {
	nets    []rib.Connected
	changed chan struct{}
}

func (l *links) Connected() ([]rib.Connected, error) { return l.nets, nil }
func (l *links) Changed() <-chan struct{}            { return l.changed }

var segment = []rib.Connected{{Prefix: netip.MustParsePrefix("10.10.2.210/24"), Index: 2, Device: "Ethernet1-1"}}

// speaker keeps the peers that it was given and reports them Established.
type speaker struct {
	handler bgp.Handler
	peers   map[string]bgp.Config
	sets    int
	said    sync.Mutex
	reset   []string
	refusal []string
	set     *sync.Mutex // the router's
	loose   bool        // told its peers by somebody who did not hold it
}

func (s *speaker) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (s *speaker) Status() []bgp.SessionStatus   { return nil }
func (s *speaker) Reset(_ string, names ...string) {
	s.said.Lock()
	defer s.said.Unlock()
	s.reset = append(s.reset, names...)
}

func (s *speaker) Refresh(f wire.Family, names ...string) {
	s.said.Lock()
	defer s.said.Unlock()
	for _, name := range names {
		s.reset = append(s.reset, "refresh "+f.String()+" "+name)
	}
}

func (s *speaker) Refuse(peer string, n *wire.Notification) {
	s.said.Lock()
	defer s.said.Unlock()
	s.refusal = append(s.refusal, peer+" "+n.String())
}

// resets are the neighbors reset since it was last asked.
func (s *speaker) resets() []string {
	s.said.Lock()
	defer s.said.Unlock()
	out := s.reset
	s.reset = nil
	return out
}

func (s *speaker) refused() []string {
	s.said.Lock()
	defer s.said.Unlock()
	return s.refusal
}
func (s *speaker) SetPeers(peers []bgp.Config) error {
	s.sets++
	if s.set.TryLock() { // a list made earlier could come later
		s.loose = true
		s.set.Unlock()
	}
	s.peers = make(map[string]bgp.Config)
	for _, p := range peers {
		s.peers[p.Name] = p
	}
	return nil
}

// bench is a router in a bubble of synctest with fakes around it.
type bench struct {
	*Router
	t       *testing.T
	kernel  *kernel
	links   *links
	speaker *speaker
	stop    context.CancelFunc
	ended   chan error
}

func neighbor(n int) Neighbor {
	return Neighbor{
		Addr: netip.AddrFrom4([4]byte{10, 10, 2, byte(n)}), AS: 65211,
		HoldTime: 180 * time.Second, KeepaliveTime: time.Minute, Families: []wire.Family{wire.IPv4Unicast},
	}
}

func config() Config {
	return Config{
		AS: 65210, RouterID: netip.MustParseAddr("1.1.1.1"), IPv4: rib.Policy{MaxPaths: 3},
		Neighbors: []Neighbor{neighbor(112), neighbor(113), neighbor(114)},
	}
}

func newBench(t *testing.T, change func(*bench)) *bench {
	b := &bench{
		t:      t,
		kernel: &kernel{routes: map[netip.Prefix]rib.HopSet{}, stale: map[netip.Prefix]bool{}},
		links:  &links{nets: segment, changed: make(chan struct{}, 1)},
		ended:  make(chan error, 1),
	}
	if change != nil {
		change(b)
	}
	var err error
	b.Router, err = New(Options{
		FIB: b.kernel, Links: b.links,
		NewSpeaker: func(h bgp.Handler) (Speaker, error) {
			b.speaker = &speaker{handler: h}
			return b.speaker, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.speaker.set = &b.set
	if err := b.Set(config()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	b.stop = stop
	go func() { b.ended <- b.Run(ctx) }()
	synctest.Wait()
	return b
}

func (b *bench) finish() {
	b.t.Helper()
	b.stop()
	if err := <-b.ended; err != nil {
		b.t.Error(err)
	}
	if b.speaker.loose {
		b.t.Error("the speaker was told its peers out of turn")
	}
}

func name(n int) string { return fmt.Sprintf("10.10.2.%d", n) }

func (b *bench) up(ns ...int) {
	for _, n := range ns {
		b.speaker.handler.Established(name(n), bgp.SessionStatus{RemoteID: netip.MustParseAddr(name(n))})
	}
}

func (b *bench) announce(n int, prefixes ...string) {
	u := &wire.Update{Attrs: &wire.Attrs{ASPath: wire.Sequence(65211), NextHop: netip.MustParseAddr(name(n))}}
	for _, p := range prefixes {
		u.NLRI = append(u.NLRI, netip.MustParsePrefix(p))
	}
	b.speaker.handler.Update(name(n), u)
}

func (b *bench) want(what, want string) {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock() // the fakes are used under it
	got := b.kernel.view()
	b.mu.Unlock()
	if got != want {
		b.t.Errorf("%s: the kernel has %q, want %q", what, got, want)
	}
}

// locked runs f while the router leaves the fakes alone.
func (b *bench) locked(f func()) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *bench) shown(p string) string {
	e, ok := b.Lookup(netip.MustParsePrefix(p))
	if !ok {
		return ""
	}
	var out []string
	for _, p := range e.Paths {
		mark := ""
		if p.Fault == rib.Deleted {
			mark = "x"
		}
		out = append(out, strings.TrimPrefix(p.NextHop.String(), "10.10.2.")+mark)
	}
	return strings.Join(out, " ")
}

func TestNeighborComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.up(112, 113, 114)
		for n := 112; n <= 114; n++ {
			b.announce(n, "172.19.100.1/32")
		}
		b.want("three neighbors", "172.19.100.1/32 via 112 113 114")
		b.speaker.handler.Closed(name(112), bgp.Down{})
		b.want("one is lost", "172.19.100.1/32 via 113 114")
		if got := b.shown("172.19.100.1/32"); got != "114 113 112x" {
			t.Errorf("shown are %q", got)
		}

		// It comes back with another route, and ends its table.
		b.up(112)
		b.announce(112, "172.19.100.2/32")
		b.want("one is back", "172.19.100.1/32 via 113 114\n172.19.100.2/32 via 112")
		if got := b.shown("172.19.100.1/32"); got != "114 113 112x" {
			t.Errorf("before its End-of-RIB %q are shown", got)
		}
		b.speaker.handler.EndOfRIB(name(112), wire.IPv4Unicast)
		synctest.Wait()
		if got := b.shown("172.19.100.1/32"); got != "114 113" {
			t.Errorf("after its End-of-RIB %q are shown", got)
		}

		// One goes for good: its path is shown for a while.
		b.speaker.handler.Closed(name(113), bgp.Down{})
		pass(keepDeleted - time.Second)
		synctest.Wait()
		if got := b.shown("172.19.100.1/32"); got != "114 113x" {
			t.Errorf("shown are %q", got)
		}
		pass(2 * time.Second)
		synctest.Wait()
		if got := b.shown("172.19.100.1/32"); got != "114" {
			t.Errorf("long after its end %q are shown", got)
		}
	})
}

// What arrives while the loop is busy reaches the kernel in few calls.
func TestBurstsAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.up(112, 113, 114)
		b.locked(func() { b.kernel.calls = 0 })
		b.mu.Lock() // the loop is busy
		for i := range 60 {
			b.announce(112+i%3, fmt.Sprintf("172.19.%d.1/32", i/3))
		}
		b.mu.Unlock()
		b.locked(func() {
			if b.kernel.calls > 3 || b.kernel.Len() != 20 {
				t.Errorf("60 updates made %d calls and %d routes", b.kernel.calls, b.kernel.Len())
			}
		})
	})
}

func TestLinkLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.up(112)
		b.announce(112, "172.19.100.1/32")
		b.want("up", "172.19.100.1/32 via 112")
		var checks int
		b.locked(func() { checks, b.links.nets = b.kernel.checks, nil })
		b.links.changed <- struct{}{}
		b.want("down", "")
		b.locked(func() { b.links.nets = segment })
		b.links.changed <- struct{}{}
		b.want("up again", "172.19.100.1/32 via 112")
		pass(2 * verifySoon)
		b.locked(func() {
			if b.kernel.checks == checks {
				t.Error("the kernel's table was not verified after the link changed")
			}
		})
	})
}

func TestEarlierRunsRoutes(t *testing.T) {
	old := func(b *bench) {
		for _, p := range []string{"172.19.100.1/32", "172.19.100.9/32"} {
			p := netip.MustParsePrefix(p)
			b.kernel.routes[p], b.kernel.stale[p] = rib.NewHopSet(rib.Hop{Addr: netip.MustParseAddr(name(112)), Index: 2}), true
		}
	}
	const both = "172.19.100.1/32 via 112\n172.19.100.9/32 via 112"
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, old)
		defer b.finish()
		b.want("at first", both)
		b.up(112, 113, 114)
		b.announce(112, "172.19.100.1/32")
		for n := 112; n <= 113; n++ {
			b.speaker.handler.EndOfRIB(name(n), wire.IPv4Unicast)
		}
		b.want("while one neighbor is awaited", both)
		b.speaker.handler.EndOfRIB(name(114), wire.IPv4Unicast)
		b.want("when all have sent their tables", "172.19.100.1/32 via 112")
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, old)
		defer b.finish()
		b.up(112)
		b.announce(112, "172.19.100.1/32")
		pass(sweepAfter - time.Second)
		b.want("before the bound", both)
		pass(2 * time.Second)
		b.want("after the bound", "172.19.100.1/32 via 112")
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, old)
		defer b.finish()
		b.reconfigure(dynamicConfig())
		b.up(112)
		b.speaker.handler.EndOfRIB(name(112), wire.IPv4Unicast)
		b.want("neighbors of a prefix may come yet", both)
		b.admitted(113)
		b.announce(113, "172.19.100.1/32")
		b.later(sweepAfter)
		b.want("after the bound", "172.19.100.1/32 via 113")
	})
}

func TestRefusedRoutesAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.up(112)
		b.locked(func() { b.kernel.refuse = true })
		b.announce(112, "172.19.100.1/32")
		pass(10 * time.Second)
		b.want("refused", "")
		b.locked(func() {
			if b.kernel.checks < 2 || b.kernel.checks > 20 {
				t.Errorf("%d attempts within 10 s", b.kernel.checks)
			}
			b.kernel.refuse = false
		})
		pass(verifyRetry)
		b.want("accepted", "172.19.100.1/32 via 112")
	})
}

func TestReconfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		b.up(112, 113, 114)
		for n := 112; n <= 114; n++ {
			b.announce(n, "172.19.100.1/32")
		}
		b.want("three", "172.19.100.1/32 via 112 113 114")

		c := config()
		c.IPv4.MaxPaths, c.Resilient = 2, true
		set := func(c Config) {
			t.Helper()
			if err := b.Set(c); err != nil {
				t.Fatal(err)
			}
		}
		set(c)
		b.want("maximum-paths 2", "172.19.100.1/32 via 112 113")
		b.locked(func() {
			if !b.kernel.resilient {
				t.Error("the kind of sets was not chosen")
			}
		})

		c.Neighbors = c.Neighbors[1:]
		set(c)
		b.want("112 is not configured any more", "172.19.100.1/32 via 113 114")
		b.announce(112, "172.19.100.5/32")
		b.want("and its last words do not count", "172.19.100.1/32 via 113 114")

		c.Neighbors = slices.Clone(c.Neighbors)
		c.Neighbors[0].Shutdown = true
		c.Neighbors[1].Families = nil
		set(c)
		if len(b.speaker.peers) != 0 || len(b.Status().Neighbors) != 2 {
			t.Errorf("sessions %v", b.speaker.peers)
		}

		bad := c
		bad.RouterID = netip.Addr{}
		sets := b.speaker.sets
		if err := b.Set(bad); err == nil {
			t.Error("a configuration without a router ID was taken")
		}
		twice := config()
		twice.Neighbors[1] = twice.Neighbors[0]
		if err := b.Set(twice); err == nil || b.speaker.sets != sets || b.Status().AS != 65210 || len(b.Status().Neighbors) != 2 {
			t.Errorf("a neighbor given twice: %v; the old configuration must stay", err)
		}

		// Another AS number: everything is learned anew.
		c = config()
		c.AS = 65220
		set(c)
		b.want("another AS", "")
		b.up(112)
		b.announce(112, "172.19.100.1/32")
		b.want("learned anew", "172.19.100.1/32 via 112")
	})
}

func TestEndRemovesRoutesUnlessKept(t *testing.T) {
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil)
			b.opt.KeepRoutes = keep
			b.up(112)
			b.announce(112, "172.19.100.1/32")
			b.want("up", "172.19.100.1/32 via 112")
			b.finish()
			if left := b.kernel.Len(); left != map[bool]int{false: 0, true: 1}[keep] {
				t.Errorf("keep %v: %d routes are left", keep, left)
			}
			// Whoever is late is not blocked.
			for range 2 * queueLen {
				b.announce(112, "172.19.100.2/32")
			}
		})
	}
}
