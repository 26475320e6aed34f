package sysctl_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pharoslb/pharos/internal/linux/sandbox"
	"github.com/pharoslb/pharos/internal/linux/sysctl"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

func TestKernel(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	var kernel sysctl.Dir
	if err := kernel.SetSysctl("net.ipv4.conf.all.arp_ignore", "1"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"net.ipv4.conf.all.arp_ignore", "net/ipv4/conf/all/arp_ignore"} {
		if got, err := kernel.Sysctl(key); got != "1" || err != nil {
			t.Errorf("%s is %q (%v), want 1", key, got, err)
		}
	}
	if names, err := kernel.Names("net.ipv4.conf"); err != nil || !slices.Contains(names, "lo") || !slices.Contains(names, "default") {
		t.Errorf("devices %v, %v", names, err)
	}
	if err := kernel.SetSysctl("net.ipv4.conf.all.arp_ignore", "nonsense"); err == nil {
		t.Error("the kernel took nonsense")
	}
}

func TestUnknownKeyIsNotMade(t *testing.T) {
	dir := sysctl.Dir(t.TempDir())
	if err := dir.SetSysctl("net.bridge.x", "1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("set: %v, want that it does not exist", err)
	}
	if _, err := dir.Sysctl("net.bridge.x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("get: %v, want that it does not exist", err)
	}
	if _, err := dir.Names("net.bridge"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list: %v, want that it does not exist", err)
	}
	if entries, _ := filepath.Glob(filepath.Join(string(dir), "*")); len(entries) > 0 {
		t.Errorf("made %v", entries)
	}
}
