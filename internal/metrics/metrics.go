package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Set is the metrics of one process, and the health of its role.
type Set struct {
	registry *prometheus.Registry
	ready    func() error // why the role can't do its work; nil: it can
}

// New returns a Set with what every process tells: build, process and Go
// runtime.
func New(version string) *Set {
	s := &Set{
		registry: prometheus.NewRegistry(),
		ready:    func() error { return nil },
	}
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "pharos_build_info",
		Help:        "Always 1; the label tells the version.",
		ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
	s.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return s
}

// scrape is a collector that asks for a Status once and translates it. Its
// descriptions are fixed, so that a name used twice is found at start.
type scrape struct {
	descs   []*prometheus.Desc
	collect func(emit func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string))
}

// Describe implements prometheus.Collector.
func (s *scrape) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *scrape) Collect(ch chan<- prometheus.Metric) {
	s.collect(func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		m, err := prometheus.NewConstMetric(d, t, v, labels...)
		if err != nil {
			m = prometheus.NewInvalidMetric(d, err)
		}
		ch <- m
	})
}

// desc makes a description and notes it.
func (s *scrape) desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(name, help, labels, nil)
	s.descs = append(s.descs, d)
	return d
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Handler serves /metrics, /livez, /healthz and /readyz.
func (s *Set) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		// A scrape stays on the node's network; the compressor's buffers would
		// be a tenth of the process.
		DisableCompression:  true,
		MaxRequestsInFlight: 2,
	}))
	mux.Handle("GET /livez", s.health(false))
	mux.Handle("GET /healthz", s.health(false))
	mux.Handle("GET /readyz", s.health(true))
	return mux
}

// health asks the role how it is. Alive is a role that answers at all: one that
// hangs does not, which a probe counts as a failure. Ready is one that can do
// its work; others get 503 with the reason.
func (s *Set) health(ready bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := s.ready(); err != nil && ready {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}

// Serve answers on a TCP port of every address until ctx ends; then it returns
// nil. The error is that of a port that can't be had.
func (s *Set) Serve(ctx context.Context, port uint16) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
