package tenant

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// Addresses mirrors which Services have an address, by a watch of its own. Its
// methods may be called from any goroutine.
type Addresses struct {
	mu      sync.Mutex
	of      map[string]Assigned
	changed chan struct{} // closed and replaced at each change
	failed  error
}

// Assigned is a Service's address, and when it was seen.
type Assigned struct {
	Addr netip.Addr
	At   time.Time
}

func watchAddresses(ctx context.Context, client *kubernetes.Clientset) (*Addresses, error) {
	a := &Addresses{of: map[string]Assigned{}, changed: make(chan struct{})}
	services := client.CoreV1().Services(namespace)
	list, err := services.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		a.apply(watch.Added, &list.Items[i])
	}
	version := list.ResourceVersion
	go func() {
		for ctx.Err() == nil {
			w, err := services.Watch(ctx, metav1.ListOptions{ResourceVersion: version})
			if err != nil {
				if ctx.Err() == nil {
					a.fail(err)
				}
				return
			}
			for e := range w.ResultChan() {
				svc, ok := e.Object.(*corev1.Service)
				if !ok {
					a.fail(fmt.Errorf("the watch said %v", e.Object))
					return
				}
				version = svc.ResourceVersion
				a.apply(e.Type, svc)
			}
		}
	}()
	return a, nil
}

func (a *Addresses) apply(t watch.EventType, svc *corev1.Service) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	_, had := a.of[svc.Name]
	if t == watch.Deleted {
		delete(a.of, svc.Name)
	} else if ingress := svc.Status.LoadBalancer.Ingress; len(ingress) > 0 && !had {
		addr, _ := netip.ParseAddr(ingress[0].IP)
		a.of[svc.Name] = Assigned{addr, now}
	}
	a.wake()
}

func (a *Addresses) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = err
	a.wake()
}

func (a *Addresses) wake() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// until returns when enough says so of the mirror.
func (a *Addresses) until(ctx context.Context, what string, enough func() bool) error {
	for {
		a.mu.Lock()
		ok, changed, failed, n := enough(), a.changed, a.failed, len(a.of)
		a.mu.Unlock()
		switch {
		case ok:
			return nil
		case failed != nil:
			return fmt.Errorf("%s: watch Services: %w", what, failed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w with %d Services that have an address", what, ctx.Err(), n)
		}
	}
}

// Wait returns a Service's address and when it was seen.
func (a *Addresses) Wait(ctx context.Context, name string) (Assigned, error) {
	var got Assigned
	err := a.until(ctx, "address of "+name, func() bool {
		var ok bool
		got, ok = a.of[name]
		return ok
	})
	return got, err
}

// WaitCount returns when just n Services have an address.
func (a *Addresses) WaitCount(ctx context.Context, n int) error {
	return a.until(ctx, fmt.Sprintf("%d addresses", n), func() bool { return len(a.of) == n })
}

// Names returns the Services that have an address, in no particular order.
func (a *Addresses) Names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.of))
}
