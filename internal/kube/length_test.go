package kube

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pharoslb/pharos"
)

// A node's name may have 253 bytes, a label's value 63: what is published of such a
// node is valid, is found again, and is not another node's.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("a-long-node-name.", 14) + "example.host"
	if len(long) > maxName {
		t.Fatalf("%d bytes", len(long))
	}
	r := Report{
		Services: []ServiceReport{{Service: pharos.Name{Namespace: "shop", Name: "web"}, BGP: []string{"tor"}, Layer2: true}},
		Sessions: []SessionReport{{Peer: strings.Repeat("p.", 40), VRF: "red"}, {Peer: strings.Repeat("p.", 41), VRF: "red"}},
	}
	seen := map[string]bool{}
	for _, node := range []string{long, long[:len(long)-1] + "x"} {
		s := states{node: node}
		for kind, list := range map[*statusKind][]record{
			configurationStates: {s.configuration(r, nil, time.Now())},
			serviceBGPStatuses:  s.services(serviceBGPStatuses, r),
			serviceL2Statuses:   s.services(serviceL2Statuses, r),
			bgpSessionStates:    s.sessions(r),
		} {
			chosen, err := labels.Parse(kind.selector(node))
			if err != nil {
				t.Fatalf("%s: %v", kind.kind, err)
			}
			for _, made := range list {
				if wrong := validation.IsDNS1123Subdomain(made.name); wrong != nil || seen[kind.kind+made.name] {
					t.Errorf("%s %s: %v", kind.kind, made.name, wrong)
				}
				seen[kind.kind+made.name] = true
				for key, value := range made.labels {
					if wrong := validation.IsValidLabelValue(value); wrong != nil {
						t.Errorf("%s %s=%s: %v", kind.kind, key, value, wrong)
					}
				}
				o := &unstructured.Unstructured{Object: map[string]any{}}
				o.SetName(made.name)
				o.SetLabels(made.labels)
				if !chosen.Matches(labels.Set(made.labels)) || kind.id(o) != made.id {
					t.Errorf("%s %s is not found again as %q", kind.kind, made.name, made.id)
				}
			}
		}
	}
	if len(seen) != 2*5 {
		t.Errorf("%d objects of two nodes, want 10", len(seen))
	}

	for _, object := range []string{strings.Repeat("x.y", 80), strings.Repeat("x", 235) + "-y.example", strings.Repeat("x", 235) + ".y", "web"} {
		e := &event{subject: subject{object: corev1.ObjectReference{Kind: "IPAddressPool", Name: object}}}
		for _, name := range []string{eventName(object, time.Unix(1, 2)), sameEventName(e)} {
			if wrong := validation.IsDNS1123Subdomain(name); wrong != nil {
				t.Errorf("event %s: %v", name, wrong)
			}
		}
	}
}
