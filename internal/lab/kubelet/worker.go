package kubelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// worker runs one pod during one boot. Its goroutine owns all its fields but
// for those behind mu; whatever blocks runs beside it and posts back.
//
//	preparing ──► running ──► ending ──► over
//	 network       containers   SIGTERM,    object removed
//	 volumes       probes       SIGKILL
type worker struct {
	boot    *boot
	uid     types.UID
	dir     string      // of the pod's volumes and logs
	inits   int         // how many of containers are init containers, the first ones
	pod     *corev1.Pod // as last seen
	updates chan update // the latest alone
	events  chan func() // posted by what runs beside
	gone    chan struct{}
	beside  sync.WaitGroup
	writer  *writer
	seen    time.Time // when the kubelet first saw the pod

	preparing   bool
	prepared    bool
	prepareStop context.CancelFunc
	prepareTry  retry
	prepareAt   time.Time // not before
	net         *PodNet   // nil before there is one
	volumes     *volumes
	refreshAt   time.Time
	containers  []*runner
	initialized bool // all init containers were done once

	ending  bool
	endAt   time.Time // SIGKILL to what still runs
	missing bool      // the API has no such pod any more: nothing to write
	wanted  *corev1.PodStatus

	mu     sync.Mutex
	public PodStatus
}

// update is what a watch tells of a pod.
type update struct {
	pod     *corev1.Pod
	deleted bool
}

func newWorker(b *boot, pod *corev1.Pod) *worker {
	w := &worker{
		boot: b, uid: pod.UID, inits: len(pod.Spec.InitContainers), pod: pod, seen: now(),
		updates: make(chan update, 1), events: make(chan func()), gone: make(chan struct{}),
		writer: newWriter(b.api, pod),
	}
	w.dir = filepath.Join(b.cfg.Dir, "pods", fmt.Sprintf("%s_%s_%s", pod.Namespace, pod.Name, pod.UID))
	if pod.Status.StartTime != nil {
		w.seen = pod.Status.StartTime.Time
	}
	for i := range pod.Spec.InitContainers {
		w.containers = append(w.containers, newRunner(w, &pod.Spec.InitContainers[i], true, pod.Status.InitContainerStatuses))
	}
	for i := range pod.Spec.Containers {
		w.containers = append(w.containers, newRunner(w, &pod.Spec.Containers[i], false, pod.Status.ContainerStatuses))
	}
	return w
}

// now is the time in the API's resolution.
func now() time.Time { return time.Now().Truncate(time.Second) }

// tell passes an update on. It is called by one goroutine alone.
func (w *worker) tell(u update) {
	select {
	case old := <-w.updates:
		u.deleted = u.deleted || old.deleted
	default:
	}
	w.updates <- u
}

// post has f run by the worker's goroutine.
func (w *worker) post(f func()) {
	select {
	case w.events <- f:
	case <-w.gone:
	}
}

