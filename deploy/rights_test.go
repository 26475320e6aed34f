package deploy_test

import (
	"maps"
	"slices"
	"strings"
	"sync"

	authzv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// own is the namespace that controller and speakers are in.
const own = "metallb-system"

// verbs are all that RBAC knows for resources.
var verbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

// everywhere is what an account may do in every namespace; at home what it may in its
// own besides. "resources verb,verb", of core or of a group.
type rights struct{ namespace, account, everywhere, atHome string }

var accounts = []rights{
	{own, "controller", `
		services list,watch
		services/status patch
		namespaces list,watch
		events create,patch`, `
		secrets create
		leases.coordination.k8s.io create`},
	{own, "speaker", `
		services list,watch
		nodes list,watch
		endpointslices.discovery.k8s.io list,watch
		events create,patch`, `
		secrets get`},
	{"kube-system", "pharos-proxy", `
		services list,watch
		nodes list,watch
		endpointslices.discovery.k8s.io list,watch
		events create,patch`, ``},
}

// everybody is what Kubernetes lets every account do.
const everybody = `
	selfsubjectreviews.authentication.k8s.io create
	selfsubjectaccessreviews.authorization.k8s.io create
	selfsubjectrulesreviews.authorization.k8s.io create
	clustertrustbundles.certificates.k8s.io get,list,watch`

// list makes a set of "resource verb" of lines "resource verb,verb".
func list(texts ...string) map[string]bool {
	set := map[string]bool{}
	for _, text := range texts {
		for line := range strings.Lines(text) {
			resource, verbs, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok {
				continue
			}
			for verb := range strings.SplitSeq(verbs, ",") {
				set[resource+" "+verb] = true
			}
		}
	}
	return set
}

// asker asks the API server what the account may do whose token it has.
type asker struct {
	*server
	client *kubernetes.Clientset
}

func (a asker) may(verb, resource, namespace, name string) bool {
	a.t.Helper()
	at := &authzv1.ResourceAttributes{Verb: verb, Namespace: namespace, Name: name}
	resource, at.Group, _ = strings.Cut(resource, ".")
	at.Resource, at.Subresource, _ = strings.Cut(resource, "/")
	review := &authzv1.SelfSubjectAccessReview{Spec: authzv1.SelfSubjectAccessReviewSpec{ResourceAttributes: at}}
	answer, err := a.client.AuthorizationV1().SelfSubjectAccessReviews().Create(a.ctx, review, metav1.CreateOptions{})
	if err != nil {
		a.t.Error(err)
		return false
	}
	return answer.Status.Allowed
}

// resources lists all that the API server has, as "pods", "pods/status" and
// "leases.coordination.k8s.io", but for the kinds of group metallb.io.
func (s *server) resources() []string {
	s.t.Helper()
	_, lists, err := s.admin.Discovery().ServerGroupsAndResources()
	if err != nil {
		s.t.Fatal(err)
	}
	all := map[string]bool{}
	for _, l := range lists {
		group, _, grouped := strings.Cut(l.GroupVersion, "/")
		if group == "metallb.io" {
			continue
		}
		for _, r := range l.APIResources {
			name := r.Name
			if grouped {
				resource, sub, _ := strings.Cut(r.Name, "/")
				name = strings.TrimSuffix(resource+"."+group, ".")
				if sub != "" {
					name = resource + "/" + sub + "." + group
				}
			}
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// Each role's service account may do what is listed, and of all that the API server
// has, nothing else: neither in the other's namespace nor in its own.
func testRights(s *server) {
	t := s.t
	s.must("", "create", "namespace", "shop")
	resources := s.resources()
	if len(resources) < 50 {
		t.Fatalf("the API server has only %v", resources)
	}
	for _, account := range accounts {
		a := asker{s, kubernetes.NewForConfigOrDie(s.as(account.namespace, account.account))}
		for where, want := range map[string]map[string]bool{
			account.namespace: list(everybody, account.everywhere, account.atHome),
			"shop":            list(everybody, account.everywhere),
		} {
			var mu sync.Mutex
			got := map[string]bool{}
			var group sync.WaitGroup
			for _, verb := range verbs {
				group.Go(func() {
					for _, r := range resources {
						if a.may(verb, r, where, "") {
							mu.Lock()
							got[r+" "+verb] = true
							mu.Unlock()
						}
					}
				})
			}
			group.Wait()
			if !maps.Equal(got, want) {
				t.Errorf("%s in %s may\n  %s\nwant\n  %s", account.account, where,
					strings.Join(slices.Sorted(maps.Keys(got)), "\n  "), strings.Join(slices.Sorted(maps.Keys(want)), "\n  "))
			}
		}
	}
}

// What is limited by name, what configures, and what would do the most harm.
func testRightsByName(s *server) {
	t := s.t
	askers := map[string]asker{}
	for _, account := range accounts {
		askers[account.account] = asker{s, kubernetes.NewForConfigOrDie(s.as(account.namespace, account.account))}
	}
	all := []string{"controller", "speaker", "pharos-proxy"}
	for _, row := range []struct {
		verbs, resource, namespace, name string
		by                               []string
	}{
		{"list,watch", "configmaps", own, "config", all[:2]},
		{"list,watch", "configmaps", own, "bgpextras", all[:1]},
		{"list,watch", "configmaps", own, "other", nil},
		{"get,create,update,patch,delete", "configmaps", own, "config", nil},
		{"get,update", "leases.coordination.k8s.io", own, "pharos-controller", all[:1]},
		{"get,update,patch", "leases.coordination.k8s.io", own, "other", nil},
		{"delete", "leases.coordination.k8s.io", own, "pharos-controller", nil},
		{"list,watch,update,patch,delete", "secrets", own, "memberlist", nil},
		{"get,list,watch,create,update,patch,delete", "secrets", "kube-system", "", nil},
		{"get,list,watch,create,update,patch,delete", "secrets", "", "", nil},
		{"create,update,patch,delete", "services", "default", "web", nil},
		{"update", "services/status", "default", "web", nil},
		{"create,update,patch,delete", "endpointslices.discovery.k8s.io", "default", "web-1", nil},
		{"create,update,patch,delete", "nodes", "", "n1", nil},
		{"patch", "nodes/status", "", "n1", nil},
		{"get,list,create,delete", "pods", own, "", nil},
		{"create", "pods/exec", own, "controller-1", nil},
		{"create", "serviceaccounts/token", own, "speaker", nil},
		{"impersonate", "users", "", "system:admin", nil},
		{"bind,escalate,create,patch", "clusterroles.rbac.authorization.k8s.io", "", "", nil},
		{"create,update,patch,delete", "ipaddresspools.metallb.io", own, "web", nil},
		{"create,update,patch,delete", "bgppeers.metallb.io", own, "tor", nil},
		{"create,update,patch,delete", "bgpadvertisements.metallb.io", own, "web", nil},
		{"create,update,patch,delete", "l2advertisements.metallb.io", own, "web", nil},
		{"create,update,patch,delete", "communities.metallb.io", own, "web", nil},
		{"create,update,patch,delete", "bfdprofiles.metallb.io", own, "web", nil},
		{"list,watch", "ipaddresspools.metallb.io", own, "", all[:2]},
		{"list,watch", "bgppeers.metallb.io", own, "", all[:2]},
		{"list,watch", "bgpadvertisements.metallb.io", own, "", all[:2]},
		{"list,watch", "l2advertisements.metallb.io", own, "", all[:2]},
		{"list,watch", "communities.metallb.io", own, "", all[:2]},
		{"list,watch", "bfdprofiles.metallb.io", own, "", all[:2]},
		{"list,watch", "bgppeers.metallb.io", "shop", "", nil},
		{"patch", "ipaddresspools/status.metallb.io", own, "web", all[:1]},
		{"create,list,patch,delete", "configurationstates.metallb.io", own, "", all[:2]},
		{"patch", "configurationstates/status.metallb.io", own, "controller", all[:2]},
		{"create,list,patch,delete", "servicel2statuses.metallb.io", own, "", all[1:2]},
		{"create,list,patch,delete", "servicebgpstatuses.metallb.io", own, "", all[1:2]},
		{"create,list,patch,delete", "bgpsessionstates.metallb.io", own, "", all[1:2]},
		{"patch", "servicel2statuses/status.metallb.io", own, "l2-x", all[1:2]},
		{"patch", "servicebgpstatuses/status.metallb.io", own, "bgp-x", all[1:2]},
		{"patch", "bgpsessionstates/status.metallb.io", own, "session-x", all[1:2]},
		{"update,patch,delete", "customresourcedefinitions.apiextensions.k8s.io", "", "bgppeers.metallb.io", nil},
		{"update,patch,delete", "validatingwebhookconfigurations.admissionregistration.k8s.io", "", "x", nil},
	} {
		for verb := range strings.SplitSeq(row.verbs, ",") {
			for _, account := range all {
				if got, want := askers[account].may(verb, row.resource, row.namespace, row.name), slices.Contains(row.by, account); got != want {
					t.Errorf("%s may %s %s %q in %q: %v, want %v", account, verb, row.resource, row.name, row.namespace, got, want)
				}
			}
		}
	}
}
