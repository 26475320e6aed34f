package task

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

// Part is a part of a program: it blocks until ctx ends, and returns nil then.
type Part func(ctx context.Context) error

// Run runs the parts until ctx ends or one of them fails, which ends the
// others, and returns when all have returned, with the first error.
func Run(ctx context.Context, parts ...Part) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		g.Go(func() error { return part(ctx) })
	}
	return g.Wait()
}

// Keep makes a part of one that the program can do without: where it fails it
// is started again after pause, and its error logged when it differs from the
// one before. The result never fails.
func Keep(log *slog.Logger, name string, pause time.Duration, part Part) Part {
	return func(ctx context.Context) error {
		var last string
		for ctx.Err() == nil {
			err := part(ctx)
			if err == nil || ctx.Err() != nil {
				return nil
			}
			if err.Error() != last {
				log.Error("part of the program failed and is retried", "part", name, "pause", pause, "err", err)
				last = err.Error()
			}
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				timer.Stop()
			case <-timer.C:
			}
		}
		return nil
	}
}
