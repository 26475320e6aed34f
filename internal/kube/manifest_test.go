package kube_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/pharoslb/pharos/deploy"
)

// decodeManifest reads a page strictly, but for the kinds it defines: an unknown or
// doubled field is an error, as it is for kubectl --validate=strict.
func decodeManifest(t *testing.T, page []byte) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme, admissionv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(page)))
	var objects []runtime.Object
	for {
		doc, err := reader.Read()
		if err == io.EOF {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(doc, []byte("\nkind: CustomResourceDefinition\n")) {
			continue // made of package api, and tried in package deploy
		}
		o, _, err := decoder.Decode(doc, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		objects = append(objects, o)
	}
}

func ofKind[T runtime.Object](objects []runtime.Object) (found []T) {
	for _, o := range objects {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// rightsOf lists what a service account may do: "verb resource", and the names
// where only some objects are meant.
func rightsOf(objects []runtime.Object, account string) []string {
	roles := map[string][]rbacv1.PolicyRule{}
	for _, r := range ofKind[*rbacv1.ClusterRole](objects) {
		roles["ClusterRole/"+r.Name] = r.Rules
	}
	for _, r := range ofKind[*rbacv1.Role](objects) {
		roles["Role/"+r.Name] = r.Rules
	}
	var list []string
	grant := func(subjects []rbacv1.Subject, ref rbacv1.RoleRef, where string) {
		if !slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool { return s.Name == account }) {
			return
		}
		for _, rule := range roles[ref.Kind+"/"+ref.Name] {
			for _, resource := range rule.Resources {
				line := fmt.Sprintf("%s%s %s", where, resource, strings.Join(rule.Verbs, ","))
				if len(rule.ResourceNames) > 0 {
					line += " of " + strings.Join(rule.ResourceNames, ",")
				}
				list = append(list, line)
			}
		}
	}
	for _, b := range ofKind[*rbacv1.ClusterRoleBinding](objects) {
		grant(b.Subjects, b.RoleRef, "")
	}
	for _, b := range ofKind[*rbacv1.RoleBinding](objects) {
		grant(b.Subjects, b.RoleRef, b.Namespace+": ")
	}
	slices.Sort(list)
	return list
}

// Nobody may do more than the list says: no list of Secrets, no other ConfigMap, no
// write but statuses, events and the one Lease.
func TestRights(t *testing.T) {
	objects := append(decodeManifest(t, deploy.Pharos), decodeManifest(t, deploy.Proxy)...)
	for account, want := range map[string][]string{
		"controller": {
			"events create,patch",
			"metallb-system: bfdprofiles list,watch",
			"metallb-system: bgpadvertisements list,watch",
			"metallb-system: bgppeers list,watch",
			"metallb-system: communities list,watch",
			"metallb-system: configmaps list,watch of bgpextras",
			"metallb-system: configmaps list,watch of config",
			"metallb-system: configurationstates create,delete,list,patch",
			"metallb-system: configurationstates/status patch",
			"metallb-system: ipaddresspools list,watch",
			"metallb-system: ipaddresspools/status patch",
			"metallb-system: l2advertisements list,watch",
			"metallb-system: leases create",
			"metallb-system: leases get,update of pharos-controller",
			"metallb-system: secrets create",
			"namespaces list,watch",
			"services list,watch",
			"services/status patch",
		},
		"speaker": {
			"endpointslices list,watch",
			"events create,patch",
			"metallb-system: bfdprofiles list,watch",
			"metallb-system: bgpadvertisements list,watch",
			"metallb-system: bgppeers list,watch",
			"metallb-system: bgpsessionstates create,delete,list,patch",
			"metallb-system: bgpsessionstates/status patch",
			"metallb-system: communities list,watch",
			"metallb-system: configmaps list,watch of config",
			"metallb-system: configurationstates create,delete,list,patch",
			"metallb-system: configurationstates/status patch",
			"metallb-system: ipaddresspools list,watch",
			"metallb-system: l2advertisements list,watch",
			"metallb-system: secrets get",
			"metallb-system: servicebgpstatuses create,delete,list,patch",
			"metallb-system: servicebgpstatuses/status patch",
			"metallb-system: servicel2statuses create,delete,list,patch",
			"metallb-system: servicel2statuses/status patch",
			"nodes list,watch",
			"services list,watch",
		},
		"pharos-proxy": {
			"endpointslices list,watch",
			"events create,patch",
			"nodes list,watch",
			"services list,watch",
		},
	} {
		if got := rightsOf(objects, account); !slices.Equal(got, want) {
			t.Errorf("%s may\n  %s\nwant\n  %s", account, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
}

func TestPods(t *testing.T) {
	objects := append(decodeManifest(t, deploy.Pharos), decodeManifest(t, deploy.Proxy)...)
	accounts := map[string]bool{}
	for _, a := range ofKind[*corev1.ServiceAccount](objects) {
		accounts[a.Namespace+"/"+a.Name] = true
	}
	pods := map[string]corev1.PodTemplateSpec{}
	check := func(namespace, name string, selector map[string]string, pod corev1.PodTemplateSpec) {
		pods[name] = pod
		for key, value := range selector {
			if pod.Labels[key] != value {
				t.Errorf("%s: selector %s=%s does not select the pods", name, key, value)
			}
		}
		if !accounts[namespace+"/"+pod.Spec.ServiceAccountName] {
			t.Errorf("%s: no service account %q", name, pod.Spec.ServiceAccountName)
		}
		c := pod.Spec.Containers[0]
		if c.Image != "pharoslb/pharos" || len(c.Command) > 0 {
			t.Errorf("%s runs %s %v", name, c.Image, c.Command)
		}
		if c.LivenessProbe == nil || c.LivenessProbe.HTTPGet.Path != "/livez" || c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
			t.Errorf("%s lacks a probe", name)
		}
		port := c.Ports[0]
		if want := fmt.Sprintf("--port=%d", port.ContainerPort); port.Name != "monitoring" || !slices.Contains(c.Args, want) {
			t.Errorf("%s: args %v do not say %s", name, c.Args, want)
		}
		if sc := c.SecurityContext; sc.ReadOnlyRootFilesystem == nil || !*sc.ReadOnlyRootFilesystem {
			t.Errorf("%s may write its image's files", name)
		}
		for _, m := range c.VolumeMounts {
			if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
				t.Errorf("%s mounts volume %q, which there is not", name, m.Name)
			}
		}
	}
	for _, d := range ofKind[*appsv1.Deployment](objects) {
		check(d.Namespace, d.Name, d.Spec.Selector.MatchLabels, d.Spec.Template)
	}
	for _, d := range ofKind[*appsv1.DaemonSet](objects) {
		check(d.Namespace, d.Name, d.Spec.Selector.MatchLabels, d.Spec.Template)
		if !d.Spec.Template.Spec.HostNetwork {
			t.Errorf("%s does not use the node's network", d.Name)
		}
	}
	for name, labels := range map[string][2]string{"controller": {"metallb", "controller"}, "speaker": {"metallb", "speaker"}, "pharos-proxy": {"pharos-proxy", ""}} {
		pod, ok := pods[name]
		if !ok || pod.Labels["app"] != labels[0] || pod.Labels["component"] != labels[1] {
			t.Errorf("%s: labels %v", name, pod.Labels)
		}
	}
	for name, add := range map[string][]corev1.Capability{"controller": nil, "speaker": {"NET_RAW", "SYS_NICE"}} {
		sc := pods[name].Spec.Containers[0].SecurityContext
		if !slices.Equal(sc.Capabilities.Add, add) || !slices.Equal(sc.Capabilities.Drop, []corev1.Capability{"ALL"}) || *sc.AllowPrivilegeEscalation {
			t.Errorf("%s has more privileges than it needs: %v", name, sc)
		}
	}
	if ports := []int32{pods["speaker"].Spec.Containers[0].Ports[0].ContainerPort, pods["pharos-proxy"].Spec.Containers[0].Ports[0].ContainerPort}; ports[0] == ports[1] {
		t.Errorf("speaker and proxy share port %d of the node", ports[0])
	}
}

// Whoever reaches the API server's cluster IP only through the proxy is not the
// proxy.
func TestProxyHasTheAPIServersAddressFromItsConfigMap(t *testing.T) {
	objects := decodeManifest(t, deploy.Proxy)
	maps := ofKind[*corev1.ConfigMap](objects)
	if len(maps) != 1 || maps[0].Name != "pharos-proxy" || maps[0].Data["KUBERNETES_SERVICE_HOST"] == "" || maps[0].Data["KUBERNETES_SERVICE_PORT"] == "" {
		t.Fatalf("ConfigMaps %v", maps)
	}
	from := ofKind[*appsv1.DaemonSet](objects)[0].Spec.Template.Spec.Containers[0].EnvFrom
	if len(from) != 1 || from[0].ConfigMapRef.Name != "pharos-proxy" {
		t.Errorf("environment is from %v", from)
	}
}
