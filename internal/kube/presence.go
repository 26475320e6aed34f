package kube

import (
	"context"
	"encoding/json"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// presencePause is how often it is looked whether kinds that the API server did
// not know are there now. It costs a request for each of their versions.
const presencePause = 5 * time.Second

// follow runs the watch of a kind that the API server may not know: there is
// none of it then, and it is watched as soon as it is known.
func (s *Source) follow(ctx context.Context, k *kindState) {
	for ctx.Err() == nil {
		watching, stop := context.WithCancel(ctx)
		s.mu.Lock()
		k.stop = stop
		s.mu.Unlock()
		s.reflector(k).RunWithContext(watching)
		stop()
		select {
		case <-ctx.Done():
		case <-k.appeared:
		}
	}
}

// absent takes note of a list or watch that failed because the API server does
// not know the kind, and ends its Reflector; it reports whether that was it.
func (s *Source) absent(k *kindState, err error) bool {
	if k.appeared == nil || !apierrors.IsNotFound(err) {
		return false
	}
	(&reflected{s, k}).Replace(nil, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	k.status.Watching, k.status.Error = false, ""
	if !k.status.Absent {
		s.log.Info("the API server does not know this kind", "kind", k.status.Kind)
		k.status.Since, k.status.begun, k.status.Absent = time.Now(), true, true
	}
	k.stop()
	return true
}

// lookForKinds has kinds that were absent watched when the API server knows them,
// until ctx ends.
func (s *Source) lookForKinds(ctx context.Context) {
	for {
		pause(ctx, presencePause, nil)
		if ctx.Err() != nil {
			return
		}
		known := map[schema.GroupVersionResource]bool{}
		asked := map[schema.GroupVersion]bool{}
		for _, gvr := range s.absentKinds() {
			if gv := gvr.GroupVersion(); !asked[gv] {
				asked[gv] = true
				s.opts.Client.kinds(ctx, gv, known)
			}
		}
		if len(known) > 0 {
			s.appear(known)
		}
	}
}

func (s *Source) absentKinds() (kinds []schema.GroupVersionResource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kinds {
		if k.status.Absent {
			kinds = append(kinds, k.gvr)
		}
	}
	return kinds
}

// appear has kinds watched. All that are there count as not listed at one moment:
// a configuration of some of them would be half of one.
func (s *Source) appear(known map[schema.GroupVersionResource]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kinds {
		if k.status.Absent && known[k.gvr] {
			k.synced = false
			poke(k.appeared)
		}
	}
}

// kinds adds the kinds of a version that the API server knows.
func (c *Client) kinds(ctx context.Context, gv schema.GroupVersion, known map[schema.GroupVersionResource]bool) {
	ctx, cancel := context.WithTimeout(quiet(ctx), requestTimeout)
	defer cancel()
	text, err := c.core.Get().AbsPath("/apis", gv.Group, gv.Version).SetHeader("Accept", "application/json").DoRaw(ctx)
	var list metav1.APIResourceList
	if err != nil || json.Unmarshal(text, &list) != nil {
		return // it does not know the version, or is gone: other watches tell
	}
	for _, r := range list.APIResources {
		known[gv.WithResource(r.Name)] = true
	}
}
