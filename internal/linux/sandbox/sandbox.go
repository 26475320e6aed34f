package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// marker tells the re-executed program that it is the inner one. Its value is
// the user id of the outer program, so that a user namespace can be told from
// real root.
const marker = "PHAROS_SANDBOX"

// Fresh, in its environment, tells a program that it need not make a sandbox: it is the
// first process of a machine that is gone with it.
const Fresh = marker + "=0"

// Inside reports whether the program already runs in a sandbox.
func Inside() bool { return os.Getenv(marker) != "" && os.Getpid() == 1 }

// Enter returns at once, with nil, in a program that already runs in a sandbox.
// Elsewhere it runs the same program with the same arguments, environment and
// standard streams in a new sandbox, waits for it, and exits with its status:
// it then returns only if the sandbox can't be made, with an error that says
// what the kernel refused and what would allow it.
//
// Call it before anything that has a side effect, from the main goroutine.
func Enter() error {
	if Inside() {
		return prepare()
	}
	status, err := run()
	if err != nil {
		return err
	}
	os.Exit(status)
	return nil
}

// Main runs m, a test binary's own Main, in a sandbox and returns its status:
//
//	func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }
//
// Where no sandbox can be made it prints why and runs m all the same; tests
// that need namespaces then say so one by one, through Probe.
func Main(m func() int) int {
	if err := Enter(); err != nil {
		fmt.Fprintf(os.Stderr, "sandbox: %v\n", err)
	}
	return m()
}

// Probe reports why namespaces and their devices can't be made here, or nil.
// A test that needs them skips with this reason and no other:
//
//	if err := sandbox.Probe(); err != nil { t.Skip(err) }
func Probe() error {
	if !Inside() {
		return errors.New("not in a sandbox: the kernel refused the namespaces (see the first line of the output)")
	}
	return nil
}

// Rootless reports whether the sandbox's root is an ordinary user outside it.
func Rootless() bool { return Inside() && os.Getenv(marker) != "0" }

func run() (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find the program's own file: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), marker+"="+strconv.Itoa(os.Getuid()))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		Pdeathsig:  unix.SIGKILL,
	}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("make namespaces (run as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces>0): %w", err)
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				cmd.Process.Signal(s)
			case <-done:
				return
			}
		}
	}()
	err = cmd.Wait()
	close(done)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return 0, fmt.Errorf("wait for the sandboxed program: %w", err)
	case exit.Sys().(syscall.WaitStatus).Signaled():
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal()), nil
	}
	return exit.ExitCode(), nil
}

// prepare gives the fresh namespaces what a program expects of a machine: a
// /proc that shows its own processes, mounts that do not spread, loopback up.
func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := ownBPF("/sys/fs/bpf"); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// ownBPF puts a BPF file system of the sandbox's own over the machine's: what is
// pinned there outlives its process, and two sandboxes would find each other's.
func ownBPF(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type != unix.BPF_FS_MAGIC {
		return nil // none of the machine's is to be seen
	}
	err := unix.Mount("bpf", dir, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700")
	if err != nil && !errors.Is(err, unix.EPERM) { // who may not mount it has no use for it
		return fmt.Errorf("mount a BPF file system: %w", err)
	}
	return nil
}
