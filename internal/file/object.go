package file

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/api/v1beta2"
	"github.com/pharoslb/pharos/internal/rule"
)

const group = "metallb.io"

// head is what says which object a mapping is.
type head struct {
	group, version string
	ref            pharos.Ref
}

// document reads one document: an object, a List of them, or the bare text of
// MetalLB's ConfigMap.
func (s *Set) document(file string, n *yaml.Node) {
	w := &walk{set: s, fail: func(n *yaml.Node, field, reason, hint string) {
		s.problems = append(s.problems, Problem{File: file, Line: n.Line, Field: field, Reason: reason, Hint: hint})
	}}
	if n = w.deref(n); n.Kind != yaml.MappingNode {
		if kindOf(n) != "null" {
			w.fail(n, "", "is "+words[kindOf(n)]+", must be an object of the API", "")
		}
		return
	}
	s.root = n
	s.object(file, n, "", "", 0)
}

// deepest is how many Lists may be inside of each other; aliases could make it
// endless.
const deepest = 8

// object reads one object. Items of a List may leave out what the List says.
func (s *Set) object(file string, n *yaml.Node, apiVersion, kind string, depth int) {
	w := &walk{set: s, fail: func(*yaml.Node, string, string, string) {}} // told of below, if it is ours
	_, fields := w.pairs(n, "")
	text := func(n *yaml.Node, absent string) string {
		if n == nil || w.deref(n).Kind != yaml.ScalarNode || kindOf(w.deref(n)) == "null" {
			return absent
		}
		return cmp.Or(w.deref(n).Value, absent)
	}
	apiVersion, kind = text(fields["apiVersion"], apiVersion), text(fields["kind"], kind)
	if kind == "" && (fields["address-pools"] != nil || fields["peers"] != nil) {
		if ref := s.Objects.LegacyRef; n == s.root && s.first(file, n, ref) {
			s.legacy(file, s.piece, s.above)
		}
		return
	}
	h := head{version: apiVersion}
	if g, v, ok := strings.Cut(apiVersion, "/"); ok {
		h.group, h.version = g, v
	}
	if items := fields["items"]; items != nil && strings.HasSuffix(kind, "List") {
		for _, item := range w.deref(items).Content {
			if s.values > maxValues || depth == deepest {
				return
			}
			if item = w.deref(item); item.Kind == yaml.MappingNode {
				s.object(file, item, apiVersion, strings.TrimSuffix(kind, "List"), depth+1)
			}
		}
		return
	}
	h.ref = pharos.Ref{Kind: kind, Namespace: s.Objects.Namespace}
	if m := fields["metadata"]; m != nil {
		if m = w.deref(m); m.Kind == yaml.MappingNode {
			_, meta := w.pairs(m, "metadata")
			h.ref.Name, h.ref.Namespace = text(meta["name"], ""), text(meta["namespace"], s.Objects.Namespace)
		}
	}
	switch {
	case h.group == group:
		s.ours(file, n, h)
	case apiVersion == "v1" && h.ref.Namespace == s.Objects.Namespace && kind == "Secret":
		s.Skipped++
		s.secret(w, fields, h.ref.Name)
	case apiVersion == "v1" && h.ref.Namespace == s.Objects.Namespace && kind == "ConfigMap":
		s.configMap(file, n, w, fields, h.ref)
	case kind == "" || apiVersion == "":
		s.problems = append(s.problems, Problem{File: file, Line: n.Line, Reason: "is no object of the API: apiVersion or kind is missing", Warning: s.found && kind+apiVersion == ""})
	case h.group == "frrk8s."+group && kind == "FRRConfiguration":
		s.Skipped++
		s.problems = append(s.problems, Problem{File: file, Line: n.Line, Object: h.ref, Warning: true,
			Reason: "has no effect: there is no FRR here", Hint: "say it with BGPPeer and BGPAdvertisement"})
	case kinds()[kind] != nil && (h.group == "" || strings.Contains(h.group, "metal")):
		versions := slices.Sorted(maps.Keys(kinds()[kind]))
		s.problems = append(s.problems, Problem{File: file, Line: n.Line, Object: h.ref, Field: "apiVersion",
			Reason: fmt.Sprintf("%s is not the group of %s", rule.Quote(apiVersion), kind), Hint: group + "/" + versions[len(versions)-1]})
	default:
		s.Skipped++
	}
}

