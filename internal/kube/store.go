package kube

import (
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/pharoslb/pharos"
)

// kindStore puts the objects of one kind into a Snapshot. Its methods report
// whether the Snapshot changed; the Source's lock is held.
type kindStore interface {
	put(next *pharos.Snapshot, obj any) bool
	drop(next *pharos.Snapshot, obj any) bool
	replace(next *pharos.Snapshot, objs []any) bool
	len() int
}

// reflected is what a Reflector of one kind writes to.
type reflected struct {
	source *Source
	kind   *kindState
}

// Add takes a new object.
func (r *reflected) Add(obj any) error { return r.Update(obj) }

// Update takes a changed object.
func (r *reflected) Update(obj any) error {
	r.source.apply(func(next *pharos.Snapshot) bool {
		r.source.updates++
		return r.kind.store.put(next, obj)
	})
	return nil
}

// Delete takes the last state of an object that is gone.
func (r *reflected) Delete(obj any) error {
	r.source.apply(func(next *pharos.Snapshot) bool {
		r.source.updates++
		return r.kind.store.drop(next, obj)
	})
	return nil
}

// Replace takes all objects of the kind.
func (r *reflected) Replace(objs []any, _ string) error {
	r.source.apply(func(next *pharos.Snapshot) bool {
		r.source.updates += uint64(len(objs))
		changed := r.kind.store.replace(next, objs)
		r.kind.synced = true
		return r.source.complete(next) || changed
	})
	return nil
}

// Resync has nothing to do: a Snapshot is complete at any time.
func (r *reflected) Resync() error { return nil }

// serviceRef is a Service's noun, and the object's version that it says no less
// than.
type serviceRef struct {
	noun    *pharos.Service
	version string
}

type serviceStore struct{ *Source }

func (s serviceStore) put(next *pharos.Snapshot, obj any) bool {
	noun, changed := s.keep(obj.(*corev1.Service))
	if changed {
		next.Services = next.Services.With(noun.Name, noun)
	}
	return changed
}

// keep converts an object, and reports whether its noun is a new one.
func (s serviceStore) keep(obj *corev1.Service) (noun *pharos.Service, changed bool) {
	noun = service(obj)
	was := s.services[noun.Name].noun
	if was != nil && reflect.DeepEqual(was, noun) {
		noun = was
	}
	s.services[noun.Name] = serviceRef{noun, obj.ResourceVersion}
	return noun, noun != was
}

func (s serviceStore) drop(next *pharos.Snapshot, obj any) bool {
	in := obj.(*corev1.Service)
	name := pharos.Name{Namespace: in.Namespace, Name: in.Name}
	delete(s.services, name)
	next.Services = next.Services.Without(name)
	return true
}

func (s serviceStore) replace(next *pharos.Snapshot, objs []any) bool {
	there := make(map[pharos.Name]*pharos.Service, len(objs))
	changed := false
	for _, obj := range objs {
		noun, fresh := s.keep(obj.(*corev1.Service))
		there[noun.Name] = noun
		changed = changed || fresh
	}
	for name := range s.services {
		if there[name] == nil {
			delete(s.services, name)
			changed = true
		}
	}
	next.Services = replaced(next.Services, there)
	return changed
}

func (s serviceStore) len() int { return len(s.services) }

// replaced returns a Map of just the entries, sharing what m has already.
func replaced[K comparable, V comparable](m pharos.Map[K, V], entries map[K]V) pharos.Map[K, V] {
	if m.Len() == 0 {
		return pharos.MapOf(entries)
	}
	for key := range m.All() {
		if _, ok := entries[key]; !ok {
			m = m.Without(key)
		}
	}
	for key, value := range entries {
		m = m.With(key, value)
	}
	return m
}

type nodeStore struct{ *Source }

func (s nodeStore) put(next *pharos.Snapshot, obj any) bool {
	in := obj.(*corev1.Node)
	s.nodeUIDs[in.Name] = string(in.UID)
	noun := node(in)
	if was, ok := next.Nodes.Get(in.Name); ok && reflect.DeepEqual(was, noun) {
		return false // a heartbeat
	}
	next.Nodes = next.Nodes.With(in.Name, noun)
	return true
}

func (s nodeStore) drop(next *pharos.Snapshot, obj any) bool {
	name := obj.(*corev1.Node).Name
	delete(s.nodeUIDs, name)
	next.Nodes = next.Nodes.Without(name)
	return true
}

