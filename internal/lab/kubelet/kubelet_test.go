package kubelet_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/pharoslb/pharos/internal/lab/cluster"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// TestNodesRunPods has two nodes on the real control plane do what a kubelet's
// users see. Starting it all takes longer than the cases, so they share it.
func TestNodesRunPods(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"nodes register", nodesRegister},
		{"a replica set serves", replicaSetServes},
		{"the host's network and many ports", hostNetwork},
		{"a crashing program is restarted, then backed off", crashes},
		{"what can't run says why", cannotRun},
		{"a missing secret is waited for", missingSecret},
		{"environment, volumes and token", surroundings},
		{"a mounted ConfigMap is kept up to date", configMapFollows},
		{"init containers come first, sidecars stay", initContainers},
		{"probes decide readiness and restarts", probes},
		{"termination has its grace", termination},
		{"a node's power is cut and comes back", powerCut},
		{"the API server is away", apiServerAway},
	} {
		if !t.Run(test.name, func(t *testing.T) {
			w.t = t
			test.run(t, w)
		}) {
			break // the next case would meet what this one left behind
		}
	}
}

func nodesRegister(t *testing.T, w *world) {
	for _, m := range w.machines {
		var node *corev1.Node
		eventually(t, func() error {
			var err error
			if node, err = w.client.CoreV1().Nodes().Get(t.Context(), m.name, metav1.GetOptions{}); err != nil {
				return err
			}
			if len(node.Spec.Taints) > 0 { // taken off a moment after Ready
				return fmt.Errorf("node %s is tainted %v", m.name, node.Spec.Taints)
			}
			return nodeReady(node, corev1.ConditionTrue)
		})
		if node.Spec.PodCIDR != m.pods.String() || node.Status.NodeInfo.KubeletVersion != cluster.Version ||
			node.Labels[corev1.LabelHostname] != m.name || node.Status.Addresses[0].Address != m.addr.String() {
			t.Errorf("node %s registered as %v, %v", m.name, node.Spec, node.Status)
		}
		if pods := node.Status.Allocatable.Pods(); pods.Value() < 10 {
			t.Errorf("node %s takes %v pods, want at least 10", m.name, pods)
		}
	}
	api, err := w.client.DiscoveryV1().EndpointSlices("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	check(t, err)
	if len(api.Endpoints) != 1 || api.Endpoints[0].Addresses[0] != "10.10.2.100" || *api.Ports[0].Port != 6443 {
		t.Errorf("the service kubernetes leads to %v %v, want 10.10.2.100:6443", api.Endpoints, api.Ports)
	}
}

func nodeReady(node *corev1.Node, want corev1.ConditionStatus) error {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == want {
			return nil
		}
	}
	return fmt.Errorf("node %s: Ready is not %s", node.Name, want)
}

