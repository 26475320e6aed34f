package kube

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/ipam"
	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

// What is planned is what is missing, wrong or superfluous, and nothing once it is
// done.
func TestPlanOfStatuses(t *testing.T) {
	owner := &metav1.OwnerReference{Name: "pod", UID: "new"}
	labels := map[string]string{"l": "1"}
	want := func(id, peers string) record {
		return record{id: id, name: "bgp-" + id, labels: labels, owner: owner, status: map[string]any{"peers": peers}}
	}
	have := func(id, name, peers, uid string) seen {
		return seen{id: id, name: name, labels: map[string]string{"l": "1", "others": "too"}, owners: []metav1.OwnerReference{{UID: "new"}}, status: map[string]any{"peers": peers}}
	}
	old := have("a", "bgp-xyz12", "tor", "")
	old.owners = []metav1.OwnerReference{{UID: "MetalLB's"}}
	for _, c := range []struct {
		name string
		kind *statusKind
		want []record
		have []seen
		plan string
	}{
		{"nothing", serviceBGPStatuses, nil, nil, ""},
		{"missing", serviceBGPStatuses, []record{want("a", "tor")}, nil, "add bgp-a"},
		{"as wanted", serviceBGPStatuses, []record{want("a", "tor")}, []seen{have("a", "bgp-a", "tor", "")}, ""},
		{"another name, as MetalLB left it", serviceBGPStatuses, []record{want("a", "tor")}, []seen{old}, "relabel bgp-xyz12"},
		{"another status", serviceBGPStatuses, []record{want("a", "tor")}, []seen{have("a", "bgp-a", "other", "")}, "restate bgp-a"},
		{"superfluous", serviceBGPStatuses, nil, []seen{have("a", "bgp-a", "tor", "")}, "remove bgp-a"},
		{"of no use", serviceBGPStatuses, nil, []seen{have("", "bgp-q", "tor", "")}, "remove bgp-q"},
		{"two about one", serviceBGPStatuses, []record{want("a", "tor")}, []seen{have("a", "bgp-z", "tor", ""), have("a", "bgp-b", "tor", "")}, "remove bgp-z"},
		{"superfluous first, missing last", serviceBGPStatuses, []record{want("a", "tor"), want("b", "tor")}, []seen{have("b", "bgp-b", "x", ""), have("c", "bgp-c", "tor", "")}, "remove bgp-c, restate bgp-b, add bgp-a"},
		{"a pool that is new to us", poolStatuses, []record{{id: "p/1", name: "p", status: map[string]any{"n": "1"}}}, nil, "restate p"},
		{"a pool that is made anew", poolStatuses, []record{{id: "p/2", name: "p", status: map[string]any{"n": "1"}}}, []seen{{id: "p/1", name: "p", status: map[string]any{"n": "1"}}}, "restate p"},
		{"a pool that is gone", poolStatuses, nil, []seen{{id: "p/1", name: "p"}}, ""},
	} {
		var got []string
		for _, ch := range plan(c.kind, c.want, c.have) {
			got = append(got, map[verb]string{remove: "remove", relabel: "relabel", restate: "restate", add: "add"}[ch.verb]+" "+ch.name)
		}
		if text := strings.Join(got, ", "); text != c.plan {
			t.Errorf("%s: %s, want %s", c.name, text, c.plan)
		}
	}

	// A field that is no longer said is removed, by RFC 7396.
	c := change{record: record{status: map[string]any{"node": "n1"}}, was: map[string]any{"node": "n1", "peers": []any{"tor"}}}
	if got, err := c.statusPatch(); err != nil || string(got) != `{"status":{"node":"n1","peers":null}}` {
		t.Errorf("patch %s, %v", got, err)
	}
}

