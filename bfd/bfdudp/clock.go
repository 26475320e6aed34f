package bfdudp

import "time"

// clock turns the kernel's receive times, which are on the wall clock, into times that
// can be compared with time.Now's on the monotonic one.
type clock struct {
	start  time.Time     // where the monotonic clock is counted from
	offset time.Duration // wall minus monotonic clock when it was last looked at
}

// at returns when something was received, now being after that. stamp is in nanoseconds
// of the wall clock.
func (c *clock) at(now time.Time, stamp int64) time.Time {
	if c.start.IsZero() {
		c.start, c.offset = now, wall(now, now)
	}
	age := time.Duration(now.UnixNano() - stamp)
	// The wall clock may have been set since the datagram was stamped. Forward, it
	// looks older than it is, and a peer would be taken for silent.
	offset := wall(now, c.start)
	age = min(age, age-(offset-c.offset))
	return now.Add(-max(age, 0))
}

// read notes where the clocks were at a time, once everything that was stamped before
// has been read.
func (c *clock) read(at time.Time) {
	if !c.start.IsZero() {
		c.offset = wall(at, c.start)
	}
}

func wall(now, start time.Time) time.Duration {
	return time.Duration(now.UnixNano()) - now.Sub(start)
}