func replicaSetServes(t *testing.T, w *world) {
	labels := map[string]string{"app": "web"}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "stenote/nginx-hostname"}}},
	}
	_, err := w.client.AppsV1().ReplicaSets("default").Create(t.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       appsv1.ReplicaSetSpec{Replicas: new(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
	}, metav1.CreateOptions{})
	check(t, err)
	_, err = w.client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	check(t, err)

	var pods *corev1.PodList
	eventually(t, func() error {
		found, err := w.client.DiscoveryV1().EndpointSlices("default").List(t.Context(), metav1.ListOptions{
			LabelSelector: discoveryv1.LabelServiceName + "=web"})
		if err != nil {
			return err
		}
		serving := map[string]bool{}
		for _, slice := range found.Items {
			for _, e := range slice.Endpoints {
				if *e.Conditions.Ready {
					serving[e.Addresses[0]] = true
				}
			}
		}
		if pods, err = w.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"}); err != nil {
			return err
		}
		if len(pods.Items) != 2 || len(serving) != 2 || !serving[pods.Items[0].Status.PodIP] || !serving[pods.Items[1].Status.PodIP] {
			return fmt.Errorf("ready endpoints %v, want the addresses of 2 pods", serving)
		}
		return nil
	})
	for _, pod := range pods.Items {
		got, err := w.get(w.machine(&pod), &pod)
		if err != nil || got != pod.Name+"\n" {
			t.Errorf("pod %s answers %q (%v), want its name", pod.Name, got, err)
		}
		if !w.machine(&pod).pods.Contains(addr(pod.Status.PodIP)) || pod.Status.HostIP != w.machine(&pod).addr.String() {
			t.Errorf("pod %s has address %s on host %s", pod.Name, pod.Status.PodIP, pod.Status.HostIP)
		}
	}
	if pods.Items[0].Spec.NodeName == pods.Items[1].Spec.NodeName {
		t.Errorf("both pods are on %s", pods.Items[0].Spec.NodeName)
	}
	if out := w.kubectl("logs", pods.Items[0].Name, "--tail=1"); !strings.HasPrefix(out, "serving") {
		t.Errorf("kubectl logs printed %q, want what the server logged", out)
	}

	check(t, w.client.AppsV1().ReplicaSets("default").Delete(t.Context(), "web", metav1.DeleteOptions{}))
	w.gone("web")
	if n := w.machines[0].networks() + w.machines[1].networks(); n != 0 {
		t.Errorf("%d pod networks are left", n)
	}
	if got, err := w.get(w.machine(&pods.Items[0]), &pods.Items[0]); err == nil {
		t.Errorf("the deleted pod still answers %q", got)
	}
}

// kubectl runs kubectl in the control plane's namespace.
func (w *world) kubectl(args ...string) string {
	w.t.Helper()
	cmd := w.cluster.Kubectl(w.t.Context(), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	check(w.t, w.network.Start(cmd))
	if err := cmd.Wait(); err != nil {
		w.t.Errorf("kubectl %v: %v: %s", args, err, out.String())
	}
	return out.String()
}

func hostNetwork(t *testing.T, w *world) {
	w.create("host", corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{
		{Image: "any", Ports: []corev1.ContainerPort{{ContainerPort: 8081}, {ContainerPort: 8082}, {ContainerPort: 9000, Protocol: corev1.ProtocolUDP}}},
		{Name: "name", Command: shell("hostname; cat /sys/class/net/eth0/ifindex; exec sleep 1000")},
	}})
	pod := w.await("host", ready)
	m := w.machine(pod)
	if pod.Status.PodIP != m.addr.String() || pod.Status.HostIP != m.addr.String() {
		t.Errorf("addresses %s and %s, want the node's %s", pod.Status.PodIP, pod.Status.HostIP, m.addr)
	}
	for _, port := range []string{":8081", ":8082"} {
		at := pod.DeepCopy()
		at.Status.PodIP += port
		if got, err := w.get(m, at); err != nil || got != m.name+"\n" {
			t.Errorf("port %s answers %q (%v), want the node's name", port, got, err)
		}
	}
	conn, err := m.ns.DialContext(t.Context(), "udp", m.addr.String()+":9000")
	check(t, err)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = conn.Write([]byte("who?"))
	check(t, err)
	answer := make([]byte, 100)
	n, err := conn.Read(answer)
	if err != nil || string(answer[:n]) != m.name+"\n" {
		t.Errorf("UDP answers %q (%v), want the node's name", answer[:n], err)
	}
	eventually(t, func() error {
		if got := w.logs(pod, "name"); !strings.HasPrefix(got, m.name+"\n") || strings.Contains(got, "No such file") {
			return fmt.Errorf("the container's host name and devices are %q", got)
		}
		return nil
	})
	w.remove("host")
}

