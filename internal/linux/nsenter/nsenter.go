package nsenter

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// View says from where a program sees the world. What is left out stays as the
// caller sees it.
type View struct {
	// Net is the network namespace.
	Net *netns.NS
	// PID is a process whose files, processes and host name the program sees.
	PID int
	// Hostname is the host name; not with PID.
	Hostname string
	// Binds are directories and files seen elsewhere, applied in order; not
	// with PID.
	Binds []Bind
}

// Bind shows the directory or file Source at the existing path Target.
type Bind struct{ Source, Target string }

// Start starts cmd in the view. cmd.Path was looked up in the caller's files.
func (v View) Start(cmd *exec.Cmd) error {
	if v.Net == nil {
		return v.start(cmd)
	}
	fd, err := unix.FcntlInt(uintptr(v.Net.Fd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("namespace %s: %w", v.Net.Name(), err)
	}
	defer unix.Close(fd)
	return v.start(cmd, space{fd, unix.CLONE_NEWNET})
}

// space is a namespace to enter.
type space struct{ fd, kind int }

func (v View) start(cmd *exec.Cmd, spaces ...space) error {
	if v.PID != 0 {
		// The mount namespace comes last: with it, /proc and the caller's own
		// paths are gone.
		for _, s := range []struct {
			name string
			kind int
		}{{"ipc", unix.CLONE_NEWIPC}, {"uts", unix.CLONE_NEWUTS}, {"pid", unix.CLONE_NEWPID}, {"mnt", unix.CLONE_NEWNS}} {
			f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", v.PID, s.name))
			if err != nil {
				return fmt.Errorf("process %d: %w", v.PID, err)
			}
			defer f.Close()
			spaces = append(spaces, space{int(f.Fd()), s.kind})
		}
	}
	return onThread(func() error {
		if err := v.enter(spaces); err != nil {
			return err
		}
		return cmd.Start()
	})
}

func (v View) enter(spaces []space) error {
	// A thread that shares its root and working directory with the others may
	// not change its mount namespace: setns(2), EINVAL.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	for _, s := range spaces {
		if err := unix.Setns(s.fd, s.kind); err != nil {
			return fmt.Errorf("enter namespace: %w", err)
		}
	}
	if v.PID != 0 {
		return nil
	}
	if v.Hostname != "" {
		if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Sethostname([]byte(v.Hostname)); err != nil {
			return fmt.Errorf("set host name %s: %w", v.Hostname, err)
		}
	}
	if len(v.Binds) > 0 {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
	}
	for _, b := range v.Binds {
		if err := unix.Mount(b.Source, b.Target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s to %s: %w", b.Source, b.Target, err)
		}
	}
	return nil
}

// onThread runs f on a thread that ends with it.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The first thread never ends and is what /proc/self shows. It
			// stays locked here, so that f gets another one.
			done <- onThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}
