package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// workDir is a file system in memory, of the sandbox's alone: whatever ends the
// sandbox removes it. It takes the place of /run, where OpenBGPD insists on a
// directory of its own.
const workDir = "/run"

const (
	nearAS = 65000
	farAS  = 65001
)

var (
	nearAddr = netip.MustParseAddr("10.0.0.1")
	farAddrs = []netip.Addr{netip.MustParseAddr("10.0.0.11"), netip.MustParseAddr("10.0.0.12"), netip.MustParseAddr("10.0.0.13")}
)

// world is what all measurements share: the programs of ours, built for them.
type world struct {
	announce, pharos string
	sites            int
}

func newWorld(ctx context.Context) (*world, error) {
	// FRR leaves files behind in the other.
	for _, dir := range []string{workDir, "/var/tmp"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=1777"); err != nil {
			return nil, fmt.Errorf("mount a file system for the daemons' files: %w", err)
		}
	}
	w := &world{announce: filepath.Join(workDir, "announce"), pharos: filepath.Join(workDir, "pharos")}
	progress("building")
	for program, source := range map[string]string{w.announce: "./examples/announce", w.pharos: "./cmd/pharos"} {
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, source)
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s (from the repository's top): %w: %s", source, err, out)
		}
	}
	return w, nil
}

// site is one measurement's network, with a directory for the daemons.
type site struct {
	world     *world
	near, far *netns.NS
	segment   *netns.NS // between them, where there is one
	dir       string    // nearDir and farDir are in it
	nearDir   string
	farDir    string
	running   []*process
}

// newSite makes one with a cable between the two, or, if that is to be cut, a bridge
// and two: so that one side's loss is not seen by the other.
func (w *world) newSite(name string, bridged bool) (s *site, err error) {
	w.sites++
	s = &site{world: w, dir: filepath.Join(workDir, fmt.Sprintf("%03d-%s", w.sites, strings.ToLower(name)))}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.nearDir, s.farDir = filepath.Join(s.dir, "near"), filepath.Join(s.dir, "far")
	if err := errors.Join(os.Mkdir(s.dir, 0o755), os.Mkdir(s.nearDir, 0o755), os.Mkdir(s.farDir, 0o755)); err != nil {
		return nil, err
	}
	if s.near, err = netns.New("near"); err != nil {
		return nil, err
	}
	if s.far, err = netns.New("far"); err != nil {
		return nil, err
	}
	err = errors.Join(s.near.Sysctl("net.ipv4.ip_forward", "1"), s.wire(bridged), s.near.AddAddr("eth0", netip.PrefixFrom(nearAddr, 24)))
	for _, a := range farAddrs {
		err = errors.Join(err, s.far.AddAddr("eth0", netip.PrefixFrom(a, 24)))
	}
	return s, err
}

func (s *site) wire(bridged bool) (err error) {
	if !bridged {
		return netns.Veth(s.near, "eth0", s.far, "eth0")
	}
	if s.segment, err = netns.New("segment"); err != nil {
		return err
	}
	return errors.Join(
		s.segment.AddBridge("br0"),
		netns.Veth(s.near, "eth0", s.segment, "near"), s.segment.Enslave("near", "br0"),
		netns.Veth(s.far, "eth0", s.segment, "far"), s.segment.Enslave("far", "br0"),
	)
}

// cut takes the far side's cable out of the bridge.
func (s *site) cut() error { return s.segment.Down("far") }

func (s *site) close() {
	for _, p := range s.running {
		p.stop()
	}
	for _, ns := range []*netns.NS{s.near, s.far, s.segment} {
		if ns != nil {
			ns.Close()
		}
	}
	os.RemoveAll(s.dir)
}

// logs returns the end of what the daemons said.
func (s *site) logs() string {
	var all strings.Builder
	for _, p := range s.running {
		if tail := p.tail(); tail != "" {
			fmt.Fprintf(&all, "\n%s said:\n%s", p.name, tail)
		}
	}
	return all.String()
}

// vip is the i-th prefix of those that the benchmarks are about.
func vip(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(64 + i>>16), byte(i >> 8), byte(i)}), 32)
}

// vips are the first n of them.
func vips(n int) []netip.Prefix {
	all := make([]netip.Prefix, n)
	for i := range all {
		all[i] = vip(i)
	}
	return all
}

// number is i of vip(i).
func number(a [4]byte) (i int, ok bool) {
	return int(a[1]-64)<<16 | int(a[2])<<8 | int(a[3]), a[0] == 100 && a[1] >= 64 && a[1] < 128
}
