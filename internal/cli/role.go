package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/pharoslb/pharos/internal/kube"
	"github.com/pharoslb/pharos/internal/localapi"
	"github.com/pharoslb/pharos/internal/metrics"
	"github.com/pharoslb/pharos/internal/task"
)

// socketDir is where roles serve their status.
const socketDir = "/run/pharos"

// again is how long a role waits before it opens a port anew that it can do
// without.
const again = 5 * time.Second

// daemon holds the flags that every role has.
type daemon struct {
	role       string
	port       uint16
	logLevel   string
	socket     string
	kubeconfig string
	server     string
}

// Ports of /metrics unless a flag says otherwise: MetalLB's for the roles that it
// has, and another one for the proxy, which is on the speaker's host network.
const (
	metricsPort      = 7472
	proxyMetricsPort = 7473
)

// bind adds the flags; role names the socket.
func (d *daemon) bind(flags *pflag.FlagSet, role string, port uint16) {
	d.role = role
	flags.Uint16Var(&d.port, "port", port, "TCP port of /metrics, /livez and /readyz; 0 serves none")
	flags.StringVar(&d.logLevel, "log-level", "info", "all, debug, info, warn, error or none")
	flags.StringVar(&d.socket, "socket", filepath.Join(socketDir, role+".sock"), "path of the socket that serves the status; empty serves none")
	flags.StringVar(&d.kubeconfig, "kubeconfig", "", "kubeconfig file; without it, the pod's service account")
	flags.StringVar(&d.server, "server", "", "URL of the API server in place of the one found, such as https://10.10.2.100:6443")
}

// logger makes the log that --log-level asks for: JSON lines.
func (d *daemon) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	switch strings.ToLower(d.logLevel) {
	case "none":
		return slog.New(slog.DiscardHandler), nil
	case "all":
		level = slog.LevelDebug
	default:
		if err := level.UnmarshalText([]byte(d.logLevel)); err != nil {
			return nil, fmt.Errorf("--log-level %q is not all, debug, info, warn, error or none", d.logLevel)
		}
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), nil
}

// bindPod adds the flags that name the own pod, which its status objects belong
// to.
func bindPod(flags *pflag.FlagSet, pod *kube.Pod) {
	flags.StringVar(&pod.Name, "pod-name", env("METALLB_POD_NAME", ""), "name of the own pod [METALLB_POD_NAME]")
	flags.StringVar(&pod.UID, "pod-uid", env("METALLB_POD_UID", ""), "UID of the own pod [METALLB_POD_UID]")
}

// endpoint is what a role's socket answers besides /v1/status.
type endpoint struct {
	path    string
	handler http.Handler
}

// serve returns the parts that show the role to others: metrics and status. The
// role goes on without them where their port or path is taken.
func (d *daemon) serve(log *slog.Logger, set *metrics.Set, status http.Handler, more ...endpoint) []task.Part {
	var parts []task.Part
	if d.port != 0 {
		parts = append(parts, task.Keep(log, "metrics", again, func(ctx context.Context) error { return set.Serve(ctx, d.port) }))
	}
	if d.socket != "" {
		mux := http.NewServeMux()
		mux.Handle("/v1/status", status)
		for _, e := range more {
			mux.Handle(e.path, e.handler)
		}
		parts = append(parts, task.Keep(log, "status", again, func(ctx context.Context) error { return localapi.Serve(ctx, d.socket, mux) }))
	}
	return parts
}

// thrift lets the heap grow to three times what is live before it is
// collected: a role's live heap is a few MiB, and collecting it at every
// doubling costs a fifth of the CPU in a burst of changes. GOGC goes before it.
func thrift() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

// env returns an environment variable's value, or a default where it is not set,
// or empty.
func env(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }

// ownNamespace is where a pod finds the name of its namespace.
const ownNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// bindNamespace adds the flag that names the namespace of the configuration, which
// is the pod's own unless it is told.
func bindNamespace(flags *pflag.FlagSet, namespace *string, own string) {
	text, err := os.ReadFile(own)
	if err != nil {
		text = nil // not a pod
	}
	otherwise := cmp.Or(strings.TrimSpace(string(text)), "metallb-system")
	flags.StringVar(namespace, "namespace", env("METALLB_NAMESPACE", otherwise), "namespace of the configuration; in a pod its own, unless it is told [METALLB_NAMESPACE]")
}
