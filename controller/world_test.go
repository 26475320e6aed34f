package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// world stands in for the API server as the controller sees it: it accepts a
// write upon the newest version of a Service only, and shows it in a later
// Snapshot.
type world struct {
	t       *testing.T
	changed chan struct{}

	mu      sync.Mutex
	snap    *pharos.Snapshot
	refuse  func(*pharos.Service) error
	took    time.Duration // by each write
	deaf    bool          // writes are shown only by echo
	unseen  []*pharos.Service
	written []string // namespace/name addresses pool
	events  []string
	flying  int
	most    int // writes at a time
}

var errSuperseded = errors.New("superseded")

type gone struct{ error }

func (gone) Unreachable() bool { return true }

func newWorld(t *testing.T, config *pharos.Config, services ...*pharos.Service) *world {
	w := &world{t: t, changed: make(chan struct{}, 1), snap: &pharos.Snapshot{Synced: true, Config: config}}
	if config == nil {
		w.snap.Problem = why.New(why.ConfigMissing, "there is no ConfigMap")
	}
	for _, s := range services {
		w.snap.Services = w.snap.Services.With(s.Name, s)
	}
	return w
}

// edit changes the Snapshot.
func (w *world) edit(change func(next *pharos.Snapshot)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.editLocked(change)
}

func (w *world) editLocked(change func(next *pharos.Snapshot)) {
	next := *w.snap
	change(&next)
	next.Revision++
	w.snap = &next
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *world) put(services ...*pharos.Service) {
	w.edit(func(next *pharos.Snapshot) {
		for _, s := range services {
			next.Services = next.Services.With(s.Name, s)
		}
	})
}

func (w *world) drop(names ...string) {
	w.edit(func(next *pharos.Snapshot) {
		for _, n := range names {
			next.Services = next.Services.Without(id(n))
		}
	})
}

func (w *world) configure(c *pharos.Config) {
	w.edit(func(next *pharos.Snapshot) { next.Config, next.Problem = c, why.Reason{} })
}

// modify replaces a Service by an edited copy of its newest version.
func (w *world) modify(name string, edits ...func(*pharos.Service)) {
	w.edit(func(next *pharos.Snapshot) {
		s := *w.mustGet(next, name)
		for _, edit := range edits {
			edit(&s)
		}
		next.Services = next.Services.With(s.Name, &s)
	})
}

func (w *world) mustGet(snap *pharos.Snapshot, name string) *pharos.Service {
	s, ok := snap.Services.Get(id(name))
	if !ok {
		w.t.Fatalf("there is no Service %s", name)
	}
	return s
}

func (w *world) get(name string) *pharos.Service {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mustGet(w.snap, name)
}

// echo shows what was written while deaf.
func (w *world) echo() {
	w.mu.Lock()
	unseen := w.unseen
	w.unseen = nil
	w.mu.Unlock()
	w.put(unseen...)
}

func (w *world) Changed() <-chan struct{} { return w.changed }

func (w *world) Snapshot() *pharos.Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.snap
}

func (w *world) Problem() why.Reason { return why.Reason{} }

func (w *world) WriteStatus(_ context.Context, svc *pharos.Service, ingress []netip.Addr, pool string) error {
	w.mu.Lock()
	w.flying++
	w.most = max(w.most, w.flying)
	took := w.took
	w.mu.Unlock()
	if took > 0 {
		time.Sleep(took) // of the bubble's clock
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flying--
	if w.refuse != nil {
		if err := w.refuse(svc); err != nil {
			return err
		}
	}
	if now, ok := w.snap.Services.Get(svc.Name); !ok || now != svc {
		return errSuperseded
	}
	s := *svc
	s.Ingress, s.AllocatedFrom = ingress, pool
	w.written = append(w.written, strings.TrimSpace(fmt.Sprintf("%s %s %s", svc.Name, join(ingress), pool)))
	if w.deaf {
		w.unseen = append(w.unseen, &s)
	} else {
		w.editLocked(func(next *pharos.Snapshot) { next.Services = next.Services.With(s.Name, &s) })
	}
	return nil
}

func (w *world) Service(name pharos.Name, r why.Reason) { w.tell(name.String(), r) }

func (w *world) Config(r why.Reason) { w.tell("config", r) }

func (w *world) tell(object string, r why.Reason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, fmt.Sprintf("%s %s: %s", object, r.Code, r))
}

// start runs a Controller until the returned function is called.
func (w *world) start(o Options) (*Controller, func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	c := New(o, Edge{Source: w, Writer: w, Recorder: w})
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	return c, func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the controller ends with %v", err)
		}
	}
}

// expect waits until all is at rest, then compares writes and events since the
// last time, in any order.
func (w *world) expect(written, events []string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range [][]string{written, events, w.written, w.events} {
		slices.Sort(list)
	}
	if !slices.Equal(w.written, written) {
		w.t.Errorf("written:\n\t%s\nwant:\n\t%s", strings.Join(w.written, "\n\t"), strings.Join(written, "\n\t"))
	}
	if !slices.Equal(w.events, events) {
		w.t.Errorf("events:\n\t%s\nwant:\n\t%s", strings.Join(w.events, "\n\t"), strings.Join(events, "\n\t"))
	}
	w.written, w.events = nil, nil
}

func join(addrs []netip.Addr) string {
	var texts []string
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ",")
}

func id(name string) pharos.Name { return pharos.Name{Namespace: "default", Name: name} }

func config(ranges ...string) *pharos.Config {
	c := &pharos.Config{}
	for i, r := range ranges {
		c.Pools = append(c.Pools, pharos.Pool{Name: fmt.Sprintf("pool%d", i), Ranges: []pharos.Range{pharos.PrefixRange(netip.MustParsePrefix(r))}})
	}
	return c
}

func svc(name string, edits ...func(*pharos.Service)) *pharos.Service {
	s := &pharos.Service{
		Name: id(name), UID: "uid of " + name, Type: pharos.LoadBalancer, ClusterIPs: []netip.Addr{netip.MustParseAddr("10.233.0.9")},
		Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80}},
	}
	for _, edit := range edits {
		edit(s)
	}
	return s
}

func has(pool string, addrs ...string) func(*pharos.Service) {
	return func(s *pharos.Service) {
		s.Ingress, s.AllocatedFrom = nil, pool
		for _, a := range addrs {
			s.Ingress = append(s.Ingress, netip.MustParseAddr(a))
		}
	}
}
