package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/spf13/pflag"

	"github.com/pharoslb/pharos/internal/metrics"
	"github.com/pharoslb/pharos/internal/task"
)

// probes are what MetalLB's roles serve beside their metrics.
type probes struct {
	healthPort uint16
	profile    string
}

func (p *probes) bind(flags *pflag.FlagSet) {
	flags.Uint16Var(&p.healthPort, "health-probe-port", 0, "TCP port of /livez, /healthz and /readyz alone; 0: only --port has them")
	flags.StringVar(&p.profile, "pprof-bind-address", "", "address and port, such as 127.0.0.1:6060, of Go's profiles; empty serves none")
}

// parts returns the parts that serve them.
func (p *probes) parts(log *slog.Logger, set *metrics.Set) []task.Part {
	var parts []task.Part
	if p.healthPort != 0 {
		mux := http.NewServeMux()
		for _, path := range []string{"/livez", "/healthz", "/readyz"} {
			mux.Handle("GET "+path, set.Handler())
		}
		parts = append(parts, listen(log, "health", fmt.Sprintf(":%d", p.healthPort), mux))
	}
	if p.profile != "" {
		mux := http.NewServeMux()
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
		parts = append(parts, listen(log, "profiles", p.profile, mux))
	}
	return parts
}

// listen serves HTTP at an address. The role goes on without it where the address
// is taken.
func listen(log *slog.Logger, name, address string, handler http.Handler) task.Part {
	return task.Keep(log, name, again, func(ctx context.Context) error {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
		stop := context.AfterFunc(ctx, func() { server.Close() })
		defer stop()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
}
