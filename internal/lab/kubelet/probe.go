package kubelet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pharoslb/pharos/internal/linux/container"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// tally turns single results into a probe's verdict.
type tally struct {
	success, failure int32 // thresholds, at least 1
	verdict          bool
	streak           int32
	last             bool
}

// newTally starts with what holds before the first result.
func newTally(p *corev1.Probe, verdict bool) *tally {
	return &tally{success: max(p.SuccessThreshold, 1), failure: max(p.FailureThreshold, 1), verdict: verdict}
}

// add counts one result; decided tells that it, with those before it, reached
// its threshold.
func (t *tally) add(ok bool) (decided bool) {
	if t.streak == 0 || ok != t.last {
		t.last, t.streak = ok, 0
	}
	t.streak++
	if ok && t.streak < t.success || !ok && t.streak < t.failure {
		return false
	}
	t.verdict = ok
	return true
}

// prober makes a container's probes.
type prober struct {
	node      *netns.NS // the kubelet's side of httpGet and tcpSocket
	pod       netip.Addr
	container *corev1.Container
	program   program
	env       []string
}

// repeat runs a probe in its period until ctx ends. It reports each result that
// reaches its threshold.
func (p *prober) repeat(ctx context.Context, probe *corev1.Probe, verdict bool, report func(ok bool, why error)) {
	wait := time.NewTimer(time.Duration(probe.InitialDelaySeconds) * time.Second)
	defer wait.Stop()
	t := newTally(probe, verdict)
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		err := p.once(ctx, probe)
		if ctx.Err() != nil {
			return
		}
		if t.add(err == nil) {
			report(t.verdict, err)
		}
		wait.Reset(time.Duration(max(probe.PeriodSeconds, 1)) * time.Second)
	}
}

// once makes the probe; nil is success.
func (p *prober) once(ctx context.Context, probe *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(probe.TimeoutSeconds, 1))*time.Second)
	defer cancel()
	switch {
	case probe.HTTPGet != nil:
		return p.httpGet(ctx, probe.HTTPGet)
	case probe.TCPSocket != nil:
		address, err := p.address(probe.TCPSocket.Host, probe.TCPSocket.Port)
		if err != nil {
			return err
		}
		conn, err := p.node.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	case probe.Exec != nil:
		return p.exec(ctx, probe.Exec)
	}
	return errors.New("this kubelet knows no such probe")
}

func (p *prober) exec(ctx context.Context, action *corev1.ExecAction) error {
	inside, ok := p.program.(process)
	if !ok {
		return errors.New("the built-in server has no programs to execute")
	}
	exit, out, err := inside.Run(ctx, container.Spec{Args: action.Command, Env: p.env, Dir: p.container.WorkingDir})
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fmt.Errorf("%v: %s", exit, strings.TrimSpace(out))
	}
	return nil
}

func (p *prober) httpGet(ctx context.Context, action *corev1.HTTPGetAction) error {
	address, err := p.address(action.Host, action.Port)
	if err != nil {
		return err
	}
	scheme := strings.ToLower(string(action.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	path := action.Path
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "kube-probe/1")
	for _, h := range action.HTTPHeaders {
		if http.CanonicalHeaderKey(h.Name) == "Host" {
			req.Host = h.Value
			continue
		}
		req.Header.Add(h.Name, h.Value)
	}
	transport := &http.Transport{
		DialContext:       p.node.DialContext,
		DisableKeepAlives: true,
		// A probe asks whether the container answers, not who it is:
		// Kubernetes defines that its certificate is not verified.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 10<<10))
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", resp.StatusCode)
	}
	return nil
}

// address resolves a probe's host and port, which may be a port's name.
func (p *prober) address(host string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = p.pod.String()
	}
	number := port.IntValue()
	if port.Type == intstr.String && number == 0 {
		for _, declared := range p.container.Ports {
			if declared.Name == port.StrVal {
				number = int(declared.ContainerPort)
			}
		}
	}
	if number == 0 {
		return "", fmt.Errorf("no port %q in the container", port.String())
	}
	return net.JoinHostPort(host, strconv.Itoa(number)), nil
}
