package bgp

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

const (
	// linger bounds the goodbye: how long a NOTIFICATION may take to get out and the
	// peer's end to close.
	linger = time.Second
	// leastSendHold is RFC 9687 §3.3's lower bound of the send hold time.
	leastSendHold = 8 * time.Minute
	// batchLimit is how many messages are handed over at a time.
	batchLimit = 64
	readBuffer = 16 << 10
	// keepPrefixes is the most room for prefixes that is kept in an UPDATE nobody uses:
	// one of 64 KiB has up to 13,000 hosts, or 65,000 prefixes from who means ill.
	keepPrefixes = 1 << 15
	// keepBuffer is the largest write buffer that is kept between writes.
	keepBuffer = 64 << 10
)

// conn is one TCP connection: a goroutine that reads and decodes, and one that
// writes.
type conn struct {
	id     ConnID
	nc     net.Conn
	local  netip.AddrPort
	remote netip.AddrPort
	config Config
	sent   *wire.Open // what will have been said when the peer's OPEN is read
	tally  *tally
	routes *adjOut
	inbox  chan<- batch

	wake chan struct{} // something to write, or closing
	quit chan struct{} // closed by finish
	read chan struct{} // closed when the reader is done

	mu       sync.Mutex
	control  []byte        // messages of the session itself; they go before routes
	beating  bool          // a KEEPALIVE is in control
	asking   []wire.Family // and a request for these routes
	attached bool          // routes may be written
	closing  bool
	sendHold time.Duration
}

// updates are those that nobody uses any more: an UPDATE of 800 prefixes has 25 KiB.
var updates = sync.Pool{New: func() any { return new(wire.Update) }}

// Recycle gives an UPDATE's memory back to the engine. A Handler may do so with what
// Update handed to it, once nothing refers to it any more; none has to.
func Recycle(u *wire.Update) {
	if cap(u.NLRI)+cap(u.Withdrawn) <= keepPrefixes {
		updates.Put(u)
	}
}

// message is one message as read: what its type says is set.
type message struct {
	typ     wire.MessageType
	open    *wire.Open
	update  *wire.Update
	report  wire.Report
	refresh *wire.RouteRefresh
	notif   *wire.Notification // received
	bad     *wire.Notification // to be sent instead: the message is malformed
}

// batch is what a connection has to tell.
type batch struct {
	conn     *conn
	messages []message
	over     bool // nothing follows
	err      error
	stalled  bool // over because the peer takes nothing
}

func newConn(id ConnID, nc net.Conn, c *Config, t *tally, routes *adjOut, inbox chan<- batch) *conn {
	return &conn{
		id: id, nc: nc, local: addrPort(nc.LocalAddr()), remote: addrPort(nc.RemoteAddr()),
		config: *c, sent: c.open(false), tally: t, routes: routes, inbox: inbox,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), read: make(chan struct{}),
		sendHold: leastSendHold,
	}
}

// start runs the two goroutines; they end after finish. The connection counts as live
// until both have.
func (c *conn) start(wg *sync.WaitGroup, live *atomic.Int32) {
	live.Add(1)
	wg.Go(c.reader)
	wg.Go(func() {
		c.writer()
		<-c.read
		live.Add(-1)
	})
}

func (c *conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// sendOpen and sendKeepalive queue a message; they never wait.
func (c *conn) sendOpen(o *wire.Open) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.control, err = wire.AppendOpen(c.control, o); err != nil {
		return err
	}
	c.tally.sent.count(wire.TypeOpen)
	c.poke()
	return nil
}

func (c *conn) sendKeepalive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.beating {
		return // the one that waits says the same
	}
	c.beating = true
	c.control = wire.AppendKeepalive(c.control)
	c.tally.sent.count(wire.TypeKeepalive)
	c.poke()
}

func (c *conn) sendRefresh(f wire.Family) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.asking, f) {
		return // like a KEEPALIVE
	}
	c.asking = append(c.asking, f)
	c.control = wire.AppendRouteRefresh(c.control, wire.RouteRefresh{Family: f})
	c.tally.sent.count(wire.TypeRouteRefresh)
	c.poke()
}

// attach lets routes be written.
func (c *conn) attach(hold time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attached = true
	c.sendHold = max(leastSendHold, 2*hold) // RFC 9687 §3.3
}

// finish says goodbye and closes, in the background and within linger; without a
// goodbye it closes at once.
func (c *conn) finish(n *wire.Notification) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	c.closing, c.attached = true, false
	close(c.quit)
	if n == nil {
		c.nc.Close()
		return
	}
	c.control = wire.AppendNotification(c.control, n)
	c.tally.sent.count(wire.TypeNotification)
	c.nc.SetWriteDeadline(time.Now().Add(linger))
	c.poke()
}

// writer writes what there is to write until the connection is over.
func (c *conn) writer() {
	defer c.tally.outQueue.Store(0)
	var buf []byte
	for {
		select {
		case <-c.wake:
		case <-c.quit:
			c.goodbye(buf[:0])
			return
		}
		for {
			buf = c.take(buf[:0])
			if len(buf) == 0 {
				break
			}
			if err := c.write(buf); err != nil {
				select {
				case <-c.quit:
					c.nc.Close()
				case c.inbox <- batch{conn: c, over: true, err: err, stalled: errors.Is(err, os.ErrDeadlineExceeded)}:
					<-c.quit
					c.nc.Close()
				}
				return
			}
		}
		if cap(buf) > keepBuffer {
			buf = nil
		}
	}
}

