package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// balanced is a Service of type LoadBalancer for the mirrors, or for the
// walk-through's own servers; annotations and spec are what else it says, in
// YAML's flow style.
func balanced(name, port, annotations, spec string) string {
	if spec != "" {
		spec = ", " + spec
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %s, annotations: {%s}}
spec: {type: LoadBalancer, selector: {app: con-test}, ports: [{port: %s}]%s}
`, name, annotations, port, spec)
}

// patch merges a piece of JSON into a Service.
func (w world) patch(service, json string) {
	w.t.Helper()
	w.sh("kubectl patch svc " + service + " --type=merge -p '" + json + "'")
}

// remove deletes Services.
func (w world) remove(services ...string) {
	w.t.Helper()
	w.sh("kubectl delete svc " + strings.Join(services, " "))
}

// field waits until a field of an object, as kubectl's jsonpath selects it, has
// a value, and returns it.
func (w world) field(object, path string) string {
	w.t.Helper()
	var value string
	w.eventually(object+" has "+path, func() (err error) {
		value, err = w.Shell(w.t.Context(), "kubectl get "+object+" -o 'jsonpath={"+path+"}'")
		if err == nil && value == "" {
			err = errors.New("it has none")
		}
		return err
	})
	return value
}

// allocated waits until a Service has an address, and returns it.
func (w world) allocated(service string) string {
	w.t.Helper()
	return w.field("svc "+service, ".status.loadBalancer.ingress[0].ip")
}

// pods are the names of the walk-through's pods that are not ending.
func (w world) pods() []string {
	w.t.Helper()
	var names []string
	for name := range w.places() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// places tells the node of each of the walk-through's pods that are not ending.
func (w world) places() map[string]string {
	w.t.Helper()
	const template = `{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{.spec.nodeName}}{{"\n"}}{{end}}{{end}}`
	nodes := map[string]string{}
	for line := range strings.Lines(w.sh("kubectl get pod -l app=con-test -o go-template='" + template + "'")) {
		if f := strings.Fields(line); len(f) == 2 {
			nodes[f[0]] = f[1]
		}
	}
	return nodes
}

// addrsOf are the addresses of nodes, sorted.
func (w world) addrsOf(nodes ...string) []string {
	var addrs []string
	for _, n := range w.Topology().Nodes {
		if slices.Contains(nodes, n.Name) {
			addrs = append(addrs, n.Addr.String())
		}
	}
	slices.Sort(addrs)
	return addrs
}

// component is the name of the pod of a part of the product on a node; of the
// controller, wherever it runs.
func (w world) component(namespace, label, node string) string {
	w.t.Helper()
	where := ""
	if node != "" {
		where = " --field-selector spec.nodeName=" + node
	}
	return w.field("pod -n "+namespace+" -l "+label+where, ".items[0].metadata.name")
}

// pid is the process that listens on a TCP port of a place.
func (w world) pid(place string, port int) (int, error) {
	ns, err := w.NS(place)
	if err != nil {
		return 0, err
	}
	out, err := ns.Output(w.t.Context(), "ss", "-Hltnp", "sport = :"+strconv.Itoa(port))
	if err != nil {
		return 0, err
	}
	_, after, ok := strings.Cut(out, "pid=")
	if !ok {
		return 0, fmt.Errorf("nobody listens on port %d of %s: %q", port, place, out)
	}
	number, _, _ := strings.Cut(after, ",")
	return strconv.Atoi(number)
}

// crash kills the process that listens on a port of a place, without asking it,
// and returns when another does in its stead.
func (w world) crash(place string, port int) {
	w.t.Helper()
	w.kill(place, port)()
}

// kill kills the process that listens on a port of a place. What it returns
// waits until another does in its stead.
func (w world) kill(place string, port int) (restarted func()) {
	w.t.Helper()
	before, err := w.pid(place, port)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		w.t.Fatalf("kill %d: %v", before, err)
	}
	return func() {
		w.t.Helper()
		w.eventually(fmt.Sprintf("something listens on port %d of %s again", port, place), func() error {
			now, err := w.pid(place, port)
			if err == nil && now == before {
				err = errors.New("the same process listens")
			}
			return err
		})
	}
}

// shows waits until what a program prints in a place holds every one of some
// texts.
func (w world) shows(place string, texts []string, args ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%v on %s shows %q", args, place, texts), func() error {
		out, err := w.Output(w.t.Context(), place, args...)
		if err != nil {
			return err
		}
		return contains(out, texts)
	})
}

// switchShows waits until what the switch prints holds every one of some texts.
func (w world) switchShows(line string, texts ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%q shows %q", line, texts), func() error {
		out, err := w.SwitchExec(w.t.Context(), line)
		if err != nil {
			return err
		}
		return contains(out, texts)
	})
}

func contains(out string, texts []string) error {
	for _, text := range texts {
		if !strings.Contains(out, text) {
			return fmt.Errorf("no %q in:\n%s", text, out)
		}
	}
	return nil
}

// reconfigure has the switch start again with its configuration edited, the
// walk-through's where nothing is replaced.
func (w world) reconfigure(replace ...string) {
	w.t.Helper()
	text, err := os.ReadFile(w.Input("switch.conf"))
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.t.TempDir(), "switch.conf")
	edited := strings.NewReplacer(replace...).Replace(string(text))
	if len(replace) > 0 && edited == string(text) {
		w.t.Fatalf("nothing of %q is in the switch's configuration", replace)
	}
	if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.StopSwitch()
	if err := w.StartSwitch(w.t.Context(), file); err != nil {
		w.t.Fatal(err)
	}
}
