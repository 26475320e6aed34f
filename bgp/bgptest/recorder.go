package bgptest

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

// Patience is how long Recorder.Wait waits, on whatever clock there is.
const Patience = time.Minute

// Recorder is a bgp.Handler that remembers what it is told, and who has which
// route.
type Recorder struct {
	mu      sync.Mutex
	changed chan struct{}
	peers   map[string]*Heard
}

// Heard is what a Recorder knows of one peer.
type Heard struct {
	Up      bool
	Session bgp.SessionStatus // as of the last Established
	Ups     int
	Downs   []bgp.Down
	Routes  map[netip.Prefix]*wire.Attrs // since the last Established
	Updates int
	Ends    []wire.Family // End-of-RIB, since the last Established
	Refresh []wire.Family
	// Story is the calls in order: "up", "update +p -p", "end of rib F", "refresh F",
	// "refresh begins F", "refresh ends F", "down CAUSE".
	Story []string
}

// NewRecorder returns an empty Recorder.
func NewRecorder() *Recorder {
	return &Recorder{changed: make(chan struct{}), peers: make(map[string]*Heard)}
}

func (r *Recorder) change(peer string, f func(*Heard)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.peers[peer]
	if h == nil {
		h = &Heard{Routes: make(map[netip.Prefix]*wire.Attrs)}
		r.peers[peer] = h
	}
	f(h)
	close(r.changed)
	r.changed = make(chan struct{})
}

// Established implements bgp.Handler.
func (r *Recorder) Established(peer string, s bgp.SessionStatus) {
	r.change(peer, func(h *Heard) {
		h.Up, h.Session, h.Ups, h.Ends = true, s, h.Ups+1, nil
		h.Routes = make(map[netip.Prefix]*wire.Attrs)
		h.Story = append(h.Story, "up")
	})
}

// Update implements bgp.Handler.
func (r *Recorder) Update(peer string, u *wire.Update) {
	r.change(peer, func(h *Heard) {
		h.Updates++
		var line strings.Builder
		line.WriteString("update")
		for _, p := range u.Withdrawn {
			delete(h.Routes, p)
			line.WriteString(" -" + p.String())
		}
		for _, p := range u.NLRI {
			h.Routes[p] = u.Attrs
			line.WriteString(" +" + p.String())
		}
		h.Story = append(h.Story, line.String())
	})
}

// EndOfRIB implements bgp.Handler.
func (r *Recorder) EndOfRIB(peer string, f wire.Family) {
	r.change(peer, func(h *Heard) {
		h.Ends = append(h.Ends, f)
		h.Story = append(h.Story, "end of rib "+f.String())
	})
}

// Refresh implements bgp.Handler.
func (r *Recorder) Refresh(peer string, f wire.Family) {
	r.change(peer, func(h *Heard) {
		h.Refresh = append(h.Refresh, f)
		h.Story = append(h.Story, "refresh "+f.String())
	})
}

// RefreshBegin implements bgp.Handler.
func (r *Recorder) RefreshBegin(peer string, f wire.Family) {
	r.change(peer, func(h *Heard) { h.Story = append(h.Story, "refresh begins "+f.String()) })
}

// RefreshEnd implements bgp.Handler.
func (r *Recorder) RefreshEnd(peer string, f wire.Family) {
	r.change(peer, func(h *Heard) { h.Story = append(h.Story, "refresh ends "+f.String()) })
}

// Abandoned implements bgp.Handler.
func (r *Recorder) Abandoned(peer string) {
	r.change(peer, func(h *Heard) { h.Story = append(h.Story, "abandoned") })
}

// Closed implements bgp.Handler.
func (r *Recorder) Closed(peer string, why bgp.Down) {
	r.change(peer, func(h *Heard) {
		h.Up, h.Routes = false, make(map[netip.Prefix]*wire.Attrs)
		h.Downs = append(h.Downs, why)
		h.Story = append(h.Story, "down "+why.Cause.String())
	})
}

// Heard returns a copy of what is known of a peer.
func (r *Recorder) Heard(peer string) Heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard(peer)
}

func (r *Recorder) heard(peer string) Heard {
	h := r.peers[peer]
	if h == nil {
		return Heard{}
	}
	c := *h
	c.Downs, c.Ends, c.Refresh = slices.Clone(h.Downs), slices.Clone(h.Ends), slices.Clone(h.Refresh)
	c.Routes, c.Story = maps.Clone(h.Routes), slices.Clone(h.Story)
	return c
}

// Wait waits until what is known of a peer is as ok wants it, and fails the test
// after Patience.
func (r *Recorder) Wait(t testing.TB, peer, what string, ok func(Heard) bool) Heard {
	t.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	for {
		r.mu.Lock()
		h, changed := r.heard(peer), r.changed
		r.mu.Unlock()
		if ok(h) {
			return h
		}
		select {
		case <-changed:
		case <-late.C:
			t.Fatalf("%s: %s: not within %v; heard:\n\t%s", peer, what, Patience, strings.Join(h.Story, "\n\t"))
		}
	}
}

// WaitUp waits for the n-th session to be Established.
func (r *Recorder) WaitUp(t testing.TB, peer string, n int) Heard {
	t.Helper()
	return r.Wait(t, peer, fmt.Sprintf("session %d established", n), func(h Heard) bool { return h.Up && h.Ups >= n })
}

// WaitDown waits for the n-th end of a session.
func (r *Recorder) WaitDown(t testing.TB, peer string, n int) Heard {
	t.Helper()
	return r.Wait(t, peer, fmt.Sprintf("session %d closed", n), func(h Heard) bool { return len(h.Downs) >= n })
}

// WaitRoutes waits until the peer has told exactly these prefixes.
func (r *Recorder) WaitRoutes(t testing.TB, peer string, prefixes ...string) Heard {
	t.Helper()
	return r.Wait(t, peer, fmt.Sprintf("routes %v", prefixes), func(h Heard) bool {
		if len(h.Routes) != len(prefixes) {
			return false
		}
		for _, p := range prefixes {
			if h.Routes[netip.MustParsePrefix(p)] == nil {
				return false
			}
		}
		return true
	})
}
