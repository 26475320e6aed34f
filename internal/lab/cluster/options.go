package cluster

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// Version is the Kubernetes version of the control plane.
const Version = "v1.37.2"

// Component names one process of the control plane by its upstream name.
type Component string

// The components, in the order in which they start.
const (
	Etcd              Component = "etcd"
	APIServer         Component = "kube-apiserver"
	ControllerManager Component = "kube-controller-manager"
	Scheduler         Component = "kube-scheduler"
)

// order is the order of starting; stopping goes the other way.
var order = []Component{Etcd, APIServer, ControllerManager, Scheduler}

// dependency is what a component can't start without.
var dependency = map[Component]Component{APIServer: Etcd, ControllerManager: APIServer, Scheduler: APIServer}

// Options says what to start and where. Only Dir is required.
type Options struct {
	// Dir is the directory of keys, configuration, data and logs. It is made
	// if missing; two running clusters never share one. It holds private keys
	// and is readable by its owner alone.
	Dir string
	// Binary is the file of pharos-controlplane; empty looks for it as Binary
	// (the function) does.
	Binary string
	// NS is the namespace that the components run in, with loopback up and
	// Addr on a device; ports are then the usual ones. Nil runs them in the
	// program's own namespace on loopback, on free ports.
	NS *netns.NS
	// Addr is the API server's address with NS, advertised as the endpoint of
	// the service "kubernetes". Without NS it is ignored: 127.0.0.1.
	Addr netip.Addr
	// Port is the API server's port; 0 is 6443 with NS, a free one without.
	Port uint16
	// ServiceCIDR holds the cluster IPs; unset is 10.233.0.0/18. Its first
	// address is the service "kubernetes".
	ServiceCIDR netip.Prefix
	// ServiceCIDR6, if set, holds the cluster IPs of Services that ask for IPv6 too.
	ServiceCIDR6 netip.Prefix
	// Components are the ones to start; nil is all. The API server implies
	// etcd, the others the API server.
	Components []Component
	// AuditPolicy, if not empty, is an audit.k8s.io/v1 Policy; the events go
	// to Cluster.AuditLog, one JSON object a line.
	AuditPolicy []byte
	// Progress, if set, hears of each phase as it begins and of what it waits
	// for. It is called from one goroutine at a time.
	Progress func(phase, detail string)
	// Log hears of components that end by themselves; nil discards.
	Log *slog.Logger
}

// complete fills in the defaults.
func (o Options) complete() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("cluster: no directory given")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fmt.Errorf("cluster: directory: %w", err)
	}
	o.Dir = dir
	if o.Binary == "" {
		if o.Binary, err = Binary(); err != nil {
			return o, err
		}
	}
	if o.NS == nil {
		o.Addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	} else if !o.Addr.IsValid() {
		return o, errors.New("cluster: a namespace is given, but no address for the API server in it")
	}
	if o.NS != nil && o.Port == 0 {
		o.Port = 6443
	}
	if !o.ServiceCIDR.IsValid() {
		o.ServiceCIDR = netip.MustParsePrefix("10.233.0.0/18")
	}
	o.ServiceCIDR = o.ServiceCIDR.Masked()
	if o.Components, err = closure(o.Components); err != nil {
		return o, err
	}
	if o.Progress == nil {
		o.Progress = func(string, string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return o, nil
}

// closure orders the wanted components, and adds those they depend on.
func closure(wanted []Component) ([]Component, error) {
	if wanted == nil {
		return order, nil
	}
	for _, c := range wanted {
		if !slices.Contains(order, c) {
			return nil, fmt.Errorf("cluster: no component %q", c)
		}
	}
	needed := map[Component]bool{}
	for _, c := range wanted {
		for ; c != ""; c = dependency[c] {
			needed[c] = true
		}
	}
	var all []Component
	for _, c := range order {
		if needed[c] {
			all = append(all, c)
		}
	}
	return all, nil
}
