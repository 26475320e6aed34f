package kube

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/api/v1beta2"
	"github.com/pharoslb/pharos/internal/crd"
	"github.com/pharoslb/pharos/why"
)

// A configuration is made anew when nothing of what it is made of has changed for
// configQuiet, so that kubectl apply of many objects is one; but no later than
// configPatience after the first change.
const (
	configQuiet    = 50 * time.Millisecond
	configPatience = time.Second
)

// extrasName and extrasKey are where MetalLB's users put raw text for FRR.
const (
	extrasName = "bgpextras"
	extrasKey  = "extras"
)

// configuration is what the configuration is made of. The Source's lock guards
// it.
type configuration struct {
	stirred  chan struct{} // capacity 1: something has changed
	problems chan struct{} // capacity 1: the Snapshot's Problems may have changed
	made     bool          // a Snapshot has it
	summed   [4]why.Reason // the last summaries of problems, the newest first
	parser   crd.Parser

	legacy  legacy
	extras  string
	objects map[*resource]map[string]parsed
	secrets map[string]*secret
}

// legacy is the ConfigMap as last seen.
type legacy struct {
	uid    string
	text   string
	seen   bool
	config *pharos.Config // as last read without an error
	reason why.Reason     // why it is not the newest text
}

func (c *configuration) init() {
	c.stirred, c.problems = make(chan struct{}, 1), make(chan struct{}, 1)
	c.objects, c.secrets = map[*resource]map[string]parsed{}, map[string]*secret{}
	for _, r := range resources {
		c.objects[r] = map[string]parsed{}
	}
}

// stir has the configuration made anew. The lock is held.
func (s *Source) stir() { poke(s.config.stirred) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keepConfig makes the configuration whenever what it is made of has changed,
// until ctx ends.
func (s *Source) keepConfig(ctx context.Context) {
	for {
		pause(ctx, s.secretPause(time.Now()), s.config.stirred)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		ready, made := s.listed(Config), s.config.made
		s.mu.Unlock()
		if !ready {
			continue
		}
		if made {
			s.settled(ctx)
		}
		s.makeConfig(ctx)
	}
}

// settled waits until nothing stirs any more.
func (s *Source) settled(ctx context.Context) {
	patience := time.NewTimer(configPatience)
	defer patience.Stop()
	for {
		quiet := time.NewTimer(configQuiet)
		select {
		case <-s.config.stirred:
			quiet.Stop()
			continue
		case <-quiet.C:
		case <-patience.C:
		case <-ctx.Done():
		}
		quiet.Stop()
		return
	}
}

// makeConfig publishes a Snapshot with the configuration as it is now, once the
// Secrets that it needs have been read.
func (s *Source) makeConfig(ctx context.Context) {
	for ctx.Err() == nil {
		var due []string
		s.apply(func(next *pharos.Snapshot) bool {
			if due = s.dueSecrets(time.Now()); len(due) > 0 {
				return false
			}
			changed := s.configure(next)
			s.config.made = true
			return s.complete(next) || changed
		})
		if len(due) == 0 {
			poke(s.config.problems)
			return
		}
		s.readSecrets(ctx, due)
	}
}

// complete makes a Snapshot Synced once everything is there. It reports whether
// that is new. The lock is held.
func (s *Source) complete(next *pharos.Snapshot) bool {
	if next.Synced || !s.synced() {
		return false
	}
	next.Synced = true
	return true
}

// configure puts the configuration into a Snapshot, and reports whether it is
// another one, or has other problems. The lock is held.
func (s *Source) configure(next *pharos.Snapshot) bool {
	c := &s.config
	o := s.objects()
	var problems []pharos.Problem
	if c.legacy.reason.Code != why.OK {
		problems = append(problems, pharos.Problem{Object: o.LegacyRef, Reason: c.legacy.reason})
	}
	config := next.Config
	switch {
	case c.legacy.seen || s.resourceCount() > 0:
		var wrong []pharos.Problem
		if config, wrong = c.parser.Parse(o); o.Legacy == nil && s.resourceCount() == 0 {
			config = next.Config // the ConfigMap was never right
		}
		problems = append(problems, wrong...)
	default:
		problems = append(problems, pharos.Problem{Object: o.LegacyRef,
			Reason: why.New(why.ConfigMissing, "there are no resources of metallb.io, and no ConfigMap %s", s.opts.ConfigMap)})
	}
	problems = append(problems, s.unreadable()...)

	if config != nil && next.Config != nil && reflect.DeepEqual(config, next.Config) {
		config = next.Config
	}
	problem := summary(problems, o.LegacyRef)
	if config == next.Config && problem == next.Problem && slices.Equal(problems, next.Problems) {
		return false
	}
	next.Config, next.Problem, next.Problems = config, problem, problems
	if problem != c.summed[0] {
		c.summed = [4]why.Reason{problem, c.summed[0], c.summed[1], c.summed[2]}
	}
	return true
}

// objects returns all that the configuration is made of.
func (s *Source) objects() *crd.Objects {
	c := &s.config
	o := &crd.Objects{
		Namespace: s.opts.ConfigMap.Namespace,
		Legacy:    c.legacy.config,
		LegacyRef: pharos.Ref{Kind: "ConfigMap", Namespace: s.opts.ConfigMap.Namespace, Name: s.opts.ConfigMap.Name},
		Extras:    c.extras,
	}
	o.Pools = collect[*v1beta1.IPAddressPool](c.objects[&pools])
	o.BGPAdvertisements = collect[*v1beta1.BGPAdvertisement](c.objects[&bgpAdvertisements])
	o.L2Advertisements = collect[*v1beta1.L2Advertisement](c.objects[&l2Advertisements])
	o.Peers = collect[*v1beta2.BGPPeer](c.objects[&peers])
	o.BFDProfiles = collect[*v1beta1.BFDProfile](c.objects[&bfdProfiles])
	o.Communities = collect[*v1beta1.Community](c.objects[&communities])
	o.Secrets = s.passwords(o.Peers)
	return o
}

// collect returns the objects of a resource that could ever be read, by name.
func collect[T any](all map[string]parsed) []T {
	var list []T
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if o, ok := all[name].object.(T); ok {
			list = append(list, o)
		}
	}
	return list
}

