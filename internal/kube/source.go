package kube

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// Kind names kinds of objects, one bit each.
type Kind uint8

// The kinds that a Source can watch.
const (
	Services Kind = 1 << iota
	Endpoints
	Nodes
	Namespaces

	// Config is all that configures: the one ConfigMap of Options.ConfigMap, the
	// objects of group metallb.io in its namespace, and the Secrets that these
	// name.
	Config
)

// Options say what a Source watches.
type Options struct {
	Client *Client
	Kinds  Kind // whichever the role wants, or'ed together

	// ConfigMap is the legacy configuration's object, read at its key
	// ConfigKey; Parse reads that text, and its error tells the operator what is
	// wrong. They are needed only with the kind Config.
	ConfigMap pharos.Name
	Parse     func(text []byte) (*pharos.Config, error)

	// Passwords has the Secrets read that peers name. Without it, which is for
	// whoever opens no session, they are taken for what they should be.
	Passwords bool

	// Extras has the ConfigMap bgpextras looked at, in order to refuse it.
	Extras bool

	Log *slog.Logger // nil discards
}

// ConfigKey is the key of a ConfigMap under which the configuration stands.
const ConfigKey = "config"

// Source keeps a Snapshot of what the API server holds. Its methods may be
// called from any goroutine.
type Source struct {
	opts    Options
	log     *slog.Logger
	changed chan struct{}
	newest  atomic.Pointer[pharos.Snapshot]

	mu       sync.Mutex // held by whoever publishes a Snapshot
	kinds    []*kindState
	services map[pharos.Name]serviceRef
	stirred  time.Time                         // when a Service last changed
	slices   map[pharos.Name]map[string]*slice // Service → slice's name → slice
	owners   map[pharos.Name]pharos.Name       // slice → Service
	nodeUIDs map[string]string
	config   configuration
	updates  uint64
	errors   uint64
}

// kindState is the watch of one kind of objects.
type kindState struct {
	of        Kind
	gvr       schema.GroupVersionResource
	client    rest.Interface // nil: the client of all kinds
	namespace string         // empty: all
	name      string         // of the one object; empty: all
	object    runtime.Object
	store     kindStore

	appeared chan struct{} // capacity 1: the API server knows it now; nil: it has to be there
	stop     func()        // ends its Reflector

	synced bool
	status KindStatus
}

// NewSource makes a Source. It watches from Run on.
func NewSource(o Options) *Source {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := &Source{
		opts:     o,
		log:      o.Log,
		changed:  make(chan struct{}, 1),
		services: map[pharos.Name]serviceRef{},
		slices:   map[pharos.Name]map[string]*slice{},
		owners:   map[pharos.Name]pharos.Name{},
		nodeUIDs: map[string]string{},
	}
	s.newest.Store(&pharos.Snapshot{})
	s.config.init()
	core, slices := corev1.SchemeGroupVersion.WithResource, discoveryv1.SchemeGroupVersion.WithResource
	kinds := []*kindState{
		{of: Services, gvr: core("services"), client: o.Client.core, object: &corev1.Service{}, store: serviceStore{s}},
		{of: Endpoints, gvr: slices("endpointslices"), client: o.Client.discovery, object: &discoveryv1.EndpointSlice{}, store: sliceStore{s}},
		{of: Nodes, gvr: core("nodes"), client: o.Client.core, object: &corev1.Node{}, store: nodeStore{s}},
		{of: Namespaces, gvr: core("namespaces"), client: o.Client.core, object: &corev1.Namespace{}, store: namespaceStore{s}},
		{of: Config, gvr: core("configmaps"), client: o.Client.core, object: &corev1.ConfigMap{}, store: configStore{s},
			namespace: o.ConfigMap.Namespace, name: o.ConfigMap.Name},
	}
	if o.Extras {
		kinds = append(kinds, &kindState{of: Config, gvr: core("configmaps"), client: o.Client.core, object: &corev1.ConfigMap{}, store: extrasStore{s},
			namespace: o.ConfigMap.Namespace, name: extrasName})
	}
	for _, r := range resources {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(r.gvr.GroupVersion().WithKind(r.kind))
		kinds = append(kinds, &kindState{of: Config, gvr: r.gvr, object: object, store: resourceStore{s, r}, namespace: o.ConfigMap.Namespace, appeared: make(chan struct{}, 1)})
	}
	for _, k := range kinds {
		if o.Kinds&k.of != 0 {
			k.status = KindStatus{Kind: k.gvr.Resource, Since: time.Now()}
			s.kinds = append(s.kinds, k)
		}
	}
	return s
}

// Run watches until ctx ends; it returns nil then. While the API server is gone
// it tries again at least every two seconds.
func (s *Source) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, klog.New(&sink{log: s.log}))
	var all sync.WaitGroup
	for _, k := range s.kinds {
		all.Go(func() {
			if k.appeared != nil {
				s.follow(ctx, k)
			} else {
				s.reflector(k).RunWithContext(ctx)
			}
		})
	}
	if s.opts.Kinds&Config != 0 {
		all.Go(func() { s.keepConfig(ctx) })
		all.Go(func() { s.lookForKinds(ctx) })
	}
	all.Wait()
	return nil
}

func (s *Source) reflector(k *kindState) *cache.Reflector {
	return cache.NewReflectorWithOptions(s.listWatch(k), k.object, &reflected{s, k}, cache.ReflectorOptions{
		Name:    k.gvr.Resource,
		Backoff: &wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.5, Cap: time.Second, Steps: 20},
	})
}

// Changed receives when there is a newer Snapshot. It coalesces: several changes
// may be one receive.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// Snapshot returns the newest Snapshot; it is never nil.
func (s *Source) Snapshot() *pharos.Snapshot { return s.newest.Load() }

// listWatch lists and watches one kind, and keeps its status.
func (s *Source) listWatch(k *kindState) *cache.ListWatch {
	one := func(options *metav1.ListOptions) {
		if k.name != "" {
			options.FieldSelector = "metadata.name=" + k.name
		}
	}
	request := func(options *metav1.ListOptions) *rest.Request {
		return k.client.Get().NamespaceIfScoped(k.namespace, k.namespace != "").Resource(k.gvr.Resource).VersionedParams(options, s.opts.Client.params)
	}
	objects := s.opts.Client.dynamic.Resource(k.gvr).Namespace(k.namespace)
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (list runtime.Object, err error) {
			if options.ResourceVersion == "0" {
				// Any version would do, says the Reflector. It would not: an old
				// one lacks addresses that were given out since.
				options.ResourceVersion = ""
			}
			one(&options)
			ctx, cancel := context.WithTimeout(ctx, 4*requestTimeout)
			defer cancel()
			if k.client == nil {
				list, err = objects.List(ctx, options)
			} else {
				list, err = request(&options).Do(ctx).Get()
			}
			s.connected(k, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (w watch.Interface, err error) {
			options.Watch = true
			one(&options)
			if k.client == nil {
				w, err = objects.Watch(ctx, options)
			} else {
				w, err = request(&options).Watch(ctx)
			}
			s.connected(k, err)
			return w, err
		},
	}
}

// connected notes how a list or a watch began.
func (s *Source) connected(k *kindState, err error) {
	if s.absent(k, err) || errors.Is(err, context.Canceled) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	same := k.status.begun && !k.status.Absent && (k.status.Error == "") == (err == nil)
	k.status.Watching, k.status.Absent, k.status.Error = err == nil, false, ""
	if err != nil {
		s.errors++
		k.status.Error = err.Error()
	}
	if same {
		return
	}
	k.status.Since, k.status.begun = time.Now(), true
	if err != nil {
		s.log.Warn("API server does not serve", "kind", k.status.Kind, "error", err)
	} else {
		s.log.Info("watching", "kind", k.status.Kind)
	}
}

// apply changes the Snapshot under the lock and, if anything in it did change,
// publishes it.
func (s *Source) apply(change func(next *pharos.Snapshot) bool) {
	s.mu.Lock()
	next := *s.newest.Load()
	services := next.Services
	changed := change(&next)
	if next.Services != services {
		s.stirred = time.Now()
	}
	if changed {
		next.Revision++
		s.newest.Store(&next)
	}
	s.mu.Unlock()
	if changed {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

// synced reports whether all kinds have been listed in full, and whether the
// configuration has been made of them. The lock is held.
func (s *Source) synced() bool {
	return s.listed(^Kind(0)) && (s.opts.Kinds&Config == 0 || s.config.made)
}

// listed reports whether all of these kinds have been listed in full. The lock is
// held.
func (s *Source) listed(kinds Kind) bool {
	for _, k := range s.kinds {
		if k.of&kinds != 0 && !k.synced {
			return false
		}
	}
	return true
}

// Status describes what a Source sees of the API server.
type Status struct {
	Revision uint64       `json:"revision"`
	Synced   bool         `json:"synced"`
	Problem  why.Reason   `json:"problem,omitzero"` // why.APIUnreachable while a kind is not watched
	Kinds    []KindStatus `json:"kinds"`
	Updates  uint64       `json:"updates"` // objects received
	Errors   uint64       `json:"errors"`  // lists and watches that failed, objects that could not be read
}

// KindStatus describes the watch of one kind.
type KindStatus struct {
	Kind     string    `json:"kind"`
	Absent   bool      `json:"absent,omitempty"` // the API server does not know the kind
	Objects  int       `json:"objects"`
	Watching bool      `json:"watching"`
	Since    time.Time `json:"since"` // the last change of Watching
	Error    string    `json:"error,omitempty"`

	begun bool
}

// Status returns the present state.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := s.newest.Load()
	st := Status{Revision: snapshot.Revision, Synced: snapshot.Synced, Problem: s.problem(), Updates: s.updates, Errors: s.errors}
	for _, k := range s.kinds {
		k.status.Objects = k.store.len()
		st.Kinds = append(st.Kinds, k.status)
	}
	return st
}

// Problem says that some kind is not watched now, and why; it is zero while all
// are.
func (s *Source) Problem() why.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem()
}

func (s *Source) problem() why.Reason {
	for _, k := range s.kinds {
		if k.status.Error != "" {
			return why.New(why.APIUnreachable, "%s: %s", k.status.Kind, k.status.Error)
		}
	}
	return why.Reason{}
}
