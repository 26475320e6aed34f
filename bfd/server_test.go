package bfd_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdtest"
)

const ms = time.Millisecond

// pass lets time pass, on the fake clock of the test's bubble.
func pass(d time.Duration) { <-time.After(d) }

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
)

// end is a host with a server.
type end struct {
	*bfdtest.Host
	*bfd.Server
	*bfdtest.Recorder
	t    *testing.T
	stop func()
}

func start(t *testing.T, host *bfdtest.Host, sessions ...bfd.Config) *end {
	t.Helper()
	e := &end{Host: host, Recorder: bfdtest.NewRecorder(), t: t}
	var err error
	if e.Server, err = bfd.NewServer(bfd.Options{Transport: host, Handler: e.Recorder}); err != nil {
		t.Fatal(err)
	}
	e.set(sessions...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	e.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(e.stop)
	return e
}

func (e *end) set(sessions ...bfd.Config) {
	e.t.Helper()
	if err := e.Set(sessions); err != nil {
		e.t.Fatal(err)
	}
}

func (e *end) status(name string) bfd.SessionStatus {
	e.t.Helper()
	for _, st := range e.Status() {
		if st.Name == name {
			return st
		}
	}
	e.t.Fatalf("no session %q", name)
	return bfd.SessionStatus{}
}

// config is a session of 50 ms × 3 with remote.
func config(remote netip.Addr, edit ...func(*bfd.Config)) bfd.Config {
	c := bfd.Config{Name: "x", Remote: remote}
	c.ReceiveInterval, c.TransmitInterval = 50*ms, 50*ms
	for _, f := range edit {
		f(&c)
	}
	return c
}

// pair runs two ends that are Up, in a bubble.
func pair(t *testing.T, f func(t *testing.T, a, b *end), edit ...func(*bfd.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := bfdtest.NewNet()
		a := start(t, n.Host(addrA), config(addrB, edit...))
		b := start(t, n.Host(addrB), config(addrA, edit...))
		a.WaitState(t, "x", bfd.Up)
		b.WaitState(t, "x", bfd.Up)
		pass(time.Second) // for the polls
		f(t, a, b)
	})
}

func TestSessionComesUp(t *testing.T) {
	pair(t, func(t *testing.T, a, b *end) {
		for _, e := range []*end{a, b} {
			st := e.status("x")
			if st.TransmitInterval != 50*ms || st.ReceiveInterval != 50*ms || st.DetectionTime != 150*ms || st.Polling || st.RemoteState != bfd.Up {
				t.Errorf("%+v", st)
			}
			if n := len(e.Changes("x")); n != 2 && n != 1 { // by way of Init, or not
				t.Errorf("%+v", e.Changes("x"))
			}
		}
		before := a.status("x").Sent
		pass(10 * time.Second)
		if n := a.status("x").Sent - before; n < 200 || n > 267 {
			t.Errorf("%d packets in 10 s", n)
		}
		if a.Ups("x") != 1 || b.Ups("x") != 1 {
			t.Error("flapped")
		}
	})
}

// Detection reaches the Handler on the very moment.
func TestCutIsDetected(t *testing.T) {
	pair(t, func(t *testing.T, a, b *end) {
		b.Cut()
		c := a.WaitState(t, "x", bfd.Down)
		if !c.Failed() || c.Reason != bfd.ReasonDetectionExpired || c.Diag != bfd.DiagDetectionExpired || c.At.Sub(c.LastHeard) != 150*ms {
			t.Errorf("%+v, %v after the last packet", c, c.At.Sub(c.LastHeard))
		}
		if now := time.Now(); !now.Equal(c.At) {
			t.Errorf("told %v late", now.Sub(c.At))
		}
		st := a.status("x")
		if st.LastDown != c || st.Downs != 1 || st.RemoteDiscriminator != 0 {
			t.Errorf("%+v", st)
		}
		pass(5 * time.Second)
		b.Mend()
		a.WaitState(t, "x", bfd.Up)
		b.WaitState(t, "x", bfd.Up)
	})
}

