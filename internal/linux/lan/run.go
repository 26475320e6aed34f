package lan

import (
	"context"
	"slices"
	"time"

	"github.com/pharoslb/pharos/layer2"
)

const (
	// retryPause lies between attempts at what the kernel refused, and idlePause if
	// nobody waits for it.
	retryPause = time.Second
	idlePause  = 10 * time.Second
	// lookPause lies between two looks at the links: hosts on the link can make the
	// kernel change addresses and routes (router advertisements) as fast as they like.
	lookPause = 20 * time.Millisecond
)

// Run announces until ctx ends; then nothing is answered any more, and it returns nil. It
// may be called once. The error is that of the kernel, which cannot tell of links.
func (s *Server) Run(ctx context.Context) error {
	k, err := openKernel(s.opt)
	if err != nil {
		return err
	}
	s.kernel = k
	defer s.readers.Wait()
	defer s.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var (
		looked time.Time
		look   = true // the links may have changed
		set    = true // what is wanted may have changed
		retry  time.Time
	)
	for {
		now := time.Now()
		if look && now.Sub(looked) >= lookPause || !retry.IsZero() && !now.Before(retry) {
			looked, retry = now, time.Time{}
			if err := s.look(); err != nil {
				retry = now.Add(retryPause)
			}
			look, set = false, true
		}
		if set {
			set = false
			retry = sooner(retry, s.reconcile(now))
		}
		next := s.tick(now)
		if look {
			next = sooner(next, looked.Add(lookPause))
		}
		if next = sooner(next, retry); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-k.failed:
			return err
		case <-s.poked:
			set = true
		case <-k.changed:
			look = true
		case b := <-s.broken:
			s.breaks(b)
			set = true
		case r := <-s.reports:
			s.handle(r)
		case <-timer.C:
		}
	}
}

// sooner is the earlier of two times; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// tick does what is due and says when more will be.
func (s *Server) tick(now time.Time) time.Time {
	s.mu.Lock()
	d := s.responder.Deadline()
	var effects []layer2.Effect
	if !d.IsZero() && !now.Before(d) {
		effects = s.responder.Step(now, layer2.Tick{})
		d = s.responder.Deadline()
	}
	s.mu.Unlock()
	s.perform(effects)
	return d
}

// handle asks the Handler what it makes of a conflict.
func (s *Server) handle(r report) {
	if s.opt.Handler == nil || !s.opt.Handler.Conflict(r.Conflict) {
		return
	}
	s.mu.Lock()
	effects := s.responder.Step(time.Now(), layer2.Defend{Link: r.link, Addr: r.Addr})
	s.mu.Unlock()
	s.perform(effects)
}

// look asks the kernel about its links. Errors are logged, each once.
func (s *Server) look() error {
	nics, err := s.kernel.look()
	if err != nil {
		if text := err.Error(); text != s.lookErr {
			s.lookErr = text
			s.opt.Log.Warn("links cannot be looked at", "err", err)
		}
		return err
	}
	s.nics, s.lookErr = nics, ""
	return nil
}

// reconcile makes sockets be there for what is wanted and can be used, tells the
// responder, and does what it says. It returns when it has to be called again without
// being told; zero: it has not.
func (s *Server) reconcile(now time.Time) (retry time.Time) {
	s.mu.Lock()
	wanted, version := s.wanted, s.version
	s.mu.Unlock()
	var needed [2]bool
	for _, w := range wanted {
		needed[familyOf(w.Addr)] = true
	}
	links, restarted := s.serve(now, needed)
	s.mu.Lock()
	var effects []layer2.Effect
	news := !slices.EqualFunc(links, s.links, sameLink)
	if news || len(restarted) > 0 {
		s.links = links
		effects = s.responder.Step(now, layer2.Links{Links: links, Restarted: restarted})
	}
	if version != s.told {
		s.told = version
		effects = slices.Concat(effects, s.responder.Step(now, layer2.Set{Announcements: wanted}))
	}
	s.mu.Unlock()
	s.perform(effects)
	moved := slices.ContainsFunc(effects, func(e layer2.Effect) bool {
		switch e.(type) {
		case layer2.Start, layer2.Stop:
			return true
		}
		return false
	})
	if news || moved {
		poke(s.changed)
	}
	s.trim(needed)
	if s.failed { // which the responder has to be told first
		s.failed = false
		return now
	}
	for h, f := range s.faults {
		retry = sooner(retry, f.due(needed[h.family]))
	}
	return retry
}

// close ends all that Run began, but the readers, which notice.
func (s *Server) close() {
	s.mu.Lock()
	s.links = nil
	s.responder.Step(time.Now(), layer2.Links{})
	s.responder.Step(time.Now(), layer2.Set{})
	s.mu.Unlock()
	s.nics = nil
	s.serve(time.Now(), [2]bool{})
	s.kernel.close()
	poke(s.changed)
}
