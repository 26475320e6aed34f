package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

const (
	eventWorkers = 4

	// maxNormal and maxQueued bound the events that wait: beyond maxNormal the
	// oldest informative one gives way, beyond maxQueued a warning is logged in
	// place of being recorded.
	maxNormal = 8192
	maxQueued = 16384

	// maxKnown is how many recorded events are remembered, so that a repetition
	// raises their count.
	maxKnown = 4096

	// repeatPause is the least time between two writes of one event.
	repeatPause = 30 * time.Second

	// An event waits until no status is being written and no Service has changed
	// for eventQuiet, so that a burst of Services has the API server to itself;
	// but no longer than eventPatience after it happened.
	eventQuiet    = 100 * time.Millisecond
	eventPatience = 10 * time.Second

	// An event that could not be written is tried again after these pauses; one
	// that was refused, maxRefusals times in all, and once while every event is.
	minEventBackoff = 50 * time.Millisecond
	maxEventBackoff = 2 * time.Second
	maxRefusals     = 8

	maxMessage = 1024 // bytes, as in events.k8s.io/v1
)

// RecorderOptions say who records.
type RecorderOptions struct {
	Client    *Client
	Source    *Source // knows the objects that events are about
	Component string  // such as metallb-controller
	Host      string  // node name; may be empty

	// Problems says which of the Snapshots' Problems are to be recorded, each on
	// its object; nil: none. Several processes see the same ones.
	Problems func(pharos.Problem) bool

	Log *slog.Logger
}

// Recorder records reasons as Kubernetes Events: in the background, once Services
// have settled, each once with a count. Its methods may be called from any
// goroutine and return at once.
type Recorder struct {
	opts RecorderOptions
	log  *slog.Logger
	wake chan struct{} // capacity eventWorkers

	refusing atomic.Bool // the last event was refused for good

	mu      sync.Mutex
	queue   []*event           // to be written, in order of arrival
	normal  int                // how many of queue are informative
	later   []*event           // repeated too soon, in order of due
	known   map[subject]*event // recorded or queued
	status  RecorderStatus
	dropped bool // a loss was logged since the queue was last short
}

// RecorderStatus counts what a Recorder did.
type RecorderStatus struct {
	Queued  int    `json:"queued"`
	Written uint64 `json:"written"` // requests that succeeded
	Failed  uint64 `json:"failed"`  // requests that did not
	Dropped uint64 `json:"dropped"` // events that were only logged
}

// subject is what makes two events the same.
type subject struct {
	object corev1.ObjectReference
	reason why.Reason
}

type event struct {
	subject
	name        string // once it was created
	count       int32
	first, last time.Time
	due         time.Time // no write before
	waiting     bool      // in queue or later, or being written
}

// NewRecorder makes a Recorder. It writes while Run runs.
func NewRecorder(o RecorderOptions) *Recorder {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Recorder{opts: o, log: o.Log, wake: make(chan struct{}, eventWorkers), known: map[subject]*event{}}
}

// Status returns the present state.
func (r *Recorder) Status() RecorderStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.status
	st.Queued = len(r.queue) + len(r.later)
	return st
}

func (r *Recorder) record(object corev1.ObjectReference, reason why.Reason) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.known[subject{object, reason}]
	if e == nil {
		if len(r.known) >= maxKnown+maxQueued {
			r.forget()
		}
		e = &event{subject: subject{object, reason}, first: now}
		r.known[e.subject] = e
	}
	e.count++
	e.last = now
	if !e.waiting {
		r.schedule(e, now)
	}
}

