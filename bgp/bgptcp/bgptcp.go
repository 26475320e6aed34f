package bgptcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/bgp"
)

// Dialer connects to peers from the kernel. It is a bgp.Dialer.
type Dialer struct{}

// Dial connects to c.Remote() from c.LocalAddr, if there is one. Where the kernel
// lacks the signatures that c asks for the error is ErrNoMD5 or ErrNoAO, and no
// octet is sent.
func (Dialer) Dial(ctx context.Context, c bgp.Config) (net.Conn, error) {
	remote, err := dialable(c.RemoteAddr)
	if err != nil {
		return nil, fmt.Errorf("dial %v: %w", c.Remote(), err)
	}
	d := net.Dialer{
		KeepAlive: -1, // BGP has its own
		Control: func(_, _ string, raw syscall.RawConn) error {
			return control(raw, func(fd int) error {
				if err := sign(fd, &c); err != nil {
					return err
				}
				if err := bindDevice(fd, c.Device); err != nil {
					return err
				}
				return setSession(fd, c.RemoteAddr.Unmap().Is4(), &c)
			})
		},
	}
	d.SetMultipathTCP(false) // its options leave no room for signatures
	if local := c.LocalAddr; local.IsValid() {
		if local.IsLinkLocalUnicast() && local.Is6() {
			local = local.WithZone(remote.Zone())
		}
		d.LocalAddr = tcpAddr(netip.AddrPortFrom(local, 0))
	}
	nc, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(remote, c.Remote().Port()).String())
	if err != nil {
		if c.LocalAddr.IsValid() && errors.Is(err, syscall.EADDRNOTAVAIL) {
			return nil, fmt.Errorf("source address %v is none of this host's%s: %w", c.LocalAddr, on(c.Device), err)
		}
		return nil, err
	}
	conn, err := newConn(nc.(*net.TCPConn))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("dial %v: %w", c.Remote(), err)
	}
	conn.keys = c.AO
	return conn, nil
}

// sign gives a socket that is not connected yet the keys for its peer.
func sign(fd int, c *bgp.Config) error {
	if c.Password != "" {
		return setMD5(fd, host(c.RemoteAddr), c.Password)
	}
	for i, k := range c.AO {
		if err := addAO(fd, host(c.RemoteAddr), k, i == 0); err != nil {
			return err
		}
	}
	return nil
}

// Conn is a TCP connection that can tell when the peer last acknowledged, and
// change its TCP-AO keys. Its addresses have the names of interfaces in its own
// network namespace.
type Conn struct {
	*net.TCPConn
	local, remote netip.AddrPort
	keys          []bgp.AOKey
}

func newConn(tcp *net.TCPConn) (*Conn, error) {
	c := &Conn{TCPConn: tcp}
	err := c.control(func(fd int) (err error) {
		c.local, c.remote, err = ends(fd)
		return err
	})
	return c, err
}

// LocalAddr is our end's address.
func (c *Conn) LocalAddr() net.Addr { return tcpAddr(c.local) }

// RemoteAddr is the peer's.
func (c *Conn) RemoteAddr() net.Addr { return tcpAddr(c.remote) }

// SinceAck is how long ago the peer's TCP acknowledged anything (tcp_info's
// tcpi_last_ack_recv).
func (c *Conn) SinceAck() (since time.Duration, err error) {
	err = c.control(func(fd int) (err error) {
		since, err = sinceAck(fd)
		return err
	})
	return since, err
}

// SetKeys makes the TCP-AO keys of the connection those of cfg, without a break if
// the peer has one of them: it is asked to sign with the first, and keys that are
// not in cfg are forgotten. It is an error if a key is another under the same IDs,
// and then nothing has changed. It is not to be called from two goroutines at once.
func (c *Conn) SetKeys(cfg bgp.Config) error {
	if id, ok := changedUnderID(c.keys, cfg.AO); ok {
		return fmt.Errorf("TCP-AO key %d/%d is another now", id.send, id.recv)
	}
	err := c.control(func(fd int) error { return syncAO(fd, c.remote.Addr(), cfg.AO) })
	if err == nil {
		c.keys = slices.Clone(cfg.AO)
	}
	return err
}

func (c *Conn) control(f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, f)
}

// control runs f on the descriptor.
func control(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}
