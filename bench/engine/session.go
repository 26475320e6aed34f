package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

// holdTime is longer than any measurement, so that the bench's side needs to send
// no KEEPALIVE while it reads or writes.
const holdTime = 240

// session is an Established session of the bench's own, with as little between it
// and the socket as can be.
type session struct {
	conn *net.TCPConn
	up   time.Time // when it became Established on this side
}

// connect makes a session from one of the far addresses to the daemon; it tries
// until the daemon is ready for it.
func (s *site) connect(ctx context.Context, as uint32, from netip.Addr) (*session, error) {
	var made *session
	err := until(ctx, "a session with the daemon", 20*time.Millisecond, func() error {
		var nc net.Conn
		err := s.far.Do(func() (err error) {
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: time.Second}
			nc, err = d.DialContext(ctx, "tcp", netip.AddrPortFrom(nearAddr, bgp.Port).String())
			return err
		})
		if err == nil {
			made, err = establish(nc.(*net.TCPConn), as, from)
		}
		return err
	})
	return made, err
}

// listen waits for the daemon to connect to the first far address.
func (s *site) listen(ctx context.Context) (net.Listener, error) {
	return s.far.Listen(ctx, "tcp", netip.AddrPortFrom(farAddrs[0], bgp.Port).String())
}

// accept makes a session of the next connection.
func accept(ctx context.Context, l net.Listener) (*session, error) {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	nc, err := l.Accept()
	if err != nil {
		return nil, fmt.Errorf("the daemon does not connect: %w", errors.Join(context.Cause(ctx), err))
	}
	return establish(nc.(*net.TCPConn), farAS, farAddrs[0])
}

// establish exchanges OPEN and KEEPALIVE.
func establish(conn *net.TCPConn, as uint32, id netip.Addr) (*session, error) {
	s := &session{conn: conn}
	if err := s.handshake(as, id); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) handshake(as uint32, id netip.Addr) error {
	s.conn.SetReadBuffer(4 << 20) // the reader shall never be what one waits for
	s.conn.SetWriteBuffer(4 << 20)
	s.conn.SetDeadline(time.Now().Add(10 * time.Second))
	open, err := wire.AppendOpen(nil, wire.NewOpen(as, holdTime, id, wire.IPv4Unicast))
	if err != nil {
		return err
	}
	if _, err := s.conn.Write(open); err != nil {
		return err
	}
	if err := s.expect(wire.TypeOpen); err != nil {
		return err
	}
	if _, err := s.conn.Write(wire.AppendKeepalive(nil)); err != nil {
		return err
	}
	if err := s.expect(wire.TypeKeepalive); err != nil {
		return err
	}
	s.up = time.Now()
	return s.conn.SetDeadline(time.Time{})
}

// expect reads one message, and not an octet more.
func (s *session) expect(kind wire.MessageType) error {
	var header [wire.HeaderLen]byte
	if _, err := io.ReadFull(s.conn, header[:]); err != nil {
		return err
	}
	body := make([]byte, int(header[16])<<8|int(header[17])-wire.HeaderLen)
	if _, err := io.ReadFull(s.conn, body); err != nil {
		return err
	}
	switch got := wire.MessageType(header[18]); {
	case got == wire.TypeNotification:
		n, err := wire.DecodeNotification(body)
		return fmt.Errorf("the daemon said %v (%v)", n, err)
	case got != kind:
		return fmt.Errorf("the daemon sent %v instead of %v", got, kind)
	}
	return nil
}

// while ends what the session is doing when ctx does.
func (s *session) while(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { s.conn.SetDeadline(time.Now()) })
}
