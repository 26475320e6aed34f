package kube

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/google/go-cmp/cmp"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/why"
)

func ptr[T any](v T) *T { return &v }

func addrList(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

func TestServiceIsConverted(t *testing.T) {
	created := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	in := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "web", UID: "u1", CreationTimestamp: metav1.NewTime(created),
			Labels: map[string]string{"l": "v"},
			Annotations: map[string]string{
				"metallb.io/address-pool": "new", "metallb.universe.tf/address-pool": "old",
				"metallb.universe.tf/allow-shared-ip": "key", "metallb.io/loadBalancerIPs": " 192.0.2.1 , 2001:db8::1",
				"metallb.io/ip-allocated-from-pool": "p",
			},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr("c"),
			ClusterIP: "10.233.0.9", ClusterIPs: []string{"10.233.0.9", "fd00::9"}, ExternalIPs: []string{"203.0.113.9", "bad", "::ffff:203.0.113.10"},
			Ports:                 []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 31265}, {Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53}},
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, InternalTrafficPolicy: ptr(corev1.ServiceInternalTrafficPolicyLocal),
			HealthCheckNodePort: 30000, SessionAffinity: corev1.ServiceAffinityClientIP, LoadBalancerSourceRanges: []string{" 10.1.2.3/8 ", "bad"},
			IPFamilyPolicy: ptr(corev1.IPFamilyPolicyRequireDualStack), Selector: map[string]string{"b": "2", "a": "1"},
		},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{Hostname: "x.example"}, {IP: "192.0.2.1"}}}},
	}
	want := &pharos.Service{
		Name: pharos.Name{Namespace: "ns", Name: "web"}, UID: "u1", Type: pharos.LoadBalancer, Created: created, Class: "c",
		ClusterIPs: addrList("10.233.0.9", "fd00::9"), ExternalIPs: addrList("203.0.113.9", "203.0.113.10"),
		Ports:         []pharos.ServicePort{{Name: "http", Protocol: pharos.TCP, Port: 80, NodePort: 31265}, {Name: "dns", Protocol: pharos.UDP, Port: 53}},
		ExternalLocal: true, InternalLocal: true, Affinity: 3 * time.Hour, SourceRanges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		HealthCheckNodePort: 30000, DualStack: true, RequireDualStack: true, Selector: "a=1,b=2", Labels: map[string]string{"l": "v"},
		Requested: addrList("192.0.2.1", "2001:db8::1"), RequestedPool: "new", SharingKey: "key", DeprecatedAnnotations: true,
		Ingress: addrList("192.0.2.1"), AllocatedFrom: "p",
	}
	got := service(in)
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

// The API accepts leading zeros in objects of old; a source range that were
// dropped for them would admit everybody.
func TestOldSpellingsOfAddresses(t *testing.T) {
	s := service(&corev1.Service{Spec: corev1.ServiceSpec{
		ExternalIPs: []string{"203.0.113.009"}, LoadBalancerSourceRanges: []string{"010.001.0.0/16", "::ffff:192.0.2.0/120", "2001:db8::1/32"},
	}})
	if want := addrList("203.0.113.9"); !slices.Equal(s.ExternalIPs, want) {
		t.Errorf("external IPs %v, want %v", s.ExternalIPs, want)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	if !slices.Equal(s.SourceRanges, want) {
		t.Errorf("source ranges %v, want %v", s.SourceRanges, want)
	}
}

func TestAddressesThatTheProxyLeavesAlone(t *testing.T) {
	s := service(&corev1.Service{Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{
		{IP: "192.0.2.1", IPMode: ptr(corev1.LoadBalancerIPModeProxy)}, {IP: "192.0.2.2", IPMode: ptr(corev1.LoadBalancerIPModeVIP)},
	}}}})
	if want := addrList("192.0.2.2"); !slices.Equal(s.Ingress, want) {
		t.Errorf("ingress %v, want %v", s.Ingress, want)
	}
	e := endpointSlice(&discoveryv1.EndpointSlice{
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1", "10.0.0.2"}}, {}},
	})
	if len(e.backends) != 1 || e.backends[0].Addr != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("backends %v, want the first address alone", e.backends)
	}
}

