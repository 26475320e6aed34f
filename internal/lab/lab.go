package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pharoslb/pharos/internal/lab/cluster"
	"github.com/pharoslb/pharos/internal/lab/kubelet"
)

// Stage says how far a lab is brought up. Each includes the ones before it.
type Stage int

// The stages, in order.
const (
	StageNetwork Stage = iota // namespaces, cables, routes
	StageCluster              // control plane, and every node Ready
	StageFabric               // the switch runs its configuration
	StageProduct              // proxy, controller and speakers are installed and Ready
	StageService              // the speakers' configuration and the Service are created, and the client is answered
)

var stageNames = []string{"network", "cluster", "fabric", "product", "service"}

func (s Stage) String() string { return stageNames[s] }

// ParseStage is the stage of that name.
func ParseStage(name string) (Stage, error) {
	for i, n := range stageNames {
		if n == name {
			return Stage(i), nil
		}
	}
	return 0, fmt.Errorf("no stage %q: one of %s", name, strings.Join(stageNames, ", "))
}

// Options says what to bring up. Only Dir is required.
type Options struct {
	// Dir is the directory of keys, logs, volumes and sockets: the lab's alone.
	Dir string
	// Until is the last stage of Start; the methods for later ones may be
	// called afterwards.
	Until Stage
	// Input holds bgp.yaml, switch.conf and test.yaml; empty uses the copies
	// that the program carries.
	Input string
	// Topology is the addressing plan; nil is the walk-through's.
	Topology *Topology
	// DataPlane is the driver of the proxies and Mode how they carry Services that
	// don't choose, as `pharos proxy` has them; empty is what deploy/pharos-proxy.yaml
	// has.
	DataPlane, Mode string
	// KubeProxy, if not empty, has every node run the real kube-proxy in that mode,
	// one of KubeProxyModes, and the product's proxies beside it.
	KubeProxy string
	// Pharos is the product's binary; empty is the running program.
	Pharos string
	// ControlPlane is the file of pharos-controlplane; empty looks for it as
	// cluster.Binary does.
	ControlPlane string
	// AuditPolicy, if not empty, is an audit.k8s.io/v1 Policy: see
	// cluster.Options.
	AuditPolicy []byte
	// Progress, if set, hears what is done and waited for, from one goroutine
	// at a time.
	Progress func(phase, detail string)
	// Log hears what goes wrong later; nil discards.
	Log *slog.Logger
}

func (o Options) complete() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("lab: no directory given")
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return o, fmt.Errorf("lab: directory: %w", err)
	}
	if o.Topology == nil {
		plan := Walkthrough()
		o.Topology = &plan
	}
	if o.Pharos == "" {
		if o.Pharos, err = os.Executable(); err != nil {
			return o, fmt.Errorf("lab: find the program's own file: %w", err)
		}
	}
	report, mu := o.Progress, new(sync.Mutex)
	o.Progress = func(phase, detail string) {
		if report != nil {
			mu.Lock()
			defer mu.Unlock()
			report(phase, detail)
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return o, nil
}

// Lab is a running lab. Its methods may be called from any goroutine, until
// Close.
type Lab struct {
	opts    Options
	since   time.Time
	network *network
	nodes   []*node

	cluster  *cluster.Cluster // nil before StageCluster
	kubelets map[string]*kubelet.Kubelet
	end      context.CancelFunc // ends the kubelets
	running  sync.WaitGroup     // the kubelets' Run, and who waits for the jobs

	power sync.Mutex // held while machines go on and off
	mu    sync.Mutex // guards what follows
	sw    *job       // nil: the switch does not run

	kubeProxies map[string]*job // by node
	jobs        map[*job]struct{}
}

// Start brings a lab up, as far as Options.Until says, inside the sandbox that
// the program runs in. When ctx ends early, or something fails, all is removed
// again. The lab then runs until Close, whatever becomes of ctx.
func Start(ctx context.Context, o Options) (*Lab, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	l := &Lab{opts: o, since: time.Now(), kubelets: map[string]*kubelet.Kubelet{}, kubeProxies: map[string]*job{}, jobs: map[*job]struct{}{}}
	if err := l.bringUp(ctx); err != nil {
		l.Close()
		return nil, fmt.Errorf("lab: %w", err)
	}
	return l, nil
}

func (l *Lab) bringUp(ctx context.Context) error {
	stages := []func(context.Context) error{
		l.buildNetwork,
		l.startCluster,
		func(ctx context.Context) error { return l.StartSwitch(ctx, "") },
		l.Install,
		l.Deploy,
	}
	for stage, do := range stages[:l.opts.Until+1] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(ctx); err != nil {
			return fmt.Errorf("%s: %w", Stage(stage), err)
		}
	}
	return nil
}

func (l *Lab) buildNetwork(context.Context) error {
	l.opts.Progress("network", fmt.Sprintf("client, switch, control and %d nodes on %s", len(l.opts.Topology.Nodes), l.opts.Topology.Segment))
	for _, dir := range []string{"", "log", "nodes", "input"} {
		if err := os.MkdirAll(filepath.Join(l.opts.Dir, dir), 0o700); err != nil {
			return err
		}
	}
	if err := l.takeInput(); err != nil {
		return err
	}
	var err error
	if l.network, err = newNetwork(*l.opts.Topology); err != nil {
		return err
	}
	for i := range l.opts.Topology.Nodes {
		n := newNode(l.network, i)
		if err := n.on(); err != nil {
			return err
		}
		l.nodes = append(l.nodes, n)
	}
	return nil
}

// DataPlane is the driver of the proxies that the lab was asked for.
func (l *Lab) DataPlane() string { return l.opts.DataPlane }

// Close kills everything in the lab and returns when nothing is left but the
// directory.
func (l *Lab) Close() {
	l.power.Lock()
	defer l.power.Unlock()
	l.StopSwitch()
	l.killJobs(func(*job) bool { return true })
	if l.end != nil {
		l.end()
	}
	l.running.Wait()
	if l.cluster != nil {
		l.cluster.Close()
	}
	for _, n := range l.nodes {
		if err := errors.Join(l.unmountBPF(n.plan.Name), n.off()); err != nil {
			l.opts.Log.Error("machine not removed", "node", n.plan.Name, "err", err)
		}
	}
	if l.network != nil {
		l.network.close()
	}
}

// Dir is the lab's directory.
func (l *Lab) Dir() string { return l.opts.Dir }

// Topology is the lab's addressing plan.
func (l *Lab) Topology() Topology { return *l.opts.Topology }

// Cluster is the control plane, nil before StageCluster.
func (l *Lab) Cluster() *cluster.Cluster { return l.cluster }
