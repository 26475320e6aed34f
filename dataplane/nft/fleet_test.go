package nft_test

import (
	"strings"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/dptest"
)

func newMember(netns int, _ string) dataplane.Driver { return newDriver(netns) }

func TestNATBreaksHalf(t *testing.T) {
	dptest.RunNAT(t, dptest.NewFleet(t, dptest.FleetOptions{}, newMember))
}

func TestDirectPassesTheSuite(t *testing.T) {
	dptest.RunDirect(t, dptest.NewFleet(t, dptest.FleetOptions{Mode: pharos.Direct}, newMember))
}

// One node is on a segment of its own; and connection tracking is strict: it calls
// what it does not know invalid, not new.
func TestDirectPassesTheSuiteThroughTunnels(t *testing.T) {
	f := dptest.NewFleet(t, dptest.FleetOptions{Mode: pharos.Direct, Split: true}, newMember)
	for _, m := range f.Members {
		if _, err := m.NS.Output(t.Context(), "sh", "-c", "echo 0 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose"); err != nil {
			t.Fatal(err)
		}
	}
	dptest.RunDirect(t, f)
	for _, m := range f.Members {
		if err := m.Driver().Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out, err := m.NS.Output(t.Context(), "ip", "-o", "link"); err != nil || strings.Contains(out, "pharos") {
			t.Errorf("%s has after Remove: %s (%v)", m.Name, out, err)
		}
	}
}
