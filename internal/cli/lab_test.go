package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNoLabRuns(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	for _, args := range []string{"status", "exec client -- true", "switch", "kubectl get svc", "reboot cy01-net112", "logs switch"} {
		_, err := run(t, append([]string{"lab", "--name", "two"}, strings.Fields(args)...)...)
		if want := "no lab runs in " + dir + "/pharos-lab-two: bring one up with `pharos lab --name two up`"; err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
	for _, args := range []string{"lab --name ../two status", "lab kubectl --name ../two get svc"} {
		if _, err := run(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), "a name has no slash") {
			t.Errorf("%s: %v", args, err)
		}
	}
	if out, err := run(t, "lab", "kubectl", "--help"); err != nil || !strings.Contains(out, "pharos lab kubectl get svc") {
		t.Errorf("kubectl --help without a lab: %v\n%s", err, out)
	}
}

func TestFindProgram(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	tool := filepath.Join(dir, "tool")
	if err := os.WriteFile(tool, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range [][3]string{
		{"client", "tool", tool},
		{"client", "nosuch", "nosuch"},
		{"cy01-net112", "pharos", self},
		{"pod/web", "tool", "tool"},
		{"pod/metallb-system/speaker-1", "pharos", "/pharos"},
		{"pod/metallb-system/speaker-1", "/pharos", "/pharos"},
	} {
		if got := findProgram(row[0], row[1]); got != row[2] {
			t.Errorf("%s in %s: %s, want %s", row[1], row[0], got, row[2])
		}
	}
}
