package kubelet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pharoslb/pharos/internal/linux/container"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// runner is one container of a pod. It belongs to its worker's goroutine.
type runner struct {
	w    *worker
	spec *corev1.Container
	view containerView

	program  program // nil unless running
	starting bool    // a start is under way beside the worker
	stopping bool    // was asked to end
	never    bool    // does not run again
	startAt  time.Time
	killAt   time.Time // SIGKILL, if it still runs; zero: not planned
	began    time.Time
	crash    backoff
	tries    retry
	env      []string
	quiet    context.CancelFunc // ends the probes
}

// newRunner continues where an earlier boot of the node left off, as the pod's
// status tells.
func newRunner(w *worker, spec *corev1.Container, init bool, old []corev1.ContainerStatus) *runner {
	r := &runner{w: w, spec: spec, quiet: func() {}}
	r.view = containerView{spec: spec, role: roleOf(spec, init)}
	r.view.state.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	if len(w.pod.Spec.InitContainers) > 0 {
		r.view.state.Waiting.Reason = "PodInitializing"
	}
	for _, s := range old {
		if s.Name != spec.Name || s.ContainerID == "" {
			continue
		}
		r.view.id, r.view.restarts, r.view.imageID, r.view.last = s.ContainerID, s.RestartCount, s.ImageID, s.LastTerminationState.Terminated
		switch {
		case s.State.Running != nil:
			// Nobody saw how it ended: the power was cut.
			r.view.last = &corev1.ContainerStateTerminated{
				ExitCode: 255, Reason: "Unknown", ContainerID: s.ContainerID,
				StartedAt: s.State.Running.StartedAt, FinishedAt: timestamp(time.Now()),
			}
		case s.State.Terminated != nil && r.view.role == mainRole && !r.view.role.restarts(w.pod.Spec.RestartPolicy, s.State.Terminated.ExitCode):
			r.view.state, r.never = s.State, true
		case s.State.Terminated != nil:
			r.view.last = s.State.Terminated
		}
	}
	return r
}

// busy tells that something of the container runs or may soon.
func (r *runner) busy() bool { return r.starting || r.program != nil }

// stepContainers starts what is due: init containers one after the other, then
// the rest.
func (w *worker) stepContainers(ctx context.Context, at time.Time) {
	for _, r := range w.containers {
		if !r.busy() && !r.never && !at.Before(r.startAt) {
			r.start(ctx)
		}
		if !w.initialized && r.view.role != mainRole && !r.view.done() {
			return
		}
	}
	w.initialized = true
}

// launch is what it takes to start a container, beside the worker.
type launch struct {
	boot     *boot
	pod      *corev1.Pod
	net      *PodNet
	volumes  *volumes
	spec     *corev1.Container
	hostname string
	dir      string // the pod's
	log      string
}

func (r *runner) start(ctx context.Context) {
	r.starting = true
	w := r.w
	l := launch{
		boot: w.boot, pod: w.pod, net: w.net, volumes: w.volumes, spec: r.spec,
		hostname: hostname(w.pod), dir: w.dir, log: r.logPath(r.nextRun()),
	}
	os.Remove(r.logPath(r.nextRun() - 2))
	w.beside.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		program, made, err := l.start(ctx)
		select {
		case w.events <- func() { r.launched(program, made, err) }:
		case <-w.gone:
			if err == nil {
				program.Kill()
				<-program.Done()
			}
		}
	})
}

// made is what start found out on its way.
type made struct {
	recipe recipe
	env    []string
}

// configError is a container's own fault: its spec, or what it refers to.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

