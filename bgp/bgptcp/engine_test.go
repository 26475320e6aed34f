package bgptcp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
	"github.com/pharoslb/pharos/bgp/bgptest"
)

// transport opens sockets on a host.
type transport struct{ end }

func (x transport) Dial(ctx context.Context, c bgp.Config) (conn net.Conn, err error) {
	err = x.Do(func() error {
		conn, err = bgptcp.Dialer{}.Dial(ctx, c)
		return err
	})
	return conn, err
}

func (x transport) listen(ctx context.Context, addr netip.AddrPort) (l bgp.Listener, err error) {
	err = x.Do(func() error {
		l, err = bgptcp.Listen(ctx, addr)
		return err
	})
	return l, err
}

// speak runs a server on a host.
func speak(t *testing.T, e end, v4, listens bool) (*bgp.Server, *bgptest.Recorder) {
	t.Helper()
	x, heard := transport{e}, bgptest.NewRecorder()
	opt := bgp.Options{Dialer: x, Handler: heard}
	if listens {
		opt.Listener, opt.ListenAddrs = x.listen, []netip.AddrPort{netip.AddrPortFrom(e.addr(v4), bgp.Port)}
	}
	s, err := bgp.NewServer(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s, heard
}

// Whole servers rotate their keys and keep the session, with a neighbor that is
// known by address as well as with one that a prefix admits.
func TestServersRotateKeys(t *testing.T) {
	has := hasAO(t)
	eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
		for _, dynamic := range []bool{false, true} {
			t.Run(map[bool]string{false: "by address", true: "by prefix"}[dynamic], func(t *testing.T) {
				near, heard := speak(t, a, v4, false)
				far, _ := speak(t, b, v4, true)
				set := func(s *bgp.Server, c bgp.Config, keys []bgp.AOKey) error {
					c.RouterID, c.AO = netip.AddrFrom4([4]byte{1, 1, 1, byte(c.LocalAS)}), keys
					return s.SetPeers([]bgp.Config{c})
				}
				m := mirror(c)
				m.Passive = true // else it may be dialing, and then begins anew
				if dynamic {
					m.RemoteAddr, m.RemotePrefix = netip.Addr{}, netip.PrefixFrom(a.addr(v4), map[bool]int{true: 24, false: 64}[v4]).Masked()
				}
				if err := set(near, c, aoKeys(1)); err != nil {
					t.Fatal(err)
				}
				err := set(far, m, aoKeys(1))
				if !has {
					// The listener refuses once it is open, and each attempt to connect fails.
					eventually(t, "the listener to refuse", func() bool {
						if err == nil {
							err = set(far, m, aoKeys(1))
						}
						return err != nil
					})
					if !errors.Is(err, bgptcp.ErrNoAO) {
						t.Error(err)
					}
					eventually(t, "the dialer's status to say why", func() bool {
						return strings.Contains(near.Status()[0].LastError.Down.String(), bgptcp.ErrNoAO.Error())
					})
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				heard.WaitUp(t, "b", 1)
				for i, keys := range [][]bgp.AOKey{aoKeys(1, 2), aoKeys(2, 1), aoKeys(2), aoKeys(3, 2), aoKeys(3)} {
					for _, err := range []error{set(far, m, keys), set(near, c, keys)} {
						if err != nil {
							t.Fatal(err)
						}
					}
					p := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)
					if !v4 {
						p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}), 128)
					}
					name := "a"
					if dynamic {
						name = a.addr(v4).String()
					}
					far.Apply([]bgp.Change{{Peer: name, Prefix: p, Attrs: &bgp.Attrs{}}})
					h := heard.Wait(t, "b", "the route", func(h bgptest.Heard) bool { return h.Routes[p] != nil })
					if h.Ups != 1 {
						t.Fatalf("dynamic %v, keys %v: %v", dynamic, keys, h.Story)
					}
				}
			})
		}
	})
}
