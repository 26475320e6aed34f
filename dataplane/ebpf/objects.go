package ebpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// DefaultPins is where maps and links are kept over the process's end.
const DefaultPins = "/sys/fs/bpf/pharos"

// layoutVersion is part of the pins' path: maps of another layout are another
// version's, and left alone.
const layoutVersion = "v1"

// load makes maps and programs; maps that are pinned are taken over.
func load(pins string, sizes Sizes) (*directObjects, error) {
	spec, err := loadDirect()
	if err != nil {
		return nil, fmt.Errorf("read the programs: %w", err)
	}
	for name, n := range map[string]uint32{"known": sizes.Known, "fresh": sizes.Fresh, "fragments": sizes.Fragments} {
		if n > 0 {
			spec.Maps[name].MaxEntries = n
		}
	}
	for _, m := range spec.Maps {
		if m.Name != ".rodata" {
			m.Pinning = ebpf.PinByName
		}
	}
	if hasIPv6Flag() {
		if err := spec.Variables["ipv6_flag"].Set(uint64(flagIPv6)); err != nil {
			return nil, fmt.Errorf("set up the programs: %w", err)
		}
	}
	objects := &directObjects{}
	err = spec.LoadAndAssign(objects, &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: versioned(pins)}})
	if errors.Is(err, ebpf.ErrMapIncompatible) {
		// Another size was asked for before: what the maps remember can't be kept.
		if err = unpin(versioned(pins)); err == nil {
			err = mountPins(pins)
		}
		if err == nil {
			err = spec.LoadAndAssign(objects, &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: versioned(pins)}})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("load the programs: %w", err)
	}
	return objects, nil
}

// unpin removes the pins of a directory. What nobody else holds is gone then.
func unpin(pins string) error {
	entries, err := os.ReadDir(pins)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list pins: %w", err)
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(pins, e.Name())); err != nil {
			return fmt.Errorf("remove pin: %w", err)
		}
	}
	return os.Remove(pins)
}

// mountPins makes the directory of the pins, and mounts a BPF file system where there is
// none. That ends with the process's mount namespace: a container wants the node's.
func mountPins(pins string) error {
	root := filepath.Dir(pins)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", root, err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil {
		return fmt.Errorf("look at %s: %w", root, err)
	}
	if fs.Type != unix.BPF_FS_MAGIC {
		if err := unix.Mount("bpf", root, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
			return fmt.Errorf("mount a BPF file system on %s: %w", root, err)
		}
	}
	if err := os.MkdirAll(versioned(pins), 0o700); err != nil {
		return fmt.Errorf("make %s: %w", pins, err)
	}
	return nil
}

// versioned is the directory of the pins of this layout.
func versioned(pins string) string { return filepath.Join(pins, layoutVersion) }

// insist repeats an update while the kernel has no memory at hand: it provides for
// a few elements ahead, in the background.
func insist(update func() error) error {
	err := update()
	for wait := 50 * time.Microsecond; err != nil && errors.Is(err, unix.ENOMEM) && wait < 100*time.Millisecond; wait *= 2 {
		time.Sleep(wait)
		err = update()
	}
	return err
}
