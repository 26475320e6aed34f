package kube_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/deploy"
	"github.com/pharoslb/pharos/internal/configmap"
	"github.com/pharoslb/pharos/internal/kube"
	"github.com/pharoslb/pharos/why"
)

// kubectl runs kubectl as the administrator, with a file.
func (a *api) kubectl(text string, args ...string) string {
	a.t.Helper()
	file := filepath.Join(a.t.TempDir(), "in.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if text != "" {
		args = append(args, "-f", file)
	}
	out, err := a.c.Kubectl(a.ctx, args...).CombinedOutput()
	if err != nil {
		a.t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func object(kind, name, spec string) string {
	version := "v1beta1"
	if kind == "BGPPeer" {
		version = "v1beta2"
	}
	return fmt.Sprintf("---\napiVersion: metallb.io/%s\nkind: %s\nmetadata: {namespace: %s, name: %s}\nspec: %s\n", version, kind, namespace, name, spec)
}

// The API server does not know the kinds at first: nothing is logged but that,
// and the controller works with what there is. Then it does, and many objects at
// once are one configuration; one object's mistake is told on the object, and
// hurts nothing else.
func TestResources(t *testing.T) {
	a := startBare(t)
	var rest, crds []string
	for doc := range strings.SplitSeq(string(deploy.Pharos), "\n---\n") {
		if strings.Contains(doc, "kind: CustomResourceDefinition") {
			crds = append(crds, doc)
		} else {
			rest = append(rest, doc)
		}
	}
	a.kubectl(strings.Join(rest, "\n---\n"), "apply")
	p := a.controller(controller.Options{})
	a.event(namespace, "ConfigMap", "config", "configMissing", "there are no resources of metallb.io, and no ConfigMap metallb-system/config")
	if s := p.source.Snapshot(); !s.Synced || s.Config != nil {
		t.Errorf("without anything: synced %t, config %v", s.Synced, s.Config)
	}
	if p := p.source.Problem(); p.Code != why.OK {
		t.Errorf("kinds that are not there are a problem: %v", p)
	}

	a.kubectl(strings.Join(crds, "\n---\n"), "apply")
	a.awaitKinds()
	var many strings.Builder
	for i := range 50 {
		many.WriteString(object("IPAddressPool", fmt.Sprintf("p%02d", i), fmt.Sprintf("{addresses: [192.0.%d.0/24]}", i)))
		many.WriteString(object("BGPAdvertisement", fmt.Sprintf("a%02d", i), fmt.Sprintf("{ipAddressPools: [p%02d]}", i)))
	}
	a.kubectl(many.String(), "apply")
	a.create("first")
	a.hasAddress("first", "192.0.0.0")
	config := func(want string, get func(*pharos.Config) string) {
		t.Helper()
		a.eventually(func() string {
			c := p.source.Snapshot().Config
			if c == nil {
				return "no configuration"
			}
			if got := get(c); got != want {
				return fmt.Sprintf("the configuration has %s, want %s", got, want)
			}
			return ""
		})
	}
	size := func(c *pharos.Config) string { return fmt.Sprint(len(c.Pools), " ", len(c.Advertisements)) }
	config("50 50", size)
	t.Logf("%d Snapshots after %d objects", p.source.Snapshot().Revision, 100)

	// An overlap: the pools in force stay.
	a.kubectl(object("IPAddressPool", "overlap", "{addresses: [192.0.7.128/25]}"), "apply")
	e := a.event(namespace, "IPAddressPool", "overlap", "configInvalid", "192.0.7.128", "p07")
	if e.Type != corev1.EventTypeWarning || e.InvolvedObject.UID == "" || e.InvolvedObject.APIVersion != "metallb.io/v1beta1" || strings.HasPrefix(e.Message, "IPAddressPool") {
		t.Errorf("event is %+v", e)
	}
	if st := p.Status(); !st.Config.Stale || !st.Config.Loaded {
		t.Errorf("status is %+v", st.Config)
	}
	a.kubectl(object("IPAddressPool", "late", "{addresses: [198.51.100.0/24]}"), "apply")
	config("51 50", size)
	a.kubectl("", "delete", "ipaddresspool", "-n", namespace, "overlap")
	a.eventually(func() string { return p.Status().Config.Reason.Detail })

	// The ConfigMap beside them, in conflict and then not.
	a.configure(pools("192.0.9.0/24"))
	a.event(namespace, "ConfigMap", "config", "configInvalid", "192.0.9.0-192.0.9.255", "p09")
	a.configure(pools("203.0.113.0/24"))
	config("52", func(c *pharos.Config) string { return fmt.Sprint(len(c.Pools)) })

	if _, err := a.admin.CoreV1().ConfigMaps(namespace).Create(a.ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "bgpextras"}, Data: map[string]string{"extras": "route-map RMAP"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	a.event(namespace, "ConfigMap", "bgpextras", "configInvalid", "no FRR")
	p.stop()
	if n := strings.Count(p.log.String(), "does not serve"); n > 0 {
		t.Errorf("absent kinds are logged as an outage:\n%s", p.log.String())
	}
	if n := strings.Count(p.log.String(), "does not know this kind"); n != 6 {
		t.Errorf("six absent kinds are logged %d times", n)
	}
	got := a.requests("pharos-controller")
	for key := range got {
		if strings.HasSuffix(key, " 403") {
			t.Errorf("the service account lacks a right: %v", got)
		}
	}
	if strings.Contains(p.log.String(), "statuses not written") {
		t.Errorf("statuses:\n%s", p.log.String())
	}
}

// A peer whose Secret is missing must have no session, and has one when the
// Secret is there, without a restart; two speakers make one event of it. The
// rights of a speaker are enough, and let nobody list Secrets.
func TestPasswords(t *testing.T) {
	a := start(t)
	type node struct {
		source *kube.Source
		log    bytes.Buffer
	}
	ctx, cancel := context.WithCancel(a.ctx)
	var done sync.WaitGroup
	defer done.Wait()
	defer cancel()
	var nodes []*node
	for i := range 2 {
		client, err := kube.NewClient(a.as("speaker"), "speaker")
		if err != nil {
			t.Fatal(err)
		}
		n := &node{}
		n.source = kube.NewSource(kube.Options{Client: client, Kinds: kube.Config, ConfigMap: configName, Parse: configmap.Parse, Passwords: true})
		recorder := kube.NewRecorder(kube.RecorderOptions{Client: client, Source: n.source, Component: "metallb-speaker", Host: fmt.Sprint("n", i),
			Problems: func(p pharos.Problem) bool { return p.Reason.Code == why.SecretMissing }})
		done.Go(func() { n.source.Run(ctx) })
		done.Go(func() { recorder.Run(ctx) })
		nodes = append(nodes, n)
	}
	peer := func(want string) {
		t.Helper()
		for _, n := range nodes {
			a.eventually(func() string {
				c := n.source.Snapshot().Config
				if c == nil || len(c.Peers) != 1 {
					return fmt.Sprintf("no peer in %v", c)
				}
				p := c.Peers[0]
				if got := p.Refused.Code.String() + " " + p.Password.Reveal(); got != want {
					return fmt.Sprintf("the peer is %q, want %q", got, want)
				}
				return ""
			})
		}
	}
	a.kubectl(object("BGPPeer", "tor", "{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, passwordSecret: {name: tor}}"), "apply")
	peer("secretMissing ")
	a.event(namespace, "BGPPeer", "tor", "secretMissing", "tor")

	secrets := a.admin.CoreV1().Secrets(namespace)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "tor"}, Type: corev1.SecretTypeOpaque, StringData: map[string]string{"password": "sesame"}}
	if _, err := secrets.Create(a.ctx, secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	a.event(namespace, "BGPPeer", "tor", "secretMissing", "kubernetes.io/basic-auth")
	peer("secretMissing ")
	if err := secrets.Delete(a.ctx, "tor", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	secret.Type = corev1.SecretTypeBasicAuth
	if _, err := secrets.Create(a.ctx, secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	peer("ok sesame")

	list, err := a.admin.CoreV1().Events(namespace).List(a.ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]int{}
	for _, e := range list.Items {
		told[e.Reason+": "+e.Message]++
		if strings.Contains(e.Message, "sesame") {
			t.Errorf("an event tells the password: %s", e.Message)
		}
	}
	for text, n := range told {
		if n > 1 {
			t.Errorf("%d times: %s", n, text)
		}
	}
	client, err := kube.NewClient(a.as("speaker"), "prober")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Secret(a.ctx, pharos.Name{Namespace: "default", Name: "tor"}); err == nil || strings.Contains(err.Error(), "not found") {
		t.Errorf("a speaker reads Secrets of another namespace: %v", err)
	}
}