func TestRequestsThatContradictThemselves(t *testing.T) {
	for _, c := range []struct{ annotation, field, want string }{
		{"192.0.2.1", "192.0.2.1", "are both given"},
		{"192.0.2.1,192.0.2.2", "", "192.0.2.1 and 192.0.2.2 are of one family"},
		{"host", "", `"host" is not an IP address`},
		{"", "fe80::1%eth0", `"fe80::1%eth0" is not an IP address`},
		{"192.0.2.1,", "", `"" is not an IP address`},
	} {
		s := service(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"metallb.io/loadBalancerIPs": c.annotation}},
			Spec:       corev1.ServiceSpec{LoadBalancerIP: c.field},
		})
		if s.Refused.Code != why.LoadBalancerFailed || !strings.Contains(s.Refused.Detail, c.want) || s.Requested != nil {
			t.Errorf("%+v: refused as %q, requested %v", c, s.Refused.Detail, s.Requested)
		}
	}
}

func TestConditionsOfEndpoints(t *testing.T) {
	yes, no := ptr(true), ptr(false)
	for _, c := range []struct {
		in   discoveryv1.EndpointConditions
		want string
	}{
		{discoveryv1.EndpointConditions{}, "true true false"},
		{discoveryv1.EndpointConditions{Ready: no}, "false false false"},
		{discoveryv1.EndpointConditions{Ready: no, Serving: yes, Terminating: yes}, "false true true"},
		{discoveryv1.EndpointConditions{Ready: yes, Serving: no, Terminating: yes}, "true false true"}, // publishNotReadyAddresses
	} {
		b := endpointSlice(&discoveryv1.EndpointSlice{
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: c.in}},
		}).backends[0]
		if got := fmt.Sprint(b.Ready, b.Serving, b.Terminating); got != c.want {
			t.Errorf("%+v: ready, serving, terminating are %s, want %s", c.in, got, c.want)
		}
	}
	if s := endpointSlice(&discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeFQDN, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}); len(s.backends) != 0 {
		t.Errorf("host names became %v", s.backends)
	}
}