// ours reads an object of group metallb.io.
func (s *Set) ours(file string, n *yaml.Node, h head) {
	s.Count++
	w := &walk{set: s, fail: func(at *yaml.Node, field, reason, hint string) {
		s.problems = append(s.problems, Problem{File: file, Line: at.Line, Object: h.ref, Field: field, Reason: reason, Hint: hint})
	}}
	versions, ok := kinds()[h.ref.Kind]
	if !ok {
		hint := did(h.ref.Kind, slices.Sorted(maps.Keys(kinds())))
		switch h.ref.Kind {
		case "AddressPool":
			hint = "MetalLB dropped it: write an IPAddressPool, and a BGPAdvertisement or an L2Advertisement that names it"
		case "MetalLB":
			hint = "it is for MetalLB's operator"
		}
		w.fail(n, "kind", fmt.Sprintf("there is no kind %s in group %s", rule.Quote(h.ref.Kind), group), hint)
		return
	}
	sc, ok := versions[h.version]
	if !ok {
		w.fail(n, "apiVersion", fmt.Sprintf("there is no version %s of %s", rule.Quote(h.version), h.ref.Kind), "known are "+strings.Join(slices.Sorted(maps.Keys(versions)), ", "))
		return
	}
	if twin, ok := s.places[h.ref]; ok {
		w.fail(n, "metadata.name", fmt.Sprintf("%s is written already, in %s, line %d", h.ref, twin.file, twin.node.Line), "leave one out")
		return
	}
	if h.ref.Name != "" {
		s.places[h.ref] = place{file: file, node: n}
	}
	switch at := &(yaml.Node{Line: line(n, "metadata.name")}); {
	case h.ref.Name == "":
		w.fail(at, "metadata.name", "is missing", "")
	case len(validation.IsDNS1123Subdomain(h.ref.Name)) > 0:
		w.fail(at, "metadata.name", rule.Quote(h.ref.Name)+" is not a name", "lower-case letters, digits, - and . make one")
	}
	// Metadata is Kubernetes' own, and a status is not taken from files.
	object := schema{Type: "object", Required: sc.Required, Properties: maps.Clone(sc.Properties)}
	object.Properties["metadata"] = &metadata
	delete(object.Properties, "status")
	clean := *n
	clean.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "status" {
			clean.Content = append(clean.Content, n.Content[i], n.Content[i+1])
		}
	}
	value, ok := w.value(&clean, &object, "").(map[string]any)
	meta, there := value["metadata"].(map[string]any)
	if !ok || !there || h.ref.Name == "" || s.values > maxValues {
		return
	}
	meta["name"], meta["namespace"] = h.ref.Name, h.ref.Namespace
	checkLabels(w, n, meta)
	s.keep(w, n, h, value)
}

// metadata is what Kubernetes knows about every object. What means nothing here
// is not looked at.
var metadata = func() schema {
	text, texts := &schema{Type: "string"}, &schema{Type: "object", Map: &schema{Type: "string"}}
	out := schema{Type: "object", Properties: map[string]*schema{"name": text, "namespace": text, "labels": texts, "annotations": texts}}
	for _, name := range []string{
		"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName", "generation",
		"managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid",
	} {
		out.Properties[name] = &schema{}
	}
	return out
}()

// checkLabels refuses labels and annotations that the API server does.
func checkLabels(w *walk, n *yaml.Node, meta map[string]any) {
	const hint = "63 letters, digits, -, _ and . at most, a letter or digit first and last"
	for _, kind := range []string{"labels", "annotations"} {
		given, _ := meta[kind].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(given)) {
			field := "metadata." + kind + "[" + key + "]"
			name, value := key, ""
			if kind == "annotations" {
				name = strings.ToLower(key) // here the API server is less strict
			} else {
				value, _ = given[key].(string)
			}
			at := &yaml.Node{Line: line(n, field)}
			switch {
			case len(validation.IsQualifiedName(name)) > 0:
				w.fail(at, field, "is not a name", hint+"; a domain and / may come before")
			case len(validation.IsValidLabelValue(value)) > 0:
				w.fail(at, field, rule.Quote(value)+" is not the value of a label", hint)
			}
		}
	}
}

// keep puts an object into the set that package crd reads.
func (s *Set) keep(w *walk, n *yaml.Node, h head, value map[string]any) {
	o := &s.Objects
	switch h.ref.Kind {
	case "IPAddressPool":
		keep(w, n, value, &o.Pools)
	case "BGPAdvertisement":
		keep(w, n, value, &o.BGPAdvertisements)
	case "L2Advertisement":
		keep(w, n, value, &o.L2Advertisements)
	case "BFDProfile":
		keep(w, n, value, &o.BFDProfiles)
	case "Community":
		keep(w, n, value, &o.Communities)
	case "BGPPeer":
		if h.version == v1beta1.GroupVersion.Version {
			s.problems = append(s.problems, Problem{
				File: s.places[h.ref].file, Line: n.Line, Object: h.ref, Field: "apiVersion", Warning: true,
				Reason: "version v1beta1 is deprecated", Hint: "write " + v1beta2.GroupVersion.String() + ", all else stays",
			})
		}
		if spec, ok := value["spec"].(map[string]any); ok {
			for _, name := range []string{"holdTime", "keepaliveTime", "connectTime"} {
				text, ok := spec[name].(string)
				if !ok {
					continue
				}
				if _, fault := rule.Seconds(text); fault != nil {
					w.fail(&yaml.Node{Line: line(n, "spec."+name)}, "spec."+name, fault.Reason, fault.Hint)
					delete(spec, name)
				}
			}
		}
		keep(w, n, value, &o.Peers)
	}
}

func keep[T any](w *walk, n *yaml.Node, value map[string]any, list *[]*T) {
	text, err := json.Marshal(value)
	o := new(T)
	if err == nil {
		err = json.Unmarshal(text, o)
	}
	if err != nil {
		w.fail(n, "", "cannot be read: "+err.Error(), "")
		return
	}
	*list = append(*list, o)
}
