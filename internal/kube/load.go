package kube

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
)

// Load lists every kind once, in place of Run, for whoever wants one Snapshot and
// may not watch. Seen is told of each kind. The error names every kind that could
// not be listed; the Snapshot is Synced where there is none.
func (s *Source) Load(ctx context.Context, seen func(KindStatus)) error {
	ctx = klog.NewContext(ctx, klog.New(&sink{log: s.log}))
	var failed []error
	for _, k := range s.kinds {
		k.stop = func() {}
		if err := s.loadKind(ctx, k); err != nil {
			if failed = append(failed, err); gone(err) {
				break // nothing else would be answered
			}
			continue
		}
		s.mu.Lock()
		k.status.Objects = k.store.len()
		status := k.status
		s.mu.Unlock()
		seen(status)
	}
	if len(failed) == 0 && s.opts.Kinds&Config != 0 {
		s.makeConfig(ctx)
	}
	return errors.Join(failed...)
}

func (s *Source) loadKind(ctx context.Context, k *kindState) error {
	options := metav1.ListOptions{Limit: pageSize}
	var all []any
	for {
		page, err := s.listWatch(k).ListWithContext(ctx, options)
		if s.absent(k, err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", k.gvr.GroupResource(), requestError(err))
		}
		if err := meta.EachListItem(page, func(o runtime.Object) error { all = append(all, o); return nil }); err != nil {
			return fmt.Errorf("list %s: %w", k.gvr.GroupResource(), err)
		}
		list, err := meta.ListAccessor(page)
		if err != nil {
			return fmt.Errorf("list %s: %w", k.gvr.GroupResource(), err)
		}
		if options.Continue = list.GetContinue(); options.Continue == "" {
			break
		}
	}
	return (&reflected{s, k}).Replace(all, "")
}

// gone reports whether an error says that the API server does not answer.
func gone(err error) bool {
	var u unreachable
	return errors.As(err, &u)
}