// An endpoint that is in several slices counts once: its best copy, and only
// the ports that this one lacks from another.
func TestSlicesAreMerged(t *testing.T) {
	http, https, admin := pharos.BackendPort{Name: "http", Protocol: pharos.TCP, Port: 8080}, pharos.BackendPort{Name: "https", Protocol: pharos.TCP, Port: 8443}, pharos.BackendPort{Name: "http", Protocol: pharos.TCP, Port: 9090}
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	got := merge(map[string]*slice{
		"1": {[]pharos.Backend{{Addr: b, Ready: true, Serving: true, Ports: []pharos.BackendPort{http}}, {Addr: a, Serving: true, Terminating: true, Ports: []pharos.BackendPort{http, https}}}},
		"2": {[]pharos.Backend{{Addr: a, Ready: true, Serving: true, Ports: []pharos.BackendPort{http}}}},
		"3": {[]pharos.Backend{{Addr: b, Ports: []pharos.BackendPort{admin}}, {Addr: a, Ports: []pharos.BackendPort{http}}}},
	})
	want := []pharos.Backend{
		{Addr: a, Ready: true, Serving: true, Ports: []pharos.BackendPort{http}},
		{Addr: a, Serving: true, Terminating: true, Ports: []pharos.BackendPort{https}},
		{Addr: b, Ready: true, Serving: true, Ports: []pharos.BackendPort{http}},
		{Addr: b, Ports: []pharos.BackendPort{admin}},
	}
	if d := cmp.Diff(want, got.Backends, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

// feed returns a Source without an API server, and what its Reflectors would
// write to.
func feed(t *testing.T, kinds Kind) (*Source, map[Kind]*reflected) {
	t.Helper()
	client, err := NewClient(&rest.Config{Host: "https://127.0.0.1:1"}, "test")
	if err != nil {
		t.Fatal(err)
	}
	s := NewSource(Options{Client: client, Kinds: kinds, ConfigMap: pharos.Name{Namespace: "ns", Name: "config"}, Parse: func(text []byte) (*pharos.Config, error) {
		if string(text) == "bad" {
			return nil, errors.New("line 1: bad")
		}
		return &pharos.Config{Pools: []pharos.Pool{{Name: string(text)}}}, nil
	}})
	stores := map[Kind]*reflected{}
	for _, k := range s.kinds {
		if k.appeared == nil {
			stores[k.of] = &reflected{s, k}
		} else {
			k.synced = true // the API server does not know it
		}
	}
	return s, stores
}

func changed(s *Source) bool {
	select {
	case <-s.Changed():
		return true
	default:
		return false
	}
}

func TestSnapshotIsSyncedWhenEveryKindIs(t *testing.T) {
	s, stores := feed(t, Services|Nodes|Config)
	if snap := s.Snapshot(); snap == nil || snap.Synced {
		t.Fatalf("at first: %+v", snap)
	}
	for i, k := range []Kind{Services, Nodes, Config} {
		stores[k].Replace(nil, "1")
		if s.Snapshot().Synced {
			t.Errorf("after %d of 3 kinds: synced without a configuration made", i+1)
		}
	}
	s.makeConfig(t.Context())
	if !s.Snapshot().Synced {
		t.Error("never synced")
	}
	if p := s.Snapshot().Problem; p.Code != why.ConfigMissing {
		t.Errorf("without a ConfigMap: %v", p)
	}
}

// What changes no noun wakes nobody; what does, leaves older Snapshots as they
// were.
func TestOnlyChangesOfNounsWake(t *testing.T) {
	s, stores := feed(t, Services|Nodes|Namespaces|Endpoints)
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", ResourceVersion: "1"}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", Labels: map[string]string{"team": "a"}}}
	es := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a-x", Labels: map[string]string{discoveryv1.LabelServiceName: "a"}}, AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}
	objects := map[Kind]func() any{
		Services: func() any { return svc.DeepCopy() }, Nodes: func() any { return node.DeepCopy() }, Namespaces: func() any { return ns.DeepCopy() }, Endpoints: func() any { return es.DeepCopy() },
	}
	for _, k := range []Kind{Services, Nodes, Namespaces, Endpoints} {
		stores[k].Replace([]any{objects[k]()}, "1")
	}
	changed(s)
	before := s.Snapshot()
	noun, _ := before.Services.Get(pharos.Name{Namespace: "ns", Name: "a"})

	svc.ResourceVersion = "2"
	svc.Annotations = map[string]string{"somebody": "else's"}
	node.Status.Conditions[0].LastHeartbeatTime = metav1.Now()
	es.Annotations = map[string]string{"trigger": "time"}
	ns.Annotations = map[string]string{"somebody": "else's"}
	for _, k := range []Kind{Services, Nodes, Namespaces, Endpoints} {
		stores[k].Update(objects[k]())
		stores[k].Replace([]any{objects[k]()}, "2") // a watch that began anew
		if changed(s) || s.Snapshot() != before {
			t.Errorf("%b: an update without effect wakes", k)
		}
	}
	if version, newest := s.version(noun); version != "2" || !newest {
		t.Errorf("the noun stands for version %q, newest %t", version, newest)
	}

	svc.Spec.Type = corev1.ServiceTypeLoadBalancer
	stores[Services].Update(objects[Services]())
	after := s.Snapshot()
	if !changed(s) || after.Revision != before.Revision+1 {
		t.Error("a change does not wake")
	}
	if _, newest := s.version(noun); newest {
		t.Error("an outdated noun passes for the newest")
	}
	if was, _ := before.Services.Get(noun.Name); was != noun {
		t.Error("an older Snapshot changed")
	}
	if names := slices.Collect(after.Services.Diff(before.Services)); len(names) != 1 || after.Endpoints != before.Endpoints {
		t.Errorf("the Snapshots differ in %v", names)
	}
	ns.Labels = map[string]string{"team": "b"}
	stores[Namespaces].Update(objects[Namespaces]())
	was, _ := before.Namespaces.Get("ns")
	if is, ok := s.Snapshot().Namespaces.Get("ns"); !changed(s) || !ok || is.Labels["team"] != "b" || was.Labels["team"] != "a" {
		t.Errorf("namespace %v was %v", is, was)
	}
	stores[Namespaces].Replace(nil, "3")
	if _, ok := s.Snapshot().Namespaces.Get("ns"); ok {
		t.Error("a namespace that is gone is still there")
	}
	stores[Services].Replace(nil, "3")
	stores[Endpoints].Delete(objects[Endpoints]())
	if snap := s.Snapshot(); snap.Services.Len() != 0 || snap.Endpoints.Len() != 0 {
		t.Errorf("%d Services and %d Endpoints are left", snap.Services.Len(), snap.Endpoints.Len())
	}
}

