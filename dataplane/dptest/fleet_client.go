package dptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// firstPort is the first of the client's ports that is used.
const firstPort = 20000

// source returns an address and port that the client has not used yet.
func (f *Fleet) source() netip.AddrPort {
	const ports = 60000 - firstPort
	n := f.port.Add(1)
	return netip.AddrPortFrom(f.family.Clients[n/ports%clients], uint16(firstPort+n%ports))
}

// dial begins a connection of the client's to the VIP.
func (f *Fleet) dial(from netip.AddrPort, patience time.Duration) (net.Conn, error) {
	return dial(f.Client, f.protocol, from, f.family.VIP(), patience)
}

func dial(ns *netns.NS, protocol pharos.Protocol, from, to netip.AddrPort, patience time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var conn net.Conn
	err := ns.Do(func() (err error) {
		dialer := net.Dialer{LocalAddr: net.Addr(net.TCPAddrFromAddrPort(from))}
		if protocol == pharos.UDP {
			dialer.LocalAddr = net.UDPAddrFromAddrPort(from)
		}
		conn, err = dialer.DialContext(ctx, strings.ToLower(string(protocol)), to.String())
		return err
	})
	return conn, err
}

// Connections are long ones of a Fleet's client to its VIP.
type Connections struct {
	all []*long
}

type long struct {
	net.Conn
	from   netip.AddrPort
	pod    string     // who answered
	source netip.Addr // whom that saw
	life   int        // of the pod; it may have got another one
	broken error
}

// Broken counts the connections that do not work any more.
type Broken struct {
	Reset  int            // their clients were told so
	Silent int            // nobody answered in time
	Pods   map[string]int // by the pod that they led to
}

// All is the number of them.
func (b Broken) All() int { return b.Reset + b.Silent }

// Connect opens as many connections as the options say.
func (f *Fleet) Connect(t testing.TB) *Connections {
	t.Helper()
	c := &Connections{all: make([]*long, f.options.Connections)}
	t.Cleanup(c.close)
	var mu sync.Mutex
	var failed error
	each(len(c.all), 8, func(i int) {
		mu.Lock()
		stop := failed != nil
		mu.Unlock()
		if stop {
			return
		}
		l, err := f.open(f.source())
		mu.Lock()
		defer mu.Unlock()
		if c.all[i] = l; err != nil {
			failed = err
		}
	})
	if failed != nil {
		t.Fatal(failed)
	}
	if f.options.Mode == pharos.Direct {
		f.note(c)
	}
	return c
}

// open begins one connection and reads its greeting.
func (f *Fleet) open(from netip.AddrPort) (*long, error) {
	l, err := f.greeted(f.dial(from, patience))
	l.from = from
	for _, p := range f.Pods {
		if p.Name == l.pod {
			l.life = p.life
		}
	}
	return l, err
}

// greeted reads the greeting of a connection that was just begun.
func (f *Fleet) greeted(conn net.Conn, err error) (*long, error) {
	if err != nil {
		return &long{}, err
	}
	o, err := Greet(conn, f.protocol, patience)
	return &long{Conn: conn, pod: f.who(o.Backend), source: o.Source}, err
}

// who returns the name of the pod with an address.
func (f *Fleet) who(addr netip.AddrPort) string {
	for _, p := range f.Pods {
		if p.Addrs[f.family.index()] == addr {
			return p.Name
		}
	}
	return addr.String()
}

// each calls do for 0 to n-1, some at a time.
func each(n, width int, do func(i int)) {
	var next atomic.Int64
	var working sync.WaitGroup
	for range width {
		working.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	working.Wait()
}

func (c *Connections) close() {
	for _, l := range c.all {
		if l != nil && l.Conn != nil {
			if tcp, ok := l.Conn.(*net.TCPConn); ok {
				tcp.SetLinger(0)
			}
			l.Close()
		}
	}
}

// note makes the model's nodes remember new connections.
func (f *Fleet) note(c *Connections) {
	for _, l := range c.all {
		f.model.Send(time.Unix(1e9, 0), f.Members[0].Name, f.packet(l))
	}
}

// packet is a connection's first one.
func (f *Fleet) packet(l *long) dataplane.Packet {
	return dataplane.Packet{Src: l.from.Addr(), SrcPort: l.from.Port(), Dst: f.family.VIP(), Protocol: f.protocol}
}

// Pods counts the connections by the pod that they lead to.
func (c *Connections) Pods() map[string]int {
	n := map[string]int{}
	for _, l := range c.all {
		n[l.pod]++
	}
	return n
}

// Check has every connection echo once, those at the same time that take long, and
// returns all that are broken since they were opened.
func (c *Connections) Check() Broken {
	each(len(c.all), len(c.all), func(i int) {
		if l := c.all[i]; l.broken == nil {
			l.broken = l.echo()
		}
	})
	b := Broken{Pods: map[string]int{}}
	for _, l := range c.all {
		switch {
		case l.broken == nil:
			continue
		case errors.Is(l.broken, os.ErrDeadlineExceeded):
			b.Silent++
		default:
			b.Reset++
		}
		b.Pods[l.pod]++
	}
	return b
}

// echo sends a line and waits for it to come back.
func (l *long) echo() error {
	l.SetDeadline(time.Now().Add(patience))
	line := []byte("still there\n")
	if _, err := l.Write(line); err != nil {
		return err
	}
	got := make([]byte, len(line))
	if _, err := io.ReadFull(l, got); err != nil {
		return err
	}
	if string(got) != string(line) {
		return fmt.Errorf("echo of %q is %q", line, got)
	}
	return nil
}

// Load is requests that a Fleet's client makes all the time.
type Load struct {
	stop     context.CancelFunc
	asking   sync.WaitGroup
	requests atomic.Int64

	mu       sync.Mutex
	failures []error
}

// Load begins to make requests of the VIP, each a connection of its own.
func (f *Fleet) Load(t testing.TB) *Load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{stop: cancel}
	for range 4 {
		l.asking.Go(func() {
			for ctx.Err() == nil {
				conn, err := f.open(f.source())
				if err == nil {
					err = conn.echo()
				}
				if conn.Conn != nil {
					if tcp, ok := conn.Conn.(*net.TCPConn); ok {
						tcp.SetLinger(0) // thousands of these leave no port waiting
					}
					conn.Close()
				}
				if err != nil {
					l.mu.Lock()
					l.failures = append(l.failures, err)
					l.mu.Unlock()
				}
				l.requests.Add(1)
			}
		})
	}
	t.Cleanup(func() { l.Stop() })
	return l
}

// Await waits until n more requests have ended.
func (l *Load) Await(t testing.TB, n int) {
	t.Helper()
	until := l.requests.Load() + int64(n)
	for deadline := time.Now().Add(3 * patience); l.requests.Load() < until; {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests are not made within %v", n, 3*patience)
		}
		<-time.After(time.Millisecond)
	}
}

// Stop ends the load and returns how many requests there were and why some failed.
func (l *Load) Stop() (requests int, failures []error) {
	l.stop()
	l.asking.Wait()
	return int(l.requests.Load()), l.failures
}
