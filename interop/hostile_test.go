package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// memoryLimit is what a misbehaving peer may make the process take beside what it
// took before, whatever it does: 32 MiB.
const memoryLimit = 32 << 20

// siege is a server with an honest peer, the witness, and one that misbehaves.
type siege struct {
	*lab
	server  *speaker
	witness *speaker
	hostile machine
	guard   *guard
	news    int // routes that the witness was told of
}

// guard is a Handler that records what the witness does, and takes routes of the
// hostile peer without keeping them, up to a limit.
type guard struct {
	*bgptest.Recorder
	server *bgp.Server
	limit  atomic.Int64
	taken  atomic.Int64
}

func (g *guard) Update(peer string, u *wire.Update) {
	if peer != "hostile" {
		g.Recorder.Update(peer, u)
		return
	}
	if n := g.taken.Add(int64(len(u.NLRI))); n > g.limit.Load() {
		g.server.Refuse(peer, &wire.Notification{Code: wire.CodeCease, Subcode: wire.SubCeaseMaxPrefixes})
	}
}

func newSiege(t *testing.T) *siege {
	t.Helper()
	need(t)
	l := newLab(t, 3)
	s := &siege{lab: l, hostile: l.nodes[1], guard: &guard{Recorder: bgptest.NewRecorder()}}
	s.guard.limit.Store(1 << 40)
	hold := 3 * time.Second
	peer := func(name string, m machine) bgp.Config {
		return bgp.Config{
			Name: name, LocalAS: switchAS, RemoteAS: nodeAS, RouterID: switch4, RemoteAddr: m.v4, HoldTime: &hold, Passive: true,
			Families: []wire.Family{wire.IPv4Unicast},
		}
	}
	x := transport{l.sw.NS}
	server, err := bgp.NewServer(bgp.Options{
		Dialer: x, Listener: x.listen, ListenAddrs: []netip.AddrPort{netip.AddrPortFrom(switch4, bgp.Port)}, Handler: s.guard,
		Log: slog.New(slog.DiscardHandler),
	})
	l.must(err)
	s.guard.server = server
	l.must(server.SetPeers([]bgp.Config{peer("witness", l.nodes[0]), peer("hostile", s.hostile)}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s.server = &speaker{Server: server, heard: s.guard.Recorder}
	s.witness = l.serve(l.nodes[0], nil, l.nodes[0].peer(func(c *bgp.Config) {
		c.HoldTime, c.Families = &hold, []wire.Family{wire.IPv4Unicast}
	}))
	s.witness.heard.WaitUp(t, "switch", 1)
	return s
}

// undisturbed says that the witness's session is the first one still, and that a new
// route gets through in both directions.
func (s *siege) undisturbed() {
	s.t.Helper()
	s.news++
	p := fmt.Sprintf("203.0.113.%d/32", s.news)
	s.server.announce("witness", &bgp.Attrs{}, p)
	s.witness.announce("switch", &bgp.Attrs{}, p)
	for _, end := range []struct {
		of   *speaker
		peer string
	}{{s.witness, "switch"}, {s.server, "witness"}} {
		end.of.heard.Wait(s.t, end.peer, "the new route", func(h bgptest.Heard) bool { return h.Routes[netip.MustParsePrefix(p)] != nil })
		if h := end.of.heard.Heard(end.peer); h.Ups != 1 || !h.Up {
			s.t.Errorf("the witness was disturbed: %v", h.Story)
		}
	}
}

// dial connects to the server from a machine, as plain TCP.
func (s *siege) dial(m machine) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), bgptest.Patience)
	defer cancel()
	var conn net.Conn
	err := m.Do(func() (err error) {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(m.v4, 0))}
		conn, err = d.DialContext(ctx, "tcp", netip.AddrPortFrom(switch4, bgp.Port).String())
		return err
	})
	return conn, err
}