// schedule has an event written, now or when it is due. The lock is held.
func (r *Recorder) schedule(e *event, now time.Time) {
	e.waiting = true
	if now.Before(e.due) {
		r.later = append(r.later, e)
	} else {
		r.push(e)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// forget drops what was recorded before: what did not repeat of late, or else
// all. The lock is held.
func (r *Recorder) forget() {
	recent := time.Now().Add(-repeatPause)
	for _, all := range []bool{false, true} {
		for key, e := range r.known {
			if !e.waiting && (all || e.last.Before(recent)) {
				delete(r.known, key)
			}
		}
		if len(r.known) < maxKnown+maxQueued {
			return
		}
	}
}

// push puts an event into the queue, or loses the least important one aloud. The
// lock is held.
func (r *Recorder) push(e *event) {
	warning := e.reason.Code.Warning()
	if !warning && r.normal >= maxNormal {
		for i, old := range r.queue {
			if !old.reason.Code.Warning() {
				r.lose(old)
				r.queue = append(r.queue[:i], r.queue[i+1:]...)
				r.normal--
				break
			}
		}
	}
	if len(r.queue) >= maxQueued {
		r.lose(e)
		return
	}
	if !warning {
		r.normal++
	}
	r.queue = append(r.queue, e)
}

// lose gives an event up: a warning is logged, of others only the first.
func (r *Recorder) lose(e *event) {
	delete(r.known, e.subject)
	r.status.Dropped++
	if warning := e.reason.Code.Warning(); warning || !r.dropped {
		r.log.Warn("event not recorded", "kind", e.object.Kind, "namespace", e.object.Namespace, "name", e.object.Name,
			"reason", e.reason.Code, "message", e.reason)
		r.dropped = r.dropped || !warning
	}
}

// Run writes events until ctx ends, and returns nil then.
func (r *Recorder) Run(ctx context.Context) error {
	var all sync.WaitGroup
	if r.opts.Problems != nil {
		all.Go(func() { r.follow(ctx) })
	}
	for range eventWorkers {
		all.Go(func() { r.work(ctx) })
	}
	all.Wait()
	return nil
}

// work writes one event after the other. While the API server is gone it holds
// on to its event. A refusal is taken for final only when it has been repeated:
// an API server that is just starting forbids everything.
func (r *Recorder) work(ctx context.Context) {
	for ctx.Err() == nil {
		e, wait := r.next()
		if e == nil {
			pause(ctx, wait, r.wake)
			continue
		}
		r.mu.Lock()
		latest := e.last.Add(eventPatience)
		r.mu.Unlock()
		calm(ctx, r.opts.Client, r.opts.Source, latest)
		backoff := minEventBackoff
		for refusals := 0; ; {
			count, err := r.write(ctx, e)
			if ctx.Err() != nil {
				return
			}
			var gone unreachable
			if err != nil && !errors.As(err, &gone) {
				refusals++
			}
			if err == nil || refusals == maxRefusals || refusals > 0 && r.refusing.Load() {
				r.refusing.Store(err != nil)
				r.done(e, count, err)
				break
			}
			pause(ctx, backoff, nil)
			backoff = min(2*backoff, maxEventBackoff)
		}
	}
}

// calm waits until nothing more important than an event or a status object is
// going on, but no later than latest.
func calm(ctx context.Context, client *Client, source *Source, latest time.Time) {
	for ctx.Err() == nil {
		client.statuses.wait(ctx, time.Until(latest))
		quiet := source.serviceChanged().Add(eventQuiet)
		if quiet.After(latest) {
			quiet = latest
		}
		left := time.Until(quiet)
		if left <= 0 {
			return
		}
		pause(ctx, left, nil)
	}
}

// pause waits for a while, for wake, or for ctx to end.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}

// next takes the next event that is due, or says how long there will be none.
func (r *Recorder) next() (*event, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for len(r.later) > 0 && !now.Before(r.later[0].due) {
		e := r.later[0]
		r.later = r.later[1:]
		r.push(e)
	}
	if len(r.queue) == 0 {
		r.queue, r.dropped = nil, false
		if len(r.later) == 0 {
			return nil, time.Hour
		}
		return nil, r.later[0].due.Sub(now)
	}
	e := r.queue[0]
	r.queue[0] = nil
	r.queue = r.queue[1:]
	if !e.reason.Code.Warning() {
		r.normal--
	}
	e.due = now.Add(repeatPause)
	return e, 0
}

// write creates the event, or raises the count of the one that exists. It
// returns the count that was sent.
func (r *Recorder) write(ctx context.Context, e *event) (int32, error) {
	ctx, cancel := context.WithTimeout(quiet(ctx), requestTimeout)
	defer cancel()
	r.mu.Lock()
	name, count, first, last := e.name, e.count, e.first, e.last
	r.mu.Unlock()
	namespace := e.object.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	events := r.opts.Client.core
	if name != "" {
		body, err := json.Marshal(map[string]any{"count": count, "lastTimestamp": metav1.NewTime(last)})
		if err != nil {
			return count, fmt.Errorf("encode event: %w", err)
		}
		err = requestError(events.Patch(types.MergePatchType).Namespace(namespace).Resource("events").Name(name).
			MaxRetries(0).Body(body).Do(ctx).Error())
		if !errors.Is(err, ErrNotFound) {
			return count, err
		}
		// The API server forgets events after a while.
	}
	name = eventName(e.object.Name, last)
	if e.object.APIVersion != "v1" || e.object.Kind == "ConfigMap" {
		name = sameEventName(e)
	}
	kind := corev1.EventTypeNormal
	if e.reason.Code.Warning() {
		kind = corev1.EventTypeWarning
	}
	err := requestError(events.Post().Namespace(namespace).Resource("events").MaxRetries(0).Body(&corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: name},
		InvolvedObject: e.object,
		Reason:         e.reason.Code.String(),
		Message:        shorten(e.reason.String()),
		Source:         corev1.EventSource{Component: r.opts.Component, Host: r.opts.Host},
		FirstTimestamp: metav1.NewTime(first),
		LastTimestamp:  metav1.NewTime(last),
		Count:          count,
		Type:           kind,
	}).Do(ctx).Error())
	if errors.Is(err, ErrSuperseded) {
		err = nil // another process was first, or we were before a restart
	}
	if err == nil {
		r.mu.Lock()
		e.name = name
		r.mu.Unlock()
	}
	return count, err
}

// done notes how a write ended.
func (r *Recorder) done(e *event, count int32, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.waiting = false
	if e.count != count {
		r.schedule(e, time.Now())
	}
	if err == nil {
		r.status.Written++
		return
	}
	r.status.Failed++
	r.log.Warn("event refused", "kind", e.object.Kind, "namespace", e.object.Namespace, "name", e.object.Name,
		"reason", e.reason.Code, "message", e.reason, "error", err)
}
