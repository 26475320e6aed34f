package cluster_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pharoslb/pharos/internal/lab/cluster"
)

// deadline is generous: the machine may be busy with other packages' tests.
const deadline = 3 * time.Minute

func contextFor(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// Without a namespace the API server serves on loopback, to those who verify
// it and show a certificate, and survives a restart with its data.
func TestAPIServerOnLoopback(t *testing.T) {
	ctx := contextFor(t)
	var phases []string
	c, err := cluster.Start(ctx, cluster.Options{
		Dir:        t.TempDir(),
		Components: []cluster.Component{cluster.APIServer},
		Progress: func(phase, detail string) {
			if !slices.Contains(phases, phase) {
				phases = append(phases, phase)
			}
		},
		AuditPolicy: []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if want := []string{"keys", "etcd", "kube-apiserver"}; !slices.Equal(phases, want) {
		t.Errorf("progress told of %q, want %q", phases, want)
	}

	admin := kubernetes.NewForConfigOrDie(c.Config())
	version, err := admin.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.GitVersion != cluster.Version {
		t.Errorf("the API server says it is %s, want %s", version.GitVersion, cluster.Version)
	}

	// The certificate names each address by which the lab reaches the server,
	// and is signed by the cluster's own authority alone.
	ca, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(c.Kubeconfig())), "pki", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	for _, name := range []string{"127.0.0.1", "10.233.0.1", "localhost", "kubernetes.default.svc"} {
		conn, err := tls.Dial("tcp", c.Addr().String(), &tls.Config{RootCAs: roots, ServerName: name})
		if err != nil {
			t.Errorf("as %s: %v", name, err)
			continue
		}
		conn.Close()
	}
	if _, err := tls.Dial("tcp", c.Addr().String(), &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}); err == nil {
		t.Error("a client that does not know the authority accepted the API server")
	}

	// A kubelet is its node, and nobody more.
	node, err := c.Node("n1", netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	kubelet := kubernetes.NewForConfigOrDie(node.Config)
	if _, err := kubelet.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{}); err != nil {
		t.Errorf("the kubelet of n1 can't register n1: %v", err)
	}
	if _, err := kubelet.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the kubelet of n1 registers n2: %v, want forbidden", err)
	}
	if _, err := kubelet.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the kubelet of n1 lists secrets: %v, want forbidden", err)
	}

	if err := c.Stop(cluster.APIServer); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Discovery().ServerVersion(); err == nil {
		t.Error("the API server answers after Stop")
	}
	if err := c.Start(ctx, cluster.APIServer); err != nil {
		t.Fatal(err)
	}
	fromFile, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kubernetes.NewForConfigOrDie(fromFile).CoreV1().Nodes().Get(ctx, "n1", metav1.GetOptions{}); err != nil {
		t.Errorf("with the kubeconfig file, after the restart: %v", err)
	}
	out, err := c.Kubectl(ctx, "get", "node", "n1", "-o", "name").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "node/n1" {
		t.Errorf("kubectl printed %q (%v), want node/n1", out, err)
	}

	select {
	case f := <-c.Failed():
		t.Errorf("a component that was stopped is reported as failed: %v", f)
	default:
	}
	if audit, err := os.ReadFile(c.AuditLog()); err != nil || !strings.Contains(string(audit), "system:node:n1") {
		t.Errorf("the audit log does not show the kubelet's requests (%v)", err)
	}
}

// A component that dies is reported with what it logged last; one that can't
// start fails Start with the same, and leaves nothing running.
func TestComponentsThatEndAreReported(t *testing.T) {
	ctx := contextFor(t)
	c, err := cluster.Start(ctx, cluster.Options{Dir: t.TempDir(), Components: []cluster.Component{cluster.Etcd}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pid := c.Status()[0].PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case f := <-c.Failed():
		if f.Component != cluster.Etcd || !strings.Contains(f.Error(), "signal: killed") {
			t.Errorf("reported %v, want etcd, killed", f)
		}
	case <-ctx.Done():
		t.Fatal("nobody noticed that etcd was killed")
	}

	dir := t.TempDir()
	_, err = cluster.Start(ctx, cluster.Options{
		Dir: dir, Components: []cluster.Component{cluster.APIServer}, AuditPolicy: []byte("kind: Nonsense"),
	})
	var f cluster.Failure
	if !errors.As(err, &f) || f.Component != cluster.APIServer || !strings.Contains(f.LogTail, "audit") {
		t.Errorf("Start returned %v, want the API server's words on its audit policy", err)
	}
}

func TestMissingBinarySaysHowToBuildIt(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PHAROS_CONTROLPLANE", "")
	_, err := cluster.Start(t.Context(), cluster.Options{Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "make bin/pharos-controlplane") {
		t.Errorf("error %v, want one that says how to build the control plane", err)
	}
	t.Setenv("PHAROS_CONTROLPLANE", "/nonexistent/pharos-controlplane")
	if _, err := cluster.Binary(); err == nil || !strings.Contains(err.Error(), "PHAROS_CONTROLPLANE") {
		t.Errorf("error %v, want one that names the variable", err)
	}
}

func TestUnknownComponentIsRefused(t *testing.T) {
	_, err := cluster.Start(t.Context(), cluster.Options{Dir: t.TempDir(), Binary: os.Args[0], Components: []cluster.Component{"kube-nonsense"}})
	if err == nil || !strings.Contains(err.Error(), "kube-nonsense") {
		t.Errorf("error %v, want one that names the component", err)
	}
}