func crashes(t *testing.T, w *world) {
	w.create("crash", corev1.PodSpec{Containers: []corev1.Container{{Command: shell("echo run; exit 3")}}})
	pod := w.await("crash", waitingFor("CrashLoopBackOff", "back-off 10s"))
	s := pod.Status.ContainerStatuses[0]
	// The first restart is immediate; the second waits.
	if s.RestartCount != 1 || s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.ExitCode != 3 {
		t.Errorf("status %+v, want one restart, and exit code 3 before", s)
	}
	if pod.Status.Phase != corev1.PodRunning || ready(pod) == nil {
		t.Errorf("phase %s, conditions %v; want Running and not ready", pod.Status.Phase, pod.Status.Conditions)
	}
	if got := w.logs(pod, ""); got != "run\n" {
		t.Errorf("the run's log is %q", got)
	}
	if out := w.kubectl("logs", "crash", "--previous"); out != "run\n" {
		t.Errorf("the log of the run before is %q", out)
	}
	eventually(t, func() error {
		if out := w.kubectl("get", "events"); !strings.Contains(out, "BackOff") {
			return fmt.Errorf("no event tells of the back-off:\n%s", out)
		}
		return nil
	})
	w.remove("crash")

	w.create("once", corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Command: shell("exit 3")}}})
	w.await("once", phase(corev1.PodFailed))
	w.remove("once")
}

func cannotRun(t *testing.T, w *world) {
	w.create("unknown", corev1.PodSpec{Containers: []corev1.Container{{Command: []string{"pharos-no-such-program"}}}})
	w.await("unknown", waitingFor("CreateContainerError", "pharos-no-such-program"))
	w.remove("unknown")
	w.create("grpc", corev1.PodSpec{Containers: []corev1.Container{{
		LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 80}}}}}})
	w.await("grpc", waitingFor("CreateContainerConfigError", "grpc"))
	w.remove("grpc")
	w.create("nfs", corev1.PodSpec{
		Containers: []corev1.Container{{VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}},
		Volumes:    []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "192.0.2.1", Path: "/"}}}},
	})
	w.await("nfs", waitingFor("ContainerCreating", `volume "data"`))
	w.remove("nfs")
}

func missingSecret(t *testing.T, w *world) {
	w.create("waits", corev1.PodSpec{Containers: []corev1.Container{{Env: []corev1.EnvVar{{
		Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "later"}, Key: "key"}},
	}}}}})
	w.await("waits", waitingFor("CreateContainerConfigError", `secret "later" not found`))
	_, err := w.client.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "later"}, StringData: map[string]string{"key": "value"}}, metav1.CreateOptions{})
	check(t, err)
	w.await("waits", ready)
	w.remove("waits")
}

