package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
)

const (
	// good is the walk-through's configuration.
	good = `peers:
- peer-address: 10.10.2.210
  peer-asn: 65210
  my-asn: 65211
address-pools:
- name: default
  protocol: bgp
  avoid-buggy-ips: true
  addresses:
  - 172.19.100.0/24
`
	// second is one more Service for the walk-through's pods.
	second = `apiVersion: v1
kind: Service
metadata:
  name: second
spec:
  type: LoadBalancer
  ports: [{port: 80}]
  selector: {app: con-test}
`
)

// What bad input gets, and what happens when parts are away: addresses, routes
// and connections stay.
func TestFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := w.addrs()
	w.routed(lab.VIP, all...)
	for _, fault := range []struct {
		name string
		run  func(world)
	}{
		{"broken configuration", brokenConfiguration},
		{"pool that orphans an address", orphaningPool},
		{"impossible address", impossibleAddress},
		{"controller restarted", controllerRestarted},
		{"speaker restarted", speakerRestarted},
		{"traffic policy Local", policyLocal},
		{"no endpoints", noEndpoints},
		{"API server away", apiServerAway},
	} {
		t.Run(fault.name, func(t *testing.T) {
			w := w.in(t)
			fault.run(w)
			// Whatever happened, the walk-through still holds.
			w.routed(lab.VIP, all...)
			w.served(lab.VIP, 10)
		})
	}
}

func brokenConfiguration(w world) {
	w.configure(strings.Replace(good, "peer-asn: 65210", "peer-asn: sixty", 1))
	w.stale(true)
	w.says("kubectl get events -n metallb-system --field-selector type=Warning,involvedObject.kind=ConfigMap", "configInvalid", "line 3", "peer-asn", `"sixty" is not a whole number`)
	// The last good one stays in force, for new Services too.
	w.apply(second)
	w.says("kubectl get svc second", "172.19.100.2")
	w.routed("172.19.100.2", w.addrs()...)
	w.served(lab.VIP, 5)
	w.configure(good)
	w.stale(false)
	w.sh("kubectl delete svc second")
	w.routed("172.19.100.2")
}

func orphaningPool(w world) {
	w.configure(strings.Replace(good, "172.19.100.0/24", "172.19.101.0/24", 1))
	w.stale(true)
	w.says("kubectl get events -n metallb-system --field-selector type=Warning,involvedObject.kind=ConfigMap", "configOrphansAddress", lab.VIP)
	if got := w.ingress("ng-svc"); got != lab.VIP {
		w.t.Errorf("the Service has %q", got)
	}
	w.routed(lab.VIP, w.addrs()...)
	w.served(lab.VIP, 5)
	// It comes into force by itself once the address is free.
	w.sh("kubectl delete svc ng-svc")
	w.stale(false)
	w.apply(second)
	w.says("kubectl get svc second", "172.19.101.1")
	w.sh("kubectl delete svc second")
	w.routed("172.19.101.1")
	w.configure(good)
	w.stale(false)
	w.sh("kubectl apply -f test.yaml")
	w.says("kubectl get svc ng-svc", lab.VIP)
}

func impossibleAddress(w world) {
	w.apply(strings.Replace(second, "type: LoadBalancer", "type: LoadBalancer\n  loadBalancerIP: 192.0.2.1", 1))
	w.says("kubectl get events --field-selector type=Warning,involvedObject.name=second", "AllocationFailed", "192.0.2.1")
	if got := w.ingress("second"); got != "" {
		w.t.Errorf("the Service has %q", got)
	}
	w.sh("kubectl delete svc second")
}

func controllerRestarted(w world) {
	before := w.sh("kubectl get pod -n metallb-system -l component=controller -o name")
	w.sh("kubectl delete pod -n metallb-system -l component=controller")
	if err := w.RolledOut(w.t.Context(), "metallb-system", "deployment/controller"); err != nil {
		w.t.Fatal(err)
	}
	if now := w.sh("kubectl get pod -n metallb-system -l component=controller -o name"); now == before {
		w.t.Fatal("the controller was not restarted")
	}
	w.apply(second)
	w.says("kubectl get svc second", "172.19.100.2")
	if got := w.ingress("ng-svc"); got != lab.VIP {
		w.t.Errorf("after a restart the Service has %q", got)
	}
	w.sh("kubectl delete svc second")
}

