package kubelet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"k8s.io/client-go/rest"

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
	// Port is the port of that endpoint on the node's address; 0 is 10250.
	Port uint16
	// ServiceAddr is where pods find the API server unless their own
	// environment says otherwise; unset is 10.233.0.1:443.
	ServiceAddr netip.AddrPort
	// Images maps an image, without its tag, to the host program it stands
	// for. The program is seen in the container as /NAME.
	Images map[string]string
	// Dir holds pods' volumes, logs and the node's own /run, /var and /tmp.
	// It is the node's alone, and readable by its owner alone.
	Dir string
	// Labels are added to the Node's own.
	Labels map[string]string
	// LeaseInterval is how often the lease is renewed; 0 is 1 s, which suits
	// a controller manager that declares a node lost after 5 s.
	LeaseInterval time.Duration
	// Log is nil to discard.
	Log *slog.Logger
}

// Kubelet runs one node's pods. Its methods may be called from any goroutine.
type Kubelet struct {
	cfg Config
}

// New checks the configuration and starts nothing.
func New(cfg Config) (*Kubelet, error) {
	return nil, errors.New("kubelet: incomplete")
}

// Run plays the kubelet, powered on, until ctx ends; then it kills the node's
// processes as PowerOff does, and returns nil.
func (k *Kubelet) Run(ctx context.Context) error { return nil }

// PowerOff kills every process of the node at once, without a word to the API
// server, and returns when none is left and every pod's network is closed. Cut
// the node's link before, or the kernel says goodbye for the dead processes
// (FIN, RST). The machine's namespace may be replaced until PowerOn.
func (k *Kubelet) PowerOff() {}

// PowerOn starts the node again: it finds its pods in the API and restarts
// their containers in new sandboxes. It returns at once.
func (k *Kubelet) PowerOn() {}

// PodStatus is what the kubelet itself knows of a pod.
type PodStatus struct {
	Namespace, Name, UID string
	HostNetwork          bool
	NS                   *netns.NS // nil before there is one
	Addrs                []netip.Addr
	Containers           []ContainerStatus
}

// ContainerStatus is what the kubelet itself knows of a container.
type ContainerStatus struct {
	Name     string
	PID      int // of its first process as the caller sees it; 0 if it has none
	Ready    bool
	Restarts int
	Log      string // the current run's file
}

// Status is a copy of the kubelet's state.
type Status struct {
	Node    string
	Powered bool
	Pods    []PodStatus
}

// Status returns the current state.
func (k *Kubelet) Status() Status { return Status{} }

// Logs opens the output of a container's current run, or of the one before. An
// empty container name means the pod's only one.
func (k *Kubelet) Logs(namespace, pod, container string, previous bool) (io.ReadCloser, error) {
	return nil, errors.New("kubelet: incomplete")
}

// Init turns the program into a container if it was started as one's first
// step: it then does not return. Every program that runs a Kubelet calls it
// first thing in main or TestMain, before package sandbox.
func Init() {}
