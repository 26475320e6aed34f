package bgptcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/bgp"
)

// Dialer connects to peers from the kernel. It is a bgp.Dialer.
type Dialer struct{}

// Dial connects to c.Remote() from c.LocalAddr, if there is one.
func (Dialer) Dial(ctx context.Context, c bgp.Config) (net.Conn, error) {
	d := net.Dialer{
		KeepAlive: -1, // BGP has its own
		Control: func(_, _ string, raw syscall.RawConn) error {
			return control(raw, func(fd int) error {
				if err := setKey(fd, c.RemoteAddr, c.Password); err != nil {
					return err
				}
				return setSession(fd, &c)
			})
		},
	}
	d.SetMultipathTCP(false) // its options leave no room for signatures
	if c.LocalAddr.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.LocalAddr, 0))
	}
	nc, err := d.DialContext(ctx, "tcp", c.Remote().String())
	if err != nil {
		return nil, err
	}
	return &Conn{nc.(*net.TCPConn)}, nil
}

// Conn is a TCP connection that can tell when the peer last acknowledged.
type Conn struct{ *net.TCPConn }

// SinceAck is how long ago the peer's TCP acknowledged anything (tcp_info's
// tcpi_last_ack_recv).
func (c *Conn) SinceAck() (time.Duration, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var since time.Duration
	err = control(raw, func(fd int) error {
		since, err = sinceAck(fd)
		return err
	})
	return since, err
}

// Listener is a listening socket that knows its peers.
type Listener struct {
	tcp *net.TCPListener
	v4  bool

	mu    sync.Mutex
	peers []bgp.Config
	keys  map[netip.Addr]string
}

// Listen opens a listening socket; an unspecified address stands for all of its
// family. It is a bgp.ListenFunc.
func Listen(ctx context.Context, addr netip.AddrPort) (bgp.Listener, error) {
	network, v4 := "tcp6", addr.Addr().Unmap().Is4() // IPV6_V6ONLY: IPv4 has sockets of its own
	if v4 {
		network = "tcp4"
	}
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(ctx, network, addr.String())
	if err != nil {
		return nil, err
	}
	return &Listener{tcp: l.(*net.TCPListener), v4: v4, keys: make(map[netip.Addr]string)}, nil
}

// SetPeers replaces the peers whose connections will come. Established
// connections keep the key they were opened with.
func (l *Listener) SetPeers(peers []bgp.Config) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peers = l.peers[:0]
	want, owner := make(map[netip.Addr]string), make(map[netip.Addr]string)
	far := false
	var errs []error
	for _, c := range peers {
		if c.RemoteAddr.Unmap().Is4() != l.v4 {
			continue
		}
		l.peers = append(l.peers, c)
		far = far || c.TTLSecurity != 0
		key := c.RemoteAddr.Unmap().WithZone("")
		if other, ok := owner[key]; ok && want[key] != c.Password {
			errs = append(errs, fmt.Errorf("peers %q and %q have one address and different passwords", other, c.Name))
			continue
		}
		want[key], owner[key] = c.Password, c.Name
	}
	raw, err := l.tcp.SyscallConn()
	if err != nil {
		return err
	}
	err = control(raw, func(fd int) error {
		// RFC 5082 §3: the peer will want SYN-ACK to come with 255.
		if err := setTTL(fd, l.v4, ttlFor(far)); err != nil {
			errs = append(errs, err)
		}
		for addr := range l.keys {
			if want[addr] == "" {
				if err := setKey(fd, addr, ""); err != nil {
					errs = append(errs, fmt.Errorf("forget password of %v: %w", addr, err))
				}
				delete(l.keys, addr)
			}
		}
		for addr, password := range want {
			if password == "" || l.keys[addr] == password {
				continue
			}
			if err := setKey(fd, addr, password); err != nil {
				errs = append(errs, fmt.Errorf("peer %q: %w", owner[addr], err))
				continue
			}
			l.keys[addr] = password
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func ttlFor(far bool) int {
	if far {
		return 255
	}
	return 0
}

// Accept waits for a connection and sets on it what its peer's configuration says.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.tcp.AcceptTCP()
		if err != nil {
			return nil, err
		}
		cfg := l.peerOf(c)
		if cfg == nil {
			return &Conn{c}, nil // a stranger's: the server sees to it
		}
		raw, err := c.SyscallConn()
		if err == nil {
			err = control(raw, func(fd int) error { return setSession(fd, cfg) })
		}
		if err != nil { // it died in the queue
			c.Close()
			continue
		}
		return &Conn{c}, nil
	}
}

func (l *Listener) peerOf(c *net.TCPConn) *bgp.Config {
	local := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	remote := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.peers {
		if p := &l.peers[i]; p.RemoteAddr == remote && (!p.LocalAddr.IsValid() || p.LocalAddr == local) {
			found := *p
			return &found
		}
	}
	return nil
}

// Close closes the socket.
func (l *Listener) Close() error { return l.tcp.Close() }

// Addr is the address listened on.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// control runs f on the descriptor.
func control(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}
