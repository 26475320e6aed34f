package kube_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/internal/configmap"
	"github.com/pharoslb/pharos/internal/kube"
	"github.com/pharoslb/pharos/internal/lab/cluster"
)

// replica is a controller that works while it has the Lease.
type replica struct {
	lease *kube.Lease
	cut   atomic.Bool // its node is off the network
	terms atomic.Int32
	role  atomic.Pointer[process]
	stop  func()
}

// RoundTripper of a node that may be cut off.
type cuttable struct {
	http.RoundTripper
	cut *atomic.Bool
}

func (c cuttable) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.cut.Load() {
		return nil, errors.New("no route to host")
	}
	return c.RoundTripper.RoundTrip(r)
}

// replica starts a controller as pharos controller wires it, with its service
// account's rights.
func (a *api) replica(name string) *replica {
	a.t.Helper()
	r := &replica{}
	cfg := a.as("controller")
	cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return cuttable{rt, &r.cut} })
	client, err := kube.NewClient(cfg, "controller-"+name)
	if err != nil {
		a.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(a.t.Output(), nil)).With("controller", name)
	r.lease = kube.NewLease(kube.LeaseOptions{Client: client, Name: pharos.Name{Namespace: namespace, Name: "pharos-controller"}, Identity: name, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		err := r.lease.Run(ctx, func(ctx context.Context) error {
			r.terms.Add(1)
			p := &process{}
			p.source = kube.NewSource(kube.Options{Client: client, Kinds: kube.Services | kube.Namespaces | kube.Config, ConfigMap: configName, Parse: configmap.Parse})
			p.writer = kube.NewWriter(client, p.source, r.lease)
			p.recorder = kube.NewRecorder(kube.RecorderOptions{Client: client, Source: p.source, Component: "metallb-controller"})
			p.Controller = controller.New(controller.Options{}, controller.Edge{Source: p.source, Writer: p.writer, Recorder: p.recorder, Log: log})
			r.role.Store(p)
			defer r.role.Store(nil)
			var parts sync.WaitGroup
			for _, part := range []func(context.Context) error{p.source.Run, p.recorder.Run, p.Controller.Run} {
				parts.Go(func() { part(ctx) })
			}
			parts.Wait()
			return nil
		})
		if err != nil {
			a.t.Error(err)
		}
	})
	r.stop = func() { cancel(); done.Wait() }
	a.t.Cleanup(r.stop)
	return r
}

func (a *api) leads(r *replica) {
	a.t.Helper()
	a.eventually(func() string {
		if p := r.role.Load(); p == nil || p.Healthy() != nil {
			return fmt.Sprintf("%+v does not lead", r.lease.Status())
		}
		return ""
	})
}

// Two controllers, a burst of 1,000 Services, and the node of the one that works
// is cut off midway: the other one takes over, no address is given twice, none
// moves, and every Service is served. The one that comes back stands by.
func TestLeaderIsLostInABurst(t *testing.T) {
	const n = 1000
	a := start(t)
	a.configure(pools("172.19.0.0/16"))
	first := a.replica("first")
	a.leads(first)
	second := a.replica("second")
	a.eventually(func() string {
		if st := second.lease.Status(); st.Holder != "first" || st.Held {
			return fmt.Sprintf("second sees %+v", st)
		}
		return ""
	})

	// Every address that is ever shown, and by whom.
	shown := map[string]string{}
	watch, err := a.admin.CoreV1().Services("default").Watch(a.ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	var creators sync.WaitGroup
	for w := range 8 {
		creators.Go(func() {
			for i := w; i < n; i += 8 {
				a.create(fmt.Sprintf("s%d", i))
			}
		})
	}
	addresses := map[string]string{}
	for e := range watch.ResultChan() {
		s := e.Object.(*corev1.Service)
		if len(s.Status.LoadBalancer.Ingress) == 0 {
			continue
		}
		ip := s.Status.LoadBalancer.Ingress[0].IP
		if other, ok := shown[ip]; ok && other != s.Name {
			t.Fatalf("%s was given to %s and %s", ip, other, s.Name)
		}
		if was, ok := addresses[s.Name]; ok && was != ip {
			t.Fatalf("%s had %s and has %s", s.Name, was, ip)
		}
		shown[ip], addresses[s.Name] = s.Name, ip
		if len(shown) == n/4 {
			first.cut.Store(true)
		}
		if len(addresses) == n {
			break
		}
	}
	creators.Wait()
	if len(addresses) != n {
		t.Fatalf("%d of %d Services have an address: %v", len(addresses), n, a.ctx.Err())
	}
	if second.role.Load() == nil || second.role.Load().writer.Status().Written == 0 {
		t.Error("the second one gave nothing out: the first was not lost in time")
	}
	if first.lease.Left() > 0 {
		t.Error("the first one still takes itself for the leader")
	}

	first.cut.Store(false)
	a.eventually(func() string {
		if st := first.lease.Status(); st.Holder != "second" || first.role.Load() != nil {
			return fmt.Sprintf("first sees %+v", st)
		}
		return ""
	})
	a.create("last")
	a.eventually(func() string {
		if len(a.get("last").Status.LoadBalancer.Ingress) == 0 {
			return "the last Service has no address"
		}
		return ""
	})

	// Given back on its end, and taken without a wait for its expiry.
	second.stop()
	a.leads(first)
	lease, err := a.admin.CoordinationV1().Leases(namespace).Get(a.ctx, "pharos-controller", metav1.GetOptions{})
	if err != nil || *lease.Spec.HolderIdentity != "first" {
		t.Errorf("lease %+v, %v", lease.Spec, err)
	}
}

// While the API server is away, nothing is written; the term goes on afterwards,
// because nobody else had the Lease.
func TestLeaseOutlivesAnOutage(t *testing.T) {
	a := start(t)
	a.configure(pools("172.19.0.0/16"))
	r := a.replica("only")
	a.leads(r)
	a.create("before")
	a.hasAddress("before", "172.19.0.0")
	if err := a.c.Stop(cluster.APIServer); err != nil {
		t.Fatal(err)
	}
	a.eventually(func() string {
		if left := r.lease.Left(); left > 0 {
			return fmt.Sprintf("the lease is good for %s", left)
		}
		return ""
	})
	snap := r.role.Load().source.Snapshot()
	svc, _ := snap.Services.Get(pharos.Name{Namespace: "default", Name: "before"})
	var gone interface{ Unreachable() bool }
	if err := r.role.Load().writer.WriteStatus(a.ctx, svc, nil, ""); !errors.As(err, &gone) {
		t.Errorf("without the lease a write ends with %v", err)
	}
	if err := a.c.Start(a.ctx, cluster.APIServer); err != nil {
		t.Fatal(err)
	}
	a.create("after")
	a.hasAddress("after", "172.19.0.1")
	if n := r.terms.Load(); n != 1 {
		t.Errorf("%d terms, want one", n)
	}
}
