package file

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/configmap"
	"github.com/pharoslb/pharos/internal/crd"
)

// secret reads what a peer's password may be in.
func (s *Set) secret(w *walk, fields map[string]*yaml.Node, name string) {
	out := crd.Secret{Type: "Opaque"}
	if t := fields["type"]; t != nil {
		out.Type = w.deref(t).Value
	}
	for _, key := range []string{"data", "stringData"} { // the second one wins, as in the API
		m := fields[key]
		if m == nil || w.deref(m).Kind != yaml.MappingNode {
			continue
		}
		_, of := w.pairs(w.deref(m), key)
		if of["password"] == nil {
			continue
		}
		password := pharos.Secret(w.deref(of["password"]).Value)
		if key == "data" {
			plain, err := base64.StdEncoding.DecodeString(password.Reveal())
			if err != nil {
				continue
			}
			password = pharos.Secret(plain)
		}
		out.Password = &password
	}
	s.Objects.Secrets[name] = out
}

// configMap reads the ConfigMaps that configure: config, with the text of before
// there were resources, and bgpextras.
func (s *Set) configMap(file string, n *yaml.Node, w *walk, fields map[string]*yaml.Node, ref pharos.Ref) {
	key := map[string]string{"config": "config", "bgpextras": "extras"}[ref.Name]
	var text *yaml.Node
	if data := fields["data"]; data != nil && w.deref(data).Kind == yaml.MappingNode {
		_, of := w.pairs(w.deref(data), "data")
		text = of[key]
	}
	if key == "" || text == nil {
		s.Skipped++
		return
	}
	if !s.first(file, n, ref) {
		return
	}
	text = w.deref(text)
	if ref.Name == "bgpextras" {
		s.places[ref] = place{file: file, node: n}
		s.Objects.Extras = text.Value
		return
	}
	above := text.Line - 1
	if text.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		above = text.Line // the text begins below its field
	}
	s.legacy(file, []byte(text.Value), above)
}

// first counts an object that configures, and reports whether it is the first of
// its name.
func (s *Set) first(file string, n *yaml.Node, ref pharos.Ref) bool {
	s.Count++
	twin, ok := s.places[ref]
	if ok {
		s.problems = append(s.problems, Problem{File: file, Line: n.Line, Object: ref, Field: "metadata.name", Hint: "leave one out",
			Reason: fmt.Sprintf("%s is written already, in %s, line %d", ref, twin.file, twin.node.Line)})
	}
	return !ok
}

// legacy reads the ConfigMap's text, which begins behind a number of lines.
func (s *Set) legacy(file string, text []byte, above int) {
	ref := s.Objects.LegacyRef
	// So that lines are the file's, in whatever is said of them.
	text = append(bytes.Repeat([]byte("\n"), above), text...)
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) == nil && len(doc.Content) == 1 {
		s.places[ref] = place{file: file, node: doc.Content[0]}
	} else {
		s.places[ref] = place{file: file, node: &yaml.Node{Line: above + 1}}
	}
	config, err := configmap.Parse(text)
	var wrong *configmap.Error
	switch {
	case err == nil:
		s.Objects.Legacy = config
	case errors.As(err, &wrong):
		for _, p := range wrong.Problems {
			s.problems = append(s.problems, Problem{File: file, Line: max(p.Line, above+1), Object: ref, Field: p.Field, Reason: p.Reason, Hint: p.Hint})
		}
		if wrong.More > 0 {
			s.problems = append(s.problems, Problem{File: file, Line: above + 1, Object: ref, Reason: fmt.Sprintf("and %d more", wrong.More)})
		}
	}
}
