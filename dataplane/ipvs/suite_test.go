package ipvs_test

import (
	"os"
	"testing"

	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/dptest"
	"github.com/pharoslb/pharos/dataplane/ipvs"
	"github.com/pharoslb/pharos/internal/linux/uml"
)

func TestMain(m *testing.M) { os.Exit(uml.Main(m.Run)) }

func newDriver(netns int) dataplane.Driver { return ipvs.New(ipvs.Options{NetNS: netns}) }

// machine is a kernel with all that the driver and the tests' namespaces need.
func machine() uml.Machine {
	return uml.Machine{Memory: 512, Modules: append([]string{"veth", "bridge"}, ipvs.Modules...)}
}

func TestInKernel(t *testing.T) {
	uml.Test(t, machine(),
		uml.Case{Name: "probe", Run: func(t *testing.T) {
			if err := ipvs.Probe(ipvs.Options{}); err != nil {
				t.Error(err)
			}
		}},
		uml.Case{Name: "walk-through", Run: walkThrough},
		uml.Case{Name: "schedulers", Run: schedulers},
		uml.Case{Name: "strangers", Run: strangers},
		uml.Case{Name: "repairs", Run: repairs},
		uml.Case{Name: "drains", Run: drains},
		uml.Case{Name: "half-way", Run: schedulerMissing},
		uml.Case{Name: "suite", Run: func(t *testing.T) { dptest.Run(t, dptest.NewWorld(t, newDriver)) }},
		uml.Case{Name: "live", Run: func(t *testing.T) { dptest.RunLive(t, dptest.NewWorld(t, newDriver), newDriver) }},
		uml.Case{Name: "fleet, nat", Run: fleetNAT},
		uml.Case{Name: "fleet, direct", Run: fleetDirect},
		uml.Case{Name: "fleet, rows of direct", Run: fleetRows},
		uml.Case{Name: "SCTP", Run: func(t *testing.T) { dptest.RunSCTP(t, dptest.NewWorld(t, newDriver)) }},
	)
}

// This machine's kernel may have IPVS or not; what Probe says has to be true.
func TestProbe(t *testing.T) {
	if err := ipvs.Probe(ipvs.Options{}); err != nil {
		if err := ipvs.New(ipvs.Options{}).Apply(t.Context(), &dataplane.State{}); err == nil {
			t.Error("Probe says no, and Apply works")
		}
	}
}
