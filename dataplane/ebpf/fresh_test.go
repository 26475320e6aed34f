package ebpf

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The committed object was built of the sources as they are: their digests were
// written down when it was. Another clang would make other bytes of the same sources.
func TestObjectIsFresh(t *testing.T) {
	text, err := os.ReadFile("sources.sha256")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("bpf/*")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, f := range append(files, "generate.go") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256(b), f)
	}
	if string(text) != want.String() {
		t.Error("the sources are not those that direct_bpfel.o was built of: run make generate-ebpf")
	}
}
