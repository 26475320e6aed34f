package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// forwarded are the signals that a caller passes on to what it runs.
var forwarded = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGWINCH}

// Call has the lab's supervisor do something on this process's standard input,
// output and error, and returns the exit status. Signals that this process gets
// meanwhile go to what runs there instead.
func (s State) Call(r Request) (status int, err error) {
	conn, err := s.dial()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	if err := send(conn, r, os.Stdin, os.Stdout, os.Stderr); err != nil {
		return 0, fmt.Errorf("ask the lab: %w", err)
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case sig := <-signals:
				if n, ok := sig.(syscall.Signal); ok {
					send(conn, signalled{int(n)}) // it fails when all is over
				}
			case <-done:
				return
			}
		}
	}()
	var answer reply
	if _, err := receive(conn, &answer); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, errors.New("the lab ended")
		}
		return 0, fmt.Errorf("answer of the lab: %w", err)
	}
	if answer.Error != "" {
		return answer.Status, errors.New(answer.Error)
	}
	return answer.Status, nil
}

func (s State) dial() (*net.UnixConn, error) {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: s.socket()})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		if up, err := s.Running(); err == nil && up {
			return nil, errors.New("the lab is not up yet, or no longer: try again, or end it with `pharos lab down`")
		}
		return nil, ErrNotRunning
	case err != nil:
		return nil, fmt.Errorf("reach the lab: %w", err)
	}
	return conn, nil
}

// Down ends the lab: it asks the supervisor, and kills it if that has no effect
// before patience is over. It returns when nothing is left, the state directory
// included; ErrNotRunning says that no lab ran, which does not keep it from
// removing what a crashed one left.
func (s State) Down(ctx context.Context, patience time.Duration) error {
	up, err := s.Running()
	if err != nil {
		return err
	}
	if !up {
		if err := s.remove(); err != nil {
			return err
		}
		return ErrNotRunning
	}
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.askDown(asking); err == nil {
		if err := s.gone(asking); err == nil {
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.kill(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("end the lab: %w", err)
	}
	dying, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.gone(dying)
}

// askDown returns when the supervisor says that it is done.
func (s State) askDown(ctx context.Context) error {
	conn, err := s.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := send(conn, Request{Verb: VerbDown}, os.Stdin, os.Stdout, os.Stderr); err != nil {
		return err
	}
	_, err = receive(conn, new(reply))
	return err
}

// gone waits until nobody holds the lock, and removes what is left.
func (s State) gone(ctx context.Context) error {
	for {
		err := s.remove()
		if err == nil || errors.Is(err, ErrNotRunning) {
			return nil
		}
		if !errors.Is(err, ErrRunning) && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the lab does not end: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Up starts the supervisor, a command that calls Supervise, in a session of its
// own, and hears its notices until the lab is up. The error is ErrRunning if one
// is up already. When ctx ends early the lab is ended again.
func (s State) Up(ctx context.Context, supervisor *exec.Cmd, progress func(phase, detail string)) error {
	out, err := supervisor.StdoutPipe()
	if err != nil {
		return err
	}
	var complaints strings.Builder
	supervisor.Stderr = nil
	supervisor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := supervisor.Start(); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	defer out.Close()
	interrupted := context.AfterFunc(ctx, func() { supervisor.Process.Signal(syscall.SIGTERM) })
	defer interrupted()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n Notice
		if err := json.Unmarshal(lines.Bytes(), &n); err != nil {
			complaints.WriteString(lines.Text() + "\n")
			continue
		}
		switch {
		case n.Ready:
			return supervisor.Process.Release()
		case n.Running:
			supervisor.Wait()
			return ErrRunning
		case n.Error != "":
			supervisor.Wait()
			if ctx.Err() != nil {
				s.remove()
				return ctx.Err()
			}
			return fmt.Errorf("%s (logs: %s)", n.Error, s.Dir)
		}
		progress(n.Phase, n.Detail)
	}
	err = supervisor.Wait()
	if ctx.Err() != nil {
		s.remove()
		return ctx.Err()
	}
	return fmt.Errorf("the supervisor ended (%v) before the lab was up (log: %s): %s%s", err, s.Log(), complaints.String(), tail(s.Log(), 0))
}
