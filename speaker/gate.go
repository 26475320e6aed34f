package speaker

import (
	"net/netip"
	"reflect"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// gate decides which configuration is in force: the newest one, unless it would
// leave an announced address without a pool. A refused one is asked about again
// at every Snapshot, so that it comes into force once the address is given up.
// It reports whether the answer differs from the one before.
func (s *Speaker) gate(snap *pharos.Snapshot) bool {
	refused, was := s.refused, s.status.Config.Reason
	s.refused = nil
	s.status.Config.Reason = snap.Problem
	changed := false
	switch candidate := snap.Config; {
	case candidate == nil && snap.Problem.Code == why.OK:
		s.status.Config.Reason = why.Reason{Code: why.NotSynced}
		if snap.Synced {
			s.status.Config.Reason = why.Reason{Code: why.ConfigMissing}
		}
	case candidate == nil || candidate == s.accepted:
	case s.cfg != nil && reflect.DeepEqual(candidate, s.cfg):
		// Read anew and the same: what is in force stays, and with it all that
		// was made of it.
		s.accepted = candidate
	default:
		if orphans := candidate.Orphans(s.inUse(snap)); len(orphans) > 0 {
			s.refused = candidate
			s.status.Config.Reason = orphans[0]
			if more := len(orphans) - 1; more > 0 {
				s.status.Config.Reason = why.New(why.ConfigOrphans, "%s, and %d more", orphans[0], more)
			}
			break
		}
		s.cfg, s.accepted, changed = candidate, candidate, true
	}
	s.status.Config.Loaded = s.cfg != nil
	s.status.Config.Stale = s.status.Config.Reason.Code != why.OK
	if r := s.status.Config.Reason; r != was || s.refused != refused && s.refused != nil {
		s.tellConfig(r)
	}
	if changed {
		s.status.Updates++
		s.log.Info("configuration in force", "pools", len(s.cfg.Pools), "peers", len(s.cfg.Peers))
	}
	return changed
}

// tellConfig reports that the newest configuration is not in force, or is again.
func (s *Speaker) tellConfig(r why.Reason) {
	switch r.Code {
	case why.OK, why.NotSynced:
		return
	case why.ConfigOrphans:
		// What can't be read is the same for everybody, and the controller
		// tells of it; what an announced address forbids, only we know.
		s.recorder.Config(r)
	}
	s.status.UpdateErrors++
	s.log.Warn("configuration not in force", "reason", r.Code, "detail", r.String())
}

// inUse returns the announced addresses that the Snapshot still gives to the
// Services they are announced for.
func (s *Speaker) inUse(snap *pharos.Snapshot) map[netip.Addr]pharos.Name {
	used := map[netip.Addr]pharos.Name{}
	for name, p := range s.plans {
		svc, ok := snap.Services.Get(name)
		if !ok || svc.Type != pharos.LoadBalancer {
			continue
		}
		for _, a := range p.Addresses {
			if len(a.Routes) == 0 || !slices.Contains(svc.Ingress, a.Addr) {
				continue
			}
			// Of several Services that share the address, the first by name.
			if other, ok := used[a.Addr]; !ok || name.Compare(other) < 0 {
				used[a.Addr] = name
			}
		}
	}
	return used
}
