package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// patience is how long Stop waits after SIGTERM: the API server closes its
// watches and drains requests in far less.
const patience = 5 * time.Second

// Cluster is a running control plane. Its methods may be called from any
// goroutine.
type Cluster struct {
	opts   Options
	layout layout
	ca     *authority
	admin  keyPair
	plain  *http.Client // etcd's
	http   *http.Client // as administrator
	failed chan Failure

	change  sync.Mutex // held while components are started or stopped
	mu      sync.Mutex // guards running
	running map[Component]*process
	watches sync.WaitGroup
}

// Failure tells of a component that ended without Stop.
type Failure struct {
	Component Component
	Err       error  // how it ended
	LogTail   string // its last log lines
}

// Status describes one component.
type Status struct {
	Component Component
	PID       int       // 0: not running
	Since     time.Time // when it was started; zero if not running
	Log       string    // file
}

// Start starts the components, waits until each is ready, and returns. When
// ctx ends early, or a component ends before it is ready, everything is stopped
// again; in the latter case the error is a Failure. What Dir held of an earlier
// cluster is removed. The cluster then runs until Close, whatever becomes of
// ctx.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	// A free port may be taken by somebody else before it is ours.
	for attempt := 1; ; attempt++ {
		c, err := start(ctx, o)
		if err == nil {
			return c, nil
		}
		var f Failure
		taken := errors.As(err, &f) && strings.Contains(f.LogTail, "address already in use")
		if o.NS != nil || !taken || attempt == 3 {
			return nil, fmt.Errorf("cluster: %w", err)
		}
	}
}

