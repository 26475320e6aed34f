package uml

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// Case is a test that needs the guest's kernel.
type Case struct {
	Name string
	Run  func(*testing.T)
}

// Main runs m, a test binary's own Main, and returns its status: in a guest where
// this is one, otherwise in a sandbox, with which every kernel ends that was booted.
//
//	func TestMain(m *testing.M) { os.Exit(uml.Main(m.Run)) }
func Main(m func() int) int {
	if Inside() {
		Guest(func() int { return sandbox.Main(m) })
	}
	return sandbox.Main(m)
}

// Test runs the cases as subtests of t on the machine's kernel, booted for them:
// in the guest it is told by Main, it runs them; outside it boots the guest, and
// says what became of each. Without the kernel it skips the test.
func Test(t *testing.T, m Machine, cases ...Case) {
	if Inside() {
		for _, c := range cases {
			t.Run(c.Name, c.Run)
		}
		return
	}
	if err := Probe(); err != nil {
		t.Skip(err)
	}
	run := forwarded("test.run")
	if first, _, _ := strings.Cut(run, "/"); first == "" || !strings.Contains(t.Name(), "/") {
		run = "^" + t.Name() + "$" + strings.TrimPrefix(run, first)
	}
	m.Args = []string{"-test.v", "-test.run=" + run, "-test.short=" + cmp.Or(forwarded("test.short"), "false")}
	boot(t, &m)
	r := newReport()
	status, err := Boot(t.Context(), m, func(line string) { r.line(line) })
	if err != nil {
		t.Fatalf("%v\n%s", err, r.text())
	}
	r.mirror(t, t.Name())
	if status != 0 && !t.Failed() {
		t.Fatalf("the guest's exit status is %d:\n%s", status, r.text())
	}
}

// Bench runs the benchmark of the same name in a guest, and prints what it
// prints. In the guest it calls run.
func Bench(b *testing.B, m Machine, run func(*testing.B)) {
	if Inside() {
		run(b)
		return
	}
	if err := Probe(); err != nil {
		b.Skip(err)
	}
	if b.N > 1 {
		return // once, however long it took
	}
	m.Args = []string{"-test.run=^$", "-test.bench=^" + b.Name() + "$", "-test.benchmem",
		"-test.benchtime=" + cmp.Or(forwarded("test.benchtime"), "1s")}
	boot(b, &m)
	var all []string
	status, err := Boot(b.Context(), m, func(line string) {
		if all = append(all, line); strings.HasPrefix(line, "Benchmark") {
			fmt.Println("guest:", line)
		}
	})
	if err != nil || status != 0 {
		b.Fatalf("the guest's exit status is %d (%v):\n%s", status, err, strings.Join(all, "\n"))
	}
}

// boot completes the machine for a test binary.
func boot(t testing.TB, m *Machine) {
	t.Helper()
	m.Env = append(m.Env, sandbox.Fresh)
	m.Limit = cmp.Or(m.Limit, 10*time.Minute)
	m.Init = Program(t)
}

// Program returns the file of the test's own binary as a guest can run it: where this
// one has the race detector, one that is built without.
func Program(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !race {
		return self
	}
	file := filepath.Join(t.TempDir(), "guest.test")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the guest's program: %v\n%s", err, out)
	}
	return file
}

// forwarded returns the value of a flag of the test binary.
func forwarded(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}
