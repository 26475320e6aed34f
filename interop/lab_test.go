package interop

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) {
	// Most of the time these tests wait, for daemons that try again after a second or
	// more: there may be more of them at once than processors.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(sandbox.Main(m.Run))
}

const (
	switchAS = 65210
	nodeAS   = 65211
)

var (
	switch4 = netip.MustParseAddr("10.10.2.210")
	switch6 = netip.MustParseAddr("2001:db8:2::210")
	both    = []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast}
)

// machine is a namespace on the segment.
type machine struct {
	*netns.NS
	v4, v6 netip.Addr
}

// lab is a segment, a switch on which a daemon is to run, and nodes.
type lab struct {
	t       *testing.T
	segment *netns.NS
	sw      machine
	nodes   []machine
	dir     string  // for the daemons, readable by their user
	said    *record // by the daemons
	crashed *atomic.Value
}

// need skips the test where the machine cannot run it.
func need(t *testing.T, programs ...string) {
	t.Helper()
	reason := sandbox.Probe()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			reason = errors.Join(reason, fmt.Errorf("%w: make deps installs it", err))
		}
	}
	if sandbox.Rootless() {
		reason = errors.Join(reason, errors.New("the daemons change their user, which takes root"))
	}
	if reason != nil {
		t.Skip(reason)
	}
}

func newLab(t *testing.T, nodes int) *lab {
	t.Helper()
	l := &lab{t: t, said: new(record), crashed: new(atomic.Value)}
	var err error
	if l.dir, err = os.MkdirTemp("", "interop"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(l.dir) })
	l.segment = l.namespace("segment")
	// The kernel has one table of IPv6 neighbors for all namespaces, of 1024 entries
	// (net.ipv6.neigh.default.gc_thresh3), and an interface takes up to four for
	// multicast groups. Those of a bridge need none.
	l.must(l.segment.Sysctl("net.ipv6.conf.default.disable_ipv6", "1"), l.segment.AddBridge("br0"))
	l.sw = l.join("switch", 210)
	for i := range nodes {
		l.nodes = append(l.nodes, l.join(fmt.Sprintf("node%d", i+1), byte(112+i)))
	}
	return l
}

// join makes a machine and puts it on the segment.
func (l *lab) join(name string, last byte) machine {
	l.t.Helper()
	m := machine{
		NS: l.namespace(name),
		v4: netip.AddrFrom4([4]byte{10, 10, 2, last}),
		v6: netip.MustParseAddr(fmt.Sprintf("2001:db8:2::%d", last)),
	}
	port := fmt.Sprintf("port%d", last)
	l.must(
		m.Sysctl("net.ipv6.conf.default.accept_dad", "0"), // addresses serve at once
		netns.Veth(m.NS, "eth0", l.segment, port),
		l.segment.Enslave(port, "br0"),
		m.AddAddr("eth0", netip.PrefixFrom(m.v4, 24)),
		m.AddAddr("eth0", netip.PrefixFrom(m.v6, 64)),
	)
	return m
}

func (l *lab) namespace(name string) *netns.NS {
	l.t.Helper()
	ns, err := netns.New(name)
	l.must(err)
	l.t.Cleanup(func() { ns.Close() })
	return ns
}

func (l *lab) must(errs ...error) {
	l.t.Helper()
	if err := errors.Join(errs...); err != nil {
		l.t.Fatal(err)
	}
}

// file writes a file into the daemons' directory.
func (l *lab) file(name, text string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	l.must(os.WriteFile(path, []byte(text), 0o644))
	return path
}

// run starts a daemon on the switch. It is killed at the test's end, or by stop; if
// it ends by itself the test has failed.
func (l *lab) run(name string, args ...string) (stop func()) {
	l.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = l.dir
	out := l.said
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	l.must(l.sw.Start(cmd))
	var stopped atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := cmd.Wait(); !stopped.Load() {
			l.crashed.Store(fmt.Sprintf("%s ended by itself: %v", name, err))
		}
	}()
	stop = func() {
		if stopped.Swap(true) {
			return
		}
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its children too, before they notice
		<-done
	}
	l.t.Cleanup(func() {
		stop()
		if l.t.Failed() {
			l.t.Logf("%s said:\n%s", name, out.String())
		}
	})
	return stop
}

// ask runs a daemon's command-line client on the switch.
func (l *lab) ask(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	return l.sw.Output(ctx, name, args...)
}

// patience is how long eventually asks.
const patience = time.Minute

// eventually asks again and again until there is nothing to complain about.
func (l *lab) eventually(what string, f func() error) {
	l.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if crash := l.crashed.Load(); crash != nil {
			l.t.Fatalf("%s: %v; %v", what, crash, err)
		}
		select {
		case <-tick.C:
		case <-late:
			l.t.Fatalf("%s: %v", what, err)
		}
	}
}

// kernel returns the next hops that the switch's kernel has for a prefix.
func (l *lab) kernel(prefix string) ([]string, error) {
	p := netip.MustParsePrefix(prefix)
	family := netlink.FAMILY_V6
	if p.Addr().Is4() {
		family = netlink.FAMILY_V4
	}
	dst := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
	routes, err := l.sw.Link().RouteListFiltered(family, &netlink.Route{Dst: dst}, netlink.RT_FILTER_DST)
	if err != nil {
		return nil, err
	}
	var hops []string
	for _, r := range routes {
		if r.Gw != nil {
			hops = append(hops, r.Gw.String())
		}
		for _, n := range r.MultiPath {
			hops = append(hops, n.Gw.String())
		}
	}
	slices.Sort(hops)
	return hops, nil
}

