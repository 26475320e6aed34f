package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/crd"
	"github.com/pharoslb/pharos/why"
)

// custom is what a watch brings of an object of a resource.
func custom(r *resource, name string, generation int64, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec, "status": map[string]any{"assignedIPv4": int64(generation)}}}
	u.SetGroupVersionKind(r.gvr.GroupVersion().WithKind(r.kind))
	u.SetNamespace("ns")
	u.SetName(name)
	u.SetUID("u")
	u.SetGeneration(generation)
	u.SetCreationTimestamp(metav1.NewTime(time.Unix(1, 0)))
	return u
}

// stores returns what the Reflectors of the resources write to.
func stores(s *Source) map[*resource]*reflected {
	all := map[*resource]*reflected{}
	for _, k := range s.kinds {
		if r, ok := k.store.(resourceStore); ok {
			all[r.resource] = &reflected{s, k}
		}
	}
	return all
}

func stirred(s *Source) bool {
	select {
	case <-s.config.stirred:
		return true
	default:
		return false
	}
}

// What does not change what an object says is no reason to make the configuration
// anew; an object that cannot be read stays as it was when it could.
func TestObjectsOfResources(t *testing.T) {
	s, feeds := feed(t, Config)
	feeds[Config].Replace(nil, "1")
	store := stores(s)[&pools]
	put := func(generation int64, spec map[string]any) string {
		stirred(s)
		store.Update(custom(&pools, "a", generation, spec))
		again := stirred(s)
		s.makeConfig(t.Context())
		snap := s.Snapshot()
		text := fmt.Sprint(again)
		if snap.Config != nil {
			for _, p := range snap.Config.Pools {
				text += fmt.Sprint(" ", p.Name, p.Ranges)
			}
		}
		for _, p := range snap.Problems {
			text += "; " + p.Object.String() + " " + p.Reason.Code.String()
		}
		return text
	}
	good := map[string]any{"addresses": []any{"192.0.2.0/24"}}
	for _, c := range []struct {
		generation int64
		spec       map[string]any
		want       string
	}{
		{1, good, "true a[192.0.2.0-192.0.2.255]"},
		{1, good, "false a[192.0.2.0-192.0.2.255]"}, // its status
		{2, map[string]any{"addresses": "none"}, "true a[192.0.2.0-192.0.2.255]; IPAddressPool ns/a configInvalid"},
		{3, map[string]any{"addresses": []any{"192.0.3.0/24"}}, "true a[192.0.3.0-192.0.3.255]"},
	} {
		if got := put(c.generation, c.spec); got != c.want {
			t.Errorf("generation %d: got %s, want %s", c.generation, got, c.want)
		}
	}
	before := s.Snapshot()
	store.Replace([]any{custom(&pools, "a", 3, nil)}, "2")
	s.makeConfig(t.Context())
	if s.Snapshot() != before {
		t.Error("a watch that begins anew makes a Snapshot")
	}
	store.Delete(custom(&pools, "a", 3, nil))
	s.makeConfig(t.Context())
	if snap := s.Snapshot(); snap.Problem.Code != why.ConfigMissing || snap.Config != before.Config {
		t.Errorf("without anything: %v, %v", snap.Problem, snap.Config)
	}
}

// Objects that come one soon after the other are one configuration; a stream of
// them does not put it off for ever.
func TestConfigurationSettles(t *testing.T) {
	for _, c := range []struct {
		name         string
		every        time.Duration
		n            int
		from, before time.Duration
	}{
		{"one", 0, 0, configQuiet, configQuiet + time.Millisecond},
		{"a burst", 20 * time.Millisecond, 10, 200*time.Millisecond + configQuiet, 201*time.Millisecond + configQuiet},
		{"a stream", 20 * time.Millisecond, 1000, configPatience, configPatience + configQuiet + time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := feed(t, Config)
			synctest.Test(t, func(t *testing.T) {
				s.config.stirred = make(chan struct{}, 1)
				ctx, stop := context.WithCancel(t.Context())
				go func() {
					for range c.n {
						pause(ctx, c.every, nil)
						poke(s.config.stirred)
					}
				}()
				start := time.Now()
				s.settled(ctx)
				if took := time.Since(start); took < c.from || took >= c.before {
					t.Errorf("settled after %s, want at least %s and less than %s", took, c.from, c.before)
				}
				stop()
			})
		})
	}
}

