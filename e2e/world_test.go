package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// patience bounds how long a test waits for what it wants to see.
const patience = 90 * time.Second

// world is a lab with the walk-through deployed in it.
type world struct {
	*lab.Lab
	t    *testing.T
	undo *[]func()
}

func newWorld(t *testing.T) world {
	t.Helper()
	return startWorld(t, lab.Options{Until: lab.StageService})
}

// startWorld brings up a lab of some kind.
func startWorld(t *testing.T, o lab.Options) world {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	o.Dir, o.Input, o.Pharos = t.TempDir(), lab.FindInput("."), product
	o.Progress = func(phase, detail string) { t.Log(phase, detail) }
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for name, tail := range l.LogTails() {
				t.Logf("last log lines of %s:\n%s", name, tail)
			}
		}
		l.Close()
	})
	return world{Lab: l, t: t}
}

// in is the world as a subtest sees it.
func (w world) in(t *testing.T) world { return world{Lab: w.Lab, t: t} }

// try runs a test on the world, and then what was put off to its end, the last
// first: while the test's context, which its cleanups outlive, still holds.
func (w world) try(t *testing.T, run func(world)) {
	var undo []func()
	defer func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}()
	run(world{w.Lab, t, &undo})
}

// finally puts something off to the end of a test that try runs.
func (w world) finally(f func()) { *w.undo = append(*w.undo, f) }

// sh runs a shell line with kubectl, and fails where it fails.
func (w world) sh(script string) string {
	w.t.Helper()
	out, err := w.Shell(w.t.Context(), script)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// apply applies a manifest.
func (w world) apply(manifest string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.sh("kubectl apply -f " + file)
}

// configure puts a text into the speakers' ConfigMap.
func (w world) configure(config string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.sh("kubectl create configmap -n metallb-system config --from-file=" + file + " --dry-run=client -o yaml | kubectl apply -f -")
}

// eventually waits until a condition holds, and fails with what it said last.
func (w world) eventually(what string, holds func() error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			w.t.Fatalf("waited in vain until %s: %v", what, err)
		}
	}
}

// says waits until what a shell line prints holds every one of some texts.
func (w world) says(script string, texts ...string) {
	w.t.Helper()
	w.eventually(script+" says "+strings.Join(texts, ", "), func() error {
		out, err := w.Shell(w.t.Context(), script)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if !strings.Contains(out, text) {
				return fmt.Errorf("no %q in:\n%s", text, out)
			}
		}
		return nil
	})
}

// hops returns the switch's kernel's next hops to an address.
func (w world) hops(addr string) ([]string, error) {
	out, err := w.Output(w.t.Context(), lab.Switch, "ip", "route", "show", addr)
	if err != nil {
		return nil, err
	}
	var hops []string
	f := strings.Fields(out)
	for i := range f[:max(0, len(f)-1)] {
		if f[i] == "via" {
			hops = append(hops, f[i+1])
		}
	}
	slices.Sort(hops)
	return hops, nil
}

// routed waits until the switch's kernel routes an address to these nodes.
func (w world) routed(addr string, want ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s is routed to %v", addr, want), func() error {
		got, err := w.hops(addr)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("next hops %v", got)
		}
		return nil
	})
}

// addrs are the nodes' addresses, sorted.
func (w world) addrs() []string {
	var all []string
	for _, n := range w.Topology().Nodes {
		all = append(all, n.Addr.String())
	}
	return all
}

// ask is one request of the client.
func (w world) ask(addr string) error {
	out, err := w.Output(w.t.Context(), lab.Client, "curl", "-sS", "--fail", "--max-time", "3", addr)
	if err == nil && out == "" {
		err = errors.New("empty answer")
	}
	return err
}

// served waits until the client is answered, and then fails with the first of
// so many requests that is not.
func (w world) served(addr string, requests int) {
	w.t.Helper()
	w.eventually("the client is answered by "+addr, func() error { return w.ask(addr) })
	for i := range requests {
		if err := w.ask(addr); err != nil {
			w.t.Fatalf("request %d of %d: %v", i+1, requests, err)
		}
	}
}

// stale waits until controller and speakers say whether their configuration is
// stale.
func (w world) stale(yes bool) {
	w.t.Helper()
	line := "metallb_k8s_client_config_stale_bool 0"
	if yes {
		line = "metallb_k8s_client_config_stale_bool 1"
	}
	for _, n := range w.Topology().Nodes {
		w.measures(n.Name, n.Addr.String(), line)
	}
	w.measures(lab.Control, w.field("pod -n metallb-system -l component=controller", ".items[0].status.podIP"), line)
}

// measures waits until the metrics of a part of the product hold every one of
// some lines.
func (w world) measures(from, addr string, lines ...string) {
	w.t.Helper()
	w.shows(from, lines, "curl", "-sS", "--max-time", "3", addr+":7472/metrics")
}

// ingress returns a Service's address, empty if it has none.
func (w world) ingress(service string) string {
	w.t.Helper()
	return w.sh("kubectl get svc " + service + " -o jsonpath={.status.loadBalancer.ingress[0].ip}")
}
