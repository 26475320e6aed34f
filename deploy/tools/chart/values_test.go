package chart

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// effect is a value, another than the default, and a line that it brings about.
type effect struct{ path, value, line string }

// monitored and alerting are what values of monitors and alerts have no effect without.
const (
	monitored = "prometheus: {serviceAccount: prometheus, namespace: monitoring, podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}"
	alerting  = "prometheus: {prometheusRule: {enabled: true}}"
	guarded   = "networkpolicies: {enabled: true, defaultDeny: true}"
)

// effects are the values that have one. A value of false takes the line away if it
// begins with "- "; every other line is there with the value, and not without it.
var effects = []effect{
	{"nameOverride", "lb", "app.kubernetes.io/name: lb"},
	{"fullnameOverride", "lb", "name: lb-controller"},
	{"manifestNames", "true", "app: metallb"},
	{"imagePullSecrets", "[{name: pull}]", "- name: pull"},
	{"loadBalancerClass", "net/lb", "- --lb-class=net/lb"},
	{"configInline", "{address-pools: []}", "address-pools: []"},
	{"existingConfigMap", "old", "resourceNames: [old]"},
	{"rbac.create", "false", "- kind: ClusterRole"},

	{"prometheus.scrapeAnnotations", "true", `prometheus.io/scrape: "true"`},
	{"prometheus.metricsPort", "9120", "- --port=9120"},
	{"prometheus.rbacPrometheus", "false", "- name: metallb-prometheus"},
	{"prometheus.serviceAccount", "scraper", "name: scraper"},
	{"prometheus.namespace", "scrapers", "namespace: scrapers"},
	{"prometheus.podMonitor.enabled", "false", "- kind: PodMonitor"},
	{"prometheus.podMonitor.additionalLabels", "{k: v}", "k: v"},
	{"prometheus.podMonitor.annotations", "{k: v}", "k: v"},
	{"prometheus.podMonitor.jobLabel", "k", "jobLabel: k"},
	{"prometheus.podMonitor.interval", "7s", "interval: 7s"},
	{"prometheus.podMonitor.metricRelabelings", "[{action: drop}]", "metricRelabelings:"},
	{"prometheus.podMonitor.relabelings", "[{action: drop}]", "relabelings:"},
	{"prometheus.serviceMonitor.enabled", "false", "- kind: ServiceMonitor"},
	{"prometheus.serviceMonitor.speaker.additionalLabels", "{k: v}", "k: v"},
	{"prometheus.serviceMonitor.speaker.annotations", "{k: v}", "k: v"},
	{"prometheus.serviceMonitor.controller.additionalLabels", "{k: v}", "k: v"},
	{"prometheus.serviceMonitor.controller.annotations", "{k: v}", "k: v"},
	{"prometheus.serviceMonitor.jobLabel", "k", "jobLabel: k"},
	{"prometheus.serviceMonitor.interval", "7s", "interval: 7s"},
	{"prometheus.serviceMonitor.metricRelabelings", "[{action: drop}]", "metricRelabelings:"},
	{"prometheus.serviceMonitor.relabelings", "[{action: drop}]", "relabelings:"},
	{"prometheus.prometheusRule.enabled", "false", "- kind: PrometheusRule"},
	{"prometheus.prometheusRule.additionalLabels", "{k: v}", "k: v"},
	{"prometheus.prometheusRule.annotations", "{k: v}", "k: v"},
	{"prometheus.prometheusRule.staleConfig.enabled", "false", "- - alert: MetalLBStaleConfig"},
	{"prometheus.prometheusRule.staleConfig.labels", "{k: v}", "k: v"},
	{"prometheus.prometheusRule.configNotLoaded.enabled", "false", "- - alert: MetalLBConfigNotLoaded"},
	{"prometheus.prometheusRule.configNotLoaded.labels", "{k: v}", "k: v"},
	{"prometheus.prometheusRule.addressPoolExhausted.enabled", "false", "- - alert: MetalLBAddressPoolExhausted"},
	{"prometheus.prometheusRule.addressPoolExhausted.labels", "{k: v}", "k: v"},
	{"prometheus.prometheusRule.addressPoolExhausted.excludePools", "x.*", `expr: metallb_allocator_addresses_in_use_total{pool!~"x.*"} >= metallb_allocator_addresses_total{pool!~"x.*"}`},
	{"prometheus.prometheusRule.addressPoolUsage.enabled", "false", "- - alert: MetalLBAddressPoolUsage75Percent"},
	{"prometheus.prometheusRule.addressPoolUsage.excludePools", "x.*", `expr: metallb_allocator_addresses_in_use_total{pool!~"x.*"} / metallb_allocator_addresses_total{pool!~"x.*"} * 100 > 75`},
	{"prometheus.prometheusRule.addressPoolUsage.thresholds", "[{percent: 60, labels: {k: v}}]", "- alert: MetalLBAddressPoolUsage60Percent"},
	{"prometheus.prometheusRule.bgpSessionDown.enabled", "false", "- - alert: MetalLBBGPSessionDown"},
	{"prometheus.prometheusRule.bgpSessionDown.labels", "{k: v}", "k: v"},
	{"prometheus.prometheusRule.extraAlerts", "[{alert: Mine, expr: up == 0}]", "- alert: Mine"},

	{"controller.enabled", "false", "- kind: Deployment"},
	{"controller.replicas", "2", "replicas: 2"},
	{"controller.strategy", "{type: Recreate, rollingUpdate: null}", "type: Recreate"},
	{"speaker.enabled", "false", "- kind: DaemonSet"},
	{"speaker.tolerateMaster", "false", "- - key: node-role.kubernetes.io/control-plane"},
	{"speaker.memberlist.enabled", "false", "- - name: memberlist-tcp"},
	{"speaker.memberlist.mlBindPort", "7947", `value: "7947"`},
	{"speaker.memberlist.mlBindAddrOverride", "10.0.0.1", `value: "10.0.0.1"`},
	{"speaker.memberlist.mlSecretKeyPath", "/etc/key", "mountPath: /etc/key"},
	{"speaker.passwordSecrets", "[tor1, tor2]", "resourceNames: [tor1, tor2]"},
	{"speaker.secretName", "gossip", "secretName: gossip"},
	{"speaker.excludeInterfaces.enabled", "false", "announcedInterfacesToExclude: []"},
	{"speaker.excludeInterfaces.expressions", "['^eth1$']", `announcedInterfacesToExclude: ["^eth1$"]`},
	{"speaker.ignoreExcludeLB", "true", "- --ignore-exclude-lb"},
	{"speaker.gate", "on", "- --gate=on"},
	{"speaker.drainTime", "3s", "- --drain-time=3s"},
	{"speaker.nodeDrainTime", "3m", "- --node-drain-time=3m"},
	{"speaker.terminationGracePeriodSeconds", "91", "terminationGracePeriodSeconds: 91"},
	{"speaker.updateStrategy", "{type: OnDelete, rollingUpdate: null}", "type: OnDelete"},
	{"speaker.startupProbe.enabled", "true", "startupProbe:"},
	{"speaker.startupProbe.initialDelaySeconds", "91", "initialDelaySeconds: 91"},
	{"speaker.startupProbe.periodSeconds", "91", "periodSeconds: 91"},
	{"speaker.startupProbe.timeoutSeconds", "91", "timeoutSeconds: 91"},
	{"speaker.startupProbe.successThreshold", "91", "successThreshold: 91"},
	{"speaker.startupProbe.failureThreshold", "91", "failureThreshold: 91"},

	{"crds.enabled", "false", "- kind: CustomResourceDefinition"},
	{"networkpolicies.enabled", "false", "- kind: NetworkPolicy"},
	{"networkpolicies.defaultDeny", "false", "- podSelector: {}"},
	{"networkpolicies.apiPort", "443", "port: 443"},
}

