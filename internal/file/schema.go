package file

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/pharoslb/pharos/deploy"
	"github.com/pharoslb/pharos/internal/meant"
	"github.com/pharoslb/pharos/internal/rule"
)

// schema is the part of a CRD's schema that we have in use; its CEL rules are
// those of package crd.
type schema struct {
	Type       string             `yaml:"type"`
	Properties map[string]*schema `yaml:"properties"`
	Map        *schema            `yaml:"additionalProperties"`
	Items      *schema            `yaml:"items"`
	Required   []string           `yaml:"required"`
	Enum       []string           `yaml:"enum"`
	Minimum    *int64             `yaml:"minimum"`
	Maximum    *int64             `yaml:"maximum"`
	MinItems   int                `yaml:"minItems"`
	MaxItems   int                `yaml:"maxItems"`
	MaxLength  int                `yaml:"maxLength"`
	ListType   string             `yaml:"x-kubernetes-list-type"`
}

// kinds are the schemas of group metallb.io by kind and version.
var kinds = sync.OnceValue(func() map[string]map[string]*schema {
	out := map[string]map[string]*schema{}
	files, err := fs.Glob(deploy.CRDs, "crds/*.yaml")
	for _, name := range files {
		var text []byte
		if text, err = deploy.CRDs.ReadFile(name); err != nil {
			break
		}
		var crd struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Schema struct {
						OpenAPI *schema `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		if err = yaml.Unmarshal(text, &crd); err != nil {
			break
		}
		versions := map[string]*schema{}
		for _, v := range crd.Spec.Versions {
			versions[v.Name] = v.Schema.OpenAPI
		}
		out[crd.Spec.Names.Kind] = versions
	}
	if err != nil {
		panic(fmt.Sprintf("what is built in cannot be read: %v", err)) // a test reads it
	}
	return out
})

// walk checks values against a schema, and makes of them what encoding/json would.
type walk struct {
	set  *Set
	fail func(n *yaml.Node, field, reason, hint string)
}

// deref follows aliases, in bounded number.
func (w *walk) deref(n *yaml.Node) *yaml.Node {
	w.set.values++
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// value returns the value of a node; nil if it is wrong, or not looked at.
func (w *walk) value(n *yaml.Node, sc *schema, field string) any {
	if n = w.deref(n); w.set.values > maxValues {
		return nil
	}
	if sc.Type == "" {
		return nil // not looked at
	}
	kind := kindOf(n)
	if kind == "number" && sc.Type == "integer" && whole(n.Value) {
		kind = "integer"
	}
	if kind != sc.Type {
		hint := ""
		switch {
		case sc.Type == "array" && n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0:
			hint = "each entry of a list begins with a hyphen"
		case sc.Type == "array" && kind == "string" && len(n.Value) < 64:
			hint = "a list of one is [" + n.Value + "]"
		case kind == "integer" && strings.HasSuffix(field, "Time"):
			hint = fmt.Sprintf("a unit is needed: %ss", n.Value)
		case sc.Type == "string" && n.Kind == yaml.ScalarNode && kind != "null":
			hint = "put it in quotes"
			if !strings.HasSuffix(strings.ToLower(field), "password") {
				hint = fmt.Sprintf("put it in quotes: %q", n.Value)
			}
		case kind == "string" && (sc.Type == "integer" || sc.Type == "boolean") && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
			hint = "leave out the quotes"
		}
		w.fail(n, field, fmt.Sprintf("is %s, must be %s", words[kind], words[sc.Type]), hint)
		return nil
	}
	switch sc.Type {
	case "object":
		return w.object(n, sc, field)
	case "array":
		return w.array(n, sc, field)
	case "integer":
		return w.integer(n, sc, field)
	case "boolean":
		return slices.Contains(truths, n.Value)
	}
	switch {
	case sc.MaxLength > 0 && utf8.RuneCountInString(n.Value) > sc.MaxLength:
		w.fail(n, field, fmt.Sprintf("is longer than %d characters", sc.MaxLength), "")
		return nil
	case len(sc.Enum) > 0 && !slices.Contains(sc.Enum, n.Value):
		w.fail(n, field, fmt.Sprintf("%s is none of %s", rule.Quote(n.Value), strings.Join(sc.Enum, ", ")), did(n.Value, sc.Enum))
		return nil
	}
	return n.Value
}

var words = map[string]string{
	"object": "a mapping", "array": "a list", "string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "null": "empty",
}

// As YAML 1.1, which kubectl reads, spells them.
var (
	truths = strings.Fields("y Y yes Yes YES on On ON true True TRUE")
	lies   = strings.Fields("n N no No NO off Off OFF false False FALSE")
)

// whole reports whether a number with a point or an exponent is a whole one, which
// JSON does not tell from others.
func whole(text string) bool {
	v, err := strconv.ParseFloat(text, 64)
	return err == nil && v == math.Trunc(v) && math.Abs(v) < 1<<63
}

// kindOf is the type that a node has for the API server.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "object"
	case yaml.SequenceNode:
		return "array"
	}
	switch n.Tag {
	case "!!null":
		return "null"
	case "!!int":
		return "integer"
	case "!!float":
		return "number"
	case "!!bool":
		return "boolean"
	}
	if n.Style == 0 && (slices.Contains(truths, n.Value) || slices.Contains(lies, n.Value)) {
		return "boolean"
	}
	return "string"
}

func did(word string, known []string) string {
	if m := meant.Word(word, known); m != "" {
		return "did you mean " + m + "?"
	}
	return ""
}

// child is a field below another one.
func child(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// pairs returns a mapping's fields in order. Those given twice are told of; merge
// keys (<<) give way to the mapping's own.
func (w *walk) pairs(n *yaml.Node, field string) (keys []*yaml.Node, of map[string]*yaml.Node) {
	of = map[string]*yaml.Node{}
	add := func(k, v *yaml.Node, merged bool) {
		if twin, ok := of[k.Value]; ok {
			if !merged {
				hint := fmt.Sprintf("first on line %d", twin.Line)
				if field == "" && k.Value == "apiVersion" {
					hint += "; a line of --- is between two objects"
				}
				w.fail(k, child(field, k.Value), "is given twice", hint)
			}
			return
		}
		keys, of[k.Value] = append(keys, k), v
	}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch k, v := n.Content[i], n.Content[i+1]; {
		case k.Kind == yaml.ScalarNode && k.Tag == "!!merge":
			merges = append(merges, w.deref(v))
		case k.Kind == yaml.ScalarNode:
			add(k, v, false)
		default:
			w.fail(k, field, "a field's name is not a single word", "")
		}
	}
	for _, m := range merges {
		for i := 0; m.Kind == yaml.MappingNode && i+1 < len(m.Content); i += 2 {
			add(m.Content[i], m.Content[i+1], true)
		}
	}
	return keys, of
}

func (w *walk) object(n *yaml.Node, sc *schema, field string) any {
	out := map[string]any{}
	keys, of := w.pairs(n, field)
	for _, k := range keys {
		sub := sc.Properties[k.Value]
		if sub == nil {
			sub = sc.Map
		}
		if sub == nil {
			known := slices.Sorted(maps.Keys(sc.Properties))
			hint := did(k.Value, known)
			if hint == "" && len(known) > 0 && len(known) < 10 {
				hint = "known are " + strings.Join(known, ", ")
			}
			w.fail(k, child(field, k.Value), "there is no such field", hint)
			continue
		}
		if sc.Properties[k.Value] != nil && kindOf(w.deref(of[k.Value])) == "null" {
			of[k.Value] = nil // the API server drops a field that is empty
			continue
		}
		if v := w.value(of[k.Value], sub, child(field, k.Value)); v != nil {
			out[k.Value] = v
		}
	}
	for _, name := range sc.Required {
		if of[name] == nil {
			w.fail(n, child(field, name), "is missing", "")
		}
	}
	return out
}

func (w *walk) array(n *yaml.Node, sc *schema, field string) any {
	out := make([]any, 0, len(n.Content))
	first := map[string]int{}
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", field, i)
		v := w.value(item, sc.Items, at)
		if w.set.values > maxValues {
			return nil
		}
		if v == nil {
			// The others keep their places, so that they are told of by these.
			v = map[string]any{"string": "", "integer": 0, "boolean": false, "object": map[string]any{}}[sc.Items.Type]
		} else if text := fmt.Sprint(v); sc.ListType == "set" {
			if twin, ok := first[text]; ok {
				w.fail(item, at, fmt.Sprintf("%s is given already, as %s[%d]", rule.Quote(text), field, twin), "leave one out")
			} else {
				first[text] = i
			}
		}
		out = append(out, v)
	}
	switch {
	case len(out) < sc.MinItems:
		w.fail(n, field, "is empty", "")
	case sc.MaxItems > 0 && len(out) > sc.MaxItems:
		w.fail(n, field, fmt.Sprintf("has %d entries, at most %d are allowed", len(out), sc.MaxItems), "")
	}
	return out
}

func (w *walk) integer(n *yaml.Node, sc *schema, field string) any {
	v, err := strconv.ParseInt(n.Value, 0, 64)
	if err != nil && whole(n.Value) {
		f, _ := strconv.ParseFloat(n.Value, 64)
		v, err = int64(f), nil
	}
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	low, high = *cmp.Or(sc.Minimum, &low), *cmp.Or(sc.Maximum, &high)
	switch {
	case (err != nil || v < low || v > high) && sc.Minimum != nil:
		w.fail(n, field, fmt.Sprintf("%.64s is not from %d to %d", n.Value, low, high), "")
		return nil
	case err != nil:
		w.fail(n, field, fmt.Sprintf("%.64s does not fit in 64 bits", n.Value), "")
		return nil
	}
	return v
}
