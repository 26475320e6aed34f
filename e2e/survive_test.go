package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pharoslb/pharos/internal/lab"
)

// six are as many servers on three nodes, two on each, which go on answering for a while
// when they are asked to end.
const six = `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: polite}
spec:
  replicas: 6
  selector: {matchLabels: {app: polite}}
  template:
    metadata: {labels: {app: polite}}
    spec:
      terminationGracePeriodSeconds: 60
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: polite}}}]
      containers:
      - {name: server, image: stenote/nginx-hostname, lifecycle: {preStop: {sleep: {seconds: 4}}}}
`

// many is how many connections are open while something happens.
const many = 600

// In mode direct nothing that happens to nodes and to the product breaks a connection
// whose pod is still there, and no request fails.
func TestConnectionsSurvive(t *testing.T) {
	for _, driver := range []string{"nft", "ebpf"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t, lab.Options{Until: lab.StageService, DataPlane: driver, Mode: "direct"})
			addr := w.steady(6)
			for _, event := range []struct {
				name string
				run  func(w world, addr string)
			}{
				{"a node is withdrawn and comes back", nodeWithdrawn},
				{"six pods more or less, and a node", scaledWhileWithdrawn},
				{"parts of the product are killed", partsKilled},
				{"the agents of all nodes are replaced", allAgentsReplaced},
				{"a node loses its power", powerLost}, // last: it stays off
			} {
				t.Run(event.name, func(t *testing.T) { event.run(w.in(t), addr) })
			}
		})
	}
}

// Mode nat, which is what kube-proxy does, breaks about half of all connections when one
// of three nodes is withdrawn, though every pod is there: the switch moves the third that
// came in by that node, the first one, and a sixth between the others.
func TestModeNATBreaksHalf(t *testing.T) {
	t.Parallel()
	w := startWorld(t, lab.Options{Until: lab.StageService, DataPlane: "nft", Mode: "nat"})
	addr := w.steady(6)
	held := w.hold(addr, many)
	w.withdraw(addr, w.Topology().Nodes[0])
	lost := 0
	for _, n := range w.lost(held) {
		lost += n
	}
	t.Logf("%d of %d connections are broken", lost, len(held))
	if share := 100 * lost / len(held); share < 40 || share > 60 {
		t.Errorf("%d of %d connections are broken, want about half", lost, len(held))
	}
}

// steady deploys so many servers with a Service, and returns its address when the client
// is answered by all of them.
func (w world) steady(pods int) string {
	w.t.Helper()
	w.apply(six)
	w.apply(politeService("steady", "", "Cluster"))
	addr := w.allocated("steady")
	w.scaled(addr, pods)
	w.routed(addr, w.addrs()...)
	return addr
}

// scaled waits until so many servers answer, and no others.
func (w world) scaled(addr string, pods int) {
	w.t.Helper()
	w.sh(fmt.Sprintf("kubectl scale rs polite --replicas=%d", pods))
	w.eventually(fmt.Sprintf("there are %d pods", pods), func() error {
		out, err := w.Shell(w.t.Context(), "kubectl get pod -l app=polite --no-headers")
		if err == nil && (strings.Count(out, "1/1") != pods || strings.Count(out, "\n") != pods) {
			err = fmt.Errorf("pods:\n%s", out)
		}
		return err
	})
	w.eventually(fmt.Sprintf("%d pods answer", pods), func() error {
		seen := map[string]bool{}
		for range 20 * pods {
			out, err := w.Output(w.t.Context(), lab.Client, "curl", "-sS", "--fail", "--max-time", "3", addr)
			if err != nil {
				return err
			}
			if seen[out] = true; len(seen) == pods {
				return nil
			}
		}
		return fmt.Errorf("%v answer", slices.Sorted(maps.Keys(seen)))
	})
}

