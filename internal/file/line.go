package file

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// line returns the line that a field, such as spec.addresses[1], begins on, or the
// innermost one around it that is there.
func line(n *yaml.Node, field string) int {
	at := n.Line
	for field != "" {
		for n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		name, rest := step(field)
		switch n.Kind {
		case yaml.SequenceNode:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i < 0 || i >= len(n.Content) {
				return at
			}
			n = n.Content[i]
			at = n.Line
		case yaml.MappingNode:
			i := 0
			for i+1 < len(n.Content) && n.Content[i].Value != name {
				i += 2
			}
			if i+1 >= len(n.Content) {
				return at
			}
			at, n = n.Content[i].Line, n.Content[i+1]
		default:
			return at
		}
		field = rest
	}
	return at
}

// step cuts the first word off a path: a name, or what is in brackets.
func step(field string) (name, rest string) {
	if inside, ok := strings.CutPrefix(field, "["); ok {
		name, rest, _ = strings.Cut(inside, "]")
	} else if end := strings.IndexAny(field, ".["); end >= 0 {
		name, rest = field[:end], field[end:]
	} else {
		name = field
	}
	return name, strings.TrimPrefix(rest, ".")
}
