package speaker

import (
	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// pass lets the newest configuration come into force, by the rule of
// pharos.Gate, and reports whether another one is in force now. Addresses are in
// use as long as they stand in statuses: the controller refuses what a ConfigMap
// would take away by the same, and with resources it is the controller's turn to
// give others first.
func (s *Speaker) pass(snap *pharos.Snapshot) bool {
	was, refused := s.status.Config.Reason, s.gate.Refused()
	changed := s.gate.Step(snap, pharos.Noted{Services: snap.Services, Class: s.opt.Class, Config: s.gate.Config})
	s.cfg = s.gate.Config
	reason := s.gate.Reason
	if snap.Config == nil && snap.Problem.Code == why.OK && !snap.Synced {
		reason = why.Reason{Code: why.NotSynced}
	}
	s.status.Config.Loaded, s.status.Config.Stale, s.status.Config.Reason = s.cfg != nil, reason.Code != why.OK, reason
	if now := s.gate.Refused(); reason != was || now != refused && now != nil {
		s.tellConfig(reason)
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
		// tells of it; what an address in use forbids, it may not know of any more.
		s.recorder.Config(r)
	}
	s.status.UpdateErrors++
	s.log.Warn("configuration not in force", "reason", r.Code, "detail", r.String())
}
