package lab

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pharoslb/pharos/examples/walkthrough"
)

// inputs are the walk-through's files, by what is done with them.
var inputs = []string{"bgp.yaml", "switch.conf", "test.yaml"}

// originals is where the walk-through's files lie beside a checkout.
const originals = "../shared/walkthrough"

// FindInput looks for the walk-through's original files beside the module that
// dir is in; empty if they are not there.
func FindInput(dir string) string {
	root, err := ModuleRoot(dir)
	if err != nil {
		return ""
	}
	found := filepath.Join(root, originals)
	for _, name := range inputs {
		if _, err := os.Stat(filepath.Join(found, name)); err != nil {
			return ""
		}
	}
	return found
}

// ModuleRoot is the nearest directory upwards of dir with a go.mod.
func ModuleRoot(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod in any directory above: %w", fs.ErrNotExist)
		}
		dir = parent
	}
}

// takeInput checks that the input files are there; without a directory it
// writes the program's own copies.
func (l *Lab) takeInput() error {
	if l.opts.Input != "" {
		dir, err := filepath.Abs(l.opts.Input)
		if err != nil {
			return err
		}
		l.opts.Input = dir
		for _, name := range inputs {
			if _, err := os.Stat(l.Input(name)); err != nil {
				return fmt.Errorf("input: %w", err)
			}
		}
		return nil
	}
	l.opts.Input = filepath.Join(l.opts.Dir, "input")
	for _, name := range inputs {
		data, err := walkthrough.Files.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(l.Input(name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Input is the file of that name among the lab's input: bgp.yaml, switch.conf
// or test.yaml.
func (l *Lab) Input(name string) string { return filepath.Join(l.opts.Input, name) }
