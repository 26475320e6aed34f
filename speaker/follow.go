package speaker

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/why"
)

const (
	// followTime bounds how long a data plane that is heard may take to follow a change
	// of a Service that is announced: then the Service is withdrawn.
	followTime = 10 * time.Second

	// silentTime is the same for one that is not heard. A proxy that is being replaced is
	// back within it, and its rules have stayed.
	silentTime = time.Minute
)

// DataPlane tells what the kernel of the node holds of Services. Its methods may be
// called from any goroutine.
type DataPlane interface {
	// Changed receives when State or Take have something new; its capacity is 1.
	Changed() <-chan struct{}

	State() DataPlaneState

	// Take returns what is held of the Services of which another thing is held than
	// when it was called last; nil: nothing.
	Take() map[pharos.Name]*dataplane.Serving
}

// DataPlaneState is how a DataPlane fares.
type DataPlaneState struct {
	// Gates says that there is one on the node that tells what it holds, so that what it
	// does not serve is not announced.
	Gates bool `json:"gates"`

	// Settled says that it is known whether there is one, and that it has told what it
	// holds, or has been waited for long enough: before, nothing is announced at all.
	Settled bool `json:"settled"`

	// Whole says that it has told all that it holds, at least once, and Comparable that
	// its digests are made as ours are.
	Whole      bool `json:"whole"`
	Comparable bool `json:"comparable"`

	// Beside says that it carries Services of mode direct alone, so that only these wait
	// for it; Mode is that of Services that ask for none.
	Beside bool                 `json:"beside,omitempty"`
	Mode   pharos.DataPlaneMode `json:"mode,omitempty"`

	// Silent is since when it is not known to be up to date; zero: it is heard, and has
	// told all that it holds. Problem says why it is not heard; empty: it is, but began
	// anew and is yet to tell.
	Silent  time.Time `json:"silent,omitzero"`
	Problem string    `json:"problem,omitempty"`
}

// kernel is what a Speaker knows of the node's data plane.
type kernel struct {
	state   DataPlaneState
	serving map[pharos.Name]*dataplane.Serving

	// joined is when a proxy came to a node that announced without one; zero: none did.
	joined time.Time
	// ailed says that ails held when listen was called last.
	ailed bool

	// behind are the Services announced that the data plane has not followed, and queue
	// the same by since, with some that it has followed in the meantime.
	behind map[pharos.Name]lag
	queue  []queued
}

// lag is how a Service that is announced lags behind.
type lag struct {
	held  dataplane.Digest // in the kernel; another one would show that it follows
	since time.Time
}

type queued struct {
	name  pharos.Name
	since time.Time
}

func newKernel() kernel {
	return kernel{state: DataPlaneState{Settled: true}, serving: map[pharos.Name]*dataplane.Serving{}, behind: map[pharos.Name]lag{}}
}

// due is when something that has lagged since a time does so for too long.
func (k *kernel) due(since time.Time) time.Time {
	if k.state.Silent.IsZero() {
		return since.Add(followTime)
	}
	if k.state.Silent.After(since) {
		since = k.state.Silent
	}
	return since.Add(silentTime)
}

