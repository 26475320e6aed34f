package kube

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/api/v1beta2"
	"github.com/pharoslb/pharos/why"
)

// Service records a reason about a Service.
func (r *Recorder) Service(name pharos.Name, reason why.Reason) {
	uid := r.opts.Source.serviceUID(name)
	r.record(corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: name.Namespace, Name: name.Name, UID: uid}, reason)
}

// Object records a reason about an object of the configuration. Processes that
// record the same one make one event of it.
func (r *Recorder) Object(ref pharos.Ref, reason why.Reason) {
	version := v1beta1.GroupVersion.String()
	switch ref.Kind {
	case peers.kind:
		version = v1beta2.GroupVersion.String()
	case "ConfigMap":
		version = "v1"
	}
	r.record(corev1.ObjectReference{APIVersion: version, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, UID: r.opts.Source.uidOf(ref)}, reason)
}

// Config records a reason about the configuration as a whole, on its ConfigMap.
// What is a Snapshot's Problem is left out: it is recorded on its own object.
func (r *Recorder) Config(reason why.Reason) {
	if r.opts.Source.summed(reason) {
		return
	}
	name := r.opts.Source.opts.ConfigMap
	r.Object(pharos.Ref{Kind: "ConfigMap", Namespace: name.Namespace, Name: name.Name}, reason)
}

// follow records the Snapshots' Problems as they come up.
func (r *Recorder) follow(ctx context.Context) {
	var told []pharos.Problem
	for {
		now := r.opts.Source.Snapshot().Problems
		for _, p := range now {
			if r.opts.Problems(p) && !slices.Contains(told, p) {
				r.Object(p.Object, describe(p))
			}
		}
		told = now
		select {
		case <-ctx.Done():
			return
		case <-r.opts.Source.config.problems:
		}
	}
}

// describe makes a Problem an event's reason: all but the object's name, which
// the event has.
func describe(p pharos.Problem) why.Reason {
	text := p.String()
	return why.Reason{Code: p.Reason.Code, Detail: strings.TrimPrefix(text, p.Object.String()+": ")}
}

// Node records a reason about a Node.
func (r *Recorder) Node(name string, reason why.Reason) {
	uid := r.opts.Source.nodeUID(name)
	r.record(corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: name, UID: uid}, reason)
}

func (s *Source) serviceUID(name pharos.Name) types.UID {
	if svc, ok := s.Snapshot().Services.Get(name); ok {
		return types.UID(svc.UID)
	}
	return ""
}

// serviceChanged returns when a Service last changed.
func (s *Source) serviceChanged() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stirred
}

func (s *Source) nodeUID(name string) types.UID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if uid, ok := s.nodeUIDs[name]; ok {
		return types.UID(uid)
	}
	return types.UID(name) // as the kubelet does for its own
}

// eventName names an event after its object, as client-go does.
func eventName(object string, at time.Time) string {
	return fmt.Sprintf("%s.%x", beginning(object), at.UnixNano())
}

// sameEventName names an event after what it says, so that all who say the same
// name it alike.
func sameEventName(e *event) string {
	h := fnv.New64a()
	fmt.Fprint(h, e.object.UID, "\x00", e.object.Kind, "\x00", e.reason.Code, "\x00", e.reason.Detail)
	return fmt.Sprintf("%s.%016x", beginning(e.object.Name), h.Sum64())
}

// beginning cuts an object's name so that a dot and 16 digits may follow, which
// must not follow another sign.
func beginning(name string) string {
	return strings.TrimRight(name[:min(len(name), maxName-17)], "-.")
}

// shorten cuts a message to what an Event may hold, at a line's end if it can.
func shorten(message string) string {
	const more = " …"
	if len(message) <= maxMessage {
		return message
	}
	cut := maxMessage - len(more)
	for cut > 0 && message[cut]&0xC0 == 0x80 { // inside a rune
		cut--
	}
	return message[:cut] + more
}