// init adds what both roles have.
func init() {
	for _, role := range []string{"controller", "speaker"} {
		for _, e := range []effect{
			{"logLevel", "debug", "- --log-level=debug"},
			{"command", "/opt/pharos", `command: ["/opt/pharos"]`},
			{"image.repository", "registry.example:5000/pharos", "image: registry.example:5000/pharos"},
			{"image.tag", "v7", "image: pharoslb/pharos:v7"},
			{"image.pullPolicy", "Always", "imagePullPolicy: Always"},
			{"serviceAccount.create", "false", "name: default"},
			{"serviceAccount.name", "mine", "serviceAccountName: mine"},
			{"serviceAccount.annotations", "{k: v}", "k: v"},
			{"securityContext", "{runAsUser: 7}", "runAsUser: 7"},
			{"resources", "{limits: {memory: 1Gi}}", "memory: 1Gi"},
			{"nodeSelector", "{k: v}", "k: v"},
			{"tolerations", "[{operator: Exists}]", "- operator: Exists"},
			{"priorityClassName", "high", "priorityClassName: high"},
			{"runtimeClassName", "kata", "runtimeClassName: kata"},
			{"affinity", "{podAntiAffinity: {}}", "podAntiAffinity: {}"},
			{"podAnnotations", "{k: v}", "k: v"},
			{"labels", "{k: v}", "k: v"},
			{"extraContainers", "[{name: other}]", "- name: other"},
			{"extraArgs", "[--socket=]", "- --socket="},
			{"livenessProbe.enabled", "false", "- path: /livez"},
			{"readinessProbe.enabled", "false", "- path: /readyz"},
		} {
			effects = append(effects, effect{role + "." + e.path, e.value, e.line})
		}
		for _, probe := range []string{"livenessProbe", "readinessProbe"} {
			for _, field := range []string{"initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"} {
				effects = append(effects, effect{role + "." + probe + "." + field, "91", field + ": 91"})
			}
		}
	}
}

