package uml_test

import (
	"os"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/internal/linux/uml"
)

func TestMain(m *testing.M) { os.Exit(uml.Main(m.Run)) }

// The guest is another kernel, with the modules asked for and what they need.
func TestGuest(t *testing.T) {
	uml.Test(t, uml.Machine{Modules: []string{"ip_vs_rr", "dummy"}},
		uml.Case{Name: "kernel", Run: func(t *testing.T) {
			version, err := os.ReadFile("/proc/version")
			if err != nil || !strings.HasPrefix(string(version), "Linux version ") {
				t.Fatalf("version %q: %v", version, err)
			}
			t.Logf("%s", version)
		}},
		uml.Case{Name: "modules", Run: func(t *testing.T) {
			text, err := os.ReadFile("/proc/modules")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"ip_vs_rr ", "ip_vs ", "nf_conntrack ", "dummy "} {
				if !strings.Contains(string(text), "\n"+want) && !strings.HasPrefix(string(text), want) {
					t.Errorf("no module %s in\n%s", want, text)
				}
			}
		}},
		uml.Case{Name: "files", Run: func(t *testing.T) {
			if err := os.WriteFile(t.TempDir()+"/x", []byte("x"), 0o600); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile("/usr/pharos", nil, 0o600); err == nil {
				t.Error("the machine's files can be written")
			}
		}})
}
