package lab

import (
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pharoslb/pharos/internal/lab/kubelet"
)

// Status is what the lab itself knows of its state, without asking the API
// server.
type Status struct {
	Dir        string            `json:"dir"`
	Since      time.Time         `json:"since"`
	Switch     bool              `json:"switch"` // runs
	Components []ComponentStatus `json:"components,omitempty"`
	Nodes      []NodeStatus      `json:"nodes"`
}

// ComponentStatus is one program of the control plane.
type ComponentStatus struct {
	Name string `json:"name"`
	PID  int    `json:"pid,omitempty"` // inside the sandbox; 0: it does not run
}

// NodeStatus is one machine.
type NodeStatus struct {
	Name    string       `json:"name"`
	Addr    netip.Addr   `json:"addr"`
	Pods    netip.Prefix `json:"podNetwork"`
	Powered bool         `json:"powered"`
	Running []PodStatus  `json:"pods,omitempty"`
}

// PodStatus is one pod on a machine.
type PodStatus struct {
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
	Addrs     []netip.Addr `json:"addrs,omitempty"`
	Ready     bool         `json:"ready"` // all its containers
	Restarts  int          `json:"restarts"`
}

// Status returns the lab's state.
func (l *Lab) Status() Status {
	s := Status{Dir: l.opts.Dir, Since: l.since, Switch: l.switchRuns()}
	if l.cluster != nil {
		for _, c := range l.cluster.Status() {
			s.Components = append(s.Components, ComponentStatus{Name: string(c.Component), PID: c.PID})
		}
	}
	for _, n := range l.nodes {
		node := NodeStatus{Name: n.plan.Name, Addr: n.plan.Addr, Pods: n.plan.Pods, Powered: n.NS() != nil}
		if k := l.kubelets[n.plan.Name]; k != nil {
			for _, p := range k.Status().Pods {
				node.Running = append(node.Running, podStatus(p))
			}
		}
		s.Nodes = append(s.Nodes, node)
	}
	return s
}

func podStatus(p kubelet.PodStatus) PodStatus {
	s := PodStatus{Namespace: p.Namespace, Name: p.Name, Addrs: p.Addrs, Ready: len(p.Containers) > 0}
	for _, c := range p.Containers {
		s.Ready = s.Ready && c.Ready
		s.Restarts += c.Restarts
	}
	return s
}

// print writes the state for people.
func (s Status) print(w io.Writer) {
	fmt.Fprintf(w, "lab in %s, up for %s\n\n", s.Dir, time.Since(s.Since).Round(time.Second))
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "PROGRAM\tWHERE\tSTATE")
	for _, c := range s.Components {
		fmt.Fprintf(t, "%s\t%s\t%s\n", c.Name, Control, choose(c.PID != 0, "running", "stopped"))
	}
	fmt.Fprintf(t, "pharos switch\t%s\t%s\n", Switch, choose(s.Switch, "running", "stopped"))
	t.Flush()
	fmt.Fprintln(w)
	fmt.Fprintln(t, "NODE\tADDRESS\tPOD NETWORK\tPOWER\tPODS")
	for _, n := range s.Nodes {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\n", n.Name, n.Addr, n.Pods, choose(n.Powered, "on", "off"), len(n.Running))
	}
	t.Flush()
	if !slices.ContainsFunc(s.Nodes, func(n NodeStatus) bool { return len(n.Running) > 0 }) {
		return
	}
	fmt.Fprintln(w)
	fmt.Fprintln(t, "NAMESPACE\tPOD\tREADY\tRESTARTS\tADDRESS\tNODE")
	for _, n := range s.Nodes {
		for _, p := range n.Running {
			addrs := make([]string, len(p.Addrs))
			for i, a := range p.Addrs {
				addrs[i] = a.String()
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", p.Namespace, p.Name, choose(p.Ready, "yes", "no"), p.Restarts, strings.Join(addrs, ","), n.Name)
		}
	}
	t.Flush()
}

func choose(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// podLog finds a pod's log file; parts are the other names that have one.
func (l *Lab) podLog(what string, container []string, parts map[string]string) (string, error) {
	name, ok := strings.CutPrefix(what, podPrefix)
	if !ok {
		return "", fmt.Errorf("no log of %q: one of %s, or pod/NAME", what, strings.Join(slices.Sorted(maps.Keys(parts)), ", "))
	}
	p, _, err := l.pod(name)
	if err != nil {
		return "", err
	}
	var names []string
	for _, c := range p.Containers {
		if len(container) == 0 && len(p.Containers) == 1 || len(container) > 0 && container[0] == c.Name {
			if c.Log == "" {
				return "", fmt.Errorf("container %s has not run yet", c.Name)
			}
			return c.Log, nil
		}
		names = append(names, c.Name)
	}
	return "", fmt.Errorf("pod %s: which container? one of %s", p.Name, strings.Join(names, ", "))
}

// LogTails returns the last lines of what each program of the product logged,
// by pod or program.
func (l *Lab) LogTails() map[string]string {
	tails := map[string]string{}
	if _, err := os.Stat(l.switchLog()); err == nil {
		tails[Switch] = tail(l.switchLog(), 0)
	}
	for _, n := range l.nodes {
		if _, err := os.Stat(l.kubeProxyLog(n.plan.Name)); err == nil {
			tails["kube-proxy on "+n.plan.Name] = tail(l.kubeProxyLog(n.plan.Name), 0)
		}
	}
	for node, k := range l.kubelets {
		for _, p := range k.Status().Pods {
			for _, c := range p.Containers {
				if c.Log != "" && p.Namespace != "default" {
					tails[fmt.Sprintf("%s on %s", p.Name, node)] = tail(c.Log, 0)
				}
			}
		}
	}
	return tails
}
