package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
)

// polite are three servers on three nodes, each of which goes on answering for a while
// when it is asked to end, as one does that wants to lose nothing.
const polite = `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: polite}
spec:
  replicas: 3
  selector: {matchLabels: {app: polite}}
  template:
    metadata: {labels: {app: polite}}
    spec:
      terminationGracePeriodSeconds: 60
      affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: polite}}}]}}
      containers:
      - {name: server, image: stenote/nginx-hostname, lifecycle: {preStop: {sleep: {seconds: 6}}}}
`

// politeService is a Service for them.
func politeService(name, annotations, policy string) string {
	return strings.Replace(balanced(name, "80", annotations, "externalTrafficPolicy: "+policy), "con-test", "polite", 1)
}

// direct has a Service's connections survive the way to the cluster: whichever node the
// switch picks, the pod's node knows them.
const direct = "pharoslb.io/dataplane-mode: direct"

// What a node announces its kernel serves, and what is about to end is not lost.
func TestDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.routed(lab.VIP, w.addrs()...)
	w.apply(polite)
	for _, part := range []struct {
		name string
		run  func(world)
	}{
		{"announced once served", announcedOnceServed},
		{"pod deleted and policy Cluster", podDeleted},
		{"pod deleted and policy Local", localPodDeleted},
		{"node drained", nodeDrained},
		{"agents replaced", agentsReplaced},
	} {
		t.Run(part.name, func(t *testing.T) {
			w.says("kubectl get rs polite -o jsonpath={.status.readyReplicas}", "3")
			w.try(t, part.run)
			w.in(t).routed(lab.VIP, w.addrs()...)
		})
	}
}

// On a node without a proxy nothing that is new is announced, however long that takes,
// and the speaker says why; what is there already stays, as the rules do. Once a proxy
// is there again, and has put the Service into the kernel, the node announces it.
func announcedOnceServed(w world) {
	nodes := w.Topology().Nodes
	selector := func(value string) {
		w.sh(`kubectl patch ds -n kube-system pharos-proxy -p '{"spec":{"template":{"spec":{"nodeSelector":{"proxied":` + value + `}}}}}'`)
	}
	w.finally(func() {
		selector("null")
		if err := w.RolledOut(w.t.Context(), "kube-system", "daemonset/pharos-proxy"); err != nil {
			w.t.Error(err)
		}
		w.sh("kubectl label node --all proxied-")
	})
	selector(`"yes"`)
	for _, n := range nodes {
		w.eventually("no proxy runs on "+n.Name, func() error {
			if _, err := w.pid(n.Name, proxyPort); err == nil {
				return errors.New("one does")
			}
			return nil
		})
	}
	w.apply(second)
	addr := w.allocated("second")
	for _, n := range nodes {
		w.shows(n.Name, []string{"dataPlaneAwaited: this node's data plane does not have the Service, and its proxy is not heard"}, product, "explain", "second")
		w.shows(n.Name, []string{"no, dataPlaneAwaited"}, product, "status")
		w.measures(n.Name, n.Addr.String(), `pharos_speaker_unannounced_addresses{reason="dataPlaneAwaited"} 1`, "pharos_speaker_data_plane_heard_bool 0")
	}
	w.routed(addr)
	w.routed(lab.VIP, w.addrs()...)
	w.served(lab.VIP, 10)
	var there []string
	for _, n := range nodes {
		w.sh("kubectl label node " + n.Name + " proxied=yes")
		there = append(there, n.Addr.String())
		slices.Sort(there)
		w.routed(addr, there...)
		w.served(addr, 10)
	}
	w.remove("second")
	w.routed(addr)
}

// load is a client that keeps asking an address, each time over a new connection.
type load struct {
	w     world
	stop  context.CancelFunc
	done  sync.WaitGroup
	mu    sync.Mutex
	asked int
	lost  []string
}