// Timers change both ways while Up; nobody goes down.
func TestSetChangesTimersWithoutFlap(t *testing.T) {
	pair(t, func(t *testing.T, a, b *end) {
		for _, d := range []time.Duration{10 * ms, 200 * ms, time.Second, 20 * ms, 50 * ms} {
			a.set(config(addrB, func(c *bfd.Config) { c.ReceiveInterval, c.TransmitInterval, c.DetectMultiplier = d, d, 5 }))
			pass(3 * time.Second)
			want := max(d, 50*ms)
			if st := a.status("x"); st.TransmitInterval != want || st.DetectionTime != 3*want || st.Polling {
				t.Errorf("%v: %+v", d, st)
			}
			if st := b.status("x"); st.TransmitInterval != want || st.DetectionTime != 5*want {
				t.Errorf("%v: peer %+v", d, st)
			}
		}
		if a.Ups("x") != 1 || b.Ups("x") != 1 || a.status("x").Downs+b.status("x").Downs != 0 {
			t.Errorf("%+v %+v", a.Changes("x"), b.Changes("x"))
		}
	})
}

// Whoever shuts a session, takes it away or stops the process says so; no client
// takes that for a failure (RFC 5882 §3.2).
func TestGoodbyeIsNoFailure(t *testing.T) {
	for name, goodbye := range map[string]func(*end){
		"disabled": func(e *end) { e.set(config(addrA, func(c *bfd.Config) { c.Disabled = true })) },
		"removed":  func(e *end) { e.set() },
		"stopped":  func(e *end) { e.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			pair(t, func(t *testing.T, a, b *end) {
				goodbye(b)
				c := a.WaitState(t, "x", bfd.Down)
				if c.Failed() || c.Reason != bfd.ReasonPeerAdminDown || c.RemoteDiag != bfd.DiagAdminDown {
					t.Errorf("%+v", c)
				}
				if c := b.WaitState(t, "x", bfd.AdminDown); c.Failed() {
					t.Errorf("%+v", c)
				}
				pass(10 * time.Second)
				if name == "stopped" {
					if err := b.Set(nil); err == nil {
						t.Error("a server that has stopped takes sessions")
					}
					return
				}
				b.set(config(addrA))
				a.WaitState(t, "x", bfd.Up)
			})
		})
	}
}

// A process that stood still takes nobody for dead: not after less than the peers'
// detection time, nor after so long that its sockets were full.
func TestFrozenProcess(t *testing.T) {
	patient := func(c *bfd.Config) { // the peer waits for 10 s, we for 150 ms
		if c.Remote == addrB {
			c.DetectMultiplier = 200
		}
	}
	for _, pause := range []time.Duration{100 * ms, time.Second, 9 * time.Second} {
		pair(t, func(t *testing.T, a, b *end) {
			for range 300 { // a neighbour that is loud
				a.Inject(bfd.Datagram{Source: netip.MustParseAddr("192.0.2.99"), Destination: addrA, TTL: 255, Data: make([]byte, 24)})
			}
			a.Freeze()
			pass(pause)
			for range 300 {
				a.Inject(bfd.Datagram{Source: netip.MustParseAddr("192.0.2.99"), Destination: addrA, TTL: 255, Data: make([]byte, 24)})
			}
			a.Thaw()
			pass(3 * time.Second)
			if a.status("x").Downs+b.status("x").Downs != 0 {
				t.Errorf("%v: %+v", pause, a.Changes("x"))
			}
			// And what is dead is found dead, grace or not.
			b.Cut()
			if c := a.WaitState(t, "x", bfd.Down); c.At.Sub(c.LastHeard) != 150*ms {
				t.Errorf("detected after %v", c.At.Sub(c.LastHeard))
			}
		}, patient)
	}
}

// The peer's process is frozen: that is what BFD is for.
func TestFrozenPeer(t *testing.T) {
	pair(t, func(t *testing.T, a, b *end) {
		b.Freeze()
		if c := a.WaitState(t, "x", bfd.Down); c.At.Sub(c.LastHeard) != 150*ms {
			t.Errorf("%+v", c)
		}
		b.Thaw()
		a.WaitState(t, "x", bfd.Up)
	})
}

// The peer's process is killed and begins anew, with another discriminator.
func TestPeerBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bfdtest.NewNet()
		a := start(t, n.Host(addrA), config(addrB))
		host := n.Host(addrB)
		b := start(t, host, config(addrA))
		a.WaitState(t, "x", bfd.Up)
		host.Cut()
		b.stop()
		host.Mend()
		b = start(t, host, config(addrA))
		a.WaitState(t, "x", bfd.Down)
		b.WaitState(t, "x", bfd.Up)
		a.WaitState(t, "x", bfd.Up)
	})
}

