package container

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxOutput bounds what Run keeps of a command's output.
const maxOutput = 16 << 10

// visit is what Run passes to the program that enters the container.
type visit struct {
	PID        int
	Args       []string
	Env        []string
	Dir        string
	Privileges Privileges
}

// Run runs a command in all of the container's namespaces, with its privileges,
// and waits for it. Of the spec it takes Args, Env and Dir. It returns the exit status and the first 16 KiB of its output; the error is not
// nil when the command could not be run, or not to its end before ctx ended.
func (p *Process) Run(ctx context.Context, spec Spec) (Exit, string, error) {
	cmd, report, err := reexec(enterName, visit{p.PID(), spec.Args, spec.Env, spec.Dir, p.spec.Privileges})
	if err != nil {
		return Exit{}, "", err
	}
	defer report.Close()
	var out limited
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // the command may leave others behind with our pipe
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	closeAll(cmd.ExtraFiles)
	if err != nil {
		return Exit{}, "", fmt.Errorf("enter container: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Signal(unix.SIGTERM) })
	defer stop()
	said, readErr := io.ReadAll(report)
	waitErr := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return Exit{}, out.String(), context.Cause(ctx)
	case readErr != nil:
		return Exit{}, out.String(), readErr
	case len(said) > 0:
		return Exit{}, "", fmt.Errorf("%w: %s", ErrSetup, said)
	case cmd.ProcessState == nil:
		return Exit{}, out.String(), waitErr
	}
	return Exit{Code: cmd.ProcessState.ExitCode()}, out.String(), nil
}

// enter joins a container, runs a command there as a child, so that it is one
// of the container's processes, and ends with its status.
func enter(data []byte) error {
	var v visit
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	// A thread that shares its working directory with others may not change
	// its mount namespace (setns(2)).
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	var files []*os.File
	kinds := []string{"pid", "net", "uts", "mnt"}
	for _, kind := range kinds {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", v.PID, kind))
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	for i, f := range files {
		if err := unix.Setns(int(f.Fd()), 0); err != nil {
			return fmt.Errorf("enter %s namespace: %w", kinds[i], err)
		}
	}
	path, err := find(v.Args, v.Env, v.Dir)
	if err != nil {
		return err
	}
	if err := v.Privileges.assume(); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	pid, err := syscall.ForkExec(path, v.Args, &syscall.ProcAttr{
		Env:   v.Env,
		Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return fmt.Errorf("exec %s: %w", path, err)
	}
	go func() {
		<-stop
		unix.Kill(pid, unix.SIGKILL)
	}()
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	// Not os.Exit: there is nothing to flush, and a program built with the race
	// detector would first wait a second for late reports.
	if status.Signaled() {
		syscall.Exit(128 + int(status.Signal()))
	}
	syscall.Exit(status.ExitStatus())
	return nil
}

// limited keeps the first bytes written to it.
type limited struct{ buf bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.buf.Write(p[:min(len(p), maxOutput-l.buf.Len())])
	return len(p), nil
}

func (l *limited) String() string { return l.buf.String() }