func TestSliceThatChangesItsService(t *testing.T) {
	s, stores := feed(t, Endpoints)
	es := func(owner string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "x", Labels: map[string]string{discoveryv1.LabelServiceName: owner}},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}
	}
	for _, owner := range []string{"a", "b", "", "a"} {
		stores[Endpoints].Update(es(owner))
		var names []string
		for n := range s.Snapshot().Endpoints.All() {
			names = append(names, n.Name)
		}
		if want := strings.Fields(owner); !slices.Equal(names, want) {
			t.Errorf("labelled %q: Services %v have endpoints", owner, names)
		}
	}
}

func TestLastGoodConfigurationStays(t *testing.T) {
	s, stores := feed(t, Config)
	m := func(data map[string]string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "config", UID: "u"}, Data: data}
	}
	for _, c := range []struct {
		put  any
		want string
	}{
		{m(map[string]string{"config": "good"}), "good <ok>"},
		{m(map[string]string{"config": "bad"}), "good configInvalid line 1: bad"},
		{m(map[string]string{"other": "x", "another": ""}), `good configInvalid ConfigMap ns/config has no key "config" (it has another, other)`},
		{nil, "good configMissing there are no resources of metallb.io, and no ConfigMap ns/config"},
		{m(map[string]string{"config": "better"}), "better <ok>"},
	} {
		if c.put == nil {
			stores[Config].Delete(m(nil))
		} else {
			stores[Config].Update(c.put)
		}
		s.makeConfig(t.Context())
		snap := s.Snapshot()
		got := snap.Config.Pools[0].Name + " "
		if snap.Problem.Code == why.OK {
			got += "<ok>"
		} else {
			got += snap.Problem.Code.String() + " " + snap.Problem.Detail
		}
		if got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestStatusPatch(t *testing.T) {
	for _, c := range []struct {
		ingress []netip.Addr
		pool    string
		want    string
	}{
		{addrList("192.0.2.1", "2001:db8::1"), "p", `{"metadata":{"resourceVersion":"7","annotations":{"metallb.io/ip-allocated-from-pool":"p"}},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"},{"ip":"2001:db8::1"}]}}}`},
		{nil, "", `{"metadata":{"resourceVersion":"7","annotations":{"metallb.io/ip-allocated-from-pool":null}},"status":{"loadBalancer":{"ingress":null}}}`},
	} {
		got, err := statusPatch("7", c.ingress, c.pool)
		if err != nil || string(got) != c.want {
			t.Errorf("got %s, %v\nwant %s", got, err, c.want)
		}
	}
}

// Events are counted, not repeated; the queue stays bounded, and what is lost
// from it is logged.
func TestRecorderQueue(t *testing.T) {
	s, _ := feed(t, Services)
	var log strings.Builder
	r := NewRecorder(RecorderOptions{Client: s.opts.Client, Source: s, Component: "test", Log: logTo(&log)})
	warning := why.New(why.AllocationFailed, "no address")
	for range 5 {
		r.Service(pharos.Name{Namespace: "ns", Name: "a"}, warning)
	}
	if st := r.Status(); st.Queued != 1 || r.queue[0].count != 5 {
		t.Errorf("five equal events: %+v", st)
	}
	for i := range maxNormal + 10 {
		r.Service(pharos.Name{Namespace: "ns", Name: fmt.Sprint(i)}, why.Reason{Code: why.IPAllocated})
	}
	if st := r.Status(); st.Queued != maxNormal+1 || st.Dropped != 10 || r.queue[0].reason != warning {
		t.Errorf("too many events: %+v", st)
	}
	if n := strings.Count(log.String(), "event not recorded"); n != 1 {
		t.Errorf("the loss of ten informative events is logged %d times", n)
	}
	log.Reset()
	for i := range maxQueued {
		r.Service(pharos.Name{Namespace: "ns", Name: fmt.Sprint(i)}, warning)
	}
	st := r.Status()
	if st.Queued != maxQueued {
		t.Errorf("too many warnings: %+v", st)
	}
	if n := strings.Count(log.String(), "event not recorded"); uint64(n) != st.Dropped-10 {
		t.Errorf("the loss of %d warnings is logged %d times", st.Dropped-10, n)
	}
}

// Events leave the API server to a burst of Services, but not for ever.
func TestEventsWaitUntilServicesSettle(t *testing.T) {
	s, stores := feed(t, Services)
	for _, c := range []struct {
		name         string
		burst        time.Duration // a Service changes every 50 ms for so long
		status       time.Duration // a status is being written for so long
		from, before time.Duration // the event is written in between
	}{
		{"nothing going on", 0, 0, 0, time.Millisecond},
		{"a Service was just made", time.Millisecond, 0, eventQuiet, eventQuiet + 10*time.Millisecond},
		{"a burst", 3 * time.Second, 0, 3 * time.Second, 3*time.Second + eventQuiet},
		{"a slow status", 0, 2 * time.Second, 2 * time.Second, 2*time.Second + eventQuiet},
		{"no end of changes", 2 * eventPatience, 0, eventPatience, eventPatience + 10*time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := NewRecorder(RecorderOptions{Client: &Client{}, Source: s})
			if c.status > 0 {
				r.opts.Client.statuses.enter()
				time.AfterFunc(c.status, r.opts.Client.statuses.leave)
			}
			start := time.Now()
			change := func() {
				stores[Services].Update(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: types.UID(rand.Text())}})
			}
			if c.burst > 0 {
				change()
			}
			done := make(chan time.Duration)
			go func() {
				calm(t.Context(), r.opts.Client, s, start.Add(eventPatience))
				done <- time.Since(start)
			}()
			for tick := time.NewTicker(50 * time.Millisecond); ; {
				select {
				case <-tick.C:
					if time.Since(start) < c.burst {
						change()
					}
					continue
				case took := <-done:
					if took < c.from || took >= c.before {
						t.Errorf("%s: the event waits for %s, want at least %s and less than %s", c.name, took, c.from, c.before)
					}
				}
				return
			}
		})
		s.stirred = time.Time{}
	}
}

