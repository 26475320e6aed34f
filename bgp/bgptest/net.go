package bgptest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/bgp"
)

// Net is an in-memory network of hosts, each with one address or more. Its methods
// may be called from any goroutine.
type Net struct {
	mu        sync.Mutex
	listeners map[netip.AddrPort]*Listener
	conns     []*Conn // one end each
	down      map[netip.Addr]bool
	silent    map[netip.Addr]bool
	port      uint16
}

// NewNet makes a network on which all hosts are up.
func NewNet() *Net {
	return &Net{
		listeners: make(map[netip.AddrPort]*Listener),
		down:      make(map[netip.Addr]bool),
		silent:    make(map[netip.Addr]bool),
		port:      40000,
	}
}

// Dialer dials from a host; Config.LocalAddr goes before it.
func (n *Net) Dialer(host netip.Addr) bgp.Dialer { return dialer{n, host} }

type dialer struct {
	net  *Net
	host netip.Addr
}

func (d dialer) Dial(ctx context.Context, c bgp.Config) (net.Conn, error) {
	host := d.host
	if c.LocalAddr.IsValid() {
		host = c.LocalAddr
	}
	k, err := d.net.Dial(ctx, host, c.Remote())
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Dial connects from a host. A host that is down does not answer, one that does
// not listen refuses.
func (n *Net) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	if n.down[from] || n.down[to.Addr()] {
		n.mu.Unlock()
		<-ctx.Done()
		return nil, fmt.Errorf("dial %v: %w", to, ctx.Err())
	}
	l := n.listeners[to]
	if l == nil {
		n.mu.Unlock()
		return nil, fmt.Errorf("dial %v: %w", to, syscall.ECONNREFUSED)
	}
	n.port++
	there, back := newStream(), newStream()
	a := &Conn{net: n, local: netip.AddrPortFrom(from, n.port), remote: to, in: back, out: there}
	b := &Conn{net: n, local: to, remote: a.local, in: there, out: back}
	n.conns = append(n.conns, a, b)
	n.mu.Unlock()
	select {
	case l.queue <- b:
		return a, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial %v: %w", to, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Listen listens on a host. It is a bgp.ListenFunc.
func (n *Net) Listen(_ context.Context, addr netip.AddrPort) (bgp.Listener, error) {
	l := &Listener{net: n, addr: addr, queue: make(chan *Conn, 16), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("listen %v: %w", addr, syscall.EADDRINUSE)
	}
	n.listeners[addr] = l
	return l, nil
}

// Cut takes a host's link down: nothing arrives any more, nobody is told. Boot
// heals it, with its connections.
func (n *Net) Cut(host netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.setLink(host, true)
}

// Crash takes a host's power: its link goes down, its listeners are gone, and it
// forgets its connections. What the programs that ran on it still write goes
// nowhere.
func (n *Net) Crash(host netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.setLink(host, true)
	for _, c := range n.conns {
		if c.local.Addr() == host {
			c.in.change(func() { c.in.lost = true })
			c.out.change(func() { c.out.void = true })
		}
	}
	maps.DeleteFunc(n.listeners, func(addr netip.AddrPort, _ *Listener) bool { return addr.Addr() == host })
}

// Boot brings a host's link up. Whoever has something to say on a connection that
// the host forgot is reset.
func (n *Net) Boot(host netip.Addr) {
	n.mu.Lock()
	n.setLink(host, false)
	var reset []*Conn
	for _, c := range n.conns {
		if c.remote.Addr() == host && c.out.retransmits() {
			reset = append(reset, c)
		}
	}
	n.mu.Unlock()
	for _, c := range reset {
		c.forgotten()
	}
}

// Silence makes a host send no RST for connections that it has forgotten, like one
// behind a filter, or one whose RST lack the signature.
func (n *Net) Silence(host netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silent[host] = true
}

func (n *Net) setLink(host netip.Addr, down bool) {
	n.down[host] = down
	for _, c := range n.conns {
		cut := n.down[c.local.Addr()] || n.down[c.remote.Addr()]
		c.out.change(func() { c.out.cut = cut })
	}
}

// Conn is one end of a connection.
type Conn struct {
	net           *Net
	local, remote netip.AddrPort
	in, out       *stream
	rd, wd        deadline
	once          sync.Once
}

// Read reads what arrived, or waits.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p, &c.rd) }

// Write writes all of p, or waits for the other end to read.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p, &c.wd, c.forgotten) }

// CloseWrite ends the sending direction.
func (c *Conn) CloseWrite() error {
	c.out.change(func() { c.out.eof = true })
	return nil
}

// Close ends both directions. If there was something left to read, or more comes,
// the other end is reset.
func (c *Conn) Close() error {
	c.once.Do(func() {
		unread := false
		c.in.change(func() { unread = len(c.in.buf) > 0; c.in.closed = true })
		c.out.change(func() {
			c.out.eof = true
			if unread && !c.out.void {
				c.out.err = syscall.ECONNRESET
			}
		})
	})
	return nil
}

// Reset ends the connection as a crash of the program does.
func (c *Conn) Reset() {
	c.out.reset()
	c.in.reset()
}

// forgotten is the other host's RST.
func (c *Conn) forgotten() {
	c.net.mu.Lock()
	silent := c.net.silent[c.remote.Addr()]
	c.net.mu.Unlock()
	if !silent {
		c.Reset()
	}
}

// SinceAck is how long ago the other host acknowledged anything.
func (c *Conn) SinceAck() (time.Duration, error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return time.Since(c.out.acked), nil
}

// SetWindow makes the other end's unread octets wait here once they are so many.
func (c *Conn) SetWindow(n int) { c.in.change(func() { c.in.limit = n }) }

// LocalAddr is this end's address.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr is the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.rd.set(t)
	c.wd.set(t)
	return nil
}

// SetReadDeadline bounds reads, those under way included.
func (c *Conn) SetReadDeadline(t time.Time) error { c.rd.set(t); return nil }

// SetWriteDeadline bounds writes, those under way included.
func (c *Conn) SetWriteDeadline(t time.Time) error { c.wd.set(t); return nil }

// Listener is a listening socket.
type Listener struct {
	net    *Net
	addr   netip.AddrPort
	queue  chan *Conn
	closed chan struct{}
	once   sync.Once
}

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	if l.net.listeners[l.addr] == l {
		delete(l.net.listeners, l.addr)
	}
	return nil
}

// Addr is the address listened on.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// SetPeers takes any peers: there are no passwords in memory.
func (l *Listener) SetPeers([]bgp.Config) error { return nil }
