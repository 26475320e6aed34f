package bgp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp/wire"
)

// Options are what a Server is built on.
type Options struct {
	// Dialer connects to peers. Nil: every peer is passive.
	Dialer Dialer
	// Listener opens the sockets of ListenAddrs. Nil: the Server never listens.
	Listener    ListenFunc
	ListenAddrs []netip.AddrPort
	// Handler is told of sessions and routes. Nil: nobody is.
	Handler Handler
	// Incomplete holds End-of-RIB back in all sessions until Server.Complete says that
	// what Apply stated is all there is: a peer that kept our routes over a restart
	// drops at that marker what it was not told of again (RFC 4724 §4.1).
	Incomplete bool
	// Detector watches the paths to peers with Config.BFD: a bfd.Server that tells the
	// Server of changes (StateChanged). Nil: nobody does.
	Detector Detector
	// Log gets sessions' ups and downs and what peers did wrong. Nil: nothing is
	// logged.
	Log *slog.Logger
}

// Change is one wish about one peer's table: the prefix with these attributes, or
// not at all.
type Change struct {
	Peer   string
	Prefix netip.Prefix
	// Path tells several paths to one prefix apart. A peer that takes only one
	// (Config.AddPath) gets the one with the lowest number.
	Path  uint32
	Attrs *Attrs // nil: the peer shall not have the path
}

// Server keeps sessions with a set of peers. Its methods may be called from any
// goroutine.
type Server struct {
	opt Options

	mu        sync.Mutex
	peers     map[string]*peer  // dynamic neighbors among them
	templates map[string]Config // those with a RemotePrefix
	leaving   map[string]*peer  // removed peers whose goodbye may still be under way
	listeners []Listener
	ctx       context.Context // Run's, while it runs
	ran       bool
	peopled   bool // SetPeers was called with peers
	sessions  sync.WaitGroup

	// onPath are the peers by the BFD session that watches their path. It is read by the
	// Detector's thread, which must not wait for mu.
	onPath atomic.Pointer[map[string][]*peer]

	refusedLogged time.Time // when the log last heard of a dynamic neighbor too many
}

// NewServer checks the options; it starts nothing.
func NewServer(opt Options) (*Server, error) {
	switch {
	case opt.Dialer == nil && opt.Listener == nil:
		return nil, errors.New("bgp server needs a dialer or a listener")
	case opt.Listener != nil && len(opt.ListenAddrs) == 0:
		return nil, errors.New("bgp server has a listener but no address to listen on")
	case opt.Listener == nil && len(opt.ListenAddrs) > 0:
		return nil, errors.New("bgp server has addresses to listen on but no listener")
	}
	if opt.Handler == nil {
		opt.Handler = NopHandler{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{opt: opt, peers: make(map[string]*peer), leaving: make(map[string]*peer)}, nil
}

// Run keeps the sessions until ctx ends, then says goodbye (NOTIFICATION Cease,
// administrative shutdown), closes and waits for everything it started; that
// takes at most about a second. ListenAddrs can be listened on again then. It may be
// called once. The error is that of a socket that cannot be listened on.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := s.open(ctx); err != nil {
		return err
	}
	var accepting sync.WaitGroup
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		accepting.Go(func() {
			if err := s.accept(ctx, l); err != nil {
				failed <- err
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		cancel()
	}
	// Accept returns only when the listener is closed. It may return before Close does,
	// and whoever waits for Run may want to listen on the same port next.
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Lock()
	s.ctx = nil
	s.mu.Unlock()
	accepting.Wait()
	s.sessions.Wait()
	return err
}

// open opens the listening sockets and starts the sessions.
func (s *Server) open(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ran {
		return errors.New("bgp server was run before")
	}
	for _, addr := range s.opt.ListenAddrs {
		l, err := s.opt.Listener(ctx, addr)
		if err != nil {
			for _, l := range s.listeners {
				l.Close()
			}
			s.listeners = nil
			return fmt.Errorf("listen for bgp on %v: %w", addr, err)
		}
		s.listeners = append(s.listeners, l)
	}
	s.ran, s.ctx = true, ctx
	if err := s.tellListeners(); err != nil {
		s.opt.Log.Error("bgp listener cannot serve a peer", "err", err)
	}
	for _, p := range s.peers {
		p.restarting = true
		s.start(p)
	}
	s.watch()
	return nil
}

// start runs a peer's session, after that of a removed peer of the same name.
// The caller holds mu.
func (s *Server) start(p *peer) {
	ctx, before := s.ctx, s.leaving[p.name]
	s.sessions.Go(func() {
		if before != nil {
			<-before.done
		}
		p.run(ctx)
	})
}

// SetPeers replaces the whole set of peers. Sessions whose configuration is the
// same as before are not touched; those whose configuration changed are closed
// with Cease and opened anew, and keep what Apply asked for; those not in the set
// any more are closed and forgotten. It does not wait for any of this.
//
// An invalid configuration is an error, and then nothing has changed. An error of
// the listeners (a password that the kernel does not take) is returned after all
// else is done.
func (s *Server) SetPeers(peers []Config) error {
	configs, err := validateSet(peers)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.peers
	s.peers, s.templates = make(map[string]*peer, len(configs)), make(map[string]Config)
	var fresh []*peer
	for _, c := range configs {
		if c.RemotePrefix.IsValid() {
			s.templates[c.Name] = c
			continue
		}
		c.Passive = c.Passive || s.opt.Dialer == nil
		p, ok := old[c.Name]
		if !ok || p.template != "" {
			p = newPeer(c, s.opt)
			p.restarting = !s.peopled // what comes later is new to us
			fresh = append(fresh, p)
		} else {
			delete(old, c.Name)
		}
		s.peers[c.Name] = p
		p.want(c)
	}
	s.peopled = s.peopled || len(configs) > 0
	for name, p := range old {
		if p.template != "" && s.peers[name] == nil && s.keep(p) {
			s.peers[name] = p
			continue
		}
		p.quit()
		if s.ctx != nil {
			s.leaving[name] = p
		}
	}
	maps.DeleteFunc(s.leaving, func(_ string, p *peer) bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	})
	err = s.tellListeners()
	if s.ctx != nil {
		for _, p := range fresh {
			s.start(p)
		}
	}
	s.watch()
	return err
}

// Refresh asks the named peers for all their routes of a family once more (RFC 2918
// §3). Those that do not offer to answer, and names that are not known, are passed
// over. It does not wait.
func (s *Server) Refresh(f wire.Family, names ...string) {
	s.command(command{refresh: f}, names...)
}

// Reset closes the sessions of the named peers with Cease, administrative reset
// (RFC 4486 §4), and opens them anew at once; what Apply asked for and the
// counters stay. The text is for the peers' operators (RFC 9003) and may be empty.
// A peer that Refuse keeps out comes back. Names that SetPeers does not know are
// ignored. It does not wait.
func (s *Server) Reset(text string, names ...string) {
	s.command(command{cause: CauseReset, say: farewell(wire.SubCeaseReset, text), again: true}, names...)
}

// Refuse closes a peer's session with a NOTIFICATION and keeps the peer out until
// Reset or another configuration, a dynamic neighbor for an hour after its last attempt
// otherwise. It does not wait.
func (s *Server) Refuse(name string, n *wire.Notification) {
	s.command(command{cause: CauseRefused, say: n}, name)
}

// PathDown says that the path to a peer is dead: its session ends at once, whatever
// its timers say (RFC 5882 §4.3), and its routes are not kept. It does not wait.
func (s *Server) PathDown(name string) {
	s.command(command{cause: CausePathDown}, name)
}

// command tells peers to end their sessions.
func (s *Server) command(c command, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if p := s.peers[name]; p != nil && s.ctx != nil {
			p.command(c)
		}
	}
}

// tellListeners makes the set of peers known to the listeners. The caller holds mu.
func (s *Server) tellListeners() error {
	if len(s.listeners) == 0 {
		return nil
	}
	configs := slices.Collect(maps.Values(s.templates))
	for _, p := range s.peers {
		if p.template == "" { // the others share their template's keys
			configs = append(configs, p.config())
		}
	}
	slices.SortFunc(configs, func(a, b Config) int { return cmp.Compare(a.Name, b.Name) })
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.SetPeers(configs))
	}
	return errors.Join(errs...)
}

