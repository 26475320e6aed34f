package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// loseOne: three origins have the same n routes, which the kernel spreads over them;
// one closes its connection. The end is when no route goes its way any more; a dump
// confirms it.
func loseOne(n int) *group {
	const origins = 3
	return &group{
		name:  "lose one of three",
		rows:  []row{{work: fmt.Sprintf("switch with %d origins and %d VIPs in the kernel loses one: no route uses it", origins, n), goal: "≤ 50", unit: "ms"}},
		takes: takesKernel,
		measure: func(ctx context.Context, s *site, e *engine) ([]float64, error) {
			r := s.nearRole(farAddrs[:origins]...)
			r.kernel = true
			if _, err := e.start(ctx, s, r); err != nil {
				return nil, err
			}
			_, sources, err := s.fill(ctx, n, origins)
			if err != nil {
				return nil, err
			}
			defer closeAll(sources)
			lost := origins - 1
			took, err := s.watch(ctx, func() error { return sources[lost].conn.Close() }, func(t *fibTable) error {
				if using := t.using(lost); using > 0 {
					return fmt.Errorf("%d routes by way of %v", using, farAddrs[lost])
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			// The others are still there.
			if err := settled(s, has(n)); err != nil {
				return nil, err
			}
			return []float64{milliseconds(took)}, nil
		},
	}
}

// watch does something and returns how long it took until the kernel's table gave no
// cause to complain.
func (s *site) watch(ctx context.Context, do func() error, complain func(*fibTable) error) (time.Duration, error) {
	k, err := follow(s.near)
	if err != nil {
		return 0, err
	}
	defer k.close()
	if k.table, err = dump(s.near); err != nil {
		return 0, err
	}
	if complain(k.table) == nil {
		return 0, errors.New("the kernel's routes are what is to be waited for before anything is done")
	}
	begin := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	end, err := k.until(ctx, complain)
	if err != nil {
		return 0, err
	}
	return end.Sub(begin), k.verify(s.near, complain)
}

// settled complains about the kernel's table as it is.
func settled(s *site, complain func(*fibTable) error) error {
	t, err := dump(s.near)
	if err != nil {
		return err
	}
	return complain(t)
}
