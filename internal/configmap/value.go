package configmap

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pharoslb/pharos/internal/rule"
)

// value is one YAML value and where it stands. The zero value is one that is
// not there; reading it gives what an absent field means, and no problem.
type value struct {
	p    *parser
	node *yaml.Node
	path string
}

// value makes a value of a node, following aliases, or an absent one of null.
func (p *parser) value(n *yaml.Node, path string) value {
	p.values++
	if p.values > maxValues {
		return value{}
	}
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return value{}
	}
	return value{p, n, path}
}

func (v value) there() bool { return v.node != nil }

func (v value) line() int {
	if v.node == nil {
		return 0
	}
	return v.node.Line
}

// fits tells of the fault, if there is one, and reports whether there is none.
func (v value) fits(fault *rule.Fault) bool {
	if fault != nil {
		v.fail(fault.Reason, fault.Hint)
	}
	return fault == nil
}

func (v value) fail(reason, hint string) { v.p.fail(v.line(), v.path, reason, hint) }

// is reports whether the value is there and of the kind; one of another kind is
// a problem.
func (v value) is(kind yaml.Kind, want string) bool {
	if v.node == nil {
		return false
	}
	if v.node.Kind == kind {
		return true
	}
	v.fail(fmt.Sprintf("is %s, must be %s", describe(v.node), want), "")
	return false
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

func (v value) child(name string) string {
	if v.path == "" {
		return name
	}
	return v.path + "." + name
}

// entries returns a mapping's keys in order with their values. Repeated keys are
// problems; merge keys (<<) give way to the mapping's own.
func (v value) entries() (keys []string, of map[string]value, at map[string]int) {
	of, at = map[string]value{}, map[string]int{}
	if !v.is(yaml.MappingNode, "a mapping") {
		return nil, of, at
	}
	v.p.values += len(v.node.Content)
	var merged []*yaml.Node
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		k, n := v.node.Content[i], v.node.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.Tag == "!!merge" {
			merged = append(merged, n)
			continue
		}
		if k.Kind != yaml.ScalarNode {
			v.p.fail(k.Line, v.path, "a field's name is "+describe(k), "")
			continue
		}
		if len(k.Value) > maxName {
			v.p.fail(k.Line, v.path, fmt.Sprintf("a field's name is %d bytes long", len(k.Value)), "")
			continue
		}
		if line, ok := at[k.Value]; ok {
			v.p.fail(k.Line, v.child(k.Value), fmt.Sprintf("is given twice, first on line %d", line), "")
			continue
		}
		keys = append(keys, k.Value)
		at[k.Value] = k.Line
		of[k.Value] = v.p.value(n, v.child(k.Value))
	}
	for _, n := range merged {
		from := v.p.value(n, v.child("<<"))
		if !from.is(yaml.MappingNode, "a mapping") {
			continue
		}
		v.p.values += len(from.node.Content)
		for i := 0; i+1 < len(from.node.Content); i += 2 {
			k := from.node.Content[i]
			if _, ok := at[k.Value]; ok || k.Kind != yaml.ScalarNode || len(k.Value) > maxName {
				continue
			}
			keys = append(keys, k.Value)
			at[k.Value] = k.Line
			of[k.Value] = v.p.value(from.node.Content[i+1], v.child(k.Value))
		}
	}
	return keys, of, at
}

// fields returns a mapping's values by name. Names that are not known are
// problems.
func (v value) fields(known ...string) map[string]value {
	keys, of, at := v.entries()
	for _, key := range keys {
		if !slices.Contains(known, key) {
			v.p.fail(at[key], v.child(key), "there is no such field", v.p.meant(key, known))
		}
	}
	return of
}

// list returns the items of a list.
func (v value) list() []value {
	if !v.is(yaml.SequenceNode, "a list") {
		return nil
	}
	v.p.values += len(v.node.Content)
	items := make([]value, 0, len(v.node.Content))
	for i, n := range v.node.Content {
		path := fmt.Sprintf("%s[%d]", v.path, i)
		item := v.p.value(n, path)
		if item.node == nil {
			if v.p.values > maxValues {
				break
			}
			v.p.fail(n.Line, path, "is empty", "")
			continue
		}
		items = append(items, item)
	}
	return items
}

// required returns the field of that name; its absence is a problem.
func (v value) required(fields map[string]value, name string) value {
	f := fields[name]
	if !f.there() && v.there() {
		v.p.fail(v.line(), v.child(name), "is missing", "")
	}
	return f
}

// text returns a single value as it is written, trimmed of nothing; "" if absent.
func (v value) text() string {
	if !v.is(yaml.ScalarNode, "a single value") {
		return ""
	}
	return v.node.Value
}

// number returns a whole number from low to high, or absent's value.
func (v value) number(low, high, absent uint64) uint64 {
	if !v.is(yaml.ScalarNode, "a number") {
		return absent
	}
	text := v.node.Value
	if v.node.Tag == "!!str" && v.node.Style != 0 {
		v.fail(fmt.Sprintf("%s is a text, must be a number", rule.Quote(text)), "leave out the quotes")
		return absent
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < low || n > high {
		v.fail(fmt.Sprintf("%s is not a whole number from %d to %d", rule.Quote(text), low, high), "")
		return absent
	}
	return n
}

// boolean returns true or false as YAML 1.1 spells them, or absent's value.
func (v value) boolean(absent bool) bool {
	if !v.is(yaml.ScalarNode, "true or false") {
		return absent
	}
	switch strings.ToLower(v.node.Value) {
	case "true", "yes", "on", "y":
		return true
	case "false", "no", "off", "n":
		return false
	}
	v.fail(fmt.Sprintf("%s is neither true nor false", rule.Quote(v.node.Value)), "")
	return absent
}

// address returns an IP address; the zero Addr if absent or wrong. Only one of
// version 4 is accepted where only4.
func (v value) address(only4 bool) netip.Addr {
	text := v.text()
	if !v.there() || v.node.Kind != yaml.ScalarNode {
		return netip.Addr{}
	}
	a, fault := rule.Address(text, only4)
	v.fits(fault)
	return a
}

// duration returns a time within 0 s and 65535 s, nil if absent or wrong.
func (v value) duration() *time.Duration {
	text := v.text()
	if !v.there() || v.node.Kind != yaml.ScalarNode {
		return nil
	}
	d, fault := rule.Seconds(text)
	if !v.fits(fault) {
		return nil
	}
	return &d
}

// choice returns one of the words, "" if absent or wrong.
func (v value) choice(words ...string) string {
	text := v.text()
	if v.there() && v.node.Kind == yaml.ScalarNode && !slices.Contains(words, text) {
		v.fail(fmt.Sprintf("%s is none of %s", rule.Quote(text), strings.Join(words, ", ")), v.p.meant(text, words))
		return ""
	}
	return text
}