func surroundings(t *testing.T, w *world) {
	_, err := w.client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"colour": "blue", "size": "big"}}, metav1.CreateOptions{})
	check(t, err)
	_, err = w.client.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "hidden"}, StringData: map[string]string{"word": "open sesame"}}, metav1.CreateOptions{})
	check(t, err)
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
	}
	settings := corev1.LocalObjectReference{Name: "settings"}
	directory := corev1.HostPathDirectoryOrCreate
	w.create("around", corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{
			{Name: "env", Image: "docker.io/pharoslb/env:v1", Env: []corev1.EnvVar{
				field("NODE", "spec.nodeName"), field("IP", "status.podIP"), field("POD", "metadata.name"), field("HOST", "status.hostIP"),
				{Name: "COLOUR", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: settings, Key: "colour"}}},
				{Name: "GREETING", Value: "hello $(POD) $$(POD) $(NOBODY)"},
				{Name: "CPU", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
			}, EnvFrom: []corev1.EnvFromSource{{Prefix: "S_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: settings}}}},
			{Name: "env-args", Image: "pharoslb/env", Args: []string{"-i", "ONLY=$(HOSTNAME)"}},
			{Name: "files", Command: shell(`cat /etc/hidden/word; echo; cat /conf/a/b; echo; cd /var/run/secrets/kubernetes.io/serviceaccount;
				cat namespace; echo; grep -c 'BEGIN CERT' ca.crt; wc -l < token; hostname; cat /etc/hostname; grep -c around /etc/hosts;
				echo from the pod > /node/file; echo x > /etc/hidden/word || echo read-only`),
				VolumeMounts: []corev1.VolumeMount{
					{Name: "hidden", MountPath: "/etc/hidden"}, {Name: "settings", MountPath: "/conf"}, {Name: "node", MountPath: "/node"}}},
		},
		Volumes: []corev1.Volume{
			{Name: "hidden", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "hidden"}}},
			{Name: "settings", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: settings, Items: []corev1.KeyToPath{{Key: "size", Path: "a/b"}}}}},
			{Name: "node", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/var/lib/around", Type: &directory}}},
		},
	})
	pod := w.await("around", phase(corev1.PodSucceeded))
	env := w.logs(pod, "env")
	for _, want := range []string{
		"NODE=" + pod.Spec.NodeName, "HOST=" + pod.Status.HostIP, "POD=around", "COLOUR=blue", "S_colour=blue", "S_size=big",
		"GREETING=hello around $(POD) $(NOBODY)", "KUBERNETES_SERVICE_HOST=10.233.0.1", "KUBERNETES_SERVICE_PORT=443", "CPU=",
	} {
		if !strings.Contains("\n"+env, "\n"+want) {
			t.Errorf("the environment lacks %s:\n%s", want, env)
		}
	}
	if got := w.logs(pod, "env-args"); got != "ONLY=around\n" {
		t.Errorf("with arguments, the image's program printed %q", got)
	}
	// The token is one line without an end.
	want := "open sesame\nbig\ndefault\n1\n0\naround\naround\n1\n"
	got := w.logs(pod, "files")
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "read-only\n") {
		t.Errorf("the files hold %q, want %q and a refused write", got, want)
	}
	if data, err := os.ReadFile(filepath.Join(w.kubelet(pod).HostPath("/var/lib/around"), "file")); err != nil || string(data) != "from the pod\n" {
		t.Errorf("the node's file holds %q (%v)", data, err)
	}

	// The token speaks for the pod's service account.
	tokens, err := filepath.Glob(filepath.Join(w.dirs[0], "..", "..", "*", "*", "pods", "default_around_*", "volumes", "kube-api-access-*", "token"))
	if err != nil || len(tokens) != 1 {
		t.Fatalf("tokens %v (%v), want one", tokens, err)
	}
	cfg := rest.AnonymousClientConfig(w.cluster.Config())
	cfg.Dial, cfg.BearerTokenFile = w.cluster.Config().Dial, tokens[0]
	as, err := kubernetes.NewForConfigOrDie(cfg).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	check(t, err)
	if as.Status.UserInfo.Username != "system:serviceaccount:default:default" {
		t.Errorf("the token is %s's", as.Status.UserInfo.Username)
	}
	w.remove("around")

	w.create("confined", corev1.PodSpec{
		RestartPolicy:   corev1.RestartPolicyNever,
		SecurityContext: &corev1.PodSecurityContext{RunAsUser: new(int64(65534)), RunAsGroup: new(int64(65534)), FSGroup: new(int64(7))},
		Volumes: []corev1.Volume{
			{Name: "work"},
			{Name: "hidden", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "hidden", DefaultMode: new(int32(0o400))}}},
		},
		Containers: []corev1.Container{{
			Command:         shell("id -u; cat /hidden/word; echo; echo x > /scratch/x && echo wrote; echo x > /tmp/x || echo refused; test -r /var/run/secrets/kubernetes.io/serviceaccount/token && echo token"),
			VolumeMounts:    []corev1.VolumeMount{{Name: "work", MountPath: "/scratch"}, {Name: "hidden", MountPath: "/hidden"}},
			SecurityContext: &corev1.SecurityContext{ReadOnlyRootFilesystem: new(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
		}},
	})
	pod = w.await("confined", phase(corev1.PodSucceeded))
	user := "65534\n"
	if sandbox.Rootless() {
		user = "0\n"
	}
	got = w.logs(pod, "")
	if lines := strings.Split(strings.TrimSpace(got), "\n"); !strings.HasPrefix(got, user+"open sesame\nwrote\n") ||
		!slices.Equal(lines[len(lines)-2:], []string{"refused", "token"}) {
		t.Errorf("the confined container printed %q", got)
	}
	w.remove("confined")
}

