package kubelet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// boot is the node from one power-on to the next power-off.
type boot struct {
	cfg    Config
	log    *slog.Logger
	ctx    context.Context // ends with the power
	api    *api
	ns     *netns.NS
	addrs  []netip.Addr
	events *events
	booted time.Time

	mu      sync.Mutex // guards what follows
	workers map[types.UID]*worker
	over    map[types.UID]bool // had a worker; the watch has yet to say that they are gone
	running sync.WaitGroup
}

// newBoot looks at the machine as it is now.
func newBoot(cfg Config, log *slog.Logger) (*boot, error) {
	b := &boot{
		cfg: cfg, log: log, ns: cfg.Machine.NS(), addrs: cfg.Machine.Addrs(),
		booted: time.Now(), workers: map[types.UID]*worker{}, over: map[types.UID]bool{},
	}
	var err error
	if b.api, err = newAPI(cfg.Client, b.ns); err != nil {
		return nil, fmt.Errorf("kubelet %s: client: %w", cfg.Machine.Name(), err)
	}
	b.events = newEvents(b.api, cfg.Machine.Name())
	return b, nil
}

// run plays the node until ctx ends, and returns when nothing of it is left.
func (b *boot) run(ctx context.Context) {
	b.ctx = ctx
	b.clearTmp()
	var parts sync.WaitGroup
	parts.Go(func() { b.events.run(ctx) })
	parts.Go(func() { newRegistration(b).run(ctx) })
	parts.Go(func() { b.renewLease(ctx) })
	parts.Go(func() { b.serve(ctx) })
	b.follow(ctx)
	b.running.Wait()
	parts.Wait()
	b.api.close()
}

// clearTmp empties what a machine does not keep over a reboot.
func (b *boot) clearTmp() {
	for _, dir := range []string{"/run", "/tmp"} {
		if err := os.RemoveAll(b.hostPath(dir)); err != nil {
			b.log.Error("clear the node's directory", "dir", dir, "err", err)
		}
	}
}

// hostPath is where a path of the node lies on the machine that runs the lab.
func (b *boot) hostPath(path string) string { return hostPath(b.cfg.Dir, path) }

// hostPath finds a node's path: what nodes keep for themselves, and what the
// machine lacks, is below the node's own directory, and so nothing is ever made
// on the machine; all else is the machine's.
func hostPath(dir, path string) string {
	path = filepath.Clean("/" + path)
	if rest, ok := strings.CutPrefix(path, "/var/run"); ok && (rest == "" || rest[0] == '/') {
		path = "/run" + rest
	}
	own := filepath.Join(dir, "host", path)
	for _, kept := range []string{"/run", "/tmp", "/var", "/sys/fs/bpf"} {
		if path == kept || strings.HasPrefix(path, kept+"/") {
			return own
		}
	}
	if _, err := os.Stat(path); err != nil {
		return own
	}
	return path
}

// follow keeps one worker per pod of the node.
func (b *boot) follow(ctx context.Context) {
	const first, longest = 100 * time.Millisecond, 2 * time.Second
	delay := first
	for ctx.Err() == nil {
		if err := b.followOnce(ctx); err != nil && ctx.Err() == nil {
			b.log.Debug("watch pods", "err", err)
			delay = min(2*delay, longest)
		} else {
			delay = first
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// followOnce lists the node's pods and watches them until the watch ends.
func (b *boot) followOnce(ctx context.Context) error {
	list, err := b.api.pods(ctx, b.cfg.Machine.Name())
	if err != nil {
		return err
	}
	there := map[types.UID]bool{}
	for i := range list.Items {
		there[list.Items[i].UID] = true
		b.tell(&list.Items[i], false)
	}
	for _, w := range b.all() {
		if !there[w.uid] {
			b.tell(w.writer.last(), true)
		}
	}
	b.mu.Lock()
	maps.DeleteFunc(b.over, func(uid types.UID, _ bool) bool { return !there[uid] })
	b.mu.Unlock()
	stream, err := b.api.watch(ctx, "pods", "spec.nodeName", b.cfg.Machine.Name(), list.ResourceVersion)
	if err != nil {
		return err
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		switch pod, ok := event.Object.(*corev1.Pod); {
		case ok:
			b.tell(pod, event.Type == watch.Deleted)
		case event.Type == watch.Error:
			return apierrors.FromObject(event.Object)
		}
	}
	return nil
}

// tell passes on what the API says of a pod to its worker, which it makes if
// the pod is new.
func (b *boot) tell(pod *corev1.Pod, deleted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.workers[pod.UID]
	switch {
	case w != nil:
		w.tell(update{pod, deleted})
	case deleted:
		delete(b.over, pod.UID)
	case !b.over[pod.UID]:
		w = newWorker(b, pod)
		b.workers[pod.UID] = w
		b.running.Go(func() {
			w.run(b.ctx)
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.workers, w.uid)
			b.over[w.uid] = true
		})
	}
}

func (b *boot) all() []*worker {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []*worker
	for _, w := range b.workers {
		all = append(all, w)
	}
	return all
}

// network gives a pod its network: the node's own, or one of its own.
func (b *boot) network(ctx context.Context, pod *corev1.Pod) (*PodNet, error) {
	if pod.Spec.HostNetwork {
		return &PodNet{NS: b.ns, Addrs: b.addrs}, nil
	}
	net, err := b.cfg.Machine.AddPod(ctx, PodRef{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)})
	if err != nil {
		return nil, err
	}
	if net.NS == nil || len(net.Addrs) == 0 || net.Close == nil {
		return nil, errors.New("the machine gave the pod an incomplete network")
	}
	return &net, nil
}

// volumes makes a pod's volumes, and the files of /etc that are the kubelet's.
func (b *boot) volumes(ctx context.Context, pod *corev1.Pod, net *PodNet, dir string) (*volumes, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o700); err != nil {
		return nil, err
	}
	name := hostname(pod)
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	for _, a := range net.Addrs {
		fmt.Fprintf(&hosts, "%s\t%s\n", a, name)
	}
	for _, alias := range pod.Spec.HostAliases {
		fmt.Fprintf(&hosts, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
	}
	for file, text := range map[string]string{
		"hosts":    hosts.String(),
		"hostname": name + "\n",
		// Without a server named here, a lookup asks loopback and fails at once.
		"resolv.conf": "# the lab has no name server\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "etc", file), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	v := &volumes{
		api: b.api, dir: dir, host: b.hostPath,
		around: surroundings{
			pod: pod, hostname: name, serviceAddr: b.cfg.ServiceAddr, podAddrs: net.Addrs,
			hostAddrs: b.addrs, allocatable: capacity(),
		},
	}
	return v, v.make(ctx)
}

// warn records a Warning event about a pod.
func (b *boot) warn(pod *corev1.Pod, reason, message string) { b.events.warn(pod, reason, message) }
