package kubelet

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestBackoffDoublesAndForgives(t *testing.T) {
	var b backoff
	for i, step := range []struct{ ran, want time.Duration }{
		{0, 0}, {0, 10 * time.Second}, {0, 20 * time.Second}, {0, 40 * time.Second}, {0, 80 * time.Second},
		{0, 160 * time.Second}, {0, 5 * time.Minute}, {0, 5 * time.Minute},
		{10 * time.Minute, 0}, {0, 10 * time.Second},
	} {
		if got := b.next(step.ran); got != step.want {
			t.Errorf("end %d after %v: wait %v, want %v", i, step.ran, got, step.want)
		}
	}
}

func TestRestartPolicies(t *testing.T) {
	for _, test := range []struct {
		role   role
		policy corev1.RestartPolicy
		code   int32
		want   bool
	}{
		{mainRole, corev1.RestartPolicyAlways, 0, true},
		{mainRole, corev1.RestartPolicyOnFailure, 0, false},
		{mainRole, corev1.RestartPolicyOnFailure, 1, true},
		{mainRole, corev1.RestartPolicyNever, 1, false},
		{initRole, corev1.RestartPolicyAlways, 0, false},
		{initRole, corev1.RestartPolicyAlways, 1, true},
		{initRole, corev1.RestartPolicyNever, 1, false},
		{sidecarRole, corev1.RestartPolicyNever, 0, true},
	} {
		if got := test.role.restarts(test.policy, test.code); got != test.want {
			t.Errorf("role %d, policy %s, exit %d: restarts is %v", test.role, test.policy, test.code, got)
		}
	}
}

func TestTallyNeedsItsThreshold(t *testing.T) {
	tally := newTally(&corev1.Probe{SuccessThreshold: 2, FailureThreshold: 3}, false)
	for i, step := range []struct{ ok, decided, verdict bool }{
		{true, false, false}, {false, false, false}, {true, false, false}, {true, true, true}, {true, true, true},
		{false, false, true}, {false, false, true}, {true, false, true}, {false, false, true}, {false, false, true}, {false, true, false},
	} {
		if decided := tally.add(step.ok); decided != step.decided || tally.verdict != step.verdict {
			t.Errorf("result %d: decided %v, verdict %v; want %v, %v", i, decided, tally.verdict, step.decided, step.verdict)
		}
	}
}

func TestRepository(t *testing.T) {
	for image, want := range map[string]string{
		"stenote/nginx-hostname": "stenote/nginx-hostname", "pharoslb/pharos:v1.2": "pharoslb/pharos",
		"docker.io/pharoslb/pharos@sha256:00": "pharoslb/pharos", "registry.example:5000/a/b": "registry.example:5000/a/b",
		"registry.example:5000/a/b:c@sha256:00": "registry.example:5000/a/b",
	} {
		if got := repository(image); got != want {
			t.Errorf("repository(%q) = %q, want %q", image, got, want)
		}
	}
}

func TestWhatStandsInForAnImage(t *testing.T) {
	images := map[string]string{"pharoslb/pharos": "/build/bin/pharos"}
	for name, test := range map[string]struct {
		image         string
		command, args []string
		greet         bool
		want          []string
	}{
		"known":                          {"pharoslb/pharos:v1", nil, []string{"speaker"}, false, []string{"/pharos", "speaker"}},
		"known, its program named":       {"pharoslb/pharos", []string{"/usr/bin/pharos", "speaker"}, []string{"-v"}, false, []string{"/pharos", "speaker", "-v"}},
		"known, another program":         {"pharoslb/pharos", []string{"sleep"}, []string{"1"}, false, []string{"sleep", "1"}},
		"unknown":                        {"stenote/nginx-hostname", nil, []string{"ignored"}, true, nil},
		"unknown, with a command":        {"busybox", []string{"sh", "-c"}, []string{"true"}, false, []string{"sh", "-c", "true"}},
		"unknown, a longer name's start": {"pharoslb/pharos-other", nil, nil, true, nil},
	} {
		got := choose(&corev1.Container{Image: test.image}, test.command, test.args, images)
		if got.greet != test.greet || !slices.Equal(got.args, test.want) {
			t.Errorf("%s: %+v, want greet %v, args %q", name, got, test.greet, test.want)
		}
	}
}

