package ipvs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// drain is a destination that is no longer wanted: it has no weight, so that it
// gets nothing new, and keeps the connections it has.
type drain struct {
	method uint32
	until  time.Time
}

// drained notes the destinations that a plan left without weight.
func (d *Driver) drained(p *plan) {
	for key, dests := range p.left {
		if len(dests) == 0 {
			delete(d.live.draining, key)
			continue
		}
		left := make(map[netip.AddrPort]drain, len(dests))
		for _, dest := range dests {
			old, ok := d.live.draining[key][dest.addr]
			if !ok {
				old = drain{dest.method, time.Now().Add(d.options.Drain)}
			}
			left[dest.addr] = old
		}
		d.live.draining[key] = left
	}
}

// sweep removes the draining destinations whose connections have ended, or that
// have had their time.
func (d *Driver) sweep(now time.Time) error {
	for key, left := range d.live.draining {
		all, err := d.kernel.ipvs.GetDestinations(service(key, setting{}))
		if errors.Is(err, unix.ESRCH) {
			delete(d.live.draining, key) // somebody removed it with its service
			continue
		}
		if err != nil {
			return fmt.Errorf("list the destinations of %s: %w", key, err)
		}
		busy := map[netip.AddrPort]bool{}
		for _, dest := range all {
			busy[netip.AddrPortFrom(addrOf(dest.Address), dest.Port)] = dest.ActiveConnections+dest.InactiveConnections > 0
		}
		for addr, drain := range left {
			connected, there := busy[addr]
			if connected && now.Before(drain.until) {
				continue
			}
			if there {
				if err := d.kernel.one([]step{{verb: remove, what: theDest, key: key, from: dest{addr, 0, drain.method}}}); err != nil && !errors.Is(err, unix.ENOENT) {
					return err
				}
				d.status.Removed++
			}
			delete(left, addr)
		}
		if len(left) == 0 {
			delete(d.live.draining, key)
		}
	}
	return nil
}

// share is the part of one processor's time that Verify takes at most, in the
// long run: one of so many.
const share = 20

// Verify removes the endpoints whose connections have ended. It compares the
// kernel with the state applied last and repairs what somebody else changed; where
// there is so much that it would take more than a twentieth of the time, some
// calls leave that to a later one.
func (d *Driver) Verify(ctx context.Context) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	start := time.Now()
	if d.live != nil {
		if err := d.sweep(start); err != nil {
			return false, d.status.Note(err)
		}
		if start.Before(d.next) {
			return false, d.status.Note(d.forget())
		}
	}
	repaired, err := d.resync(ctx, d.state, false)
	if err != nil {
		d.live = nil
		return false, d.status.Note(err)
	}
	if repaired {
		d.status.Repaired++
	} else {
		end := time.Now()
		d.next = end.Add(share * end.Sub(start))
	}
	return repaired, d.status.Note(d.forget())
}
