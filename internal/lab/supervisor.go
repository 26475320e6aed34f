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
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// Notice is what a supervisor tells the process that started it, on its
// standard output, one JSON object a line; the last one is Ready or Error.
type Notice struct {
	Phase  string `json:"phase,omitempty"`
	Detail string `json:"detail,omitempty"`
	Ready  bool   `json:"ready,omitempty"`
	Error  string `json:"error,omitempty"`
	// Running: the error is that a lab runs here already.
	Running bool `json:"running,omitempty"`
}

// lockFd names the environment variable that tells the supervisor inside the
// sandbox which file is the lock that it inherits.
const lockFd = "PHAROS_LAB_LOCK"

// Supervise is the supervisor's whole life: it takes the state directory, goes
// into a sandbox, brings the lab up, serves callers, and removes everything when
// it is asked to or ctx ends. Notices go to standard output.
//
// It runs twice, first outside the sandbox and then in it, so the program must
// have done nothing before. o.Dir is the state directory.
func (s State) Supervise(ctx context.Context, o Options) error {
	ignorePipe()
	err := s.supervise(ctx, o)
	if err != nil {
		notify(Notice{Error: err.Error(), Running: errors.Is(err, ErrRunning)})
	}
	return err
}

// ignorePipe has this program outlive who reads its notices: nobody does any more
// once the lab is up.
func ignorePipe() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

func notify(n Notice) {
	if data, err := json.Marshal(n); err == nil {
		os.Stdout.Write(append(data, '\n'))
	}
}

func (s State) supervise(ctx context.Context, o Options) error {
	lock, err := s.enter()
	if err != nil {
		return err
	}
	defer lock.Close()

	sv := &supervisor{state: s, log: slog.New(slog.NewTextHandler(os.Stderr, nil)), closed: make(chan struct{})}
	o.Dir = s.Dir
	o.Log = sv.log
	o.Progress = func(phase, detail string) { notify(Notice{Phase: phase, Detail: detail}) }
	return sv.run(ctx, o)
}

// enter takes the state directory and goes into a sandbox. The lab is the caller's as
// long as the file is open.
func (s State) enter() (*os.File, error) {
	if !sandbox.Inside() {
		lock, err := s.claim()
		if err != nil {
			return nil, err
		}
		defer lock.Close()
		if err := s.sign(); err != nil {
			return nil, err
		}
		if err := s.redirect(); err != nil {
			return nil, err
		}
		// The lock is held as long as either process lives.
		if err := inherit(lock.Fd()); err != nil {
			return nil, err
		}
		os.Setenv(lockFd, strconv.Itoa(int(lock.Fd())))
	}
	if err := sandbox.Enter(); err != nil {
		return nil, err
	}
	fd, err := strconv.Atoi(os.Getenv(lockFd))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", lockFd, err)
	}
	syscall.CloseOnExec(fd)
	os.Unsetenv(lockFd)
	return os.NewFile(uintptr(fd), "lock"), nil
}

// redirect sends what this process and its children complain about, a panic
// included, to the log.
func (s State) redirect() error {
	f, err := os.OpenFile(s.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return syscall.Dup3(int(f.Fd()), 2, 0)
}

// inherit lets a file pass execve(2).
func inherit(fd uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETFD, 0); errno != 0 {
		return fmt.Errorf("inherit the lock: %w", errno)
	}
	return nil
}

// supervisor is the first process of a lab's sandbox.
type supervisor struct {
	state   State
	log     *slog.Logger
	lab     *Lab
	end     context.CancelFunc
	closed  chan struct{} // closed when the lab is
	callers sync.WaitGroup
}

func (sv *supervisor) run(ctx context.Context, o Options) error {
	ctx, sv.end = context.WithCancel(ctx)
	defer sv.end()
	lab, err := Start(ctx, o)
	if err != nil {
		return err // the directory stays, with its logs
	}
	sv.lab = lab
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: sv.state.socket()})
	if err != nil {
		lab.Close()
		return fmt.Errorf("listen: %w", err)
	}
	serving := make(chan struct{})
	go func() {
		defer close(serving)
		sv.accept(ctx, l)
	}()
	notify(Notice{Ready: true})
	<-ctx.Done()
	lab.Close()
	close(sv.closed)
	l.Close()
	<-serving
	sv.callers.Wait()
	if err := sv.state.clear(); err != nil {
		return err
	}
	return os.RemoveAll(sv.state.Dir)
}

func (sv *supervisor) accept(ctx context.Context, l *net.UnixListener) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				sv.log.Error("callers are no longer served", "err", err)
			}
			return
		}
		sv.callers.Go(func() { sv.serve(ctx, conn) })
	}
}

// serve does what one caller asks for.
func (sv *supervisor) serve(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	r, with, ok, err := request(conn)
	if !ok {
		if err != nil && !errors.Is(err, io.EOF) {
			sv.log.Error("request not understood", "err", err)
		}
		return
	}
	c := &call{lab: sv.lab, Request: r, files: with, signals: make(chan syscall.Signal, 8)}
	defer c.files.close()
	if r.Verb == VerbDown {
		sv.end()
		<-sv.closed
		send(conn, reply{})
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		defer cancel() // the caller is gone, or has its reply
		for {
			var s signalled
			if _, err := receive(conn, &s); err != nil {
				return
			}
			select {
			case c.signals <- syscall.Signal(s.Signal):
			case <-ctx.Done():
				return
			}
		}
	}()
	status, err := c.do(ctx)
	answer := reply{Status: status}
	if err != nil {
		answer = reply{Status: max(status, 1), Error: err.Error()}
	}
	send(conn, answer)
	conn.CloseRead()
	<-reading
}
