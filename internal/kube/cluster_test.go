package kube_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/deploy"
	"github.com/pharoslb/pharos/internal/configmap"
	"github.com/pharoslb/pharos/internal/kube"
	"github.com/pharoslb/pharos/internal/lab/cluster"
	"github.com/pharoslb/pharos/why"
)

const (
	namespace = "metallb-system"
	deadline  = 3 * time.Minute // generous: other packages' tests share the machine
)

var configName = pharos.Name{Namespace: namespace, Name: "config"}

// api is one real API server, and the manifests of deploy/ in it.
type api struct {
	t     testing.TB
	ctx   context.Context
	c     *cluster.Cluster
	admin *kubernetes.Clientset
}

func start(t testing.TB) *api {
	t.Helper()
	a := startBare(t)
	a.kubectl(string(deploy.Pharos), "apply")
	a.awaitKinds()
	return a
}

// awaitKinds waits until the API server serves the kinds that it was given: until
// then it refuses, which tests that count requests would take for a failure.
func (a *api) awaitKinds() {
	a.t.Helper()
	if err := a.c.AwaitKinds(a.ctx); err != nil {
		a.t.Fatal(err)
	}
}

// startBare is one without the manifests.
func startBare(t testing.TB) *api {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	c, err := cluster.Start(ctx, cluster.Options{
		Dir:         t.TempDir(),
		Components:  []cluster.Component{cluster.APIServer},
		AuditPolicy: []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &api{t: t, ctx: ctx, c: c, admin: kubernetes.NewForConfigOrDie(c.Config())}
}

// as returns the way in of one of the manifests' service accounts.
func (a *api) as(account string) *rest.Config {
	a.t.Helper()
	token, err := a.admin.CoreV1().ServiceAccounts(namespace).CreateToken(a.ctx, account, &authv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	cfg := rest.AnonymousClientConfig(a.c.Config())
	cfg.BearerToken = token.Status.Token
	return cfg
}

// configure writes the ConfigMap.
func (a *api) configure(text string) {
	a.t.Helper()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "config"}, Data: map[string]string{"config": text}}
	maps := a.admin.CoreV1().ConfigMaps(namespace)
	_, err := maps.Update(a.ctx, m, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = maps.Create(a.ctx, m, metav1.CreateOptions{})
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

func pools(ranges ...string) string {
	var b strings.Builder
	b.WriteString("address-pools:\n")
	for i, r := range ranges {
		fmt.Fprintf(&b, "- {name: pool%d, protocol: bgp, addresses: [%s]}\n", i, r)
	}
	return b.String()
}

func (a *api) create(name string, edits ...func(*corev1.Service)) *corev1.Service {
	a.t.Helper()
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}, Selector: map[string]string{"app": name}},
	}
	no := false
	svc.Spec.AllocateLoadBalancerNodePorts = &no // there are fewer than Services in some tests
	for _, edit := range edits {
		edit(svc)
	}
	svc, err := a.admin.CoreV1().Services("default").Create(a.ctx, svc, metav1.CreateOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	return svc
}

func (a *api) get(name string) *corev1.Service {
	a.t.Helper()
	svc, err := a.admin.CoreV1().Services("default").Get(a.ctx, name, metav1.GetOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	return svc
}

func (a *api) delete(name string) {
	a.t.Helper()
	if err := a.admin.CoreV1().Services("default").Delete(a.ctx, name, metav1.DeleteOptions{}); err != nil {
		a.t.Fatal(err)
	}
}

// eventually waits until the condition holds; it says what it misses.
func (a *api) eventually(condition func() string) {
	a.t.Helper()
	var last string
	for {
		missing := condition()
		if missing == "" {
			return
		}
		if a.ctx.Err() == nil {
			last = missing
		}
		select {
		case <-a.ctx.Done():
			a.t.Fatalf("still: %s", last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *api) hasAddress(name, want string) {
	a.t.Helper()
	a.eventually(func() string {
		if got := a.get(name).Status.LoadBalancer.Ingress; len(got) != 1 || got[0].IP != want {
			return fmt.Sprintf("%s has %v, want %s", name, got, want)
		}
		return ""
	})
}

// event waits for an event about an object that has all the words.
func (a *api) event(ns, kind, name, reason string, words ...string) corev1.Event {
	a.t.Helper()
	var found corev1.Event
	a.eventually(func() string {
		list, err := a.admin.CoreV1().Events(ns).List(a.ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		var seen []string
		for _, e := range list.Items {
			if e.InvolvedObject.Kind != kind || e.InvolvedObject.Name != name {
				continue
			}
			seen = append(seen, e.Reason+": "+e.Message)
			all := e.Reason == reason
			for _, w := range words {
				all = all && strings.Contains(e.Message, w)
			}
			if all {
				found = e
				return ""
			}
		}
		return fmt.Sprintf("no event %s with %q about %s %s/%s, only %q", reason, words, kind, ns, name, seen)
	})
	return found
}

// process is a controller with all its edge, as pharos controller wires it.
type process struct {
	*controller.Controller
	source   *kube.Source
	writer   *kube.Writer
	recorder *kube.Recorder
	publish  *kube.Publisher
	log      bytes.Buffer
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

func (a *api) controller(o controller.Options) *process {
	a.t.Helper()
	client, err := kube.NewClient(a.as("controller"), "controller")
	if err != nil {
		a.t.Fatal(err)
	}
	p := &process{}
	log := slog.New(slog.NewTextHandler(&p.log, nil))
	p.source = kube.NewSource(kube.Options{Client: client, Kinds: kube.Services | kube.Namespaces | kube.Config, ConfigMap: configName, Parse: configmap.Parse, Extras: true, Log: log})
	p.writer = kube.NewWriter(client, p.source, nil)
	p.recorder = kube.NewRecorder(kube.RecorderOptions{Client: client, Source: p.source, Component: "metallb-controller", Problems: func(pharos.Problem) bool { return true }, Log: log})
	p.Controller = controller.New(o, controller.Edge{Source: p.source, Writer: p.writer, Recorder: p.recorder, Log: log})
	p.publish = kube.NewPublisher(kube.PublisherOptions{Client: client, Source: p.source, Pod: kube.Pod{Name: "controller-x", UID: "controller-uid"}, Log: log,
		Report: func() kube.Report { return kube.ControllerReport(p.Status(), p.source.Snapshot().Problems) }})
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	for _, part := range []func(context.Context) error{p.source.Run, p.recorder.Run, p.Controller.Run, p.publish.Run} {
		p.done.Go(func() {
			if err := part(ctx); err != nil {
				a.t.Error(err)
			}
		})
	}
	a.t.Cleanup(p.stop)
	return p
}

func (p *process) stop() {
	p.cancel()
	p.done.Wait()
}

// requests counts the audited requests of a user agent by verb and resource.
func (a *api) requests(agent string) map[string]int {
	a.t.Helper()
	f, err := os.Open(a.c.AuditLog())
	if err != nil {
		a.t.Fatal(err)
	}
	defer f.Close()
	counts := map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Verb, UserAgent, Stage string
			ObjectRef              struct{ Resource, Subresource string }
			ResponseStatus         struct{ Code int }
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil || !strings.HasPrefix(e.UserAgent, agent) || e.Stage == "ResponseStarted" {
			continue
		}
		key := e.Verb + " " + e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			key += "/" + e.ObjectRef.Subresource
		}
		if e.ResponseStatus.Code >= 400 {
			key += fmt.Sprint(" ", e.ResponseStatus.Code)
		}
		counts[key]++
	}
	return counts
}

// With the rights of the manifests and nothing else, 300 Services get their
// addresses with one request for the status and one for the event each; a
// restarted controller keeps them without a request.
func TestBurstAndRestart(t *testing.T) {
	const n = 300
	a := start(t)
	a.configure(pools("172.19.0.0/16"))
	p := a.controller(controller.Options{})

	var creators sync.WaitGroup
	began := time.Now()
	for w := range 8 {
		creators.Go(func() {
			for i := w; i < n; i += 8 {
				a.create(fmt.Sprintf("s%d", i))
			}
		})
	}
	creators.Wait()
	created := time.Since(began)
	given := map[string]string{}
	a.eventually(func() string {
		clear(given)
		list, err := a.admin.CoreV1().Services("default").List(a.ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for _, s := range list.Items {
			for _, in := range s.Status.LoadBalancer.Ingress {
				if other, twice := given[in.IP]; twice {
					t.Fatalf("%s is given to %s and %s", in.IP, other, s.Name)
				}
				given[in.IP] = s.Name
			}
			if len(s.Status.LoadBalancer.Ingress) == 1 && s.Annotations["metallb.io/ip-allocated-from-pool"] != "pool0" {
				t.Fatalf("%s lacks its pool: %v", s.Name, s.Annotations)
			}
		}
		if len(given) < n {
			return fmt.Sprintf("%d of %d have an address", len(given), n)
		}
		return ""
	})
	t.Logf("%d created in %s, the last address %s later", n, created, time.Since(began)-created)
	// What is under way when the controller stops is recorded as a failure, with 504.
	a.eventually(func() string {
		if w, r, s := p.writer.Status(), p.recorder.Status(), p.publish.Status(); w.Written < n || r.Written < n || s.Written < 1 {
			return fmt.Sprintf("answered are: statuses %+v, events %+v, its own state %+v", w, r, s)
		}
		if got := a.requests("pharos-controller"); got["list ipaddresspools"] == 0 { // the last thing that it looks for
			return fmt.Sprintf("requests are %v", got)
		}
		return ""
	})
	e := a.event("default", "Service", "s7", "IPAllocated", "assigned 172.19.", "from pool pool0")
	if e.InvolvedObject.UID != a.get("s7").UID || e.Source.Component != "metallb-controller" || e.Type != corev1.EventTypeNormal || e.Count != 1 {
		t.Errorf("event is %+v", e)
	}
	p.stop()
	a.eventually(func() string {
		got := a.requests("pharos-controller")
		if got["patch services/status"] != n || got["create events"] != n {
			return fmt.Sprintf("requests are %v, want %d patches of services/status and %d events", got, n, n)
		}
		for key, count := range got {
			if key == "list configurationstates" || key == "list ipaddresspools" {
				continue // what the Publisher finds
			}
			if len(strings.Fields(key)) > 2 || strings.HasPrefix(key, "list ") && count > 0 {
				return fmt.Sprintf("requests are %v, want no failures, and watches in place of lists", got)
			}
		}
		return ""
	})

	p = a.controller(controller.Options{})
	a.create("new")
	a.eventually(func() string {
		in := a.get("new").Status.LoadBalancer.Ingress
		if len(in) != 1 {
			return "no address after the restart"
		}
		if other, twice := given[in[0].IP]; twice {
			t.Fatalf("%s is given to new and %s", in[0].IP, other)
		}
		return ""
	})
	// The API server shows what it was sent before the sender has its answer.
	a.eventually(func() string {
		if st := p.writer.Status(); st.Written+st.Failed == 0 {
			return fmt.Sprintf("after the restart: %+v", st)
		}
		return ""
	})
	if st := p.writer.Status(); st.Written != 1 || st.Failed != 0 {
		t.Errorf("after the restart: %+v, want one status written", st)
	}
}

// While the API server is away everything stays; when it is back, so is the
// controller.
func TestAPIServerStopsAndStarts(t *testing.T) {
	a := start(t)
	a.configure(pools("172.19.0.0/16"))
	p := a.controller(controller.Options{})
	a.create("before")
	a.hasAddress("before", "172.19.0.0")
	a.eventually(func() string { // the event too, lest its write be the one that fails
		if p.recorder.Status().Written == 0 {
			return "no event"
		}
		return ""
	})
	if err := a.c.Stop(cluster.APIServer); err != nil {
		t.Fatal(err)
	}
	a.eventually(func() string {
		if p.source.Problem().Code != why.APIUnreachable {
			return "the outage is not noticed"
		}
		return ""
	})
	// What is decided now waits.
	p.recorder.Config(why.New(why.ConfigInvalid, "told while the API server was away"))
	if s := p.source.Snapshot(); !s.Synced || s.Services.Len() != 2 || s.Config == nil {
		t.Errorf("the Snapshot changed: synced %t, %d Services", s.Synced, s.Services.Len())
	}
	if st := p.Status(); st.API.Code != why.APIUnreachable || len(st.Services) != 1 {
		t.Errorf("status is %+v", st)
	}
	if err := a.c.Start(a.ctx, cluster.APIServer); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	a.create("after")
	a.hasAddress("after", "172.19.0.1")
	t.Logf("an address %s after the API server was back", time.Since(back))
	a.event(namespace, "ConfigMap", "config", "configInvalid", "while the API server was away")
	a.eventually(func() string { return p.source.Problem().Detail })
	p.stop()
	if n := strings.Count(p.log.String(), "does not serve"); n > 2*len(p.source.Status().Kinds) {
		t.Errorf("the outage is logged %d times:\n%s", n, p.log.String())
	}
}

// Somebody else edits the Services all the time: a status that was decided on an
// older version is refused, and decided anew.
func TestConflicts(t *testing.T) {
	const n = 40
	a := start(t)
	a.configure(pools("172.19.0.0/16"))
	p := a.controller(controller.Options{})
	var editors sync.WaitGroup
	for i := range n {
		editors.Go(func() {
			name := fmt.Sprintf("s%d", i)
			a.create(name)
			for j := range 5 {
				patch := fmt.Sprintf(`{"metadata":{"annotations":{"edit":"%d"},"labels":{"edit":"%d"}}}`, j, j/2)
				if _, err := a.admin.CoreV1().Services("default").Patch(a.ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	editors.Wait()
	given := map[string]bool{}
	for i := range n {
		a.eventually(func() string {
			s := a.get(fmt.Sprintf("s%d", i))
			if len(s.Status.LoadBalancer.Ingress) != 1 {
				return s.Name + " has no address"
			}
			if s.Labels["edit"] != "2" || s.Annotations["edit"] != "4" {
				t.Fatalf("%s lost an edit: %v %v", s.Name, s.Labels, s.Annotations)
			}
			given[s.Status.LoadBalancer.Ingress[0].IP] = true
			return ""
		})
	}
	if len(given) != n {
		t.Errorf("%d addresses for %d Services", len(given), n)
	}
	t.Logf("writes: %+v", p.writer.Status())

	// A version that is no longer the newest is not even sent.
	snap := p.source.Snapshot()
	old, _ := snap.Services.Get(pharos.Name{Namespace: "default", Name: "s0"})
	copied := *old
	if err := p.writer.WriteStatus(a.ctx, &copied, nil, ""); !errors.Is(err, kube.ErrSuperseded) {
		t.Errorf("a write upon an outdated version ends with %v", err)
	}
}

func TestConfigMapEvents(t *testing.T) {
	a := start(t)
	p := a.controller(controller.Options{})
	a.event(namespace, "ConfigMap", "config", "configMissing", "there are no resources of metallb.io, and no ConfigMap metallb-system/config")
	a.configure(pools("172.19.100.0/30"))
	a.create("a")
	a.hasAddress("a", "172.19.100.0")

	// Broken: the last good one stays.
	a.configure("peers:\n- peer-address: 10.10.2.210\n  peer-asn: 65210\n  my-ans: 65211\n")
	e := a.event(namespace, "ConfigMap", "config", "configInvalid", "line 4: peers[0].my-ans: there is no such field (did you mean my-asn?)", "line 2: peers[0].my-asn: is missing")
	if e.Type != corev1.EventTypeWarning {
		t.Errorf("event is %+v", e)
	}
	m, err := a.admin.CoreV1().ConfigMaps(namespace).Get(a.ctx, "config", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if e.InvolvedObject.UID != m.UID {
		t.Errorf("the event is about %q, the ConfigMap is %q", e.InvolvedObject.UID, m.UID)
	}
	a.create("b")
	a.hasAddress("b", "172.19.100.1")

	// Orphaning: refused until the address is given back.
	a.configure(pools("192.0.2.0/28", "172.19.100.1/32"))
	a.event(namespace, "ConfigMap", "config", "configOrphansAddress", "address 172.19.100.0 of Service default/a would be in no pool")
	if st := p.Status(); !st.Config.Stale || !st.Config.Loaded {
		t.Errorf("status is %+v", st.Config)
	}
	a.create("c")
	a.hasAddress("c", "172.19.100.2")
	a.delete("c")
	a.delete("a")
	a.event(namespace, "ConfigMap", "config", "configLoaded", "in force: 2 pools")
	a.create("d")
	a.hasAddress("d", "192.0.2.0")
	a.hasAddress("b", "172.19.100.1")
	if got := a.get("b").Annotations["metallb.io/ip-allocated-from-pool"]; got != "pool1" {
		t.Errorf("b's pool is %q, want its new name", got)
	}
}

func TestRequestsTypesAndClasses(t *testing.T) {
	a := start(t)
	a.configure(pools("172.19.100.0/24"))
	a.controller(controller.Options{})
	annotated := func(pairs ...string) func(*corev1.Service) {
		return func(s *corev1.Service) {
			s.Annotations = map[string]string{}
			for i := 0; i < len(pairs); i += 2 {
				s.Annotations[pairs[i]] = pairs[i+1]
			}
		}
	}
	a.create("wanted", annotated("metallb.io/loadBalancerIPs", "172.19.100.77"))
	a.hasAddress("wanted", "172.19.100.77")
	a.create("old", annotated("metallb.universe.tf/loadBalancerIPs", "172.19.100.78"))
	a.hasAddress("old", "172.19.100.78")
	a.event("default", "Service", "old", "deprecatedAnnotation")
	a.create("both", annotated("metallb.io/loadBalancerIPs", "172.19.100.79"), func(s *corev1.Service) { s.Spec.LoadBalancerIP = "172.19.100.79" })
	if e := a.event("default", "Service", "both", "LoadBalancerFailed", "both given"); e.Type != corev1.EventTypeWarning {
		t.Errorf("event is %+v", e)
	}
	a.create("taken", annotated("metallb.io/loadBalancerIPs", "172.19.100.77"))
	a.event("default", "Service", "taken", "AllocationFailed", "172.19.100.77 is in use by default/wanted")
	class := "example.com/other"
	a.create("other", func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class })

	if _, err := a.admin.CoreV1().Services("default").Patch(a.ctx, "wanted", types.MergePatchType, []byte(`{"spec":{"type":"ClusterIP"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	a.hasAddress("taken", "172.19.100.77")
	a.eventually(func() string {
		s := a.get("wanted")
		if pool, ok := s.Annotations["metallb.io/ip-allocated-from-pool"]; ok || len(s.Status.LoadBalancer.Ingress) > 0 {
			return fmt.Sprintf("wanted still has %v of %q", s.Status.LoadBalancer.Ingress, pool)
		}
		return ""
	})
	if s := a.get("other"); len(s.Status.LoadBalancer.Ingress) > 0 {
		t.Errorf("a Service of another class got %v", s.Status)
	}
}

// A speaker's view, with a speaker's rights: all kinds, and their changes.
func TestSourceOfAllKinds(t *testing.T) {
	a := start(t)
	a.configure(pools("172.19.100.0/24"))
	client, err := kube.NewClient(a.as("speaker"), "speaker")
	if err != nil {
		t.Fatal(err)
	}
	source := kube.NewSource(kube.Options{
		Client: client, Kinds: kube.Services | kube.Endpoints | kube.Nodes | kube.Config, ConfigMap: configName, Parse: configmap.Parse,
	})
	recorder := kube.NewRecorder(kube.RecorderOptions{Client: client, Source: source, Component: "metallb-speaker", Host: "n1"})
	ctx, cancel := context.WithCancel(a.ctx)
	var done sync.WaitGroup
	done.Go(func() { source.Run(ctx) })
	done.Go(func() { recorder.Run(ctx) })
	defer done.Wait()
	defer cancel()

	svc := a.create("web")
	name := pharos.Name{Namespace: "default", Name: "web"}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.233.93.0/24"}}}
	node, err = a.admin.CoreV1().Nodes().Create(a.ctx, node, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	slices := a.admin.DiscoveryV1().EndpointSlices("default")
	port, portName, n1, ready, unready := int32(8080), "", "n1", true, false
	slice := func(name string, ready *bool, addresses ...string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &portName, Port: &port}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: addresses, NodeName: &n1, Conditions: discoveryv1.EndpointConditions{Ready: ready}}},
		}
	}
	for _, s := range []*discoveryv1.EndpointSlice{slice("one", &unready, "10.0.0.1"), slice("two", &ready, "10.0.0.2"), slice("three", nil, "10.0.0.1")} {
		if _, err := slices.Create(a.ctx, s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	await := func(want string, get func(*pharos.Snapshot) string) {
		t.Helper()
		for {
			s := source.Snapshot()
			got := get(s)
			if s.Synced && got == want {
				return
			}
			select {
			case <-source.Changed():
			case <-a.ctx.Done():
				t.Fatalf("got %s, want %s", got, want)
			}
		}
	}
	endpoints := func(s *pharos.Snapshot) string {
		e, ok := s.Endpoints.Get(name)
		if !ok {
			return "none"
		}
		var parts []string
		for _, b := range e.Backends {
			parts = append(parts, fmt.Sprintf("%s:%d %s %t", b.Addr, b.Ports[0].Port, b.Node, b.Ready))
		}
		return strings.Join(parts, ", ")
	}
	await("10.0.0.1:8080 n1 true, 10.0.0.2:8080 n1 true", endpoints)
	await("uid "+string(svc.UID), func(s *pharos.Snapshot) string {
		if svc, ok := s.Services.Get(name); ok {
			return "uid " + svc.UID
		}
		return ""
	})
	await("[10.233.93.0/24]", func(s *pharos.Snapshot) string {
		if n, ok := s.Nodes.Get("n1"); ok {
			return fmt.Sprint(n.PodCIDRs)
		}
		return ""
	})
	await("1 pool", func(s *pharos.Snapshot) string {
		if s.Config == nil {
			return ""
		}
		return fmt.Sprint(len(s.Config.Pools), " pool")
	})
	if err := slices.Delete(a.ctx, "three", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await("10.0.0.1:8080 n1 false, 10.0.0.2:8080 n1 true", endpoints)
	a.delete("web")
	await("gone", func(s *pharos.Snapshot) string {
		if _, ok := s.Services.Get(name); ok {
			return "there"
		}
		return "gone"
	})
	if st := source.Status(); !st.Synced || len(st.Kinds) != 10 || st.Updates == 0 {
		t.Errorf("status is %+v", st)
	}

	recorder.Node("n1", why.New(why.SysctlWrong, "arp_ignore is 0"))
	if e := a.event("default", "Node", "n1", "sysctlWrong", "arp_ignore"); e.InvolvedObject.UID != node.UID || e.Source.Host != "n1" {
		t.Errorf("event is %+v", e)
	}
	// What the manifests do not grant is refused, not misread as missing.
	_, err = client.Secret(a.ctx, pharos.Name{Namespace: "default", Name: "memberlist"})
	if err == nil || errors.Is(err, kube.ErrNotFound) || !apierrors.IsForbidden(err) {
		t.Errorf("reading a Secret ends with %v", err)
	}
	admin, err := kube.Connect(kube.Access{Kubeconfig: a.c.Kubeconfig(), Component: "test"})
	if err != nil {
		t.Fatal(err)
	}
	secret := pharos.Name{Namespace: namespace, Name: "memberlist"}
	if _, err := admin.Secret(a.ctx, secret); !errors.Is(err, kube.ErrNotFound) {
		t.Errorf("a Secret that is not there: %v", err)
	}
	if _, err := a.admin.CoreV1().Secrets(namespace).Create(a.ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "memberlist"}, StringData: map[string]string{"secretkey": "open sesame"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if data, err := admin.Secret(a.ctx, secret); err != nil || data["secretkey"].Reveal() != "open sesame" || strings.Contains(fmt.Sprint(data), "sesame") {
		t.Errorf("a Secret: %v, %v", data, err)
	}
}

// From the create request's answer to the address in the status.
func BenchmarkCreateToAddress(b *testing.B) {
	a := start(b)
	a.configure(pools("172.16.0.0/12"))
	a.controller(controller.Options{})
	watch, err := a.admin.CoreV1().Services("default").Watch(a.ctx, metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer watch.Stop()
	i := 0
	for b.Loop() {
		i++
		name := fmt.Sprintf("s%d", i)
		a.create(name)
		for e := range watch.ResultChan() {
			if s := e.Object.(*corev1.Service); s.Name == name && len(s.Status.LoadBalancer.Ingress) == 1 {
				if _, err := netip.ParseAddr(s.Status.LoadBalancer.Ingress[0].IP); err != nil {
					b.Fatal(err)
				}
				break
			}
		}
	}
}
