package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	binaryName = "pharos-controlplane"
	binaryEnv  = "PHAROS_CONTROLPLANE"
)

// Binary returns the file of pharos-controlplane: the one that the environment
// variable PHAROS_CONTROLPLANE names, else the one beside the running program,
// else bin/pharos-controlplane in the working directory's module. The error
// says how to build it.
func Binary() (string, error) {
	if path := os.Getenv(binaryEnv); path != "" {
		if err := executable(path); err != nil {
			return "", fmt.Errorf("%s: %w", binaryEnv, err)
		}
		return filepath.Abs(path)
	}
	var candidates []string
	if self, err := os.Executable(); err == nil {
		candidates = append(candidates, filepath.Join(filepath.Dir(self), binaryName))
	}
	if root, err := moduleRoot(); err == nil {
		candidates = append(candidates, filepath.Join(root, "bin", binaryName))
	}
	for _, path := range candidates {
		switch err := executable(path); {
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
	}
	return "", fmt.Errorf("no %s in %q: build it with `make bin/%s` (ten minutes the first time), or name it in %s",
		binaryName, candidates, binaryName, binaryEnv)
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not a program", path)
	}
	return nil
}

// moduleRoot is the nearest directory upwards with a go.mod, where a test runs
// from the sources.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fs.ErrNotExist
		}
		dir = parent
	}
}
