package gossip

import (
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

// Options are a Cluster's.
type Options struct {
	// Name is the own node's. Required.
	Name string

	// BindAddr is the address to listen on and to be found at; the zero value
	// means the own address given to Set.
	BindAddr netip.Addr

	// BindPort is the port of TCP and UDP, the same on every node.
	BindPort uint16

	// Secret returns the text that all speakers share. An error that is
	// fs.ErrNotExist, or an empty text, means that there is none yet; it is
	// asked for again until there is.
	Secret func() (string, error)

	// Tuning is LAN() if nil.
	Tuning *Tuning

	// Paths watches the paths to the other members by BFD; its Changes have to be
	// handed to StateChanged. Nil: memberlist alone finds out who is dead.
	Paths Paths

	// Profile is how fast Paths detects.
	Profile bfd.Profile

	// Report is told why there is no membership, each reason once, and with OK
	// when there is again. It may be nil.
	Report func(why.Reason)

	// Log may be nil: nothing is logged.
	Log *slog.Logger
}

// Cluster is the membership as one node sees it. Its methods may be called from
// any goroutine.
type Cluster struct {
	opt     Options
	log     *slog.Logger
	wake    chan struct{} // capacity 1: there is something to do for Run
	rejoin  chan struct{} // capacity 1: nodes changed, or one was lost
	changed chan struct{} // capacity 1: there is something to tell
	queue   memberlist.TransmitLimitedQueue
	size    atomic.Int32 // how many members there are

	mu      sync.Mutex // memberlist's own is held while it calls us, never the other way round
	self    netip.Addr
	others  []netip.Addr
	reason  why.Reason
	settled bool
	members map[string]*member
	left    map[string]bool
	facts   speaker.Facts // of the own node
	stale   bool          // the others have not been told facts
	claims  election.Claims
	heard   map[netip.Addr]bool
}

// member is another speaker, or this one, that memberlist knows to be alive.
type member struct {
	addr  netip.Addr
	facts *speaker.Facts
	path  path
}

// New starts nothing.
func New(opt Options) *Cluster {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Report == nil {
		opt.Report = func(why.Reason) {}
	}
	if opt.Tuning == nil {
		lan := LAN()
		opt.Tuning = &lan
	}
	c := &Cluster{
		opt: opt, log: opt.Log,
		wake:    make(chan struct{}, 1),
		rejoin:  make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
		reason:  why.Reason{Code: why.NotSynced},
		members: map[string]*member{},
		left:    map[string]bool{},
		heard:   map[netip.Addr]bool{},
		facts:   speaker.Facts{Partial: true}, // until Tell is called, none is known
	}
	c.queue.RetransmitMult = opt.Tuning.RetransmitMult
	c.queue.NumNodes = func() int { return int(c.size.Load()) } // it is locked then: no lock of ours
	return c
}

// token puts one into a channel of capacity 1.
func token(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// signal says that there is something to tell.
func (c *Cluster) signal() { token(c.changed) }

// Changed implements speaker.Membership.
func (c *Cluster) Changed() <-chan struct{} { return c.changed }

// Set replaces the addresses at which the own node and all others are. It
// returns at once.
func (c *Cluster) Set(self netip.Addr, others []netip.Addr) {
	c.mu.Lock()
	c.self, c.others = self, slices.Clone(others)
	c.mu.Unlock()
	token(c.wake)
	token(c.rejoin)
}

// Tell implements speaker.Membership.
func (c *Cluster) Tell(f speaker.Facts) speaker.Facts {
	f = *decodeFacts(encodeFacts(&f, memberlist.MetaMaxSize))
	c.mu.Lock()
	same := sameFacts(&c.facts, &f)
	c.facts = f
	c.stale = c.stale || !same
	c.mu.Unlock()
	if !same {
		token(c.wake)
	}
	return f
}

// Status returns who is alive.
func (c *Cluster) Status() speaker.MembershipStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := speaker.MembershipStatus{Reason: c.reason, Settled: c.settled}
	now := time.Now()
	for name, m := range c.members {
		if m.path.dead(now) {
			continue
		}
		st.Members = append(st.Members, speaker.Member{Name: name, Addr: m.addr, Facts: m.facts, Watched: m.path.up})
	}
	slices.SortFunc(st.Members, func(a, b speaker.Member) int { return strings.Compare(a.Name, b.Name) })
	st.Left = slices.Sorted(maps.Keys(c.left))
	return st
}
