package lab

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// A lab on a kernel of its own is reached by one serial line. Calls share it in
// frames, each with the number of its call:
//
//	machine                                  guest
//	  │ begin: the Request ───────────────────► a call on the guest's own socket
//	  │ input, end of input ──────────────────► its standard input
//	  │ signal, hangup ───────────────────────► the same of the call
//	  │ ◄─────────────────── output, complaints │
//	  │ ◄──────────────────────── done: a reply │
//	  │ ◄────────── credit: so much may be sent │
//
// The machine sends no more than the guest's terminal holds before it is read: a
// terminal that is full would stop the line, and User-mode Linux never starts it
// again.

// frameKind says what a frame carries.
type frameKind byte

const (
	frameBegin frameKind = iota + 1
	frameInput
	frameInputEnd
	frameSignal
	frameHangup
	frameOutput
	frameComplaint
	frameDone
	frameCredit
)

// frame is a piece of one call.
type frame struct {
	kind frameKind
	call uint32
	data []byte
}

// maxChunk is how much of a stream one frame carries, in bytes.
const maxChunk = 4096

// link is one end of the line. Frames may be sent from any goroutine, and are
// received by one.
type link struct {
	mu sync.Mutex
	w  io.Writer
	r  *bufio.Reader
}

func newLink(w io.Writer, r io.Reader) *link {
	return &link{w: w, r: bufio.NewReaderSize(r, 2*maxChunk)}
}

// window is how many bytes may be on their way to the guest; a terminal holds 4096.
const window = 2048

// credited writes no more than it has credit for.
type credited struct {
	w    io.Writer
	mu   sync.Mutex
	more *sync.Cond
	left int
	over bool
}

func newCredited(w io.Writer) *credited {
	c := &credited{w: w, left: window}
	c.more = sync.NewCond(&c.mu)
	return c
}

// add gives credit; a negative one ends all writing.
func (c *credited) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = min(c.left+n, window)
	c.over = c.over || n < 0
	c.more.Broadcast()
}

// Write waits for credit as often as it needs to.
func (c *credited) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		c.mu.Lock()
		for c.left <= 0 && !c.over {
			c.more.Wait()
		}
		n := min(c.left, len(b)-written)
		c.left -= n
		over := c.over
		c.mu.Unlock()
		if over {
			return written, io.ErrClosedPipe
		}
		if _, err := c.w.Write(b[written : written+n]); err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// crediting tells the other end of what it has read.
type crediting struct {
	r    io.Reader
	link *link
}

func (c *crediting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if n > 0 {
		if err := c.link.send(frame{kind: frameCredit, call: uint32(n)}); err != nil {
			return n, err
		}
	}
	return n, err
}

// send writes a frame whole.
func (l *link) send(f frame) error {
	b := make([]byte, 0, 9+len(f.data))
	b = append(b, byte(f.kind))
	b = binary.BigEndian.AppendUint32(b, f.call)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.data)))
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.w.Write(append(b, f.data...))
	return err
}

// receive reads the next frame.
func (l *link) receive() (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{kind: frameKind(head[0]), call: binary.BigEndian.Uint32(head[1:])}
	n := binary.BigEndian.Uint32(head[5:])
	if n > maxPacket {
		return frame{}, fmt.Errorf("a frame of %d bytes, at most %d", n, maxPacket)
	}
	f.data = make([]byte, n)
	_, err := io.ReadFull(l.r, f.data)
	return f, err
}

// pump sends what it reads until the end, as frames of a kind.
func (l *link) pump(r io.Reader, kind frameKind, call uint32) {
	b := make([]byte, maxChunk)
	for {
		n, err := r.Read(b)
		if n > 0 && l.send(frame{kind, call, b[:n]}) != nil {
			return
		}
		if err != nil {
			return
		}
	}
}
