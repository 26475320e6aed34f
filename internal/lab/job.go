package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/internal/linux/nsenter"
)

// job is a program that runs in the lab: the leader of a process group.
type job struct {
	machine string // the node it runs on, or empty
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
	err     error         // how; valid after done

	mu    sync.Mutex
	ended bool // the group's number may be another's by now
}

// start starts a program in a view of the lab. Whoever kills a machine kills
// its jobs with it.
func (l *Lab) start(v nsenter.View, machine string, cmd *exec.Cmd) (*job, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	j := &job{machine: machine, cmd: cmd, done: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := v.Start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Args[0], err)
	}
	l.jobs[j] = struct{}{}
	l.running.Go(func() {
		err := cmd.Wait()
		j.mu.Lock()
		j.ended = true
		j.mu.Unlock()
		l.mu.Lock()
		delete(l.jobs, j)
		l.mu.Unlock()
		j.err = err
		close(j.done)
	})
	return j, nil
}

// signal sends a signal to the whole group.
func (j *job) signal(s syscall.Signal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.ended {
		syscall.Kill(-j.cmd.Process.Pid, s)
	}
}

// wait returns how the job ended; when ctx ends, it is hung up on, and killed
// after a while.
func (j *job) wait(ctx context.Context) error {
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
	}
	j.stop(syscall.SIGHUP)
	return context.Cause(ctx)
}

// stop asks the job to end, waits a while, kills it, and returns when it has
// ended.
func (j *job) stop(s syscall.Signal) {
	j.signal(s)
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-j.done:
	case <-timer.C:
		j.signal(syscall.SIGKILL)
		<-j.done
	}
}

// killJobs kills the jobs that match.
func (l *Lab) killJobs(match func(*job) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for j := range l.jobs {
		if match(j) {
			j.signal(syscall.SIGKILL)
		}
	}
}

// output runs a program to its end and returns what it printed on standard
// output; an error carries its standard error.
func (l *Lab) output(ctx context.Context, v nsenter.View, machine string, cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	j, err := l.start(v, machine, cmd)
	if err != nil {
		return "", err
	}
	if err := j.wait(ctx); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return stdout.String(), err
		}
		return stdout.String(), fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
