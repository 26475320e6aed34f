package kernel

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// product is the binary under test, built from this checkout without the race
// detector, which a kernel in user mode can't run.
var product string

// With the sandbox ends every lab, whatever becomes of the tests.
func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(func() int {
		dir, err := os.MkdirTemp("", "pharos-e2e-kernel-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		product = filepath.Join(dir, "pharos")
		build := exec.Command("go", "build", "-o", product, "../../cmd/pharos")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the product: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}))
}
