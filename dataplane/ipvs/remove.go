package ipvs

import (
	"context"
	"fmt"

	"github.com/pharoslb/pharos/dataplane"
)

// Remove takes away the interface, the virtual services that are ours, the rules
// and the sets. The kernel's settings stay. Where there is none of the sets, nothing
// is ours, and what there is of another proxy stays.
func (d *Driver) Remove(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status.Note(d.remove(ctx))
}

func (d *Driver) remove(ctx context.Context) error {
	k, is := d.kernel, newWorld()
	if probeIPVS() != nil || k.sets.probe() != nil {
		return nil // a kernel without them holds nothing
	}
	if err := k.open(); err != nil {
		return err
	}
	if there, err := k.readSets(is); err != nil || there == 0 {
		return err
	}
	found, err := k.findDevice()
	if err != nil {
		return err
	}
	if _, err := k.readAddrs(is); err != nil {
		return err
	}
	if err := k.readVirtuals(is); err != nil {
		return err
	}
	d.live, d.state = nil, &dataplane.State{}
	if found { // its addresses go with it
		if err := k.links.LinkDel(k.device); err != nil {
			return fmt.Errorf("remove %s: %w", device, err)
		}
		k.device, is.addrs = nil, nil
	}
	virtuals := difference(&world{virtuals: is.virtuals}, newWorld())
	if err := k.do(virtuals.steps()); err != nil {
		return fmt.Errorf("remove virtual services: %w", err)
	}
	for i := range k.rules {
		// The sets can't go while rules look into them; a family without sets that
		// are used has no rules.
		if err := k.rules[i].remove(ctx); err != nil && !k.rules[i].ipv6 {
			return err
		}
	}
	for _, set := range sets {
		for _, ipv6 := range []bool{false, true} {
			if err := k.sets.destroy(set, ipv6); err != nil {
				return err
			}
		}
	}
	return nil
}