func (l launch) start(ctx context.Context) (program, made, error) {
	if err := unsupported(l.pod, l.spec); err != nil {
		return nil, made{}, configError{err}
	}
	may, err := privileges(l.pod.Spec.SecurityContext, l.spec.SecurityContext, sandbox.Rootless())
	if err != nil {
		return nil, made{}, configError{err}
	}
	around := l.volumes.around
	around.source = reader{l.boot.api, ctx}
	env, err := around.environment(l.spec)
	if err != nil {
		return nil, made{}, configError{err}
	}
	m := made{env: env.list()}
	m.recipe = choose(l.spec, expandAll(l.spec.Command, env.values), expandAll(l.spec.Args, env.values), l.boot.cfg.Images)
	root := filepath.Join(l.dir, "containers", l.spec.Name, "root")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, m, err
	}
	out, err := logFile(l.log)
	if err != nil {
		return nil, m, err
	}
	defer out.Close()
	if m.recipe.greet {
		g, err := greet(ctx, l.net.NS, l.hostname, m.recipe.ports, out)
		if err != nil {
			return nil, m, err
		}
		return g, m, nil
	}
	mounts, err := l.volumes.mounts(l.spec)
	if err != nil {
		return nil, m, configError{err}
	}
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		mounts = append(mounts, container.Mount{Source: filepath.Join(l.dir, "etc", name), Target: "/etc/" + name})
	}
	p, err := container.Start(l.net.NS, container.Spec{
		Args: m.recipe.args, Env: m.env, Dir: l.spec.WorkingDir, Hostname: l.hostname, Root: root,
		Mounts: append(mounts, m.recipe.mounts...), HostPID: l.pod.Spec.HostPID, Privileges: may,
		ReadOnlyRoot: l.spec.SecurityContext != nil && either(l.spec.SecurityContext.ReadOnlyRootFilesystem, nil, false),
	}, out)
	if err != nil {
		return nil, m, err
	}
	return process{p}, m, nil
}

// launched takes in how a start went.
func (r *runner) launched(p program, m made, err error) {
	r.starting = false
	if t := r.view.state.Terminated; t != nil {
		r.view.last = t
	}
	if err != nil {
		reason := "CreateContainerError"
		if errors.As(err, new(configError)) {
			reason = "CreateContainerConfigError"
		}
		r.view.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: err.Error()}}
		r.startAt = time.Now().Add(r.tries.next())
		r.w.boot.warn(r.w.pod, "Failed", fmt.Sprintf("container %s: %v", r.spec.Name, err))
		return
	}
	if r.view.id != "" {
		r.view.restarts++
	}
	r.program, r.env, r.began, r.tries = p, m.env, time.Now(), retry{}
	r.view.imageID, r.view.id = m.recipe.imageID, fmt.Sprintf("pharos-lab://%s.%s.%d", r.w.pod.UID, r.spec.Name, r.view.restarts)
	r.view.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: timestamp(r.began)}}
	r.w.beside.Go(func() {
		<-p.Done()
		r.w.post(func() { r.exited(p.Exit()) })
	})
	r.probe()
}

// exited takes in how a run ended, and decides on the next.
func (r *runner) exited(exit container.Exit) {
	r.quiet()
	ended := &corev1.ContainerStateTerminated{
		ExitCode: int32(exit.Code), Signal: int32(exit.Signal), Reason: "Error", ContainerID: r.view.id,
		StartedAt: timestamp(r.began), FinishedAt: timestamp(time.Now()),
	}
	if exit.Code == 0 {
		ended.Reason = "Completed"
	}
	r.program, r.stopping, r.killAt = nil, false, time.Time{}
	r.view.started, r.view.ready = false, false
	r.view.state = corev1.ContainerState{Terminated: ended}
	if !r.view.role.restarts(r.w.pod.Spec.RestartPolicy, ended.ExitCode) {
		r.never = true
		return
	}
	wait := r.crash.next(time.Since(r.began))
	r.startAt = time.Now().Add(wait)
	if wait == 0 || r.w.ending {
		return
	}
	message := fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", wait, r.spec.Name, r.w.pod.Name, r.w.pod.Namespace, r.w.pod.UID)
	r.view.last = ended
	r.view.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: message}}
	r.w.boot.warn(r.w.pod, "BackOff", message)
}

// stop asks the container to end within grace, or sooner than it was asked to
// before. A container that is still being started is asked when it runs.
func (r *runner) stop(grace time.Duration) {
	if r.program == nil {
		return
	}
	at := time.Now().Add(grace)
	if r.stopping {
		if at.Before(r.killAt) {
			r.killAt = at
		}
		return
	}
	r.stopping, r.killAt = true, at
	p := r.program
	var hook *corev1.LifecycleHandler
	if r.spec.Lifecycle != nil {
		hook = r.spec.Lifecycle.PreStop
	}
	if hook == nil {
		p.Terminate()
		return
	}
	pod, prober := r.w.pod, r.prober()
	r.w.beside.Go(func() {
		ctx, cancel := context.WithTimeout(r.w.boot.ctx, grace)
		defer cancel()
		if err := preStop(ctx, hook, prober, p); err != nil {
			r.w.boot.warn(pod, "FailedPreStopHook", err.Error())
		}
		p.Terminate()
	})
}

