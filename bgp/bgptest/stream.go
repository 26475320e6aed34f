package bgptest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many octets a direction holds before writers wait: about what a
// kernel's two socket buffers hold.
const window = 256 << 10

// stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	buf     []byte
	limit   int
	eof     bool  // the writer closed its end
	closed  bool  // the reader closed its end
	err     error // reset
	cut     bool  // the link is down: what is written does not arrive yet
	lost    bool  // the reader's host forgot the connection
	void    bool  // the writer's host lost its power: nothing arrives any more
	acked   time.Time
}

func newStream() *stream {
	return &stream{changed: make(chan struct{}), limit: window, acked: time.Now()}
}

// change runs f and wakes everyone who waits.
func (s *stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) read(p []byte, d *deadline) (int, error) {
	for {
		s.mu.Lock()
		switch {
		case d.passed():
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case s.closed:
			s.mu.Unlock()
			return 0, net.ErrClosed
		case s.err != nil:
			defer s.mu.Unlock()
			return 0, s.err
		case s.cut || s.void:
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			s.buf = s.buf[:copy(s.buf, s.buf[n:])]
			s.mu.Unlock()
			s.change(func() {})
			return n, nil
		case s.eof:
			s.mu.Unlock()
			return 0, io.EOF
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-d.wait():
		}
	}
}

// write waits for room. forgotten is called when octets meet a host that is up and
// does not know the connection.
func (s *stream) write(p []byte, d *deadline, forgotten func()) (n int, err error) {
	for {
		s.mu.Lock()
		switch {
		case len(p) == 0:
			s.mu.Unlock()
			return n, nil
		case s.err != nil:
			defer s.mu.Unlock()
			return n, s.err
		case s.eof:
			s.mu.Unlock()
			return n, net.ErrClosed
		case s.closed && !s.lost:
			s.mu.Unlock()
			return n, syscall.ECONNRESET
		case d.passed():
			s.mu.Unlock()
			return n, os.ErrDeadlineExceeded
		}
		if room := min(s.limit-len(s.buf), len(p)); room > 0 {
			s.buf = append(s.buf, p[:room]...)
			p, n = p[room:], n+room
			meets := s.lost && !s.cut
			if !s.lost && !s.cut && !s.void {
				s.acked = time.Now()
			}
			s.mu.Unlock()
			s.change(func() {})
			if meets {
				forgotten()
			}
			continue
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-d.wait():
		}
	}
}

func (s *stream) reset() { s.change(func() { s.err = syscall.ECONNRESET }) }

// retransmits says if octets wait to be sent to a host that has forgotten the
// connection.
func (s *stream) retransmits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost && !s.cut && len(s.buf) > 0
}

// deadline is a moment that may be moved.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	ch    chan struct{} // closed when the moment comes or is moved
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.ch != nil {
		close(d.ch) // those who wait look again
		d.ch = nil
	}
	d.at = t
	if !t.IsZero() {
		ch := make(chan struct{})
		d.ch = ch
		d.timer = time.AfterFunc(time.Until(t), func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.ch == ch {
				close(ch)
				d.ch = nil
			}
		})
	}
}

func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

// wait's channel says: look again.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	return d.ch
}
