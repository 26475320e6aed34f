package kubelet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// containerView is what a pod's status needs to know of a container.
type containerView struct {
	spec     *corev1.Container
	role     role
	state    corev1.ContainerState // exactly one member is set
	last     *corev1.ContainerStateTerminated
	restarts int32
	id       string // of the current or last run; empty before the first
	imageID  string
	started  bool // running, and past its startup probe
	ready    bool // started, and its readiness probe content
}

// done tells of an init container that is out of the way of what follows it.
func (c containerView) done() bool {
	switch c.role {
	case initRole:
		return c.state.Terminated != nil && c.state.Terminated.ExitCode == 0
	case sidecarRole:
		return c.started
	}
	return false
}

// podView is what a pod's status is made of.
type podView struct {
	pod        *corev1.Pod
	containers []containerView
	podAddrs   []netip.Addr // empty before the pod has a network
	hostAddrs  []netip.Addr
	started    time.Time // when the kubelet first saw the pod
	conditions []corev1.PodCondition
}

// status makes the pod's status. Times of conditions that did not change are
// kept from the earlier ones.
func (v podView) status(now time.Time) corev1.PodStatus {
	s := corev1.PodStatus{
		ObservedGeneration: v.pod.Generation,
		Phase:              v.phase(),
		QOSClass:           v.pod.Status.QOSClass,
		StartTime:          &metav1.Time{Time: v.started},
		HostIP:             first(v.hostAddrs),
		PodIP:              first(v.podAddrs),
	}
	for _, a := range v.hostAddrs {
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: a.String()})
	}
	for _, a := range v.podAddrs {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: a.String()})
	}
	for _, c := range v.containers {
		if c.role == mainRole {
			s.ContainerStatuses = append(s.ContainerStatuses, c.status())
		} else {
			s.InitContainerStatuses = append(s.InitContainerStatuses, c.status())
		}
	}
	s.Conditions = v.allConditions(s.Phase, now)
	return s
}

func (c containerView) status() corev1.ContainerStatus {
	started := c.started
	s := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, ImageID: c.imageID, ContainerID: c.id,
		State: c.state, RestartCount: c.restarts, Started: &started,
		// An init container is ready when it has done its work.
		Ready: c.ready || c.role == initRole && c.done(),
	}
	if c.last != nil {
		s.LastTerminationState.Terminated = c.last
	}
	return s
}

// phase sums the containers up as the Pod Lifecycle page of Kubernetes' manual
// describes it.
func (v podView) phase() corev1.PodPhase {
	policy := v.pod.Spec.RestartPolicy
	var running, stopped, succeeded, waiting int
	for _, c := range v.containers {
		if c.role != mainRole {
			failed := c.state.Terminated != nil && c.state.Terminated.ExitCode != 0
			if c.role == initRole && failed && policy == corev1.RestartPolicyNever {
				return corev1.PodFailed
			}
			continue
		}
		switch {
		case c.state.Running != nil:
			running++
		case c.state.Terminated != nil:
			stopped++
			if c.state.Terminated.ExitCode == 0 {
				succeeded++
			}
		case c.last != nil:
			stopped++
		default:
			waiting++
		}
	}
	switch {
	case waiting > 0:
		return corev1.PodPending
	case running > 0 || policy == corev1.RestartPolicyAlways && v.pod.DeletionTimestamp == nil:
		return corev1.PodRunning
	case stopped == succeeded:
		return corev1.PodSucceeded
	case policy == corev1.RestartPolicyOnFailure && v.pod.DeletionTimestamp == nil:
		return corev1.PodRunning
	}
	return corev1.PodFailed
}

// allConditions are the conditions a kubelet owns.
func (v podView) allConditions(phase corev1.PodPhase, now time.Time) []corev1.PodCondition {
	var uninitialized, unready []string
	for _, c := range v.containers {
		switch {
		case c.role != mainRole && !c.done():
			uninitialized = append(uninitialized, c.spec.Name)
		case c.role != initRole && !c.ready:
			unready = append(unready, c.spec.Name)
		}
	}
	over := phase == corev1.PodSucceeded || phase == corev1.PodFailed
	condition := func(kind corev1.PodConditionType, names []string, reason, text string) corev1.PodCondition {
		c := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, ObservedGeneration: v.pod.Generation}
		switch {
		case over && kind != corev1.PodInitialized || phase == corev1.PodFailed && len(names) > 0:
			c.Status, c.Reason = corev1.ConditionFalse, "Pod"+string(phase)
			if phase == corev1.PodSucceeded {
				c.Reason = "PodCompleted"
			}
		case len(names) > 0:
			c.Status, c.Reason = corev1.ConditionFalse, reason
			c.Message = fmt.Sprintf("containers with %s status: [%s]", text, strings.Join(names, " "))
		}
		return c
	}
	networked := corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse, ObservedGeneration: v.pod.Generation}
	if len(v.podAddrs) > 0 && !over {
		networked.Status = corev1.ConditionTrue
	}
	unready = append(unready, uninitialized...)
	ready := condition(corev1.PodReady, unready, "ContainersNotReady", "unready")
	if gate := v.closedGate(); gate != "" && ready.Status == corev1.ConditionTrue {
		ready.Status, ready.Reason = corev1.ConditionFalse, "ReadinessGatesNotReady"
		ready.Message = fmt.Sprintf("readiness gate %q is not true", gate)
	}
	all := []corev1.PodCondition{
		networked,
		condition(corev1.PodInitialized, uninitialized, "ContainersNotInitialized", "incomplete"),
		ready,
		condition(corev1.ContainersReady, unready, "ContainersNotReady", "unready"),
	}
	for i := range all {
		all[i].LastTransitionTime = metav1.Time{Time: now}
		if old := conditionOf(v.conditions, all[i].Type); old != nil && old.Status == all[i].Status {
			all[i].LastTransitionTime = old.LastTransitionTime
		}
	}
	return all
}

// closedGate returns the first readiness gate that somebody else has yet to
// open.
func (v podView) closedGate() string {
	for _, gate := range v.pod.Spec.ReadinessGates {
		if c := conditionOf(v.pod.Status.Conditions, gate.ConditionType); c == nil || c.Status != corev1.ConditionTrue {
			return string(gate.ConditionType)
		}
	}
	return ""
}

func conditionOf(all []corev1.PodCondition, kind corev1.PodConditionType) *corev1.PodCondition {
	i := slices.IndexFunc(all, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// withForeign adds to a status the conditions of the current one that others
// own, such as the scheduler's.
func withForeign(s corev1.PodStatus, current []corev1.PodCondition) corev1.PodStatus {
	s.Conditions = slices.Clone(s.Conditions)
	for _, c := range current {
		if conditionOf(s.Conditions, c.Type) == nil {
			s.Conditions = append(s.Conditions, c)
		}
	}
	return s
}
