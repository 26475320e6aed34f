package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pharoslb/pharos"
)

// A holder renews its Lease every leaseRenewal; another takes it when it has not
// been renewed for leaseDuration. A holder that cannot renew begins nothing more
// leaseMargin before that: what it has begun has so long to end. Who waits looks
// every leasePoll.
const (
	leaseDuration = 5 * time.Second
	leaseRenewal  = 2 * time.Second
	leaseMargin   = 1500 * time.Millisecond
	leasePoll     = time.Second
	leasePatience = time.Second // for one request
	leaseRetry    = 250 * time.Millisecond
)

// LeaseOptions say which Lease, and who wants it.
type LeaseOptions struct {
	Client *Client
	Name   pharos.Name

	// Identity is unlike that of any other process that runs at the same time.
	// One that is the same as before a restart has the Lease back at once.
	Identity string

	Log *slog.Logger // nil discards
}

// Lease elects one process of several by a Lease of the API group
// coordination.k8s.io. It is an own implementation: client-go's brings the
// clients of all API groups along, which are 15 MiB of program and 10 MiB of
// resident memory in every role, and its holder stops work whenever the API
// server is away for some seconds. Its methods may be called from any goroutine.
type Lease struct {
	opts LeaseOptions
	log  *slog.Logger

	mu     sync.Mutex // guards what follows; Run is the only writer
	tenure tenure
	status LeaseStatus
}

// LeaseStatus says who has a Lease.
type LeaseStatus struct {
	Identity string    `json:"identity"` // our own
	Holder   string    `json:"holder"`   // as last seen; empty: nobody
	Held     bool      `json:"held"`     // by us
	Since    time.Time `json:"since"`    // the last change of Held
	Error    string    `json:"error,omitempty"`
}

// NewLease makes a Lease. It is wanted while Run runs.
func NewLease(o LeaseOptions) *Lease {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	l := &Lease{opts: o, log: o.Log, tenure: tenure{identity: o.Identity}}
	l.status = LeaseStatus{Identity: o.Identity, Since: time.Now()}
	return l
}

// Left returns for how long what only the holder may do may go on; 0 or less: it
// must not begin. It comes back within one term after an outage in which nobody
// else had the Lease: what the holder knows is good still.
func (l *Lease) Left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tenure.left(time.Now())
}

// Status returns the present state.
func (l *Lease) Status() LeaseStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Run waits for the Lease, and calls lead each time it is ours, with a context
// that ends when somebody else has it. It returns when ctx has ended or lead has
// returned on its own, with lead's error; the Lease is given back then.
func (l *Lease) Run(ctx context.Context, lead func(context.Context) error) error {
	for {
		if !l.acquire(ctx) {
			return nil
		}
		term, end := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- lead(term) }()
		err, returned := l.keep(term, done)
		end()
		if !returned {
			err = <-done
		}
		if returned || ctx.Err() != nil {
			l.giveBack()
			return err
		}
	}
}

// acquire waits until the Lease is ours; it returns false if ctx ends first.
func (l *Lease) acquire(ctx context.Context) bool {
	for ctx.Err() == nil {
		wait, err := l.try(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case errors.As(err, new(unreachable)):
			wait = leaseRetry
		case err != nil:
			wait = leasePoll
		case wait == 0:
			return true
		default:
			// As soon as it can be ours, but not all who wait at one moment.
			wait = min(leasePoll, wait) + rand.N(leasePoll/10)
		}
		pause(ctx, wait, nil)
	}
	return false
}

// try looks at the Lease, and takes it if it is free; it returns 0 then, and else
// when to try again.
func (l *Lease) try(ctx context.Context) (time.Duration, error) {
	lease, err := l.get(ctx)
	if err != nil {
		return 0, l.note(err)
	}
	l.mu.Lock()
	l.tenure.observe(lease, time.Now())
	wait := l.tenure.free(time.Now())
	l.mu.Unlock()
	if wait > 0 {
		return wait, l.note(nil)
	}
	err = l.write(ctx)
	if errors.Is(err, ErrSuperseded) { // somebody was faster
		return leaseRetry, nil
	}
	return 0, l.note(err)
}

// keep renews the Lease until somebody else has it, ctx ends, or done receives.
func (l *Lease) keep(ctx context.Context, done <-chan error) (err error, returned bool) {
	wait := leaseRenewal
	for {
		timer := time.NewTimer(wait)
		select {
		case err := <-done:
			timer.Stop()
			return err, true
		case <-ctx.Done():
			timer.Stop()
			return nil, false
		case <-timer.C:
		}
		wait = leaseRenewal
		err := l.write(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, false
		case err == nil:
			l.note(nil)
		case !errors.As(err, new(unreachable)) && l.lost(ctx):
			l.note(nil)
			l.log.Warn("another has the lease", "lease", l.opts.Name, "holder", l.Status().Holder)
			return nil, false
		default:
			l.note(err)
			wait = leaseRetry
		}
	}
}

