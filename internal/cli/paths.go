package cli

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdudp"
)

// paths watches the paths to BGP neighbors by BFD: it is a bgp.Detector. BFD's ports
// are opened when the first neighbor asks for it, so that a node without BFD, or with
// another BFD daemon, keeps them free; if they cannot be, that is tried again.
type paths struct {
	handler bfd.Handler
	log     *slog.Logger
	wake    chan struct{}

	mu      sync.Mutex
	wanted  []bfd.Config
	server  *bfd.Server // nil: the ports are not open
	problem error       // why they are not
}

// watchPaths starts nothing; Run does. The handler is told when a path fails.
func watchPaths(handler func(bfd.Change), log *slog.Logger) *paths {
	return &paths{handler: bfd.HandlerFunc(handler), log: log, wake: make(chan struct{}, 1)}
}

// Set is of bgp.Detector.
func (p *paths) Set(sessions []bfd.Config) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = sessions
	if p.server != nil {
		return p.server.Set(sessions)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil
}

// Status is of bgp.Detector. Sessions whose ports are not open are down, and say why.
func (p *paths) Status() []bfd.SessionStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		return p.server.Status()
	}
	var out []bfd.SessionStatus
	for _, c := range p.wanted {
		s := bfd.SessionStatus{Name: c.Name, Config: c, Info: bfd.Info{State: bfd.Down}}
		if p.problem != nil {
			s.SendError = p.problem.Error()
		}
		out = append(out, s)
	}
	return out
}

// Run watches until ctx ends. Sockets that fail are opened anew: BGP goes on without BFD
// rather than end with it.
func (p *paths) Run(ctx context.Context) error {
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-retry.C:
		}
		if !p.needed() {
			continue
		}
		err := p.watch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.mu.Lock()
		if p.problem == nil || p.problem.Error() != err.Error() {
			p.log.Error("bfd cannot use its ports; paths are not watched until it can", "err", err, "again", again)
		}
		p.server, p.problem = nil, err
		p.mu.Unlock()
		retry.Reset(again)
	}
}

func (p *paths) needed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.wanted) > 0
}

func (p *paths) watch(ctx context.Context) error {
	transport, err := bfdudp.Open()
	if err != nil {
		return err
	}
	defer transport.Close()
	return p.serve(ctx, transport)
}

func (p *paths) serve(ctx context.Context, transport bfd.Transport) error {
	server, err := bfd.NewServer(bfd.Options{Transport: transport, Handler: p.handler, Log: p.log})
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.server, p.problem = server, nil
	err = server.Set(p.wanted)
	p.mu.Unlock()
	if err != nil { // as where Set is told: what was wanted before, here nothing, stays
		p.log.Error("bfd cannot watch the paths that are wanted", "err", err)
	}
	return server.Run(ctx)
}
