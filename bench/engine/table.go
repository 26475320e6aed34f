package main

import (
	"context"
	"fmt"
	"time"
)

// receiveTable: a source writes n routes at once; the end is when the daemon says
// that its table has them all. It is asked again and again, as often as its driver
// says (poll): where the answer takes a process of its own, more seldom, and the
// figure is late by up to that pause and the time the answer takes.
func receiveTable(n int) *group {
	return &group{
		name: fmt.Sprintf("receive %d into the table", n),
		rows: []row{
			{work: fmt.Sprintf("receive %d into the table", n), goal: "≤ 40", unit: "ms"},
			{work: fmt.Sprintf("peak resident memory, receiver of %d", n), goal: "≤ 40", unit: "MiB"},
		},
		takes: func(*engine) bool { return true },
		measure: func(ctx context.Context, s *site, e *engine) ([]float64, error) {
			d, err := e.start(ctx, s, s.nearRole(farAddrs[0]))
			if err != nil {
				return nil, err
			}
			octets, err := pack(vips(n), farAS, farAddrs[0])
			if err != nil {
				return nil, err
			}
			source, err := s.connect(ctx, farAS, farAddrs[0])
			if err != nil {
				return nil, err
			}
			defer source.conn.Close()
			begin := time.Now()
			if err := source.send(ctx, octets); err != nil {
				return nil, err
			}
			at, err := s.holds(ctx, e, d, n)
			if err != nil {
				return nil, err
			}
			return []float64{milliseconds(at.Sub(begin)), d.peak()}, nil
		},
	}
}

// holds waits for the daemon's table to have n routes, and says when it answered so.
func (s *site) holds(ctx context.Context, e *engine, d daemon, n int) (at time.Time, err error) {
	err = until(ctx, "the daemon's table", e.poll, func() error {
		have, err := d.table(ctx)
		at = time.Now()
		if err == nil && have != n {
			err = fmt.Errorf("%d of %d routes", have, n)
		}
		return err
	})
	return at, err
}
