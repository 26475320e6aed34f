package speaker

import (
	"context"
	"net/netip"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/why"
)

const (
	// moveTime bounds how long an address is answered for that another node is to
	// announce from now on: time for that node to hear of what this one has heard of.
	// Its announcement ends it.
	moveTime = 3 * time.Second

	// stopTime is the same when the speaker ends. MetalLB's manifests grant a speaker
	// two seconds for all.
	stopTime = 1200 * time.Millisecond

	// forgetTime is how long a silent speaker counts for fencing.
	forgetTime = time.Minute
)

// segments is what a Speaker keeps for layer 2.
type segments struct {
	crowd   *crowd
	links   []layer2.LinkStatus
	leaving bool
	begin   begin
	quorum  election.Quorum
	owners  map[string]map[pharos.Name]bool // Services on layer 2, by who announces them; empty: nobody
	answers *answers
	judge   *judge

	conflicts uint64 // told of
}

func newSegments(opt Options) segments {
	j := newJudge()
	return segments{
		crowd:   everybody(opt.Node),
		quorum:  election.Quorum{After: opt.FenceAfter, Forget: forgetTime},
		owners:  map[string]map[pharos.Name]bool{},
		answers: newAnswers(j.claimant), judge: j,
	}
}

// Conflict implements layer2.Handler: the Announcer hands it what other hosts claim.
func (s *Speaker) Conflict(c layer2.Conflict) bool { return s.segments.judge.Conflict(c) }

// track keeps what a Service's plan means for layer 2.
func (s *Speaker) track(was, is *Plan, now time.Time) {
	l := &s.segments
	if was != nil {
		for i := range was.Addresses {
			if seg := was.Addresses[i].Layer2; seg != nil {
				delete(l.owners[seg.Owner], was.Service)
			}
		}
	}
	if is != nil {
		for i := range is.Addresses {
			if seg := is.Addresses[i].Layer2; seg != nil {
				if l.owners[seg.Owner] == nil {
					l.owners[seg.Owner] = map[pharos.Name]bool{}
				}
				l.owners[seg.Owner][is.Service] = true
			}
		}
	}
	bound := moveTime
	if l.leaving {
		bound = stopTime
	}
	l.answers.replace(was, is, now.Add(bound))
	// Who may be cut off claims nothing: the others can't hear it, and would have to give
	// way afterwards.
	if s.opt.Policy.Sticky && s.edge.Membership != nil && l.quorum.InTouch() && is != nil && len(is.Addresses) > 0 && is.Addresses[0].here() {
		s.edge.Membership.Hold([]netip.Addr{is.Addresses[0].Addr})
	}
}

// announce has the Announcer announce what is this node's.
func (s *Speaker) announce(now time.Time) {
	l := &s.segments
	if s.edge.Layer2 == nil {
		return
	}
	l.answers.expire(now)
	if !l.answers.changed {
		return
	}
	l.judge.move(now, l.answers.moved(), func(a netip.Addr) bool { _, here := l.answers.own[a]; return here })
	s.edge.Layer2.Set(l.answers.list())
}

// hear tells of the claims of other hosts.
func (s *Speaker) hear(now time.Time) {
	l := &s.segments
	takeovers, disputes := l.judge.take(now, l.crowd.alive)
	for _, a := range takeovers {
		l.answers.taken(a)
	}
	for _, c := range disputes {
		l.conflicts++
		r := wording(c)
		s.log.Warn("another host claims an address", "address", c.Addr, "mac", c.MAC, "interface", c.Interface, "node", c.node)
		for name := range l.owners[s.opt.Node] {
			if s.plans[name].answers(c.Addr) {
				s.recorder.Service(name, r)
			}
		}
	}
}

// wording words a conflict for people.
func wording(c claimed) why.Reason {
	switch {
	case c.node != "":
		return why.New(why.AddressConflict, "node %s announces %s too, with MAC %s on interface %s: the speakers do not hear each other", c.node, c.Addr, c.MAC, c.Interface)
	case c.Probe:
		return why.New(why.AddressConflict, "a host with MAC %s on interface %s asked if %s is free for it", c.MAC, c.Interface, c.Addr)
	}
	return why.New(why.AddressConflict, "a host with MAC %s on interface %s claims %s too: find it, and give it another address", c.MAC, c.Interface, c.Addr)
}

// refresh works in what is not in Snapshots: members, links, claims, the data plane and
// time.
func (s *Speaker) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.hear(now)
	newPhase := s.stepDrain(now)
	concerned := s.listen(now)
	include(concerned, s.meet(now))
	switch {
	case !s.snap.Synced || s.view == nil || !s.kernel.state.Settled:
	case newPhase || !s.synced:
		s.rebuild(now)
	default:
		s.replanAll(concerned, now)
	}
	s.announce(now)
}

// deadline is when refresh has to be called though nothing happened; zero: never.
func (s *Speaker) deadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.segments
	var next time.Time
	for _, t := range []time.Time{l.answers.deadline(), l.quorum.Deadline(), l.begin.deadline(), l.judge.deadline(), s.kernel.deadline(), s.drain.deadline()} {
		if next.IsZero() || !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	return next
}

// handOver ends layer 2: the others are told that this speaker ends, and what they take
// over is answered for until they do, for a short time at most.
func (s *Speaker) handOver() {
	if s.edge.Layer2 == nil {
		return
	}
	s.mu.Lock()
	s.segments.leaving = true
	s.segments.answers.hasten(time.Now().Add(stopTime))
	s.mu.Unlock()
	s.refresh()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.mu.Lock()
		next := s.segments.answers.deadline()
		s.mu.Unlock()
		if next.IsZero() {
			break
		}
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-s.segments.judge.wake:
		}
		s.settle()
	}
	s.edge.Layer2.Set(nil)
}

// settle takes in who took over.
func (s *Speaker) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.hear(now)
	s.announce(now)
}

// Run reconciles with every Snapshot until ctx ends, and with what members and links
// and the data plane tell. Then it leaves, which takes a second or so: see leave. What is
// announced over BGP stays: closing the sessions takes it back, and the engine says
// goodbye.
func (s *Speaker) Run(ctx context.Context) error {
	var members, links, kernel <-chan struct{}
	if s.edge.Membership != nil {
		members = s.edge.Membership.Changed()
	}
	if s.edge.Layer2 != nil {
		links = s.edge.Layer2.Changed()
	}
	if s.edge.DataPlane != nil {
		kernel = s.edge.DataPlane.Changed()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	s.Reconcile(s.edge.Source.Snapshot())
	for {
		timer.Stop()
		if next := s.deadline(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			s.leave()
			return nil
		case <-s.edge.Source.Changed():
			s.Reconcile(s.edge.Source.Snapshot())
		case <-members:
			s.refresh()
		case <-links:
			s.refresh()
		case <-kernel:
			s.refresh()
		case <-s.segments.judge.wake:
			s.refresh()
		case <-timer.C:
			s.refresh()
		}
	}
}
