package crd

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/internal/rule"
)

// aliases are the communities that one Community object names, in its order.
type aliases []alias

// alias is a community, or a large one, that has a name.
type alias struct {
	name    string
	field   string
	origin  string
	isLarge bool
	plain   pharos.Community
	large   pharos.LargeCommunity
}

func (s *session) settleCommunities() {
	list := drafts(s, "Community", s.Communities, s.past.communities, readCommunity)
	s.past.communities = settle(s, list, func() { s.aliases = map[string]alias{} }, func(_ *draft[aliases], v *aliases, _ bool) (bool, faults) {
		var wrong faults
		for _, a := range *v {
			if other, ok := s.aliases[a.name]; ok {
				wrong.add(a.field+".name", "rename one of them", "the alias %s is of %s, %s, already", rule.Quote(a.name), other.origin, other.field)
			}
		}
		if len(wrong) > 0 {
			return false, wrong
		}
		for _, a := range *v {
			s.aliases[a.name] = a
		}
		return true, nil
	})
	s.names = slices.Sorted(maps.Keys(s.aliases))
}

func readCommunity(o *v1beta1.Community, f *faults) *aliases {
	out := aliases{}
	first := map[string]int{}
	for i, c := range o.Spec.Communities {
		a := alias{name: c.Name, field: fmt.Sprintf("spec.communities[%d]", i), origin: ref("Community", o).String()}
		var ok bool
		if a.isLarge = strings.HasPrefix(c.Value, rule.LargePrefix); a.isLarge {
			a.large, ok = rule.LargeCommunity(c.Value)
		} else {
			a.plain, ok = rule.Community(c.Value)
		}
		if !ok {
			f.add(a.field+".value", "two numbers up to 65535, such as 65535:65282, or three up to 4294967295, such as large:64500:1:2", "%s is not a community", rule.Quote(c.Value))
		}
		if twin, twice := first[c.Name]; twice {
			f.add(a.field+".name", "leave one out", "the alias %s is given already, as spec.communities[%d]", rule.Quote(c.Name), twin)
		} else {
			first[c.Name] = i
		}
		out = append(out, a)
	}
	return &out
}
