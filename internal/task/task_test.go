package task

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunEndsWithTheFirstErrorAndWaits(t *testing.T) {
	boom := errors.New("boom")
	waited := false
	err := Run(t.Context(),
		func(context.Context) error { return boom },
		func(ctx context.Context) error { <-ctx.Done(); waited = true; return nil })
	if err != boom || !waited {
		t.Errorf("err %v, other part waited for: %v", err, waited)
	}
}

func TestKeepRetriesAndLogsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		tries := 0
		part := Keep(slog.New(slog.NewTextHandler(&out, nil)), "metrics", 5*time.Second, func(ctx context.Context) error {
			tries++
			if tries < 4 {
				return errors.New("port is taken")
			}
			<-ctx.Done()
			return nil
		})
		done := make(chan error)
		go func() { done <- part(ctx) }()
		start := time.Now()
		<-time.After(16 * time.Second)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil || tries != 4 {
			t.Errorf("after %v: err %v, %d tries, want 4", time.Since(start), err, tries)
		}
		if n := strings.Count(out.String(), "port is taken"); n != 1 {
			t.Errorf("the same error was logged %d times", n)
		}
	})
}

func TestKeepEndsDuringItsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		part := Keep(slog.New(slog.DiscardHandler), "x", time.Hour, func(context.Context) error { return errors.New("no") })
		done := make(chan error)
		go func() { done <- part(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