// run runs the pod until it is over or ctx ends, which is a power cut: then
// its processes are killed and nothing is said to the API.
func (w *worker) run(ctx context.Context) {
	writing, stopWriting := context.WithCancel(ctx)
	var writer sync.WaitGroup
	writer.Go(func() { w.writer.run(writing) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	w.update(update{pod: w.pod})
	for over := false; !over; {
		if over = w.step(ctx, time.Now()); over {
			break
		}
		w.publish(false)
		timer.Reset(time.Until(w.wakeAt()))
		select {
		case <-ctx.Done():
			over = true
		case u := <-w.updates:
			w.update(u)
		case f := <-w.events:
			f()
		case <-timer.C:
		}
	}
	if ctx.Err() != nil || w.missing {
		stopWriting()
	}
	close(w.gone)
	w.release()
	if ctx.Err() == nil {
		// Only now: whoever sees the object gone may reuse name and address.
		w.publish(true)
		os.RemoveAll(w.dir)
	}
	writer.Wait()
	stopWriting()
}

// release ends what is left of the pod on this machine.
func (w *worker) release() {
	if w.prepareStop != nil {
		w.prepareStop()
	}
	for _, r := range w.containers {
		r.kill()
	}
	w.beside.Wait()
	w.closeNet()
}

func (w *worker) closeNet() {
	if w.net == nil || w.net.Close == nil {
		return
	}
	if err := w.net.Close(); err != nil {
		w.boot.log.Error("close pod network", "namespace", w.pod.Namespace, "pod", w.pod.Name, "err", err)
	}
	w.net.Close = nil
}

// update takes in what the API says.
func (w *worker) update(u update) {
	w.pod = u.pod
	w.writer.Observe(u.pod)
	switch {
	case u.deleted:
		w.missing = true
		w.end(0)
	case u.pod.DeletionTimestamp != nil:
		grace := int64(0)
		if u.pod.DeletionGracePeriodSeconds != nil {
			grace = *u.pod.DeletionGracePeriodSeconds
		}
		w.end(time.Duration(grace) * time.Second)
	}
}

// end begins the pod's end, or hastens it.
func (w *worker) end(grace time.Duration) {
	at := time.Now().Add(grace)
	if !w.ending || at.Before(w.endAt) {
		w.endAt = at
	}
	w.ending = true
	if w.prepareStop != nil {
		w.prepareStop()
	}
}

// step does what can be done now and tells whether the pod is over.
func (w *worker) step(ctx context.Context, at time.Time) (over bool) {
	w.killLate(at)
	switch {
	case w.ending:
		return w.stepEnd()
	case w.completed():
		w.stepComplete()
	case !w.prepared:
		if !w.preparing && !at.Before(w.prepareAt) {
			w.prepare(ctx)
		}
	default:
		w.refresh(ctx, at)
		w.stepContainers(ctx, at)
	}
	return false
}

// wakeAt is when step has something to do without an event.
func (w *worker) wakeAt() time.Time {
	at := time.Now().Add(time.Hour)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	if !w.ending && !w.prepared && !w.preparing {
		sooner(w.prepareAt)
	}
	if !w.ending && w.prepared {
		sooner(w.refreshAt)
	}
	for _, r := range w.containers {
		sooner(r.killAt)
		if !w.ending && w.prepared && !r.busy() {
			sooner(r.startAt)
		}
	}
	return at
}

// prepare makes the pod's network and volumes, beside the worker.
func (w *worker) prepare(ctx context.Context) {
	w.preparing = true
	ctx, w.prepareStop = context.WithCancel(ctx)
	stop, pod, net := w.prepareStop, w.pod, w.net
	w.beside.Go(func() {
		defer stop()
		volumes, err := (*volumes)(nil), error(nil)
		reason := "FailedCreatePodSandBox"
		if net == nil {
			net, err = w.boot.network(ctx, pod)
		}
		if err == nil {
			reason = "FailedMount"
			volumes, err = w.boot.volumes(ctx, pod, net, w.dir)
		}
		select {
		case w.events <- func() { w.haveSurroundings(net, volumes, reason, err) }:
		case <-w.gone:
			w.net = net // release waits for this goroutine and closes it
		}
	})
}

func (w *worker) haveSurroundings(net *PodNet, volumes *volumes, reason string, err error) {
	w.preparing, w.net = false, net
	if err == nil {
		w.prepared, w.volumes = true, volumes
		w.refreshAt = time.Now().Add(w.boot.cfg.RefreshInterval)
		return
	}
	if w.ending {
		return
	}
	w.prepareAt = time.Now().Add(w.prepareTry.next())
	w.boot.warn(w.pod, reason, err.Error())
	for _, r := range w.containers {
		if waiting := r.view.state.Waiting; waiting != nil {
			// A copy: the writer may still read the old one.
			r.view.state.Waiting = &corev1.ContainerStateWaiting{Reason: waiting.Reason, Message: err.Error()}
		}
	}
}

// refresh keeps the volumes that follow API objects up to date.
func (w *worker) refresh(ctx context.Context, at time.Time) {
	if at.Before(w.refreshAt) {
		return
	}
	interval := w.boot.cfg.RefreshInterval
	w.refreshAt = at.Add(interval)
	volumes, pod := w.volumes, w.pod
	w.beside.Go(func() {
		refreshing, cancel := context.WithTimeout(ctx, max(interval/2, time.Second))
		defer cancel()
		if err := volumes.refresh(refreshing); err != nil && ctx.Err() == nil {
			w.boot.warn(pod, "FailedMount", err.Error())
		}
	})
}

// completed tells that the pod has done its work and no container runs again.
func (w *worker) completed() bool {
	if phase := w.pod.Status.Phase; !w.prepared && (phase == corev1.PodSucceeded || phase == corev1.PodFailed) {
		return true
	}
	phase := w.view().phase()
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}

// stepComplete lets sidecars and the network of a pod go that has done its
// work; its object stays until somebody deletes it.
func (w *worker) stepComplete() {
	idle := true
	for _, r := range w.containers {
		if r.busy() {
			idle = false
			r.stop(w.grace())
		}
	}
	if idle && !w.preparing {
		w.closeNet()
	}
}

// stepEnd stops the containers, sidecars last, and tells whether all is done.
func (w *worker) stepEnd() (over bool) {
	if w.preparing {
		return false
	}
	busy := func(r *runner) bool { return r.busy() }
	sidecar := func(r *runner) bool { return r.view.role == sidecarRole }
	if !slices.ContainsFunc(w.containers, busy) {
		return true
	}
	mainBusy := slices.ContainsFunc(w.containers, func(r *runner) bool { return busy(r) && !sidecar(r) })
	for _, r := range w.containers {
		if r.busy() && !(mainBusy && sidecar(r)) {
			r.stop(time.Until(w.endAt))
		}
	}
	return false
}

// killLate kills what was asked to end and took too long.
func (w *worker) killLate(at time.Time) {
	for _, r := range w.containers {
		if r.program == nil || r.killAt.IsZero() || at.Before(r.killAt) {
			continue
		}
		r.program.Kill()
		r.killAt = time.Time{}
	}
}

// grace is the time that a container of this pod has to end.
func (w *worker) grace() time.Duration {
	if s := w.pod.Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return 30 * time.Second
}

func (w *worker) view() podView {
	v := podView{pod: w.pod, started: w.seen, hostAddrs: w.boot.addrs, conditions: w.pod.Status.Conditions}
	if w.wanted != nil {
		v.conditions = w.wanted.Conditions
	}
	if w.net != nil {
		v.podAddrs = w.net.Addrs
	}
	for _, r := range w.containers {
		v.containers = append(v.containers, r.view)
	}
	return v
}

// publish hands the pod's status to its writer if it changed, and to Status.
func (w *worker) publish(over bool) {
	public := PodStatus{
		Namespace: w.pod.Namespace, Name: w.pod.Name, UID: string(w.pod.UID), HostNetwork: w.pod.Spec.HostNetwork,
	}
	if w.net != nil {
		public.NS, public.Addrs = w.net.NS, w.net.Addrs
	}
	for _, r := range w.containers {
		public.Containers = append(public.Containers, r.public())
	}
	w.mu.Lock()
	w.public = public
	w.mu.Unlock()
	if w.missing {
		return
	}
	// A pod that was over before this boot is what it was.
	status := w.pod.Status
	if !w.completed() || w.prepared {
		status = w.view().status(now())
	}
	if over || w.wanted == nil || !equality.Semantic.DeepEqual(*w.wanted, status) {
		w.wanted = &status
		w.writer.Set(status, over)
	}
}

func timestamp(t time.Time) metav1.Time { return metav1.Time{Time: t.Truncate(time.Second)} }
