package deploy_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/pharoslb/pharos/deploy"
	"github.com/pharoslb/pharos/internal/lab/cluster"
)

// server is a real API server.
type server struct {
	t     *testing.T
	ctx   context.Context
	c     *cluster.Cluster
	admin *kubernetes.Clientset
}

func start(t *testing.T) *server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // generous: other packages' tests share the machine
	t.Cleanup(cancel)
	c, err := cluster.Start(ctx, cluster.Options{Dir: t.TempDir(), Components: []cluster.Component{cluster.APIServer}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &server{t: t, ctx: ctx, c: c, admin: kubernetes.NewForConfigOrDie(c.Config())}
}

// kubectl runs it as administrator with a text at its standard input, and returns
// what it says.
func (s *server) kubectl(stdin string, args ...string) (string, error) {
	cmd := s.c.Kubectl(s.ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is kubectl where it has to succeed.
func (s *server) must(stdin string, args ...string) string {
	s.t.Helper()
	out, err := s.kubectl(stdin, args...)
	if err != nil {
		s.t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return out
}

// install applies what users apply.
func (s *server) install() {
	s.t.Helper()
	s.must(string(deploy.Pharos), "apply", "-f", "-")
	s.must(string(deploy.Proxy), "apply", "-f", "-")
	s.awaitKinds()
}

// awaitKinds waits until the API server serves the kinds that it was given.
func (s *server) awaitKinds() {
	s.t.Helper()
	if err := s.c.AwaitKinds(s.ctx); err != nil {
		s.t.Fatal(err)
	}
}

// as returns a service account's way in: its token, and nothing of the
// administrator's.
func (s *server) as(namespace, account string) *rest.Config {
	s.t.Helper()
	token, err := s.admin.CoreV1().ServiceAccounts(namespace).CreateToken(s.ctx, account, &authv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := rest.AnonymousClientConfig(s.c.Config())
	cfg.BearerToken = token.Status.Token
	return cfg
}

// sample reads a file of testdata.
func sample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
