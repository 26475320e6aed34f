package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pharoslb/pharos/internal/lab/kubelet"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// product is the binary under test, built from this checkout.
var product string

func TestMain(m *testing.M) {
	kubelet.Init()
	// A lab has its own namespaces and directory, and waits most of the time: two at
	// once leave a machine of two processors time to spare.
	if err := flag.Set("test.parallel", "2"); err != nil {
		panic(err)
	}
	os.Exit(sandbox.Main(func() int {
		dir, err := os.MkdirTemp("", "pharos-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		product = filepath.Join(dir, "pharos")
		build := exec.Command("go", "build", "-o", product, "../cmd/pharos")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build the product:", err)
			return 1
		}
		return m.Run()
	}))
}