// A mounted ConfigMap follows the API's, all of it at once.
func configMapFollows(t *testing.T, w *world) {
	maps := w.client.CoreV1().ConfigMaps("default")
	cm, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "live"}, Data: map[string]string{"v": "1"}}, metav1.CreateOptions{})
	check(t, err)
	w.create("follower", corev1.PodSpec{
		Containers: []corev1.Container{{
			Command:      shell("until grep 2 /live/v; do sleep 0.1; done; exec sleep 1000"),
			VolumeMounts: []corev1.VolumeMount{{Name: "live", MountPath: "/live"}}}},
		Volumes: []corev1.Volume{{Name: "live", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "live"}}}}},
	})
	pod := w.await("follower", ready)
	cm.Data["v"] = "2"
	_, err = maps.Update(t.Context(), cm, metav1.UpdateOptions{})
	check(t, err)
	eventually(t, func() error {
		if got := w.logs(pod, ""); got != "2\n" {
			return fmt.Errorf("the container sees %q, want the new value", got)
		}
		return nil
	})
	w.remove("follower")
}

func initContainers(t *testing.T, w *world) {
	shared := []corev1.VolumeMount{{Name: "shared", MountPath: "/shared"}}
	always := corev1.ContainerRestartPolicyAlways
	w.create("ordered", corev1.PodSpec{
		Volumes: []corev1.Volume{{Name: "shared"}},
		InitContainers: []corev1.Container{
			{Command: shell("echo one >> /shared/order"), VolumeMounts: shared},
			{Command: shell("echo sidecar >> /shared/order; exec sleep 1000"), VolumeMounts: shared, RestartPolicy: &always,
				StartupProbe: &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 100, ProbeHandler: corev1.ProbeHandler{
					Exec: &corev1.ExecAction{Command: shell("grep sidecar /shared/order")}}}},
			{Command: shell("echo two >> /shared/order"), VolumeMounts: shared},
		},
		Containers: []corev1.Container{{Command: shell("cat /shared/order; exec sleep 1000"), VolumeMounts: shared}},
	})
	pod := w.await("ordered", ready)
	eventually(t, func() error {
		if got := w.logs(pod, ""); got != "one\nsidecar\ntwo\n" {
			return fmt.Errorf("the main container found %q", got)
		}
		return nil
	})
	if s := pod.Status.InitContainerStatuses; s[0].State.Terminated == nil || s[1].State.Running == nil || s[2].State.Terminated == nil {
		t.Errorf("init containers are %+v", s)
	}
	w.remove("ordered")
}

func probes(t *testing.T, w *world) {
	probe := func(h corev1.ProbeHandler) *corev1.Probe {
		return &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 1, ProbeHandler: h}
	}
	directory := corev1.HostPathDirectoryOrCreate
	w.create("probed", corev1.PodSpec{
		Volumes: []corev1.Volume{{Name: "node", VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: "/var/lib/probed", Type: &directory}}}},
		Containers: []corev1.Container{
			{Name: "exec", Command: []string{"sleep", "1000"}, VolumeMounts: []corev1.VolumeMount{{Name: "node", MountPath: "/node"}},
				ReadinessProbe: probe(corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"cat", "/node/ready"}}}),
				LivenessProbe:  probe(corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: shell("! test -e /node/dead")}})},
			{Name: "web", Image: "any", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
				ReadinessProbe: probe(corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromString("http")}}),
				LivenessProbe:  probe(corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}})},
		},
	})
	pod := w.await("probed", func(pod *corev1.Pod) error {
		for _, s := range pod.Status.ContainerStatuses {
			if s.Name == "web" && s.Ready {
				return nil
			}
		}
		return fmt.Errorf("the web container is not ready")
	})
	if ready(pod) == nil {
		t.Error("the pod is ready before its exec probe succeeds")
	}
	node := w.kubelet(pod).HostPath("/var/lib/probed")
	check(t, os.WriteFile(filepath.Join(node, "ready"), nil, 0o644))
	w.await("probed", ready)
	check(t, os.Remove(filepath.Join(node, "ready")))
	w.await("probed", func(pod *corev1.Pod) error {
		if ready(pod) == nil {
			return fmt.Errorf("the pod is ready though its probe fails")
		}
		return nil
	})
	check(t, os.WriteFile(filepath.Join(node, "dead"), nil, 0o644))
	w.await("probed", func(pod *corev1.Pod) error {
		for _, s := range pod.Status.ContainerStatuses {
			if s.Name == "exec" && s.RestartCount > 0 {
				return nil
			}
		}
		return fmt.Errorf("the failing liveness probe restarts nothing")
	})
	w.remove("probed")
}