// What the objects say is what was reported, and the counters keep their digits.
func TestReportsBecomeRecords(t *testing.T) {
	var st controller.Status
	st.Synced = true
	st.Pools = []ipam.Usage{{Pool: "a", IPv4: ipam.Count{Used: 2, Free: 254}, IPv6: ipam.Count{Free: math.MaxInt64}}, {Pool: "legacy"}}
	r := ControllerReport(st, nil)
	s := states{}
	list := s.pools(r, func(name string) string { return map[string]string{"a": "u"}[name] })
	if len(list) != 1 || list[0].id != "a/u" {
		t.Fatalf("records %+v", list)
	}
	c := change{record: list[0]}
	if got, _ := c.statusPatch(); string(got) != `{"status":{"assignedIPv4":2,"assignedIPv6":0,"availableIPv4":254,"availableIPv6":9223372036854775807}}` {
		t.Errorf("patch %s", got)
	}
	o := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"assignedIPv4": int64(2), "assignedIPv6": int64(0), "availableIPv4": int64(254), "availableIPv6": int64(math.MaxInt64)}}}
	o.SetName("a")
	o.SetUID("u")
	if ch := plan(poolStatuses, list, []seen{see(poolStatuses, o)}); len(ch) > 0 {
		t.Errorf("what was written is planned again: %+v", ch)
	}

	node := states{node: "n1", owner: &metav1.OwnerReference{Name: "speaker-x", UID: "u"}}
	speakers := Report{
		Services: []ServiceReport{
			{Service: pharos.Name{Namespace: "shop", Name: "web"}, BGP: []string{"tor1", "tor2"}},
			{Service: pharos.Name{Namespace: "shop", Name: "lan"}, Layer2: true, Interfaces: []string{"eth0"}},
		},
		Sessions: []SessionReport{{Peer: "10.0.0.1", BGP: "Established", BFD: "up"}, {Peer: "fe80::1", VRF: "red", BGP: "Idle", BFD: "N/A"}, {Peer: "::1", BGP: "Active", BFD: "down"}},
	}
	var got []string
	for _, list := range [][]record{node.services(serviceBGPStatuses, speakers), node.services(serviceL2Statuses, speakers), node.sessions(speakers)} {
		for _, r := range list {
			got = append(got, fmt.Sprint(r.id, " ", r.labels, " ", r.status))
			for _, v := range r.labels {
				if len(v) > 63 || strings.ContainsAny(v, ":%/") || strings.Trim(v, "-._") != v {
					t.Errorf("label %q", v)
				}
			}
		}
	}
	want := []string{
		"shop/web map[metallb.io/node:n1 metallb.io/service-name:web metallb.io/service-namespace:shop] map[node:n1 peers:[tor1 tor2] serviceName:web serviceNamespace:shop]",
		"shop/lan map[metallb.io/node:n1 metallb.io/service-name:lan metallb.io/service-namespace:shop] map[interfaces:[map[name:eth0]] node:n1 serviceName:lan serviceNamespace:shop]",
		"/10.0.0.1 map[metallb.io/node:n1 metallb.io/peer:10.0.0.1] map[bfdStatus:up bgpStatus:Established node:n1 peer:10.0.0.1]",
		"red/fe80--1 map[metallb.io/node:n1 metallb.io/peer:fe80--1 metallb.io/vrf:red] map[bfdStatus:N/A bgpStatus:Idle node:n1 peer:fe80::1 vrf:red]",
		"/x--1x map[metallb.io/node:n1 metallb.io/peer:x--1x] map[bfdStatus:down bgpStatus:Active node:n1 peer:::1]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A condition's time is that of its last change of verdict, whatever else is said.
func TestConfigurationState(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	bad := pharos.Problem{Object: pharos.Ref{Kind: "IPAddressPool", Namespace: "ns", Name: "a"}, Reason: why.New(why.ConfigInvalid, "overlaps")}
	waits := pharos.Problem{Object: pharos.Ref{Kind: "BGPPeer", Namespace: "ns", Name: "tor"}, Reason: why.New(why.SecretMissing, "no Secret")}
	var before map[string]any
	for i, c := range []struct {
		role     why.Reason
		problems []pharos.Problem
		want     string
	}{
		{why.Reason{}, nil, "Valid [configReconcilerValid True Reconciled 0] [poolReconcilerValid True Reconciled 0]"},
		{why.Reason{}, nil, "Valid [configReconcilerValid True Reconciled 0] [poolReconcilerValid True Reconciled 0]"},
		{why.New(why.SecretMissing, "summary"), []pharos.Problem{waits}, "Invalid BGPPeer ns/tor: no Secret [configReconcilerValid False InfraError 2] [poolReconcilerValid True Reconciled 0]"},
		{why.New(why.ConfigInvalid, "summary"), []pharos.Problem{waits, bad}, "Invalid BGPPeer ns/tor: no Secret, and 1 more [configReconcilerValid False ConfigurationError 2] [poolReconcilerValid False ConfigurationError 3]"},
		{why.New(why.ConfigOrphans, "in use"), nil, "Invalid in use [configReconcilerValid False ConfigurationError 2] [poolReconcilerValid False ConfigurationError 3]"},
		{why.Reason{}, nil, "Valid [configReconcilerValid True Reconciled 5] [poolReconcilerValid True Reconciled 5]"},
	} {
		r := ControllerReport(controller.Status{Synced: true, Config: controller.ConfigStatus{Reason: c.role}}, c.problems)
		rec := states{}.configuration(r, before, start.Add(time.Duration(i)*time.Minute))
		before = rec.status
		got := fmt.Sprint(before["result"])
		if e, ok := before["errorSummary"]; ok {
			got += " " + fmt.Sprint(e)
		}
		for _, c := range before["conditions"].([]any) {
			c := c.(map[string]any)
			at, err := time.Parse(time.RFC3339, c["lastTransitionTime"].(string))
			if err != nil {
				t.Fatal(err)
			}
			got += fmt.Sprint(" [", c["type"], " ", c["status"], " ", c["reason"], " ", int(at.Sub(start).Minutes()), "]")
		}
		if got != c.want {
			t.Errorf("%d: got  %s\nwant %s", i, got, c.want)
		}
	}
	lines := []why.Reason{why.New(why.ConfigInvalid, "line 2: one\nline 3: two\nline 4: three"), why.New(why.SecretMissing, "no Secret")}
	if got := firstOf(lines); got != "line 2: one, and 3 more" {
		t.Errorf("the first of reasons of several lines: %q", got)
	}
	many := make([]why.Reason, 100)
	for i := range many {
		many[i] = why.New(why.ConfigInvalid, "%s", strings.Repeat("x", 100))
	}
	if text := summarize(many); !strings.HasSuffix(text, "and 68 more") {
		t.Errorf("the summary ends in %q", text[len(text)-20:])
	}
	rec := states{node: "n1"}.configuration(SpeakerReport(speaker.Status{Synced: true}, nil), nil, start)
	if rec.name != "speaker-n1" || rec.labels[v1beta1.ComponentTypeLabel] != "speaker" || rec.labels[v1beta1.NodeNameLabel] != "n1" || len(rec.status["conditions"].([]any)) != 1 {
		t.Errorf("a speaker's is %+v", rec)
	}
}

// A session that is down goes through several states: it is one word.
func TestSessionWords(t *testing.T) {
	for _, c := range []struct {
		state  string
		reason why.Reason
		bfd    *speaker.BFD
		want   string
	}{
		{"Established", why.Reason{}, &speaker.BFD{State: "Up"}, "Established up"},
		{"Connect", why.New(why.SessionDown, "x"), nil, "Active N/A"},
		{"Idle", why.New(why.SessionDown, "x"), &speaker.BFD{State: "AdminDown"}, "Active down"},
		{"Idle", why.New(why.SecretMissing, "x"), nil, "Idle N/A"},
	} {
		r := SpeakerReport(speaker.Status{Sessions: []speaker.Session{{State: c.state, Reason: c.reason, BFD: c.bfd}}}, nil)
		if got := r.Sessions[0].BGP + " " + r.Sessions[0].BFD; got != c.want {
			t.Errorf("%s: got %s, want %s", c.state, got, c.want)
		}
	}
}

// A burst is let through; then so many a second, and no more.
func TestPace(t *testing.T) {
	p := pace{tokens: publishBurst}
	now := time.Unix(0, 0)
	for range 10 * publishBurst {
		now = now.Add(p.take(now))
	}
	if took := now.Sub(time.Unix(0, 0)); took < 44*time.Second || took > 46*time.Second {
		t.Errorf("%d writes take %s", 10*publishBurst, took)
	}
}
