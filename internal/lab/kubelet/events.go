package kubelet

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	eventQueue  = 64
	eventSilent = 5 * time.Minute // the same words about a pod are said once in this time
	eventMemory = 1024            // how many are remembered for that
)

// events records Warning events. They are hints: what the queue has no room for,
// or the API server does not take, is dropped.
type events struct {
	api   *api
	node  string
	queue chan *corev1.Event
}

func newEvents(a *api, node string) *events {
	return &events{api: a, node: node, queue: make(chan *corev1.Event, eventQueue)}
}

func (e *events) warn(pod *corev1.Pod, reason, message string) {
	at := metav1.Now()
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: pod.Name + ".", Namespace: pod.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		},
		Reason: reason, Message: message[:min(len(message), 1024)], Type: corev1.EventTypeWarning,
		Source:         corev1.EventSource{Component: "kubelet", Host: e.node},
		FirstTimestamp: at, LastTimestamp: at, Count: 1,
		ReportingController: "kubelet", ReportingInstance: e.node,
	}
	select {
	case e.queue <- event:
	default:
	}
}

// run sends what is queued until ctx ends.
func (e *events) run(ctx context.Context) {
	type said struct {
		pod             types.UID
		reason, message string
	}
	memory := map[said]time.Time{}
	for {
		var event *corev1.Event
		select {
		case <-ctx.Done():
			return
		case event = <-e.queue:
		}
		key := said{event.InvolvedObject.UID, event.Reason, event.Message}
		if time.Since(memory[key]) < eventSilent {
			continue
		}
		if len(memory) >= eventMemory {
			clear(memory)
		}
		memory[key] = time.Now()
		sending, cancel := context.WithTimeout(ctx, 5*time.Second)
		// A hint that is lost is not worth a log line: the pod's status says it too.
		e.api.createEvent(sending, event)
		cancel()
	}
}