// lost looks whether a write that failed did so because the Lease is not as we
// left it. A request that got no answer may have succeeded: then it says so.
func (l *Lease) lost(ctx context.Context) bool {
	lease, err := l.get(ctx)
	if err != nil {
		return false // whatever it is, we begin nothing before we know
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	renewed, written := l.tenure.renewed, l.tenure.lease
	if lease != nil && written != nil && lease.UID == written.UID && ours(lease, written, l.opts.Identity) {
		// Our own write, of which we have not heard.
		l.tenure.lease, l.tenure.seenAt, l.tenure.renewed = lease, time.Now(), renewed
		return false
	}
	l.tenure.observe(lease, time.Now())
	return !l.tenure.mine()
}

// ours reports whether a Lease names us, and nobody had it between was and is.
func ours(is, was *coordinationv1.Lease, identity string) bool {
	a, b := is.Spec, was.Spec
	return a.HolderIdentity != nil && *a.HolderIdentity == identity &&
		a.AcquireTime != nil && b.AcquireTime != nil && a.AcquireTime.Equal(b.AcquireTime) &&
		a.LeaseTransitions != nil && b.LeaseTransitions != nil && *a.LeaseTransitions == *b.LeaseTransitions
}

// giveBack lets the next one have the Lease at once.
func (l *Lease) giveBack() {
	l.mu.Lock()
	mine := l.tenure.mine()
	var lease *coordinationv1.Lease
	if mine {
		lease = l.tenure.release(time.Now())
	}
	l.tenure.renewed = time.Time{}
	l.mu.Unlock()
	if mine {
		if _, err := l.put(context.Background(), lease); err != nil {
			l.log.Warn("lease not given back", "lease", l.opts.Name, "error", err)
		}
	}
	l.note(nil)
}

// write takes or renews the Lease.
func (l *Lease) write(ctx context.Context) error {
	began := time.Now()
	l.mu.Lock()
	lease := l.tenure.next(began)
	l.mu.Unlock()
	lease.Namespace, lease.Name = l.opts.Name.Namespace, l.opts.Name.Name
	written, err := l.put(ctx, lease)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tenure.wrote(written, began, time.Now())
	return nil
}

// note keeps the status, and logs what changes in it.
func (l *Lease) note(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.status
	was := *s
	s.Holder, s.Held, s.Error = l.tenure.holder(), l.tenure.mine(), ""
	if err != nil {
		s.Error = err.Error()
	}
	if s.Held != was.Held {
		s.Since = time.Now()
	}
	switch {
	case s.Held && !was.Held:
		l.log.Info("lease taken", "lease", l.opts.Name, "identity", s.Identity)
	case !s.Held && s.Holder != was.Holder && s.Holder != "":
		l.log.Info("lease awaited", "lease", l.opts.Name, "holder", s.Holder)
	}
	if err != nil && was.Error == "" {
		l.log.Warn("lease not reached", "lease", l.opts.Name, "error", err)
	}
	return err
}

// get reads the Lease, with a quorum; nil: there is none.
func (l *Lease) get(ctx context.Context) (*coordinationv1.Lease, error) {
	ctx, cancel := context.WithTimeout(quiet(ctx), leasePatience)
	defer cancel()
	lease := &coordinationv1.Lease{}
	err := requestError(l.opts.Client.coordination.Get().Namespace(l.opts.Name.Namespace).Resource("leases").
		Name(l.opts.Name.Name).MaxRetries(0).Do(ctx).Into(lease))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read lease %s: %w", l.opts.Name, err)
	}
	return lease, nil
}

// put creates or updates the Lease; ErrSuperseded: it has changed since.
func (l *Lease) put(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	ctx, cancel := context.WithTimeout(quiet(ctx), leasePatience)
	defer cancel()
	r := l.opts.Client.coordination.Post()
	if lease.ResourceVersion != "" {
		r = l.opts.Client.coordination.Put().Name(lease.Name)
	} else {
		lease.ObjectMeta = metav1.ObjectMeta{Namespace: lease.Namespace, Name: lease.Name, Labels: map[string]string{"app": "metallb"}}
	}
	written := &coordinationv1.Lease{}
	if err := requestError(r.Namespace(lease.Namespace).Resource("leases").MaxRetries(0).Body(lease).Do(ctx).Into(written)); err != nil {
		return nil, fmt.Errorf("write lease %s: %w", l.opts.Name, err)
	}
	return written, nil
}
