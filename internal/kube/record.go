package kube

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pharoslb/pharos/api/v1beta1"
)

// record is one object whose status a role publishes.
type record struct {
	id     string            // what it is about: one of a kind has it
	name   string            // of the object, if it has to be made
	labels map[string]string // that it must have, beside any others
	owner  *metav1.OwnerReference
	status map[string]any // as JSON has it
}

// statusKind is a kind of such objects.
type statusKind struct {
	kind string
	gvr  schema.GroupVersionResource

	// foreign says that others make and delete the objects: there is only a status
	// to write.
	foreign bool

	// selector chooses a node's objects; id tells what an object is about, empty if
	// it is of no use.
	selector func(node string) string
	id       func(*unstructured.Unstructured) string
}

var (
	poolStatuses = &statusKind{
		kind: "IPAddressPool", gvr: pools.gvr, foreign: true,
		selector: func(string) string { return "" },
		id:       func(o *unstructured.Unstructured) string { return poolID(o.GetName(), string(o.GetUID())) },
	}
	configurationStates = &statusKind{
		kind: "ConfigurationState", gvr: v1beta1.GroupVersion.WithResource("configurationstates"),
		selector: func(node string) string {
			if node == "" {
				return v1beta1.ComponentTypeLabel + "=controller"
			}
			return v1beta1.NodeNameLabel + "=" + labelValue(node)
		},
		id: func(o *unstructured.Unstructured) string { return o.GetName() },
	}
	serviceL2Statuses = &statusKind{
		kind: "ServiceL2Status", gvr: v1beta1.GroupVersion.WithResource("servicel2statuses"),
		selector: ofNode, id: serviceID,
	}
	serviceBGPStatuses = &statusKind{
		kind: "ServiceBGPStatus", gvr: v1beta1.GroupVersion.WithResource("servicebgpstatuses"),
		selector: ofNode, id: serviceID,
	}
	bgpSessionStates = &statusKind{
		kind: "BGPSessionState", gvr: v1beta1.GroupVersion.WithResource("bgpsessionstates"),
		selector: ofNode,
		id: func(o *unstructured.Unstructured) string {
			return sessionID(o.GetLabels()[peerLabel], o.GetLabels()[vrfLabel])
		},
	}
)

// Labels of a BGPSessionState, beside v1beta1.NodeLabel.
const (
	peerLabel = "metallb.io/peer"
	vrfLabel  = "metallb.io/vrf"
)

func ofNode(node string) string { return v1beta1.NodeLabel + "=" + labelValue(node) }

func poolID(name, uid string) string { return name + "/" + uid }

func sessionID(peer, vrf string) string { return vrf + "/" + peer }

// serviceID is the Service that an object is about. MetalLB's have these labels
// too, and are taken over.
func serviceID(o *unstructured.Unstructured) string {
	l := o.GetLabels()
	if l[v1beta1.ServiceNameLabel] == "" {
		return ""
	}
	return l[v1beta1.ServiceNamespaceLabel] + "/" + l[v1beta1.ServiceNameLabel]
}

// asJSON makes of a status what the API server makes of it.
func asJSON(status any) map[string]any {
	text, err := json.Marshal(status)
	if err != nil {
		return nil
	}
	var out map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // counters need all their digits
	if d.Decode(&out) != nil {
		return nil
	}
	return out
}

// seen is an object as it was last seen, or written.
type seen struct {
	id     string
	name   string
	labels map[string]string
	owners []metav1.OwnerReference
	status map[string]any
}

func see(k *statusKind, o *unstructured.Unstructured) seen {
	status, _, _ := unstructured.NestedMap(o.Object, "status")
	return seen{k.id(o), o.GetName(), o.GetLabels(), o.GetOwnerReferences(), asJSON(status)}
}

// verb is what a change does to an object.
type verb int

const (
	remove verb = iota
	relabel
	restate
	add
)

// change is one thing to do to an object, of that name.
type change struct {
	verb   verb
	name   string
	record record
	was    map[string]any // the status to be replaced
}

// plan returns what makes the objects of a kind say what is wanted: what is
// superfluous goes first, what is missing comes last. Of several objects about one
// thing the first by name stays.
func plan(k *statusKind, want []record, have []seen) []change {
	slices.SortFunc(have, func(a, b seen) int { return cmp.Compare(a.name, b.name) })
	wanted := map[string]record{}
	for _, r := range want {
		wanted[r.id] = r
	}
	var changes []change
	found := map[string]bool{}
	for _, h := range have {
		r, ok := wanted[h.id]
		if !ok || found[h.id] {
			if !k.foreign {
				changes = append(changes, change{verb: remove, name: h.name})
			}
			continue
		}
		found[h.id] = true
		if !labelled(h.labels, r.labels) || !owned(h.owners, r.owner) {
			changes = append(changes, change{verb: relabel, name: h.name, record: r})
		}
		if !reflect.DeepEqual(h.status, r.status) {
			changes = append(changes, change{verb: restate, name: h.name, record: r, was: h.status})
		}
	}
	for _, r := range want {
		switch {
		case found[r.id]:
		case k.foreign:
			changes = append(changes, change{verb: restate, name: r.name, record: r})
		default:
			changes = append(changes, change{verb: add, name: r.name, record: r})
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.verb, b.verb) })
	return changes
}

func labelled(have, want map[string]string) bool {
	for key, value := range want {
		if have[key] != value {
			return false
		}
	}
	return true
}

// owned reports whether the owner is the only one. Where it is not known any will
// do.
func owned(have []metav1.OwnerReference, want *metav1.OwnerReference) bool {
	return want == nil || len(have) == 1 && have[0].UID == want.UID
}

// statusPatch returns the JSON merge patch (RFC 7396) that turns one status into
// another.
func (c *change) statusPatch() ([]byte, error) {
	status := maps.Clone(c.record.status)
	if status == nil {
		status = map[string]any{}
	}
	for key := range c.was {
		if _, ok := status[key]; !ok {
			status[key] = nil
		}
	}
	return json.Marshal(map[string]any{"status": status})
}

// metaPatch returns the JSON merge patch that sets labels and owner.
func (c *change) metaPatch() ([]byte, error) {
	meta := map[string]any{"labels": c.record.labels}
	if c.record.owner != nil {
		meta["ownerReferences"] = []metav1.OwnerReference{*c.record.owner}
	}
	return json.Marshal(map[string]any{"metadata": meta})
}
