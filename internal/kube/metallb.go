package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/api/v1beta2"
	"github.com/pharoslb/pharos/internal/migrate"
)

// pageSize is how many objects one request lists.
const pageSize = 500

// MetalLB looks for MetalLB in a namespace. It lists, and does nothing else. Kinds
// that the API server does not know have no objects; whatever may not be listed is
// in the error, each with its kind.
func (c *Client) MetalLB(ctx context.Context, namespace string) (*migrate.MetalLB, error) {
	ctx = quiet(ctx)
	var failed []error
	list := func(gvr schema.GroupVersionResource, namespace string, each func(*unstructured.Unstructured)) {
		if len(failed) > 0 && gone(failed[len(failed)-1]) {
			return // nothing else would be answered
		}
		if err := c.list(ctx, gvr, namespace, each); err != nil {
			failed = append(failed, fmt.Errorf("list %s: %w", gvr.GroupResource(), err))
		}
	}
	m := &migrate.MetalLB{}
	var found installation
	list(appsv1.SchemeGroupVersion.WithResource("deployments"), namespace, func(u *unstructured.Unstructured) {
		if d := as[appsv1.Deployment](u); d != nil {
			found.add(d.Labels, &d.Spec.Template)
		}
	})
	list(appsv1.SchemeGroupVersion.WithResource("daemonsets"), namespace, func(u *unstructured.Unstructured) {
		if d := as[appsv1.DaemonSet](u); d != nil {
			found.add(d.Labels, &d.Spec.Template)
		}
	})
	found.tell(m)
	list(corev1.SchemeGroupVersion.WithResource("pods"), namespace, func(u *unstructured.Unstructured) {
		if p := as[corev1.Pod](u); p != nil && component(p.Labels) == "speaker" && p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
			m.Speakers = append(m.Speakers, p.Spec.NodeName)
		}
	})
	list(v1beta1.GroupVersion.WithResource("servicel2statuses"), namespace, func(u *unstructured.Unstructured) {
		if s := as[v1beta1.ServiceL2Status](u); s != nil {
			st := migrate.Status{Service: pharos.Name{Namespace: s.Status.ServiceNamespace, Name: s.Status.ServiceName}, Node: s.Status.Node}
			for _, i := range s.Status.Interfaces {
				st.Interfaces = append(st.Interfaces, i.Name)
			}
			m.Owners = append(m.Owners, st)
		}
	})
	list(v1beta1.GroupVersion.WithResource("servicebgpstatuses"), namespace, func(u *unstructured.Unstructured) {
		if s := as[v1beta1.ServiceBGPStatus](u); s != nil {
			m.Announcers = append(m.Announcers, migrate.Status{
				Service: pharos.Name{Namespace: s.Status.ServiceNamespace, Name: s.Status.ServiceName}, Node: s.Status.Node, Peers: s.Status.Peers})
		}
	})
	list(v1beta2.GroupVersion.WithResource("bgppeers"), namespace, func(u *unstructured.Unstructured) {
		if p := as[v1beta2.BGPPeer](u); p != nil && p.Spec.DisableMP {
			m.SingleFamily = append(m.SingleFamily, p.Name)
		}
	})
	list(v1beta1.GroupVersion.WithResource("addresspools"), namespace, func(u *unstructured.Unstructured) {
		m.AddressPools = append(m.AddressPools, pharos.Ref{Kind: "AddressPool", Namespace: u.GetNamespace(), Name: u.GetName()})
	})
	list(schema.GroupVersionResource{Group: "frrk8s.metallb.io", Version: "v1beta1", Resource: "frrconfigurations"}, "", func(u *unstructured.Unstructured) {
		ref := pharos.Ref{Kind: "FRRConfiguration", Namespace: u.GetNamespace(), Name: u.GetName()}
		if strings.HasPrefix(ref.Name, "metallb-") { // named after the nodes that they are for
			m.Own = append(m.Own, ref)
		} else {
			m.Foreign = append(m.Foreign, ref)
		}
	})
	return m, errors.Join(failed...)
}

// list calls each with every object of a kind, page by page.
func (c *Client) list(ctx context.Context, gvr schema.GroupVersionResource, namespace string, each func(*unstructured.Unstructured)) error {
	options := metav1.ListOptions{Limit: pageSize}
	for {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		page, err := c.dynamic.Resource(gvr).Namespace(namespace).List(ctx, options)
		cancel()
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return requestError(err)
		}
		for i := range page.Items {
			each(&page.Items[i])
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// as makes the kind's type of an object; nil: it is not as the type says.
func as[T any](u *unstructured.Unstructured) *T {
	out := new(T)
	if runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out) != nil {
		return nil
	}
	return out
}

// component tells what of MetalLB an object is of, in its plain manifests or its
// chart.
func component(labels map[string]string) string {
	switch {
	case labels["app"] == "metallb":
		return labels["component"]
	case labels["app.kubernetes.io/name"] == "metallb":
		return labels["app.kubernetes.io/component"]
	}
	return ""
}

// installation gathers what the controller's and the speakers' templates say.
type installation struct {
	found, replaced bool
	version         migrate.Version
	mode            *string // METALLB_BGP_TYPE; nil: nobody says
	unknown         bool    // somebody has it from elsewhere
	class           string
	ignoreExclude   bool
}

func (in *installation) add(labels map[string]string, pod *corev1.PodTemplateSpec) {
	part := component(labels)
	if part != "controller" && part != "speaker" {
		return
	}
	for i := range pod.Spec.Containers {
		k := &pod.Spec.Containers[i]
		if k.Name != part && k.Name != "metallb-"+part {
			continue
		}
		in.found = true
		in.replaced = in.replaced || len(k.Args) > 0 && k.Args[0] == part
		for _, v := range []migrate.Version{migrate.ParseVersion(tag(k.Image)), migrate.ParseVersion(labels["app.kubernetes.io/version"])} {
			if in.version == (migrate.Version{}) {
				in.version = v
			}
		}
		for _, e := range k.Env {
			if e.Name == "METALLB_BGP_TYPE" {
				in.mode, in.unknown = &e.Value, in.unknown || e.ValueFrom != nil
			}
		}
		for i, a := range k.Args {
			value, given := flag(a, "lb-class")
			if given && value == "" && i+1 < len(k.Args) {
				value = k.Args[i+1]
			}
			if given {
				in.class = value
			}
			if value, given := flag(a, "ignore-exclude-lb"); given && value != "false" {
				in.ignoreExclude = true
			}
		}
	}
}

func (in *installation) tell(m *migrate.MetalLB) {
	m.Found, m.Replaced, m.Class, m.IgnoreExcludeLabel = in.found, in.replaced, in.class, in.ignoreExclude
	switch {
	case !in.found, in.replaced:
		return // whoever runs there, it is not MetalLB
	case in.unknown:
	case in.mode == nil:
		m.Mode = migrate.Native
	default:
		m.Mode = migrate.ParseMode(*in.mode)
	}
	m.Version = in.version
}

// tag returns an image's tag.
func tag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	image = image[strings.LastIndexByte(image, '/')+1:]
	_, tag, _ := strings.Cut(image, ":")
	return tag
}

// flag reads -name, --name and both with a value.
func flag(arg, name string) (value string, given bool) {
	arg, value, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
	return value, arg == name
}
