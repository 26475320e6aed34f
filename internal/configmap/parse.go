package configmap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pharoslb/pharos"
)

const (
	maxSize     = 2 << 20 // bytes; a ConfigMap holds at most 1 MiB
	maxValues   = 400_000 // values read, with what aliases repeat
	maxProblems = 50
	maxName     = 317 // bytes of a field's name: a label's key at its longest (253/63)
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Line   int    // in the text, from 1; 0 if unknown
	Field  string // path, such as address-pools[0].addresses[1]
	Reason string
	Hint   string // may be empty
}

// String returns line, field, reason and hint as one line.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Reason)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Error is every problem of one text, in the order of lines.
type Error struct {
	Problems []Problem // at most 50
	More     int       // how many are left out
}

// Error returns the problems, one a line.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more problems", e.More))
	}
	return strings.Join(lines, "\n")
}

// Parse reads the text of the ConfigMap's key. The error, if any, is an *Error.
// An empty text is a configuration without pools and peers.
func Parse(text []byte) (config *pharos.Config, err error) {
	p := &parser{}
	defer func() {
		// The YAML library is given hostile text; its bugs must not end the program.
		if r := recover(); r != nil {
			config, err = nil, &Error{Problems: []Problem{{Reason: fmt.Sprintf("the YAML cannot be read: %v", r)}}}
		}
	}()
	root, ok := p.document(text)
	if ok {
		config = p.config(root)
	}
	if p.values > maxValues {
		return nil, &Error{Problems: []Problem{{Reason: fmt.Sprintf("there are more than %d values", maxValues), Hint: "aliases count as what they name"}}}
	}
	if len(p.problems) == 0 {
		return config, nil
	}
	slices.SortStableFunc(p.problems, func(a, b Problem) int { return a.Line - b.Line })
	e := &Error{Problems: p.problems, More: p.more}
	if extra := len(e.Problems) - maxProblems; extra > 0 {
		e.More += extra
		e.Problems = e.Problems[:maxProblems]
	}
	return nil, e
}

// parser collects problems, so that an operator sees all of them at once.
type parser struct {
	problems    []Problem
	more        int // problems that are not kept
	values      int // read so far
	communities map[string]pharos.Community
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// document reads the text as YAML.
func (p *parser) document(text []byte) (value, bool) {
	if len(text) > maxSize {
		p.fail(0, "", fmt.Sprintf("the text is %d bytes long, at most %d are read", len(text), maxSize), "")
		return value{}, false
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, next yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return value{}, true
	}
	if err == nil {
		if err = decoder.Decode(&next); err == nil {
			p.fail(next.Line, "", "a second YAML document begins", "put everything into one")
			return value{}, false
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		message := err.Error()
		line := 0
		if m := yamlLine.FindStringSubmatch(message); m != nil {
			line, _ = strconv.Atoi(m[1])
			message = message[len(m[0]):]
		}
		hint := ""
		if strings.Contains(message, "cannot start any token") && bytes.ContainsRune(text, '\t') {
			hint = "tabs do not indent, blanks do"
		}
		p.fail(line, "", "not YAML: "+message, hint)
		return value{}, false
	}
	if len(doc.Content) != 1 {
		return value{}, true
	}
	return p.value(doc.Content[0], ""), true
}

// config reads the whole configuration.
func (p *parser) config(root value) *pharos.Config {
	f := root.fields("peers", "bgp-communities", "address-pools", "bfd-profiles")
	p.communities = p.aliases(f["bgp-communities"])
	c := &pharos.Config{BFDProfiles: p.profiles(f["bfd-profiles"])}
	profiles := make(map[string]bool, len(c.BFDProfiles))
	for _, profile := range c.BFDProfiles {
		profiles[profile.Name] = true
	}
	c.Peers = p.peers(f["peers"], profiles)
	p.pools(f["address-pools"], c)
	return c
}

func (p *parser) fail(line int, field, reason, hint string) {
	if len(p.problems) == 10*maxProblems {
		p.more++
		return
	}
	p.problems = append(p.problems, Problem{Line: line, Field: field, Reason: reason, Hint: hint})
}
