package kubelet

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/pharoslb/pharos/internal/linux/container"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// Config is one kubelet's. Machine, Client and Dir are required.
type Config struct {
	// Machine is the node.
	Machine Machine
	// Client reaches the API server as system:node:NAME. Its dialer is
	// replaced by one inside the machine, so that a node whose link is cut
	// is silent.
	Client *rest.Config
	// Serving and ClientCA let the API server fetch logs (kubectl logs) over
	// TLS, with a client certificate of that authority; nil serves nothing.
	Serving  *tls.Certificate
	ClientCA *x509.CertPool
	// Port is the port of that endpoint on the node's first address; 0 is
	// 10250.
	Port uint16
	// ServiceAddr is where pods find the API server unless their own
	// environment says otherwise; unset is 10.233.0.1:443.
	ServiceAddr netip.AddrPort
	// Images maps an image, without its tag, to the host program it stands
	// for. The program is seen in the container as /NAME.
	Images map[string]string
	// Dir holds pods' volumes, logs and the node's own /run, /var and /tmp
	// (below pods and host). It is the node's alone, and readable by its
	// owner alone.
	Dir string
	// Labels are added to the Node's own.
	Labels map[string]string
	// LeaseInterval is how often the lease is renewed; 0 is 1 s, which suits
	// a controller manager that declares a node lost after 5 s.
	LeaseInterval time.Duration
	// RefreshInterval is how often the ConfigMaps, Secrets and tokens that
	// pods have mounted are looked at for changes; 0 is 1 min. Each look costs
	// a request per object.
	RefreshInterval time.Duration
	// Log is nil to discard.
	Log *slog.Logger
}

// Kubelet runs one node's pods. Its methods may be called from any goroutine.
type Kubelet struct {
	cfg    Config
	log    *slog.Logger
	wakeup chan struct{} // told that wanted changed

	mu     sync.Mutex
	wanted bool          // power
	on     bool          // something of the node may run
	off    chan struct{} // closed when on becomes false
	boot   *boot         // nil unless on
}

// New checks the configuration and starts nothing.
func New(cfg Config) (*Kubelet, error) {
	switch {
	case cfg.Machine == nil:
		return nil, errors.New("kubelet: no machine given")
	case cfg.Client == nil:
		return nil, errors.New("kubelet: no way to the API server given")
	case cfg.Dir == "":
		return nil, errors.New("kubelet: no directory given")
	case (cfg.Serving == nil) != (cfg.ClientCA == nil):
		return nil, errors.New("kubelet: Serving and ClientCA go together")
	}
	if err := container.Check(); err != nil {
		return nil, fmt.Errorf("kubelet: %w", err)
	}
	var err error
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("kubelet: directory: %w", err)
	}
	// A symlink in the way would end in the container's tree, not the machine's.
	if dir, err := filepath.EvalSymlinks(cfg.Dir); err == nil {
		cfg.Dir = dir
	}
	if !cfg.ServiceAddr.IsValid() {
		cfg.ServiceAddr = netip.MustParseAddrPort("10.233.0.1:443")
	}
	cfg.Port = cmp.Or(cfg.Port, 10250)
	cfg.LeaseInterval = cmp.Or(cfg.LeaseInterval, time.Second)
	cfg.RefreshInterval = cmp.Or(cfg.RefreshInterval, time.Minute)
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Kubelet{
		cfg: cfg, log: log.With("node", cfg.Machine.Name()), wanted: true, wakeup: make(chan struct{}, 1),
	}, nil
}

// Run plays the kubelet, powered on unless PowerOff was called before, until ctx
// ends; then it kills the node's processes as PowerOff does, and returns nil. An
// error is one of configuration.
func (k *Kubelet) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if k.begin() {
			err := k.run(ctx)
			k.end()
			if err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-k.wakeup:
		}
	}
	return nil
}

// begin tells whether the node is to run, and if so counts it as on.
func (k *Kubelet) begin() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.wanted {
		k.on, k.off = true, make(chan struct{})
	}
	return k.wanted
}

func (k *Kubelet) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.on, k.boot = false, nil
	close(k.off)
}

// run runs the node until the power goes.
func (k *Kubelet) run(ctx context.Context) error {
	b, err := newBoot(k.cfg, k.log)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.boot = b
	k.mu.Unlock()
	ctx, cut := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { b.run(ctx) })
	for wanted := true; wanted; {
		select {
		case <-ctx.Done():
			wanted = false
		case <-k.wakeup:
			k.mu.Lock()
			wanted = k.wanted
			k.mu.Unlock()
		}
	}
	cut()
	running.Wait()
	return nil
}

// PowerOff kills every process of the node at once, without a word to the API
// server, and returns when none is left and every pod's network is closed. Cut
// the node's link before, or the kernel says goodbye for the dead processes
// (FIN, RST). The machine's namespace may be replaced until PowerOn.
func (k *Kubelet) PowerOff() {
	k.power(false)
	k.mu.Lock()
	on, off := k.on, k.off
	k.mu.Unlock()
	if on {
		<-off
	}
}

// PowerOn starts the node again: it finds its pods in the API and restarts
// their containers in new sandboxes. It returns at once.
func (k *Kubelet) PowerOn() { k.power(true) }

func (k *Kubelet) power(on bool) {
	k.mu.Lock()
	k.wanted = on
	k.mu.Unlock()
	select {
	case k.wakeup <- struct{}{}:
	default: // it is told already, and will see the latest
	}
}

// PodStatus is what the kubelet itself knows of a pod.
type PodStatus struct {
	Namespace, Name, UID string
	HostNetwork          bool
	NS                   *netns.NS // nil before there is one; valid while the pod is
	Addrs                []netip.Addr
	Containers           []ContainerStatus // init containers first
}

// ContainerStatus is what the kubelet itself knows of a container.
type ContainerStatus struct {
	Name        string
	PID         int // of its first process as the caller sees it; 0 if it has none
	Running     bool
	Ready       bool
	Restarts    int
	Log         string // file of the current or last run
	PreviousLog string // file of the run before, if there was one
}

// Status is a copy of the kubelet's state.
type Status struct {
	Node    string
	Powered bool
	Pods    []PodStatus // by namespace and name
}

// Status returns the current state.
func (k *Kubelet) Status() Status {
	s := Status{Node: k.cfg.Machine.Name()}
	k.mu.Lock()
	b := k.boot
	k.mu.Unlock()
	if b == nil {
		return s
	}
	s.Powered = true
	for _, w := range b.all() {
		w.mu.Lock()
		public := w.public
		w.mu.Unlock()
		if public.Name != "" {
			s.Pods = append(s.Pods, public)
		}
	}
	slices.SortFunc(s.Pods, func(a, b PodStatus) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return s
}

// HostPath is where a path of the node, such as a hostPath volume's, lies on
// the machine that runs the lab: below Config.Dir for /run, /var and /tmp,
// which each node has for itself, and for what the machine lacks; the same path
// for all else.
func (k *Kubelet) HostPath(path string) string { return hostPath(k.cfg.Dir, path) }

// Init turns the program into a container if it was started as one's first
// step: it then does not return. Every program that runs a Kubelet calls it
// first thing in main or TestMain, before package sandbox; New refuses to work
// in one that did not.
func Init() { container.Init() }
