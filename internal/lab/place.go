package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pharoslb/pharos/internal/lab/kubelet"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/nsenter"
)

// Places that are not nodes or pods. A pod is named pod/NAME, or
// pod/NAMESPACE/NAME outside the namespace default.
const (
	Client  = "client"
	Switch  = "switch"
	Control = "control"
)

const podPrefix = "pod/"

// Places lists where programs can be run now, pods aside.
func (l *Lab) Places() []string {
	places := []string{Client, Switch, Control}
	for _, n := range l.nodes {
		if n.NS() != nil {
			places = append(places, n.plan.Name)
		}
	}
	return places
}

// NS is the network namespace of a place. It is valid until the place goes.
func (l *Lab) NS(place string) (*netns.NS, error) {
	v, _, err := l.view(place)
	return v.Net, err
}

// command prepares a program; it reads nothing, and has the lab's environment.
func command(args []string) *exec.Cmd { return exec.Command(args[0], args[1:]...) }

// Output runs a program in a place to its end and returns what it printed on
// standard output; an error carries its standard error.
func (l *Lab) Output(ctx context.Context, place string, args ...string) (string, error) {
	v, machine, err := l.view(place)
	if err != nil {
		return "", err
	}
	out, err := l.output(ctx, v, machine, command(args))
	if err != nil {
		err = fmt.Errorf("%s: %w", place, err)
	}
	return out, err
}

// Kubectl runs kubectl as administrator and returns what it printed on standard
// output; an error carries its standard error.
func (l *Lab) Kubectl(ctx context.Context, args ...string) (string, error) {
	if l.cluster == nil {
		return "", errNoCluster
	}
	return l.output(ctx, nsenter.View{Net: l.network.control}, "", l.cluster.Kubectl(context.WithoutCancel(ctx), args...))
}

// view says how the world looks from a place, and which node it is on.
func (l *Lab) view(place string) (v nsenter.View, machine string, err error) {
	switch place {
	case Client:
		return nsenter.View{Net: l.network.client, Hostname: Client}, "", nil
	case Switch:
		return nsenter.View{Net: l.network.sw, Hostname: Switch}, "", nil
	case Control:
		return nsenter.View{Net: l.network.control, Hostname: Control}, "", nil
	}
	if name, ok := strings.CutPrefix(place, podPrefix); ok {
		return l.podView(name)
	}
	n, err := l.node(place)
	if err != nil {
		return v, "", fmt.Errorf("no place %q: one of %s, or pod/NAME", place, strings.Join(l.Places(), ", "))
	}
	ns := n.NS()
	if ns == nil {
		return v, "", fmt.Errorf("%s is powered off", place)
	}
	return nsenter.View{Net: ns, Hostname: place, Binds: l.nodeFiles(place)}, place, nil
}

// nodeFiles are a node's own directories, as its kubelet made them.
func (l *Lab) nodeFiles(name string) []nsenter.Bind {
	var binds []nsenter.Bind
	for _, dir := range []string{"run"} {
		own := filepath.Join(l.nodeDir(name), dir)
		if _, err := os.Stat(own); err == nil {
			binds = append(binds, nsenter.Bind{Source: own, Target: "/" + dir})
		}
	}
	return binds
}

// podView looks from a pod's first container that runs.
func (l *Lab) podView(name string) (v nsenter.View, machine string, err error) {
	p, machine, err := l.pod(name)
	if err != nil {
		return v, "", err
	}
	if p.NS == nil {
		return v, "", fmt.Errorf("pod %s has no network yet", p.Name)
	}
	for _, c := range p.Containers {
		if c.PID != 0 {
			return nsenter.View{Net: p.NS, PID: c.PID}, machine, nil
		}
	}
	return nsenter.View{Net: p.NS, Hostname: p.Name}, machine, nil
}

// pod finds a pod, NAME or NAMESPACE/NAME, and its node.
func (l *Lab) pod(name string) (kubelet.PodStatus, string, error) {
	namespace, pod, ok := strings.Cut(name, "/")
	if !ok {
		namespace, pod = "default", name
	}
	var known []string
	for node, k := range l.kubelets {
		for _, p := range k.Status().Pods {
			if p.Namespace == namespace && p.Name == pod {
				return p, node, nil
			}
			known = append(known, p.Namespace+"/"+p.Name)
		}
	}
	slices.Sort(known)
	return kubelet.PodStatus{}, "", fmt.Errorf("no pod %s in namespace %s; there are %v", pod, namespace, known)
}
