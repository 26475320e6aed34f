package bgptest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

// Script is a peer that does what the test says, one verb at a time, right or
// wrong. Verbs that fail end the test.
type Script struct {
	Conn net.Conn
	t    testing.TB
	in   *wire.Reader
	sess wire.Session
	sent *wire.Open
}

// Connect opens a connection from a host to a speaker that listens.
func Connect(t testing.TB, n *Net, from netip.Addr, to netip.AddrPort) *Script {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c, err := n.Dial(ctx, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return NewScript(t, c)
}

// Await waits for a speaker's connection.
func Await(t testing.TB, l net.Listener) *Script {
	t.Helper()
	type result struct {
		c   net.Conn
		err error
	}
	ch := make(chan result, 1)
	go func() {
		c, err := l.Accept()
		ch <- result{c, err}
	}()
	select {
	case r := <-ch:
		if r.err != nil {
			t.Fatal(r.err)
		}
		return NewScript(t, r.c)
	case <-time.After(Patience):
		l.Close()
		t.Fatalf("no connection came within %v", Patience)
		return nil
	}
}

// NewScript plays the peer on a connection.
func NewScript(t testing.TB, c net.Conn) *Script {
	return &Script{Conn: c, t: t, in: wire.NewReader(c)}
}

// Send writes octets as they are.
func (s *Script) Send(octets []byte) {
	s.t.Helper()
	s.Conn.SetWriteDeadline(time.Now().Add(Patience))
	if _, err := s.Conn.Write(octets); err != nil {
		s.t.Fatalf("send %x: %v", octets, err)
	}
}

// Open sends an OPEN.
func (s *Script) Open(o *wire.Open) {
	s.t.Helper()
	b, err := wire.AppendOpen(nil, o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.sent = o
	s.Send(b)
}

// Keepalive sends a KEEPALIVE.
func (s *Script) Keepalive() {
	s.t.Helper()
	s.Send(wire.AppendKeepalive(nil))
}

// Announce sends UPDATEs; Establish must have come before.
func (s *Script) Announce(a *wire.Attrs, prefixes ...string) {
	s.t.Helper()
	e := wire.Encoder{Session: s.sess}
	b, _, err := e.AppendReach(nil, a, Prefixes(prefixes...), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Send(b)
}

// Withdraw sends UPDATEs; Establish must have come before.
func (s *Script) Withdraw(prefixes ...string) {
	s.t.Helper()
	e := wire.Encoder{Session: s.sess}
	b, _, err := e.AppendWithdraw(nil, Prefixes(prefixes...), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Send(b)
}

// Notify sends a NOTIFICATION.
func (s *Script) Notify(n *wire.Notification) {
	s.t.Helper()
	s.Send(wire.AppendNotification(nil, n))
}

// Next reads the next message. The body is a copy.
func (s *Script) Next() wire.Message {
	s.t.Helper()
	m, err := s.next()
	if err != nil {
		s.t.Fatalf("read a message: %v", err)
	}
	return m
}

func (s *Script) next() (wire.Message, error) {
	s.Conn.SetReadDeadline(time.Now().Add(Patience))
	m, err := s.in.Next()
	m.Body = bytes.Clone(m.Body)
	return m, err
}

// Expect reads the next message, which must be of a type.
func (s *Script) Expect(t wire.MessageType) wire.Message {
	s.t.Helper()
	m := s.Next()
	if m.Type != t {
		s.t.Fatalf("got %v %x, want %v", m.Type, m.Body, t)
	}
	return m
}

// ExpectOpen reads an OPEN.
func (s *Script) ExpectOpen() *wire.Open {
	s.t.Helper()
	o, err := wire.DecodeOpen(s.Expect(wire.TypeOpen).Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return o
}

// ExpectNotification reads on until a NOTIFICATION comes, which must have code and
// subcode; then the connection must end.
func (s *Script) ExpectNotification(code, subcode uint8) *wire.Notification {
	s.t.Helper()
	for {
		m := s.Next()
		if m.Type != wire.TypeNotification {
			continue
		}
		n, err := wire.DecodeNotification(m.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		if n.Code != code || n.Subcode != subcode {
			s.t.Fatalf("got NOTIFICATION %v, want %d/%d", n, code, subcode)
		}
		s.ExpectEnd()
		return n
	}
}

// ExpectEnd waits for the speaker to close, past whatever it says before.
func (s *Script) ExpectEnd() {
	s.t.Helper()
	for {
		m, err := s.next()
		switch {
		case err == nil && m.Type != wire.TypeNotification:
		case err == nil:
			s.t.Fatalf("got NOTIFICATION %x, want the end of the connection", m.Body)
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.t.Fatal("the connection is still open")
		default:
			s.Conn.Close()
			return
		}
	}
}

// Establish exchanges OPEN and KEEPALIVE, and reads the speaker's routes up to
// its last End-of-RIB. It returns the speaker's OPEN.
func (s *Script) Establish(o *wire.Open) *wire.Open {
	s.t.Helper()
	theirs := s.ExpectOpen()
	s.Open(o)
	s.Expect(wire.TypeKeepalive)
	s.sess = wire.Negotiate(o, theirs)
	s.Keepalive()
	return theirs
}

// NextUpdate reads on until an UPDATE comes.
func (s *Script) NextUpdate() *wire.Update {
	s.t.Helper()
	for {
		m := s.Next()
		switch m.Type {
		case wire.TypeUpdate:
			u := new(wire.Update)
			if r := s.sess.DecodeUpdate(m.Body, u); r.Outcome != wire.Accept {
				s.t.Fatalf("UPDATE %x is malformed: %v", m.Body, r.Findings)
			}
			return u
		case wire.TypeNotification:
			s.t.Fatalf("got NOTIFICATION %x, want UPDATE", m.Body)
		}
	}
}

// Table reads UPDATEs into a table until every family's End-of-RIB has come.
func (s *Script) Table() map[netip.Prefix]*wire.Attrs {
	s.t.Helper()
	routes := make(map[netip.Prefix]*wire.Attrs)
	for ends := 0; ends < len(s.sess.Families); {
		u := s.NextUpdate()
		if u.EndOfRIB != (wire.Family{}) {
			ends++
		}
		Apply(routes, u)
	}
	return routes
}

// Answer keeps the session alive in the background until the connection ends:
// KEEPALIVEs go out, what comes in is thrown away.
func (s *Script) Answer(every time.Duration) {
	s.Conn.SetDeadline(time.Time{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, s.Conn)
	}()
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := s.Conn.Write(wire.AppendKeepalive(nil)); err != nil {
					return
				}
			case <-done:
				return
			}
		}
	}()
}

// Apply takes an UPDATE into a table.
func Apply(routes map[netip.Prefix]*wire.Attrs, u *wire.Update) {
	for _, p := range u.Withdrawn {
		delete(routes, p)
	}
	for _, p := range u.NLRI {
		routes[p] = u.Attrs
	}
}

// OpenFor is the OPEN that a well-behaved peer of c sends.
func OpenFor(c bgp.Config, id netip.Addr, hold time.Duration, families ...wire.Family) *wire.Open {
	return wire.NewOpen(c.RemoteAS, uint16(hold/time.Second), id, families...)
}

// Prefixes parses prefixes.
func Prefixes(s ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(s))
	for i, p := range s {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}
