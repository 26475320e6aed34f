package bgptcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/pharoslb/pharos/bgp"
)

// Listener is a listening socket that knows its peers.
type Listener struct {
	tcp *net.TCPListener
	v4  bool

	mu    sync.Mutex
	open  bool    // SetPeers was called: segments get in
	peers []entry // in the order in which connections belong to them
	keys  map[netip.Prefix]credential
}

// Listen opens a listening socket; an unspecified address stands for all of its
// family. Nothing gets in before SetPeers has set the keys. It is a bgp.ListenFunc.
func Listen(ctx context.Context, addr netip.AddrPort) (bgp.Listener, error) {
	network, v4 := "tcp6", addr.Addr().Unmap().Is4() // IPV6_V6ONLY: IPv4 has sockets of its own
	if v4 {
		network = "tcp4"
	}
	at, err := dialable(addr.Addr())
	if err != nil {
		return nil, err
	}
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, raw syscall.RawConn) error {
		return control(raw, shut)
	}}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(ctx, network, netip.AddrPortFrom(at, addr.Port()).String())
	if err != nil {
		return nil, err
	}
	return &Listener{tcp: l.(*net.TCPListener), v4: v4, keys: make(map[netip.Prefix]credential)}, nil
}

// SetPeers replaces the peers whose connections will come. Only what differs is
// told to the kernel, and connections that are established keep the keys they
// have. Peers of whom the error speaks are not let in at all.
func (l *Listener) SetPeers(peers []bgp.Config) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var want map[netip.Prefix]credential
	l.peers, want = plan(peers, l.v4)
	far := slices.ContainsFunc(l.peers, func(e entry) bool { return e.TTLSecurity != 0 })
	raw, err := l.tcp.SyscallConn()
	if err != nil {
		return err
	}
	var errs []error
	err = control(raw, func(fd int) error {
		// RFC 5082 §3: the peer will want SYN-ACK to come with 255.
		if err := setTTL(fd, l.v4, ttlFor(far)); err != nil {
			errs = append(errs, err)
		}
		failed := setKeys(fd, l.keys, want)
		for i := range l.peers {
			e := &l.peers[i]
			if err := failed[e.prefix]; err != nil && e.err == nil {
				e.err = fmt.Errorf("peer %q: %w", e.Name, err)
			}
			if e.err != nil {
				errs = append(errs, e.err)
			}
			delete(failed, e.prefix)
		}
		for p, err := range failed { // of peers that are gone
			errs = append(errs, fmt.Errorf("forget keys of %v: %w", p, err))
		}
		if !l.open {
			l.open = true
			return unshut(fd)
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
		tcp, err := l.tcp.AcceptTCP()
		if err != nil {
			return nil, err
		}
		c, err := l.prepare(tcp)
		if err != nil { // it died in the queue, or its peer must not come in
			tcp.Close()
			continue
		}
		return c, nil
	}
}

// prepare makes a connection ready for its peer; a stranger's is left as it is, the
// server sees to it.
func (l *Listener) prepare(tcp *net.TCPConn) (*Conn, error) {
	c, err := newConn(tcp)
	if err != nil {
		return nil, err
	}
	e, ok := l.peerOf(c.local.Addr(), c.remote.Addr())
	if !ok {
		return c, nil
	}
	if e.err != nil {
		return nil, e.err
	}
	return c, c.control(func(fd int) error {
		// Keys may have changed after the handshake. One without a signature that
		// was through before the key was there falls silent here.
		if e.Password != "" {
			if err := setMD5(fd, host(c.remote.Addr()), e.Password); err != nil {
				return err
			}
		}
		if len(e.AO) > 0 {
			if err := syncAO(fd, c.remote.Addr(), e.AO); err != nil {
				return err
			}
			c.keys = e.AO
		}
		return setSession(fd, l.v4, &e.Config)
	})
}

func (l *Listener) peerOf(local, remote netip.Addr) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.peers {
		if l.peers[i].from(local, remote) {
			return l.peers[i], true
		}
	}
	return entry{}, false
}

// Close closes the socket.
func (l *Listener) Close() error { return l.tcp.Close() }

// Addr is the address listened on.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }
