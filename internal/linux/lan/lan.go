package lan

import (
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/pharoslb/pharos/layer2"
)

// Options are what a Server works with; the zero value is good.
type Options struct {
	// Exclude are the interfaces, by name, that nothing is announced on.
	Exclude []*regexp.Regexp
	// Period is how often all addresses are announced beyond what take-overs and links
	// that come up take. Zero: not at all.
	Period time.Duration
	// Handler hears of conflicts, from one goroutine. Nil: nobody does, and nothing is
	// defended.
	Handler layer2.Handler
	// Do runs f in the network namespace to work in. Nil: the caller's of Run.
	Do func(f func() error) error
	// Log gets links that cannot be used and why. Nil: nothing is logged.
	Log *slog.Logger
}

// Server announces addresses. It is a layer2.Announcer.
type Server struct {
	opt     Options
	poked   chan struct{} // Set was called
	changed chan struct{}
	reports chan report
	broken  chan broken
	readers sync.WaitGroup

	// Owned by Run. The maps and what the ports hold are changed under mu, as others read
	// them.
	kernel  *kernel
	nics    []nic
	faults  map[half]fault
	lastUp  map[int]uint32 // carrier losses when a link was last seen to be usable
	lookErr string         // the last one logged
	failed  bool           // a link failed while effects were performed
	told    uint64         // the version of wanted that the responder knows

	mu        sync.Mutex
	wanted    []layer2.Announcement
	version   uint64 // of wanted
	responder *layer2.Responder
	ports     map[int]*port
	links     []layer2.LinkStatus // as the responder knows them
}

var _ layer2.Announcer = (*Server)(nil)

// report is a conflict and where it was heard.
type report struct {
	layer2.Conflict
	link int
}

// New starts nothing.
func New(opt Options) *Server {
	if opt.Do == nil {
		opt.Do = func(f func() error) error { return f() }
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		opt: opt, poked: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		// What is more than a burst of announcements brings, while one is handled, gets lost.
		reports: make(chan report, 1024), broken: make(chan broken, 16),
		faults: make(map[half]fault), lastUp: make(map[int]uint32),
		responder: layer2.NewResponder(opt.Period), ports: make(map[int]*port),
	}
}

// Set replaces what is announced; see layer2.Announcer. Addresses set before Run are
// announced when it begins.
func (s *Server) Set(announcements []layer2.Announcement) {
	wanted := make([]layer2.Announcement, len(announcements))
	for i, a := range announcements {
		wanted[i] = layer2.Announcement{Addr: a.Addr, Interfaces: slices.Clone(a.Interfaces)}
	}
	s.mu.Lock()
	s.wanted = wanted
	s.version++
	s.mu.Unlock()
	poke(s.poked)
}

// Links are the host's interfaces; none before Run has looked and after it has ended.
func (s *Server) Links() []layer2.LinkStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.links)
}

// Status is what is announced, and on what.
func (s *Server) Status() layer2.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.responder.Status()
}

// Changed has a token when Links, or where an address is announced, may have changed.
func (s *Server) Changed() <-chan struct{} { return s.changed }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// families of a link, each with a socket.
type family uint8

const (
	ipv4 family = iota
	ipv6
)

func familyOf(addr netip.Addr) family {
	if addr.Is4() {
		return ipv4
	}
	return ipv6
}

func (f family) String() string { return [...]string{"IPv4", "IPv6"}[f] }
