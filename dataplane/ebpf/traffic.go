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

// Events reads the counters.
func (d *Driver) Events() (dataplane.Events, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var e dataplane.Events
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
