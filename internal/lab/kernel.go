package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/internal/linux/uml"
)

// SuperviseKernel is the supervisor's whole life where the lab has a kernel of its
// own: it boots the machine, whose program calls Guest, and serves callers by way
// of it. It is otherwise as Supervise.
func (s State) SuperviseKernel(ctx context.Context, m uml.Machine) error {
	ignorePipe()
	err := s.superviseKernel(ctx, m)
	if err != nil {
		notify(Notice{Error: err.Error(), Running: errors.Is(err, ErrRunning)})
	}
	return err
}

func (s State) superviseKernel(ctx context.Context, m uml.Machine) error {
	lock, err := s.enter()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := os.WriteFile(s.foreign(), nil, 0o600); err != nil {
		return err
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("line to the guest: %w", err)
	}
	// The kernel's end is open without the runtime: it is to block nobody.
	ours, theirs := os.NewFile(uintptr(ends[0]), "line"), os.NewFile(uintptr(ends[1]), "guest's line")
	defer ours.Close()
	defer theirs.Close()
	m.Files = []*os.File{theirs}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	credit := newCredited(ours)
	h := &hostEnd{link: newLink(credit, ours), credit: credit, state: s, calls: map[uint32]*hostCall{}, ended: make(chan struct{})}
	go h.run()
	status, err := uml.Boot(ctx, m, func(line string) { h.hear(ctx, line) })
	close(h.ended)
	credit.add(-1)
	h.close()
	if err != nil && ctx.Err() == nil {
		return err // the directory stays, with its log
	}
	if status != 0 {
		return nil // the guest has said why
	}
	if err := s.clear(); err != nil {
		return err
	}
	return os.RemoveAll(s.Dir)
}

// foreign is a file that is there while a lab has a kernel of its own.
func (s State) foreign() string { return s.path("kernel") }

// Foreign tells whether the lab has a kernel of its own: its files but for the log are in
// that one's memory, and its sockets are reached from its places alone.
func (s State) Foreign() bool {
	_, err := os.Stat(s.foreign())
	return err == nil
}

// hostEnd is the machine's end of the line.
type hostEnd struct {
	link     *link
	credit   *credited
	state    State
	ended    chan struct{} // closed when the guest has
	listener *net.UnixListener
	callers  sync.WaitGroup

	mu    sync.Mutex
	last  uint32
	calls map[uint32]*hostCall
}

// hostCall is a caller's, under way.
type hostCall struct {
	files files
	done  chan reply // one
}

// hear takes a line of the guest's console: a notice, or a complaint for the log.
func (h *hostEnd) hear(ctx context.Context, line string) {
	var n Notice
	if json.Unmarshal([]byte(line), &n) != nil {
		fmt.Fprintln(os.Stderr, line)
		return
	}
	if n.Ready {
		if err := h.listen(ctx); err != nil {
			n = Notice{Error: err.Error()}
		}
	}
	notify(n)
}

func (h *hostEnd) listen(ctx context.Context) error {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: h.state.socket()})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	h.listener = l
	h.callers.Go(func() {
		for {
			conn, err := l.AcceptUnix()
			if err != nil {
				return
			}
			h.callers.Go(func() { h.serve(ctx, conn) })
		}
	})
	return nil
}

// close waits for all callers; they have been told that the lab ended.
func (h *hostEnd) close() {
	if h.listener != nil {
		h.listener.Close()
	}
	h.callers.Wait()
}

// run passes on what the guest sends.
func (h *hostEnd) run() {
	for {
		f, err := h.link.receive()
		if err != nil {
			return
		}
		if f.kind == frameCredit {
			h.credit.add(int(f.call))
			continue
		}
		h.mu.Lock()
		c := h.calls[f.call]
		h.mu.Unlock()
		if c == nil {
			continue
		}
		switch f.kind {
		case frameOutput:
			c.files[1].Write(f.data)
		case frameComplaint:
			c.files[2].Write(f.data)
		case frameDone:
			var answer reply
			if err := json.Unmarshal(f.data, &answer); err != nil {
				answer = reply{Status: 1, Error: "the guest's answer was not understood"}
			}
			c.done <- answer
		}
	}
}

// serve has the guest do what one caller asks for.
func (h *hostEnd) serve(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	r, with, ok, _ := request(conn)
	if !ok {
		return
	}
	c := &hostCall{files: with, done: make(chan reply, 1)}
	defer c.files.close()
	h.mu.Lock()
	h.last++
	call := h.last
	h.calls[call] = c
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.calls, call)
		h.mu.Unlock()
	}()
	data, err := json.Marshal(r)
	if err != nil || h.link.send(frame{frameBegin, call, data}) != nil {
		send(conn, reply{Status: 1, Error: "the guest is not reached"})
		return
	}
	stop, stopped, err := os.Pipe()
	if err != nil {
		send(conn, reply{Status: 1, Error: err.Error()})
		return
	}
	var feeding sync.WaitGroup
	feeding.Go(func() { h.feed(call, c.files[0], stop) })
	feeding.Go(func() {
		for {
			var s signalled
			if _, err := receive(conn, &s); err != nil {
				h.link.send(frame{frameHangup, call, nil}) // no matter, once it is done
				return
			}
			if data, err := json.Marshal(s); err == nil {
				h.link.send(frame{frameSignal, call, data})
			}
		}
	})
	var answer reply
	select {
	case answer = <-c.done:
		if r.Verb == VerbDown {
			<-h.ended
		}
	case <-h.ended:
		answer = reply{Status: 1, Error: "the lab ended"}
	}
	send(conn, answer)
	stopped.Close()
	conn.CloseRead()
	feeding.Wait()
	stop.Close()
}

// feed passes a caller's input on until it ends, or the write end of stop is closed. What
// the call does not take any more is the caller's next program's, so that nothing
// is read before it is there.
func (h *hostEnd) feed(call uint32, input, stop *os.File) {
	b := make([]byte, maxChunk)
	for {
		fds := []unix.PollFd{{Fd: int32(input.Fd()), Events: unix.POLLIN}, {Fd: int32(stop.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); errors.Is(err, syscall.EINTR) {
			continue
		} else if err != nil || fds[1].Revents != 0 {
			return
		}
		n, err := input.Read(b)
		if n > 0 && h.link.send(frame{frameInput, call, b[:n]}) != nil {
			return
		}
		if err != nil || n == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				h.link.send(frame{frameInputEnd, call, nil})
			}
			return
		}
	}
}
