package lab

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// bpfDir is where a node has its BPF file system, as systemd mounts it on a
// machine. Without it, what programs keep there would go with their pod.
const bpfDir = "/sys/fs/bpf"

// mountBPF gives a node its BPF file system, empty as after a boot. A kernel that
// has none, or none for the lab's root, leaves the node without.
func (l *Lab) mountBPF(node string) error {
	k := l.kubelets[node]
	if k == nil {
		return nil
	}
	dir := k.HostPath(bpfDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err := syscall.Mount("bpf", dir, "bpf", 0, "mode=0700")
	if err == nil || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EPERM) {
		return nil
	}
	return fmt.Errorf("mount the BPF file system of %s: %w", node, err)
}

// unmountBPF takes it away, with all that is in it.
func (l *Lab) unmountBPF(node string) error {
	k := l.kubelets[node]
	if k == nil {
		return nil
	}
	err := syscall.Unmount(k.HostPath(bpfDir), syscall.MNT_DETACH)
	if err == nil || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOENT) {
		return nil // it was not mounted
	}
	return fmt.Errorf("unmount the BPF file system of %s: %w", node, err)
}