// deadline is when listen has to be called though nothing happened; zero: never.
func (k *kernel) deadline() time.Time {
	var next time.Time
	if since := k.ailing(); !k.ailed && !since.IsZero() {
		next = since.Add(silentTime)
	}
	if len(k.queue) > 0 {
		if due := k.due(k.queue[0].since); next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return next
}

// fit reports whether the node may take part in elections: its data plane has put
// something into the kernel, as far as is known. Beside another proxy, each Service is
// judged alone.
func (k *kernel) fit() bool {
	return !k.state.Gates || k.state.Beside || k.state.Whole || !k.joined.IsZero()
}

// ails reports whether the data plane has not been what it was for so long that other
// nodes are to be elected, if there are any.
func (k *kernel) ails(now time.Time) bool {
	since := k.ailing()
	return !since.IsZero() && !now.Before(since.Add(silentTime))
}

// ailing is since when the data plane is not what it was; zero: it is well, or was
// never.
func (k *kernel) ailing() time.Time {
	switch {
	case !k.state.Gates, k.state.Beside:
		return time.Time{}
	case !k.state.Whole:
		return k.joined
	}
	return k.state.Silent
}

// listen takes in what the data plane tells, and returns the Services that are
// concerned.
func (s *Speaker) listen(now time.Time) map[pharos.Name]bool {
	concerned := map[pharos.Name]bool{}
	if s.edge.DataPlane == nil {
		return concerned
	}
	k := &s.kernel
	was := k.state
	k.state = s.edge.DataPlane.State()
	if s.synced && !was.Gates && k.state.Gates {
		k.joined = now
	}
	k.ailed = k.ails(now)
	if is := k.state; was.Gates != is.Gates || was.Whole != is.Whole || was.Comparable != is.Comparable || was.Beside != is.Beside || was.Mode != is.Mode {
		for name := range s.plans {
			concerned[name] = true
		}
	}
	if is := k.state; is.Gates && is.Silent.IsZero() != was.Silent.IsZero() || is.Gates != was.Gates || is.Whole != was.Whole {
		s.log.Info("data plane", "gates", is.Gates, "heard", is.Silent.IsZero(), "whole", is.Whole, "problem", is.Problem)
	}
	for name, serving := range s.edge.DataPlane.Take() {
		if is := k.serving[name]; serving == nil {
			delete(k.serving, name)
		} else if is != nil && is.Equal(serving) {
			continue // a proxy that began anew tells all
		} else {
			k.serving[name] = serving
		}
		if s.plans[name] != nil {
			concerned[name] = true
		}
	}
	for len(k.queue) > 0 && !now.Before(k.due(k.queue[0].since)) {
		q := k.queue[0]
		k.queue = k.queue[1:]
		if l, ok := k.behind[q.name]; ok && l.since.Equal(q.since) {
			concerned[q.name] = true
		}
	}
	return concerned
}

// about is what a Plan of a Service is told of the data plane. was is the plan that
// stands; nil: there is none.
func (k *kernel) about(svc *pharos.Service, eps *pharos.Endpoints, was *Plan, now time.Time) Kernel {
	if !k.state.Gates || k.state.Beside && cmp.Or(svc.Mode, k.state.Mode) != pharos.Direct {
		return Kernel{}
	}
	out := Kernel{
		Gates: true, Whole: k.state.Whole, Problem: k.state.Problem, Comparable: k.state.Comparable,
		Serving: k.serving[svc.Name], Want: dataplane.DigestOf(svc, eps),
	}
	out.Stands, out.Lost = was.stands()
	l, ok := k.behind[svc.Name]
	out.Late = ok && out.lags() && l.held == out.Serving.Digest && !now.Before(k.due(l.since))
	return out
}

// lags reports whether the kernel holds what was planned of something else.
func (k *Kernel) lags() bool { return k.Comparable && k.Serving != nil && k.Serving.Digest != k.Want }

// stands returns the addresses that the plan announces, and those that it would but for
// the data plane, which gave them up.
func (p *Plan) stands() (stands, lost []netip.Addr) {
	if p == nil {
		return nil, nil
	}
	for i := range p.Addresses {
		switch a := &p.Addresses[i]; {
		case len(a.Routes) > 0, a.here():
			stands = append(stands, a.Addr)
		case a.Reason.Code == why.DataPlaneBehind:
			lost = append(lost, a.Addr)
		}
	}
	return stands, lost
}

// note remembers since when the data plane lags behind with a Service that is
// announced.
func (k *kernel) note(name pharos.Name, told *Kernel, now time.Time) {
	if len(told.Stands) == 0 || !told.lags() {
		delete(k.behind, name)
		return
	}
	if l, ok := k.behind[name]; ok && l.held == told.Serving.Digest {
		return
	}
	k.behind[name] = lag{told.Serving.Digest, now}
	k.queue = append(k.queue, queued{name, now})
}

// unfit says why the node takes no part in layer 2 for its data plane; OK where it may.
func (k *kernel) unfit() why.Reason {
	switch {
	case k.fit():
		return why.Reason{}
	case k.state.Problem == "":
		return why.New(why.DataPlaneAwaited, "this node's proxy has put nothing into the kernel yet")
	}
	return why.New(why.DataPlaneAwaited, "this node's proxy is not heard: %s", k.state.Problem)
}

// dataPlaneStatus tells of the data plane. The caller holds mu.
func (s *Speaker) dataPlaneStatus() *DataPlaneState {
	if s.edge.DataPlane == nil {
		return nil
	}
	st := s.kernel.state
	return &st
}
