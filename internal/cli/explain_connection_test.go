package cli

import (
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// Where no proxy runs, the error says what to do, and nothing of how it was asked.
func TestExplainConnectionWithoutProxy(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "proxy.sock")
	_, err := run(t, "explain", "connection", "--socket", socket, "192.0.2.7:40000", "172.19.100.1:80")
	if err == nil || strings.Contains(err.Error(), "http://") || !strings.HasPrefix(err.Error(), "no proxy of Pharos answers at "+socket+": ") || !strings.Contains(err.Error(), "daemonset/pharos-proxy") {
		t.Errorf("%v", err)
	}
}

// directState is what a node plans that has one direct Service, of pods on two
// nodes.
func directState(t *testing.T) *dataplane.State {
	t.Helper()
	name := pharos.Name{Namespace: "default", Name: "web"}
	s := &pharos.Snapshot{Synced: true}
	s.Services = s.Services.With(name, &pharos.Service{
		Name: name, Type: pharos.LoadBalancer, Mode: pharos.Direct, ClusterIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")},
		Ingress: []netip.Addr{netip.MustParseAddr("172.19.100.1")}, Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80}},
		SourceRanges: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	e := &pharos.Endpoints{}
	for i, node := range []string{"n1", "n2"} {
		s.Nodes = s.Nodes.With(node, &pharos.Node{Name: node, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)})}})
		e.Backends = append(e.Backends, pharos.Backend{
			Addr: netip.AddrFrom4([4]byte{10, 244, byte(i), 2}), Node: node, Ready: true, Serving: true,
			Ports: []pharos.BackendPort{{Protocol: pharos.TCP, Port: 8080}}})
	}
	s.Endpoints = s.Endpoints.With(name, e)
	return dataplane.NewPlanner(dataplane.Options{Node: "n1"}).Plan(s)
}

func TestExplainConnection(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "proxy.sock")
	mux := http.NewServeMux()
	state := directState(t)
	mux.Handle(tracePath, tracer(state.Trace))
	serveSocket(t, socket, mux)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"192.0.2.7:40002", "172.19.100.1:80"}, []string{
			"service:        default/web at 172.19.100.1:80/TCP (LoadBalancer), in mode direct",
			"slot:           474 of 512, in table 73f54d625070f3e4",
			"owner:          10.244.0.2:8080 on n1",
			"previous owner: 10.244.1.2:8080 on n2",
			"new:            n1 → 10.244.0.2:8080",
			"unknown:        n1 → n2 (a second chance) → refused, by a TCP reset or ICMP",
		}},
		{[]string{"198.51.100.1:40000", "172.19.100.1:80"}, []string{"service:        default/web, whose loadBalancerSourceRanges don't admit 198.51.100.1: dropped"}},
		{[]string{"192.0.2.7:40000", "172.19.100.9:80"}, []string{"service:        none that this proxy carries is at 172.19.100.9:80/TCP; a packet is left to the node's routes, and to a kube-proxy beside"}},
		{[]string{"192.0.2.7:40000", "10.96.0.1:80"}, []string{
			"service:        default/web at 10.96.0.1:80/TCP (ClusterIP), in mode nat",
			"n1 → one of 10.244.0.2:8080, 10.244.1.2:8080; this node remembers it",
		}},
	} {
		out, err := run(t, append([]string{"explain", "connection", "--socket", socket}, c.args...)...)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v: no %q in\n%s", c.args, want, out)
			}
		}
	}
	for _, args := range [][]string{{"192.0.2.7", "172.19.100.1:80"}, {"192.0.2.7:1", "[fd00::1]:80"}, {"192.0.2.7:1", "172.19.100.1:80", "--protocol=icmp"}} {
		if out, err := run(t, append([]string{"explain", "connection", "--socket", socket}, args...)...); err == nil {
			t.Errorf("%v: %s", args, out)
		}
	}
}
