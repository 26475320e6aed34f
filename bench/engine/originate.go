package main

import (
	"context"
	"fmt"
	"math"
	"net"
)

// originate: the daemon has n prefixes of its own before its neighbor comes. Clock
// zero is Established as the sink sees it, the end the last octet of the last UPDATE.
//
// BIRD 2.0.12 pauses with routes queued; its time is shown and not compared with.
// GoBGP, whose command line takes one prefix a call, has its routes from a second
// session.
func originate(n int, goal, goalMemory string) *group {
	pauses := func(e *engine) bool { return e == bird }
	rows := []row{{work: fmt.Sprintf("originate %d /32: last octet on the wire", n), goal: goal, unit: "ms", apart: pauses}}
	if n == 100_000 {
		rows = append(rows,
			row{work: fmt.Sprintf("UPDATEs of those %d", n), goal: "≤ 126"},
			row{work: fmt.Sprintf("peak resident memory, originator of %d", n), goal: goalMemory, unit: "MiB"})
	}
	return &group{
		name: fmt.Sprintf("originate %d", n), rows: rows, takes: func(*engine) bool { return true },
		measure: func(ctx context.Context, s *site, e *engine) ([]float64, error) {
			sink, d, err := s.originator(ctx, e, n)
			if err != nil {
				return nil, err
			}
			defer sink.conn.Close()
			t, err := sink.count(ctx, n)
			if err != nil {
				return nil, err
			}
			if t.announced != n || t.withdrawn != 0 {
				return nil, fmt.Errorf("%d prefixes came and %d went", t.announced, t.withdrawn)
			}
			return []float64{milliseconds(t.last.Sub(sink.up)), float64(t.updates), d.peak()}[:len(rows)], nil
		},
	}
}

// originator starts a daemon that has n prefixes, and a session with it.
func (s *site) originator(ctx context.Context, e *engine, n int) (*session, daemon, error) {
	r := s.nearRole(farAddrs[0])
	r.originate = vips(n)
	var l net.Listener
	if e.dials {
		var err error
		if l, err = s.listen(ctx); err != nil {
			return nil, nil, err
		}
		defer l.Close()
	}
	d, err := e.start(ctx, s, r)
	if err != nil {
		return nil, nil, err
	}
	var sink *session
	if e.dials {
		sink, err = accept(ctx, l)
	} else {
		sink, err = s.connect(ctx, farAS, farAddrs[0])
	}
	return sink, d, err
}

var none = math.NaN()
