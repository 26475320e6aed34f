package proxy

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/why"
)

// portRetry is how long a port that could not be opened is left alone.
const portRetry = 5 * time.Second

// health answers load balancers that ask, on a Service's health check node
// port, whether this node has endpoints of it.
type health struct {
	listener Listener
	log      *slog.Logger
	healthy  func() bool
	wake     chan struct{} // capacity 1: what is wanted has changed

	mu     sync.Mutex
	state  *dataplane.State // last told
	wanted map[pharos.Name]dataplane.Health
	open   map[pharos.Name]*check
}

// check is one Service's port.
type check struct {
	port   uint16
	server *http.Server // nil where the port could not be opened
	reason why.Reason
}

func newHealth(l Listener, log *slog.Logger, healthy func() bool) *health {
	return &health{
		listener: l, log: log, healthy: healthy,
		wake:   make(chan struct{}, 1),
		state:  &dataplane.State{},
		wanted: map[pharos.Name]dataplane.Health{},
		open:   map[pharos.Name]*check{},
	}
}

// set says what shall be answered from now on. Its cost grows with what changed.
func (h *health) set(state *dataplane.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := false
	for name := range state.Services.Diff(h.state.Services) {
		s, ok := state.Services.Get(name)
		was, had := h.wanted[name]
		switch {
		case ok && s.Health.Port != 0:
			h.wanted[name] = s.Health
			changed = changed || was.Port != s.Health.Port
		case had:
			delete(h.wanted, name)
			changed = true
		}
	}
	h.state = state
	if changed {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

// run opens and closes ports until ctx ends, and returns when all are closed.
func (h *health) run(ctx context.Context) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	defer h.close(func(pharos.Name, *check) bool { return true })
	retry := time.NewTimer(portRetry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
		case <-retry.C:
			h.close(func(_ pharos.Name, c *check) bool { return c.server == nil })
		}
		h.sync(ctx, &serving)
		retry.Reset(portRetry)
	}
}

// close forgets the checks that match, and closes their ports.
func (h *health) close(match func(pharos.Name, *check) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, c := range h.open {
		if match(name, c) {
			if c.server != nil {
				c.server.Close()
			}
			delete(h.open, name)
		}
	}
}

// sync opens and closes ports so that those are open which are wanted.
func (h *health) sync(ctx context.Context, serving *sync.WaitGroup) {
	h.close(func(name pharos.Name, c *check) bool { return h.wanted[name].Port != c.port })
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, want := range h.wanted {
		if h.open[name] != nil {
			continue
		}
		c := &check{port: want.Port}
		h.open[name] = c
		l, err := h.listener.Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(int(want.Port))))
		if err != nil {
			c.reason = why.New(why.PortUnavailable, "port %d: %v", want.Port, err)
			h.log.Warn("health check port can't be opened", "service", name.String(), "port", want.Port, "err", err)
			continue
		}
		c.server = &http.Server{
			Handler:           h.answer(name),
			ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: 30 * time.Second,
			MaxHeaderBytes: 8 << 10,
		}
		serving.Go(func() { c.server.Serve(l) })
	}
}

// answer answers as kube-proxy does: 200 with endpoints on this node, else 503.
func (h *health) answer(name pharos.Name) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.mu.Lock()
		n := h.wanted[name].Endpoints
		h.mu.Unlock()
		healthy := h.healthy()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.Itoa(n))
		if n == 0 || !healthy {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		type service struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		}
		json.NewEncoder(w).Encode(struct {
			Service             service `json:"service"`
			LocalEndpoints      int     `json:"localEndpoints"`
			ServiceProxyHealthy bool    `json:"serviceProxyHealthy"`
		}{service{name.Namespace, name.Name}, n, healthy})
	})
}

// status lists the checks by name.
func (h *health) status() []HealthCheck {
	h.mu.Lock()
	defer h.mu.Unlock()
	var result []HealthCheck
	for name, want := range h.wanted {
		check := HealthCheck{Service: name, Port: want.Port, Endpoints: want.Endpoints}
		if c := h.open[name]; c != nil {
			check.Reason = c.reason
		}
		result = append(result, check)
	}
	slices.SortFunc(result, func(a, b HealthCheck) int { return a.Service.Compare(b.Service) })
	return result
}
