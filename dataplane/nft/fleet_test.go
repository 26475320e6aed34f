package nft_test

import (
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

// One node is on a segment of its own.
func TestDirectPassesTheSuiteThroughTunnels(t *testing.T) {
	dptest.RunDirect(t, dptest.NewFleet(t, dptest.FleetOptions{Mode: pharos.Direct, Split: true}, newMember))
}