func TestExpand(t *testing.T) {
	values := map[string]string{"A": "1", "B": "$(A)"}
	for text, want := range map[string]string{
		"": "", "x": "x", "$(A)": "1", "$(A)$(B)": "1$(A)", "$$(A)": "$(A)", "$(C)": "$(C)", "$": "$", "$(A": "$(A", "a$b": "a$b", "$$$(A)": "$1",
	} {
		if got := expand(text, values); got != want {
			t.Errorf("expand(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestPhaseFollowsContainers(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}
	}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
	main := func(s corev1.ContainerState) containerView {
		return containerView{spec: &corev1.Container{Name: "main"}, state: s, ready: s.Running != nil, started: s.Running != nil}
	}
	crashing := main(waiting)
	crashing.last = ended(1).Terminated
	failedInit := containerView{spec: &corev1.Container{Name: "init"}, role: initRole, state: ended(1)}
	for name, test := range map[string]struct {
		policy     corev1.RestartPolicy
		containers []containerView
		phase      corev1.PodPhase
		ready      corev1.ConditionStatus
		reason     string
	}{
		"waiting":             {corev1.RestartPolicyAlways, []containerView{main(waiting)}, corev1.PodPending, corev1.ConditionFalse, "ContainersNotReady"},
		"running":             {corev1.RestartPolicyAlways, []containerView{main(running)}, corev1.PodRunning, corev1.ConditionTrue, ""},
		"one of two":          {corev1.RestartPolicyAlways, []containerView{main(running), main(waiting)}, corev1.PodPending, corev1.ConditionFalse, "ContainersNotReady"},
		"crashing":            {corev1.RestartPolicyAlways, []containerView{crashing}, corev1.PodRunning, corev1.ConditionFalse, "ContainersNotReady"},
		"done":                {corev1.RestartPolicyNever, []containerView{main(ended(0))}, corev1.PodSucceeded, corev1.ConditionFalse, "PodCompleted"},
		"failed":              {corev1.RestartPolicyNever, []containerView{main(ended(0)), main(ended(1))}, corev1.PodFailed, corev1.ConditionFalse, "PodFailed"},
		"failed, tries again": {corev1.RestartPolicyOnFailure, []containerView{main(ended(1))}, corev1.PodRunning, corev1.ConditionFalse, "ContainersNotReady"},
		"failed init":         {corev1.RestartPolicyNever, []containerView{failedInit, main(waiting)}, corev1.PodFailed, corev1.ConditionFalse, "PodFailed"},
	} {
		v := podView{
			pod:        &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: test.policy}},
			containers: test.containers, podAddrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
		}
		s := v.status(time.Unix(100, 0))
		ready := conditionOf(s.Conditions, corev1.PodReady)
		if s.Phase != test.phase || ready.Status != test.ready || ready.Reason != test.reason {
			t.Errorf("%s: %s, ready %s (%s); want %s, %s (%s)", name, s.Phase, ready.Status, ready.Reason, test.phase, test.ready, test.reason)
		}
	}
}