func termination(t *testing.T, w *world) {
	directory := corev1.HostPathDirectoryOrCreate
	volumes := []corev1.Volume{{Name: "node", VolumeSource: corev1.VolumeSource{
		HostPath: &corev1.HostPathVolumeSource{Path: "/var/lib/termination", Type: &directory}}}}
	mounts := []corev1.VolumeMount{{Name: "node", MountPath: "/node"}}
	w.create("polite", corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(600)), Volumes: volumes, Containers: []corev1.Container{{
		VolumeMounts: mounts,
		Command:      shell(`trap 'echo term >> /node/polite; exit 0' TERM; echo up > /node/up; while :; do sleep 0.1; done`),
		Lifecycle:    &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: shell("echo hook > /node/polite")}}},
	}}})
	w.create("deaf", corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(1)), Containers: []corev1.Container{{Command: []string{"sleep", "1000"}}}})
	pod := w.await("polite", ready)
	node := w.kubelet(pod).HostPath("/var/lib/termination")
	eventually(t, func() error { _, err := os.Stat(filepath.Join(node, "up")); return err })
	w.remove("polite")
	if data, err := os.ReadFile(filepath.Join(node, "polite")); err != nil || string(data) != "hook\nterm\n" {
		t.Errorf("on its end the program heard %q (%v), want the hook, then SIGTERM", data, err)
	}
	w.await("deaf", ready)
	w.remove("deaf")

	// Forced, nothing is waited for, not even a grace of minutes.
	w.create("forced", corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(600)), Containers: []corev1.Container{{Command: []string{"sleep", "1000"}}}})
	pod = w.await("forced", ready)
	m := w.machine(pod)
	check(t, w.client.CoreV1().Pods("default").Delete(t.Context(), "forced", *metav1.NewDeleteOptions(0)))
	eventually(t, func() error {
		if n := m.networks(); n > 0 {
			return fmt.Errorf("%d pod networks are left", n)
		}
		return nil
	})
}

