package kubelet

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The delays between a container's runs: none before the first restart, then
// these, as Kubernetes documents them for CrashLoopBackOff.
const (
	firstDelay   = 10 * time.Second
	longestDelay = 5 * time.Minute
	forgiveAfter = 10 * time.Minute // a run of this length starts the count afresh
)

// backoff counts one container's restarts.
type backoff struct{ delay time.Duration }

// next returns how long to wait before the next start, after a run that lasted
// ran.
func (b *backoff) next(ran time.Duration) time.Duration {
	if ran >= forgiveAfter {
		b.delay = 0
	}
	wait := b.delay
	b.delay = min(max(2*b.delay, firstDelay), longestDelay)
	return wait
}

// retry counts attempts at something that is not the container's own fault,
// such as a Secret that does not exist yet.
type retry struct{ delay time.Duration }

func (r *retry) next() time.Duration {
	r.delay = min(max(2*r.delay, 500*time.Millisecond), firstDelay)
	return r.delay
}

// role is a container's place in its pod.
type role uint8

const (
	mainRole    role = iota
	initRole         // runs to success before the next one
	sidecarRole      // an init container with restartPolicy Always: runs along
)

func roleOf(c *corev1.Container, init bool) role {
	switch {
	case !init:
		return mainRole
	case c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways:
		return sidecarRole
	}
	return initRole
}

// restarts tells whether a container that exited with code runs again.
func (r role) restarts(policy corev1.RestartPolicy, code int32) bool {
	switch r {
	case sidecarRole:
		return true
	case initRole:
		return code != 0 && policy != corev1.RestartPolicyNever
	}
	return policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && code != 0
}
