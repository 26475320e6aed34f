package cli

import (
	"context"
	"log/slog"
	"sync"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/radv"
	"github.com/pharoslb/pharos/internal/task"
)

// linkSpeaker is the BGP engine with neighbors that are known by their interface: it
// looks for them, and gives the engine the addresses found. It is a router.Speaker, and
// the speaker's Sessions.
type linkSpeaker struct {
	*bgp.Server
	finder *radv.Finder
	log    *slog.Logger

	mu    sync.Mutex // held from looking an address up until the engine knows it
	peers []bgp.Config
}

// SetPeers is of router.Speaker and speaker.Sessions.
func (s *linkSpeaker) SetPeers(peers []bgp.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = peers
	var links []string
	for i := range peers {
		if peers[i].Unnumbered() {
			links = append(links, peers[i].Interface)
		}
	}
	s.finder.Set(links)
	return s.resolve()
}

// newLinkSpeaker makes the engine, whose paths are watched by the detector.
func newLinkSpeaker(opt bgp.Options) (*linkSpeaker, error) {
	s := &linkSpeaker{log: opt.Log}
	var err error
	if s.finder, err = radv.New(radv.Options{Log: opt.Log}); err != nil {
		return nil, err
	}
	s.Server, err = bgp.NewServer(opt)
	return s, err
}

// resolve tells the engine whom it shall have sessions with. The caller holds mu.
func (s *linkSpeaker) resolve() error {
	return s.Server.SetPeers(bgp.Resolve(s.peers, s.finder.Neighbors()))
}

// Run is of router.Speaker.
func (s *linkSpeaker) Run(ctx context.Context) error {
	return task.Run(ctx, s.Server.Run, s.finder.Run, s.follow)
}

// follow takes over what the finder finds.
func (s *linkSpeaker) follow(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.finder.Changed():
			s.mu.Lock()
			err := s.resolve()
			s.mu.Unlock()
			if err != nil {
				s.log.Error("neighbors found on interfaces cannot be taken over", "err", err)
			}
		}
	}
}
