package router

import (
	"testing"
	"testing/synctest"

	"github.com/pharoslb/pharos/bgp"
)

// Neighbors are drained and taken back while their sessions go on; one that comes anew
// is drained from the start.
func TestNeighborsAreDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		c := dynamicConfig()
		b.reconfigure(c)
		b.up(112)
		b.admitted(113)
		b.announce(112, "172.19.100.1/32")
		b.announce(113, "172.19.100.1/32", "172.19.100.2/32")
		b.want("both", "172.19.100.1/32 via 112 113\n172.19.100.2/32 via 113")

		c = dynamicConfig()
		c.Neighbors[1].Draining = true
		b.reconfigure(c)
		b.want("the prefix is drained", "172.19.100.1/32 via 112\n172.19.100.2/32 via 113")
		b.speaker.handler.Closed(name(113), bgp.Down{})
		b.admitted(113)
		b.announce(113, "172.19.100.1/32")
		b.want("one is back", "172.19.100.1/32 via 112")

		c = dynamicConfig()
		c.Neighbors[0].Draining = true
		b.reconfigure(c)
		b.want("the other is drained", "172.19.100.1/32 via 113")
		b.reconfigure(dynamicConfig())
		b.want("nobody is drained", "172.19.100.1/32 via 112 113")
		if resets := b.speaker.resets(); len(resets) > 0 {
			t.Errorf("sessions were reset: %q", resets)
		}
	})
}