// base returns the values that a value has an effect on top of.
func base(path string) string {
	switch {
	case strings.HasPrefix(path, "prometheus.prometheusRule"):
		return alerting
	case strings.HasPrefix(path, "prometheus."):
		return monitored
	case strings.HasPrefix(path, "networkpolicies."):
		return guarded
	case strings.HasPrefix(path, "speaker.startupProbe."):
		return "speaker: {startupProbe: {enabled: " + map[bool]string{true: "false", false: "true"}[strings.HasSuffix(path, "enabled")] + "}}"
	case strings.HasPrefix(path, "controller."):
		return "speaker: {enabled: false}"
	case strings.HasPrefix(path, "speaker."):
		return "controller: {enabled: false}"
	}
	return ""
}

// with sets a value among others.
func with(t *testing.T, values, path, value string) string {
	t.Helper()
	all := map[string]any{}
	var v any
	for text, into := range map[string]any{values: &all, value: &v} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if all == nil {
		all = map[string]any{}
	}
	at := all
	keys := strings.Split(path, ".")
	for _, key := range keys[:len(keys)-1] {
		sub, ok := at[key].(map[string]any)
		if !ok {
			sub = map[string]any{}
			at[key] = sub
		}
		at = sub
	}
	at[keys[len(keys)-1]] = v
	out, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// lines are the lines of a text, without indentation and comments.
func lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

func TestEffects(t *testing.T) {
	for _, e := range effects {
		values := base(e.path)
		if !strings.HasPrefix(e.path, "crds.") {
			values = with(t, values, "crds.enabled", "false")
		}
		before := lines(render(t, values))
		after := lines(render(t, with(t, values, e.path, e.value)))
		line, gone := e.line, false
		if e.value == "false" {
			line, gone = strings.TrimPrefix(e.line, "- "), strings.HasPrefix(e.line, "- ")
		}
		if slices.Contains(before, line) != gone || slices.Contains(after, line) == gone {
			t.Errorf("%s: %s: %q is there without it: %v, with it: %v", e.path, e.value, line, slices.Contains(before, line), slices.Contains(after, line))
		}
	}
}

// withoutEffect reads the list that the chart's notes are made of.
func withoutEffect(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "chart", "files", "without-effect.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

func TestWithoutEffect(t *testing.T) {
	values := monitored
	for _, path := range withoutEffect(t) {
		values = with(t, values, path, "x")
	}
	if a, b := render(t, monitored), render(t, values); a != b {
		t.Error("one of the values that are listed as without effect has one")
	}
	notes, err := load(t).Notes(release, []byte(values))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(notes[strings.Index(notes, "why):")+len("why):"):]); !slices.Equal(got, withoutEffect(t)) {
		t.Errorf("the notes list %v", got)
	}
	if notes, err := load(t).Notes(release, nil); err != nil || strings.Contains(notes, "no effect") {
		t.Errorf("%v; the notes of the defaults are\n%s", err, notes)
	}
}

// Each value that the schema knows is shown to have an effect, or listed to have none,
// and what has one is in values.yaml with its default.
func TestEveryValueIsKnown(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deploy, "chart", "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Ref         string             `json:"$ref"`
		Properties  map[string]*schema `json:"properties"`
		Definitions map[string]*schema `json:"definitions"`
	}
	root := &schema{}
	if err := json.Unmarshal(text, root); err != nil {
		t.Fatal(err)
	}
	active, idle := map[string]bool{}, map[string]bool{}
	var walk func(s *schema, path string)
	walk = func(s *schema, path string) {
		name := strings.TrimPrefix(s.Ref, "#/definitions/")
		if s.Ref != "" {
			s = root.Definitions[name]
		}
		switch {
		case path == "global": // Helm's own
		case name == "idle":
			idle[path] = true
		case s.Properties == nil:
			active[path] = true
		}
		for key, sub := range s.Properties {
			walk(sub, strings.TrimPrefix(path+"."+key, "."))
		}
	}
	walk(root, "")
	shown := map[string]bool{}
	for _, e := range effects {
		shown[e.path] = true
	}
	if !maps.Equal(active, shown) {
		t.Errorf("values and what they are shown to do differ in %v", difference(active, shown))
	}
	listed := map[string]bool{}
	for _, path := range withoutEffect(t) {
		listed[path] = true
	}
	if !maps.Equal(idle, listed) {
		t.Errorf("the schema and the list of values without effect differ in %v", difference(idle, listed))
	}
	if text, err = os.ReadFile(filepath.Join(deploy, "chart", "values.yaml")); err != nil {
		t.Fatal(err)
	}
	defaults := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &defaults); err != nil {
		t.Fatal(err)
	}
	for path := range active {
		var v any = defaults
		for key := range strings.SplitSeq(path, ".") {
			m, _ := v.(map[string]any)
			v = m[key]
		}
		if v == nil && !strings.HasPrefix(path, "speaker.startupProbe.") {
			t.Errorf("%s has no default in values.yaml", path)
		}
	}
}

