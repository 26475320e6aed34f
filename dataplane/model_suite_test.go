package dataplane_test

import (
	"testing"

	"github.com/pharoslb/pharos/dataplane/dptest"
)

func TestModelPassesTheSuite(t *testing.T) { dptest.Run(t, dptest.NewModel(1)) }
