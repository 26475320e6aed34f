package kube

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tenure decides about a Lease: whether to take, keep or await it. It is plain
// data; the runner tells it what the API server said, and when.
//
// Clocks of different machines are never compared: a holder is given up when its
// Lease has not changed for as long as it says, by the observer's own clock.
type tenure struct {
	identity string

	lease   *coordinationv1.Lease // as last seen; nil: there is none
	seenAt  time.Time             // when this state of it was first seen
	renewed time.Time             // when the request was begun that made it ours; zero: it is not
}

// observe takes in what the API server has, nil for no Lease.
func (t *tenure) observe(lease *coordinationv1.Lease, now time.Time) {
	if lease == nil || t.lease == nil || lease.ResourceVersion != t.lease.ResourceVersion || lease.UID != t.lease.UID {
		t.seenAt = now
		t.renewed = time.Time{} // not as we wrote it: somebody else may have had it
	}
	t.lease = lease
}

// wrote takes in the outcome of a write that succeeded; began is when its
// request was.
func (t *tenure) wrote(lease *coordinationv1.Lease, began, now time.Time) {
	t.lease, t.seenAt, t.renewed = lease, now, began
}

// mine reports whether the Lease is as we wrote it, so that nobody else can have
// had it since.
func (t *tenure) mine() bool { return !t.renewed.IsZero() }

// left returns how long what only the holder may do may go on; 0 or less: not at
// all. Both clocks have to agree: the monotonic one stands still while a machine
// is suspended, the other one can be set.
func (t *tenure) left(now time.Time) time.Duration {
	if !t.mine() {
		return 0
	}
	until := t.renewed.Add(leaseDuration - leaseMargin)
	return min(until.Sub(now), until.Round(0).Sub(now.Round(0)))
}

// holder returns who has the Lease according to it; empty: nobody.
func (t *tenure) holder() string {
	if t.lease == nil || t.lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *t.lease.Spec.HolderIdentity
}

// free returns how long it takes until the Lease may be taken: 0 now. One that
// names us is ours: it is our own from before a restart.
func (t *tenure) free(now time.Time) time.Duration {
	if h := t.holder(); h == "" || h == t.identity {
		return 0
	}
	lasts := leaseDuration
	if s := t.lease.Spec.LeaseDurationSeconds; s != nil {
		lasts = time.Duration(*s) * time.Second
	}
	return max(0, t.seenAt.Add(lasts).Sub(now))
}

// next returns the Lease to write in order to take it, or to keep it.
func (t *tenure) next(now time.Time) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{}
	if t.lease != nil {
		lease = t.lease.DeepCopy()
	}
	at := metav1.NewMicroTime(now)
	if t.holder() != t.identity {
		transitions := int32(0)
		if n := lease.Spec.LeaseTransitions; n != nil && t.lease != nil {
			transitions = *n + 1
		}
		lease.Spec.AcquireTime, lease.Spec.LeaseTransitions = &at, &transitions
	}
	seconds := int32(leaseDuration / time.Second)
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &t.identity, &seconds, &at
	return lease
}

// release returns the Lease to write in order to give it up.
func (t *tenure) release(now time.Time) *coordinationv1.Lease {
	lease := t.lease.DeepCopy()
	nobody, seconds, at := "", int32(1), metav1.NewMicroTime(now)
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &nobody, &seconds, &at
	return lease
}
