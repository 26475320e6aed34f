package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"os/exec"
	"time"

	"k8s.io/client-go/rest"
)

// Cluster is a running control plane. Its methods may be called from any
// goroutine.
type Cluster struct {
	opts Options
}

// Start starts the components, waits until each is ready, and returns. When
// ctx ends early, or a component ends before it is ready, everything is stopped
// again and the error carries that component's last log lines. The cluster then
// runs until Close, whatever becomes of ctx.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	return nil, errors.New("cluster: incomplete")
}

// Close stops all components, and returns when none is left. The directory
// stays.
func (c *Cluster) Close() {}

// Stop ends one component, and those that can't live without it: the API
// server takes controller manager and scheduler along, which would lose their
// leader election and end.
func (c *Cluster) Stop(component Component) error { return nil }

// Start starts a stopped component, and those that Stop took along, and returns
// when they are ready.
func (c *Cluster) Start(ctx context.Context, component Component) error { return nil }

// Failed receives a Failure for each component that ends by itself.
func (c *Cluster) Failed() <-chan Failure { return nil }

// Failure tells of a component that ended without Stop.
type Failure struct {
	Component Component
	Err       error  // how it ended
	LogTail   string // its last log lines
}

// Status describes one component.
type Status struct {
	Component Component
	PID       int // 0: not running
	Since     time.Time
	Log       string // file
}

// Status returns the state of each component, in starting order.
func (c *Cluster) Status() []Status { return nil }

// Config returns the administrator's way in (group system:masters), dialled
// from inside Options.NS. Client-side rate limits are off. The caller may
// change it.
func (c *Cluster) Config() *rest.Config { return nil }

// Kubeconfig is the administrator's kubeconfig file; its server address means
// something inside Options.NS.
func (c *Cluster) Kubeconfig() string { return "" }

// Kubectl prepares kubectl as administrator. With Options.NS, start it with
// NS.Start.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) *exec.Cmd { return nil }

// Addr is the API server's address and port.
func (c *Cluster) Addr() netip.AddrPort { return netip.AddrPort{} }

// ServiceAddr is the cluster IP and port of the service "kubernetes".
func (c *Cluster) ServiceAddr() netip.AddrPort { return netip.AddrPort{} }

// AuditLog is the file of audit events; empty without an audit policy.
func (c *Cluster) AuditLog() string { return "" }

// NodeCredentials are one node's.
type NodeCredentials struct {
	Config   *rest.Config    // as system:node:NAME, group system:nodes; no dialer of its own
	Serving  tls.Certificate // for the node's name and addresses
	ClientCA *x509.CertPool  // verifies the API server as a client
}

// Node issues a node's credentials.
func (c *Cluster) Node(name string, addrs ...netip.Addr) (NodeCredentials, error) {
	return NodeCredentials{}, errors.New("cluster: incomplete")
}
