package kubelet_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pharoslb/pharos/internal/lab/cluster"
	"github.com/pharoslb/pharos/internal/lab/kubelet"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) {
	kubelet.Init()
	os.Exit(sandbox.Main(m.Run))
}

// patience is generous: the machine may be busy with other packages' tests.
const patience = 2 * time.Minute

// machine is a node of the test: a namespace on the segment, its pods on a
// bridge of its own.
type machine struct {
	name string
	addr netip.Addr
	pods netip.Prefix
	ns   *netns.NS

	mu   sync.Mutex
	next netip.Addr
	open map[string]bool // pods that have a network
}

func (m *machine) Name() string             { return m.name }
func (m *machine) Addrs() []netip.Addr      { return []netip.Addr{m.addr} }
func (m *machine) PodCIDRs() []netip.Prefix { return []netip.Prefix{m.pods} }
func (m *machine) NS() *netns.NS            { return m.ns }

func (m *machine) AddPod(_ context.Context, pod kubelet.PodRef) (kubelet.PodNet, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next = m.next.Next()
	addr := m.next
	ns, err := netns.New(pod.Name)
	if err != nil {
		return kubelet.PodNet{}, err
	}
	port := fmt.Sprintf("pod%d", addr.As4()[3])
	gateway := m.pods.Addr().Next()
	for _, step := range []func() error{
		func() error { return netns.Veth(ns, "eth0", m.ns, port) },
		func() error { return m.ns.Enslave(port, "pods") },
		func() error { return ns.AddAddr("eth0", netip.PrefixFrom(addr, m.pods.Bits())) },
		func() error { return ns.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), gateway) },
	} {
		if err := step(); err != nil {
			ns.Close()
			return kubelet.PodNet{}, err
		}
	}
	m.open[pod.Name] = true
	return kubelet.PodNet{NS: ns, Addrs: []netip.Addr{addr}, Close: func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.open, pod.Name)
		if err := m.ns.Delete(port); err != nil {
			return err
		}
		return ns.Close()
	}}, nil
}

func (m *machine) networks() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.open)
}

// world is a control plane and two nodes on one segment.
type world struct {
	t        *testing.T
	cluster  *cluster.Cluster
	client   *kubernetes.Clientset
	network  *netns.NS // of the control plane
	machines []*machine
	kubelets []*kubelet.Kubelet
	dirs     []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	namespace := func(name string) *netns.NS {
		ns, err := netns.New(name)
		check(t, err)
		t.Cleanup(func() { ns.Close() })
		return ns
	}
	segment, control := namespace("segment"), namespace("control")
	check(t, segment.AddBridge("br0"))
	plug := func(ns *netns.NS, port string, addr netip.Addr) {
		check(t, netns.Veth(ns, "eth0", segment, port))
		check(t, segment.Enslave(port, "br0"))
		check(t, ns.AddAddr("eth0", netip.PrefixFrom(addr, 24)))
	}
	api := netip.MustParseAddr("10.10.2.100")
	plug(control, "control", api)
	w := &world{t: t, network: control}
	for i, cidr := range []string{"10.233.93.0/24", "10.233.119.0/24"} {
		m := &machine{
			name: fmt.Sprintf("node%d", i+1), addr: netip.AddrFrom4([4]byte{10, 10, 2, byte(112 + i)}),
			pods: netip.MustParsePrefix(cidr), open: map[string]bool{},
		}
		m.ns, m.next = namespace(m.name), m.pods.Addr().Next()
		plug(m.ns, m.name, m.addr)
		check(t, m.ns.AddBridge("pods"))
		check(t, m.ns.AddAddr("pods", netip.PrefixFrom(m.next, 24)))
		check(t, m.ns.Sysctl("net.ipv4.ip_forward", "1"))
		check(t, control.AddRoute(m.pods, m.addr))
		w.machines = append(w.machines, m)
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Options{Dir: filepath.Join(t.TempDir(), "control"), NS: control, Addr: api})
	check(t, err)
	t.Cleanup(c.Close)
	w.cluster = c
	w.client, err = kubernetes.NewForConfig(c.Config())
	check(t, err)
	running, stop := context.WithCancel(context.Background())
	var kubelets sync.WaitGroup
	t.Cleanup(func() { stop(); kubelets.Wait() })
	for _, m := range w.machines {
		credentials, err := c.Node(m.name, m.addr)
		check(t, err)
		dir := filepath.Join(t.TempDir(), m.name)
		k, err := kubelet.New(kubelet.Config{
			Machine: m, Client: credentials.Config, Serving: &credentials.Serving, ClientCA: credentials.ClientCA,
			ServiceAddr: c.ServiceAddr(), Dir: dir, RefreshInterval: time.Second,
			Images: map[string]string{"pharoslb/env": "/usr/bin/env"},
		})
		check(t, err)
		w.kubelets, w.dirs = append(w.kubelets, k), append(w.dirs, dir)
		kubelets.Go(func() {
			if err := k.Run(running); err != nil {
				t.Errorf("kubelet: %v", err)
			}
		})
	}
	return w
}

