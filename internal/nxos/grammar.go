package nxos

import (
	"fmt"
	"slices"
	"strings"
)

// kind is a kind of argument: what it is called in a pattern, what help says of
// it, and what it takes.
type kind struct {
	name  string // <as>
	help  string
	check func(string) error
	rest  bool // it takes the rest of the line
}

// node is a word of a grammar and what may follow it. The zero value is an empty
// grammar, whose leaves are of type T.
type node[T any] struct {
	text string // of a literal word
	kind *kind  // of an argument
	next []*node[T]
	leaf *T
}

// add puts a command into the grammar: words, and arguments in the form <kind>.
func (n *node[T]) add(pattern string, leaf T) {
	for _, word := range strings.Fields(pattern) {
		n = n.child(word)
	}
	n.leaf = &leaf
}

func (n *node[T]) child(word string) *node[T] {
	child := &node[T]{text: word}
	if strings.HasPrefix(word, "<") {
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == word })
		child = &node[T]{kind: &kinds[i]}
	}
	for _, c := range n.next {
		if c.text == child.text && c.kind == child.kind {
			return c
		}
	}
	n.next = append(n.next, child)
	return child
}

// name is how help calls the word.
func (n *node[T]) name() string {
	if n.kind != nil {
		return n.kind.name
	}
	return n.text
}

// help is what help says of the word.
func (n *node[T]) help() string {
	if n.kind != nil {
		return n.kind.help
	}
	return wordHelp[n.text]
}

// token is a word of a line and where it begins.
type token struct {
	text   string
	column int
}

func tokens(line string) []token {
	var out []token
	for i := 0; i < len(line); {
		if line[i] == ' ' || line[i] == '\t' {
			i++
			continue
		}
		end := i
		for end < len(line) && line[end] != ' ' && line[end] != '\t' {
			end++
		}
		out = append(out, token{line[i:end], i})
		i = end
	}
	return out
}

// Fault is what is wrong with a line.
type Fault uint8

// Faults, with NX-OS's words for them.
const (
	Invalid Fault = iota
	Incomplete
	Ambiguous
)

func (f Fault) String() string {
	return [...]string{"Invalid", "Incomplete", "Ambiguous"}[f]
}

// SyntaxError is a line that the grammar does not have.
type SyntaxError struct {
	Fault  Fault
	Column int // where, counted from 0
	Word   string
	// Reason is why an argument was not taken, if that is what is wrong.
	Reason   string
	Expected []string // what could stand there
}

// Error is what NX-OS prints: the marker below the line, and the message.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%*s\n%% %s command at '^' marker.", e.Column+1, "^", e.Fault)
}

// match finds the command that a line is, and its arguments.
func (n *node[T]) match(line string) (leaf T, args []string, err *SyntaxError) {
	words := tokens(line)
	for _, w := range words {
		next, err := n.step(w)
		if err != nil {
			return leaf, nil, err
		}
		n = next
		if n.kind == nil {
			continue
		}
		if n.kind.rest {
			args = append(args, strings.TrimSpace(line[w.column:]))
			break
		}
		args = append(args, w.text)
	}
	if n.leaf == nil {
		return leaf, nil, &SyntaxError{Fault: Incomplete, Column: len(strings.TrimRight(line, " \t")), Expected: n.expected("")}
	}
	return *n.leaf, args, nil
}

// step follows one word: a literal or the unambiguous beginning of one goes before
// an argument.
func (n *node[T]) step(w token) (*node[T], *SyntaxError) {
	var found []*node[T]
	lower := strings.ToLower(w.text)
	for _, c := range n.next {
		if c.kind == nil && c.text == lower {
			return c, nil
		}
		if c.kind == nil && strings.HasPrefix(c.text, lower) {
			found = append(found, c)
		}
	}
	fault := &SyntaxError{Column: w.column, Word: w.text}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
	default:
		fault.Fault, fault.Expected = Ambiguous, n.expected(lower)
		return nil, fault
	}
	for _, c := range n.next {
		if c.kind == nil {
			continue
		}
		err := c.kind.check(w.text)
		if err == nil {
			return c, nil
		}
		fault.Reason = err.Error()
	}
	fault.Expected = n.expected("")
	if len(n.next) > 1 && !plausible(w.text) {
		fault.Reason = "" // it was more likely meant to be a word
	}
	return nil, fault
}

// plausible says that a word looks like an argument rather than a keyword.
func plausible(word string) bool { return strings.ContainsAny(word, "0123456789:.") }

// expected lists what may follow, of literals those that begin with prefix.
func (n *node[T]) expected(prefix string) []string {
	var out []string
	for _, c := range n.next {
		if c.kind != nil && prefix == "" || c.kind == nil && strings.HasPrefix(c.text, prefix) {
			out = append(out, c.name())
		}
	}
	slices.Sort(out)
	if n.leaf != nil && prefix == "" {
		out = append(out, "<CR>")
	}
	return out
}

// candidate is a word that may stand somewhere.
type candidate struct{ name, help string }

// complete returns what may stand where a line ends: candidates for its last word,
// or for the next one if it ends with a blank. partial is what is there of it.
func (n *node[T]) complete(line string) (found []candidate, partial string) {
	words := tokens(line)
	if len(words) > 0 && !strings.HasSuffix(line, " ") {
		partial = strings.ToLower(words[len(words)-1].text)
		words = words[:len(words)-1]
	}
	for _, w := range words {
		next, err := n.step(w)
		if err != nil {
			return nil, partial
		}
		n = next
	}
	for _, c := range n.next {
		if c.kind == nil && strings.HasPrefix(c.text, partial) || c.kind != nil && (partial == "" || c.kind.check(partial) == nil) {
			found = append(found, candidate{c.name(), c.help()})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return strings.Compare(a.name, b.name) })
	if n.leaf != nil && partial == "" {
		found = append(found, candidate{"<CR>", ""})
	}
	return found, partial
}