// preStop runs a hook until it is done, the program has ended, or ctx ends.
func preStop(ctx context.Context, hook *corev1.LifecycleHandler, prober *prober, p program) error {
	switch {
	case hook.Exec != nil:
		return prober.exec(ctx, hook.Exec)
	case hook.HTTPGet != nil:
		return prober.httpGet(ctx, hook.HTTPGet)
	case hook.Sleep != nil:
		timer := time.NewTimer(time.Duration(hook.Sleep.Seconds) * time.Second)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-p.Done():
		case <-timer.C:
		}
	}
	return nil
}

// kill ends the run at once and waits for that.
func (r *runner) kill() {
	r.quiet()
	if r.program != nil {
		r.program.Kill()
		<-r.program.Done()
	}
}

func (r *runner) prober() *prober {
	return &prober{node: r.w.boot.ns, pod: r.w.net.Addrs[0], container: r.spec, program: r.program, env: r.env}
}

// probe starts the run's probes: the startup probe alone first, then the rest.
func (r *runner) probe() {
	ctx, quiet := context.WithCancel(r.w.boot.ctx)
	r.quiet = quiet
	run, prober := r.program, r.prober()
	repeat := func(ctx context.Context, kind string, probe *corev1.Probe, verdict bool, decide func(ok bool)) {
		r.w.beside.Go(func() {
			prober.repeat(ctx, probe, verdict, func(ok bool, why error) {
				r.w.post(func() {
					if r.program != run {
						return
					}
					if !ok {
						r.w.boot.warn(r.w.pod, "Unhealthy", fmt.Sprintf("%s probe of container %s failed: %v", kind, r.spec.Name, why))
					}
					decide(ok)
				})
			})
		})
	}
	restart := func(probe *corev1.Probe) {
		grace := r.w.grace()
		if s := probe.TerminationGracePeriodSeconds; s != nil {
			grace = time.Duration(*s) * time.Second
		}
		if !r.w.ending {
			r.stop(grace)
		}
	}
	begun := func() {
		r.view.started = true
		if probe := r.spec.ReadinessProbe; probe != nil {
			repeat(ctx, "Readiness", probe, false, func(ok bool) { r.view.ready = ok })
		} else {
			r.view.ready = r.view.role != initRole
		}
		if probe := r.spec.LivenessProbe; probe != nil {
			repeat(ctx, "Liveness", probe, true, func(ok bool) {
				if !ok {
					restart(probe)
				}
			})
		}
	}
	probe := r.spec.StartupProbe
	if probe == nil {
		begun()
		return
	}
	startup, enough := context.WithCancel(ctx)
	repeat(startup, "Startup", probe, false, func(ok bool) {
		switch {
		case ok && !r.view.started:
			enough()
			begun()
		case !ok && !r.view.started:
			restart(probe)
		}
	})
}

// nextRun numbers the container's runs from 0, over boots.
func (r *runner) nextRun() int {
	if r.view.id == "" {
		return 0
	}
	return int(r.view.restarts) + 1
}

func (r *runner) logPath(run int) string {
	return filepath.Join(r.w.dir, "containers", r.spec.Name, strconv.Itoa(run)+".log")
}

func (r *runner) public() ContainerStatus {
	s := ContainerStatus{
		Name: r.spec.Name, Running: r.program != nil, Ready: r.view.ready, Restarts: int(r.view.restarts),
		Log: r.logPath(int(r.view.restarts)), PreviousLog: r.logPath(int(r.view.restarts) - 1),
	}
	if r.program != nil {
		s.PID = r.program.PID()
	}
	return s
}

// hostname is the pod's, as the API defines it.
func hostname(pod *corev1.Pod) string {
	switch {
	case pod.Spec.HostNetwork:
		return pod.Spec.NodeName
	case pod.Spec.Hostname != "":
		return pod.Spec.Hostname
	}
	return pod.Name[:min(len(pod.Name), 63)]
}
