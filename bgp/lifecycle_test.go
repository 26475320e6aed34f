package bgp_test

import (
	"context"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// slowListener takes its time to close, which Accept does not wait for.
type slowListener struct {
	bgp.Listener
	closed chan struct{}
}

func (l slowListener) Close() error {
	err := l.Listener.Close()
	time.Sleep(time.Second)
	close(l.closed)
	return err
}

// Whoever waits for Run may listen on the same addresses next.
func TestRunReturnsWithListenersClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, closed := bgptest.NewNet(), make(chan struct{})
		s, err := bgp.NewServer(bgp.Options{
			ListenAddrs: []netip.AddrPort{at(hostA)},
			Listener: func(ctx context.Context, addr netip.AddrPort) (bgp.Listener, error) {
				l, err := n.Listen(ctx, addr)
				return slowListener{l, closed}, err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		select {
		case <-closed:
		default:
			t.Error("Run returned before its listener was closed")
		}
		<-closed
	})
}

// What may be exported is the last word of SetPeers, before Run too.
func TestExportChangesBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		b := speak(t, n, hostB, true, passive(conf(hostB, hostA)))
		h := bgptest.NewRecorder()
		s, err := bgp.NewServer(bgp.Options{Dialer: n.Dialer(hostA), Handler: h})
		if err != nil {
			t.Fatal(err)
		}
		c := conf(hostA, hostB)
		for _, export := range [][]netip.Prefix{nil, bgptest.Prefixes("172.19.100.0/25")} {
			c.Export = export
			c.GracefulShutdown = export != nil
			if err := s.SetPeers([]bgp.Config{c}); err != nil {
				t.Fatal(err)
			}
		}
		announce(&host{Server: s}, hostB, &bgp.Attrs{}, "172.19.100.1/32", "172.19.100.200/32")
		done := make(chan error, 1)
		go func() { done <- s.Run(t.Context()) }()
		t.Cleanup(func() { <-done })
		got := b.heard.WaitRoutes(t, hostA.String(), "172.19.100.1/32")
		if r := got.Routes[netip.MustParsePrefix("172.19.100.1/32")]; len(r.Communities) != 1 {
			t.Errorf("route %+v is not marked with GRACEFUL_SHUTDOWN", r)
		}
		synctest.Wait()
		if st := s.Status()[0]; st.Foreign != 1 || len(b.heard.Heard(hostA.String()).Routes) != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// The R bit stays set until there was a session, whatever happens to the
// configuration, and is set for peers that are configured first thing in Run.
func TestRestartingOutlivesConfigurations(t *testing.T) {
	for _, early := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			n := bgptest.NewNet()
			s, err := bgp.NewServer(bgp.Options{Dialer: n.Dialer(hostA)})
			if err != nil {
				t.Fatal(err)
			}
			c := conf(hostA, hostB)
			c.GracefulRestart = &bgp.GracefulRestart{Restart: time.Minute}
			if early {
				s.SetPeers([]bgp.Config{c})
			}
			done := make(chan error, 1)
			go func() { done <- s.Run(t.Context()) }()
			t.Cleanup(func() { <-done })
			synctest.Wait()
			s.SetPeers([]bgp.Config{c})
			c.HoldTime = ptr(30 * time.Second)
			s.SetPeers([]bgp.Config{c})
			l, err := n.Listen(t.Context(), at(hostB))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			restarting := func(p *bgptest.Script) bool {
				g, _ := p.Establish(openB()).GracefulRestart()
				return g.Restarting
			}
			p := bgptest.Await(t, l)
			if !restarting(p) {
				t.Errorf("set early %t: the first OPEN has no R bit", early)
			}
			p.Table()
			c.HoldTime = ptr(60 * time.Second)
			s.SetPeers([]bgp.Config{c})
			p.ExpectNotification(wire.CodeCease, wire.SubCeaseConfigChange)
			p = bgptest.Await(t, l)
			if restarting(p) {
				t.Errorf("set early %t: the second OPEN has an R bit", early)
			}
			p.Conn.Close()
		})
	}
}

// A name that gets another neighbor leaves the old one for good: neither keeps the
// other's routes.
func TestAnotherNeighborUnderTheName(t *testing.T) {
	for what, edit := range map[string]func(*bgp.Config){
		"address":   func(c *bgp.Config) { c.RemoteAddr, c.RemoteAS = hostC, 65003 },
		"remote AS": func(c *bgp.Config) { c.RemoteAS = 65077 },
		"local AS":  func(c *bgp.Config) { c.LocalAS = 65077 },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := bgptest.NewNet()
				c := conf(hostA, hostB)
				c.GracefulRestart = &bgp.GracefulRestart{Restart: time.Minute}
				h := speak(t, n, hostA, true, c)
				synctest.Wait()
				s := bgptest.Connect(t, n, hostB, at(hostA))
				s.Establish(openB(restarter()))
				s.Table()
				edit(&c)
				h.SetPeers([]bgp.Config{c})
				s.ExpectNotification(wire.CodeCease, wire.SubCeaseHardReset)
				if d := h.heard.WaitDown(t, hostB.String(), 1).Downs[0]; d.Cause != bgp.CauseDeconfigured || len(d.Retain) > 0 {
					t.Errorf("%v, retains %v", d, d.Retain)
				}
			})
		})
	}
}

// A host that opens connections without end is let wait, and others are not.
func TestFloodOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		h := speak(t, n, hostA, true, conf(hostA, hostB), conf(hostA, hostC))
		synctest.Wait()
		before := runtime.NumGoroutine()
		var flood []*bgptest.Conn
		for range 200 {
			c, err := n.Dial(t.Context(), hostB, at(hostA))
			if err != nil {
				t.Fatal(err)
			}
			flood = append(flood, c)
			synctest.Wait()
		}
		if n := runtime.NumGoroutine() - before; n > 60 {
			t.Errorf("%d goroutines for 200 connections", n)
		}
		pass(5 * time.Second)
		for _, c := range flood {
			c.Close()
		}
		pass(time.Second)
		s := bgptest.Connect(t, n, hostB, at(hostA))
		s.Establish(openB())
		h.heard.WaitUp(t, hostB.String(), 1)
		s.Conn.Close()
	})
}