// unreadable tells of the objects whose newest state could not be read.
func (s *Source) unreadable() []pharos.Problem {
	var problems []pharos.Problem
	for _, r := range resources {
		for _, name := range slices.Sorted(maps.Keys(s.config.objects[r])) {
			if p := s.config.objects[r][name]; p.problem.Code != why.OK {
				problems = append(problems, pharos.Problem{Object: pharos.Ref{Kind: r.kind, Namespace: s.opts.ConfigMap.Namespace, Name: name}, Reason: p.problem})
			}
		}
	}
	return problems
}

func (s *Source) resourceCount() int {
	n := 0
	for _, all := range s.config.objects {
		n += len(all)
	}
	return n
}

// summary makes one reason of all problems. The ConfigMap's text speaks for
// itself; an object is named.
func summary(problems []pharos.Problem, legacy pharos.Ref) why.Reason {
	if len(problems) == 0 {
		return why.Reason{}
	}
	first := problems[0]
	reason := first.Reason
	if first.Object != legacy {
		reason.Detail = first.String()
	}
	if more := len(problems) - 1; more > 0 {
		reason.Detail += fmt.Sprintf(", and %d more", more)
	}
	return reason
}

// summed reports whether a reason is, or was of late, the summary of problems.
func (s *Source) summed(reason why.Reason) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.config.summed[:], reason)
}

// uidOf returns an object's identity, for events about it.
func (s *Source) uidOf(ref pharos.Ref) types.UID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ref.Kind == "ConfigMap" && ref.Namespace == s.opts.ConfigMap.Namespace && ref.Name == s.opts.ConfigMap.Name {
		return types.UID(s.config.legacy.uid)
	}
	for r, all := range s.config.objects {
		if r.kind == ref.Kind {
			return all[ref.Name].uid
		}
	}
	return ""
}

type configStore struct{ *Source }

func (s configStore) put(_ *pharos.Snapshot, obj any) bool {
	in := obj.(*corev1.ConfigMap)
	if in.Name != s.opts.ConfigMap.Name {
		return false
	}
	l := &s.config.legacy
	text, ok := in.Data[ConfigKey]
	same := l.seen && l.text == text && ok && l.uid == string(in.UID)
	*l = legacy{string(in.UID), text, true, l.config, l.reason}
	if same {
		return false
	}
	s.stir()
	if !ok {
		l.reason = why.New(why.ConfigInvalid, "ConfigMap %s has no key %q (%s)", s.opts.ConfigMap, ConfigKey, keys(in))
		return false
	}
	config, err := s.opts.Parse([]byte(text))
	if err != nil {
		s.errors++
		l.reason = why.New(why.ConfigInvalid, "%s", err)
		return false
	}
	l.config, l.reason = config, why.Reason{}
	return false
}

func keys(in *corev1.ConfigMap) string {
	if len(in.Data) == 0 {
		return "it is empty"
	}
	return "it has " + strings.Join(slices.Sorted(maps.Keys(in.Data)), ", ")
}

func (s configStore) drop(_ *pharos.Snapshot, obj any) bool {
	if obj.(*corev1.ConfigMap).Name == s.opts.ConfigMap.Name {
		s.config.legacy = legacy{}
		s.stir()
	}
	return false
}

func (s configStore) replace(next *pharos.Snapshot, objs []any) bool {
	for _, obj := range objs {
		if obj.(*corev1.ConfigMap).Name == s.opts.ConfigMap.Name {
			return s.put(next, obj)
		}
	}
	s.config.legacy = legacy{}
	s.stir()
	return false
}

func (s configStore) len() int {
	if s.config.legacy.seen {
		return 1
	}
	return 0
}

// extrasStore keeps the text that is refused.
type extrasStore struct{ *Source }

func (s extrasStore) put(_ *pharos.Snapshot, obj any) bool {
	in := obj.(*corev1.ConfigMap)
	if in.Name == extrasName && s.config.extras != in.Data[extrasKey] {
		s.config.extras = in.Data[extrasKey]
		s.stir()
	}
	return false
}

func (s extrasStore) drop(next *pharos.Snapshot, _ any) bool { return s.replace(next, nil) }

func (s extrasStore) replace(next *pharos.Snapshot, objs []any) bool {
	if s.config.extras != "" && len(objs) == 0 {
		s.config.extras = ""
	}
	s.stir()
	for _, obj := range objs {
		s.put(next, obj)
	}
	return false
}

func (s extrasStore) len() int {
	if s.config.extras != "" {
		return 1
	}
	return 0
}
