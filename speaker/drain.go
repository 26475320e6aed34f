package speaker

import (
	"cmp"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/why"
)

// DrainTime is how long a node that is being drained announces its addresses as the
// last resort where neither its annotation nor Options say another time.
const DrainTime = 30 * time.Second

// drain is the drain of the own node.
type drain struct {
	phase   Phase
	since   time.Time  // LastResort began
	until   time.Time  // it ends; zero: no drain is under way
	refused why.Reason // told of already
}

// step finds out how far the drain has come. running says that the speaker announces
// something already: where it does not, nobody uses this node, and there is nothing to
// wait for.
func (d *drain) step(now time.Time, asked bool, lasts time.Duration, running bool) {
	switch {
	case !asked:
		*d = drain{refused: d.refused}
	case d.phase == Stays && !running:
		d.phase, d.until = Gone, now
	case d.phase == Stays:
		d.phase, d.since, d.until = LastResort, now, now.Add(lasts)
	case d.phase == LastResort: // which may be asked to take another time by now
		if d.until = d.since.Add(lasts); !now.Before(d.until) {
			d.phase = Gone
		}
	}
}

// deadline is when step has to be called; zero: never.
func (d *drain) deadline() time.Time {
	if d.phase == LastResort {
		return d.until
	}
	return time.Time{}
}

// stepDrain works in what the own Node asks for and the time, and reports whether the
// View is another one now.
func (s *Speaker) stepDrain(now time.Time) bool {
	if s.self == nil {
		return false
	}
	ask, was := s.self.Drain, s.drain.phase
	lasts := cmp.Or(ask.Time, s.opt.NodeDrainTime, DrainTime)
	s.drain.step(now, ask.Asked, lasts, s.synced)
	if ask.Refused != s.drain.refused {
		if s.drain.refused = ask.Refused; ask.Refused.Code != why.OK {
			s.recorder.Node(s.opt.Node, ask.Refused)
			s.log.Warn("the node is not drained", "reason", ask.Refused.Code, "detail", ask.Refused.String())
		}
	}
	if s.drain.phase != was {
		r := why.New(why.NodeDraining, "node %s is being drained: for %v its load balancer addresses are announced as the last resort, then not at all", s.opt.Node, lasts)
		switch s.drain.phase {
		case LastResort:
			s.recorder.Node(s.opt.Node, r)
			s.log.Info("node is being drained", "until", s.drain.until)
		case Gone:
			s.log.Info("node is drained")
		default:
			s.log.Info("node is not being drained any more")
		}
	}
	if s.view == nil || s.view.phase == s.drain.phase {
		return false
	}
	s.view = s.view.at(s.drain.phase)
	return true
}

// leave ends what the speaker announces, in an order that leaves others the time to
// take over: the routes are marked as the last resort (RFC 8326) while layer 2 addresses
// are handed over. What is announced over BGP then goes with the sessions, whose goodbye
// the engine says.
func (s *Speaker) leave() {
	timer := time.NewTimer(s.opt.DrainTime)
	defer timer.Stop()
	marked := s.opt.DrainTime > 0 && s.markAll()
	s.handOver()
	if marked {
		<-timer.C
	}
}

// markAll marks the routes of all sessions but those whose peer keeps them while the
// speaker is away: to mark them would have its successor's absence felt. It reports
// whether there are any.
func (s *Speaker) markAll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == nil {
		return false
	}
	kept, marked := map[string]bool{}, false
	for _, l := range s.edge.Sessions.Status() {
		kept[l.Name] = retains(&l)
		marked = marked || l.State == bgp.Established && l.Advertised > 0 && !kept[l.Name]
	}
	if !marked {
		return false
	}
	configs := s.view.configs()
	for i := range configs {
		configs[i].GracefulShutdown = !kept[configs[i].Name]
	}
	if err := s.edge.Sessions.SetPeers(configs); err != nil {
		s.log.Error("mark routes before the end", "err", err)
		return false
	}
	s.log.Info("routes are marked as the last resort before the end", "wait", s.opt.DrainTime)
	return true
}

// retains reports whether a session's peer has agreed to keep our routes when we go
// (RFC 4724).
func retains(l *bgp.SessionStatus) bool {
	if l.State != bgp.Established || l.Config.GracefulRestart == nil || l.Config.GracefulRestart.Restart == 0 {
		return false
	}
	_, ok := (&wire.Open{Capabilities: l.CapabilitiesReceived}).GracefulRestart()
	return ok
}

// drainStatus tells of the drain. The caller holds mu.
func (s *Speaker) drainStatus() why.Reason {
	switch s.drain.phase {
	case LastResort:
		return why.New(why.NodeDraining, "the node is being drained: routes are marked as the last resort until %s", s.drain.until.UTC().Format(time.RFC3339))
	case Gone:
		return why.New(why.NodeDraining, "the node is drained: it announces nothing")
	}
	return s.drain.refused
}
