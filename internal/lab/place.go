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
	Segment = "segment" // the bridge br0 and its ports: see all that passes
)

const podPrefix = "pod/"

// Places lists where programs can be run now, pods aside.
func (l *Lab) Places() []string {
	places := []string{Client, Switch, Control, Segment}
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
		err = fmt.Errorf("%s: %s: %w", place, args[0], err)
	}
	return out, err
}

// Kubectl runs kubectl as administrator and returns what it printed on standard
// output; an error carries its standard error.
func (l *Lab) Kubectl(ctx context.Context, args ...string) (string, error) {
	if l.cluster == nil {
		return "", errNoCluster
	}
	out, err := l.output(ctx, nsenter.View{Net: l.network.control}, "", l.cluster.Kubectl(context.WithoutCancel(ctx), args...))
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
	}
	return out, err
}

// Shell runs a line of a shell beside the API server, with kubectl as
// administrator, in a directory that holds bgp.yaml, test.yaml, switch.conf and
// the product's deploy/. It returns what was printed on standard output; an error
// carries its standard error.
func (l *Lab) Shell(ctx context.Context, script string) (string, error) {
	if l.cluster == nil {
		return "", errNoCluster
	}
	kubectl := l.cluster.Kubectl(context.WithoutCancel(ctx))
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = l.shellDir()
	cmd.Env = append(kubectl.Env, "PATH="+filepath.Join(l.opts.Dir, "bin")+":"+os.Getenv("PATH"))
	out, err := l.output(ctx, nsenter.View{Net: l.network.control}, "", cmd)
	if err != nil {
		err = fmt.Errorf("%s: %w", script, err)
	}
	return out, err
}

// installKubectl makes the program that Shell finds as kubectl.
func (l *Lab) installKubectl() error {
	args := l.cluster.Kubectl(context.Background()).Args
	script := "#!/bin/sh\nexec"
	for _, arg := range args {
		script += " '" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	if err := os.MkdirAll(filepath.Join(l.opts.Dir, "bin"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.opts.Dir, "bin", "kubectl"), []byte(script+" \"$@\"\n"), 0o700)
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
	case Segment:
		return nsenter.View{Net: l.network.segment, Hostname: Segment}, "", nil
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
	binds, err := l.nodeFiles(place)
	return nsenter.View{Net: ns, Hostname: place, Binds: binds}, place, err
}

// nodeFiles are a node's own directories, as its pods with hostPath volumes see
// them; here the sockets of the roles on it.
func (l *Lab) nodeFiles(name string) ([]nsenter.Bind, error) {
	k := l.kubelets[name]
	if k == nil {
		return nil, nil
	}
	run := k.HostPath("/run")
	if err := os.MkdirAll(run, 0o755); err != nil {
		return nil, err
	}
	return []nsenter.Bind{{Source: run, Target: "/run"}}, nil
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
	return kubelet.PodStatus{}, "", fmt.Errorf("no pod %s in namespace %s; there are %s", pod, namespace, strings.Join(known, ", "))
}
