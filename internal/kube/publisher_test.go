package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/internal/kube"
	"github.com/pharoslb/pharos/why"
)

// statuses lists objects of a kind: labels, status and owner, by name.
func (a *api) statuses(kind string) map[string]string {
	a.t.Helper()
	var list struct {
		Items []struct {
			Metadata metav1.ObjectMeta
			Status   json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(a.kubectl("", "get", kind, "-n", namespace, "-o", "json")), &list); err != nil {
		a.t.Fatal(err)
	}
	found := map[string]string{}
	for _, o := range list.Items {
		var owners []string
		for _, r := range o.Metadata.OwnerReferences {
			owners = append(owners, string(r.UID))
		}
		var status map[string]any
		if len(o.Status) > 0 {
			if err := json.Unmarshal(o.Status, &status); err != nil {
				a.t.Fatal(err)
			}
		}
		delete(status, "conditions")
		found[o.Metadata.Name] = fmt.Sprint(status, " ", owners)
	}
	return found
}

func (a *api) has(kind string, want ...string) {
	a.t.Helper()
	a.eventually(func() string {
		var got []string
		for _, text := range a.statuses(kind) {
			got = append(got, text)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Sprintf("%s are\n%s\nwant\n%s", kind, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return ""
	})
}

// The controller counts on the pools' statuses, and says whether the
// configuration is in force; a burst of Services is some writes, and a restart
// none.
func TestControllerPublishes(t *testing.T) {
	const n = 200
	a := start(t)
	p := a.controller(controller.Options{})
	a.kubectl(object("IPAddressPool", "web", `{addresses: ["172.19.0.0/24", "2001:db8::/64"]}`), "apply")
	a.has("configurationstates", "map[result:Valid] [controller-uid]")
	var creators sync.WaitGroup
	for w := range 8 {
		creators.Go(func() {
			for i := w; i < n; i += 8 {
				a.create(fmt.Sprintf("s%d", i))
			}
		})
	}
	creators.Wait()
	a.eventually(func() string {
		if got := a.kubectl("", "get", "ipaddresspool", "-n", namespace, "web", "-o", "jsonpath={.status.assignedIPv4} {.status.availableIPv4} {.status.assignedIPv6} {.status.availableIPv6}"); got != fmt.Sprint(n, " ", 256-n, " 0 9223372036854775807") {
			return got
		}
		return ""
	})
	if got := a.requests("pharos-controller")["patch ipaddresspools/status"]; got == 0 || got > 20 {
		t.Errorf("%d writes of a pool's status for %d Services", got, n)
	}
	a.kubectl(object("IPAddressPool", "overlap", `{addresses: [172.19.0.7/32]}`), "apply")
	a.eventually(func() string {
		got := a.kubectl("", "get", "configurationstate", "-n", namespace, "controller", "-o",
			`jsonpath={.status.result} {.status.errorSummary}{range .status.conditions[*]} {.type}={.status}/{.reason}{end}`)
		if !strings.HasPrefix(got, "Invalid IPAddressPool metallb-system/overlap: ") || !strings.HasSuffix(got, " configReconcilerValid=False/ConfigurationError poolReconcilerValid=False/ConfigurationError") {
			return got
		}
		return ""
	})
	a.kubectl("", "delete", "ipaddresspool", "-n", namespace, "overlap")
	a.has("configurationstates", "map[result:Valid] [controller-uid]")
	p.stop()

	before := a.kubectl("", "get", "ipaddresspools,configurationstates", "-n", namespace, "-o", "yaml")
	p = a.controller(controller.Options{})
	a.create("again")
	a.eventually(func() string { // it has published what is new
		if got := a.kubectl("", "get", "ipaddresspool", "-n", namespace, "web", "-o", "jsonpath={.status.assignedIPv4}"); got != fmt.Sprint(n+1) {
			return got
		}
		return ""
	})
	a.eventually(func() string { // the API server shows what it was sent before the sender has its answer
		if st := p.publish.Status(); st.Written+st.Failed == 0 {
			return "no answer"
		}
		return ""
	})
	if st := p.publish.Status(); st.Written != 1 || st.Failed != 0 {
		t.Errorf("after a restart: %+v, want one write\n%s", st, before)
	}
}

// A speaker says what its node announces and to whom it has sessions. What
// MetalLB left is taken over where it is still true, and removed where it is not;
// other nodes' objects are left alone, and nothing is written twice.
func TestSpeakerPublishes(t *testing.T) {
	a := start(t)
	leave := func(name, node, service string) string {
		return fmt.Sprintf("---\napiVersion: metallb.io/v1beta1\nkind: ServiceL2Status\nmetadata:\n  namespace: %s\n  name: %s\n"+
			"  labels: {metallb.io/node: %s, metallb.io/service-name: %s, metallb.io/service-namespace: default}\n"+
			"  ownerReferences: [{apiVersion: v1, kind: Pod, name: speaker-old, uid: old}]\n", namespace, name, node, service)
	}
	a.kubectl(leave("l2-aaaaa", "n1", "lan")+leave("l2-bbbbb", "n1", "gone")+leave("l2-ccccc", "n2", "lan"), "create")
	for name, node := range map[string]string{"l2-aaaaa": "n1", "l2-bbbbb": "n1", "l2-ccccc": "n2"} {
		a.kubectl("", "patch", "servicel2status", "-n", namespace, name, "--subresource=status", "--type=merge",
			"-p", fmt.Sprintf(`{"status":{"node":%q,"serviceName":"lan","serviceNamespace":"default"}}`, node))
	}
	a.configure(pools("172.19.0.0/24"))

	client, err := kube.NewClient(a.as("speaker"), "speaker")
	if err != nil {
		t.Fatal(err)
	}
	source := kube.NewSource(kube.Options{Client: client, Kinds: kube.Services | kube.Config, ConfigMap: configName, Parse: func([]byte) (*pharos.Config, error) { return &pharos.Config{}, nil }})
	var report atomic.Pointer[kube.Report]
	report.Store(&kube.Report{})
	publisher := kube.NewPublisher(kube.PublisherOptions{Client: client, Source: source, Node: "n1", Pod: kube.Pod{Name: "speaker-new", UID: "new"},
		Report: func() kube.Report { return *report.Load() }})
	ctx, cancel := context.WithCancel(a.ctx)
	var done sync.WaitGroup
	done.Go(func() { source.Run(ctx) })
	done.Go(func() { publisher.Run(ctx) })
	defer done.Wait()
	defer cancel()

	name := func(n string) pharos.Name { return pharos.Name{Namespace: "default", Name: n} }
	report.Store(&kube.Report{
		Synced: true,
		Services: []kube.ServiceReport{
			{Service: name("lan"), Layer2: true, Interfaces: []string{"eth0"}},
			{Service: name("web"), BGP: []string{"tor1", "tor2"}},
			{Service: name("both"), BGP: []string{"tor1"}, Layer2: true},
		},
		Sessions: []kube.SessionReport{{Peer: "10.0.0.1", BGP: "Established", BFD: "up"}, {Peer: "2001:db8::1", VRF: "red", BGP: "Active", BFD: "N/A"}},
	})
	a.has("servicel2statuses",
		"map[interfaces:[map[name:eth0]] node:n1 serviceName:lan serviceNamespace:default] [new]",
		"map[node:n1 serviceName:both serviceNamespace:default] [new]",
		"map[node:n2 serviceName:lan serviceNamespace:default] [old]")
	a.has("servicebgpstatuses",
		"map[node:n1 peers:[tor1 tor2] serviceName:web serviceNamespace:default] [new]",
		"map[node:n1 peers:[tor1] serviceName:both serviceNamespace:default] [new]")
	a.has("bgpsessionstates",
		"map[bfdStatus:N/A bgpStatus:Active node:n1 peer:2001:db8::1 vrf:red] [new]",
		"map[bfdStatus:up bgpStatus:Established node:n1 peer:10.0.0.1] [new]")
	a.has("configurationstates", "map[result:Valid] [new]")
	if _, ok := a.statuses("servicel2statuses")["l2-aaaaa"]; !ok {
		t.Error("an object of MetalLB's that is true was not taken over")
	}
	if got := a.kubectl("", "get", "bgpsessionstates", "-n", namespace, "-l", "metallb.io/node=n1,metallb.io/peer=10.0.0.1", "-o", "name"); strings.Count(got, "\n") != 1 {
		t.Errorf("by label there is %q", got)
	}

	report.Store(&kube.Report{
		Synced: true,
		Config: []why.Reason{why.New(why.SecretMissing, "BGPPeer metallb-system/tor2: no Secret")},
		Services: []kube.ServiceReport{
			{Service: name("lan"), Layer2: true},
			{Service: name("web"), BGP: []string{"tor1"}},
		},
		Sessions: []kube.SessionReport{{Peer: "10.0.0.1", BGP: "Active", BFD: "down"}},
	})
	a.has("servicel2statuses",
		"map[node:n1 serviceName:lan serviceNamespace:default] [new]",
		"map[node:n2 serviceName:lan serviceNamespace:default] [old]")
	a.has("servicebgpstatuses", "map[node:n1 peers:[tor1] serviceName:web serviceNamespace:default] [new]")
	a.has("bgpsessionstates", "map[bfdStatus:down bgpStatus:Active node:n1 peer:10.0.0.1] [new]")
	a.has("configurationstates", "map[errorSummary:BGPPeer metallb-system/tor2: no Secret result:Invalid] [new]")

	// Somebody deletes one: it is made again when it next has something to say.
	a.kubectl("", "delete", "servicebgpstatuses", "-n", namespace, "--all")
	report.Store(&kube.Report{Synced: true, Services: []kube.ServiceReport{{Service: name("web"), BGP: []string{"tor2"}}}})
	a.has("servicebgpstatuses", "map[node:n1 peers:[tor2] serviceName:web serviceNamespace:default] [new]")
	for key, count := range a.requests("pharos-speaker") {
		if strings.HasSuffix(key, " 403") || strings.HasSuffix(key, " 422") || strings.HasPrefix(key, "list ") && count > 2 {
			t.Errorf("%d requests %s", count, key)
		}
	}
}
