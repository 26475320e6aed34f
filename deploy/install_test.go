package deploy_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/deploy"
	"github.com/pharoslb/pharos/internal/kube"
)

// The real API server takes the manifests, and gives their accounts and pods what
// docs/install.md says.
func TestInstalled(t *testing.T) {
	s := start(t)
	for name, page := range map[string][]byte{"pharos.yaml": deploy.Pharos, "pharos-proxy.yaml": deploy.Proxy} {
		// The namespace is not there yet, and a dry run does not make it.
		out, err := s.kubectl(string(page), "apply", "--dry-run=server", "--validate=strict", "-f", "-")
		for line := range strings.Lines(out) {
			if !strings.Contains(line, "(server dry run)") && !strings.Contains(line, `namespaces "`+own+`" not found`) {
				t.Errorf("%s: %s", name, line)
			}
		}
		if name == "pharos-proxy.yaml" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.install()
	for _, page := range [][]byte{deploy.Pharos, deploy.Proxy} {
		for line := range strings.Lines(s.must(string(page), "apply", "--dry-run=server", "--validate=strict", "-f", "-")) {
			if !strings.Contains(line, "(server dry run)") || !strings.Contains(line, " unchanged ") && !strings.Contains(line, " configured ") {
				t.Errorf("applied again: %s", line)
			}
		}
	}
	for name, test := range map[string]func(*server){"rights": testRights, "rights by name": testRightsByName, "pod security": testPodSecurity, "the membership's secret": testSecret} {
		t.Run(name, func(t *testing.T) { test(&server{t, s.ctx, s.c, s.admin}) })
	}
}

// The controller's pod meets the strictest of Kubernetes's pod security standards.
// What the speaker's and the proxy's do not meet is listed, so that it grows by
// nobody's mistake.
func testPodSecurity(s *server) {
	s.must(`
apiVersion: v1
kind: Namespace
metadata: {name: strict, labels: {pod-security.kubernetes.io/enforce: restricted}}
`, "apply", "-f", "-")
	for _, account := range accounts {
		s.must("", "create", "serviceaccount", "-n", "strict", account.account)
	}
	deployment := func(namespace, name string) *appsv1.Deployment {
		d, err := s.admin.AppsV1().Deployments(namespace).Get(s.ctx, name, metav1.GetOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		return d
	}
	daemonset := func(namespace, name string) *appsv1.DaemonSet {
		d, err := s.admin.AppsV1().DaemonSets(namespace).Get(s.ctx, name, metav1.GetOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		return d
	}
	for _, row := range []struct {
		name string
		spec corev1.PodSpec
		lack []string
	}{
		{"controller", deployment(own, "controller").Spec.Template.Spec, nil},
		{"speaker", daemonset(own, "speaker").Spec.Template.Spec, []string{
			"host namespaces", "hostPort", "unrestricted capabilities", "runAsNonRoot != true", "restricted volume types", "runAsUser=0"}},
		{"pharos-proxy", daemonset("kube-system", "pharos-proxy").Spec.Template.Spec, []string{
			"host namespaces", "hostPort", "privileged", "allowPrivilegeEscalation != false", "unrestricted capabilities",
			"runAsNonRoot != true", "restricted volume types", "runAsUser=0", "seccompProfile"}},
	} {
		row.spec.PriorityClassName, row.spec.Priority = "", nil
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: row.name, Namespace: "strict"}, Spec: row.spec}
		_, err := s.admin.CoreV1().Pods("strict").Create(s.ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if len(row.lack) == 0 {
			if err != nil {
				s.t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if err == nil {
			s.t.Errorf("%s meets the standard; %v were expected to be missing", row.name, row.lack)
			continue
		}
		_, violations, _ := strings.Cut(err.Error(), `violates PodSecurity "restricted:latest": `)
		got := strings.Split(outside(violations), ", ")
		if len(got) != len(row.lack) {
			s.t.Errorf("%s lacks %q, want %q: %v", row.name, got, row.lack, err)
		}
		for _, want := range row.lack {
			if !strings.Contains(violations, want) {
				s.t.Errorf("%s is not said to lack %q: %v", row.name, want, err)
			}
		}
	}
}

// The controller, with no right but its own, makes the Secret once.
func testSecret(s *server) {
	client, err := kube.NewClient(s.as(own, "controller"), "controller")
	if err != nil {
		s.t.Fatal(err)
	}
	name := pharos.Name{Namespace: own, Name: "memberlist"}
	for _, value := range []pharos.Secret{"first", "second"} {
		if err := client.EnsureSecret(s.ctx, name, "secretkey", value); err != nil {
			s.t.Fatal(err)
		}
	}
	secret, err := s.admin.CoreV1().Secrets(own).Get(s.ctx, name.Name, metav1.GetOptions{})
	if err != nil || string(secret.Data["secretkey"]) != "first" || len(secret.Data) != 1 {
		s.t.Errorf("%v, %v", secret.Data, err)
	}
	if _, err := client.Secret(s.ctx, name); err == nil {
		s.t.Error("the controller can read it")
	}
	if err := client.EnsureSecret(s.ctx, pharos.Name{Namespace: "default", Name: "memberlist"}, "secretkey", "x"); err == nil {
		s.t.Error("the controller can make one elsewhere")
	}
}

// outside is a text without what is in parentheses.
func outside(text string) string {
	var b strings.Builder
	depth := 0
	for _, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// What MetalLB's page left does not stand in the way of what is applied over it: no
// webhook that nobody answers, no right that nobody needs, no second Deployment.
func TestAppliedOverMetalLB(t *testing.T) {
	s := start(t)
	s.must(sample(t, "metallb.yaml"), "apply", "-f", "-")
	s.awaitKinds()
	const pool = "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {namespace: metallb-system, name: web}, spec: {addresses: [192.0.2.0/24]}}"
	if out, err := s.kubectl(pool, "apply", "-f", "-"); err == nil || !strings.Contains(out, "webhook") {
		t.Fatalf("MetalLB's webhook does not stand in the way before: %v\n%s", err, out)
	}
	speaker := asker{s, kubernetes.NewForConfigOrDie(s.as(own, "speaker"))}
	if !speaker.may("list", "secrets", own, "") {
		t.Fatal("MetalLB's speaker may not list Secrets before")
	}
	s.install()
	s.must(pool, "apply", "-f", "-")
	const peer = "{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {namespace: metallb-system, name: tor}, spec: {myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, connectTime: 5s}}"
	s.must(peer, "apply", "-f", "-")
	if out := s.must("", "get", "-n", own, "bgppeers.v1beta1.metallb.io", "tor", "-o", "yaml"); !strings.Contains(out, "connectTime: 5s") {
		t.Errorf("v1beta1 has lost a field:\n%s", out)
	}
	if speaker.may("list", "secrets", own, "") || speaker.may("list", "configmaps", own, "") {
		t.Error("the speaker has kept MetalLB's rights")
	}
	for kind, want := range map[string]string{"deployments": "controller", "daemonsets": "speaker"} {
		if got := s.must("", "get", "-n", own, kind, "-o", "jsonpath={.items[*].metadata.name}"); got != want {
			t.Errorf("%s are %q", kind, got)
		}
		if got := s.must("", "get", "-n", own, kind, "-o", "jsonpath={.items[*].spec.template.spec.containers[*].image}"); got != "pharoslb/pharos" {
			t.Errorf("%s run %q", kind, got)
		}
	}
}
