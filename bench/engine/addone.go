package main

import (
	"context"
	"fmt"
	"time"
)

// present is how many prefixes are there before the one that is added.
const present = 100

// addOne: a session is up and quiet; one prefix more is asked for the way a user of
// the engine would, with the start of the command as clock zero.
func addOne() *group {
	return &group{
		name: "add one",
		rows: []row{
			{work: "one VIP added on a live session: UPDATE on the wire, from the command's start", goal: "≤ 2", unit: "ms"},
			{work: "the same from the library's call", goal: "≤ 2", unit: "ms"},
		},
		takes: func(*engine) bool { return true },
		measure: func(ctx context.Context, s *site, e *engine) ([]float64, error) {
			sink, d, err := s.originator(ctx, e, present)
			if err != nil {
				return nil, err
			}
			defer sink.conn.Close()
			command, err := s.onWire(ctx, sink, func() error { return d.add(ctx, vip(present)) })
			if err != nil {
				return nil, err
			}
			call := none
			if e == ours {
				if call, err = libraryCall(ctx, s); err != nil {
					return nil, fmt.Errorf("from the library's call: %w", err)
				}
			}
			return []float64{command, call}, nil
		},
	}
}

// onWire is how long it takes from the beginning of add until its UPDATE is read, once
// those that were there before have come.
func (s *site) onWire(ctx context.Context, sink *session, add func() error) (float64, error) {
	if _, err := sink.count(ctx, present); err != nil {
		return none, err
	}
	type result struct {
		t   tally
		err error
	}
	read := make(chan result, 1)
	go func() {
		t, err := sink.count(ctx, 1)
		read <- result{t, err}
	}()
	// Whatever the daemon still has to do for the first ones is over by then.
	select {
	case <-time.After(200 * time.Millisecond):
	case r := <-read:
		return none, fmt.Errorf("an UPDATE came that nobody asked for (%v)", r.err)
	}
	begin := time.Now()
	if err := add(); err != nil {
		return none, err
	}
	r := <-read
	return milliseconds(r.t.last.Sub(begin)), r.err
}
