package ipvs_test

import (
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/dptest"
	"github.com/pharoslb/pharos/dataplane/ipvs"
)

func newMember(netns int, _ string) dataplane.Driver { return ipvs.New(ipvs.Options{NetNS: netns}) }

// many is how many long connections a fleet in the guest has: it has one
// processor.
const many = 300

func fleetNAT(t *testing.T) {
	dptest.RunNAT(t, dptest.NewFleet(t, dptest.FleetOptions{Connections: many}, newMember))
}

// fleetRows is what every driver does in mode direct, but for what follows from the
// Group's table and from second chances.
func fleetRows(t *testing.T) {
	dptest.RunDirect(t, dptest.NewFleet(t, dptest.FleetOptions{Mode: pharos.Direct, KernelTable: true, Connections: 120, Requests: 20}, newMember))
}

// fleetDirect is what the kernel's own table makes of nodes that leave: no
// connection is lost, whichever node its packets come to.
func fleetDirect(t *testing.T) {
	f := dptest.NewFleet(t, dptest.FleetOptions{Mode: pharos.Direct, Connections: many}, newMember)
	for _, family := range f.Families() {
		t.Run(family.Name, func(t *testing.T) {
			f.Serve(t, family, pharos.TCP)
			c := f.Connect(t)
			if n := len(c.Pods()); n != 6 {
				t.Errorf("%d pods have connections: %v", n, c.Pods())
			}
			whole := func(when string) {
				t.Helper()
				if b := c.Check(); b.All() != 0 {
					t.Errorf("%s: %d connections are reset, %d silent", when, b.Reset, b.Silent)
				}
			}
			whole("at first")
			for _, m := range f.Members {
				f.Withdraw(t, m.Name)
				whole(m.Name + " is withdrawn")
				f.Restore(t, m.Name)
				whole(m.Name + " is back")
			}
			f.Withdraw(t, "n1")
			f.Withdraw(t, "n2")
			whole("n3 is alone")
			f.Restore(t, "n1")
			f.Restore(t, "n2")
			for _, m := range f.Members {
				f.Restart(t, m.Name)
				if s := m.Driver().Status(); s.Adopted != 1 || s.Added+s.Removed != 0 {
					t.Errorf("the new driver of %s did something: %+v", m.Name, s)
				}
			}
			whole("drivers are replaced")
			// Connections that only one node has seen: when a pod comes, those break
			// that come to another node and that the kernel's table gives to it.
			later := f.Connect(t)
			f.AddPod(t, "n3c")
			if b := later.Check(); b.All() != 0 {
				t.Errorf("a pod more: %d connections are reset, %d silent", b.Reset, b.Silent)
			}
			f.Withdraw(t, "n1")
			b := later.Check()
			if 100*b.All() > 30*many || b.Silent != 0 {
				t.Errorf("with a pod more and a node less %d are broken, %d silently", b.All(), b.Silent)
			}
			t.Logf("with a pod more and a node less %d of %d are broken", b.All(), many)
			whole("with a pod more and a node less")
			f.Restore(t, "n1")
			f.RemovePod(t, "n3c")
		})
	}
}