func start(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{opts: o, running: map[Component]*process{}, failed: make(chan Failure, 16)}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	if err := c.startAll(ctx, o.Components); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// prepare clears the directory and makes what the components read.
func (c *Cluster) prepare() error {
	c.opts.Progress("keys", "certificates and kubeconfigs in "+c.opts.Dir)
	c.layout = layout{
		dir: c.opts.Dir, serviceCIDR: c.opts.ServiceCIDR, serviceCIDR6: c.opts.ServiceCIDR6, loopback: c.opts.NS == nil,
		etcdClient: 2379, etcdPeer: 2380, audit: len(c.opts.AuditPolicy) > 0,
	}
	port := c.opts.Port
	if c.opts.NS == nil {
		ports, err := freePorts(3)
		if err != nil {
			return err
		}
		c.layout.etcdClient, c.layout.etcdPeer = ports[0], ports[1]
		if port == 0 {
			port = ports[2]
		}
	}
	c.layout.apiAddr = netip.AddrPortFrom(c.opts.Addr, port)
	for _, part := range []string{"etcd", "log", "pki", "etc"} {
		if err := os.RemoveAll(filepath.Join(c.opts.Dir, part)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(c.opts.Dir, "log"), 0o700); err != nil {
		return err
	}
	var err error
	if c.ca, err = newAuthority(time.Now()); err != nil {
		return fmt.Errorf("make the authority: %w", err)
	}
	if c.admin, err = c.ca.client("pharos-lab-admin", "system:masters"); err != nil {
		return fmt.Errorf("make the administrator's certificate: %w", err)
	}
	if err := c.writeFiles(); err != nil {
		return err
	}
	return c.clients()
}

// startAll starts components in order, each as soon as the one it depends on is
// ready, and waits for all.
func (c *Cluster) startAll(ctx context.Context, components []Component) error {
	c.change.Lock()
	defer c.change.Unlock()
	var waiting []*process
	awaitAll := func() error {
		for _, p := range waiting {
			if err := c.await(ctx, p); err != nil {
				return err
			}
			c.opts.Progress(string(p.component), fmt.Sprintf("ready after %.1f s", time.Since(p.since).Seconds()))
		}
		waiting = nil
		return nil
	}
	for _, component := range components {
		if slices.ContainsFunc(waiting, func(p *process) bool { return p.component == dependency[component] }) {
			if err := awaitAll(); err != nil {
				return err
			}
		}
		p, err := c.startOne(component)
		if err != nil {
			return err
		}
		if p != nil {
			waiting = append(waiting, p)
		}
	}
	return awaitAll()
}

// startOne starts a component unless it runs; then it returns nil.
func (c *Cluster) startOne(component Component) (*process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[component] != nil {
		return nil, nil
	}
	cmd := c.command(context.Background(), string(component), c.layout.args(component)...)
	p, err := startProcess(component, cmd, c.layout.log(component), c.opts.NS)
	if err != nil {
		return nil, err
	}
	c.opts.Progress(string(component), fmt.Sprintf("started, process %d", p.pid))
	c.running[component] = p
	c.watches.Go(func() { c.watch(p) })
	return p, nil
}

// watch waits for a process to end, and reports it if nobody asked for that.
func (c *Cluster) watch(p *process) {
	<-p.done
	c.forget(p)
	if p.stopping.Load() {
		return
	}
	failure := p.failure()
	c.opts.Log.Error("control plane component ended", "component", p.component, "err", failure.Err, "log", p.logPath)
	select {
	case c.failed <- failure:
	default: // nobody listens, and it is logged
	}
}

// Failed receives a Failure for each component that ends by itself, during
// Start too.
func (c *Cluster) Failed() <-chan Failure { return c.failed }

// Close kills all components, and returns when none is left. The directory
// stays.
func (c *Cluster) Close() {
	c.change.Lock()
	defer c.change.Unlock()
	c.stopAll(order, 0)
	c.watches.Wait()
}

// Stop ends one component, and those that can't do without it: the API server
// takes controller manager and scheduler along, etcd all three. With leader
// election these would lose their lease and end of themselves; their node
// monitoring then starts afresh, and does not take the outage for the nodes'.
func (c *Cluster) Stop(component Component) error {
	which, err := c.with(component)
	if err != nil {
		return err
	}
	c.change.Lock()
	defer c.change.Unlock()
	c.stopAll(which, patience)
	return nil
}

// Start starts a stopped component, and those that Stop took along with it, and
// returns when they are ready. Components that run are left alone.
func (c *Cluster) Start(ctx context.Context, component Component) error {
	which, err := c.with(component)
	if err != nil {
		return err
	}
	if err := c.startAll(ctx, which); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// with returns a component and those that depend on it, as far as they are part
// of this cluster, in starting order.
func (c *Cluster) with(component Component) ([]Component, error) {
	if !slices.Contains(c.opts.Components, component) {
		return nil, fmt.Errorf("cluster: no component %q here", component)
	}
	if component != Etcd && component != APIServer {
		return []Component{component}, nil
	}
	from := slices.Index(c.opts.Components, component)
	return c.opts.Components[from:], nil
}

func (c *Cluster) stopAll(components []Component, patience time.Duration) {
	for _, component := range slices.Backward(components) {
		c.mu.Lock()
		p := c.running[component]
		c.mu.Unlock()
		if p != nil {
			p.stop(patience)
			c.forget(p)
		}
	}
}

// forget takes a process off the list at once, not only when watch comes to it.
func (c *Cluster) forget(p *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[p.component] == p {
		delete(c.running, p.component)
	}
}

// Status returns the state of each component, in starting order.
func (c *Cluster) Status() []Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Status
	for _, component := range c.opts.Components {
		s := Status{Component: component, Log: c.layout.log(component)}
		if p := c.running[component]; p != nil {
			s.PID, s.Since = p.pid, p.since
		}
		all = append(all, s)
	}
	return all
}

// Kubeconfig is the administrator's kubeconfig file; its server address means
// something inside Options.NS alone.
func (c *Cluster) Kubeconfig() string { return c.layout.kubeconfig("admin") }

// Kubectl prepares kubectl as administrator. With Options.NS, start it with
// NS.Start.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	return c.command(ctx, "kubectl", args...)
}

// Addr is the API server's address and port.
func (c *Cluster) Addr() netip.AddrPort { return c.layout.apiAddr }

// ServiceAddr is the cluster IP and port of the service "kubernetes".
func (c *Cluster) ServiceAddr() netip.AddrPort { return c.layout.serviceAddr() }

// AuditLog is the file of audit events; empty without an audit policy.
func (c *Cluster) AuditLog() string {
	if !c.layout.audit {
		return ""
	}
	return c.layout.auditLog()
}

// gogc lets the components' heaps grow to five times what is live before they
// are collected: as they share the machine with the whole lab, a seventh of the
// processor time of a burst of Services is worth more than their memory. Where that
// is scarce, GOMEMLIMIT in the lab's own environment bounds each.
const gogc = "GOGC=400"

// command prepares a run of the binary, in an environment that nothing of the
// machine's (proxies, a kubeconfig) leaks into.
func (c *Cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.opts.Binary, append([]string{name}, args...)...)
	cmd.Env = []string{"HOME=" + c.opts.Dir, "PATH=" + os.Getenv("PATH"), "KUBECONFIG=" + c.Kubeconfig(), gogc}
	for _, name := range []string{"TERM", "EDITOR", "LANG", "GOMEMLIMIT"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

// freePorts finds ports of 127.0.0.1 that nobody listens on now.
func freePorts(n int) ([]uint16, error) {
	var ports []uint16
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // held until all are found, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).AddrPort().Port())
	}
	return ports, nil
}
