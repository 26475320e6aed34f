package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

const (
	// publishTick is how often a role is asked whether it has something else to
	// say, if the Snapshot has changed; publishPause, if it has not.
	publishTick  = time.Second
	publishPause = 3 * time.Second

	// publishBatch is how many writes are planned at a time: what is wanted may be
	// something else after them.
	publishBatch = 50

	// Beyond publishBurst, publishRate writes a second are all that one process
	// makes: statuses have the lowest priority, and there are many nodes.
	publishBurst = 100
	publishRate  = 20

	// publishPatience is the longest that a status waits until nothing more
	// important is going on.
	publishPatience = 10 * time.Second

	// What others do to the objects is looked for every relistPause; a kind that is
	// not there or may not be listed is looked for every absentPause.
	relistPause = 5 * time.Minute
	absentPause = 30 * time.Second
)

// Pod is the own pod, which owns the status objects, so that they go with it. The
// zero Pod is not known.
type Pod struct{ Name, UID string }

// PublisherOptions say who publishes what.
type PublisherOptions struct {
	Client *Client
	Source *Source
	Report func() Report // cheap enough to be called every second
	Node   string        // the speaker's; empty: the controller
	Pod    Pod
	Lease  *Lease // nothing is written while it is not held; nil: it always is
	Log    *slog.Logger
}

// Publisher writes what a role reports into status objects: a ConfigurationState,
// and the counters of pools or the announcements and sessions of a node. It writes
// what differs, in the background, when Services have settled.
type Publisher struct {
	opts   PublisherOptions
	log    *slog.Logger
	states states
	kinds  []*published
	pace   pace

	mu     sync.Mutex
	status PublisherStatus
}

// PublisherStatus counts what a Publisher did.
type PublisherStatus struct {
	Written uint64 `json:"written"`
	Failed  uint64 `json:"failed"`
}

// published is one kind of status objects.
type published struct {
	*statusKind
	objects map[string]seen // by name
	listed  bool
	due     time.Time         // of the next list
	failed  string            // the error that is logged
	refused map[string]change // by name: what the API server finds wrong
	records func(r Report) []record
}

// NewPublisher makes a Publisher. It writes while Run runs.
func NewPublisher(o PublisherOptions) *Publisher {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	p := &Publisher{opts: o, log: o.Log, states: states{node: o.Node}, pace: pace{tokens: publishBurst}}
	if o.Pod.Name != "" && o.Pod.UID != "" {
		p.states.owner = &metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: o.Pod.Name, UID: types.UID(o.Pod.UID)}
	}
	state := &published{statusKind: configurationStates}
	state.records = func(r Report) []record {
		c := p.states.configuration(r, nil, time.Now())
		return []record{p.states.configuration(r, state.objects[c.name].status, time.Now())}
	}
	p.kinds = []*published{state}
	if o.Node == "" {
		uid := func(name string) string { return o.Source.poolUID(name) }
		p.kinds = append(p.kinds, &published{statusKind: poolStatuses, records: func(r Report) []record { return p.states.pools(r, uid) }})
		return p
	}
	// Sessions are few, and say more: Services' must not keep them waiting.
	p.kinds = append(p.kinds, &published{statusKind: bgpSessionStates, records: p.states.sessions})
	routes := &published{statusKind: serviceBGPStatuses}
	peers := sessions{}
	routes.records = func(r Report) []record {
		r.Services = linger(r.Services, routes.objects, peers.unsettled(r.Peers, time.Now()))
		return p.states.services(serviceBGPStatuses, r)
	}
	p.kinds = append(p.kinds, &published{statusKind: serviceL2Statuses, records: func(r Report) []record { return p.states.services(serviceL2Statuses, r) }}, routes)
	return p
}

// Status returns the present counts.
func (p *Publisher) Status() PublisherStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// Run publishes until ctx ends, and returns nil then. The objects stay: who comes
// next takes them over, and the API server collects those of pods that are gone.
func (p *Publisher) Run(ctx context.Context) error {
	var published uint64
	last := time.Time{}
	for ctx.Err() == nil {
		pause(ctx, publishTick, nil)
		revision := p.opts.Source.Snapshot().Revision
		if ctx.Err() != nil || revision == published && time.Since(last) < publishPause {
			continue
		}
		if p.opts.Lease != nil && p.opts.Lease.Left() <= 0 {
			continue
		}
		if r := p.opts.Report(); r.Synced {
			last, published = time.Now(), revision
			if more := p.publish(ctx, r); more {
				published = 0
			}
		}
	}
	return nil
}

// publish makes the objects say what is reported, up to a batch of writes; it
// reports whether there is more to do.
func (p *Publisher) publish(ctx context.Context, r Report) (more bool) {
	latest := time.Now().Add(publishPatience)
	budget := publishBatch
	for _, k := range p.kinds {
		if !p.observe(ctx, k) {
			continue
		}
		have := make([]seen, 0, len(k.objects))
		for _, o := range k.objects {
			have = append(have, o)
		}
		for _, c := range plan(k.statusKind, k.records(r), have) {
			if was, ok := k.refused[c.name]; ok && reflect.DeepEqual(was.record, c.record) {
				continue // it would be again
			}
			if budget--; budget < 0 || ctx.Err() != nil {
				return true
			}
			calm(ctx, p.opts.Client, p.opts.Source, latest)
			pause(ctx, p.pace.take(time.Now()), nil)
			if !p.do(ctx, k, c) {
				return true
			}
		}
	}
	return false
}

