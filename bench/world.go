package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
	"github.com/pharoslb/pharos/internal/lab/tenant"
)

// pool is the bench's: large enough for every Service of it.
var pool = netip.MustParsePrefix("172.20.0.0/16")

const config = `apiVersion: v1
kind: ConfigMap
metadata:
  namespace: metallb-system
  name: config
data:
  config: |
    peers:
    - peer-address: 10.10.2.210
      peer-asn: 65210
      my-asn: 65211
    address-pools:
    - name: default
      protocol: bgp
      avoid-buggy-ips: true
      addresses:
      - 172.20.0.0/16
`

// audit has the API server note each request of the product's own accounts
// there, once, when it is answered. The watches that never end are left out.
const audit = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: None
  verbs: [watch]
- level: None # the controller's Lease is renewed whether there is work or not
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: Metadata
  userGroups: ["system:serviceaccounts:metallb-system"]
- level: None
`

// connections is how many the creator of a burst has to the API server.
const connections = 8

// patience bounds every wait: what takes longer has failed.
const patience = 10 * time.Minute

// world is the lab and what the bench sees of it.
type world struct {
	lab    *lab.Lab
	dir    string
	tenant *tenant.Tenant
	seen   *tenant.Addresses
	fib    *fib
	stop   context.CancelFunc
}

func newWorld(ctx context.Context, binary string) (*world, error) {
	dir, err := os.MkdirTemp("", "pharos-bench-")
	if err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(ctx)
	w := &world{dir: dir, stop: stop}
	if err := w.start(ctx, watching, binary); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *world) start(ctx, watching context.Context, binary string) error {
	var err error
	w.lab, err = lab.Start(ctx, lab.Options{
		Dir: w.dir, Until: lab.StageProduct, Pharos: binary, AuditPolicy: []byte(audit),
		Progress: func(phase, detail string) { progress("        %s: %s", phase, detail) },
		Log:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	file := filepath.Join(w.dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"create", "-f", file},
		{"create", "-f", w.lab.Input("test.yaml")},
		{"wait", "--for=jsonpath={.status.readyReplicas}=3", "replicaset/ng-test-rs", "--timeout=2m"},
	} {
		if out, err := w.lab.Kubectl(ctx, args...); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	ns, err := w.lab.NS(lab.Switch)
	if err != nil {
		return err
	}
	if w.fib, err = watchFIB(watching, ns, pool, len(w.lab.Topology().Nodes)); err != nil {
		return err
	}
	if w.tenant, err = tenant.New(watching, w.lab.Cluster().Config(), connections); err != nil {
		return err
	}
	w.seen = w.tenant.Addresses()
	// The walk-through's own Service goes once it has shown that all works.
	if _, err := w.seen.Wait(ctx, "ng-svc"); err != nil {
		return err
	}
	if err := w.delete(ctx, "ng-svc"); err != nil {
		return err
	}
	_, err = w.fib.waitCount(ctx, 0)
	return err
}

func (w *world) close() {
	w.stop()
	if w.lab != nil {
		w.lab.Close()
	}
	os.RemoveAll(w.dir)
}

// keepLogs copies the lab's logs to a directory that must not exist yet.
func (w *world) keepLogs(to string) error {
	return os.CopyFS(to, os.DirFS(filepath.Join(w.dir, "log")))
}

func (w *world) create(ctx context.Context, name string) error { return w.tenant.Create(ctx, 0, name) }

func (w *world) delete(ctx context.Context, name string) error { return w.tenant.Delete(ctx, 0, name) }

// requests returns how many requests the controller and the speakers have made
// up to now, once no more are coming.
func (w *world) requests(ctx context.Context) (int, error) {
	last, quiet := -1, 0
	for tick := time.NewTicker(250 * time.Millisecond); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		text, err := os.ReadFile(w.lab.Cluster().AuditLog())
		if err != nil {
			return 0, err
		}
		n := bytes.Count(text, []byte{'\n'})
		if n != last {
			last, quiet = n, 0
			continue
		}
		if quiet++; quiet == 6 {
			tick.Stop()
			return n, nil
		}
	}
}

// requestVerbs says what the requests after the first n were, for a person.
func (w *world) requestVerbs(n int) string {
	text, _ := os.ReadFile(w.lab.Cluster().AuditLog())
	count := map[string]int{}
	for i, line := range bytes.Split(text, []byte{'\n'}) {
		var e struct {
			Verb      string
			ObjectRef struct{ Resource, Subresource string }
		}
		if i < n || json.Unmarshal(line, &e) != nil || e.Verb == "" {
			continue
		}
		count[strings.TrimSuffix(e.Verb+" "+e.ObjectRef.Resource+"/"+e.ObjectRef.Subresource, "/")]++
	}
	return fmt.Sprint(count)
}

// updates returns how many UPDATE messages each speaker has sent.
func (w *world) updates(ctx context.Context) (map[string]int, error) {
	sent := map[string]int{}
	for _, node := range w.lab.Topology().Nodes {
		text, err := w.metrics(ctx, node.Name, node.Addr)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "metallb_bgp_updates_total{") {
				value, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
				sent[node.Name] += int(value)
			}
		}
	}
	return sent, nil
}

func (w *world) metrics(ctx context.Context, node string, addr netip.Addr) (string, error) {
	ns, err := w.lab.NS(node)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DialContext: ns.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+netip.AddrPortFrom(addr, 7472).String()+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