// connect opens a session as the hostile peer. The server takes none for a moment
// after one that failed, so it tries again.
func (s *siege) connect(hold time.Duration) *bgptest.Script {
	s.t.Helper()
	var script *bgptest.Script
	s.eventually("a session as the hostile peer", func() error {
		c, err := s.dial(s.hostile)
		if err != nil {
			return err
		}
		open, err := wire.AppendOpen(nil, s.open(hold))
		if err == nil {
			_, err = c.Write(wire.AppendKeepalive(open))
		}
		if err != nil {
			c.Close()
			return err
		}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range 200 {
			if s.state() == bgp.Established {
				script = bgptest.NewScript(s.t, c)
				s.t.Cleanup(func() { c.Close() })
				return nil
			}
			<-tick.C
		}
		c.Close()
		return errors.New("not established")
	})
	return script
}

func (s *siege) open(hold time.Duration) *wire.Open {
	return wire.NewOpen(nodeAS, uint16(hold/time.Second), s.hostile.v4, wire.IPv4Unicast)
}

func (s *siege) state() bgp.State {
	for _, st := range s.server.Status() {
		if st.Name == "hostile" {
			return st.State
		}
	}
	return bgp.Idle
}

// gone waits for the hostile peer's session to end.
func (s *siege) gone() {
	s.t.Helper()
	s.eventually("the end of the hostile session", func() error {
		if st := s.state(); st == bgp.Established {
			return fmt.Errorf("%v", st)
		}
		return nil
	})
}

// measure runs an attack and says how much more memory it took at its peak, sampled
// every 5 ms, than before.
func (s *siege) measure(attack func()) {
	s.t.Helper()
	now := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	runtime.GC()
	before, peak := now(), uint64(0)
	stop := make(chan struct{})
	var sampler sync.WaitGroup
	sampler.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, now())
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	attack()
	close(stop)
	sampler.Wait()
	took := int64(peak) - int64(before)
	s.t.Logf("took %.1f MiB at its peak", float64(took)/(1<<20))
	if took > memoryLimit {
		s.t.Errorf("took %d MiB, the limit is %d", took>>20, memoryLimit>>20)
	}
}

// One octet at a time: a message that arrives so is understood, one that never ends
// costs its session alone, when the hold time is over.
func TestHostileOctetByOctet(t *testing.T) {
	s := newSiege(t)
	s.measure(func() {
		c := s.connect(3 * time.Second).Conn
		e := wire.Encoder{Session: wire.Session{AS4: true, Families: []wire.Family{wire.IPv4Unicast}}}
		b, _, err := e.AppendReach(nil, &wire.Attrs{ASPath: wire.Sequence(nodeAS), NextHop: s.hostile.v4}, bgptest.Prefixes("192.0.2.0/24"), nil)
		s.must(err)
		for i := range b {
			_, err := c.Write(b[i : i+1])
			s.must(err)
		}
		s.eventually("the route", func() error {
			if n := s.guard.taken.Load(); n != 1 {
				return fmt.Errorf("%d routes", n)
			}
			return nil
		})
		s.undisturbed()
		// Never the last octet: more and more slowly, until the hold timer expires.
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := range b[:len(b)-1] {
			if _, err := c.Write(b[i : i+1]); err != nil {
				break
			}
			<-tick.C
		}
		c.SetReadDeadline(time.Now().Add(bgptest.Patience))
		io.Copy(io.Discard, c) // up to the end
		s.gone()
		s.undisturbed()
	})
}

// Connections without a word, from the peer's own address and from a stranger's: few
// are kept, and the peer's own session can still come up.
func TestHostileHalfOpen(t *testing.T) {
	s := newSiege(t)
	s.measure(func() {
		for _, from := range []machine{s.hostile, s.nodes[2]} {
			const many = 300
			var open sync.WaitGroup
			ended := make(chan struct{}, many)
			var conns []net.Conn
			for range many {
				c, err := s.dial(from)
				s.must(err)
				conns = append(conns, c)
				open.Go(func() {
					io.Copy(io.Discard, c)
					ended <- struct{}{}
				})
			}
			keep := 8 // two of the machine's, and those waiting for it
			for range many - keep {
				select {
				case <-ended:
				case <-time.After(bgptest.Patience):
					t.Errorf("of %d silent connections more than %d are kept", many, keep)
				}
			}
			s.undisturbed()
			for _, c := range conns {
				c.Close()
			}
			open.Wait()
		}
		s.connect(3 * time.Second)
		s.undisturbed()
	})
}

