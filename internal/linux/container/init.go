package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The names by which a program that was started again knows its task.
const (
	initName  = "pharos-container-init"
	enterName = "pharos-container-enter"
)

const (
	specFd   = 3
	reportFd = 4
)

// called tells that Init was. Without it, a program started again would not
// become a container but run a second time, and start containers in its turn.
var called atomic.Bool

// Check reports that the program can run no container, because it did not call
// Init first thing.
func Check() error {
	if !called.Load() {
		return errors.New("container: the program's main did not call container.Init before anything else")
	}
	return nil
}

// Init turns the program into a container, or a probe of one, if Start or
// Process.Run started it for that, and does not return then. Every program
// that uses this package calls it first thing in main, or in TestMain.
func Init() {
	var task func(data []byte) error
	switch filepath.Base(os.Args[0]) {
	case initName:
		task = become
	case enterName:
		task = enter
	default:
		called.Store(true)
		return
	}
	runtime.LockOSThread() // namespaces belong to the thread
	unix.CloseOnExec(specFd)
	unix.CloseOnExec(reportFd)
	err := func() error {
		f := os.NewFile(specFd, "spec")
		info, err := f.Stat()
		if err != nil {
			return err
		}
		data := make([]byte, info.Size())
		if _, err := f.ReadAt(data, 0); err != nil {
			return err
		}
		return task(data)
	}()
	fmt.Fprint(os.NewFile(reportFd, "report"), err)
	os.Exit(125)
}

// become builds the root and replaces this program by the container's. It
// returns only with an error.
func become(data []byte) error {
	var spec Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("set host name %q: %w", spec.Hostname, err)
	}
	if err := buildRoot(spec); err != nil {
		return err
	}
	path, err := find(spec.Args, spec.Env, spec.Dir)
	if err != nil {
		return err
	}
	if err := spec.Privileges.assume(); err != nil {
		return err
	}
	return fmt.Errorf("exec %s: %w", path, unix.Exec(path, spec.Args, spec.Env))
}

// find changes to the working directory and looks the program up from there,
// as a shell with this environment would.
func find(args, env []string, dir string) (string, error) {
	if len(args) == 0 || args[0] == "" {
		return "", errors.New("no program given")
	}
	if dir == "" {
		dir = "/"
	}
	if err := os.Chdir(dir); err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	for _, e := range env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			os.Setenv("PATH", path)
		}
	}
	path, err := exec.LookPath(args[0])
	// A program found in the working directory is what the user named.
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", err
	}
	return path, nil
}
