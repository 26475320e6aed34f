package chart

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"sigs.k8s.io/yaml"
)

var release = Release{Name: "metallb", Namespace: "metallb-system"}

// deploy is the repository's directory of that name.
var deploy = filepath.Join("..", "..")

func TestMain(m *testing.M) {
	slog.SetLogLoggerLevel(slog.LevelWarn) // Helm's loader tells of each symbolic link
	os.Exit(m.Run())
}

var once = sync.OnceValues(func() (*Chart, error) { return Load(deploy) })

func load(t testing.TB) *Chart {
	t.Helper()
	c, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func render(t testing.TB, values string) string {
	t.Helper()
	out, err := load(t).Render(release, []byte(values))
	if err != nil {
		t.Fatalf("%v with values\n%s", err, values)
	}
	return string(out)
}

// object is an object as text has it.
type object map[string]any

func (o object) meta() map[string]any { return o["metadata"].(map[string]any) }
func (o object) kind() string         { return o["kind"].(string) }
func (o object) name() string         { return fmt.Sprint(o.kind(), "/", o.meta()["name"]) }

// parse reads a text of objects strictly: no key is there twice.
func parse(t testing.TB, text string) []object {
	t.Helper()
	var all []object
	for doc := range strings.SplitSeq("\n"+text, "\n---\n") {
		o := object{}
		if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if len(o) > 0 {
			all = append(all, o)
		}
	}
	return all
}

func TestLint(t *testing.T) {
	for name, values := range map[string]map[string]any{
		"defaults": nil,
		"all": {"networkpolicies": map[string]any{"enabled": true, "defaultDeny": true}, "prometheus": map[string]any{
			"serviceAccount": "prometheus", "namespace": "monitoring",
			"podMonitor": map[string]any{"enabled": true}, "serviceMonitor": map[string]any{"enabled": true}, "prometheusRule": map[string]any{"enabled": true}}},
	} {
		for _, m := range lint.RunAll(filepath.Join(deploy, "chart"), values, release.Namespace).Messages {
			if m.Severity >= support.WarningSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// Who installs with Helm and who does with kubectl has the same, but for names,
// labels and the annotations that Prometheus's oldest way of finding pods needs.
func TestChartAndManifestsAreTheSame(t *testing.T) {
	plain, err := load(t).Plain()
	if err != nil {
		t.Fatal(err)
	}
	rename := regexp.MustCompile(`\bmetallb(-system)?[-:](controller|speaker|config-watcher|pod-lister|memberlist|excludel2)\b`)
	normal := func(text string) map[string]object {
		found := map[string]object{}
		for _, o := range parse(t, rename.ReplaceAllString(text, "$2")) {
			strip(o)
			found[o.name()] = o
		}
		return found
	}
	manifests, chart := normal(string(plain)), normal(render(t, ""))
	delete(manifests, "Namespace/metallb-system") // helm install --create-namespace
	for _, name := range []string{"ValidatingWebhookConfiguration/metallb-webhook-configuration", "Role/pod-lister"} {
		delete(manifests, name) // helm upgrade takes MetalLB's away
	}
	if a, b := slices.Sorted(maps.Keys(manifests)), slices.Sorted(maps.Keys(chart)); !slices.Equal(a, b) {
		t.Fatalf("manifests have %v\nthe chart %v", a, b)
	}
	for name, o := range chart {
		if !reflect.DeepEqual(o, manifests[name]) {
			a, _ := yaml.Marshal(manifests[name])
			b, _ := yaml.Marshal(o)
			t.Errorf("%s differs: manifests have\n%s\nthe chart\n%s", name, a, b)
		}
	}
}

// strip takes labels, selectors by them and annotations away.
func strip(v any) {
	switch v := v.(type) {
	case object:
		strip(map[string]any(v))
	case map[string]any:
		for _, key := range []string{"labels", "annotations", "matchLabels"} {
			delete(v, key)
		}
		for _, sub := range v {
			strip(sub)
		}
	case []any:
		for _, sub := range v {
			strip(sub)
		}
	}
}

// A release of MetalLB's chart becomes ours in place: what Kubernetes keeps from
// being changed is as MetalLB's chart has it.
func TestSelectorsAreMetalLBs(t *testing.T) {
	for _, o := range parse(t, render(t, "")) {
		if k := o.kind(); k != "Deployment" && k != "DaemonSet" {
			continue
		}
		component := map[string]string{"Deployment": "controller", "DaemonSet": "speaker"}[o.kind()]
		if want := o.kind() + "/metallb-" + component; o.name() != want {
			t.Errorf("%s, want %s", o.name(), want)
		}
		got := o["spec"].(map[string]any)["selector"].(map[string]any)["matchLabels"]
		want := map[string]any{"app.kubernetes.io/name": "metallb", "app.kubernetes.io/instance": "metallb", "app.kubernetes.io/component": component}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s selects by %v, want %v", o.name(), got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, row := range []struct{ release, values, want string }{
		{"metallb", "", "metallb-controller"},
		{"lb", "", "lb-metallb-controller"},
		{"my-metallb", "", "my-metallb-controller"},
		{"lb", "nameOverride: x", "lb-x-controller"},
		{"lb", "fullnameOverride: other", "other-controller"},
		{"lb", "manifestNames: true", "controller"},
	} {
		out, err := load(t).Render(Release{row.release, "net"}, []byte(row.values))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range parse(t, string(out)) {
			if ns := o.meta()["namespace"]; ns != nil && ns != "net" {
				t.Errorf("%s is in %v", o.name(), ns)
			}
			if o.kind() == "Deployment" && o.meta()["name"] != row.want {
				t.Errorf("release %s with %q: %s, want %s", row.release, row.values, o.name(), row.want)
			}
		}
	}
}

// Typing errors are refused, and what can't be.
func TestRefused(t *testing.T) {
	for values, want := range map[string]string{
		"speeker: {}":                               "speeker",
		"controller: {replica: 2}":                  "replica",
		"prometheus: {metricsPort: 70000}":          "metricsPort",
		"speaker: {logLevel: loud}":                 "logLevel",
		"speaker: {memberlist: {mlBindPort: x}}":    "mlBindPort",
		"prometheus: {podMonitor: {enabled: true}}": "prometheus.serviceAccount",
		"controller: {image: {repository: ''}}":     "repository",
		"crds: {enabled: true, enabled: false}":     "enabled",
	} {
		if _, err := load(t).Render(release, []byte(values)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error about %q", values, err, want)
		}
	}
}