// wantKernel waits for the kernel to have exactly these next hops.
func (l *lab) wantKernel(prefix string, hops ...string) {
	l.t.Helper()
	l.eventually("kernel route to "+prefix, func() error {
		got, err := l.kernel(prefix)
		if err == nil && !slices.Equal(got, hops) {
			err = fmt.Errorf("next hops %v, want %v", got, hops)
		}
		return err
	})
}

// wantRoute waits for what "ip route show" says of a destination; "" is nothing.
func (m machine) wantRoute(l *lab, to, want string) {
	l.t.Helper()
	l.eventually("kernel route to "+to, func() error {
		family := "-4"
		if strings.Contains(to, ":") {
			family = "-6"
		}
		out, err := m.Output(l.t.Context(), "ip", family, "route", "show", to)
		if err == nil && (want == "" && out != "" || !strings.Contains(out, want)) {
			err = fmt.Errorf("%q, want %q", out, want)
		}
		return err
	})
}

// speaker is one of ours, on a node.
type speaker struct {
	*bgp.Server
	heard *bgptest.Recorder
	paths *paths
	stop  func()
}

// paths records, beside what a Recorder does, every path to a prefix that any peer
// announced (RFC 7911).
type paths struct {
	*bgptest.Recorder
	mu   sync.Mutex
	seen map[netip.Prefix]map[uint32]*wire.Attrs
}

// Update implements bgp.Handler.
func (r *paths) Update(peer string, u *wire.Update) {
	r.mu.Lock()
	for i, p := range u.Withdrawn {
		delete(r.seen[p], id(u.WithdrawnPaths, i))
	}
	for i, p := range u.NLRI {
		if r.seen[p] == nil {
			r.seen[p] = make(map[uint32]*wire.Attrs)
		}
		r.seen[p][id(u.NLRIPaths, i)] = u.Attrs
	}
	r.mu.Unlock()
	r.Recorder.Update(peer, u)
}

// to is how many paths there are to a prefix.
func (r *paths) to(prefix string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen[netip.MustParsePrefix(prefix)])
}

func id(ids []uint32, i int) uint32 {
	if len(ids) == 0 {
		return 0
	}
	return ids[i]
}

// transport opens sockets in a node's namespace.
type transport struct{ ns *netns.NS }

func (x transport) Dial(ctx context.Context, c bgp.Config) (conn net.Conn, err error) {
	err = x.ns.Do(func() error {
		conn, err = bgptcp.Dialer{}.Dial(ctx, c)
		return err
	})
	return conn, err
}

func (x transport) listen(ctx context.Context, addr netip.AddrPort) (l bgp.Listener, err error) {
	err = x.ns.Do(func() error {
		l, err = bgptcp.Listen(ctx, addr)
		return err
	})
	return l, err
}

// peer is a node's configuration for the switch.
func (m machine) peer(edit ...func(*bgp.Config)) bgp.Config {
	c := bgp.Config{
		Name: "switch", LocalAS: nodeAS, RemoteAS: switchAS, RouterID: m.v4,
		RemoteAddr: switch4, Families: both, NextHopIPv6: m.v6,
	}
	for _, f := range edit {
		f(&c)
	}
	return c
}

// speak runs one of our speakers on a machine; it listens, too.
func (l *lab) speak(m machine, peers ...bgp.Config) *speaker {
	l.t.Helper()
	return l.serve(m, []netip.AddrPort{netip.AddrPortFrom(m.v4, bgp.Port), netip.AddrPortFrom(m.v6, bgp.Port)}, peers...)
}

// serve runs one of our speakers that listens on the addresses given.
func (l *lab) serve(m machine, listen []netip.AddrPort, peers ...bgp.Config) *speaker {
	l.t.Helper()
	x := transport{m.NS}
	s := &speaker{heard: bgptest.NewRecorder()}
	s.paths = &paths{Recorder: s.heard, seen: make(map[netip.Prefix]map[uint32]*wire.Attrs)}
	opt := bgp.Options{
		Dialer: x, Handler: s.paths, ListenAddrs: listen,
		Log: slog.New(slog.NewTextHandler(testLog{l.t}, nil)).With("node", m.Name()),
	}
	if len(listen) > 0 {
		opt.Listener = x.listen
	}
	server, err := bgp.NewServer(opt)
	l.must(err)
	s.Server = server
	l.must(s.SetPeers(peers))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
		done <- nil
	}
	l.t.Cleanup(s.stop)
	return s
}

// announce states that a peer shall have prefixes; nil attributes withdraw.
func (s *speaker) announce(peer string, a *bgp.Attrs, prefixes ...string) {
	var changes []bgp.Change
	for _, p := range bgptest.Prefixes(prefixes...) {
		changes = append(changes, bgp.Change{Peer: peer, Prefix: p, Attrs: a})
	}
	s.Apply(changes)
}

// testLog writes log lines to the test's log.
type testLog struct{ t *testing.T }

func (w testLog) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