func TestConditionsKeepTheirTimesAndOthersConditions(t *testing.T) {
	v := podView{pod: &corev1.Pod{}, containers: []containerView{{spec: &corev1.Container{}, state: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}
	old := v.status(time.Unix(100, 0))
	v.conditions, v.containers[0].ready = old.Conditions, true
	s := v.status(time.Unix(200, 0))
	if at := conditionOf(s.Conditions, corev1.PodReady).LastTransitionTime; at.Unix() != 200 {
		t.Errorf("Ready changed at %d, want 200", at.Unix())
	}
	if at := conditionOf(s.Conditions, corev1.PodInitialized).LastTransitionTime; at.Unix() != 100 {
		t.Errorf("Initialized changed at %d, want 100", at.Unix())
	}
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Unix(1, 0)}
	all := withForeign(s, append(slices.Clone(old.Conditions), scheduled)).Conditions
	if c := conditionOf(all, corev1.PodScheduled); c == nil || len(all) != len(s.Conditions)+1 {
		t.Errorf("conditions %v, want ours and the scheduler's", all)
	}
}

func TestReadinessGateHoldsThePodBack(t *testing.T) {
	v := podView{
		pod:        &corev1.Pod{Spec: corev1.PodSpec{ReadinessGates: []corev1.PodReadinessGate{{ConditionType: "example.com/open"}}}},
		containers: []containerView{{spec: &corev1.Container{}, ready: true, state: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
	}
	for _, open := range []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue} {
		v.pod.Status.Conditions = []corev1.PodCondition{{Type: "example.com/open", Status: open}}
		if got := conditionOf(v.status(time.Unix(1, 0)).Conditions, corev1.PodReady).Status; got != open {
			t.Errorf("with the gate %s, Ready is %s", open, got)
		}
	}
}

func TestWriteAtomicallyReplacesAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volume")
	read := func() map[string]string {
		found := map[string]string{}
		for _, path := range []string{"a", "b", "d/e", "d/f"} {
			if data, err := os.ReadFile(filepath.Join(dir, path)); err == nil {
				found[path] = string(data)
			}
		}
		return found
	}
	for i, want := range []map[string]string{
		{"a": "1", "d/e": "2"}, {"a": "3", "b": "4", "d/f": "5"}, {"b": "4"}, {},
	} {
		var files []file
		for path, data := range want {
			files = append(files, file{path, []byte(data), 0o640})
		}
		if err := writeAtomically(dir, files, os.Chmod); err != nil {
			t.Fatal(err)
		}
		before, err := os.Readlink(filepath.Join(dir, "..data"))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(); !maps.Equal(got, want) {
			t.Errorf("version %d reads %v, want %v", i, got, want)
		}
		if err := writeAtomically(dir, files, os.Chmod); err != nil {
			t.Fatal(err)
		}
		if after, err := os.Readlink(filepath.Join(dir, "..data")); err != nil || after != before {
			t.Errorf("version %d was written anew without a change (%v)", i, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) > len(want)+2 {
			t.Errorf("version %d leaves %v behind", i, entries)
		}
	}
}

func TestTailIsTheLastLines(t *testing.T) {
	for _, test := range []struct{ text, lines, want string }{
		{"a\nb\nc\n", "1", "c\n"}, {"a\nb\nc\n", "2", "b\nc\n"}, {"a\nb\nc\n", "9", "a\nb\nc\n"}, {"a\nb", "1", "b"},
		{"a\nb\n", "0", ""}, {"", "3", ""}, {"a\nb\n", "", "a\nb\n"}, {"\n\n\n", "2", "\n\n"},
	} {
		f, err := os.CreateTemp(t.TempDir(), "log")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(test.text); err != nil {
			t.Fatal(err)
		}
		f.Seek(0, io.SeekStart)
		if err := toTail(f, url.Values{"tailLines": {test.lines}}); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(f); err != nil || string(got) != test.want {
			t.Errorf("last %s of %q: %q (%v), want %q", test.lines, test.text, got, err, test.want)
		}
	}
}

func TestHostPathsOfANodeAreItsOwn(t *testing.T) {
	for path, want := range map[string]string{
		"/run/x": "/lab/n1/host/run/x", "/var/run/x": "/lab/n1/host/run/x", "/var/lib": "/lab/n1/host/var/lib", "/tmp": "/lab/n1/host/tmp",
		"/etc/passwd": "/etc/passwd", "/run/../etc": "/etc", "/pharos-none": "/lab/n1/host/pharos-none", "/running": "/lab/n1/host/running",
	} {
		if got := hostPath("/lab/n1", path); got != want {
			t.Errorf("hostPath(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestPrivilegesFollowTheSecurityContext(t *testing.T) {
	pod := &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(65534)), RunAsGroup: new(int64(65533)), FSGroup: new(int64(7))}
	c := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"CAP_NET_RAW"}},
	}
	p, err := privileges(pod, c, false)
	if err != nil || p.UID != 65534 || p.GID != 65533 || !slices.Equal(p.Groups, []uint32{7}) || !p.NoNewPrivileges || !slices.Equal(p.Capabilities, []string{"NET_RAW"}) {
		t.Errorf("privileges %+v (%v), want user 65534 with NET_RAW alone", p, err)
	}
	if p, err := privileges(pod, c, true); err != nil || p.UID != 0 || p.Groups != nil {
		t.Errorf("without real root: %+v (%v), want to stay root", p, err)
	}
	if p, err := privileges(nil, nil, false); err != nil || p.UID != 0 || p.NoNewPrivileges || slices.Contains(p.Capabilities, "NET_ADMIN") || !slices.Contains(p.Capabilities, "NET_RAW") {
		t.Errorf("by default: %+v (%v), want root with an engine's capabilities", p, err)
	}
	if p, err := privileges(nil, &corev1.SecurityContext{Privileged: new(true)}, false); err != nil || !slices.Contains(p.Capabilities, "SYS_ADMIN") {
		t.Errorf("privileged: %+v (%v), want all capabilities", p, err)
	}
	if _, err := privileges(pod, &corev1.SecurityContext{RunAsUser: new(int64(0))}, false); err == nil {
		t.Error("root was accepted though runAsNonRoot says no")
	}
}

// A container starts again while the API server is away, with what was read
// before; what the API server denies is not there any more.
func TestWhatWasReadIsRememberedWhileTheAPIServerIsAway(t *testing.T) {
	r := reader{api: &api{read: map[string]map[string][]byte{}}}
	old := map[string][]byte{"k": []byte("v")}
	away := syscall.ECONNREFUSED
	settings := schema.GroupResource{Resource: "configmaps"}
	for _, step := range []struct {
		name     string
		data     map[string][]byte
		err      error
		want     map[string][]byte
		wantErr  bool
		wantMiss bool
	}{
		{"never read", nil, away, nil, true, false},
		{"read", old, nil, old, false, false},
		{"away", nil, away, old, false, false},
		{"forbidden", nil, apierrors.NewForbidden(settings, "settings", nil), nil, true, false},
		{"away again", nil, away, old, false, false},
		{"deleted", nil, apierrors.NewNotFound(settings, "settings"), nil, true, true},
		{"away after that", nil, away, nil, true, false},
	} {
		got, err := r.remember("configmap", "default", "settings", step.data, step.err)
		if !maps.EqualFunc(got, step.want, bytes.Equal) || (err != nil) != step.wantErr || isMissing(err) != step.wantMiss {
			t.Errorf("%s: %q, %v", step.name, got, err)
		}
	}
	if _, err := r.remember("secret", "default", "settings", nil, away); err == nil {
		t.Error("a Secret of the same name was found")
	}
}

// kubectl shows the body of what is not a switch of protocols.
func TestStreamsNameTheLabsOwnWay(t *testing.T) {
	w := httptest.NewRecorder()
	refuseStream(w, httptest.NewRequest(http.MethodPost, "/exec/default/web/web", nil))
	if w.Code != http.StatusNotImplemented || !strings.Contains(w.Body.String(), "pharos lab exec pod/") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
