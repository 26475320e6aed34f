package crd

import (
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/internal/rule"
)

func (s *session) settleProfiles() {
	list := drafts(s, "BFDProfile", s.BFDProfiles, s.past.profiles, readProfile)
	gone := s.past.profiles
	start := func() { s.config.BFDProfiles = slices.Clone(s.legacy.BFDProfiles) }
	s.past.profiles = settle(s, list, start, func(_ *draft[pharos.BFDProfile], v *pharos.BFDProfile, _ bool) (bool, faults) {
		if twin := s.legacy.BFDProfile(v.Name); twin != nil {
			var wrong faults
			wrong.add("metadata.name", "rename one of them", "there is a BFD profile %s already, %s", rule.Quote(v.Name), twin.Origin)
			return false, wrong
		}
		s.config.BFDProfiles = append(s.config.BFDProfiles, *v)
		return true, nil
	})
	// One that was deleted while peers name it stays in force for them: their
	// sessions are worth more than tidiness. settlePeers forgets it if none does.
	s.kept = map[string]*pharos.BFDProfile{}
	for object, v := range gone {
		if s.config.BFDProfile(object.Name) == nil {
			s.kept[object.Name] = v.value
			s.past.profiles[object] = v
		}
	}
}

func readProfile(o *v1beta1.BFDProfile, f *faults) *pharos.BFDProfile {
	p := rule.DefaultBFD()
	p.Name, p.Origin = o.Name, ref("BFDProfile", o).String()
	number := func(field string, limits rule.Limits, given *uint32, use func(uint32)) {
		if given != nil && f.fits("spec."+field, limits.Check(uint64(*given))) {
			use(*given)
		}
	}
	milliseconds := func(field string, given *uint32, d *time.Duration) {
		number(field, rule.BFDInterval, given, func(n uint32) { *d = time.Duration(n) * time.Millisecond })
	}
	milliseconds("receiveInterval", o.Spec.ReceiveInterval, &p.ReceiveInterval)
	milliseconds("transmitInterval", o.Spec.TransmitInterval, &p.TransmitInterval)
	milliseconds("echoInterval", o.Spec.EchoInterval, &p.EchoInterval)
	number("detectMultiplier", rule.BFDMultiplier, o.Spec.DetectMultiplier, func(n uint32) { p.DetectMultiplier = uint8(n) })
	number("minimumTtl", rule.BFDMinimumTTL, o.Spec.MinimumTTL, func(n uint32) { p.MinimumTTL = uint8(n) })
	p.EchoMode = o.Spec.EchoMode != nil && *o.Spec.EchoMode
	p.PassiveMode = o.Spec.PassiveMode != nil && *o.Spec.PassiveMode
	return &p
}