// When Secrets are read again, and what becomes of the last value.
func TestSecretsAreReadAgain(t *testing.T) {
	s, _ := feed(t, Config)
	s.log = logTo(new(strings.Builder))
	now := time.Unix(1000, 0)
	word := pharos.Secret("sesame")
	right := &crd.Secret{Type: string(corev1.SecretTypeBasicAuth), Password: &word}
	wrong := &crd.Secret{Type: string(corev1.SecretTypeOpaque), Password: &word}
	for _, c := range []struct {
		name  string
		value *crd.Secret
		err   error
		due   time.Duration
		want  *crd.Secret
	}{
		{"missing", nil, ErrNotFound, 2 * time.Second, nil},
		{"missing", nil, ErrNotFound, 4 * time.Second, nil},
		{"of the wrong type", wrong, nil, 8 * time.Second, wrong},
		{"right", right, nil, time.Minute, right},
		{"API server away", nil, unreachable{errors.New("refused")}, 2 * time.Second, right},
		{"may not be read", nil, errors.New("forbidden"), 4 * time.Second, nil},
	} {
		s.keepSecret("a", c.value, c.err, now)
		if known := s.config.secrets["a"]; known.value != c.want || known.due.Sub(now) != c.due || s.secretPause(now) != c.due {
			t.Errorf("%s: %v, read again in %s, want %v in %s", c.name, known.value, known.due.Sub(now), c.want, c.due)
		}
	}
	for range 10 {
		s.keepSecret("a", nil, ErrNotFound, now)
	}
	if got := s.secretPause(now); got != maxSecretRetry {
		t.Errorf("a Secret that never comes is looked for every %s", got)
	}
}

// Each of them is one event's name, whoever tells it.
func TestSameEventsAreNamedAlike(t *testing.T) {
	s, _ := feed(t, Config)
	name := func(kind string, reason why.Reason) string {
		r := NewRecorder(RecorderOptions{Client: s.opts.Client, Source: s, Component: "test"})
		r.Object(pharos.Ref{Kind: kind, Namespace: "ns", Name: "a"}, reason)
		return sameEventName(r.queue[0])
	}
	missing := why.New(why.SecretMissing, "no Secret")
	if a, b := name("BGPPeer", missing), name("BGPPeer", missing); a != b {
		t.Errorf("%s and %s", a, b)
	}
	if a, b := name("BGPPeer", missing), name("BFDProfile", missing); a == b {
		t.Errorf("%s for two objects", a)
	}
	if a, b := name("BGPPeer", missing), name("BGPPeer", why.New(why.ConfigInvalid, "no Secret")); a == b {
		t.Errorf("%s for two reasons", a)
	}
}

func TestSummaryOfProblems(t *testing.T) {
	legacy := pharos.Ref{Kind: "ConfigMap", Namespace: "ns", Name: "config"}
	text := pharos.Problem{Object: legacy, Reason: why.New(why.ConfigInvalid, "line 1: bad")}
	pool := pharos.Problem{Object: pharos.Ref{Kind: "IPAddressPool", Namespace: "ns", Name: "a"}, Field: "spec.addresses", Reason: why.New(why.ConfigInvalid, "none"), Hint: "give one"}
	for _, c := range []struct {
		problems []pharos.Problem
		want     why.Reason
	}{
		{nil, why.Reason{}},
		{[]pharos.Problem{text}, text.Reason},
		{[]pharos.Problem{pool}, why.New(why.ConfigInvalid, "IPAddressPool ns/a: spec.addresses: none (give one)")},
		{[]pharos.Problem{text, pool, pool}, why.New(why.ConfigInvalid, "line 1: bad, and 2 more")},
	} {
		if got := summary(c.problems, legacy); got != c.want {
			t.Errorf("got %v, want %v", got, c.want)
		}
	}
	if got := describe(pool).Detail; got != "spec.addresses: none (give one)" {
		t.Errorf("the event says %q", got)
	}
}