// accept hands connections to their peers until the listener is closed.
func (s *Server) accept(ctx context.Context, l Listener) error {
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept bgp connections on %v: %w", l.Addr(), err)
		case err != nil: // out of file descriptors, or a connection that died in the queue
			s.opt.Log.Warn("bgp connection not accepted", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		local, remote := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
		p := s.peerOf(local.Addr(), remote.Addr())
		if p == nil {
			s.opt.Log.Debug("bgp connection of a stranger refused", "remote", remote)
			c.Close()
			continue
		}
		p.offer(c)
	}
}

// peerOf finds the peer that a connection is from; one that insists on our local
// address goes before one that does not, then the name decides. A host that is no
// peer's may become one, by a prefix.
func (s *Server) peerOf(local, remote netip.Addr) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found *peer
	var exact bool
	for _, p := range s.peers {
		c := p.config()
		if c.Device != "" || c.RemoteAddr != remote || c.LocalAddr.IsValid() && c.LocalAddr != local {
			continue
		}
		if found == nil || c.LocalAddr.IsValid() && !exact || c.LocalAddr.IsValid() == exact && p.name < found.name {
			found, exact = p, c.LocalAddr.IsValid()
		}
	}
	if found == nil {
		return s.admit(local, remote)
	}
	return found
}

// Apply states what peers shall have, as changes to what was stated before; a
// change that states the same again does nothing. It returns at once: each
// peer's own writer packs and sends, as fast as the peer reads. Changes for a
// name that SetPeers does not know, and prefixes that are not valid, are ignored.
// What a prefix's host bits say is ignored too.
func (s *Server) Apply(changes []Change) {
	for len(changes) > 0 {
		name := changes[0].Peer
		n := slices.IndexFunc(changes, func(c Change) bool { return c.Peer != name })
		if n < 0 {
			n = len(changes)
		}
		s.mu.Lock()
		p := s.peers[name]
		s.mu.Unlock()
		if p != nil {
			p.routes.set(changes[:n])
		}
		changes = changes[n:]
	}
}

// Replace states the whole of what a peer shall have, in place of all that was stated
// before: each prefix by one path. What stays as it was is not sent again. It returns
// at once, like Apply, but holds the peer's writer up while the routes are listed; they
// must not call the Server.
func (s *Server) Replace(name string, routes iter.Seq2[netip.Prefix, *Attrs]) {
	s.mu.Lock()
	p := s.peers[name]
	s.mu.Unlock()
	if p != nil {
		p.routes.replace(routes)
	}
}

// Holds tells of each prefix whether the peer has it from us: it was announced on the
// present session, with these or earlier attributes, and not withdrawn. A name that
// SetPeers does not know holds nothing.
func (s *Server) Holds(name string, prefixes []netip.Prefix) []bool {
	s.mu.Lock()
	p := s.peers[name]
	s.mu.Unlock()
	if p == nil {
		return make([]bool, len(prefixes))
	}
	return p.routes.holds(prefixes)
}

// Complete ends what Options.Incomplete began, for the sessions there are and all to
// come: what was stated up to now goes before End-of-RIB. It does not wait.
func (s *Server) Complete() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opt.Incomplete {
		return
	}
	s.opt.Incomplete = false
	for _, p := range s.peers {
		p.routes.complete()
	}
}

// Status tells of every peer, sorted by name.
func (s *Server) Status() []SessionStatus {
	s.mu.Lock()
	peers := slices.SortedFunc(maps.Values(s.peers), func(a, b *peer) int { return cmp.Compare(a.name, b.name) })
	s.mu.Unlock()
	paths := make(map[*peer]*bfd.SessionStatus)
	if onPath := s.onPath.Load(); onPath != nil {
		for _, path := range s.opt.Detector.Status() {
			for _, p := range (*onPath)[path.Name] {
				paths[p] = &path
			}
		}
	}
	out := make([]SessionStatus, len(peers))
	for i, p := range peers {
		out[i] = p.Status()
		out[i].BFD = paths[p]
	}
	return out
}

// addrPort reads the address of a TCP connection, mapped addresses unmapped.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