// create makes a pod from a spec; its containers' images and names, and its
// grace, are filled in.
func (w *world) create(name string, spec corev1.PodSpec) {
	w.t.Helper()
	if spec.TerminationGracePeriodSeconds == nil {
		spec.TerminationGracePeriodSeconds = new(int64(1))
	}
	fill := func(containers []corev1.Container, kind string) {
		for i := range containers {
			if containers[i].Name == "" {
				containers[i].Name = fmt.Sprintf("%s%d", kind, i)
			}
			if containers[i].Image == "" {
				containers[i].Image = "host"
			}
		}
	}
	fill(spec.Containers, "c")
	fill(spec.InitContainers, "i")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}, Spec: spec}
	_, err := w.client.CoreV1().Pods("default").Create(w.t.Context(), pod, metav1.CreateOptions{})
	check(w.t, err)
}

// await waits for a pod to satisfy condition, which says what is amiss.
func (w *world) await(name string, condition func(*corev1.Pod) error) *corev1.Pod {
	w.t.Helper()
	var pod *corev1.Pod
	eventually(w.t, func() error {
		var err error
		if pod, err = w.client.CoreV1().Pods("default").Get(w.t.Context(), name, metav1.GetOptions{}); err != nil {
			return err
		}
		if err := condition(pod); err != nil {
			return fmt.Errorf("%w; init containers %v, containers %v", err, pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
		}
		return nil
	})
	return pod
}

// remove deletes a pod with the grace of its spec and waits until it is gone.
func (w *world) remove(name string) {
	w.t.Helper()
	check(w.t, w.client.CoreV1().Pods("default").Delete(w.t.Context(), name, metav1.DeleteOptions{}))
	w.gone(name)
}

func (w *world) gone(name string) {
	w.t.Helper()
	eventually(w.t, func() error {
		pods, err := w.client.CoreV1().Pods("default").List(w.t.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("%d pods are left", len(pods.Items))
		}
		return err
	})
}

// kubelet is the one that a pod is bound to.
func (w *world) kubelet(pod *corev1.Pod) *kubelet.Kubelet {
	for i, m := range w.machines {
		if m.name == pod.Spec.NodeName {
			return w.kubelets[i]
		}
	}
	w.t.Fatalf("pod %s is on no node", pod.Name)
	return nil
}

// logs returns a container's output.
func (w *world) logs(pod *corev1.Pod, container string) string {
	w.t.Helper()
	r, err := w.kubelet(pod).Logs(pod.Namespace, pod.Name, container, false)
	check(w.t, err)
	defer r.Close()
	data, err := io.ReadAll(r)
	check(w.t, err)
	return string(data)
}

// get asks a pod over HTTP, from a node.
func (w *world) get(from *machine, pod *corev1.Pod) (string, error) {
	client := http.Client{
		Transport: &http.Transport{DialContext: from.ns.DialContext, DisableKeepAlives: true},
		Timeout:   5 * time.Second,
	}
	resp, err := client.Get("http://" + pod.Status.PodIP + "/any/path")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func (w *world) machine(pod *corev1.Pod) *machine {
	for _, m := range w.machines {
		if m.name == pod.Spec.NodeName {
			return m
		}
	}
	return nil
}

func ready(pod *corev1.Pod) error {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("pod %s is not ready", pod.Name)
}

func phase(want corev1.PodPhase) func(*corev1.Pod) error {
	return func(pod *corev1.Pod) error {
		if pod.Status.Phase != want {
			return fmt.Errorf("pod %s is %s, want %s", pod.Name, pod.Status.Phase, want)
		}
		return nil
	}
}

// waitingFor wants the first container to wait for a reason, its message
// telling of something.
func waitingFor(reason, message string) func(*corev1.Pod) error {
	return func(pod *corev1.Pod) error {
		if len(pod.Status.ContainerStatuses) > 0 {
			s := pod.Status.ContainerStatuses[0].State.Waiting
			if s != nil && s.Reason == reason && strings.Contains(s.Message, message) {
				return nil
			}
		}
		return fmt.Errorf("pod %s does not wait for %s (%s)", pod.Name, reason, message)
	}
}

func shell(script string) []string { return []string{"sh", "-c", script} }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition, which says what is amiss.
func eventually(t *testing.T, condition func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

// addr parses an address; an odd one is the zero address, which no network has.
func addr(text string) netip.Addr {
	a, _ := netip.ParseAddr(text)
	return a
}
