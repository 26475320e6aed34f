package crd

import (
	"cmp"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/api/v1beta2"
	"github.com/pharoslb/pharos/why"
)

// Objects is all that a configuration is made of. Nothing in it is changed, and
// nothing of it kept but what the Config needs.
type Objects struct {
	// Namespace is the one whose objects count. Those of another are told of and
	// left out.
	Namespace string

	Pools             []*v1beta1.IPAddressPool
	BGPAdvertisements []*v1beta1.BGPAdvertisement
	L2Advertisements  []*v1beta1.L2Advertisement
	Peers             []*v1beta2.BGPPeer
	BFDProfiles       []*v1beta1.BFDProfile
	Communities       []*v1beta1.Community

	// Secrets are those of Namespace that peers refer to, by name; see
	// Parser.SecretNames. One that does not exist is not there.
	Secrets map[string]Secret

	// Legacy is the configuration of the ConfigMap that LegacyRef names, nil where
	// there is none.
	Legacy    *pharos.Config
	LegacyRef pharos.Ref

	// Extras is the text of the key extras of ConfigMap bgpextras.
	Extras string
}

// Secret is what a peer's password is read from.
type Secret struct {
	Type     string         // kubernetes.io/basic-auth, if it is right
	Password *pharos.Secret // the value of the key password; nil: there is no such key
}

// Parser parses one version of the objects after the other, and remembers of each
// what was last in force. The zero Parser has no past. It is not safe for
// concurrent use.
type Parser struct {
	turn        int // how many versions there were
	legacy      *pharos.Config
	pools       memory[pools]
	communities memory[aliases]
	profiles    memory[pharos.BFDProfile]
	peers       memory[peer]
	bgp, l2     memory[advertisement]
}

// SecretNames returns the names of the Secrets that the peers' passwords are in,
// as they are written now or as they were last in force; sorted.
func (p *Parser) SecretNames(namespace string, peers []*v1beta2.BGPPeer) []string {
	names := map[string]bool{}
	for _, o := range peers {
		ref := o.Spec.PasswordSecret
		if o.Namespace == namespace && (ref.Namespace == "" || ref.Namespace == namespace) {
			names[ref.Name] = true
		}
	}
	for _, v := range p.peers {
		names[v.value.secret] = true
	}
	delete(names, "")
	return slices.Sorted(maps.Keys(names))
}

// Parse makes a Config of the objects. Problems tell what of them is not in force
// as it is written, sorted by object. Neither result shares memory with what the
// Parser changes later.
func (p *Parser) Parse(o *Objects) (*pharos.Config, []pharos.Problem) {
	p.turn++
	s := &session{Objects: o, past: p, config: &pharos.Config{}, legacy: &pharos.Config{}}
	s.config.Reassign = o.Legacy == nil || slices.ContainsFunc(o.Pools, func(p *v1beta1.IPAddressPool) bool { return p.Namespace == o.Namespace })
	s.extras()
	s.settlePools()
	s.settleCommunities()
	s.settleProfiles()
	s.settlePeers()
	s.settleAdvertisements()
	sortByName(s.config.Pools, func(v pharos.Pool) string { return v.Name })
	sortByName(s.config.BFDProfiles[len(s.legacy.BFDProfiles):], func(v pharos.BFDProfile) string { return v.Name })
	slices.SortStableFunc(s.problems, func(a, b pharos.Problem) int {
		return cmp.Or(cmp.Compare(a.Object.Kind, b.Object.Kind), cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Name, b.Object.Name))
	})
	return s.config, s.problems
}

func sortByName[T any](list []T, name func(T) string) {
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
}

// session is one call of Parse.
type session struct {
	*Objects
	past     *Parser
	config   *pharos.Config
	problems []pharos.Problem

	legacy *pharos.Config // the ConfigMap's configuration that is in force; never nil
	owned  []owned        // the IPAddressPools in force, by name
	held   stock          // the addresses in force that several pools claim

	contested map[*entry]bool
	aliases   map[string]alias
	names     []string                      // of the aliases, sorted
	kept      map[string]*pharos.BFDProfile // no longer there, but perhaps named by peers
}

// owned is an IPAddressPool in force.
type owned struct {
	*pools
	pool   *pharos.Pool
	labels map[string]string
}

// extras refuses raw text for FRR.
func (s *session) extras() {
	if s.Extras == "" {
		return
	}
	s.problems = append(s.problems, pharos.Problem{
		Object: pharos.Ref{Kind: "ConfigMap", Namespace: s.Namespace, Name: "bgpextras"},
		Field:  "data.extras",
		Reason: why.New(why.ConfigInvalid, "configuration for FRR has no effect: there is no FRR here, and the text is not read"),
		Hint:   "say it with BGPPeer and BGPAdvertisement, then remove it; docs/migrate-metallb.md, bgpextras, has the ways",
	})
}

// within returns the objects of a kind that count, by age and name, and tells of
// those of other namespaces.
func within[T metav1.Object](s *session, kind string, objects []T) []T {
	var out []T
	for _, o := range objects {
		if o.GetNamespace() == s.Namespace {
			out = append(out, o)
			continue
		}
		s.problems = append(s.problems, pharos.Problem{
			Object: ref(kind, o),
			Field:  "metadata.namespace",
			Reason: why.New(why.ConfigInvalid, "only objects of namespace %s count", s.Namespace),
			Hint:   "create it there",
		})
	}
	slices.SortStableFunc(out, func(a, b T) int {
		return cmp.Or(a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out
}

func ref(kind string, o metav1.Object) pharos.Ref {
	return pharos.Ref{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}