// loads begins to ask an address, once it has answered.
func (w world) loads(addr string) *load {
	w.t.Helper()
	w.served(addr, 5)
	ns, err := w.NS(lab.Client)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(w.t.Context())
	l := &load{w: w, stop: stop}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: ns.DialContext, DisableKeepAlives: true}}
	for range 3 {
		l.done.Go(func() {
			pace := time.NewTicker(10 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-pace.C:
				}
				err := l.ask(ctx, client, "http://"+addr)
				if ctx.Err() != nil {
					return
				}
				l.mu.Lock()
				if l.asked++; err != nil {
					l.lost = append(l.lost, fmt.Sprintf("%s: request %d: %v", time.Now().Format("05.000"), l.asked, err))
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) ask(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || len(text) == 0) {
		err = fmt.Errorf("%s: %q", resp.Status, text)
	}
	return err
}

// lostNone ends the load, and fails where a request was lost.
func (l *load) lostNone() {
	l.w.t.Helper()
	l.stop()
	l.done.Wait()
	l.w.t.Logf("%d requests", l.asked)
	if len(l.lost) > 0 || l.asked == 0 {
		l.w.t.Errorf("%d of %d requests are lost:\n%s", len(l.lost), l.asked, strings.Join(l.lost, "\n"))
	}
}

// politeOn is the pod on a node that is not ending.
func (w world) politeOn(node string) string {
	w.t.Helper()
	return w.field("pod -l app=polite --field-selector spec.nodeName="+node+",status.phase=Running", ".items[0].metadata.name")
}

// replaced waits until a pod is gone and all three are ready again.
func (w world) replaced(pod string) {
	w.t.Helper()
	w.eventually(pod+" is gone", func() error {
		if out, err := w.Shell(w.t.Context(), "kubectl get pod --ignore-not-found "+pod); err != nil || out != "" {
			return errors.Join(err, errors.New(out))
		}
		return nil
	})
	w.says("kubectl get rs polite -o jsonpath={.status.readyReplicas}", "3")
}

// With policy Cluster no route changes: new connections go to the other pods before the
// one that ends stops answering.
func podDeleted(w world) {
	w.apply(politeService("cluster", "", "Cluster"))
	addr := w.allocated("cluster")
	w.routed(addr, w.addrs()...)
	load := w.loads(addr)
	for _, n := range w.Topology().Nodes[:2] {
		pod := w.politeOn(n.Name)
		w.sh("kubectl delete pod --wait=false " + pod)
		w.replaced(pod)
	}
	load.lostNone()
	w.remove("cluster")
}

// With policy Local the node whose last pod ends is the last resort while the pod still
// answers, and the switch leaves it before the pod does.
func localPodDeleted(w world) {
	w.apply(politeService("local", direct, "Local"))
	addr := w.allocated("local")
	w.routed(addr, w.addrs()...)
	load := w.loads(addr)
	nodes := w.Topology().Nodes
	for i, n := range nodes[:2] {
		pod := w.politeOn(n.Name)
		w.sh("kubectl delete pod --wait=false " + pod)
		var others []string
		for j, o := range nodes {
			if j != i {
				others = append(others, o.Addr.String())
			}
		}
		slices.Sort(others)
		w.marked(n, addr)
		w.routed(addr, others...)
		w.replaced(pod)
		w.routed(addr, w.addrs()...)
	}
	load.lostNone()
	w.remove("local")
}

// marked waits until the switch has heard a node mark an address as the last resort.
func (w world) marked(node lab.NodePlan, addr string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s marks %s", node.Name, addr), func() error {
		out, err := w.SwitchExec(w.t.Context(), "show ip bgp "+addr)
		if err == nil && !strings.Contains(strings.ToLower(out), "graceful") {
			err = errors.New(out)
		}
		return err
	})
}

// A node that is cordoned and annotated is the last resort for as long as the annotation
// says, gets no new connections, and then announces nothing.
func nodeDrained(w world) {
	w.apply(politeService("drained", direct, "Cluster"))
	addr := w.allocated("drained")
	w.routed(addr, w.addrs()...)
	load := w.loads(addr)
	node := w.Topology().Nodes[1]
	w.finally(func() {
		w.sh("kubectl uncordon " + node.Name + " && kubectl annotate node " + node.Name + " pharoslb.io/drain-")
	})
	w.sh("kubectl cordon " + node.Name + " && kubectl annotate node " + node.Name + " pharoslb.io/drain=8s")
	w.marked(node, addr)
	var others []string
	for _, a := range w.addrs() {
		if a != node.Addr.String() {
			others = append(others, a)
		}
	}
	w.routed(addr, others...)
	w.shows(node.Name, []string{"nodeDraining"}, product, "status")
	w.shows(node.Name, []string{"nodeDraining: node " + node.Name + " is drained"}, product, "explain", "drained")
	w.says("kubectl get events -A --field-selector reason=nodeDraining", node.Name)
	pod := w.politeOn(node.Name)
	for range 20 {
		out, err := w.Output(w.t.Context(), lab.Client, "curl", "-sS", "--fail", "--max-time", "3", addr)
		if err != nil || strings.TrimSpace(out) == pod {
			w.t.Errorf("a new connection is answered by %q (%v)", out, err)
		}
	}
	w.sh("kubectl uncordon " + node.Name)
	w.routed(addr, w.addrs()...)
	load.lostNone()
	w.remove("drained")
}

// All of the product is replaced, node by node, which loses no request: each speaker
// marks its routes before it goes, and each proxy leaves its rules.
func agentsReplaced(w world) {
	w.apply(politeService("lasting", direct, "Cluster"))
	addr := w.allocated("lasting")
	w.routed(addr, w.addrs()...)
	load := w.loads(addr)
	parts := [][2]string{{"kube-system", "daemonset/pharos-proxy"}, {"metallb-system", "daemonset/speaker"}, {"metallb-system", "deployment/controller"}}
	for _, p := range parts {
		w.sh("kubectl rollout restart -n " + p[0] + " " + p[1])
	}
	for _, p := range parts {
		if err := w.RolledOut(w.t.Context(), p[0], p[1]); err != nil {
			w.t.Fatal(err)
		}
	}
	w.routed(addr, w.addrs()...)
	load.lostNone()
	w.remove("lasting")
}
