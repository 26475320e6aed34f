package crd

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/meant"
	"github.com/pharoslb/pharos/internal/rule"
)

// selectors reads label selectors.
func (f *faults) selectors(field string, list []metav1.LabelSelector) []pharos.Selector {
	var out []pharos.Selector
	for i := range list {
		out = append(out, f.selector(fmt.Sprintf("%s[%d]", field, i), &list[i]))
	}
	return out
}

func (f *faults) selector(field string, l *metav1.LabelSelector) pharos.Selector {
	before := len(*f)
	for _, key := range slices.Sorted(maps.Keys(l.MatchLabels)) {
		f.label(field+".matchLabels["+key+"]", key, l.MatchLabels[key])
	}
	for i := range l.MatchExpressions {
		f.expression(fmt.Sprintf("%s.matchExpressions[%d]", field, i), &l.MatchExpressions[i])
	}
	if len(*f) > before {
		return nil
	}
	if _, err := metav1.LabelSelectorAsSelector(l); err != nil {
		f.add(field, "", "is not a label selector: %v", err)
		return nil
	}
	s := pharos.Selector{}
	for _, key := range slices.Sorted(maps.Keys(l.MatchLabels)) {
		s = append(s, pharos.Requirement{Key: key, Operator: pharos.In, Values: []string{l.MatchLabels[key]}})
	}
	for _, e := range l.MatchExpressions {
		s = append(s, pharos.Requirement{Key: e.Key, Operator: pharos.Operator(e.Operator), Values: slices.Clone(e.Values)})
	}
	return s
}

// label refuses what is no label's name, or no value of one.
func (f *faults) label(field, key string, values ...string) {
	const hint = "63 letters, digits, -, _ and . at most, a letter or digit first and last"
	if len(validation.IsQualifiedName(key)) > 0 {
		f.add(field, hint+"; a domain and / may come before", "%s is not the name of a label", rule.Quote(key))
	}
	for _, v := range values {
		if len(validation.IsValidLabelValue(v)) > 0 {
			f.add(field, hint, "%s is not the value of a label", rule.Quote(v))
		}
	}
}

var operators = []string{string(pharos.In), string(pharos.NotIn), string(pharos.Exists), string(pharos.DoesNotExist)}

func (f *faults) expression(field string, e *metav1.LabelSelectorRequirement) {
	f.label(field, e.Key, e.Values...)
	switch op := pharos.Operator(e.Operator); {
	case !slices.Contains(operators, string(op)):
		hint := ""
		if m := meant.Word(string(op), operators); m != "" {
			hint = "did you mean " + m + "?"
		}
		f.add(field+".operator", hint, "%s is none of %s", rule.Quote(string(op)), strings.Join(operators, ", "))
	case (op == pharos.In || op == pharos.NotIn) && len(e.Values) == 0:
		f.add(field+".values", "give at least one", "%s asks for values", op)
	case (op == pharos.Exists || op == pharos.DoesNotExist) && len(e.Values) > 0:
		f.add(field+".values", "leave them out", "%s takes no values", op)
	}
}

// unique refuses selectors that are given twice, and what is given twice inside
// of one.
func (f *faults) unique(field string, list []metav1.LabelSelector) {
	first := map[string]int{}
	for i := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		var parts []string
		for key, value := range list[i].MatchLabels {
			parts = append(parts, fmt.Sprintf("%q=%q", key, value))
		}
		seen := map[string]int{}
		for j, e := range list[i].MatchExpressions {
			expression := fmt.Sprintf("%s.matchExpressions[%d]", at, j)
			values := slices.Sorted(slices.Values(e.Values))
			for k := 1; k < len(values); k++ {
				if values[k] == values[k-1] {
					f.add(expression+".values", "leave one out", "has %q twice", values[k])
				}
			}
			text := fmt.Sprintf("%q %s %q", e.Key, e.Operator, values)
			if twin, ok := seen[text]; ok {
				f.add(expression, "leave one out", "is the same as matchExpressions[%d]", twin)
			} else {
				seen[text] = j
			}
			parts = append(parts, text)
		}
		slices.Sort(parts)
		whole := strings.Join(parts, "; ")
		if twin, ok := first[whole]; ok {
			f.add(at, "leave one out", "is the same selector as %s[%d]", field, twin)
		} else {
			first[whole] = i
		}
	}
}

// texts refuses texts that are given twice.
func (f *faults) texts(field string, list []string) {
	first := map[string]int{}
	for i, text := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		if twin, ok := first[text]; ok {
			f.add(at, "leave one out", "%q is given already, as %s[%d]", text, field, twin)
			continue
		}
		first[text] = i
	}
}

// meet reports whether both lists of selectors are sure to choose one and the same
// thing, if they choose any: one of them chooses everything, or all that one of its
// selectors asks for is asked for on the other side too. Lists that may or may
// not meet are looked at where the labels are known.
func meet(a, b []pharos.Selector) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	for _, x := range a {
		for _, y := range b {
			if includes(x, y) || includes(y, x) {
				return true
			}
		}
	}
	return false
}

// includes reports whether whatever narrow matches wide matches, as narrow asks
// for all that wide asks for.
func includes(wide, narrow pharos.Selector) bool {
	for _, r := range wide {
		if !slices.ContainsFunc(narrow, func(other pharos.Requirement) bool { return implies(other, r) }) {
			return false
		}
	}
	return true
}

// implies reports whether labels that meet a requirement meet the other one too.
func implies(r, other pharos.Requirement) bool {
	if r.Key != other.Key {
		return false
	}
	has := func(list []string) func(string) bool {
		return func(v string) bool { return slices.Contains(list, v) }
	}
	all := func(list []string, ok func(string) bool) bool {
		return !slices.ContainsFunc(list, func(v string) bool { return !ok(v) })
	}
	switch {
	case r.Operator == pharos.In && other.Operator == pharos.In:
		return all(r.Values, has(other.Values))
	case r.Operator == pharos.In && other.Operator == pharos.NotIn:
		return !slices.ContainsFunc(r.Values, has(other.Values))
	case r.Operator == pharos.In && other.Operator == pharos.Exists:
		return true
	case r.Operator == pharos.NotIn && other.Operator == pharos.NotIn:
		return all(other.Values, has(r.Values))
	case r.Operator == pharos.DoesNotExist && other.Operator == pharos.NotIn:
		return true
	}
	return r.Operator == other.Operator && len(r.Values) == 0 && len(other.Values) == 0
}
