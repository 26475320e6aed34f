// Package sysctl reads and writes the kernel's settings.
//
// It does not know which values are right; roles do.
//
//	net.ipv4.conf.all.arp_ignore ──► /proc/sys/net/ipv4/conf/all/arp_ignore
//
// Kernel pages: proc_sys(5), sysctl(8), Documentation/admin-guide/sysctl.
// Start reading at Dir.
package sysctl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dir is a directory of settings; the empty one means /proc/sys. Its methods
// may be called from any goroutine and see the network namespace of the thread
// that runs them.
type Dir string

// path returns a setting's file. A key with slashes is taken as it is: a
// device's name may have dots.
func (d Dir) path(key string) string {
	if d == "" {
		d = "/proc/sys"
	}
	if !strings.Contains(key, "/") {
		key = strings.ReplaceAll(key, ".", "/")
	}
	return filepath.Join(string(d), key)
}

// Sysctl returns a setting's value. The error is fs.ErrNotExist where the
// kernel has no such setting.
func (d Dir) Sysctl(key string) (string, error) {
	value, err := os.ReadFile(d.path(key))
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", key, err)
	}
	return strings.TrimSpace(string(value)), nil
}

// Names lists what is below a key: of net.ipv4.conf the devices, all and default.
func (d Dir) Names(key string) ([]string, error) {
	entries, err := os.ReadDir(d.path(key))
	if err != nil {
		return nil, fmt.Errorf("list sysctl %s: %w", key, err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// SetSysctl changes a setting.
func (d Dir) SetSysctl(key, value string) error {
	f, err := os.OpenFile(d.path(key), os.O_WRONLY, 0) // never made where it isn't
	if err != nil {
		return fmt.Errorf("set sysctl %s: %w", key, err)
	}
	_, err = f.WriteString(value)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("set sysctl %s=%s: %w", key, value, err)
	}
	return nil
}
