package kube

import (
	"encoding/json"
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/api/v1beta2"
	"github.com/pharoslb/pharos/why"
)

// resource is a kind of the group metallb.io that configures.
type resource struct {
	kind string
	gvr  schema.GroupVersionResource
	make func() metav1.Object
}

var (
	pools             = resource{"IPAddressPool", v1beta1.GroupVersion.WithResource("ipaddresspools"), func() metav1.Object { return &v1beta1.IPAddressPool{} }}
	bgpAdvertisements = resource{"BGPAdvertisement", v1beta1.GroupVersion.WithResource("bgpadvertisements"), func() metav1.Object { return &v1beta1.BGPAdvertisement{} }}
	l2Advertisements  = resource{"L2Advertisement", v1beta1.GroupVersion.WithResource("l2advertisements"), func() metav1.Object { return &v1beta1.L2Advertisement{} }}
	bfdProfiles       = resource{"BFDProfile", v1beta1.GroupVersion.WithResource("bfdprofiles"), func() metav1.Object { return &v1beta1.BFDProfile{} }}
	communities       = resource{"Community", v1beta1.GroupVersion.WithResource("communities"), func() metav1.Object { return &v1beta1.Community{} }}
	peers             = resource{"BGPPeer", v1beta2.GroupVersion.WithResource("bgppeers"), func() metav1.Object { return &v1beta2.BGPPeer{} }}
)

// resources are all of them.
var resources = []*resource{&pools, &bgpAdvertisements, &l2Advertisements, &bfdProfiles, &communities, &peers}

// parsed is one object of a resource.
type parsed struct {
	uid     types.UID
	object  metav1.Object // as last read without an error; nil: it never was
	problem why.Reason    // why the newest could not be read
}

// resourceStore holds the objects of one resource for the next Parse.
type resourceStore struct {
	*Source
	*resource
}

func (s resourceStore) put(_ *pharos.Snapshot, obj any) bool {
	in := obj.(*unstructured.Unstructured)
	all := s.config.objects[s.resource]
	was, known := all[in.GetName()]
	if known && was.uid != in.GetUID() {
		was, known = parsed{}, false
	}
	if known && was.problem.Code == why.OK && sameSpec(was.object, in) {
		return false // its status
	}
	now := parsed{uid: in.GetUID(), object: was.object}
	if o, err := s.read(in); err != nil {
		s.errors++
		now.problem = why.New(why.ConfigInvalid, "it cannot be read: %s", err)
	} else {
		now.object = o
	}
	all[in.GetName()] = now
	s.stir()
	return false
}

// sameSpec reports whether an object says what it said before, but for its
// status.
func sameSpec(was metav1.Object, is *unstructured.Unstructured) bool {
	return was.GetGeneration() == is.GetGeneration() && is.GetGeneration() != 0 &&
		maps.Equal(was.GetAnnotations(), is.GetAnnotations()) && maps.Equal(was.GetLabels(), is.GetLabels())
}

// read makes the kind's type of an object. One of a field's type that is none of
// ours is an error, of this object alone.
func (r *resource) read(in *unstructured.Unstructured) (metav1.Object, error) {
	unstructured.RemoveNestedField(in.Object, "metadata", "managedFields")
	unstructured.RemoveNestedField(in.Object, "status")
	text, err := json.Marshal(in.Object)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	out := r.make()
	if err := json.Unmarshal(text, out); err != nil {
		return nil, err
	}
	return out, nil
}

func (s resourceStore) drop(_ *pharos.Snapshot, obj any) bool {
	delete(s.config.objects[s.resource], obj.(*unstructured.Unstructured).GetName())
	s.stir()
	return false
}

func (s resourceStore) replace(next *pharos.Snapshot, objs []any) bool {
	there := map[string]bool{}
	for _, obj := range objs {
		there[obj.(*unstructured.Unstructured).GetName()] = true
		s.put(next, obj)
	}
	for name := range s.config.objects[s.resource] {
		if !there[name] {
			delete(s.config.objects[s.resource], name)
		}
	}
	s.stir()
	return false
}

func (s resourceStore) len() int { return len(s.config.objects[s.resource]) }
