package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// oldRoot is where the machine's root stays while the new one is filled.
const oldRoot = "/.machine"

// root is the container's root while it is built, from inside.
type root struct {
	// own tells of each mount point whether what is made below it is the
	// container's own business (true) or would show on the machine (false).
	own map[string]bool
	// shown are the mounts that show the machine's files, and the covers.
	shown *[]string
}

// buildRoot makes the container's root and moves into it.
func buildRoot(spec Spec) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", spec.Root, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount the root on %s: %w", spec.Root, err)
	}
	if err := os.Mkdir(filepath.Join(spec.Root, oldRoot), 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(spec.Root, filepath.Join(spec.Root, oldRoot)); err != nil {
		return fmt.Errorf("pivot_root to %s: %w", spec.Root, err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	r := root{own: map[string]bool{"/": true}, shown: new([]string)}
	if err := r.fill("/", "tmp", "run", "proc", "sys"); err != nil {
		return err
	}
	if err := r.system(spec.HostPID); err != nil {
		return err
	}
	mounts := slices.Clone(spec.Mounts)
	slices.SortStableFunc(mounts, func(a, b Mount) int {
		return strings.Count(filepath.Clean(a.Target), "/") - strings.Count(filepath.Clean(b.Target), "/")
	})
	// Covering a directory hides what is mounted below it, so that all covers
	// come before the first mount.
	for _, m := range mounts {
		if err := r.prepare(m, mounts); err != nil {
			return fmt.Errorf("mount %s: %w", m.Target, err)
		}
	}
	if spec.ReadOnlyRoot {
		for _, path := range *r.shown {
			if err := readOnly(path, unix.AT_RECURSIVE); err != nil {
				return err
			}
		}
	}
	for _, m := range mounts {
		if err := r.mount(m); err != nil {
			return fmt.Errorf("mount %s: %w", m.Target, err)
		}
	}
	if err := unix.Unmount(oldRoot, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the machine's root: %w", err)
	}
	if err := os.Remove(oldRoot); err != nil || !spec.ReadOnlyRoot {
		return err
	}
	return readOnly("/", 0)
}

// readOnly forbids writing through one mount, or with AT_RECURSIVE those below
// it too.
func readOnly(path string, flags uint) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(-1, path, flags, &attr); err != nil {
		return fmt.Errorf("make %s read-only: %w", path, err)
	}
	return nil
}

// system mounts what the kernel shows.
func (r root) system(hostPID bool) error {
	for dir, mode := range map[string]fs.FileMode{"/tmp": 0o777 | fs.ModeSticky, "/run": 0o755, "/proc": 0o555, "/sys": 0o555} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(dir, mode); err != nil { // whatever the umask
			return err
		}
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if hostPID {
		if err := bind(oldRoot+"/proc", "/proc"); err != nil {
			return err
		}
	} else if err := unix.Mount("proc", "/proc", "proc", flags, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// A sysfs of our own shows our network's devices; a user namespace may
	// lack the right to it, and then the machine's has to do.
	if unix.Mount("sysfs", "/sys", "sysfs", flags, "") != nil {
		return bind(oldRoot+"/sys", "/sys")
	}
	return nil
}

// fill makes every entry of the machine's directory dir, but for the names to
// skip, visible in the same directory of the container, which is empty.
func (r root) fill(dir string, skip ...string) error {
	entries, err := os.ReadDir(filepath.Join(oldRoot, dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.Contains(skip, e.Name()) {
			continue
		}
		source, target := filepath.Join(oldRoot, dir, e.Name()), filepath.Join(dir, e.Name())
		var err error
		switch {
		case e.Type() == fs.ModeSymlink:
			var to string
			if to, err = os.Readlink(source); err == nil {
				err = os.Symlink(to, target)
			}
		case e.IsDir():
			if err = os.Mkdir(target, 0o755); err == nil {
				err = bind(source, target)
				r.own[target] = false
			}
		default:
			if err = touch(target); err == nil {
				err = bind(source, target)
			}
		}
		if err == nil && e.Type() != fs.ModeSymlink && target != "/dev" {
			*r.shown = append(*r.shown, target)
		}
		// The machine may remove a file between listing and binding it.
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// prepare makes the mount point of a mount that is not inside another.
func (r root) prepare(m Mount, all []Mount) error {
	target := filepath.Clean("/" + m.Target)
	for _, other := range all {
		if strings.HasPrefix(target, strings.TrimSuffix(filepath.Clean("/"+other.Target), "/")+"/") {
			return nil
		}
	}
	info, err := os.Stat(filepath.Join(oldRoot, m.Source))
	if err != nil {
		return err
	}
	_, err = r.point(target, info.IsDir())
	return err
}

// mount binds one of the spec's mounts.
func (r root) mount(m Mount) error {
	source := filepath.Join(oldRoot, m.Source)
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	target, err := r.point(filepath.Clean("/"+m.Target), info.IsDir())
	if err != nil {
		return err
	}
	if err := bind(source, target); err != nil {
		return err
	}
	r.own[target] = true
	if m.ReadOnly {
		return readOnly(target, unix.AT_RECURSIVE)
	}
	return nil
}

// point makes sure that a mount point exists, without adding anything to the
// machine's directories, and returns its path free of symlinks.
func (r root) point(path string, dir bool) (string, error) {
	existing, missing := path, ""
	for {
		resolved, err := filepath.EvalSymlinks(existing)
		if err == nil {
			existing = resolved
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		missing = filepath.Join(filepath.Base(existing), missing)
		existing = filepath.Dir(existing)
	}
	if missing == "" {
		return existing, nil
	}
	if !r.owned(existing) {
		if err := unix.Mount("tmpfs", existing, "tmpfs", 0, "mode=755"); err != nil {
			return "", fmt.Errorf("cover %s: %w", existing, err)
		}
		r.own[existing] = true
		*r.shown = append(*r.shown, existing)
		if err := r.fill(existing); err != nil {
			return "", fmt.Errorf("cover %s: %w", existing, err)
		}
	}
	full := filepath.Join(existing, missing)
	if dir {
		return full, os.MkdirAll(full, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return "", err
	}
	return full, touch(full)
}

// owned finds the mount point that a path is under, and whose it is.
func (r root) owned(path string) bool {
	for {
		if own, ok := r.own[path]; ok {
			return own
		}
		path = filepath.Dir(path)
	}
}

func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", target, err)
	}
	return nil
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
