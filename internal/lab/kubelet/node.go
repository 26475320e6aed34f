package kubelet

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxPods is what a node offers, Kubernetes' own default.
const maxPods = 110

// registration keeps the Node object: made if missing, its status Ready from
// this boot on, and again whenever somebody else says otherwise.
type registration struct {
	boot    *boot
	version string
}

func newRegistration(b *boot) *registration { return &registration{boot: b} }

func (r *registration) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.follow(ctx)
		if err != nil && ctx.Err() == nil {
			r.boot.log.Debug("register the node", "err", err)
		}
		pause(ctx, time.Second)
	}
}

// follow registers the node and watches its object until the watch ends.
func (r *registration) follow(ctx context.Context) error {
	node, err := r.register(ctx)
	if err != nil {
		return err
	}
	stream, err := r.boot.api.watch(ctx, "nodes", "metadata.name", node.Name, node.ResourceVersion)
	if err != nil {
		return err
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		node, ok := event.Object.(*corev1.Node)
		if !ok {
			return apierrors.FromObject(event.Object)
		}
		if ready := nodeCondition(node, corev1.NodeReady); ready == nil || ready.Status != corev1.ConditionTrue {
			return nil // register anew
		}
	}
	return nil
}

// register makes the Node as it should be.
func (r *registration) register(ctx context.Context) (*corev1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	api := r.boot.api
	if r.version == "" {
		var err error
		if r.version, err = api.serverVersion(ctx); err != nil {
			return nil, err
		}
	}
	node, err := api.node(ctx, r.boot.cfg.Machine.Name())
	if apierrors.IsNotFound(err) {
		fresh := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: r.boot.cfg.Machine.Name()}}
		r.describe(fresh)
		node, err = api.createNode(ctx, fresh)
	}
	if err != nil {
		return nil, err
	}
	if r.describe(node) {
		if node, err = api.updateNode(ctx, node); err != nil {
			return nil, err
		}
	}
	r.report(node)
	return api.updateNodeStatus(ctx, node)
}

// describe sets labels and pod networks, and tells whether that changed
// anything.
func (r *registration) describe(node *corev1.Node) (changed bool) {
	labels := map[string]string{
		corev1.LabelHostname:   node.Name,
		corev1.LabelOSStable:   runtime.GOOS,
		corev1.LabelArchStable: runtime.GOARCH,
	}
	for key, value := range r.boot.cfg.Labels {
		labels[key] = value
	}
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	for key, value := range labels {
		if node.Labels[key] != value {
			node.Labels[key], changed = value, true
		}
	}
	if cidrs := r.boot.cfg.Machine.PodCIDRs(); len(node.Spec.PodCIDRs) == 0 && len(cidrs) > 0 {
		for _, cidr := range cidrs {
			node.Spec.PodCIDRs = append(node.Spec.PodCIDRs, cidr.String())
		}
		node.Spec.PodCIDR, changed = node.Spec.PodCIDRs[0], true
	}
	return changed
}

// report sets the node's status: ready.
func (r *registration) report(node *corev1.Node) {
	s := &node.Status
	s.Addresses = nil
	for _, a := range r.boot.addrs {
		s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
	}
	s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: node.Name})
	s.Capacity, s.Allocatable = capacity(), capacity()
	s.DaemonEndpoints.KubeletEndpoint.Port = int32(r.boot.cfg.Port)
	s.NodeInfo = corev1.NodeSystemInfo{
		MachineID: node.Name, SystemUUID: node.Name, BootID: strconv.FormatInt(r.boot.booted.UnixNano(), 36),
		KernelVersion: kernelVersion(), OSImage: "Pharos lab", ContainerRuntimeVersion: "pharos-lab://1",
		KubeletVersion: r.version, OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH,
	}
	at := timestamp(time.Now())
	for _, c := range []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "the lab does not measure memory"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "the lab does not measure disks"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "the lab does not count processes"},
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "the lab's kubelet is running"},
	} {
		c.LastHeartbeatTime, c.LastTransitionTime = at, at
		if old := nodeCondition(node, c.Type); old == nil {
			s.Conditions = append(s.Conditions, c)
		} else {
			if old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
			*old = c
		}
	}
}

func nodeCondition(node *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == kind {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}

// renewLease shows the node's life: a renewal every LeaseInterval, each with
// the time at which it was meant.
func (b *boot) renewLease(ctx context.Context) {
	ticker := time.NewTicker(b.cfg.LeaseInterval)
	defer ticker.Stop()
	var lease *coordinationv1.Lease
	for {
		lease = b.renewOnce(ctx, lease)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// renewOnce renews the lease, and returns it as it is now, or nil if that has to
// be asked for first.
func (b *boot) renewOnce(ctx context.Context, lease *coordinationv1.Lease) *coordinationv1.Lease {
	ctx, cancel := context.WithTimeout(ctx, max(4*b.cfg.LeaseInterval, time.Second))
	defer cancel()
	name := b.cfg.Machine.Name()
	var err error
	if lease == nil {
		lease, err = b.api.lease(ctx, name)
		if apierrors.IsNotFound(err) {
			seconds := int32(5)
			fresh := &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: corev1.NamespaceNodeLease},
				Spec: coordinationv1.LeaseSpec{
					HolderIdentity: &name, LeaseDurationSeconds: &seconds, RenewTime: &metav1.MicroTime{Time: time.Now()},
				},
			}
			lease, err = b.api.createLease(ctx, fresh)
		}
	}
	if err == nil {
		lease.Spec.HolderIdentity, lease.Spec.RenewTime = &name, &metav1.MicroTime{Time: time.Now()}
		lease, err = b.api.updateLease(ctx, lease)
	}
	if err != nil {
		if ctx.Err() == nil {
			b.log.Debug("renew the lease", "err", err)
		}
		return nil
	}
	return lease
}

// capacity is what the machine has; every node of the lab has it all.
func capacity() corev1.ResourceList {
	list := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
		corev1.ResourcePods:             *resource.NewQuantity(maxPods, resource.DecimalSI),
		corev1.ResourceEphemeralStorage: resource.MustParse("10Gi"),
		corev1.ResourceMemory:           resource.MustParse("1Gi"),
	}
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return list
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemTotal:"); ok {
			if kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64); err == nil {
				list[corev1.ResourceMemory] = *resource.NewQuantity(kib<<10, resource.BinarySI)
			}
		}
	}
	return list
}

func kernelVersion() string {
	data, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown: " + err.Error()
	}
	return strings.TrimSpace(string(data))
}

// pause waits, or less if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
