package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos/internal/metrics"
	"github.com/pharoslb/pharos/internal/task"
)

// Every flag of MetalLB 0.16 is taken, by the role that has it there.
func TestFlagsOfMetalLB(t *testing.T) {
	for _, c := range []struct {
		cmd  *cobra.Command
		args string
	}{
		{newController(), "--port=9120 --namespace=x --ml-secret-name=memberlist --deployment=controller --log-level=debug --pprof-bind-address=127.0.0.1:0 --health-probe-port=17472 " +
			"--disable-cert-rotation --cert-dir=/c --cert-service-name=s --lb-class=a/b --webhook-mode=enabled --webhook-secret=s --pod-name=p --webhook-http2=false " +
			"--tls-min-version=VersionTLS13 --tls-cipher-suites=a,b --tls-curve-preferences=c --metrics-cert-dir=/m"},
		{newSpeaker(), "--bgp-debounce-timeout=3000 --namespace=x --host=h --ml-bindaddr=10.0.0.1 --ml-bindport=7946 --ml-labels=app=metallb --ml-secret-key-path=/s --ml-wan-config " +
			"--node-name=n --pod-name=p --port=9120 --log-level=info --pprof-bind-address= --health-probe-port=17472 --lb-class=a/b --ignore-exclude-lb --frrk8s-namespace=f " +
			"--frrk8s-secret-passthrough --tls-min-version=VersionTLS12 --tls-cipher-suites=a --tls-curve-preferences=c --metrics-cert-dir=/m --ml-namespace=x"},
	} {
		if err := c.cmd.ParseFlags(strings.Fields(c.args)); err != nil {
			t.Errorf("%s: %v", c.cmd.Name(), err)
		}
		for _, w := range without {
			if w.flag != "" && strings.Contains(w.roles, c.cmd.Name()) && !strings.Contains(c.cmd.Long, "--"+w.flag) {
				t.Errorf("the help of %s does not say that --%s has no effect", c.cmd.Name(), w.flag)
			}
		}
	}
}

// What has no effect is told once, with the reason; what has one, and what is not
// given, is not.
func TestFlagsWithoutEffectAreTold(t *testing.T) {
	t.Setenv("METALLB_BGP_TYPE", "frr")
	t.Setenv("FRR_LOGGING_LEVEL", "")
	var log bytes.Buffer
	cmd := newSpeaker()
	if err := cmd.ParseFlags([]string{"--host=h", "--frrk8s-secret-passthrough", "--port=1"}); err != nil {
		t.Fatal(err)
	}
	formerFlags{cmd.Flags(), "speaker"}.tell(slog.New(slog.NewTextHandler(&log, nil)))
	for _, want := range []string{"flag=--host", "flag=--frrk8s-secret-passthrough", "variable=METALLB_BGP_TYPE"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("not told of once: %s in\n%s", want, log.String())
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 3 || strings.Count(log.String(), "because=") != 3 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

func TestProbesAreServed(t *testing.T) {
	free := func() int {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}
	p := probes{healthPort: uint16(free()), profile: fmt.Sprint("127.0.0.1:", free())}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { task.Run(ctx, p.parts(slog.New(slog.DiscardHandler), metrics.New("test"))...) })
	defer done.Wait()
	defer cancel()
	get := func(url string) int {
		for deadline := time.Now().Add(30 * time.Second); ; {
			r, err := http.Get("http://" + url)
			if err == nil {
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				return r.StatusCode
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	health := fmt.Sprint("127.0.0.1:", p.healthPort)
	for url, want := range map[string]int{health + "/livez": 200, health + "/healthz": 200, health + "/readyz": 200, health + "/metrics": 404, p.profile + "/debug/pprof/cmdline": 200} {
		if got := get(url); got != want {
			t.Errorf("%s answers %d, want %d", url, got, want)
		}
	}
}
