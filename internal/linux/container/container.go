package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// Spec is what to run, and in what surroundings.
type Spec struct {
	// Args are the program, looked up in the container by Env's PATH unless it
	// has a slash, and its arguments.
	Args []string
	// Env is the whole environment.
	Env []string
	// Dir is the working directory in the container; empty is /.
	Dir string
	// Hostname is the container's host name.
	Hostname string
	// Root is an empty directory on which the container's root is built, seen
	// by the container alone.
	Root string
	// Mounts are bound in order of their targets' depth.
	Mounts []Mount
	// Privileges are the program's.
	Privileges Privileges
	// ReadOnlyRoot lets the program write to Mounts that are not read-only,
	// and to /dev, /proc and /sys as its privileges allow, and nowhere else.
	ReadOnlyRoot bool
	// HostPID leaves the container among the machine's processes. Killing it
	// then reaches its process group alone.
	HostPID bool
}

// Mount binds a file or directory of the machine into the container.
type Mount struct {
	Source   string // on the machine, absolute, existing
	Target   string // in the container, absolute; made if missing
	ReadOnly bool
}

// Exit is how a program ended.
type Exit struct {
	Code   int            // exit status; 128+Signal if a signal ended it
	Signal syscall.Signal // 0 if it ended by itself
}

// Process is a running container. Its methods may be called from any goroutine.
type Process struct {
	cmd  *exec.Cmd
	spec Spec
	done chan struct{}
	exit Exit

	mu    sync.Mutex // guards ended against a signal to somebody else's pid
	ended bool
}

// Start runs spec in the network namespace ns, its output going to out. It
// returns when the program has taken over, or with what kept it from doing so:
// errors.Is(err, ErrSetup) tells that the error is about the spec, such as a
// program that does not exist.
func Start(ns *netns.NS, spec Spec, out *os.File) (*Process, error) {
	if err := spec.Privileges.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSetup, err)
	}
	cmd, report, err := reexec(initName, spec)
	if err != nil {
		return nil, err
	}
	defer report.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS}
	if !spec.HostPID {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID
	}
	err = ns.Start(cmd)
	closeAll(cmd.ExtraFiles)
	if err != nil {
		return nil, fmt.Errorf("start container: %w", err)
	}
	p := &Process{cmd: cmd, spec: spec, done: make(chan struct{})}
	go p.wait()
	// The pipe closes without a word when the program takes over.
	if said, err := io.ReadAll(report); err != nil || len(said) > 0 {
		p.Kill()
		<-p.done
		return nil, fmt.Errorf("%w: %s", ErrSetup, said)
	}
	return p, nil
}

// ErrSetup is the error of a container whose surroundings or program the
// kernel refused.
var ErrSetup = errors.New("set up container")

// PID is the container's first process as the caller sees it.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended and was waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit tells how the program ended; valid after Done.
func (p *Process) Exit() Exit { return p.exit }

// Signal sends a signal to the container's first process.
func (p *Process) Signal(s syscall.Signal) { p.kill(p.PID(), s) }

// Kill ends every process of the container.
func (p *Process) Kill() {
	p.kill(p.PID(), unix.SIGKILL)
	if p.spec.HostPID {
		p.kill(-p.PID(), unix.SIGKILL)
	}
}

func (p *Process) kill(pid int, s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		unix.Kill(pid, s)
	}
}

func (p *Process) wait() {
	// WNOWAIT leaves the number taken until nobody can signal it any more.
	for {
		err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.cmd.Wait()
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	p.exit = Exit{Code: status.ExitStatus()}
	if status.Signaled() {
		p.exit = Exit{Code: 128 + int(status.Signal()), Signal: status.Signal()}
	}
	close(p.done)
}

// reexec prepares a run of this very program that Init will turn into another:
// file 3 carries the spec to it, file 4 its complaint back.
func reexec(name string, spec any) (*exec.Cmd, *os.File, error) {
	if err := Check(); err != nil {
		return nil, nil, err
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, nil, err
	}
	// A spec may be larger than a pipe holds, and nobody reads it yet.
	fd, err := unix.MemfdCreate("container-spec", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("memfd_create: %w", err)
	}
	specFile := os.NewFile(uintptr(fd), "container-spec")
	if _, err := specFile.WriteAt(data, 0); err != nil {
		specFile.Close()
		return nil, nil, err
	}
	report, reportWriter, err := os.Pipe()
	if err != nil {
		specFile.Close()
		return nil, nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{name}
	cmd.Env = []string{} // not nil: nothing of our own environment
	cmd.ExtraFiles = []*os.File{specFile, reportWriter}
	return cmd, report, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// String names the signal that ended a program, or its exit status.
func (e Exit) String() string {
	if e.Signal != 0 {
		return strings.TrimSpace("signal: " + e.Signal.String())
	}
	return fmt.Sprintf("exit status %d", e.Code)
}
