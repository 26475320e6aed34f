package lab

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/pharoslb/pharos/internal/lab/cluster"
	"github.com/pharoslb/pharos/internal/lab/kubelet"
	"github.com/pharoslb/pharos/internal/linux/uml"
)

// settle bounds how long one thing may take to become ready. It is far more
// than a busy machine needs: what takes longer is broken.
var settle = Patience(3 * time.Minute)

// Patience returns how long to wait for what takes at most so long on a machine's
// own kernel.
func Patience(usual time.Duration) time.Duration {
	if uml.Inside() {
		return 4 * usual // where it has one processor, and each system call is the work of two processes
	}
	return usual
}

// image is the product's, as the manifests in deploy name it.
const image = "pharoslb/pharos"

func (l *Lab) startCluster(ctx context.Context) error {
	var err error
	l.cluster, err = cluster.Start(ctx, cluster.Options{
		Dir:          filepath.Join(l.opts.Dir, "cluster"),
		Binary:       l.opts.ControlPlane,
		NS:           l.network.control,
		Addr:         l.opts.Topology.Control,
		ServiceCIDR6: l.opts.Topology.Services6,
		AuditPolicy:  l.opts.AuditPolicy,
		Progress:     l.opts.Progress,
		Log:          l.opts.Log,
	})
	if err != nil {
		return err
	}
	if err := l.layOut(); err != nil {
		return err
	}
	run, end := context.WithCancel(context.Background())
	l.end = end
	var names []string
	for _, n := range l.nodes {
		k, err := l.newKubelet(n)
		if err != nil {
			return fmt.Errorf("kubelet of %s: %w", n.plan.Name, err)
		}
		l.kubelets[n.plan.Name] = k
		if err := l.mountBPF(n.plan.Name); err != nil {
			return err
		}
		l.running.Go(func() {
			if err := k.Run(run); err != nil {
				l.opts.Log.Error("kubelet ended", "node", n.plan.Name, "err", err)
			}
		})
		names = append(names, "node/"+n.plan.Name)
	}
	l.opts.Progress("nodes", "waiting until all are Ready")
	// One by one: where several are missing, kubectl does not wait for them.
	for _, name := range names {
		if err := l.wait(ctx, "--for=create", name); err != nil {
			return err
		}
	}
	return l.wait(ctx, append([]string{"--for=condition=Ready"}, names...)...)
}

func (l *Lab) newKubelet(n *node) (*kubelet.Kubelet, error) {
	credentials, err := l.cluster.Node(n.plan.Name, n.plan.Addr)
	if err != nil {
		return nil, err
	}
	return kubelet.New(kubelet.Config{
		Machine:     n,
		Client:      credentials.Config,
		Serving:     &credentials.Serving,
		ClientCA:    credentials.ClientCA,
		ServiceAddr: l.cluster.ServiceAddr(),
		Images:      map[string]string{image: l.opts.Pharos},
		Dir:         l.nodeDir(n.plan.Name),
		Log:         l.opts.Log.With("node", n.plan.Name),
	})
}

func (l *Lab) nodeDir(name string) string { return filepath.Join(l.opts.Dir, "nodes", name) }

// wait is kubectl wait.
func (l *Lab) wait(ctx context.Context, args ...string) error {
	_, err := l.Kubectl(ctx, append([]string{"wait", "--timeout=" + settle.String()}, args...)...)
	return err
}

// node finds a machine by its name.
func (l *Lab) node(name string) (*node, error) {
	for _, n := range l.nodes {
		if n.plan.Name == name {
			return n, nil
		}
	}
	var names []string
	for _, n := range l.nodes {
		names = append(names, n.plan.Name)
	}
	return nil, fmt.Errorf("no node %q: one of %s", name, strings.Join(names, ", "))
}

// PowerOff cuts a node's cable, kills every process on it and destroys its
// namespaces: nobody hears a goodbye. It returns when that is done; a node that
// is off stays off.
func (l *Lab) PowerOff(name string) error {
	n, err := l.node(name)
	if err != nil {
		return err
	}
	l.power.Lock()
	defer l.power.Unlock()
	if n.NS() == nil {
		return nil
	}
	// The cable first: a kernel says FIN or RST for the processes it kills.
	err = n.unplug()
	l.killJobs(func(j *job) bool { return j.machine == name })
	if k := l.kubelets[name]; k != nil {
		k.PowerOff()
	}
	return errors.Join(err, l.unmountBPF(name), n.off())
}

// PowerOn makes a node's namespace anew, without anything that it held, and
// starts its kubelet. It does not wait for the node to be Ready.
func (l *Lab) PowerOn(name string) error {
	n, err := l.node(name)
	if err != nil {
		return err
	}
	l.power.Lock()
	defer l.power.Unlock()
	if n.NS() != nil {
		return nil
	}
	if err := n.on(); err != nil {
		return err
	}
	if err := l.mountBPF(name); err != nil {
		return err
	}
	if k := l.kubelets[name]; k != nil {
		k.PowerOn()
	}
	l.mu.Lock()
	_, had := l.kubeProxies[name]
	l.mu.Unlock()
	if had {
		_, err = l.launchKubeProxy(name)
	}
	return err
}

// StopAPIServer stops the API server and what can't run without it; etcd keeps
// its data.
func (l *Lab) StopAPIServer() error {
	if l.cluster == nil {
		return errNoCluster
	}
	return l.cluster.Stop(cluster.APIServer)
}

// StartAPIServer starts them again and returns when they are ready.
func (l *Lab) StartAPIServer(ctx context.Context) error {
	if l.cluster == nil {
		return errNoCluster
	}
	return l.cluster.Start(ctx, cluster.APIServer)
}

var errNoCluster = errors.New("this lab has no control plane (it was brought up with --until network)")

// Ready returns when a node's Ready condition is true.
func (l *Lab) Ready(ctx context.Context, name string) error {
	return l.wait(ctx, "--for=condition=Ready", "node/"+name)
}