// hold opens connections that stay.
func (w world) hold(addr string, n int) []*longLived {
	w.t.Helper()
	held, errs := make([]*longLived, n), make([]error, n)
	var opening sync.WaitGroup
	for part := range 8 {
		opening.Go(func() {
			for i := part; i < n && errs[part] == nil; i += 8 {
				held[i], errs[part] = w.connect(addr + ":80")
			}
		})
	}
	opening.Wait()
	for _, err := range errs {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return held
}

// lost asks on every connection, all at once, and counts those that are not answered by
// the pod that has them, by that pod.
func (w world) lost(held []*longLived) map[string]int {
	broken := make([]bool, len(held))
	var asking sync.WaitGroup
	for i, c := range held {
		asking.Go(func() {
			pod, err := c.ask()
			broken[i] = err != nil || pod != c.pod
		})
	}
	asking.Wait()
	lost := map[string]int{}
	for i, c := range held {
		if broken[i] {
			lost[c.pod]++
		}
	}
	return lost
}

// of counts the connections to pods.
func of(held []*longLived, pods ...string) map[string]int {
	n := map[string]int{}
	for _, c := range held {
		if slices.Contains(pods, c.pod) {
			n[c.pod]++
		}
	}
	return n
}

// withdraw has a node announce nothing, and waits until the switch routes around it. The
// node goes on working.
func (w world) withdraw(addr string, node lab.NodePlan) {
	w.t.Helper()
	w.sh("kubectl label node " + node.Name + " node.kubernetes.io/exclude-from-external-load-balancers=")
	w.routed(addr, without(w.addrs(), node.Addr.String())...)
}

// restore undoes withdraw.
func (w world) restore(addr string, node lab.NodePlan) {
	w.t.Helper()
	w.sh("kubectl label node " + node.Name + " node.kubernetes.io/exclude-from-external-load-balancers-")
	w.routed(addr, w.addrs()...)
}

func nodeWithdrawn(w world, addr string) {
	held, load := w.hold(addr, many), w.loads(addr)
	for i := range 2 {
		n := w.Topology().Nodes[2*i] // a node in the middle of the switch's list would move fewer
		w.withdraw(addr, n)
		w.unbroken(held, n.Name+" is withdrawn")
		w.restore(addr, n)
		w.unbroken(held, n.Name+" is back")
	}
	load.lostNone()
}

// scaledWhileWithdrawn makes five pods six and five again, while a node leaves. What is
// lost is the connections to the pod that ends, when it has ended.
func scaledWhileWithdrawn(w world, addr string) {
	nodes := w.Topology().Nodes
	w.scaled(addr, 5)
	held, load := w.hold(addr, many), w.loads(addr)
	w.sh("kubectl scale rs polite --replicas=6")
	w.withdraw(addr, nodes[0])
	w.scaled(addr, 6)
	w.unbroken(held, "a pod more and a node less")
	held = append(held, w.hold(addr, many)...)
	before := w.polite()
	w.sh("kubectl scale rs polite --replicas=5")
	w.restore(addr, nodes[0])
	w.withdraw(addr, nodes[1])
	w.scaled(addr, 5)
	after := w.polite()
	gone := slices.DeleteFunc(before, func(pod string) bool { return slices.Contains(after, pod) })
	if lost, want := w.lost(held), of(held, gone...); !maps.Equal(lost, want) || len(gone) != 1 {
		w.t.Errorf("%v is gone, and these are broken: %v; want %v", gone, lost, want)
	}
	w.restore(addr, nodes[1])
	load.lostNone()
	w.scaled(addr, 6)
}

// polite are the servers that there are.
func (w world) polite() []string {
	w.t.Helper()
	return strings.Fields(w.sh("kubectl get pod -l app=polite -o jsonpath={.items[*].metadata.name}"))
}

// partsKilled kills a node's speaker and proxy and the controller, without asking them.
func partsKilled(w world, addr string) {
	held, load := w.hold(addr, many), w.loads(addr)
	node := w.Topology().Nodes[1].Name
	w.crash(node, proxyPort)
	w.unbroken(held, "a proxy is killed")
	w.crash(node, speakerPort)
	w.routed(addr, w.addrs()...)
	w.unbroken(held, "a speaker is killed")
	w.crash("pod/metallb-system/"+w.component("metallb-system", "component=controller", ""), controllerPort)
	w.unbroken(held, "the controller is killed")
	load.lostNone()
}

// allAgentsReplaced restarts proxies and speakers of all nodes, one after the other.
func allAgentsReplaced(w world, addr string) {
	held, load := w.hold(addr, many), w.loads(addr)
	for _, set := range []string{"kube-system daemonset/pharos-proxy", "metallb-system daemonset/speaker"} {
		namespace, name, _ := strings.Cut(set, " ")
		w.sh("kubectl rollout restart -n " + namespace + " " + name)
		if err := w.RolledOut(w.t.Context(), namespace, name); err != nil {
			w.t.Fatal(err)
		}
		w.routed(addr, w.addrs()...)
		w.unbroken(held, name+" is replaced")
	}
	load.lostNone()
}

// powerLost takes a node's power. What is lost is the connections to its pods.
func powerLost(w world, addr string) {
	node := w.Topology().Nodes[2]
	held := w.hold(addr, many)
	pods := strings.Fields(w.sh("kubectl get pod -l app=polite --field-selector spec.nodeName=" + node.Name + " -o jsonpath={.items[*].metadata.name}"))
	if err := w.PowerOff(node.Name); err != nil {
		w.t.Fatal(err)
	}
	w.routed(addr, without(w.addrs(), node.Addr.String())...)
	if lost, want := w.lost(held), of(held, pods...); !maps.Equal(lost, want) || len(pods) != 2 {
		w.t.Errorf("%s with %v has no power, and these are broken: %v; want %v", node.Name, pods, lost, want)
	}
	load := w.loads(addr)
	w.served(addr, 50)
	load.lostNone()
}