// A peer that never reads: what it does not take is not piled up.
func TestHostileNeverReads(t *testing.T) {
	s := newSiege(t)
	s.connect(0)
	var changes []bgp.Change
	attrs := &bgp.Attrs{}
	for i := range 200_000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
		changes = append(changes, bgp.Change{Peer: "hostile", Prefix: p, Attrs: attrs})
	}
	// The table itself is the caller's wish and does not count.
	s.server.Apply(changes)
	s.undisturbed()
	s.measure(func() {
		for round := range 20 { // all of it anew, again and again
			attrs := &bgp.Attrs{MED: ptr(uint32(round))}
			for i := range changes {
				changes[i].Attrs = attrs
			}
			s.server.Apply(changes)
			s.undisturbed()
		}
		for _, st := range s.server.Status() {
			if st.Name == "hostile" && (st.State != bgp.Established || st.Pending == 0) {
				t.Errorf("%v with %d prefixes pending: the test does not test", st.State, st.Pending)
			}
		}
	})
}

func ptr[T any](v T) *T { return &v }

// Floods of connections that say OPEN, or nonsense, and go.
func TestHostileFloods(t *testing.T) {
	s := newSiege(t)
	open, err := wire.AppendOpen(nil, s.open(3*time.Second))
	s.must(err)
	nonsense := slices.Repeat([]byte{0xff}, 4096)
	s.measure(func() {
		var flood sync.WaitGroup
		for _, from := range []machine{s.hostile, s.nodes[2]} {
			flood.Go(func() {
				for i := range 500 {
					c, err := s.dial(from)
					if err != nil {
						continue
					}
					c.Write([][]byte{open, nonsense, slices.Concat(open, open, open)}[i%3])
					c.Close()
				}
			})
		}
		for range 10 {
			s.undisturbed()
		}
		flood.Wait()
		s.undisturbed()
		s.connect(3 * time.Second)
	})
}

// A million prefixes, as fast as they are taken; then again, with a limit.
func TestHostileMillionPrefixes(t *testing.T) {
	s := newSiege(t)
	const million = 1_000_000
	send := func(c net.Conn) error {
		e := wire.Encoder{Session: wire.Session{AS4: true, Families: []wire.Family{wire.IPv4Unicast}}}
		attrs := &wire.Attrs{ASPath: wire.Sequence(nodeAS), NextHop: s.hostile.v4}
		prefixes := make([]netip.Prefix, 500)
		var b []byte
		for i := 0; i < million; i += len(prefixes) {
			for j := range prefixes {
				n := i + j
				prefixes[j] = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(n >> 16), byte(n >> 8), byte(n)}), 32)
			}
			var err error
			if b, _, err = e.AppendReach(b[:0], attrs, prefixes, nil); err != nil {
				return err
			}
			c.SetWriteDeadline(time.Now().Add(bgptest.Patience))
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
		return nil
	}
	s.measure(func() {
		c := s.connect(0).Conn
		done := make(chan error, 1)
		go func() { done <- send(c) }()
		for range 5 {
			s.undisturbed()
		}
		s.must(<-done)
		s.eventually("all of it", func() error {
			if n := s.guard.taken.Load(); n != million {
				return fmt.Errorf("%d prefixes", n)
			}
			return nil
		})
		s.undisturbed()
		c.Close()
		s.gone()

		s.guard.taken.Store(0)
		s.guard.limit.Store(10_000)
		c = s.connect(0).Conn
		go func() { done <- send(c) }()
		s.gone()
		s.undisturbed()
		c.Close()
		<-done
		if n := s.guard.taken.Load(); n > 200_000 {
			t.Errorf("%d prefixes were taken with a limit of 10,000", n)
		}
	})
}
