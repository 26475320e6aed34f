package file

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mostBroken is how many documents of a text may not be YAML before the rest is
// not looked at.
const mostBroken = 20

// decode reads the documents of a text. After one that is not YAML it goes on with
// the next, but in what is no YAML at all.
func (s *Set) decode(name string, text []byte) {
	before := len(s.problems)
	template := bytes.Contains(text, []byte("{{"))
	defer func() {
		for i := before; i < len(s.problems) && template; i++ {
			s.problems[i].Hint = cmp.Or(s.problems[i].Hint, "a chart's template? Render it first: helm template … | pharos validate -")
		}
	}()
	defer func() {
		// The YAML library is given foreign text; its bugs must not end the program.
		if r := recover(); r != nil {
			s.problems = append(s.problems, Problem{File: name, Reason: fmt.Sprintf("the YAML cannot be read: %v", r)})
		}
	}()
	if s.stream(name, text) {
		return
	}
	for line, broken := 0, 0; len(text) > 0 && s.values <= maxValues; {
		piece := text[:separator(text)]
		if err := s.documents(name, piece, line); err != nil {
			s.problems = append(s.problems, notYAML(name, piece, err, line))
			if broken++; template || broken == mostBroken {
				return
			}
		}
		text, line = text[len(piece):], line+bytes.Count(piece, []byte("\n"))
	}
}

// separator returns where the next document begins: at a line of three hyphens,
// wherever it stands (YAML 1.2 §9.1.2). The library reads further than a document,
// and what is wrong with one would be wrong with the one before.
func separator(text []byte) int {
	for at := 0; ; {
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			return len(text)
		}
		at += end + 1
		rest := text[at:]
		if bytes.HasPrefix(rest, []byte("---")) && (len(rest) == 3 || bytes.IndexByte([]byte(" \t\r\n"), rest[3]) >= 0) {
			return at
		}
	}
}

// stream reads JSON values that follow each other, as kubectl does, and reports
// whether the text is that.
func (s *Set) stream(name string, text []byte) bool {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return false
	}
	var values []json.RawMessage
	var lines []int
	decoder := json.NewDecoder(bytes.NewReader(text))
	for line, end := 0, 0; ; {
		var v json.RawMessage
		if err := decoder.Decode(&v); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return false
		}
		start := int(decoder.InputOffset()) - len(v)
		line += bytes.Count(text[end:start], []byte("\n"))
		values, lines = append(values, v), append(lines, line)
		line, end = line+bytes.Count(v, []byte("\n")), start+len(v)
	}
	for i, v := range values {
		if err := s.documents(name, v, lines[i]); err != nil {
			s.problems = append(s.problems, notYAML(name, v, err, lines[i]))
		}
	}
	return true
}

// documents reads the documents of a piece of text that begins behind a number of
// lines, up to the first that is not YAML.
func (s *Set) documents(name string, text []byte, line int) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	s.piece, s.above = text, line
	for {
		var doc yaml.Node
		if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(doc.Content) == 1 {
			lower(&doc, line)
			s.document(name, doc.Content[0])
		}
		if s.values > maxValues {
			s.problems = append(s.problems, Problem{File: name, Reason: fmt.Sprintf("there are more than %d values", maxValues), Hint: "aliases count as what they name"})
			return nil
		}
	}
}

// lower has a node, and all inside, begin so many lines further down.
func lower(n *yaml.Node, lines int) {
	if lines == 0 {
		return
	}
	n.Line += lines
	for _, inside := range n.Content {
		lower(inside, lines)
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func notYAML(name string, text []byte, err error, line int) Problem {
	p := Problem{File: name, Reason: err.Error()}
	if m := yamlLine.FindStringSubmatch(p.Reason); m != nil {
		if p.Line, _ = strconv.Atoi(m[1]); p.Line > 0 {
			p.Line += line
		}
		p.Reason = p.Reason[len(m[0]):]
	}
	p.Reason = "not YAML: " + p.Reason
	switch {
	case strings.Contains(p.Reason, "cannot start any token") && bytes.ContainsRune(text, '\t'):
		p.Hint = "tabs do not indent, blanks do"
	case bytes.HasPrefix(text, []byte("%")):
		p.Hint = "kubectl takes no directives, such as %YAML: leave it out"
	}
	return p
}
