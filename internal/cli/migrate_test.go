package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/deploy"
	"github.com/pharoslb/pharos/internal/lab/cluster"
	"github.com/pharoslb/pharos/internal/migrate"
)

// left is a real API server with what MetalLB leaves in it.
type left struct {
	t   *testing.T
	ctx context.Context
	c   *cluster.Cluster
}

func (l *left) kubectl(stdin string, args ...string) string {
	l.t.Helper()
	cmd := l.c.Kubectl(l.ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		l.t.Fatalf("kubectl %v: %v\n%s", args, err, errs.String())
	}
	return out.String()
}

// apply writes the objects of a file, and the statuses of another.
func (l *left) apply(objects, statuses string) {
	l.t.Helper()
	l.kubectl(migrateSample(l.t, objects), "apply", "-f", "-")
	if statuses != "" {
		l.kubectl(migrateSample(l.t, statuses), "apply", "--server-side", "--subresource=status", "--field-manager=metallb", "-f", "-")
	}
}

func migrateSample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "migrate", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func leftBehind(t *testing.T) *left {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // generous: other packages' tests share the machine
	t.Cleanup(cancel)
	c, err := cluster.Start(ctx, cluster.Options{Dir: t.TempDir(), Components: []cluster.Component{cluster.APIServer}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	l := &left{t, ctx, c}
	kinds, err := fs.Glob(deploy.CRDs, "crds/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range kinds {
		text, err := deploy.CRDs.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		l.kubectl(string(text), "apply", "-f", "-")
	}
	l.apply("kinds.yaml", "")
	if err := c.AwaitKinds(ctx); err != nil {
		t.Fatal(err)
	}
	l.apply("metallb.yaml", "status.yaml")
	return l
}

// migrateCheck runs the command, and returns what it says and exits with.
func migrateCheck(ctx context.Context, args ...string) (string, int) {
	var out, progress bytes.Buffer
	cmd := New()
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	cmd.SetArgs(append([]string{"migrate", "check"}, args...))
	if err := cmd.ExecuteContext(ctx); err != nil {
		return out.String() + err.Error(), ExitCode(err)
	}
	return out.String(), 0
}

func TestMigrateCheck(t *testing.T) {
	l := leftBehind(t)
	versions := func() string {
		return l.kubectl("", "get", "services,nodes,pods,configmaps,secrets,deployments,daemonsets,ipaddresspools,bgppeers,servicel2statuses,frrconfigurations", "-n", "metallb-system",
			"-o", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
	}
	before := versions()
	t.Run("nothing", func(t *testing.T) {
		out, code := migrateCheck(l.ctx, "--kubeconfig", l.c.Kubeconfig())
		const verdict = "2 Services, 2 IPs, 1 layer 2 owner, 1 BGP announcement, 2 pools, 2 advertisements, 1 peer, 3 nodes compared with MetalLB 0.16.1 in frr-k8s mode: nothing would change\n"
		if code != 0 || !strings.HasSuffix(out, verdict) || strings.Contains(out, "CHANGE") {
			t.Errorf("exit code %d:\n%s", code, out)
		}
	})
	t.Run("rights", func(t *testing.T) { testMigrateRights(t, l) })
	if after := versions(); after != before || !strings.Contains(before, "BGPPeer tor") {
		t.Errorf("objects before\n%s\nafter\n%s", before, after)
	}

	l.kubectl("", "create", "namespace", "frr-k8s-system")
	l.kubectl("", "delete", "-n", "metallb-system", "servicel2status", "l2-abcde")
	l.apply("different.yaml", "different-status.yaml")
	t.Run("everything", func(t *testing.T) {
		out, code := migrateCheck(l.ctx, "--kubeconfig", l.c.Kubeconfig(), "-o", "json")
		text, told, _ := strings.Cut(out, "\n}\n")
		var r migrate.Report
		if err := json.Unmarshal([]byte(text+"\n}"), &r); err != nil || code != 1 || told != "" {
			t.Fatalf("exit code %d, %v, %q:\n%s", code, err, told, out)
		}
		var got []string
		for _, f := range r.Changes {
			got = append(got, fmt.Sprintf("%s %s: %s -> %s", f.Kind, f.Object, f.Is, f.Becomes))
		}
		want := []string{
			"refused ConfigMap metallb-system/bgpextras: refused by MetalLB 0.16.1 in frr-k8s mode, with all of the configuration -> not read",
			"refused FRRConfiguration frr-k8s-system/extra: part of FRR's configuration -> not read",
			"configuration ConfigMap config: not read -> in force: pool old",
			"address Service default/web: 192.0.2.1 of pool web -> 198.51.100.0 of pool zone",
			"owner Service default/lan: n3 on eth0 -> n2 on eth0",
			"announcement Service default/fixed: n2 to tor -> nobody",
			"session BGPPeer metallb-system/tor: sourceAddress ignored: the kernel chooses -> from 10.10.2.1",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
	t.Run("table", func(t *testing.T) {
		out, code := migrateCheck(l.ctx, "--kubeconfig", l.c.Kubeconfig())
		for _, want := range []string{"CHANGE         OBJECT", "NOTE           OBJECT", "address        Service default/web", "hold time 180s", ": 7 changes\n"} {
			if !strings.Contains(out, want) || code != 1 {
				t.Errorf("exit code %d, no %q in\n%s", code, want, out)
			}
		}
	})
	t.Run("another mode", func(t *testing.T) {
		for _, object := range []string{"deployment/controller", "daemonset/speaker"} {
			l.kubectl("", "set", "env", "-n", "metallb-system", object, "METALLB_BGP_TYPE-")
		}
		out, _ := migrateCheck(l.ctx, "--kubeconfig", l.c.Kubeconfig())
		if strings.Contains(out, "sourceAddress ignored") || !strings.Contains(out, "MetalLB 0.16.1 in native mode: 6 changes") {
			t.Errorf("got\n%s", out)
		}
	})
	t.Run("the ConfigMap era", func(t *testing.T) {
		l.kubectl("", "delete", "-n", "metallb-system", "ipaddresspools,bgppeers,bgpadvertisements,l2advertisements,servicel2statuses,servicebgpstatuses,frrconfigurations", "--all")
		l.kubectl("", "delete", "-n", "frr-k8s-system", "frrconfigurations", "--all")
		l.kubectl("", "delete", "-n", "metallb-system", "configmap/bgpextras")
		l.kubectl("", "delete", "service/fixed")
		l.kubectl("", "annotate", "service/web", "service/lan", "metallb.io/ip-allocated-from-pool-")
		l.apply("configmap.yaml", "")
		l.kubectl("", "set", "image", "-n", "metallb-system", "deployment/controller", "controller=metallb/controller:v0.9.5")
		l.kubectl("", "set", "image", "-n", "metallb-system", "daemonset/speaker", "speaker=metallb/speaker:v0.9.5")
		out, code := migrateCheck(l.ctx, "--kubeconfig", l.c.Kubeconfig())
		out = regexp.MustCompile(`  +`).ReplaceAllString(out, "  ")
		for _, want := range []string{"owner  Service default/lan  n1  n2  ", "2 Services  no annotation metallb.io/ip-allocated-from-pool", "MetalLB 0.9.5 in native mode: 1 change\n"} {
			if !strings.Contains(out, want) || code != 1 {
				t.Errorf("exit code %d, no %q in\n%s", code, want, out)
			}
		}
	})
	t.Run("another namespace", func(t *testing.T) {
		out, code := migrateCheck(l.ctx, "--kubeconfig", l.c.Kubeconfig(), "-n", "default")
		if code != 1 || !strings.Contains(out, "ConfigMap default/config") || !strings.Contains(out, "--namespace") {
			t.Errorf("exit code %d:\n%s", code, out)
		}
	})
}

// kubeconfig writes the file of an account.
func kubeconfig(t *testing.T, server, authority, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %q}}], users: [{name: u, user: {token: %q}}]}`, server, authority, token)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// testMigrateRights asks with an account that has no right at first, and then those
// that the help tells of and no other.
func testMigrateRights(t *testing.T, l *left) {
	l.kubectl("", "create", "serviceaccount", "-n", "metallb-system", "asker")
	token := strings.TrimSpace(l.kubectl("", "create", "token", "-n", "metallb-system", "asker"))
	authority := l.kubectl("", "config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.certificate-authority-data}")
	file := kubeconfig(t, "https://"+l.c.Addr().String(), authority, token)
	out, code := migrateCheck(l.ctx, "--kubeconfig", file)
	for _, kind := range []string{"services", "endpointslices.discovery.k8s.io", "nodes", "namespaces", "configmaps", "ipaddresspools.metallb.io", "bgppeers.metallb.io",
		"deployments.apps", "daemonsets.apps", "pods", "servicel2statuses.metallb.io", "servicebgpstatuses.metallb.io", "frrconfigurations.frrk8s.metallb.io"} {
		if code != 2 || !strings.Contains(out, "list "+kind+": ") {
			t.Errorf("exit code %d, nothing of %s in\n%s", code, kind, out)
		}
	}
	l.kubectl(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: asker}
rules:
- {apiGroups: ["", discovery.k8s.io], resources: [services, nodes, namespaces, endpointslices], verbs: [list]}
- {apiGroups: [frrk8s.metallb.io], resources: [frrconfigurations], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: asker}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: asker}
subjects: [{kind: ServiceAccount, name: asker, namespace: metallb-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: asker, namespace: metallb-system}
rules:
- {apiGroups: [""], resources: [configmaps, pods], verbs: [list]}
- {apiGroups: [apps], resources: [deployments, daemonsets], verbs: [list]}
- {apiGroups: [metallb.io], resources: ["*"], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: asker, namespace: metallb-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: asker}
subjects: [{kind: ServiceAccount, name: asker, namespace: metallb-system}]
`, "apply", "-f", "-")
	for { // the authorizer watches, too
		out, code = migrateCheck(l.ctx, "--kubeconfig", file)
		if code == 0 {
			return
		}
		select {
		case <-l.ctx.Done():
			t.Fatalf("exit code %d:\n%s", code, out)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Nobody answers, and a kubeconfig that is not there.
func TestMigrateCheckCannotTell(t *testing.T) {
	file := kubeconfig(t, "https://127.0.0.1:1", "", "")
	out, code := migrateCheck(t.Context(), "--kubeconfig", file)
	if code != 2 || !strings.HasPrefix(out, "could not tell:\nlist services: ") || strings.Count(out, "\n") > 2 {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if out, code := migrateCheck(t.Context(), "--kubeconfig", file+"-not"); code != 2 || !strings.Contains(out, "no such file") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if out, code := migrateCheck(t.Context(), "-o", "yaml"); code != 2 || !strings.Contains(out, "neither table nor json") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