// observe lists a kind where that is due, and reports whether it is known.
func (p *Publisher) observe(ctx context.Context, k *published) bool {
	if now := time.Now(); now.Before(k.due) || !p.opts.Source.known() {
		return k.listed
	}
	ctx, cancel := context.WithTimeout(quiet(ctx), requestTimeout)
	defer cancel()
	list, err := p.api(k).List(ctx, metav1.ListOptions{LabelSelector: k.selector(p.opts.Node)})
	if err != nil {
		k.listed, k.due = false, time.Now().Add(absentPause)
		if errors.As(requestError(err), new(unreachable)) {
			k.due = time.Now().Add(publishPause)
		}
		p.note(k, err)
		return false
	}
	k.listed, k.failed, k.objects, k.refused = true, "", map[string]seen{}, map[string]change{}
	k.due = time.Now().Add(relistPause + rand.N(relistPause/5))
	for i := range list.Items {
		k.objects[list.Items[i].GetName()] = see(k.statusKind, &list.Items[i])
	}
	return true
}

// do makes one change, and reports whether to go on.
func (p *Publisher) do(ctx context.Context, k *published, c change) bool {
	ctx, cancel := context.WithTimeout(quiet(ctx), requestTimeout)
	defer cancel()
	now, err := p.write(ctx, k, &c)
	p.mu.Lock()
	if err == nil {
		p.status.Written++
	} else {
		p.status.Failed++
	}
	p.mu.Unlock()
	switch {
	case err == nil && now != nil:
		k.objects[c.name] = see(k.statusKind, now)
		return true
	case apierrors.IsNotFound(err) && k.foreign:
		// The object is gone, or its kind has no status to write, as in MetalLB
		// before 0.15: nothing tells which.
		k.listed, k.due = false, time.Now().Add(absentPause)
		return false
	case err == nil, apierrors.IsNotFound(err):
		delete(k.objects, c.name)
		return true
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		p.note(k, err)
		k.refused[c.name] = c // this one; others may be written
		return true
	}
	p.note(k, err)
	if !errors.As(requestError(err), new(unreachable)) {
		k.listed, k.due = false, time.Now().Add(absentPause)
	}
	return false
}

// write makes the change's request, two for an object with a status that has to be
// made. It returns the object as it is then.
func (p *Publisher) write(ctx context.Context, k *published, c *change) (*unstructured.Unstructured, error) {
	api := p.api(k)
	merge := func(body []byte, err error, sub ...string) (*unstructured.Unstructured, error) {
		if err != nil {
			return nil, fmt.Errorf("encode: %w", err)
		}
		return api.Patch(ctx, c.name, types.MergePatchType, body, metav1.PatchOptions{}, sub...)
	}
	switch c.verb {
	case remove:
		return nil, api.Delete(ctx, c.name, metav1.DeleteOptions{})
	case relabel:
		body, err := c.metaPatch()
		return merge(body, err)
	case add:
		o := &unstructured.Unstructured{}
		o.SetGroupVersionKind(k.gvr.GroupVersion().WithKind(k.kind))
		o.SetName(c.name)
		o.SetLabels(c.record.labels)
		if c.record.owner != nil {
			o.SetOwnerReferences([]metav1.OwnerReference{*c.record.owner})
		}
		made, err := api.Create(ctx, o, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) { // and lacks a label that it would have been found by
			body, err := c.metaPatch()
			made, err = merge(body, err)
			if err != nil {
				return nil, err
			}
		} else if err != nil {
			return nil, err
		}
		k.objects[c.name] = see(k.statusKind, made)
		c.was = k.objects[c.name].status
	}
	body, err := c.statusPatch()
	return merge(body, err, "status")
}

func (p *Publisher) api(k *published) dynamic.ResourceInterface {
	return p.opts.Client.dynamic.Resource(k.gvr).Namespace(p.opts.Source.opts.ConfigMap.Namespace)
}

// note logs an error that is not the one before. That a kind is not there is
// none, as it need not be; that the API server does not answer, the Source says.
func (p *Publisher) note(k *published, err error) {
	if text := err.Error(); !apierrors.IsNotFound(err) && !errors.As(requestError(err), new(unreachable)) && k.failed != text {
		p.log.Warn("statuses not written", "kind", k.kind, "error", err)
		k.failed = text
	}
}

// known reports whether the API server knows any kind of the group metallb.io.
func (s *Source) known() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.kinds, func(k *kindState) bool { return k.appeared != nil && k.status.begun && !k.status.Absent })
}

// poolUID returns the identity of the object that a pool is made of; empty: it is
// of the ConfigMap.
func (s *Source) poolUID(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.config.objects[&pools][name].uid)
}

// pace is a bucket of tokens, filled at publishRate up to publishBurst.
type pace struct {
	tokens float64
	at     time.Time
}

// take takes a token, and returns how long to wait until it is there.
func (p *pace) take(now time.Time) time.Duration {
	if !p.at.IsZero() {
		p.tokens = min(publishBurst, p.tokens+now.Sub(p.at).Seconds()*publishRate)
	}
	p.at = now
	if p.tokens--; p.tokens >= 0 {
		return 0
	}
	return time.Duration(-p.tokens / publishRate * float64(time.Second))
}