// A speaker that is asked to end says goodbye, so that the switch does not wait
// for its hold time, and its successor announces the same.
func speakerRestarted(w world) {
	node := w.Topology().Nodes[1]
	speaker := strings.TrimSpace(w.sh("kubectl get pod -n metallb-system -l component=speaker --field-selector spec.nodeName=" + node.Name + " -o name"))
	established := func() string {
		out, err := w.Output(w.t.Context(), lab.Switch, "ss", "-Htn", "state", "established", "sport = :179", "dst "+node.Addr.String())
		if err != nil {
			w.t.Fatal(err)
		}
		return out
	}
	before := established()
	w.sh("kubectl delete -n metallb-system --wait=false " + speaker)
	w.eventually("the speaker's successor has a session", func() error {
		if now := established(); now == "" || now == before {
			return fmt.Errorf("connections: %q", now)
		}
		return nil
	})
	out, err := w.SwitchExec(w.t.Context(), "show ip bgp neighbors "+node.Addr.String()+" | include Notifications")
	if err != nil {
		w.t.Fatal(err)
	}
	// One more than none: CEASE, RFC 4486.
	if f := strings.Fields(out); len(f) != 3 || f[2] == "0" {
		w.t.Errorf("the speaker left without a word: %q", out)
	}
}

// With externalTrafficPolicy Local the switch routes to the nodes that have a
// pod, and pods see the client's own address.
func policyLocal(w world) {
	w.sh(`kubectl patch svc ng-svc -p '{"spec":{"externalTrafficPolicy":"Local"}}'`)
	w.sh("kubectl scale rs ng-test-rs --replicas=1")
	var node string
	w.eventually("one pod is left", func() error {
		node = strings.TrimSpace(w.sh("kubectl get pod -l app=con-test -o jsonpath={.items[*].spec.nodeName}"))
		if len(strings.Fields(node)) != 1 {
			return errors.New(node)
		}
		return nil
	})
	i := slices.IndexFunc(w.Topology().Nodes, func(n lab.NodePlan) bool { return n.Name == node })
	w.routed(lab.VIP, w.Topology().Nodes[i].Addr.String())
	// Its own connections alone tell what the policy does.
	if _, err := w.Output(w.t.Context(), node, "conntrack", "-F"); err != nil {
		w.t.Fatal(err)
	}
	w.served(lab.VIP, 10)
	// The answer goes to the client, not to the node: nothing was masqueraded.
	pod := w.sh("kubectl get pod -l app=con-test -o jsonpath={.items[0].status.podIP}")
	client := w.Topology().Client.Addr().String()
	out, err := w.Output(w.t.Context(), node, "conntrack", "-L", "-p", "tcp", "--orig-src", client, "--orig-dst", lab.VIP)
	if err != nil {
		w.t.Fatal(err)
	}
	if want := "src=" + pod + " dst=" + client; !strings.Contains(out, want) {
		w.t.Errorf("no connection is answered with %s:\n%s", want, out)
	}
	w.sh("kubectl scale rs ng-test-rs --replicas=3")
	w.sh(`kubectl patch svc ng-svc -p '{"spec":{"externalTrafficPolicy":"Cluster"}}'`)
	w.says("kubectl get rs ng-test-rs -o jsonpath={.status.readyReplicas}", "3")
}

func noEndpoints(w world) {
	w.sh("kubectl scale rs ng-test-rs --replicas=0")
	w.routed(lab.VIP)
	if got := w.ingress("ng-svc"); got != lab.VIP {
		w.t.Errorf("without endpoints the Service has %q", got)
	}
	w.sh("kubectl scale rs ng-test-rs --replicas=3")
	w.says("kubectl get rs ng-test-rs -o jsonpath={.status.readyReplicas}", "3")
}

// The API server is away for longer than any hold time or lease lasts.
func apiServerAway(w world) {
	if err := w.StopAPIServer(); err != nil {
		w.t.Fatal(err)
	}
	requests := 0
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); requests++ {
		if err := w.ask(lab.VIP); err != nil {
			w.t.Fatalf("request %d without an API server: %v", requests+1, err)
		}
		if got, err := w.hops(lab.VIP); err != nil || !slices.Equal(got, w.addrs()) {
			w.t.Fatalf("without an API server, next hops %v (%v)", got, err)
		}
	}
	if requests == 0 {
		w.t.Error("nobody asked")
	}
	if err := w.StartAPIServer(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.apply(second)
	w.says("kubectl get svc second", "172.19.100.2")
	w.routed("172.19.100.2", w.addrs()...)
	w.sh("kubectl delete svc second")
}
