package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/internal/lab/cluster"
)

// KubeProxyModes are the modes of the real kube-proxy that Options.KubeProxy may
// ask for.
var KubeProxyModes = []string{"iptables", "nftables", "ipvs"}

func (l *Lab) kubeProxyLog(node string) string {
	return filepath.Join(l.opts.Dir, "log", "kube-proxy-"+node+".log")
}

// startKubeProxies starts the real kube-proxy on every node, if the lab has it.
func (l *Lab) startKubeProxies(ctx context.Context) error {
	if l.opts.KubeProxy == "" {
		return nil
	}
	for _, n := range l.nodes {
		if err := l.StartKubeProxy(ctx, n.plan.Name); err != nil {
			return err
		}
	}
	return nil
}

// StartKubeProxy starts a node's kube-proxy in the lab's mode, and returns when
// it has programmed the kernel.
func (l *Lab) StartKubeProxy(ctx context.Context, node string) error {
	l.opts.Progress("kube-proxy", "mode "+l.opts.KubeProxy+" on "+node)
	j, err := l.launchKubeProxy(node)
	if err != nil {
		return err
	}
	ns, err := l.NS(node)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DialContext: ns.DialContext, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for {
		err := healthy(ctx, client, "http://"+cluster.KubeProxyHealth+"/healthz")
		if err == nil {
			return nil
		}
		select {
		case <-j.done:
			return fmt.Errorf("kube-proxy on %s ended (%v): %s", node, j.err, tail(l.kubeProxyLog(node), 0))
		case <-ctx.Done():
			l.StopKubeProxy(node)
			return fmt.Errorf("kube-proxy on %s is not ready: %w: %s", node, err, tail(l.kubeProxyLog(node), 0))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// launchKubeProxy starts a node's kube-proxy and does not wait for it.
func (l *Lab) launchKubeProxy(node string) (*job, error) {
	if !slices.Contains(KubeProxyModes, l.opts.KubeProxy) {
		return nil, fmt.Errorf("kube-proxy has no mode %q: one of %v", l.opts.KubeProxy, KubeProxyModes)
	}
	n, err := l.node(node)
	if err != nil {
		return nil, err
	}
	v, machine, err := l.view(node)
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(l.kubeProxyLog(node), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	// The node's own /run hides the lab's directory where that is in the machine's.
	config, err := os.Open(l.cluster.KubeProxyConfig())
	if err != nil {
		return nil, err
	}
	defer config.Close()
	cmd := l.cluster.KubeProxy(node, l.opts.KubeProxy, n.plan.Pods)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = config, out, out
	j, err := l.start(v, machine, cmd)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kubeProxies[node] = j
	return j, nil
}

func healthy(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// StopKubeProxy ends a node's kube-proxy; what it has put into the kernel stays.
func (l *Lab) StopKubeProxy(node string) {
	l.mu.Lock()
	j := l.kubeProxies[node]
	delete(l.kubeProxies, node)
	l.mu.Unlock()
	if j != nil {
		j.stop(syscall.SIGTERM)
	}
}
