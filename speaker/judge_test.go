package speaker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pharoslb/pharos/layer2"
)

// A speaker that takes thousands of addresses over announces them within a blink; for each
// the one that had it has to hear of that, or it answers on until its time is up.
func TestManyAddressesAreTakenOverAtOnce(t *testing.T) {
	const n = 2000
	now := time.Unix(1e9, 0)
	mac := layer2.MAC{2, 0, 0, 0, 0, 2}
	j := newJudge()
	j.know([]Member{{Name: "n2", Facts: &Facts{Links: []Link{{Name: "eth0", MAC: mac}}}}})
	r := layer2.NewResponder(0)
	r.Step(now, layer2.Links{Links: []layer2.LinkStatus{{Name: "eth0", Index: 1, MAC: layer2.MAC{2, 0, 0, 0, 0, 1}}}})
	var set layer2.Set
	for i := range n {
		set.Announcements = append(set.Announcements, layer2.Announcement{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
	}
	r.Step(now, set)
	for _, a := range set.Announcements {
		for _, e := range r.Step(now, layer2.Claimed{Link: 1, Addr: a.Addr, MAC: mac}) {
			j.Conflict(e.(layer2.Report).Conflict)
		}
	}
	taken, disputes := j.take(now, func(string) bool { return true })
	if len(taken) != n || len(disputes) > 0 {
		t.Errorf("of %d addresses %d are taken over, %d are disputed", n, len(taken), len(disputes))
	}
}