func difference(a, b map[string]bool) []string {
	var only []string
	for key := range a {
		if !b[key] {
			only = append(only, key)
		}
	}
	for key := range b {
		if !a[key] {
			only = append(only, key)
		}
	}
	slices.Sort(only)
	return only
}

// A file of all that MetalLB's chart can be told, with its defaults, installs Pharos,
// and from Pharos's image.
func TestMetalLBsValues(t *testing.T) {
	values, err := os.ReadFile(filepath.Join("testdata", "metallb-0.16.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := load(t).Render(release, values)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, o := range parse(t, string(out)) {
		kinds[o.kind()]++
	}
	want := map[string]int{}
	for _, o := range parse(t, render(t, "")) {
		want[o.kind()]++
	}
	if !reflect.DeepEqual(kinds, want) {
		t.Errorf("it gives %v, the defaults %v", kinds, want)
	}
	if got := slices.DeleteFunc(lines(string(out)), func(l string) bool { return !strings.HasPrefix(l, "image:") }); !slices.Equal(got, []string{"image: pharoslb/pharos", "image: pharoslb/pharos"}) {
		t.Errorf("images are %v", got)
	}
	notes, err := load(t).Notes(release, values)
	if err != nil || !strings.Contains(notes, "MetalLB's image") || !strings.Contains(notes, "\n  frrk8s") {
		t.Errorf("%v; the notes are\n%s", err, notes)
	}
}