func powerCut(t *testing.T, w *world) {
	for _, m := range w.machines {
		w.create("on-"+m.name, corev1.PodSpec{NodeName: m.name, Containers: []corev1.Container{
			{Image: "stenote/nginx-hostname"}, {Command: []string{"sleep", "1000"}}}})
	}
	first, other := w.machines[0], w.machines[1]
	pod := w.await("on-"+first.name, ready)
	w.await("on-"+other.name, ready)
	k := w.kubelet(pod)
	var pid int
	for _, c := range k.Status().Pods[0].Containers {
		pid = max(pid, c.PID)
	}
	check(t, first.ns.Down("eth0"))
	k.PowerOff()
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil || pid == 0 {
		t.Errorf("process %d lives without power", pid)
	}
	if n := first.networks(); n != 0 {
		t.Errorf("%d pod networks are left without power", n)
	}
	if open, err := first.ns.Output(t.Context(), "cat", "/proc/net/tcp"); err != nil || strings.Contains(open, " 01 ") {
		t.Errorf("connections are left without power (%v):\n%s", err, open)
	}
	if k.Status().Powered || !w.kubelets[1].Status().Powered {
		t.Errorf("powered: %v and %v, want the first off alone", k.Status().Powered, w.kubelets[1].Status().Powered)
	}
	node := func(m *machine, want corev1.ConditionStatus) {
		t.Helper()
		eventually(t, func() error {
			n, err := w.client.CoreV1().Nodes().Get(t.Context(), m.name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			return nodeReady(n, want)
		})
	}
	node(first, corev1.ConditionUnknown)
	w.await(pod.Name, func(pod *corev1.Pod) error {
		if ready(pod) == nil {
			return fmt.Errorf("the pod counts as ready on a lost node")
		}
		return nil
	})
	node(other, corev1.ConditionTrue)

	check(t, first.ns.Up("eth0"))
	k.PowerOn()
	node(first, corev1.ConditionTrue)
	pod = w.await(pod.Name, func(pod *corev1.Pod) error {
		for _, s := range pod.Status.ContainerStatuses {
			if s.RestartCount != 1 {
				return fmt.Errorf("container %s: %d restarts, want 1", s.Name, s.RestartCount)
			}
		}
		return ready(pod)
	})
	if got, err := w.get(first, pod); err != nil || got != pod.Name+"\n" {
		t.Errorf("after the reboot the pod answers %q (%v)", got, err)
	}
	w.remove(pod.Name)
	w.remove("on-" + other.name)
}

func apiServerAway(t *testing.T, w *world) {
	directory := corev1.HostPathDirectoryOrCreate
	w.create("alone", corev1.PodSpec{
		Volumes: []corev1.Volume{{Name: "node", VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: "/var/lib/alone", Type: &directory}}}},
		Containers: []corev1.Container{{VolumeMounts: []corev1.VolumeMount{{Name: "node", MountPath: "/node"}},
			Command: shell("echo run >> /node/runs; while ! test -e /node/end; do sleep 0.1; done; rm /node/end; exit 1")}},
	})
	pod := w.await("alone", ready)
	node := w.kubelet(pod).HostPath("/var/lib/alone")
	since := readySince(t, w)
	check(t, w.cluster.Stop(cluster.APIServer))
	check(t, os.WriteFile(filepath.Join(node, "end"), nil, 0o644))
	eventually(t, func() error {
		data, err := os.ReadFile(filepath.Join(node, "runs"))
		if err == nil && string(data) != "run\nrun\n" {
			err = fmt.Errorf("the container ran %q, want two runs", data)
		}
		return err
	})
	check(t, w.cluster.Start(t.Context(), cluster.APIServer))
	w.await("alone", func(pod *corev1.Pod) error {
		if s := pod.Status.ContainerStatuses[0]; s.RestartCount != 1 || s.State.Running == nil {
			return fmt.Errorf("the API was not told of the restart")
		}
		return ready(pod)
	})
	// The outage was the API server's, and is not taken for the nodes'.
	if now := readySince(t, w); now != since {
		t.Errorf("nodes ready since %s, before the outage %s", now, since)
	}
	w.remove("alone")
}

// readySince is when each node's readiness changed last.
func readySince(t *testing.T, w *world) string {
	t.Helper()
	nodes, err := w.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	check(t, err)
	var all []string
	for _, n := range nodes.Items {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady {
				all = append(all, fmt.Sprint(n.Name, c.Status, c.LastTransitionTime))
			}
		}
	}
	return strings.Join(all, " ")
}

// TestLogsAreTheAPIServersAlone asks the kubelet's endpoint as somebody else.
func TestLogsAreTheAPIServersAlone(t *testing.T) {
	w := newWorld(t)
	m := w.machines[0]
	ask := func(cfg *rest.Config) (int, error) {
		cfg.Dial = m.ns.DialContext
		client, err := rest.HTTPClientFor(cfg)
		check(t, err)
		resp, err := client.Get("https://" + m.addr.String() + ":10250/containerLogs/default/any/any")
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	var code int
	eventually(t, func() (err error) { code, err = ask(w.cluster.Config()); return err })
	if code != http.StatusForbidden {
		t.Errorf("the administrator's certificate gets %d, want 403", code)
	}
	if code, err := ask(rest.AnonymousClientConfig(w.cluster.Config())); err == nil {
		t.Errorf("without a certificate the kubelet answers %d", code)
	}
}
