package cli

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdudp"
	"github.com/pharoslb/pharos/internal/gossip"
)

// paths watches the paths to BGP neighbors by BFD, and to other speakers: it is a
// bgp.Detector, and has another set of sessions for members. BFD's ports are opened when
// the first path is asked for, so that a node without BFD, or with another BFD daemon,
// keeps them free; if they cannot be, that is tried again.
type paths struct {
	handler bfd.Handler
	log     *slog.Logger
	wake    chan struct{}

	mu      sync.Mutex
	wanted  [2][]bfd.Config // of neighbors, of members
	server  *bfd.Server     // nil: the ports are not open
	problem error           // why they are not
}

// watchPaths starts nothing; Run does. The handler is told when a path fails.
func watchPaths(handler func(bfd.Change), log *slog.Logger) *paths {
	return &paths{handler: bfd.HandlerFunc(handler), log: log, wake: make(chan struct{}, 1)}
}

const (
	neighborPaths = iota
	memberPaths
)

// Set is of bgp.Detector.
func (p *paths) Set(sessions []bfd.Config) error { return p.set(neighborPaths, sessions) }

// members returns what watches the paths to other speakers.
func (p *paths) members() gossip.Paths { return memberDetector{p} }

type memberDetector struct{ *paths }

// Set is of gossip.Paths.
func (m memberDetector) Set(sessions []bfd.Config) error { return m.paths.set(memberPaths, sessions) }

func (p *paths) set(whose int, sessions []bfd.Config) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.wanted[whose]
	p.wanted[whose] = sessions
	if p.server != nil {
		err := p.server.Set(p.all())
		if err != nil { // as the server does: what was wanted before stays
			p.wanted[whose] = was
		}
		return err
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
	for _, c := range p.all() {
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
	return len(p.all()) > 0
}

// all are the sessions that are wanted. The caller holds mu.
func (p *paths) all() []bfd.Config { return slices.Concat(p.wanted[:]...) }

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
	err = server.Set(p.all())
	p.mu.Unlock()
	if err != nil { // as where Set is told: what was wanted before, here nothing, stays
		p.log.Error("bfd cannot watch the paths that are wanted", "err", err)
	}
	return server.Run(ctx)
}
