package nft_test

import (
	"os"
	"testing"

	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/dptest"
	"github.com/pharoslb/pharos/dataplane/nft"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

func newDriver(netns int) dataplane.Driver { return nft.New(nft.Options{NetNS: netns}) }

func TestDriverPassesTheSuite(t *testing.T) { dptest.Run(t, dptest.NewWorld(t, newDriver)) }

func TestDriverOnLiveConnections(t *testing.T) {
	dptest.RunLive(t, dptest.NewWorld(t, newDriver), newDriver)
}

func TestSCTP(t *testing.T) { dptest.RunSCTP(t, dptest.NewWorld(t, newDriver)) }
