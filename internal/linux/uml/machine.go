package uml

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Where Debian's package user-mode-linux puts the kernel and its modules.
const (
	program = "linux.uml"
	modules = "/usr/lib/uml/modules"
)

// Words of the guest's environment and console.
const (
	jobVariable = "PHAROS_UML"                 // path of the job's file
	endMark     = "pharos-guest: exit status " // with the status; on a line of its own
)

// Machine is a kernel to boot.
type Machine struct {
	Init string   // the program that is process 1; static, or with its libraries at the machine's own places
	Args []string // its arguments
	Env  []string // NAME=value, added to an environment of almost nothing

	Modules []string      // to be loaded, by name; what they need is loaded before them
	Memory  int           // MiB; zero means 256
	Limit   time.Duration // from boot to power-off; zero means none beyond the context's
	Files   []*os.File    // serial lines of the guest: /dev/ttyS1 and so on, each a file open for both directions
	Write   bool          // the machine's files may be written
}

// job is what the guest is told.
type job struct {
	Args    []string `json:"args"`
	Env     []string `json:"env"`
	Modules []string `json:"modules"`
}

// Probe reports why no kernel can be booted here, or nil.
func Probe() error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("there is no %s (apt-get install user-mode-linux)", program)
	}
	_, err := moduleDir()
	return err
}

// moduleDir returns the modules of the kernel installed, the newest if there
// are several.
func moduleDir() (string, error) {
	found, _ := filepath.Glob(filepath.Join(modules, "*", "modules.dep"))
	if len(found) == 0 {
		return "", fmt.Errorf("there are no modules of %s in %s", program, modules)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// Boot boots the machine, hands each line of its console to line, and waits for
// its end. It returns the exit status that the guest told, or an error where it
// told none: the kernel did not boot, panicked, or took longer than the limit.
func Boot(ctx context.Context, m Machine, line func(string)) (int, error) {
	if m.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.Limit)
		defer cancel()
	}
	dir, err := os.MkdirTemp("", "pharos-uml-")
	if err != nil {
		return 0, fmt.Errorf("boot: %w", err)
	}
	defer os.RemoveAll(dir)
	text, err := json.Marshal(job{m.Args, m.Env, m.Modules})
	if err != nil {
		return 0, fmt.Errorf("boot: %w", err)
	}
	file := filepath.Join(dir, "job.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return 0, fmt.Errorf("boot: %w", err)
	}
	cmd, err := m.command(ctx, dir, file)
	if err != nil {
		return 0, fmt.Errorf("boot: %w", err)
	}
	status, last, err := run(cmd, line)
	switch {
	case ctx.Err() != nil && status < 0:
		return 0, fmt.Errorf("boot: the guest did not end: %w; it said last: %s", context.Cause(ctx), last)
	case err != nil:
		return 0, fmt.Errorf("boot: %w", err)
	case status < 0:
		return 0, fmt.Errorf("boot: the guest told no exit status; it said last: %s", last)
	}
	return status, nil
}

// command returns the kernel's command line. Words that the kernel does not know
// become the first process's environment.
func (m *Machine) command(ctx context.Context, dir, file string) (*exec.Cmd, error) {
	access := "ro"
	if m.Write {
		access = "rw"
	}
	args := []string{
		"mem=" + strconv.Itoa(cmp.Or(m.Memory, 256)) + "M",
		"root=/dev/root", "rootfstype=hostfs", access, "init=" + m.Init,
		"con=null", "con0=fd:0,fd:1", "quiet", "panic=-1",
		// These measure for a second which way of parity is the fastest.
		"initcall_blacklist=raid6_select_algo,calibrate_xor_blocks",
		"uml_dir=" + dir, jobVariable + "=" + file,
	}
	for i := range m.Files {
		args = append(args, fmt.Sprintf("ssl%d=fd:%d", i+1, 3+i))
	}
	for _, a := range args {
		if strings.ContainsAny(a, " \t\n\"") {
			return nil, fmt.Errorf("%q has a space: the kernel's command line can't carry it", a)
		}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+memoryDir(dir, cmp.Or(m.Memory, 256)))
	cmd.ExtraFiles = m.Files
	// A session of its own, to which the machine gives as much time as to whole others
	// (sched(7), "The autogroup feature").
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Setsid: true}
	// The kernel's processes for the guest's are its children, not ours.
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	return cmd, nil
}

// memoryDir returns where the kernel shall keep the guest's memory, a file that
// it removes at once: in the machine's memory where there is room, otherwise in
// dir.
func memoryDir(dir string, need int) string {
	const shm = "/dev/shm"
	var s unix.Statfs_t
	if err := unix.Statfs(shm, &s); err != nil || s.Bavail*uint64(s.Bsize)>>20 < uint64(need) || s.Flags&unix.ST_NOEXEC != 0 {
		return dir
	}
	if unix.Access(shm, unix.W_OK) != nil {
		return dir
	}
	return shm
}

// run starts the kernel bound to one processor, reads its console to the end and
// returns the status told, or -1, and the last lines.
func run(cmd *exec.Cmd, line func(string)) (status int, last string, err error) {
	// The kernel is to end with this thread (PR_SET_PDEATHSIG), so that the thread
	// has to last.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	console, err := cmd.StdoutPipe()
	if err != nil {
		return -1, "", err
	}
	cmd.Stderr = cmd.Stdout
	if err := bound(cmd.Start); err != nil {
		return -1, "", err
	}
	defer unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	status = -1
	var tail []string
	for r := bufio.NewReader(console); ; {
		text, err := r.ReadString('\n')
		text = strings.TrimRight(text, "\r\n")
		if rest, ok := strings.CutPrefix(text, endMark); ok {
			if n, err := strconv.Atoi(rest); err == nil {
				status = n
			}
		} else if text != "" || err == nil {
			line(text)
			if tail = append(tail, text); len(tail) > 20 {
				tail = tail[1:]
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				tail = append(tail, err.Error())
			}
			break
		}
	}
	cmd.Wait() // the kernel's own exit status says nothing
	return status, strings.Join(tail, "\n"), nil
}

// bound calls start while the thread is bound to one of its processors, which a
// child inherits.
func bound(start func() error) error {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return start() // slower, and as right
	}
	n := os.Getpid() % max(1, all.Count())
	for cpu := range len(all) * 64 {
		if all.IsSet(cpu) {
			if n--; n < 0 {
				one.Set(cpu)
				break
			}
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return start()
	}
	defer unix.SchedSetaffinity(0, &all)
	return start()
}
