package uml

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Inside reports whether the program is the first process of a guest.
func Inside() bool { return os.Getenv(jobVariable) != "" && os.Getpid() == 1 }

// Guest makes the guest ready for the program, calls main with os.Args and the
// environment that Machine told, and powers off with the status that main
// returns. It does not return.
func Guest(main func() int) {
	status := 1
	if err := prepare(); err != nil {
		fmt.Fprintf(os.Stderr, "guest: %v\n", err)
	} else {
		status = main()
	}
	fmt.Printf("\n%s%d\n", endMark, status)
	unix.IoctlSetInt(1, unix.TCSBRK, 1) // until the console has taken it
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

// mount is a file system that a program expects.
type mount struct {
	kind, at, options string
	flags             uintptr
}

var mounts = []mount{
	{"proc", "/proc", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"sysfs", "/sys", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"devtmpfs", "/dev", "", unix.MS_NOSUID},
	{"tmpfs", "/dev/shm", "", unix.MS_NOSUID | unix.MS_NODEV},
	{"devpts", "/dev/pts", "newinstance,ptmxmode=0666", unix.MS_NOSUID | unix.MS_NOEXEC},
	{"cgroup2", "/sys/fs/cgroup", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"tmpfs", "/run", "mode=755", unix.MS_NOSUID | unix.MS_NODEV},
}

func prepare() error {
	text, err := os.ReadFile(os.Getenv(jobVariable))
	if err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	var j job
	if err := json.Unmarshal(text, &j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	for _, m := range mounts {
		// The machine's own directories may lack some of these, as may the kernel.
		if err := os.MkdirAll(m.at, 0o755); err != nil && !errors.Is(err, unix.EROFS) && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("make %s: %w", m.at, err)
		}
		err := unix.Mount(m.kind, m.at, m.kind, m.flags, m.options)
		if errors.Is(err, unix.EBUSY) {
			continue // the kernel has mounted it
		}
		if err != nil && m.kind != "cgroup2" && m.at != "/dev/shm" {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.at, err)
		}
	}
	if err := relax(); err != nil {
		return err
	}
	dir, err := moduleDir()
	if err != nil {
		return err
	}
	if err := load(dir, j.Modules); err != nil {
		return err
	}
	for name, value := range map[string]string{"TMPDIR": "/run/tmp", "HOME": "/run", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"} {
		os.Setenv(name, value)
	}
	for _, e := range j.Env {
		name, value, _ := strings.Cut(e, "=")
		os.Setenv(name, value)
	}
	if err := os.MkdirAll(os.TempDir(), 0o1777); err != nil {
		return fmt.Errorf("make the directory of temporary files: %w", err)
	}
	os.Args = append([]string{os.Args[0]}, j.Args...)
	return nil
}

// slack is how much later than asked for a sleep may end in the guest.
const slack = 5 * time.Millisecond

// relax lets sleeps end late, those of every program that the guest will run too:
// they inherit it. Go's runtime has a thread in each process that looks every 20 µs
// whether a system call takes long, and in a guest all do: that thread's own calls,
// to sleep and to read the clock, would be most of what the kernel does.
func relax() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("set the timers' slack: %w", err)
	}
	for _, thread := range threads {
		file := filepath.Join("/proc", thread.Name(), "timerslack_ns")
		if err := os.WriteFile(file, strconv.AppendInt(nil, slack.Nanoseconds(), 10), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("set the timers' slack: %w", err)
		}
	}
	return nil
}

// load puts modules into the kernel, each after those that it needs. Nothing
// loads them by itself: the guest has no modprobe.
func load(dir string, names []string) error {
	text, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return fmt.Errorf("load modules: %w", err)
	}
	files := dependencies(string(text))
	loaded := map[string]bool{}
	for _, name := range names {
		chain, ok := files[canonical(name)]
		if !ok {
			return fmt.Errorf("load modules: the kernel has no module %s", name)
		}
		for i := len(chain) - 1; i >= 0; i-- { // what it needs stands behind it
			if loaded[chain[i]] {
				continue
			}
			loaded[chain[i]] = true
			if err := loadFile(filepath.Join(dir, chain[i])); err != nil {
				return fmt.Errorf("load module %s: %w", chain[i], err)
			}
		}
	}
	return nil
}

func loadFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// dependencies reads modules.dep(5): the files to load for each module, the
// module's own first and what stands deepest last.
func dependencies(text string) map[string][]string {
	result := map[string][]string{}
	for line := range strings.Lines(text) {
		file, needs, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(filepath.Base(file), ".ko")
		result[canonical(name)] = append([]string{file}, strings.Fields(needs)...)
	}
	return result
}

// canonical is a module's name as the kernel compares it.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }
