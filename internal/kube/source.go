package kube

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
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
	Config // the one ConfigMap of Options.ConfigMap
)

// String returns the API's name of one kind.
func (k Kind) String() string {
	switch k {
	case Services:
		return "services"
	case Endpoints:
		return "endpointslices"
	case Nodes:
		return "nodes"
	case Namespaces:
		return "namespaces"
	case Config:
		return "configmaps"
	}
	return "unknown"
}

// Options say what a Source watches.
type Options struct {
	Client *Client
	Kinds  Kind // whichever the role wants, or'ed together

	// ConfigMap is the legacy configuration's object, read at its key
	// ConfigKey; Parse reads that text, and its error tells the operator what is
	// wrong. They are needed only with the kind Config.
	ConfigMap pharos.Name
	Parse     func(text []byte) (*pharos.Config, error)

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
	config   configRef
	updates  uint64
	errors   uint64
}

type kindState struct {
	kind   Kind
	client rest.Interface
	object runtime.Object
	store  kindStore
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
	for _, k := range []*kindState{
		{kind: Services, client: o.Client.core, object: &corev1.Service{}, store: serviceStore{s}},
		{kind: Endpoints, client: o.Client.discovery, object: &discoveryv1.EndpointSlice{}, store: sliceStore{s}},
		{kind: Nodes, client: o.Client.core, object: &corev1.Node{}, store: nodeStore{s}},
		{kind: Namespaces, client: o.Client.core, object: &corev1.Namespace{}, store: namespaceStore{s}},
		{kind: Config, client: o.Client.core, object: &corev1.ConfigMap{}, store: configStore{s}},
	} {
		if o.Kinds&k.kind != 0 {
			k.status = KindStatus{Kind: k.kind.String(), Since: time.Now()}
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
			cache.NewReflectorWithOptions(s.listWatch(k), k.object, &reflected{s, k}, cache.ReflectorOptions{
				Name:    k.kind.String(),
				Backoff: &wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.5, Cap: time.Second, Steps: 20},
			}).RunWithContext(ctx)
		})
	}
	all.Wait()
	return nil
}

// Changed receives when there is a newer Snapshot. It coalesces: several changes
// may be one receive.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// Snapshot returns the newest Snapshot; it is never nil.
func (s *Source) Snapshot() *pharos.Snapshot { return s.newest.Load() }

// listWatch lists and watches one kind, and keeps its status.
func (s *Source) listWatch(k *kindState) *cache.ListWatch {
	request := func(options *metav1.ListOptions) *rest.Request {
		r := k.client.Get().Resource(k.kind.String())
		if k.kind == Config {
			r = r.Namespace(s.opts.ConfigMap.Namespace)
			options.FieldSelector = "metadata.name=" + s.opts.ConfigMap.Name
		}
		return r
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			if options.ResourceVersion == "0" {
				// Any version would do, says the Reflector. It would not: an old
				// one lacks addresses that were given out since.
				options.ResourceVersion = ""
			}
			ctx, cancel := context.WithTimeout(ctx, 4*requestTimeout)
			defer cancel()
			list, err := request(&options).VersionedParams(&options, s.opts.Client.params).Do(ctx).Get()
			s.connected(k, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.Watch = true
			w, err := request(&options).VersionedParams(&options, s.opts.Client.params).Watch(ctx)
			s.connected(k, err)
			return w, err
		},
	}
}

// connected notes how a list or a watch began.
func (s *Source) connected(k *kindState, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := k.status.Error
	k.status.Watching, k.status.Error = err == nil, ""
	if err != nil {
		s.errors++
		k.status.Error = err.Error()
	}
	if (was == "") == (err == nil) && k.status.begun {
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

// synced notes that a kind was listed in full, and reports whether all are now.
// The lock is held.
func (s *Source) synced(k *kindState) bool {
	k.synced = true
	for _, k := range s.kinds {
		if !k.synced {
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
