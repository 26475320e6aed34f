package bfdudp

import (
	"testing"
	"time"
)

// A step of the wall clock makes no datagram look older than it is: else a peer would
// be taken for silent.
func TestWallClockSteps(t *testing.T) {
	// shifted is a moment at which the wall clock is ahead by some time.
	base := time.Now()
	for _, tt := range []struct {
		name      string
		step, age time.Duration // between stamp and look; real age
		least     time.Duration // of what is told
		most      time.Duration
	}{
		{"no step", 0, 3 * time.Millisecond, 3 * time.Millisecond, 3 * time.Millisecond},
		{"forward", time.Hour, 3 * time.Millisecond, 3 * time.Millisecond, 3 * time.Millisecond},
		{"backward", -time.Hour, 3 * time.Millisecond, 0, 3 * time.Millisecond},
	} {
		c := clock{start: base, offset: wall(base, base)}
		now := base.Add(time.Second)
		stamp := now.Add(-tt.age).UnixNano()
		// As if the wall clock had been elsewhere when it was last looked at.
		c.offset -= tt.step
		stamp -= int64(tt.step)
		got := now.Sub(c.at(now, stamp))
		if got < tt.least || got > tt.most {
			t.Errorf("%s: age %v, want %v to %v", tt.name, got, tt.least, tt.most)
		}
	}
	// What was stamped after now, by a clock that is finer, is not of the future.
	var c clock
	if now := time.Now(); c.at(now, now.Add(time.Second).UnixNano()).After(now) {
		t.Error("received in the future")
	}
}
