package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// tailBytes bounds what of a log a Failure quotes.
const tailBytes = 4 << 10

// process is one component's run, from start to end.
type process struct {
	component Component
	cmd       *exec.Cmd
	pid       int
	since     time.Time
	logPath   string
	logStart  int64 // where this run's output begins in the file
	stopping  atomic.Bool
	done      chan struct{} // closed when the process has ended
	err       error         // how; valid after done
}

// startProcess starts cmd in ns, or in the program's own namespace if that is
// nil, its output appended to the file at logPath.
//
// Without ns, the thread that starts the process stays with it to its end: the
// kernel kills the process when that thread ends (PR_SET_PDEATHSIG), and so a
// control plane never outlives a test that panicked. Whoever makes a namespace
// is in a sandbox, which ends everything in it.
func startProcess(component Component, cmd *exec.Cmd, logPath string, ns *netns.NS) (*process, error) {
	out, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	size, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	start := func() error { return ns.Start(cmd) }
	if ns == nil {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
		start = cmd.Start
	}
	p := &process{component: component, cmd: cmd, logPath: logPath, logStart: size, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the process
		if err := start(); err != nil {
			started <- err
			return
		}
		p.pid, p.since = cmd.Process.Pid, time.Now()
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", component, err)
	}
	return p, nil
}

// stop ends the process, with SIGTERM and patience, then with SIGKILL, and
// returns when it has ended.
func (p *process) stop(patience time.Duration) {
	p.stopping.Store(true)
	if patience > 0 {
		p.cmd.Process.Signal(syscall.SIGTERM)
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-p.done:
			return
		case <-timer.C:
		}
	}
	p.cmd.Process.Kill()
	<-p.done
}

// failure describes an ended process.
func (p *process) failure() Failure {
	err := p.err
	if err == nil {
		err = errors.New("exit status 0")
	}
	return Failure{Component: p.component, Err: err, LogTail: p.tail()}
}

// tail returns the last lines that this run logged.
func (p *process) tail() string {
	f, err := os.Open(p.logPath)
	if err != nil {
		return ""
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	from := max(p.logStart, size-tailBytes)
	data := make([]byte, size-from)
	n, err := f.ReadAt(data, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	text := string(data[:n])
	if from > p.logStart {
		_, text, _ = strings.Cut(text, "\n") // a part of a line tells little
	}
	return strings.TrimSpace(text)
}

func (f Failure) Error() string {
	return fmt.Sprintf("%s ended (%v); its last log lines:\n%s", f.Component, f.Err, f.LogTail)
}

func (f Failure) Unwrap() error { return f.Err }