func (s nodeStore) replace(next *pharos.Snapshot, objs []any) bool {
	changed := false
	there := map[string]bool{}
	for _, obj := range objs {
		there[obj.(*corev1.Node).Name] = true
		changed = s.put(next, obj) || changed
	}
	for name := range next.Nodes.All() {
		if !there[name] {
			delete(s.nodeUIDs, name)
			next.Nodes = next.Nodes.Without(name)
			changed = true
		}
	}
	return changed
}

func (s nodeStore) len() int { return len(s.nodeUIDs) }

type namespaceStore struct{ *Source }

func (s namespaceStore) put(next *pharos.Snapshot, obj any) bool {
	in := obj.(*corev1.Namespace)
	if was, ok := next.Namespaces.Get(in.Name); ok && maps.Equal(was.Labels, in.Labels) {
		return false
	}
	next.Namespaces = next.Namespaces.With(in.Name, &pharos.Namespace{Name: in.Name, Labels: in.Labels})
	return true
}

func (s namespaceStore) drop(next *pharos.Snapshot, obj any) bool {
	next.Namespaces = next.Namespaces.Without(obj.(*corev1.Namespace).Name)
	return true
}

func (s namespaceStore) replace(next *pharos.Snapshot, objs []any) bool {
	changed := false
	there := map[string]bool{}
	for _, obj := range objs {
		there[obj.(*corev1.Namespace).Name] = true
		changed = s.put(next, obj) || changed
	}
	for name := range next.Namespaces.All() {
		if !there[name] {
			next.Namespaces = next.Namespaces.Without(name)
			changed = true
		}
	}
	return changed
}

func (s namespaceStore) len() int { return s.Snapshot().Namespaces.Len() }

type sliceStore struct{ *Source }

func (s sliceStore) put(next *pharos.Snapshot, obj any) bool {
	in := obj.(*discoveryv1.EndpointSlice)
	name := s.keep(in)
	was, moved := s.owners[pharos.Name{Namespace: in.Namespace, Name: in.Name}]
	changed := false
	if moved && was != name { // its label names another Service now
		changed = s.drop(next, obj)
	}
	if name.Name == "" {
		return changed
	}
	s.owners[pharos.Name{Namespace: in.Namespace, Name: in.Name}] = name
	return s.merge(next, name) || changed
}

// keep converts a slice, and returns its Service.
func (s sliceStore) keep(in *discoveryv1.EndpointSlice) pharos.Name {
	name := owner(in)
	if name.Name == "" {
		return name
	}
	if s.slices[name] == nil {
		s.slices[name] = map[string]*slice{}
	}
	s.slices[name][in.Name] = endpointSlice(in)
	return name
}

func (s sliceStore) drop(next *pharos.Snapshot, obj any) bool {
	in := obj.(*discoveryv1.EndpointSlice)
	id := pharos.Name{Namespace: in.Namespace, Name: in.Name}
	name, ok := s.owners[id]
	if !ok {
		return false
	}
	delete(s.owners, id)
	delete(s.slices[name], in.Name)
	return s.merge(next, name)
}

// merge renews a Service's Endpoints from its slices.
func (s sliceStore) merge(next *pharos.Snapshot, name pharos.Name) bool {
	was, ok := next.Endpoints.Get(name)
	if len(s.slices[name]) == 0 {
		delete(s.slices, name)
		next.Endpoints = next.Endpoints.Without(name)
		return ok
	}
	noun := merge(s.slices[name])
	if ok && sameBackends(was, noun) {
		return false
	}
	next.Endpoints = next.Endpoints.With(name, noun)
	return true
}

func (s sliceStore) replace(next *pharos.Snapshot, objs []any) bool {
	clear(s.slices)
	clear(s.owners)
	for _, obj := range objs {
		in := obj.(*discoveryv1.EndpointSlice)
		if name := s.keep(in); name.Name != "" {
			s.owners[pharos.Name{Namespace: in.Namespace, Name: in.Name}] = name
		}
	}
	there := make(map[pharos.Name]*pharos.Endpoints, len(s.slices))
	changed := false
	for name, parts := range s.slices {
		noun := merge(parts)
		was, ok := next.Endpoints.Get(name)
		if ok && sameBackends(was, noun) {
			noun = was
		} else {
			changed = true
		}
		there[name] = noun
	}
	changed = changed || len(there) != next.Endpoints.Len()
	next.Endpoints = replaced(next.Endpoints, there)
	return changed
}

func (s sliceStore) len() int { return len(s.owners) }
