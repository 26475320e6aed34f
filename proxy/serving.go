package proxy

import (
	"context"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// ServingPulse is how often a follower of Tell hears at least something.
const ServingPulse = 5 * time.Second

// Told is one thing that a proxy tells of what its kernel holds. An empty one is
// but a sign of life.
type Told struct {
	// About is told first of all.
	About *About `json:"about,omitempty"`

	Serving *dataplane.Serving `json:"serving,omitempty"` // from now on
	Gone    *pharos.Name       `json:"gone,omitempty"`    // the kernel has nothing of it any more

	// Whole says that all that there is has been told.
	Whole bool `json:"whole,omitempty"`
}

// About is what a proxy tells of itself.
type About struct {
	// Format is its dataplane.DigestFormat.
	Format int `json:"format"`

	// Beside says that it carries Services of mode direct alone, and Mode is that of
	// Services that ask for none.
	Beside bool                 `json:"beside,omitempty"`
	Mode   pharos.DataPlaneMode `json:"mode"`
}

// serving is what the kernel holds of the Services of type LoadBalancer. The
// Snapshot and the State are those applied last.
type serving struct {
	snapshot *pharos.Snapshot
	state    *dataplane.State
	services pharos.Map[pharos.Name, *dataplane.Serving]
	changed  chan struct{} // closed when services are others
	known    bool          // something was applied
}

// applied works in that the kernel holds state, which was planned of the Snapshot.
// Its cost is that of what differs from the one before.
func (s *serving) applied(snapshot *pharos.Snapshot, state *dataplane.State) {
	dirty := map[pharos.Name]bool{}
	for name := range snapshot.Services.Diff(s.snapshot.Services) {
		dirty[name] = true
	}
	for name := range snapshot.Endpoints.Diff(s.snapshot.Endpoints) {
		dirty[name] = true
	}
	for name := range state.Services.Diff(s.state.Services) {
		dirty[name] = true
	}
	is := s.services
	for name := range dirty {
		service, _ := snapshot.Services.Get(name)
		endpoints, _ := snapshot.Endpoints.Get(name)
		plan, _ := state.Services.Get(name)
		if now := dataplane.ServingOf(state.Node.Name, service, endpoints, plan); now == nil {
			is = is.Without(name)
		} else if was, ok := is.Get(name); !ok || !was.Equal(now) {
			is = is.With(name, now)
		}
	}
	s.snapshot, s.state = snapshot, state
	if len(dirty) == 0 && s.known {
		return
	}
	s.services, s.known = is, true
	close(s.changed)
	s.changed = make(chan struct{})
}

// Tell hands what the kernel holds of Services of type LoadBalancer to emit: first of
// all what it is, so that there is known to be a proxy; all that it holds, as soon as
// something has been applied; then every change. Several
// changes at once may be told as one. It returns when ctx ends or emit fails.
func (p *Proxy) Tell(ctx context.Context, emit func(...Told) error) error {
	pulse := time.NewTicker(ServingPulse)
	defer pulse.Stop()
	var told pharos.Map[pharos.Name, *dataplane.Serving]
	whole := false
	about := About{Format: dataplane.DigestFormat, Beside: p.opts.Beside, Mode: p.opts.Mode}
	if err := emit(Told{About: &about}); err != nil {
		return err
	}
	for {
		p.mu.Lock()
		is, known, changed := p.serving.services, p.serving.known, p.serving.changed
		p.mu.Unlock()
		var news []Told
		for name := range is.Diff(told) {
			if s, ok := is.Get(name); ok {
				news = append(news, Told{Serving: s})
			} else {
				news = append(news, Told{Gone: &name})
			}
		}
		if known && !whole {
			news, whole = append(news, Told{Whole: true}), true
		}
		if len(news) > 0 {
			if err := emit(news...); err != nil {
				return err
			}
		}
		told = is
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-pulse.C:
			if err := emit(Told{}); err != nil {
				return err
			}
		}
	}
}