// What strangers and liars send changes nothing, and is counted.
func TestStrangers(t *testing.T) {
	pair(t, func(t *testing.T, a, b *end) {
		good := bfd.Packet{State: bfd.Down, DetectMult: 3, MyDiscriminator: 1}
		mine := a.status("x").Discriminator
		to := func(p bfd.Packet, edit ...func(*bfd.Datagram)) bfd.Datagram {
			d := bfd.Datagram{Source: addrB, Destination: addrA, TTL: 255, Interface: bfdtest.Index, Data: p.Append(nil, nil)}
			for _, f := range edit {
				f(&d)
			}
			return d
		}
		named := good
		named.YourDiscriminator = mine
		unknown := good
		unknown.YourDiscriminator = mine + 1
		signed := named
		signed.Auth.Type = bfd.AuthKeyedSHA1
		for _, d := range []bfd.Datagram{
			to(good, func(d *bfd.Datagram) { d.Source = netip.MustParseAddr("192.0.2.3") }),
			to(named, func(d *bfd.Datagram) { d.Source = netip.MustParseAddr("192.0.2.3") }),
			to(good, func(d *bfd.Datagram) { d.Kind = bfd.Multihop }),
			to(unknown),
			to(good, func(d *bfd.Datagram) { d.TTL = 254 }),
			to(named, func(d *bfd.Datagram) { d.TTL = 254 }),
			to(signed),
			to(good, func(d *bfd.Datagram) { d.Data = d.Data[:23] }),
			to(good, func(d *bfd.Datagram) { d.Kind = bfd.EchoPacket }),
			to(good, func(d *bfd.Datagram) {
				d.Kind, d.TTL, d.Data = bfd.EchoPacket, 254, (&bfd.Echo{Discriminator: mine}).Append(nil)
			}),
		} {
			a.Inject(d)
		}
		pass(time.Second)
		st, server := a.status("x"), a.ServerStatus()
		if st.State != bfd.Up || st.Downs != 0 {
			t.Errorf("%+v", st)
		}
		for why, want := range map[bfd.Discard]uint64{
			bfd.DiscardTTL: 2, bfd.DiscardAuthUnexpected: 1, bfd.DiscardEcho: 1,
		} {
			if st.Discarded[why] != want {
				t.Errorf("session: %v: %d, want %d", why, st.Discarded[why], want)
			}
		}
		for why, want := range map[bfd.Discard]uint64{
			bfd.DiscardNoSession: 3, bfd.DiscardAddress: 1, bfd.DiscardShort: 1, bfd.DiscardEcho: 1,
		} {
			if server.Strangers[why] != want {
				t.Errorf("strangers: %v: %d, want %d", why, server.Strangers[why], want)
			}
		}
	})
}

func TestAuthentication(t *testing.T) {
	with := func(kind bfd.AuthType, key string) func(*bfd.Config) {
		return func(c *bfd.Config) { c.Auth = &bfd.Auth{Type: kind, KeyID: 1, Key: key} }
	}
	for _, kind := range []bfd.AuthType{bfd.AuthKeyedSHA1, bfd.AuthMeticulousSHA1} {
		pair(t, func(t *testing.T, a, b *end) {
			pass(time.Minute)
			if st := a.status("x"); st.Downs != 0 || st.Discarded.Total() != 0 || st.Config.Auth.Key != "" {
				t.Errorf("%+v", st)
			}
			b.set(config(addrA, with(kind, "wrong")))
			if c := a.WaitState(t, "x", bfd.Down); c.Reason != bfd.ReasonDetectionExpired {
				t.Errorf("%+v", c)
			}
			pass(time.Minute)
			if st := a.status("x"); st.State != bfd.Down || st.Discarded[bfd.DiscardAuthDigest] == 0 {
				t.Errorf("%+v", st)
			}
			b.set(config(addrA, with(kind, "right")))
			a.WaitState(t, "x", bfd.Up)
		}, with(kind, "right"))
	}
}

