package file

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/crd"
	"github.com/pharoslb/pharos/internal/rule"
	"github.com/pharoslb/pharos/why"
)

// Check returns all that is wrong with the set, in the order of files and lines.
// What the set refers to and does not have is a warning where the cluster may have
// it: a Secret, and the names of pools and peers.
func (s *Set) Check() []Problem {
	out := slices.Clone(s.problems)
	objects := s.Objects
	objects.Secrets = map[string]crd.Secret{}
	var parser crd.Parser
	missing := map[string]bool{}
	for _, name := range parser.SecretNames(objects.Namespace, objects.Peers) {
		if secret, ok := s.Objects.Secrets[name]; ok {
			objects.Secrets[name] = secret
		} else {
			missing[name] = true
			unknown := pharos.Secret("unknown")
			objects.Secrets[name] = crd.Secret{Type: "kubernetes.io/basic-auth", Password: &unknown}
		}
	}
	_, problems := parser.Parse(&objects)
	for _, p := range problems {
		found := s.at(p.Object, p.Field)
		found.Reason, found.Hint = p.Reason.String(), p.Hint
		if p.Reason.Code == why.OK || s.told(found) {
			continue
		}
		out = append(out, found)
	}
	warn := func(kind, name, field, hint, format string, args ...any) {
		w := s.at(pharos.Ref{Kind: kind, Namespace: objects.Namespace, Name: name}, field)
		w.Reason, w.Hint, w.Warning = fmt.Sprintf(format, args...), hint, true
		out = append(out, w)
	}
	for _, o := range objects.Peers {
		if name := o.Spec.PasswordSecret.Name; missing[name] && o.Namespace == objects.Namespace && o.Spec.Password == "" {
			warn("BGPPeer", o.Name, "spec.passwordSecret", "without it there is no session", "Secret %s is not among the files", rule.Quote(name))
		}
	}
	s.names(warn)
	slices.SortStableFunc(out, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	return out
}

// names warns of names that nothing of the set has.
func (s *Set) names(warn func(kind, name, field, hint, format string, args ...any)) {
	o := &s.Objects
	var pools, peers []string
	for _, p := range o.Pools {
		pools = append(pools, p.Name)
	}
	for _, p := range o.Peers {
		peers = append(peers, p.Name)
	}
	look := func(kind, name, field, of string, given, known []string) {
		for i, text := range given {
			if !slices.Contains(known, text) {
				hint := did(text, known)
				warn(kind, name, fmt.Sprintf("%s[%d]", field, i), hint, "%s %s is not among the files", of, rule.Quote(text))
			}
		}
	}
	for _, a := range o.BGPAdvertisements {
		look("BGPAdvertisement", a.Name, "spec.ipAddressPools", "IPAddressPool", a.Spec.IPAddressPools, pools)
		look("BGPAdvertisement", a.Name, "spec.peers", "BGPPeer", a.Spec.Peers, peers)
	}
	for _, a := range o.L2Advertisements {
		look("L2Advertisement", a.Name, "spec.ipAddressPools", "IPAddressPool", a.Spec.IPAddressPools, pools)
	}
}

// at is where a field of an object is written.
func (s *Set) at(object pharos.Ref, field string) Problem {
	p := Problem{Object: object, Field: field}
	if at, ok := s.places[object]; ok {
		p.File, p.Line = at.file, line(at.node, field)
	}
	return p
}

// told reports whether the schema found fault with the field, or around it.
func (s *Set) told(p Problem) bool {
	around := func(outer, inner string) bool {
		rest, ok := strings.CutPrefix(inner, outer)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	return slices.ContainsFunc(s.problems, func(other Problem) bool {
		return !other.Warning && other.Object == p.Object && other.Field != "" && (around(p.Field, other.Field) || around(other.Field, p.Field))
	})
}