func TestMessagesAreShortened(t *testing.T) {
	if got := shorten("short"); got != "short" {
		t.Errorf("got %q", got)
	}
	got := shorten(strings.Repeat("ü", maxMessage))
	if len(got) > maxMessage || !strings.HasSuffix(got, "ü …") {
		t.Errorf("got %d bytes that end in %q", len(got), got[len(got)-8:])
	}
	if n := eventName(strings.Repeat("x", 300), time.Now()); len(n) > 253 {
		t.Errorf("a name of %d bytes", len(n))
	}
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// A node is drained where it is cordoned and its annotation says so.
func TestNodeDrain(t *testing.T) {
	for _, c := range []struct {
		text      string
		cordoned  bool
		asked     bool
		time      time.Duration
		isRefused bool
	}{
		{"true", true, true, 0, false},
		{"true", false, false, 0, false},
		{"false", true, false, 0, false},
		{"45s", true, true, 45 * time.Second, false},
		{"0s", true, false, 0, true},
		{"48h", true, false, 0, true},
		{"soon", true, false, 0, true},
	} {
		n := node(&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "n", Annotations: map[string]string{pharos.DrainAnnotation: c.text}},
			Spec:       corev1.NodeSpec{Unschedulable: c.cordoned},
		})
		if d := n.Drain; d.Asked != c.asked || d.Time != c.time || (d.Refused.Code == why.DrainInvalid) != c.isRefused {
			t.Errorf("%q, cordoned %t: %+v", c.text, c.cordoned, d)
		}
	}
}

