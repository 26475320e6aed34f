package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// killed: announce of ours originates n routes to the daemon and is killed; its kernel
// closes the connection. The end is when the daemon's kernel has none of the routes,
// and, for all engines, when its table says so.
func killed(n int) *group {
	return &group{
		name: "originator killed",
		rows: []row{
			{work: fmt.Sprintf("originator killed: %d routes gone from the kernel", n), goal: "≤ 10", unit: "ms"},
			{work: fmt.Sprintf("originator killed: %d routes gone from the table", n), goal: "≤ 10", unit: "ms"},
		},
		takes: func(*engine) bool { return true },
		measure: func(ctx context.Context, s *site, e *engine) ([]float64, error) {
			kernel := none
			if e.kernel {
				took, err := s.killKernel(ctx, e, n)
				if err != nil {
					return nil, err
				}
				kernel = milliseconds(took)
			}
			fresh, err := s.world.newSite(e.name, false)
			if err != nil {
				return nil, err
			}
			defer fresh.close()
			table, err := fresh.killTable(ctx, e, n)
			if err != nil {
				return nil, fmt.Errorf("%w%s", err, fresh.logs())
			}
			return []float64{kernel, milliseconds(table)}, nil
		},
	}
}

func (s *site) killKernel(ctx context.Context, e *engine, n int) (time.Duration, error) {
	k, err := follow(s.near)
	if err != nil {
		return 0, err
	}
	defer k.close()
	r := s.nearRole(farAddrs[0])
	r.kernel = true
	if _, err := e.start(ctx, s, r); err != nil {
		return 0, err
	}
	origin, err := s.origin(ctx, ours, n, 0)
	if err != nil {
		return 0, err
	}
	if _, err := k.until(ctx, has(n)); err != nil {
		return 0, err
	}
	return s.watch(ctx, func() error { return origin.(*oursDaemon).kill() }, has(0))
}

func (s *site) killTable(ctx context.Context, e *engine, n int) (time.Duration, error) {
	d, err := e.start(ctx, s, s.nearRole(farAddrs[0]))
	if err != nil {
		return 0, err
	}
	origin, err := s.origin(ctx, ours, n, 0)
	if err != nil {
		return 0, err
	}
	if _, err := s.holds(ctx, e, d, n); err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := origin.(*oursDaemon).kill(); err != nil {
		return 0, err
	}
	at, err := s.holds(ctx, e, d, 0)
	return at.Sub(begin), err
}

// origin starts the daemon's partner, which originates n routes.
func (s *site) origin(ctx context.Context, e *engine, n int, bfd time.Duration) (daemon, error) {
	r := s.farRole()
	r.originate, r.bfd = vips(n), bfd
	return e.start(ctx, s, r)
}

// kill ends announce at once.
func (d *oursDaemon) kill() error { return d.cmd.Process.Signal(syscall.SIGKILL) }
