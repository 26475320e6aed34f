package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pharoslb/pharos/deploy"
)

// What users type to install the product and to use it, in the directory that
// Shell runs in. The last one needs the lab's own API server: ProxyCommand.
const (
	NamespaceCommand = "kubectl create namespace metallb-system"
	SecretCommand    = `kubectl create secret generic -n metallb-system memberlist --from-literal=secretkey="$(openssl rand -base64 128)"`
	PharosCommand    = "kubectl apply -f deploy/pharos.yaml"
	ConfigCommand    = "kubectl create -f bgp.yaml"
	ServiceCommand   = "kubectl create -f test.yaml"
)

// VIP is the address that the walk-through's Service gets: its pool's first,
// but for .0, which avoid-buggy-ips skips.
const VIP = "172.19.100.1"

// placeholder is what deploy/pharos-proxy.yaml has where its user writes the
// API server's own address.
const placeholder = "api-server.invalid"

// ProxyCommand applies deploy/pharos-proxy.yaml with the API server's own
// address and the lab's options, as the file asks its user to.
func (l *Lab) ProxyCommand() string {
	edit := fmt.Sprintf("s/%s/%s/", placeholder, l.opts.Topology.Control)
	beside := ""
	if l.opts.KubeProxy != "" {
		beside = "true"
	}
	for _, flag := range [][3]string{{"--dataplane", "auto", l.opts.DataPlane}, {"--mode", "nat", l.opts.Mode}, {"--beside-kube-proxy", "false", beside}} {
		if flag[2] != "" && flag[2] != flag[1] {
			edit += fmt.Sprintf(" -e s/%s=%s/%s=%s/", flag[0], flag[1], flag[0], flag[2])
		}
	}
	if strings.Contains(edit, " ") {
		edit = "-e " + edit
	}
	return fmt.Sprintf("sed %s deploy/pharos-proxy.yaml | kubectl apply -f -", edit)
}

// layOut makes the directory that Shell runs in: the input, unchanged, and the
// product's manifests.
func (l *Lab) layOut() error {
	if err := os.MkdirAll(filepath.Join(l.shellDir(), "deploy"), 0o700); err != nil {
		return err
	}
	for _, name := range inputs {
		if err := os.Symlink(l.Input(name), filepath.Join(l.shellDir(), name)); err != nil {
			return err
		}
	}
	for name, text := range map[string][]byte{"pharos.yaml": deploy.Pharos, "pharos-proxy.yaml": deploy.Proxy} {
		if err := os.WriteFile(filepath.Join(l.shellDir(), "deploy", name), text, 0o600); err != nil {
			return err
		}
	}
	return l.installKubectl()
}

func (l *Lab) shellDir() string { return filepath.Join(l.opts.Dir, "shell") }

// Install installs the product as its users do, and returns when all of it is
// Ready.
func (l *Lab) Install(ctx context.Context) error {
	if err := l.startKubeProxies(ctx); err != nil {
		return err
	}
	for _, step := range [][2]string{
		{"pharos-proxy", l.ProxyCommand()}, {"namespace", NamespaceCommand}, {"memberlist", SecretCommand}, {"pharos", PharosCommand},
	} {
		l.opts.Progress(step[0], step[1])
		if _, err := l.Shell(ctx, step[1]); err != nil {
			return err
		}
	}
	for _, part := range []string{"kube-system daemonset/pharos-proxy", "metallb-system deployment/controller", "metallb-system daemonset/speaker"} {
		namespace, name, _ := strings.Cut(part, " ")
		l.opts.Progress(name, "waiting until all pods are Ready")
		if err := l.RolledOut(ctx, namespace, name); err != nil {
			return err
		}
	}
	return nil
}

// RolledOut returns when every pod of a Deployment or DaemonSet is Ready. The
// error tells what its pods wait for.
func (l *Lab) RolledOut(ctx context.Context, namespace, name string) error {
	_, err := l.Kubectl(ctx, "rollout", "status", "-n", namespace, name, "--timeout="+settle.String())
	if err != nil {
		if pods, perr := l.Kubectl(context.WithoutCancel(ctx), "get", "pod", "-n", namespace, "-o", "wide"); perr == nil {
			err = fmt.Errorf("%w\n%s", err, pods)
		}
	}
	return err
}

// inARow is how many requests in a row have to be answered before the client
// counts as served: each may go to another node and another pod.
const inARow = 20

// Deploy configures the speakers and creates the pods and their Service, and
// returns when the client is served.
func (l *Lab) Deploy(ctx context.Context) error {
	for _, step := range [][2]string{{"configuration", ConfigCommand}, {"service", ServiceCommand}} {
		l.opts.Progress(step[0], step[1])
		if _, err := l.Shell(ctx, step[1]); err != nil {
			return err
		}
	}
	l.opts.Progress(Client, "waiting for an answer of "+VIP)
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for answered := 0; answered < inARow; answered++ {
		_, err := l.Output(ctx, Client, "curl", "-sS", "--fail", "--max-time", "2", VIP)
		if err == nil {
			continue
		}
		answered = -1
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("no answer of %s: %w", VIP, context.Cause(ctx)), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}
