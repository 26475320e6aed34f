package kubelet

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// writer keeps one pod's status in the API as its worker wants it, and removes
// the pod's object in the end. Only the latest wish counts; while the API server
// is away it keeps trying, and the worker is never held up.
type writer struct {
	api  *api
	wake chan struct{}

	mu      sync.Mutex
	current *corev1.Pod       // as the API has it, as far as is known
	wanted  *corev1.PodStatus // nil: nothing to write yet
	remove  bool              // after writing, delete the object
}

func newWriter(a *api, pod *corev1.Pod) *writer {
	return &writer{api: a, current: pod, wake: make(chan struct{}, 1)}
}

// Set replaces the wanted status; remove asks for the object's removal after it.
func (w *writer) Set(status corev1.PodStatus, remove bool) {
	w.mu.Lock()
	w.wanted, w.remove = &status, w.remove || remove
	w.mu.Unlock()
	w.nudge()
}

// Observe tells of the object as a watch shows it. Somebody else may have
// changed what the kubelet owns: the node's controller marks the pods of a node
// that it gave up.
func (w *writer) Observe(pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	newer, err := resourceversion.CompareResourceVersion(pod.ResourceVersion, w.current.ResourceVersion)
	if err == nil && newer > 0 {
		w.current = pod
		w.nudge()
	}
}

// last returns the object as the API had it last.
func (w *writer) last() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

func (w *writer) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx ends or the object is gone.
func (w *writer) run(ctx context.Context) {
	const first, longest = 100 * time.Millisecond, 2 * time.Second
	delay := first
	for {
		gone, err := w.write(ctx)
		if gone || ctx.Err() != nil {
			return
		}
		if err == nil {
			delay = first
			select {
			case <-ctx.Done():
				return
			case <-w.wake:
			}
			continue
		}
		timer := time.NewTimer(delay)
		delay = min(2*delay, longest)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// write brings the API's object in line with what is wanted now.
func (w *writer) write(ctx context.Context) (gone bool, err error) {
	w.mu.Lock()
	current, wanted, remove := w.current, w.wanted, w.remove
	w.mu.Unlock()
	if wanted == nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	status := withForeign(*wanted, current.Status.Conditions)
	if !equality.Semantic.DeepEqual(current.Status, status) {
		pod := current.DeepCopy()
		pod.Status = status
		updated, err := w.api.updatePodStatus(ctx, pod)
		switch {
		case apierrors.IsConflict(err):
			updated, err = w.api.pod(ctx, current.Namespace, current.Name)
			if err == nil && updated.UID == current.UID {
				w.Observe(updated) // and so nudges itself
				return false, nil
			}
			if err == nil {
				return true, nil // the name is another pod's by now
			}
		}
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		w.mu.Lock()
		w.current = updated
		w.mu.Unlock()
	}
	if !remove {
		return false, nil
	}
	err = w.api.removePod(ctx, current.Namespace, current.Name, current.UID)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return true, nil
	}
	return false, err
}
