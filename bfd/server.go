package bfd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Handler is told of changes.
type Handler interface {
	// StateChanged is called by Run's goroutine, in the order of the changes and
	// before anything else is done. It must not block: while it runs, no session sends
	// or detects. It may call methods of the Server.
	StateChanged(Change)
}

// HandlerFunc is a Handler that is one function.
type HandlerFunc func(Change)

// StateChanged calls f.
func (f HandlerFunc) StateChanged(c Change) { f(c) }

// Options are what a Server is built on.
type Options struct {
	// Transport sends and receives. The Server does not close it.
	Transport Transport
	// Handler is told of changes of state. Nil: nobody is.
	Handler Handler
	// Log gets sessions' ups and downs. Nil: nothing is logged.
	Log *slog.Logger
}

// Server keeps a set of sessions. Its methods may be called from any goroutine.
type Server struct {
	opt   Options
	epoch time.Time
	asks  asks

	mu        sync.Mutex
	names     map[string]*session // wanted
	all       map[uint32]*session // by discriminator; leaving ones too
	peers     map[peerKey][]*session
	leaving   map[path]*session // the last that left
	heap      heap
	changes   []Change // not yet told
	strangers Discards
	ran, done bool

	// What follows is Run's alone.
	batch   []Datagram
	packet  Packet // the one that is being received
	out     []byte
	drained time.Time // when datagrams were last found
	journal journal
}

// NewServer checks the options; it starts nothing.
func NewServer(opt Options) (*Server, error) {
	if opt.Transport == nil {
		return nil, errors.New("bfd server needs a transport")
	}
	if opt.Handler == nil {
		opt.Handler = HandlerFunc(func(Change) {})
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		opt: opt, epoch: time.Now(),
		names: make(map[string]*session), all: make(map[uint32]*session),
		peers: make(map[peerKey][]*session), leaving: make(map[path]*session),
		journal: journal{log: opt.Log, queue: make(chan entry, journalLen)},
		batch:   make([]Datagram, batchLen), out: make([]byte, 0, MaxPacketLen),
	}, nil
}

// Set replaces the whole set of sessions. One that is the same as before is not
// touched. One whose timers, role, key or Disabled changed stays as it is, Up if it is
// Up, and negotiates (RFC 5880 §6.8.3); one whose addresses changed begins anew; one
// that is not in the set any more goes to AdminDown, which tells the peer that nothing
// failed, and is forgotten.
//
// An invalid configuration is an error, and then nothing has changed. Whether a path
// exists is seen later, in Status.
func (s *Server) Set(sessions []Config) error {
	wanted, err := check(sessions)
	if err != nil {
		return err
	}
	s.do(func() { err = s.replace(wanted) })
	if err == nil {
		s.opt.Transport.Wake()
	}
	return err
}

// replace is Set under the lock.
func (s *Server) replace(wanted []Config) error {
	if s.done {
		return errors.New("bfd server has stopped")
	}
	now := time.Now()
	old := s.names
	s.names = make(map[string]*session, len(wanted))
	for _, c := range wanted {
		x := old[c.Name]
		if x == nil || x.cfg.path() != c.path() {
			continue
		}
		delete(old, c.Name)
		s.names[c.Name] = x
		if !x.cfg.same(c) {
			x.cfg, x.key = c, keyOf(c)
			s.apply(x, now, x.m.Step(now, Configure{c}))
		}
	}
	for _, x := range old {
		why := ReasonDeconfigured
		if slices.ContainsFunc(wanted, func(c Config) bool { return c.Name == x.cfg.Name }) {
			why = ReasonReconfigured
		}
		s.leave(x, now, why)
	}
	for _, c := range wanted {
		if s.names[c.Name] == nil {
			s.add(c, now)
		}
	}
	return nil
}

