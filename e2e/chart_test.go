package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/internal/lab"
)

// rendered is what the Helm chart gives a release: its name is its namespace's.
func rendered(t *testing.T, release, values string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "-C", filepath.Join("..", "deploy", "tools"), "run", "./render", "-release", release, "-namespace", release, "-values", file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	return string(out)
}

// A release of the Helm chart, in a namespace and under names of its own, does what
// the plain manifests do: with the arguments, environments, accounts and rights that
// the chart gives. It brings its configuration and its Secret itself, and of its two
// controllers one takes over from the other.
func TestChart(t *testing.T) {
	t.Parallel()
	w := startWorld(t, lab.Options{Until: lab.StageFabric})
	w.sh(w.ProxyCommand())
	w.sh("kubectl create namespace lb")
	w.apply(rendered(t, "lb", "controller: {replicas: 2, logLevel: debug}\nprometheus: {metricsPort: 9120}\nnetworkpolicies: {enabled: true, defaultDeny: true}\nconfigInline:\n  "+
		strings.ReplaceAll(strings.TrimSpace(good), "\n", "\n  ")+"\n"))
	for _, part := range []string{"deployment/lb-metallb-controller", "daemonset/lb-metallb-speaker"} {
		if err := w.RolledOut(t.Context(), "lb", part); err != nil {
			t.Fatal(err)
		}
	}
	w.sh(lab.ServiceCommand)
	if got := w.allocated("ng-svc"); got != lab.VIP {
		t.Errorf("the Service has %s", got)
	}
	w.routed(lab.VIP, w.addrs()...)
	w.served(lab.VIP, 10)

	leader := w.field("lease -n lb pharos-controller", ".spec.holderIdentity")
	w.sh("kubectl delete pod -n lb --grace-period=0 --force " + leader)
	w.apply(second)
	w.routed(w.allocated("second"), w.addrs()...)
	if now := w.field("lease -n lb pharos-controller", ".spec.holderIdentity"); now == leader {
		t.Errorf("%s has the Lease still", now)
	}
	w.remove("second")
	if got := w.ingress("ng-svc"); got != lab.VIP {
		t.Errorf("the Service has %s", got)
	}

	if key := w.field("secret -n lb lb-metallb-memberlist", ".data.secretkey"); len(key) < 40 {
		t.Errorf("the membership's key has %d octets", len(key))
	}
	// Speakers that were there before the Secret find it, too: within two minutes.
	w.sh("kubectl rollout restart -n lb daemonset/lb-metallb-speaker")
	if err := w.RolledOut(t.Context(), "lb", "daemonset/lb-metallb-speaker"); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.Topology().Nodes {
		w.shows(n.Name, []string{"pharos_speaker_members 3", `metallb_bgp_session_up{peer="10.10.2.210:179"} 1`}, "curl", "-sS", "--max-time", "3", fmt.Sprintf("%s:9120/metrics", n.Addr))
	}
}
