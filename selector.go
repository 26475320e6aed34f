package pharos

import (
	"fmt"
	"slices"
	"strings"
)

// Selector is a Kubernetes label selector; all its requirements have to hold.
// The zero Selector matches everything.
type Selector []Requirement

// Operator relates a label to the values of a Requirement.
type Operator string

// The operators of label selectors.
const (
	In           Operator = "In"
	NotIn        Operator = "NotIn"
	Exists       Operator = "Exists"
	DoesNotExist Operator = "DoesNotExist"
)

// Requirement is one condition on one label.
type Requirement struct {
	Key      string
	Operator Operator
	Values   []string
}

// Matches reports whether labels meet every requirement.
func (s Selector) Matches(labels map[string]string) bool {
	for _, r := range s {
		value, ok := labels[r.Key]
		var match bool
		switch r.Operator {
		case In:
			match = ok && slices.Contains(r.Values, value)
		case NotIn:
			match = !ok || !slices.Contains(r.Values, value)
		case Exists:
			match = ok
		case DoesNotExist:
			match = !ok
		}
		if !match {
			return false
		}
	}
	return true
}

// MatchesAny reports whether one of the selectors matches, or there is none:
// an object without node selectors is meant for every node.
func MatchesAny(selectors []Selector, labels map[string]string) bool {
	return len(selectors) == 0 || slices.ContainsFunc(selectors, func(s Selector) bool { return s.Matches(labels) })
}

// String returns the selector as kubectl's --selector takes it.
func (s Selector) String() string {
	var parts []string
	for _, r := range s {
		switch r.Operator {
		case In, NotIn:
			op := map[Operator]string{In: "in", NotIn: "notin"}[r.Operator]
			parts = append(parts, fmt.Sprintf("%s %s (%s)", r.Key, op, strings.Join(r.Values, ",")))
		case Exists:
			parts = append(parts, r.Key)
		case DoesNotExist:
			parts = append(parts, "!"+r.Key)
		}
	}
	return strings.Join(parts, ",")
}