// check validates a set.
func check(sessions []Config) ([]Config, error) {
	wanted := make([]Config, 0, len(sessions))
	names, paths := make(map[string]bool), make(map[path]string)
	for _, c := range sessions {
		c, err := c.normal()
		if err != nil {
			return nil, fmt.Errorf("bfd session %q: %w", c.Name, err)
		}
		p := c.path()
		if names[c.Name] {
			return nil, fmt.Errorf("bfd session %q: there are two of that name", c.Name)
		}
		if other, ok := paths[p]; ok {
			return nil, fmt.Errorf("bfd session %q: session %q has the same addresses", c.Name, other)
		}
		names[c.Name], paths[p] = true, c.Name
		wanted = append(wanted, c)
	}
	return wanted, nil
}

func keyOf(c Config) []byte {
	if c.Auth == nil {
		return nil
	}
	return []byte(c.Auth.Key)
}

// add makes a session. The caller holds mu.
func (s *Server) add(c Config, now time.Time) {
	if x := s.leaving[c.path()]; x != nil {
		s.forget(x) // two voices on one path would confuse the peer
	}
	discriminator := rand.Uint32()
	for discriminator == 0 || s.all[discriminator] != nil {
		discriminator = rand.Uint32()
	}
	x := &session{cfg: c, key: keyOf(c), m: NewMachine(now, c, discriminator, s.epoch, rand.Uint64())}
	s.names[c.Name], s.all[discriminator] = x, x
	k := x.peerKey()
	s.peers[k] = append(s.peers[k], x)
	slices.SortStableFunc(s.peers[k], func(a, b *session) int { return b.specific() - a.specific() })
	s.heap.set(x, x.m.Deadline())
}

// leave says goodbye: AdminDown, for as long as the peer would take to detect silence
// (RFC 5880 §6.8.16).
func (s *Server) leave(x *session, now time.Time, why Reason) {
	x.leaving = true
	s.leaving[x.cfg.path()] = x
	x.leaveAt = now.Add(time.Duration(x.cfg.DetectMultiplier) * x.m.txInterval())
	k := x.peerKey()
	s.peers[k] = slices.DeleteFunc(s.peers[k], func(o *session) bool { return o == x })
	if len(s.peers[k]) == 0 {
		delete(s.peers, k)
	}
	s.apply(x, now, x.m.Step(now, Stop{why}))
	if x.ep != nil {
		// At once: if a session with the same peer takes its place, the peer has to hear
		// of this one's end first, or it would take the other's Down for a failure.
		s.apply(x, now, x.m.Step(now, Tick{Heard: s.epoch}))
	}
}

func (s *Server) forget(x *session) {
	x.close()
	s.heap.remove(x)
	delete(s.all, x.m.local)
	if p := x.cfg.path(); s.leaving[p] == x {
		delete(s.leaving, p)
	}
}

// Status tells of all sessions of the set, by name.
func (s *Server) Status() (out []SessionStatus) {
	s.do(func() {
		out = make([]SessionStatus, 0, len(s.names))
		for _, x := range s.names {
			out = append(out, x.status())
		}
	})
	slices.SortFunc(out, func(a, b SessionStatus) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// ServerStatus tells what belongs to no session.
func (s *Server) ServerStatus() (st ServerStatus) {
	s.do(func() { st.Strangers = s.strangers })
	return st
}

// Run keeps the sessions until ctx ends, then tells the peers that nothing failed
// (AdminDown) and returns. It may be called once. The error is the transport's.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.ran {
		s.mu.Unlock()
		return errors.New("bfd server was run before")
	}
	s.ran = true
	s.mu.Unlock()
	unblock := context.AfterFunc(ctx, s.opt.Transport.Wake)
	defer unblock()
	var writing sync.WaitGroup
	writing.Go(s.journal.write)
	defer func() {
		close(s.journal.queue)
		writing.Wait()
	}()
	end := s.opt.Transport.Begin()
	defer end()
	err := s.loop(ctx)
	s.answer(false)
	s.mu.Lock()
	s.done = true
	now := time.Now()
	for _, x := range s.all {
		if !x.leaving {
			s.leave(x, now, ReasonShutdown)
		}
		s.apply(x, now, x.m.Step(now, Tick{Heard: s.epoch}))
		s.forget(x)
	}
	s.mu.Unlock()
	s.tell()
	return err
}
