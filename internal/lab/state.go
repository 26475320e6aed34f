package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// State is the directory of a lab with a supervisor.
//
//	lock       held (flock) by the supervisor, both inside and outside its sandbox
//	lab.json   who the supervisor is
//	lab.log    what it and the lab complain about
//	lab.sock   where it serves
//	…          what the lab itself writes
type State struct{ Dir string }

// owner is the supervisor's process outside its sandbox, as lab.json tells.
type owner struct {
	PID     int       `json:"pid"`
	Boot    string    `json:"boot"`  // of the machine
	Ticks   uint64    `json:"ticks"` // start time of the process since then
	Started time.Time `json:"started"`
}

// longestSocket is what a unix socket's address can hold, unix(7), less the
// longest name in the directory.
const longestSocket = 107 - len("/switch.sock")

// DefaultState is the directory of the lab of a name (empty: the usual one):
// in $XDG_RUNTIME_DIR, else for root in /run, else in the directory for
// temporary files, told apart by user.
func DefaultState(name, runtimeDir string, uid int) string {
	base := "pharos-lab"
	if name != "" {
		base += "-" + name
	}
	switch {
	case runtimeDir != "":
		return filepath.Join(runtimeDir, base)
	case uid == 0:
		return filepath.Join("/run", base)
	}
	return filepath.Join(os.TempDir(), base+"-"+strconv.Itoa(uid))
}

func (s State) path(name string) string { return filepath.Join(s.Dir, name) }
func (s State) socket() string          { return s.path("lab.sock") }

// Log is the file of what the supervisor has to say.
func (s State) Log() string { return s.path("lab.log") }

// ErrRunning is returned where a lab runs already.
var ErrRunning = errors.New("the lab runs already")

// ErrNotRunning is returned where no lab runs.
var ErrNotRunning = errors.New("no lab runs here")

// claim makes the directory and locks it; the lab is the caller's, and what an
// earlier one left there is gone. The lock lasts as long as the file, in this
// process or one that inherits it.
func (s State) claim() (*os.File, error) {
	if len(s.Dir) > longestSocket {
		return nil, fmt.Errorf("the state directory's name is too long for a socket in it (%d bytes, at most %d): %s; choose another with --state", len(s.Dir), longestSocket, s.Dir)
	}
	lock, err := s.lock(true)
	if err != nil {
		return nil, err
	}
	if err := s.clear(); err != nil {
		lock.Close()
		return nil, fmt.Errorf("clean up after an earlier run: %w", err)
	}
	return lock, nil
}

// lock locks the directory, ErrRunning if somebody else has. A missing
// directory is made, or is ErrNotRunning.
func (s State) lock(create bool) (*os.File, error) {
	for {
		if create {
			if err := os.MkdirAll(s.Dir, 0o700); err != nil {
				return nil, err
			}
		}
		if err := s.mine(); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(s.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && create {
				continue // removed by somebody else's down in between
			}
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, ErrRunning
			}
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		// Whoever removed the directory meanwhile left us with a lock on a
		// file that nobody else will find.
		held, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if now, err := os.Stat(f.Name()); err == nil && os.SameFile(held, now) {
			return f, nil
		}
		f.Close()
	}
}

// mine refuses a directory that another user made, or that holds something
// else: it will be removed.
func (s State) mine() error {
	info, err := os.Lstat(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotRunning
	}
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(stat.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a directory of yours: choose another with --state", s.Dir)
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "lock" {
			return nil
		}
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s holds something that is not a lab: choose another directory with --state", s.Dir)
	}
	return nil
}

// clear removes all but the lock.
func (s State) clear() error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "lock" {
			if err := os.RemoveAll(s.path(e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove removes the directory of a lab that does not run.
func (s State) remove() error {
	lock, err := s.lock(false)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := s.clear(); err != nil {
		return err
	}
	// The lock goes last, and while it is held.
	return os.RemoveAll(s.Dir)
}

// Running tells whether somebody holds the lock: a lab is up, or coming or going.
func (s State) Running() (bool, error) {
	lock, err := s.lock(false)
	switch {
	case errors.Is(err, ErrRunning):
		return true, nil
	case errors.Is(err, ErrNotRunning):
		return false, nil
	case err != nil:
		return false, err
	}
	return false, lock.Close()
}

// sign notes that this process is the owner.
func (s State) sign() error {
	boot, ticks, err := birth(os.Getpid())
	if err != nil {
		return err
	}
	data, err := json.Marshal(owner{PID: os.Getpid(), Boot: boot, Ticks: ticks, Started: time.Now()})
	if err != nil {
		return err
	}
	return os.WriteFile(s.path("lab.json"), data, 0o600)
}

// owner reads who runs the lab.
func (s State) owner() (owner, error) {
	var o owner
	data, err := os.ReadFile(s.path("lab.json"))
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(data, &o)
}

// kill kills the owner, unless its number is another process's by now. The
// kernel then ends all that is in its sandbox.
func (s State) kill() error {
	o, err := s.owner()
	if err != nil {
		return err
	}
	boot, ticks, err := birth(o.PID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if boot != o.Boot || ticks != o.Ticks {
		return fmt.Errorf("process %d is not the lab's", o.PID)
	}
	return syscall.Kill(o.PID, syscall.SIGKILL)
}

// birth tells one process from any other that had or will have its number: the
// machine's boot, and the start time since then, proc(5), field 22 of stat.
func birth(pid int) (boot string, ticks uint64, err error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, err
	}
	// The second field, the program's name, may hold blanks and parentheses.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return "", 0, fmt.Errorf("process %d: stat has %d fields", pid, len(fields))
	}
	ticks, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return strings.TrimSpace(string(id)), ticks, err
}
