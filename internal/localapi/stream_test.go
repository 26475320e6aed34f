package localapi

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// streams serves what tell emits, to one client at a time.
func streams(t *testing.T, tell func(ctx context.Context, emit func(...int) error) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "role.sock")
	mux := http.NewServeMux()
	mux.Handle("/v1/stream", Stream(1, tell))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, path, mux) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	var nothing map[string]any
	for t.Context().Err() == nil {
		if err := Get(t.Context(), path, "/none", &nothing); err != nil && strings.Contains(err.Error(), "404") {
			return path
		}
	}
	return path
}

func TestFollow(t *testing.T) {
	ended := make(chan struct{}, 2)
	path := streams(t, func(ctx context.Context, emit func(...int) error) error {
		defer func() { ended <- struct{}{} }()
		if err := emit(1, 2, 3); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []int
	var second error
	err := Follow(ctx, path, "/v1/stream", time.Minute, func(n int) error {
		if got = append(got, n); n == 3 {
			second = Follow(ctx, path, "/v1/stream", time.Minute, func(int) error { return nil })
			cancel()
		}
		return nil
	})
	if err == nil || ctx.Err() == nil || len(got) != 3 {
		t.Errorf("got %v, %v", got, err)
	}
	if second == nil || !strings.Contains(second.Error(), "503") {
		t.Errorf("one client too many: %v", second)
	}
	<-ended // the server noticed
	stop := errors.New("enough")
	for { // the place is free again, sooner or later
		err := Follow(t.Context(), path, "/v1/stream", time.Minute, func(int) error { return stop })
		if errors.Is(err, stop) {
			break
		}
		if !strings.Contains(err.Error(), "503") {
			t.Fatal(err)
		}
	}
}

// A server that says nothing for too long, or ends, is an error.
func TestFollowASilentServer(t *testing.T) {
	path := streams(t, func(ctx context.Context, emit func(...int) error) error {
		emit(1)
		<-ctx.Done()
		return nil
	})
	if err := Follow(t.Context(), path, "/v1/stream", 50*time.Millisecond, func(int) error { return nil }); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("silence: %v", err)
	}
	path = streams(t, func(_ context.Context, emit func(...int) error) error { return emit(1) })
	if err := Follow(t.Context(), path, "/v1/stream", time.Minute, func(int) error { return nil }); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("the end: %v", err)
	}
	if err := Follow(t.Context(), filepath.Join(t.TempDir(), "none.sock"), "/", time.Minute, func(int) error { return nil }); err == nil {
		t.Error("nobody answers, and no error")
	}
	if err := Follow(t.Context(), path, "/v1/other", time.Minute, func(int) error { return nil }); !errors.Is(err, ErrNotServed) {
		t.Errorf("what is not served: %v", err)
	}
}
