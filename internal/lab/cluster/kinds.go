package cluster

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// definitions are the kinds that somebody defined.
var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// AwaitKinds waits until the API server serves every kind that has been defined by
// a CustomResourceDefinition so far, in every version that is to be served: the
// kind is established and found by discovery, and lists and watches are answered.
// On a busy machine that may be seconds later; meanwhile the API server answers
// 404 or 429. The error says what is still missing when ctx ends.
func (c *Cluster) AwaitKinds(ctx context.Context) error {
	config := rest.CopyConfig(c.Config())
	config.WarningHandler = rest.NoWarnings{} // some versions are deprecated
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var missing error
	for {
		err := kindsServed(ctx, client, found)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || missing == nil {
			missing = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cluster: wait for the kinds (%w): %w", missing, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// kindsServed returns nil, or what is still missing.
func kindsServed(ctx context.Context, client dynamic.Interface, found discovery.DiscoveryInterface) error {
	list, err := client.Resource(definitions).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list definitions: %w", err)
	}
	for _, crd := range list.Items {
		if !established(crd.Object) {
			return fmt.Errorf("%s is not established", crd.GetName())
		}
		for _, gvr := range served(crd.Object) {
			if err := discovered(found, gvr); err != nil {
				return err
			}
			if err := answers(ctx, client.Resource(gvr)); err != nil {
				return fmt.Errorf("%s of %s: %w", gvr.Resource, gvr.GroupVersion(), err)
			}
		}
	}
	return nil
}

// established reports whether a definition is in force.
func established(crd map[string]any) bool {
	conditions, _, _ := unstructured.NestedSlice(crd, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Established" {
			return c["status"] == "True"
		}
	}
	return false
}

// served are the resources of a definition, one for each version.
func served(crd map[string]any) (out []schema.GroupVersionResource) {
	group, _, _ := unstructured.NestedString(crd, "spec", "group")
	plural, _, _ := unstructured.NestedString(crd, "spec", "names", "plural")
	versions, _, _ := unstructured.NestedSlice(crd, "spec", "versions")
	for _, v := range versions {
		if v, ok := v.(map[string]any); ok && v["served"] == true {
			name, _ := v["name"].(string)
			out = append(out, schema.GroupVersionResource{Group: group, Version: name, Resource: plural})
		}
	}
	return out
}

// discovered returns nil if clients that ask for what there is are told of a
// resource.
func discovered(found discovery.DiscoveryInterface, gvr schema.GroupVersionResource) error {
	list, err := found.ServerResourcesForGroupVersion(gvr.GroupVersion().String())
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("discover %s: %w", gvr.GroupVersion(), err)
	}
	if list != nil {
		for _, r := range list.APIResources {
			if r.Name == gvr.Resource {
				return nil
			}
		}
	}
	return fmt.Errorf("%s of %s is not discovered", gvr.Resource, gvr.GroupVersion())
}

// answers returns nil if a resource can be listed and watched.
func answers(ctx context.Context, resource dynamic.ResourceInterface) error {
	if _, err := resource.List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	w, err := resource.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	w.Stop()
	return nil
}
