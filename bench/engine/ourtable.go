package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

// receiverMark makes this program be the process of ours that has a table and leaves
// the kernel alone.
const receiverMark = "PHAROS_BENCH_RECEIVER"

func (d *oursDaemon) startReceiver(ctx context.Context, r role) (err error) {
	d.count = filepath.Join(r.dir, "count.sock")
	args := []string{d.count, r.addr.String()}
	for _, p := range r.peers {
		args = append(args, p.String())
	}
	if d.process, err = d.site.start(r.ns, []string{receiverMark + "=1"}, "/proc/self/exe", args...); err != nil {
		return err
	}
	return until(ctx, "the receiver's socket", 20*time.Millisecond, func() error { return answers(d.count) })
}

func (d *oursDaemon) table(context.Context) (int, error) {
	c, err := net.Dial("unix", d.count)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var n uint64
	err = binary.Read(c, binary.BigEndian, &n)
	return int(n), err
}

// receive is that process: the switch's role with a forwarding table that counts.
func receive(args []string) error {
	debug.SetGCPercent(200) // as the roles do, pharos switch among them
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if len(args) < 3 {
		return errors.New("want a socket, our address and the neighbors'")
	}
	counter := new(counter)
	own := netip.MustParseAddr(args[1])
	r, err := router.New(router.Options{
		NewSpeaker: func(h bgp.Handler) (router.Speaker, error) {
			return bgp.NewServer(bgp.Options{Listener: bgptcp.Listen, ListenAddrs: []netip.AddrPort{netip.AddrPortFrom(own, bgp.Port)}, Handler: h})
		},
		FIB: counter, Links: segment{own},
	})
	if err != nil {
		return err
	}
	c := router.Config{AS: nearAS, RouterID: own}
	for _, arg := range args[2:] {
		c.Neighbors = append(c.Neighbors, router.Neighbor{Addr: netip.MustParseAddr(arg), AS: farAS, HoldTime: holdTime * time.Second, Passive: true, Families: []wire.Family{wire.IPv4Unicast}})
	}
	if err := r.Set(c); err != nil {
		return err
	}
	l, err := net.Listen("unix", args[0])
	if err != nil {
		return err
	}
	go counter.serve(l)
	return r.Run(ctx)
}

// counter is a router.FIB that knows which of the vips are in use, and no more, so
// that its memory does not count.
type counter struct {
	used []bool // by number
	n    atomic.Int64
}

// Avoid leaves everything to Apply: there are no packets.
func (c *counter) Avoid([]rib.Hop) error { return nil }

// Resilient is nothing to it.
func (c *counter) Resilient(bool) error { return nil }

func (c *counter) Apply(routes []rib.Route) error {
	n := c.n.Load()
	for i := range routes {
		at, ok := number(routes[i].Prefix.Addr().As4())
		if !ok {
			continue
		}
		if at >= len(c.used) {
			c.used = append(c.used, make([]bool, at+1-len(c.used))...)
		}
		used := routes[i].Hops.Len() > 0
		switch {
		case used && !c.used[at]:
			n++
		case !used && c.used[at]:
			n--
		}
		c.used[at] = used
	}
	c.n.Store(n)
	return nil
}

func (c *counter) Len() int           { return int(c.n.Load()) }
func (*counter) Sweep() error         { return nil }
func (*counter) Flush() error         { return nil }
func (*counter) Verify() (int, error) { return 0, nil }

// serve answers each connection with the count.
func (c *counter) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "count:", err)
			return
		}
		binary.Write(conn, binary.BigEndian, uint64(c.n.Load()))
		conn.Close()
	}
}

// segment is a router.Links of one interface that never changes.
type segment struct{ own netip.Addr }

func (s segment) Connected() ([]rib.Connected, error) {
	return []rib.Connected{{Prefix: netip.PrefixFrom(s.own, 24), Index: 2, Device: "eth0"}}, nil
}

func (segment) Changed() <-chan struct{} { return nil }
