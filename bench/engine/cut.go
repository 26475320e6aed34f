package main

import (
	"context"
	"fmt"
	"time"
)

// cut: as frozen, but the origin's cable is pulled out of the bridge between the two,
// with a shorter interval. Ours alone, and often: it is the slowest that counts.
func cut(n int) *group {
	const interval = 10 * time.Millisecond
	return &group{
		name: "link cut", bridged: true, times: 20,
		rows:  []row{{work: fmt.Sprintf("BFD %d ms × 3, peer's link cut: our route out of the FIB, 99 of 100", interval.Milliseconds()), goal: "≤ 50", unit: "ms", quantile: 0.99}},
		takes: func(e *engine) bool { return e == ours && e.bfd },
		measure: func(ctx context.Context, s *site, e *engine) ([]float64, error) {
			if _, err := s.watched(ctx, e, n, interval); err != nil {
				return nil, err
			}
			took, err := s.watch(ctx, s.cut, has(0))
			if err != nil {
				return nil, err
			}
			return []float64{milliseconds(took)}, nil
		},
	}
}
