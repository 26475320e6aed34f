package kube

import (
	"context"
	"log/slog"

	"k8s.io/klog/v2"
)

// sink sends what client-go logs to log/slog, as debug messages: what an
// operator has to know of a watch, Source says itself, once.
type sink struct{ log *slog.Logger }

// Init does nothing.
func (s *sink) Init(klog.RuntimeInfo) {}

// Enabled leaves out client-go's chatter.
func (s *sink) Enabled(level int) bool { return level <= 2 }

// Info logs at level debug.
func (s *sink) Info(_ int, message string, attrs ...any) { s.log.Debug(message, attrs...) }

// Error logs at level debug.
func (s *sink) Error(err error, message string, attrs ...any) {
	s.log.Debug(message, append(attrs, "error", err)...)
}

// WithValues adds attributes.
func (s *sink) WithValues(attrs ...any) klog.LogSink { return &sink{s.log.With(attrs...)} }

// WithName adds nothing: the attributes name the kind.
func (s *sink) WithName(string) klog.LogSink { return s }

// quiet keeps client-go from logging what a request's error says anyway.
func quiet(ctx context.Context) context.Context {
	return klog.NewContext(ctx, klog.New(&sink{slog.New(slog.DiscardHandler)}))
}
