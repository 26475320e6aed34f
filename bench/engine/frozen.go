package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// frozen: two daemons of one engine, one the origin of n routes; the origin is stopped
// without ending (SIGSTOP), so that its connections stay. BFD notices. The end is when
// the other's kernel has none of the routes.
func frozen(n int) *group {
	const interval = 50 * time.Millisecond
	return &group{
		name:  "origin frozen",
		rows:  []row{{work: fmt.Sprintf("BFD %d ms × 3, origin frozen: %d routes gone", interval.Milliseconds(), n), goal: "≤ 150", unit: "ms"}},
		takes: func(e *engine) bool { return e.bfd && e.kernel },
		measure: func(ctx context.Context, s *site, e *engine) ([]float64, error) {
			origin, err := s.watched(ctx, e, n, interval)
			if err != nil {
				return nil, err
			}
			took, err := s.watch(ctx, func() error { origin.freeze(); return nil }, has(0))
			if err != nil {
				return nil, err
			}
			return []float64{milliseconds(took)}, nil
		},
	}
}

// settle is what BFD is given to come up and to come down to its interval, which no
// two engines tell alike (RFC 5880 §6.8.3: a second between packets before it is up).
const settle = 2 * time.Second

// watched starts two daemons of the engine that watch each other by BFD, and returns
// the origin once its n routes have been in the other's kernel for a while: on a busy
// machine a short interval makes sessions come and go at first.
func (s *site) watched(ctx context.Context, e *engine, n int, interval time.Duration) (daemon, error) {
	r := s.nearRole(farAddrs[0])
	r.kernel, r.bfd = true, interval
	if _, err := e.start(ctx, s, r); err != nil {
		return nil, err
	}
	origin, err := s.origin(ctx, e, n, interval)
	if err != nil {
		return nil, err
	}
	var since time.Time
	return origin, until(ctx, "routes that stay", 20*time.Millisecond, func() error {
		if err := settled(s, has(n)); err != nil {
			since = time.Time{}
			return err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < settle {
			return errors.New("not there for long enough")
		}
		return nil
	})
}
