package file

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/crd"
)

const (
	maxSize   = 64 << 20 // bytes of all files together
	maxValues = 2_000_000
)

// Problem is one thing that is wrong.
type Problem struct {
	File    string     `json:"file"`
	Line    int        `json:"line"`             // from 1; 0 if unknown
	Object  pharos.Ref `json:"object"`           // the zero Ref where there is no object
	Field   string     `json:"field,omitempty"`  // path, such as spec.addresses[1]
	Reason  string     `json:"reason"`           // one sentence
	Hint    string     `json:"hint,omitempty"`   // what to do about it
	Warning bool       `json:"warning,omitzero"` // the set may well be right, in its cluster
}

// Set is what files hold.
type Set struct {
	Objects crd.Objects // of the right group and readable; in the order of the files
	Files   int         // read
	Count   int         // objects of group metallb.io, and ConfigMaps that configure
	Skipped int         // objects of other groups

	problems []Problem
	places   map[pharos.Ref]place
	piece    []byte     // of text that is being read
	above    int        // lines above it
	root     *yaml.Node // what is read of it
	found    bool       // the file is one of a directory's
	size     int
	values   int
}

// place is where an object is written.
type place struct {
	file string
	node *yaml.Node
}

// DefaultNamespace is the one that objects without a namespace count as being in,
// and the one that counts unless told otherwise.
const DefaultNamespace = "metallb-system"

// New returns an empty Set of the objects of a namespace.
func New(namespace string) *Set {
	return &Set{
		Objects: crd.Objects{
			Namespace: namespace, Secrets: map[string]crd.Secret{},
			LegacyRef: pharos.Ref{Kind: "ConfigMap", Namespace: namespace, Name: "config"},
		},
		places: map[pharos.Ref]place{},
	}
}

// Add reads a file, or all .yaml, .yml and .json files below a directory in the
// order of their paths, folders whose names begin with a dot aside. The error is
// about reading alone; what is wrong with the text is a Problem. What is plainly
// no object is an error in a file that is named, a warning in one that is found.
func (s *Set) Add(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path += string(filepath.Separator) // follows a link
	}
	var paths []string
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != path && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !d.IsDir() && (p == path || slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(p))) {
			paths = append(paths, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("%s has no .yaml, .yml or .json file", path)
	}
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		s.found = p != path
		err = s.Read(p, f)
		s.found = false
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// Read reads a stream of YAML or JSON documents, which Problems call name.
func (s *Set) Read(name string, r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(r, int64(maxSize-s.size)+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if s.size += len(text); s.size > maxSize {
		return fmt.Errorf("%s: there are more than %d bytes", name, maxSize)
	}
	s.Files++
	s.decode(name, text)
	return nil
}
