package dataplane

import (
	"cmp"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// claim is one Service's wish for a Target. The oldest has it; of two of one
// age, the one whose name comes first.
type claim struct {
	name    pharos.Name
	created time.Time
}

func (p *Planner) claim(s *Service, created time.Time, affected map[pharos.Name]bool) {
	for i := range s.Frontends {
		target := s.Frontends[i].Target
		claims := append(p.claims[target], claim{s.Name, created})
		slices.SortFunc(claims, func(a, b claim) int { return cmp.Or(a.created.Compare(b.created), a.name.Compare(b.name)) })
		p.claims[target] = claims
		touch(claims, affected)
	}
}

func (p *Planner) unclaim(s *Service, affected map[pharos.Name]bool) {
	for i := range s.Frontends {
		target := s.Frontends[i].Target
		touch(p.claims[target], affected)
		claims := slices.DeleteFunc(p.claims[target], func(c claim) bool { return c.name == s.Name })
		if len(claims) == 0 {
			delete(p.claims, target)
		} else {
			p.claims[target] = claims
		}
	}
}

func touch(claims []claim, affected map[pharos.Name]bool) {
	for _, c := range claims {
		affected[c.name] = true
	}
}

// settle returns a Service's plan without the frontends that others have.
func (p *Planner) settle(name pharos.Name) *Service {
	wanted := p.wanted[name]
	if wanted == nil {
		return nil
	}
	lost := func(f Frontend) bool { return p.claims[f.Target][0].name != name }
	if !slices.ContainsFunc(wanted.Frontends, lost) {
		return wanted
	}
	settled := *wanted
	settled.Frontends = nil
	for _, f := range wanted.Frontends {
		if !lost(f) {
			settled.Frontends = append(settled.Frontends, f)
			continue
		}
		settled.Refused = append(settled.Refused, Refused{
			Target: f.Target,
			Reason: why.New(why.FrontendTaken, "%s is answered by the older Service %s", f.Target, p.claims[f.Target][0].name),
		})
	}
	return &settled
}
