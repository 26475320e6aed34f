package nft_test

import (
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane/dptest"
)

func TestDirectBreaksNothing(t *testing.T) {
	f := dptest.NewFleet(t, dptest.FleetOptions{Mode: pharos.Direct, Connections: 300}, newMember)
	for _, family := range f.Families() {
		t.Run(family.Name, func(t *testing.T) {
			f.Serve(t, family, pharos.TCP)
			c := f.Connect(t)
			if b := c.Check(); b.All() != 0 {
				t.Fatalf("at first: %+v", b)
			}
			f.Withdraw(t, "n1")
			if b := c.Check(); b.All() != 0 {
				t.Errorf("a node is withdrawn: %+v", b)
			}
			f.Restore(t, "n1")
			if b := c.Check(); b.All() != 0 {
				t.Errorf("a node is back: %+v", b)
			}
		})
	}
}
