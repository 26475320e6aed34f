package nft

import (
	"errors"
	"fmt"
	"time"
)

// transact sends a batch that isn't empty.
func (d *Driver) transact(b *batch) error {
	if b.empty() {
		return nil
	}
	start := time.Now()
	large := b.added+b.removed > unheardFrom && !d.busy
	before, after, err := d.send(b, large)
	if err != nil {
		d.seen, d.direct.distrust = 0, true
		return fmt.Errorf("program nftables: %w", err)
	}
	d.status.LastDuration = time.Since(start)
	// Others' transactions before this one were heard.
	switch {
	case after == before+1 && d.seen == before:
		d.seen = after
	case after != before+1 && large:
		// There was another while nobody listened: the tables are to be read. From now
		// on somebody listens, or it might go on like this.
		d.seen, d.direct.distrust, d.busy = 0, true, true
	}
	d.status.Applied++
	d.status.Added += b.added
	d.status.Removed += b.removed
	return nil
}

// unheardFrom is the number of objects from which it saves time that nobody hears
// what a transaction does.
const unheardFrom = 10_000

// send sends a batch, maybe while nobody hears what is changed, and returns the
// generations of nftables before and after it.
func (d *Driver) send(b *batch, unheard bool) (before, after uint32, err error) {
	if before, err = d.socket.generation(); err != nil {
		return 0, 0, err
	}
	if err := d.events.ignore(d.socket.portID()); err != nil {
		return 0, 0, err
	}
	if unheard {
		if err := d.events.pause(); err != nil {
			return 0, 0, err
		}
	}
	if err = d.socket.flush(b); unheard {
		if again := d.events.resume(); again != nil {
			d.events.close()
			err = errors.Join(err, again)
		}
	}
	if err == nil {
		after, err = d.socket.generation()
	}
	return before, after, err
}
