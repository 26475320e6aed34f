package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
)

// Beside the real kube-proxy, which carries cluster IPs and node ports, Pharos
// carries the load balancer addresses, and loses no connection when a node that
// they come in by is withdrawn.
func TestBesideKubeProxy(t *testing.T) {
	for mode, driver := range map[string]string{"iptables": "nft", "nftables": "auto"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t, lab.Options{Until: lab.StageService, KubeProxy: mode, DataPlane: driver, Mode: "direct"})
			w.sh("kubectl rollout status -n metallb-system daemonset/speaker")
			w.routed(lab.VIP, w.addrs()...)
			w.sh("kubectl wait --for=jsonpath='{.status.readyReplicas}'=3 replicaset/ng-test-rs --timeout=90s")

			cluster := w.field("service ng-svc", ".spec.clusterIP")
			port := w.field("service ng-svc", ".spec.ports[0].nodePort")
			for _, n := range w.Topology().Nodes {
				w.answers(n.Name, cluster+":80")
				w.answers(lab.Client, n.Addr.String()+":"+port)
				if held := w.rules(n.Name); strings.Contains(held, cluster) {
					t.Errorf("%s: Pharos has the cluster IP %s too:\n%s", n.Name, cluster, held)
				}
			}

			const connections = 150
			var held []*longLived
			for i := range connections {
				c, err := w.connect(lab.VIP + ":80")
				if err != nil {
					t.Fatalf("connection %d: %v", i, err)
				}
				held = append(held, c)
			}
			gone := w.Topology().Nodes[1]
			w.sh("kubectl label node " + gone.Name + " node.kubernetes.io/exclude-from-external-load-balancers=")
			w.routed(lab.VIP, without(w.addrs(), gone.Addr.String())...)
			w.unbroken(held, "one of three nodes withdrawn")
			w.sh("kubectl label node " + gone.Name + " node.kubernetes.io/exclude-from-external-load-balancers-")
			w.routed(lab.VIP, w.addrs()...)
			w.unbroken(held, "the node back")
		})
	}
}

func without(all []string, one string) []string {
	var rest []string
	for _, a := range all {
		if a != one {
			rest = append(rest, a)
		}
	}
	return rest
}

// answers waits until a pod answers at an address.
func (w world) answers(place, at string) {
	w.t.Helper()
	w.eventually("a pod answers "+place+" at "+at, func() error {
		_, err := w.Output(w.t.Context(), place, "curl", "-sS", "--fail", "--max-time", "5", "http://"+at)
		return err
	})
}

// longLived is a client's connection that stays.
type longLived struct {
	conn net.Conn
	in   *bufio.Reader
	pod  string // that answers
}

// connect opens a connection from the client, and asks once.
func (w world) connect(at string) (*longLived, error) {
	ns, err := w.NS(lab.Client)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	conn, err := ns.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(func() { conn.Close() })
	c := &longLived{conn: conn, in: bufio.NewReader(conn)}
	c.pod, err = c.ask()
	return c, err
}

// ask sends a request on the connection, and returns who answers.
func (c *longLived) ask() (string, error) {
	// More than enough for a packet that is lost on the way to be sent again.
	c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: lab\r\n\r\n"); err != nil {
		return "", err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return strings.TrimSpace(string(body)), err
}

// unbroken asks on every connection, all at once, and fails for each that is not
// answered by the pod that has it.
func (w world) unbroken(held []*longLived, when string) {
	w.t.Helper()
	broken := make(chan error, len(held))
	for i, c := range held {
		go func() {
			pod, err := c.ask()
			if err == nil && pod != c.pod {
				err = fmt.Errorf("%s answers instead of %s", pod, c.pod)
			}
			if err != nil {
				err = fmt.Errorf("connection %d from %s: %w", i, c.conn.LocalAddr(), err)
			}
			broken <- err
		}()
	}
	n := 0
	for range held {
		if err := <-broken; err != nil {
			n++
			w.t.Log(err)
		}
	}
	if n > 0 {
		w.t.Errorf("%s: %d of %d connections are broken", when, n, len(held))
	}
}
