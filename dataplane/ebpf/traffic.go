package ebpf

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pharoslb/pharos/dataplane"
)

// Traffic returns what was carried to this node's pods, by frontend.
func (d *Driver) Traffic() ([]dataplane.Traffic, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kernel == nil {
		return nil, nil
	}
	counted := make([]dataplane.Traffic, 0, len(d.kernel.live))
	for _, l := range d.kernel.live {
		var parts []directMeter
		if err := d.kernel.objects.Meters.Lookup(l.meter, &parts); err != nil {
			return nil, fmt.Errorf("read the meter of %s: %w", l.target, err)
		}
		t := dataplane.Traffic{Service: l.service, Frontend: l.target}
		for _, p := range parts {
			t.Packets += p.Packets
			t.Bytes += p.Bytes
			t.Connections += p.Connections
		}
		counted = append(counted, t)
	}
	slices.SortFunc(counted, func(a, b dataplane.Traffic) int {
		return cmp.Or(a.Service.Compare(b.Service), a.Frontend.Compare(b.Frontend))
	})
	return counted, nil
}

// Events are what the programs did with packets, since the maps were made.
type Events struct {
	Forwarded    uint64 `json:"forwarded"`    // to the current owner's node
	SecondChance uint64 `json:"secondChance"` // to another node, marked
	Reset        uint64 `json:"reset"`        // answered by a reset
	Refused      uint64 `json:"refused"`      // dropped: the client is not in the source ranges
	Astray       uint64 `json:"astray"`       // dropped: nodes disagree, or an error about nothing
	Lost         uint64 `json:"lost"`         // dropped: no way to the owner's node
	TooBig       uint64 `json:"tooBig"`       // answered with the path's MTU
	Untracked    uint64 `json:"untracked"`    // delivered without being remembered
	Failed       uint64 `json:"failed"`       // dropped: could not be rewritten
}

// Events reads the counters.
func (d *Driver) Events() (Events, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var e Events
	if d.kernel == nil {
		return e, nil
	}
	for i, to := range []*uint64{&e.Forwarded, &e.SecondChance, &e.Reset, &e.Refused, &e.Astray, &e.Lost, &e.TooBig, &e.Untracked, &e.Failed} {
		var parts []uint64
		if err := d.kernel.objects.Events.Lookup(uint32(i), &parts); err != nil {
			return e, fmt.Errorf("read the programs' counters: %w", err)
		}
		for _, p := range parts {
			*to += p
		}
	}
	return e, nil
}