// Echoes find what the slow control packets would find late.
func TestEchoes(t *testing.T) {
	pair(t, func(t *testing.T, a, b *end) {
		pass(10 * time.Second)
		st := a.status("x")
		if st.EchoInterval != 20*ms || st.EchoesSent < 500 || st.EchoesReceived < st.EchoesSent-1 || st.TransmitInterval != time.Second || st.Downs != 0 {
			t.Errorf("%+v", st)
		}
		b.Forward(false)
		pass(65 * ms) // the control packets go on, and bring the session up again
		c := a.status("x").LastDown
		if c.Reason != bfd.ReasonEchoFailed || !c.Failed() || c.At.Sub(c.LastHeard) != 60*ms || c.Name != "x" {
			t.Errorf("%+v", c)
		}
	}, func(c *bfd.Config) { c.EchoMode, c.EchoInterval = true, 20*ms })
}

// A system that cannot send echoes leaves detection to the control packets; the peer's
// echoes are none of its business.
func TestEchoesThatCannotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bfdtest.NewNet()
		echo := func(c *bfd.Config) { c.EchoMode, c.EchoInterval = true, 20*ms }
		host := n.Host(addrA)
		host.Mute(true)
		a := start(t, host, config(addrB, echo))
		b := start(t, n.Host(addrB), config(addrA, echo))
		a.WaitState(t, "x", bfd.Up)
		pass(time.Minute)
		st := a.status("x")
		if st.Downs != 0 || st.EchoInterval != 0 || st.EchoesSent != 0 || st.ReceiveInterval != 50*ms {
			t.Errorf("%+v", st)
		}
		if st := b.status("x"); st.EchoesReceived < 1000 {
			t.Errorf("%+v", st)
		}
		// Another configuration is another attempt.
		host.Mute(false)
		a.set(config(addrB, echo, func(c *bfd.Config) { c.DetectMultiplier = 4 }))
		pass(time.Minute)
		if st := a.status("x"); st.Downs != 0 || st.EchoInterval != 20*ms || st.EchoesReceived < 1000 {
			t.Errorf("%+v", st)
		}
	})
}

// What is asked while datagrams are being gathered is done, and so is the end of Run.
func TestAskedWhileGathering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := start(t, bfdtest.NewNet().Host(addrA))
		for i := range uint64(10) {
			e.Inject(bfd.Datagram{Source: addrB, Destination: addrA, TTL: 255})
			synctest.Wait() // it was looked at; others may wait now
			e.Inject(bfd.Datagram{Source: addrB, Destination: addrA, TTL: 255})
			if n := e.ServerStatus().Strangers[bfd.DiscardShort]; n < 2*i+1 {
				t.Errorf("%d, %d", i, n)
			}
			e.set()
			pass(10 * ms)
		}
		e.Inject(bfd.Datagram{Source: addrB, Destination: addrA, TTL: 255})
		synctest.Wait()
		e.stop()
		if n := e.ServerStatus().Strangers[bfd.DiscardShort]; n != 21 {
			t.Errorf("%d", n)
		}
	})
}

func TestPassiveEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bfdtest.NewNet()
		passive := func(c *bfd.Config) { c.Passive, c.Interface = true, bfdtest.Device }
		a := start(t, n.Host(addrA), config(addrB, passive))
		b := start(t, n.Host(addrB), config(addrA, passive))
		pass(time.Minute)
		if a.status("x").Sent+b.status("x").Sent != 0 {
			t.Error("passive ends spoke")
		}
		b.set(config(addrA, func(c *bfd.Config) { c.Interface = bfdtest.Device }))
		a.WaitState(t, "x", bfd.Up)
	})
}

// One address, several sessions: several hops and one, and by local address.
func TestSessionsAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bfdtest.NewNet()
		a1, a2 := netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.12")
		named := func(name string, local netip.Addr, multihop bool) func(*bfd.Config) {
			return func(c *bfd.Config) { c.Name, c.Local, c.Multihop = name, local, multihop }
		}
		a := start(t, n.Host(a1, a2),
			config(addrB, named("one", a1, false)), config(addrB, named("two", a2, false)), config(addrB, named("far", a1, true)))
		b := start(t, n.Host(addrB), config(a1, named("one", addrB, false)), config(a2, named("two", netip.Addr{}, false)),
			config(a1, named("far", netip.Addr{}, true)))
		for _, name := range []string{"one", "two", "far"} {
			a.WaitState(t, name, bfd.Up)
			b.WaitState(t, name, bfd.Up)
		}
		// One router more: a single hop is none any more, several hops may be.
		n.Hops(1)
		a.WaitState(t, "one", bfd.Down)
		a.WaitState(t, "two", bfd.Down)
		pass(time.Second)
		if a.State("far") != bfd.Up || a.status("one").Discarded[bfd.DiscardTTL] == 0 {
			t.Errorf("%v", a.State("far"))
		}
		n.Hops(2) // beyond the default least time to live, 254
		a.WaitState(t, "far", bfd.Down)
		b.set(config(a1, named("far", netip.Addr{}, true), func(c *bfd.Config) { c.MinimumTTL = 250 }))
		a.set(config(addrB, named("far", a1, true), func(c *bfd.Config) { c.MinimumTTL = 250 }))
		a.WaitState(t, "far", bfd.Up)
	})
}