// Speaker and proxy of a node may be of two versions: what both make of the same objects
// has to have the same digest, as long as they say that it can be compared.
func TestObjectsHaveTheSameDigestInAllVersions(t *testing.T) {
	svc := service(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Labels: map[string]string{"app": "web"}, Annotations: map[string]string{dataPlaneMode: "direct"}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIPs: []string{"10.96.0.1", "fd10::1"}, ExternalIPs: []string{"198.51.100.1"},
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, InternalTrafficPolicy: ptr(corev1.ServiceInternalTrafficPolicyLocal),
			HealthCheckNodePort: 31000, SessionAffinity: corev1.ServiceAffinityClientIP, LoadBalancerSourceRanges: []string{"192.0.2.0/24", "2001:db8::/32"},
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30080}, {Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53}},
		},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{
			{IP: "203.0.113.1"}, {IP: "2001:db8::1"}, {IP: "203.0.113.2", IPMode: ptr(corev1.LoadBalancerIPModeProxy)},
		}}},
	})
	endpoint := func(node, a string, c discoveryv1.EndpointConditions) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Addresses: []string{a}, NodeName: &node, Conditions: c}
	}
	part := func(family discoveryv1.AddressType, endpoints ...discoveryv1.Endpoint) *slice {
		return endpointSlice(&discoveryv1.EndpointSlice{
			AddressType: family, Endpoints: endpoints,
			Ports: []discoveryv1.EndpointPort{{Name: ptr("http"), Port: ptr(int32(8080))}, {Name: ptr("dns"), Port: ptr(int32(5353)), Protocol: ptr(corev1.ProtocolUDP)}},
		})
	}
	terminates := discoveryv1.EndpointConditions{Ready: ptr(false), Serving: ptr(true), Terminating: ptr(true)}
	eps := merge(map[string]*slice{
		"b": part(discoveryv1.AddressTypeIPv4, endpoint("n2", "10.244.2.1", discoveryv1.EndpointConditions{}), endpoint("n1", "10.244.1.1", terminates)),
		"a": part(discoveryv1.AddressTypeIPv4, endpoint("n1", "10.244.1.1", discoveryv1.EndpointConditions{Ready: ptr(true)}), endpoint("n3", "10.244.3.1", discoveryv1.EndpointConditions{Ready: ptr(false)})),
		"c": part(discoveryv1.AddressTypeIPv6, endpoint("n1", "fd00:1::1", discoveryv1.EndpointConditions{})),
	})
	if text, _ := dataplane.DigestOf(svc, eps).MarshalText(); string(text) != "deb80ceacf82f703" {
		t.Errorf("the digest is %s: objects that are converted in another way need another dataplane.DigestFormat", text)
	}
}
