package router

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

// unsigned is a listener without keys.
type unsigned struct{ net.Listener }

func (unsigned) SetPeers([]bgp.Config) error { return nil }

// tally is a FIB that says when as many routes were set or removed as are expected.
type tally struct {
	FIB
	expected, n int
	all         chan struct{}
}

func (f *tally) Len() int              { return 0 }
func (f *tally) Flush() error          { return nil }
func (f *tally) Avoid([]rib.Hop) error { return nil }
func (f *tally) Resilient(bool) error  { return nil }
func (f *tally) Apply(r []rib.Route) error {
	if f.n += len(r); f.n == f.expected {
		f.n = 0
		f.all <- struct{}{}
	}
	return nil
}

// still are links that never change.
type still []rib.Connected

func (s still) Connected() ([]rib.Connected, error) { return s, nil }
func (still) Changed() <-chan struct{}              { return nil }

// 100,000 routes from the socket through the engine and the table to the first word
// to the kernel.
func BenchmarkReceive(b *testing.B) {
	const routes = 100_000
	lo := netip.MustParseAddr("127.0.0.1")
	l, err := net.Listen("tcp", netip.AddrPortFrom(lo, 0).String())
	if err != nil {
		b.Fatal(err)
	}
	fib := &tally{expected: routes, all: make(chan struct{})}
	r, err := New(Options{
		NewSpeaker: func(h bgp.Handler) (Speaker, error) {
			return bgp.NewServer(bgp.Options{
				Listener:    func(context.Context, netip.AddrPort) (bgp.Listener, error) { return unsigned{l}, nil },
				ListenAddrs: []netip.AddrPort{netip.AddrPortFrom(lo, 0)}, Handler: h,
			})
		},
		FIB: fib, Links: still{{Prefix: netip.MustParsePrefix("10.0.0.1/24"), Index: 2}},
	})
	if err != nil {
		b.Fatal(err)
	}
	err = r.Set(Config{AS: 65000, RouterID: netip.MustParseAddr("10.0.0.1"), Neighbors: []Neighbor{{
		Addr: lo, AS: 65001, HoldTime: 90 * time.Second, Passive: true, Families: []wire.Family{wire.IPv4Unicast},
	}}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()

	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	go io.Copy(io.Discard, c)
	hello, err := wire.AppendOpen(nil, wire.NewOpen(65001, 90, netip.MustParseAddr("10.0.0.2"), wire.IPv4Unicast))
	if err != nil {
		b.Fatal(err)
	}
	write := func(octets []byte) {
		if _, err := c.Write(octets); err != nil {
			b.Fatal(err)
		}
	}
	write(wire.AppendKeepalive(hello))
	prefixes := make([]netip.Prefix, routes)
	for i := range prefixes {
		prefixes[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	e := wire.Encoder{Session: wire.Session{AS4: true, Families: []wire.Family{wire.IPv4Unicast}}}
	reach, _, err := e.AppendReach(nil, &wire.Attrs{ASPath: wire.Sequence(65001), NextHop: netip.MustParseAddr("10.0.0.2")}, prefixes, nil)
	if err != nil {
		b.Fatal(err)
	}
	gone, _, err := e.AppendWithdraw(nil, prefixes, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		write(reach)
		<-fib.all
		b.StopTimer()
		write(gone)
		<-fib.all
		b.StartTimer()
	}
}