// A path that is not there is tried again.
func TestPathComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bfdtest.NewNet()
		e := start(t, n.Host(addrA), config(addrB, func(c *bfd.Config) { c.Local = netip.MustParseAddr("192.0.2.77") }))
		pass(10 * time.Second)
		if st := e.status("x"); st.SendErrors == 0 || !strings.Contains(st.SendError, "192.0.2.77") || st.Sent != 0 {
			t.Errorf("%+v", st)
		}
		start(t, n.Host(addrB), config(addrA))
		e.set(config(addrB)) // another path: the session begins anew
		e.WaitState(t, "x", bfd.Up)
		if st := e.status("x"); st.SendError != "" {
			t.Errorf("%+v", st)
		}
	})
}

func TestSetRefuses(t *testing.T) {
	n := bfdtest.NewNet()
	s, err := bfd.NewServer(bfd.Options{Transport: n.Host(addrA)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set([]bfd.Config{config(addrB)}); err != nil {
		t.Fatal(err)
	}
	other := config(addrB)
	other.Name = "y"
	for _, set := range [][]bfd.Config{
		{config(addrB), config(addrA)}, // one name
		{config(addrB), other},         // one path
		{{Name: "z"}},                  // no address
		{{Remote: addrB, Profile: bfd.Profile{TransmitInterval: 1}}}, // no name
	} {
		if err := s.Set(set); err == nil {
			t.Errorf("%+v: no error", set)
		}
	}
	if st := s.Status(); len(st) != 1 || st[0].Name != "x" {
		t.Errorf("%+v", st)
	}
	if _, err := bfd.NewServer(bfd.Options{}); err == nil {
		t.Error("a server without a transport")
	}
}

// The Handler may ask and change what it is told of.
func TestHandlerMayCallBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bfdtest.NewNet()
		var s *bfd.Server
		done := make(chan bfd.State, 10)
		s, err := bfd.NewServer(bfd.Options{Transport: n.Host(addrA), Handler: bfd.HandlerFunc(func(c bfd.Change) {
			if c.To == bfd.Up {
				s.Set([]bfd.Config{config(addrB, func(c *bfd.Config) { c.Disabled = true })})
				done <- s.Status()[0].State
			}
		})})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Set([]bfd.Config{config(addrB)}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		start(t, n.Host(addrB), config(addrA))
		if state := <-done; state != bfd.AdminDown {
			t.Error(state)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Run(ctx); err == nil {
			t.Error("ran twice")
		}
	})
}

// Many sessions come up, live, and fail one by one.
func TestManySessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bfdtest.NewNet()
		const many = 200
		var addrs []netip.Addr
		var mine, theirs []bfd.Config
		for i := range many {
			addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			addrs = append(addrs, addr)
			name := func(c *bfd.Config) { c.Name, c.Local = fmt.Sprint(i), netip.Addr{} }
			mine = append(mine, config(addr, name))
			theirs = append(theirs, config(addrA, name, func(c *bfd.Config) { c.Local = addr }))
		}
		a, b := start(t, n.Host(addrA), mine...), start(t, n.Host(addrs...), theirs...)
		for i := range many {
			a.WaitState(t, fmt.Sprint(i), bfd.Up)
		}
		pass(3 * time.Second)
		b.Cut()
		for i := range many {
			if c := a.WaitState(t, fmt.Sprint(i), bfd.Down); c.At.Sub(c.LastHeard) != 150*ms {
				t.Errorf("%+v", c)
			}
		}
		a.set(mine[:many/2]...)
		pass(time.Minute)
		if n := len(a.Status()); n != many/2 {
			t.Errorf("%d sessions", n)
		}
	})
}
