package ebpf_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/dptest"
	"github.com/pharoslb/pharos/dataplane/ebpf"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

var (
	started     = time.Now()
	directories atomic.Int32
)

// pins returns a directory of a node's own.
func pins() string { return fmt.Sprintf("/sys/fs/bpf/pharos-%d", directories.Add(1)) }

// driver returns what makes drivers of a node, whose maps are small; one after another they are
// as processes that restart.
func driver(attach ebpf.Attach) func(netns int) dataplane.Driver {
	directory := pins()
	return func(netns int) dataplane.Driver {
		return ebpf.New(ebpf.Options{NetNS: netns, Pins: directory, Attach: attach, Sizes: ebpf.Sizes{Known: 16384, Fresh: 16384}})
	}
}

// What other runs of these tests have pinned is not to be seen here: they would share
// connections.
func TestPinsAreOurOwn(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	entries, err := os.ReadDir("/sys/fs/bpf")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() && info.ModTime().Before(started) {
			t.Errorf("%s is older than this run", e.Name())
		}
	}
}

func TestThisKernelHasWhatItTakes(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	for _, attach := range []ebpf.Attach{ebpf.AttachAuto, ebpf.AttachTCX, ebpf.AttachClsact} {
		if err := ebpf.Probe(ebpf.Options{Pins: pins(), Attach: attach}); err != nil {
			t.Errorf("%q: %v", attach, err)
		}
	}
}

func TestDriverPassesTheSuite(t *testing.T) {
	dptest.Run(t, dptest.NewWorld(t, driver(ebpf.AttachAuto)))
}

func TestDriverOnLiveConnections(t *testing.T) {
	make := driver(ebpf.AttachAuto)
	dptest.RunLive(t, dptest.NewWorld(t, make), make)
}

// newFleet returns a fleet in mode direct.
func newFleet(t testing.TB, options dptest.FleetOptions, attach ebpf.Attach) *dptest.Fleet {
	t.Helper()
	options.Mode = pharos.Direct
	nodes := map[string]func(int) dataplane.Driver{}
	return dptest.NewFleet(t, options, func(netns int, node string) dataplane.Driver {
		if nodes[node] == nil {
			nodes[node] = driver(attach)
		}
		return nodes[node](netns)
	})
}

// One segment, and a node that is reached through a tunnel; both ways to attach.
func TestFleetOnOneSegment(t *testing.T) {
	dptest.RunDirect(t, newFleet(t, dptest.FleetOptions{}, ebpf.AttachAuto))
}

func TestFleetBehindARouter(t *testing.T) {
	dptest.RunDirect(t, newFleet(t, dptest.FleetOptions{Split: true, Whole: true, Connections: 200}, ebpf.AttachClsact))
}
