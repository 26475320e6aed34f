package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// pollInterval is how often readiness is asked for.
const pollInterval = 100 * time.Millisecond

// await waits until a component is ready. It returns a Failure if the process
// ends first, and tells progress what is still missing.
func (c *Cluster) await(ctx context.Context, p *process) error {
	check := c.checks()[p.component]
	if check == nil {
		return nil
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	said := ""
	for {
		missing := check(ctx)
		if missing == nil {
			return nil
		}
		if text := missing.Error(); text != said && ctx.Err() == nil {
			said = text
			c.opts.Progress(string(p.component), "waiting: "+text)
		}
		select {
		case <-p.done:
			return p.failure()
		case <-ctx.Done():
			return fmt.Errorf("wait for %s (%s): %w", p.component, said, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// checks tell for each component what is missing until it is ready. The
// scheduler is ready when it runs: it only reads and binds.
func (c *Cluster) checks() map[Component]func(context.Context) error {
	return map[Component]func(context.Context) error{
		Etcd:      func(ctx context.Context) error { return get(ctx, c.plain, loopbackURL(c.layout.etcdClient)+"/health") },
		APIServer: func(ctx context.Context) error { return get(ctx, c.http, c.url()+"/readyz") },
		// A pod in "default" needs both, and the controller manager makes them.
		ControllerManager: func(ctx context.Context) error {
			const namespace = "/api/v1/namespaces/default"
			if err := get(ctx, c.http, c.url()+namespace+"/serviceaccounts/default"); err != nil {
				return err
			}
			return get(ctx, c.http, c.url()+namespace+"/configmaps/kube-root-ca.crt")
		},
	}
}

// get succeeds when the URL answers 200. Else the error names what the answer
// says failed, in few words.
func get(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			return op.Err // "connect: connection refused"
		}
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	var failed []string
	for line := range strings.Lines(string(body)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "[-]"); ok {
			name, _, _ = strings.Cut(name, " ")
			failed = append(failed, name)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s", strings.Join(failed, " "))
	}
	return fmt.Errorf("%s: %s", req.URL.Path, resp.Status)
}

// clients makes the HTTP clients of the checks.
func (c *Cluster) clients() error {
	dial := new(net.Dialer).DialContext
	if c.opts.NS != nil {
		dial = c.opts.NS.DialContext
	}
	c.plain = &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	var err error
	c.http, err = rest.HTTPClientFor(c.Config())
	return err
}
