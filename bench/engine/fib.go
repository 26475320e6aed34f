package main

import (
	"context"
	"fmt"
	"time"
)

func takesKernel(e *engine) bool { return e.kernel }

// receiveKernel: a source writes n routes at once; the end is the kernel's message
// about the last of them. In the same round the bare batch is measured.
func receiveKernel(n int) *group {
	return &group{
		name: fmt.Sprintf("receive %d into the kernel", n),
		rows: []row{
			{work: fmt.Sprintf("receive %d into the kernel FIB", n), goal: "≤ 1000", unit: "ms"},
			{work: "the same ÷ a bare netlink batch of the same round", goal: "–"},
			{work: "the bare netlink batch", goal: "–", unit: "ms", apart: func(*engine) bool { return true }},
		},
		takes: takesKernel,
		measure: func(ctx context.Context, s *site, e *engine) ([]float64, error) {
			limit, err := s.world.measureBare(ctx, n)
			if err != nil {
				return nil, err
			}
			r := s.nearRole(farAddrs[0])
			r.kernel = true
			if _, err := e.start(ctx, s, r); err != nil {
				return nil, err
			}
			took, sources, err := s.fill(ctx, n, 1)
			if err != nil {
				return nil, err
			}
			defer closeAll(sources)
			return []float64{milliseconds(took), float64(took) / float64(limit), milliseconds(limit)}, nil
		},
	}
}

// measureBare runs the bare batch in a site of its own.
func (w *world) measureBare(ctx context.Context, n int) (time.Duration, error) {
	s, err := w.newSite("bare", false)
	if err != nil {
		return 0, err
	}
	defer s.close()
	return s.bareBatch(ctx, vips(n))
}

// fill has the same n routes sent by that many sources, and returns how long it took
// until the kernel had them all, over all of the sources.
func (s *site) fill(ctx context.Context, n, origins int) (time.Duration, []*session, error) {
	k, err := follow(s.near)
	if err != nil {
		return 0, nil, err
	}
	defer k.close()
	var sources []*session
	var octets [][]byte
	for _, a := range farAddrs[:origins] {
		source, err := s.connect(ctx, farAS, a)
		if err != nil {
			closeAll(sources)
			return 0, nil, err
		}
		sources = append(sources, source)
		b, err := pack(vips(n), farAS, a)
		if err != nil {
			return 0, sources, err
		}
		octets = append(octets, b)
	}
	sent := make(chan error, origins)
	begin := time.Now()
	for i, source := range sources {
		go func() { sent <- source.send(ctx, octets[i]) }()
	}
	end, err := k.until(ctx, spread(n, origins))
	for range sources {
		if e := <-sent; err == nil {
			err = e
		}
	}
	if err == nil {
		err = k.verify(s.near, spread(n, origins))
	}
	if err != nil {
		closeAll(sources)
		return 0, nil, err
	}
	return end.Sub(begin), sources, nil
}

// spread complains unless n vips have routes over each of the first far addresses.
func spread(n, origins int) func(*fibTable) error {
	return func(t *fibTable) error {
		if err := has(n)(t); err != nil {
			return err
		}
		for i := range origins {
			if using := t.using(i); using != n {
				return fmt.Errorf("%d of %d routes by way of %v", using, n, farAddrs[i])
			}
		}
		return nil
	}
}

func closeAll(sources []*session) {
	for _, s := range sources {
		s.conn.Close()
	}
}
