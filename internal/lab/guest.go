package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// GuestLine is the serial line by which a lab on a kernel of its own is reached,
// as the guest has it.
const GuestLine = "/dev/ttyS1"

// Guest is the supervisor's life on a kernel of its own, whose machine reaches it
// by the line. There is nothing else on that kernel, so that nothing is claimed.
// Notices go to standard output.
func (s State) Guest(ctx context.Context, o Options, line string) error {
	err := s.guest(ctx, o, line)
	if err != nil {
		notify(Notice{Error: err.Error()})
	}
	return err
}

func (s State) guest(ctx context.Context, o Options, line string) error {
	if err := sandbox.Enter(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	tty, err := os.OpenFile(line, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open the line to the machine: %w", err)
	}
	// It stays open: closing it would wait for what nobody reads any more.
	if _, err := term.MakeRaw(int(tty.Fd())); err != nil {
		return fmt.Errorf("line to the machine: %w", err)
	}
	sv := &supervisor{state: s, log: slog.New(slog.NewTextHandler(os.Stderr, nil)), closed: make(chan struct{})}
	o.Dir, o.Log = s.Dir, sv.log
	o.Progress = func(phase, detail string) { notify(Notice{Phase: phase, Detail: detail}) }
	reading := &crediting{r: tty}
	reading.link = newLink(tty, reading)
	e := &guestEnd{link: reading.link, state: s, calls: map[uint32]*guestCall{}, log: sv.log}
	go e.run() // until the kernel is switched off
	return sv.run(ctx, o)
}

// guestEnd makes calls on the guest's supervisor for callers on the machine.
type guestEnd struct {
	link  *link
	state State
	log   *slog.Logger

	mu    sync.Mutex
	calls map[uint32]*guestCall
}

// guestCall is one of them, under way.
type guestCall struct {
	conn  *net.UnixConn
	input chan []byte // closed at the end of input
	ended bool
}

func (e *guestEnd) run() {
	for {
		f, err := e.link.receive()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				e.log.Error("the line to the machine is lost", "err", err)
			}
			return
		}
		if f.kind == frameBegin {
			if err := e.begin(f); err != nil {
				e.done(f.call, reply{Status: 1, Error: err.Error()})
			}
			continue
		}
		e.mu.Lock()
		c := e.calls[f.call]
		e.mu.Unlock()
		if c != nil {
			c.take(f)
		}
	}
}

// take passes on what the caller does. It is called by one goroutine.
func (c *guestCall) take(f frame) {
	switch f.kind {
	case frameInput:
		if !c.ended {
			c.input <- f.data
		}
	case frameInputEnd:
		if !c.ended {
			c.ended = true
			close(c.input)
		}
	case frameSignal:
		var s signalled
		if json.Unmarshal(f.data, &s) == nil {
			send(c.conn, s)
		}
	case frameHangup:
		c.conn.Close()
	}
}

func (e *guestEnd) done(call uint32, r reply) {
	data, _ := json.Marshal(r) // of a number and a string
	e.link.send(frame{frameDone, call, data})
}

// begin makes a call, with pipes for the caller's files.
func (e *guestEnd) begin(f frame) error {
	var r Request
	if err := json.Unmarshal(f.data, &r); err != nil {
		return fmt.Errorf("request not understood: %w", err)
	}
	conn, err := e.state.dial()
	if err != nil {
		return err
	}
	var theirs, ours [3]*os.File
	for i := range theirs {
		read, write, err := os.Pipe()
		if err != nil {
			conn.Close()
			return err
		}
		theirs[i], ours[i] = write, read
		if i == 0 {
			theirs[i], ours[i] = read, write
		}
	}
	err = send(conn, r, theirs[:]...)
	for _, t := range theirs {
		t.Close()
	}
	if err != nil {
		conn.Close()
		return err
	}
	c := &guestCall{conn: conn, input: make(chan []byte, 64)}
	e.mu.Lock()
	e.calls[f.call] = c
	e.mu.Unlock()
	go func() {
		broken := false // nobody reads any more; what still comes is let go
		for data := range c.input {
			if !broken {
				_, err := ours[0].Write(data)
				broken = err != nil
			}
		}
		ours[0].Close()
	}()
	go e.finish(f.call, c, ours)
	return nil
}

// leftover is how long output is waited for after a call: a program that it left
// running may keep the pipes open.
const leftover = time.Second

// finish passes output on, and the reply at last.
func (e *guestEnd) finish(call uint32, c *guestCall, ours [3]*os.File) {
	var pumping sync.WaitGroup
	pumping.Go(func() { e.link.pump(ours[1], frameOutput, call) })
	pumping.Go(func() { e.link.pump(ours[2], frameComplaint, call) })
	var answer reply
	if _, err := receive(c.conn, &answer); err != nil {
		answer = reply{Status: 1, Error: "the lab ended"}
	}
	for _, f := range ours[1:] {
		f.SetReadDeadline(time.Now().Add(leftover))
	}
	pumping.Wait()
	e.done(call, answer)
	c.conn.Close()
	ours[1].Close()
	ours[2].Close()
	e.mu.Lock()
	delete(e.calls, call)
	e.mu.Unlock()
}