// take collects what is to be written now.
func (c *conn) take(buf []byte) []byte {
	c.mu.Lock()
	buf = append(buf, c.control...)
	c.control, c.beating, c.asking = c.control[:0], false, nil
	routes := c.attached
	c.mu.Unlock()
	if routes && len(buf) == 0 {
		var n tallied
		buf, n = c.routes.pack(buf, c, time.Now())
		c.tally.sent.add(wire.TypeUpdate, uint64(n.updates))
		c.tally.sent.add(wire.TypeRouteRefresh, uint64(n.refreshes))
	}
	return buf
}

// write writes all of buf, or fails; with os.ErrDeadlineExceeded if the peer takes
// nothing for the send hold time (RFC 9687 §3.2).
func (c *conn) write(buf []byte) error {
	moved := time.Now()
	for len(buf) > 0 {
		c.tally.outQueue.Store(int64(len(buf)))
		c.mu.Lock()
		closing, hold := c.closing, c.sendHold
		if !closing {
			// Short of the whole time, so as to see about when octets moved.
			c.nc.SetWriteDeadline(time.Now().Add(hold / 8))
		}
		c.mu.Unlock()
		n, err := c.nc.Write(buf)
		buf = buf[n:]
		if n > 0 {
			moved = time.Now()
			c.tally.sent.bytes.Add(uint64(n))
			c.tally.sent.touch()
		}
		if err != nil && (closing || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(moved) >= hold) {
			return err
		}
	}
	c.tally.outQueue.Store(0)
	return nil
}

// goodbye writes the NOTIFICATION, unless take has got it already, gives the peer the
// time to read it, and closes. Closing at once could make the kernel send RST for
// octets not yet read, and the peer lose the NOTIFICATION. finish without one has
// closed the connection: then every step fails at once.
func (c *conn) goodbye(buf []byte) {
	defer c.nc.Close()
	c.mu.Lock()
	buf = append(buf, c.control...)
	c.mu.Unlock()
	if c.write(buf) != nil {
		return
	}
	h, ok := c.nc.(halfCloser)
	if !ok || h.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(linger))
	<-c.read
}

// reader reads and decodes until the connection is over, then reads on so that
// goodbye gets to see the peer's end.
func (c *conn) reader() {
	defer close(c.read)
	in := bufio.NewReaderSize(c.nc, readBuffer)
	frames := wire.NewReader(in)
	var session *wire.Session // nil: no OPEN yet
	for {
		var b batch
		b.conn = c
		for !b.over {
			frame, err := frames.Next()
			if err != nil {
				b.fail(err)
				break
			}
			c.tally.received.touch()
			c.tally.received.count(frame.Type)
			c.tally.received.bytes.Add(uint64(frame.Len()))
			m := decode(frame, session)
			if m.open != nil && session == nil {
				// What the machine will come to by the same OPEN.
				s := c.config.negotiate(c.sent, m.open)
				session = &s
				frames.SetMaxLen(s.MaxLen)
			}
			b.messages = append(b.messages, m)
			b.over = m.bad != nil || m.notif != nil
			if len(b.messages) == batchLimit || !whole(in) {
				break
			}
		}
		select {
		case c.inbox <- b:
		case <-c.quit:
			b.over = true
		}
		if b.over {
			<-c.quit
			io.Copy(io.Discard, c.nc)
			return
		}
	}
}

// fail ends a batch with what went wrong.
func (b *batch) fail(err error) {
	b.over = true
	if n := (*wire.Notification)(nil); errors.As(err, &n) {
		b.messages = append(b.messages, message{bad: n})
		return
	}
	if err != io.EOF {
		b.err = err
	}
}

// whole says if another message can be read without waiting.
func whole(in *bufio.Reader) bool {
	n := in.Buffered()
	if n < wire.HeaderLen {
		return false
	}
	h, _ := in.Peek(wire.HeaderLen)
	return n >= int(h[16])<<8|int(h[17])
}

func decode(f wire.Message, s *wire.Session) message {
	m := message{typ: f.Type}
	var err error
	switch f.Type {
	case wire.TypeOpen:
		m.open, err = wire.DecodeOpen(f.Body)
	case wire.TypeNotification:
		m.notif, err = wire.DecodeNotification(f.Body)
	case wire.TypeRouteRefresh:
		m.refresh, err = wire.DecodeRouteRefresh(f.Body)
	case wire.TypeUpdate:
		if s == nil {
			break // it has no place before OPEN, whatever it says
		}
		m.update = updates.Get().(*wire.Update)
		if m.report = s.DecodeUpdate(f.Body, m.update); m.report.Outcome == wire.SessionReset {
			m.bad = m.report.Notification
		}
	}
	if err != nil {
		m.bad = notification(err)
	}
	return m
}
