package interop

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// A node loses its power and is back with nothing remembered, long before the hold
// time is over: on the kernel's own TCP, our switch takes it back at once. With a
// password the kernel drops the unsigned RST of the node that has forgotten, and it
// is the missing acknowledgement that tells.
func TestPowerCycleOnTheKernel(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name, password string
		cause          bgp.Cause
	}{
		{"plain", "", bgp.CauseConnectionLost},
		{"signed", "correct-horse", bgp.CauseReplaced},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			need(t)
			l := newLab(t, 1)
			hold := 180 * time.Second
			edit := func(c *bgp.Config) { c.HoldTime, c.Password = &hold, r.password }
			node := l.nodes[0]
			sw := l.serve(l.sw, []netip.AddrPort{netip.AddrPortFrom(switch4, bgp.Port)}, bgp.Config{
				Name: "node", LocalAS: switchAS, RemoteAS: nodeAS, RouterID: switch4, RemoteAddr: node.v4,
				Families: both, HoldTime: &hold, Password: r.password, Passive: true,
			})
			attrs := &bgp.Attrs{Origin: wire.OriginIncomplete}
			s := l.serve(node, nil, node.peer(edit))
			s.announce("switch", attrs, "172.19.100.1/32")
			sw.heard.WaitRoutes(t, "node", "172.19.100.1/32")

			// What the switch sent and nobody confirmed would be sent again with ever
			// longer pauses, and the kernel's word of the connection's end come as late.
			s.heard.Wait(t, "switch", "End-of-RIB", func(h bgptest.Heard) bool { return len(h.Ends) == len(both) })
			l.eventually("all that the switch sent to be confirmed", func() error {
				out, err := l.sw.Output(t.Context(), "ss", "-Htn", "state", "established", "sport = :179")
				if f := strings.Fields(out); err == nil && (len(f) < 2 || f[1] != "0") {
					err = errors.New(out)
				}
				return err
			})

			l.must(l.segment.Delete("port112")) // no FIN gets out any more
			s.stop()
			fresh := l.join("node1", 112)
			if !sw.heard.Heard("node").Up {
				t.Fatal("the switch noticed too early for this test")
			}
			back := time.Now()
			s = l.serve(fresh, nil, fresh.peer(edit))
			s.announce("switch", attrs, "172.19.100.1/32", "172.19.100.2/32")
			h := sw.heard.WaitRoutes(t, "node", "172.19.100.1/32", "172.19.100.2/32")
			took := time.Since(back)
			t.Logf("routes are back after %v", took)
			// On a machine that does not run us for as long as the old connection is
			// waited for, the new one replaces it before we hear of its end.
			late := took >= time.Second && h.Downs[0].Cause == bgp.CauseReplaced
			if d := h.Downs[0]; d.Cause != r.cause && !late {
				t.Errorf("the old session ended with %v, want %v", d, r.cause)
			}
		})
	}
}
