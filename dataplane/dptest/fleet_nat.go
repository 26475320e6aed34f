package dptest

import (
	"testing"

	"github.com/pharoslb/pharos"
)

// RunNAT shows what mode nat, which is what kube-proxy does, makes of a node that
// leaves the router's choice: the router moves half of all connections to nodes that know
// nothing of them, and those break, although no pod is gone. (Of three equal paths it moves the
// third that the node had, and a sixth between the others.)
func RunNAT(t *testing.T, f *Fleet) {
	for _, family := range f.routes {
		t.Run(family.Name, func(t *testing.T) {
			f.Serve(t, family, pharos.TCP)
			c := f.Connect(t)
			if b := c.Check(); b.All() != 0 {
				t.Fatalf("at first: %+v", b)
			}
			f.Withdraw(t, "n1")
			defer f.Restore(t, "n1")
			b := c.Check()
			if share := 100 * b.All() / len(c.all); share < 40 || share > 60 {
				t.Errorf("a node is withdrawn, and of %d connections %d are broken, %d of them silent; want about half", len(c.all), b.All(), b.Silent)
			}
			t.Logf("of %d connections %d are reset and %d silent", len(c.all), b.Reset, b.Silent)
		})
	}
}
