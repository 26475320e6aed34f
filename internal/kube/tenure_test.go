package kube

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func leaseOf(holder, version string, seconds int32) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{UID: "u", ResourceVersion: version},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds},
	}
}

// When a Lease may be taken, by the own clock alone.
func TestLeaseIsFree(t *testing.T) {
	start := time.Now()
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	type seen struct {
		at    int
		lease *coordinationv1.Lease
	}
	for _, c := range []struct {
		name string
		seen []seen
		now  int
		want time.Duration
	}{
		{"there is none", []seen{{0, nil}}, 0, 0},
		{"nobody has it", []seen{{0, leaseOf("", "1", 1)}}, 0, 0},
		{"our own from before a restart", []seen{{0, leaseOf("a", "1", 5)}}, 0, 0},
		{"another's, first seen now", []seen{{0, leaseOf("b", "1", 5)}}, 0, 5 * time.Second},
		{"another's, renewed", []seen{{0, leaseOf("b", "1", 5)}, {4, leaseOf("b", "2", 5)}}, 6, 3 * time.Second},
		{"another's, not renewed", []seen{{0, leaseOf("b", "1", 5)}, {4, leaseOf("b", "1", 5)}}, 6, 0},
		{"another's that lasts longer", []seen{{0, leaseOf("b", "1", 30)}}, 6, 24 * time.Second},
		{"a third one's", []seen{{0, leaseOf("b", "1", 5)}, {6, leaseOf("c", "2", 5)}}, 6, 5 * time.Second},
		{"made anew", []seen{{0, leaseOf("b", "1", 5)}, {6, func() *coordinationv1.Lease { l := leaseOf("b", "1", 5); l.UID = types.UID("v"); return l }()}}, 6, 5 * time.Second},
	} {
		tn := tenure{identity: "a"}
		for _, s := range c.seen {
			tn.observe(s.lease, at(s.at))
		}
		if got := tn.free(at(c.now)); got != c.want {
			t.Errorf("%s: free in %s, want %s", c.name, got, c.want)
		}
	}
}

// A holder stops leaseMargin before another can take the Lease, counted from when
// it began to write; and at once when the Lease is not as it wrote it.
func TestLeaseIsHeld(t *testing.T) {
	start := time.Now()
	tn := tenure{identity: "a"}
	tn.observe(nil, start)
	if tn.left(start) > 0 {
		t.Error("held before it was written")
	}
	lease := tn.next(start)
	if *lease.Spec.HolderIdentity != "a" || *lease.Spec.LeaseTransitions != 0 || lease.Spec.AcquireTime == nil {
		t.Errorf("takes it as %+v", lease.Spec)
	}
	lease.UID, lease.ResourceVersion = "u", "1"
	tn.wrote(lease, start, start.Add(time.Second))
	if got := tn.left(start.Add(time.Second)); got != leaseDuration-leaseMargin-time.Second {
		t.Errorf("%s left", got)
	}
	if tn.left(start.Add(leaseDuration-leaseMargin)) > 0 {
		t.Error("held until another can have it")
	}
	suspended := start.Round(0).Add(time.Hour) // the monotonic clock stood still
	if tn.left(suspended) > 0 {
		t.Error("held after a machine's sleep")
	}

	// Renewed: the same term.
	again := tn.next(start.Add(2 * time.Second))
	if *again.Spec.LeaseTransitions != 0 || !again.Spec.AcquireTime.Equal(lease.Spec.AcquireTime) || again.Spec.RenewTime.Equal(lease.Spec.RenewTime) {
		t.Errorf("renews it as %+v", again.Spec)
	}
	if !ours(again, lease, "a") {
		t.Error("an unheard renewal is not taken for ours")
	}

	// An outage, and nobody was there: the term goes on when it is renewed.
	back := start.Add(time.Minute)
	if tn.left(back) > 0 || !tn.mine() {
		t.Error("after an outage the term has ended, or is still good")
	}
	again.ResourceVersion = "2"
	tn.wrote(again, back, back)
	if tn.left(back) <= 0 {
		t.Error("not held after an outage")
	}

	// Another one was.
	theirs := leaseOf("b", "3", 5)
	n := int32(1)
	theirs.Spec.LeaseTransitions = &n
	if tn.observe(theirs, back); tn.mine() || tn.left(back) > 0 {
		t.Error("another has it, and we too")
	}
	if ours(theirs, again, "a") {
		t.Error("another's is taken for ours")
	}
	if got := tn.next(back); *got.Spec.LeaseTransitions != 2 || got.ResourceVersion != "3" {
		t.Errorf("takes it over as %+v", got.Spec)
	}
	if got := tn.release(back); *got.Spec.HolderIdentity != "" || *got.Spec.LeaseDurationSeconds != 1 {
		t.Errorf("gives it back as %+v", got.Spec)
	}
}
