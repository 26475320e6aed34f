package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// engine is one of those compared.
type engine struct {
	name     string
	programs []string // that have to be installed
	// kernel and bfd: it can put routes into the kernel's table, watch paths.
	kernel, bfd bool
	// dials says that as an originator it connects to its neighbor, which it does at
	// once; otherwise the neighbor connects to it.
	dials bool
	// poll is the pause between two looks at its table: short where asking is cheap.
	poll  time.Duration
	start func(ctx context.Context, s *site, r role) (daemon, error)
}

// engines are ours and the others.
var engines = []*engine{ours, bird, frr, gobgp, openbgpd}

// role is what a daemon shall be.
type role struct {
	ns        *netns.NS
	dir       string // of its files
	as        uint32
	addr      netip.Addr
	peerAS    uint32
	peers     []netip.Addr
	originate []netip.Prefix
	passive   bool          // it does not connect to its neighbors
	kernel    bool          // routes go into the kernel's table
	bfd       time.Duration // interval, detection after three; 0: none
}

// daemon is an engine that runs and is ready for its neighbors.
type daemon interface {
	// table is how many routes its BGP table has from neighbors.
	table(context.Context) (int, error)
	// add has it originate one prefix more.
	add(context.Context, netip.Prefix) error
	// peak is the most memory its BGP process has had, in MiB.
	peak() float64
	// freeze stops its processes without ending them.
	freeze()
}

func (e *engine) installed() error {
	for _, p := range e.programs {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%w: make bench-engine installs it", err)
		}
	}
	return nil
}

// nearRole is that of the daemon that is measured.
func (s *site) nearRole(peers ...netip.Addr) role {
	return role{ns: s.near, dir: s.nearDir, as: nearAS, addr: nearAddr, peerAS: farAS, peers: peers, passive: true}
}

// farRole is that of its partner.
func (s *site) farRole() role {
	return role{ns: s.far, dir: s.farDir, as: farAS, addr: farAddrs[0], peerAS: nearAS, peers: []netip.Addr{nearAddr}}
}

// file writes a file that the daemon's user may read.
func (r *role) file(name, text string) (path string, err error) {
	path = filepath.Join(r.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}
