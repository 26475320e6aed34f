package uml

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDependenciesAreReadInOrder(t *testing.T) {
	found := dependencies("kernel/net/a-b.ko: kernel/net/c.ko kernel/lib/d.ko\nkernel/net/c.ko: kernel/lib/d.ko\nkernel/lib/d.ko.xz:\n\nno colon\n")
	for name, want := range map[string][]string{
		"a_b": {"kernel/net/a-b.ko", "kernel/net/c.ko", "kernel/lib/d.ko"},
		"d":   {"kernel/lib/d.ko.xz"},
	} {
		if !slices.Equal(found[name], want) {
			t.Errorf("%s: %v, want %v", name, found[name], want)
		}
	}
}

// What a guest prints is kept by test, and a test without an end is none that passed.
func TestReportIsKeptByTest(t *testing.T) {
	r := newReport()
	for line := range strings.Lines(`booting
=== RUN   TestX
=== RUN   TestX/a_1
    x_test.go:7: hello
=== RUN   TestX/b
    --- FAIL: TestX/b (0.10s)
        y_test.go:8: bad
--- FAIL: TestX (0.10s)
    --- PASS: TestX/a_1 (0.00s)
FAIL
reboot: System halted
`) {
		r.line(strings.TrimSuffix(line, "\n"))
	}
	for name, want := range map[string]result{
		"TestX":     {"FAIL", "(0.10s)", nil},
		"TestX/a_1": {"PASS", "(0.00s)", []string{"    x_test.go:7: hello"}},
		"TestX/b":   {"FAIL", "(0.10s)", []string{"        y_test.go:8: bad"}},
	} {
		got := r.results[name]
		if got == nil || got.status != want.status || got.took != want.took || !slices.Equal(got.output, want.output) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if len(r.results) != 3 {
		t.Errorf("results %v", r.order)
	}
}

// A guest that tells no end has failed, whether it died or takes too long.
func TestGuestWithoutEnd(t *testing.T) {
	if err := Probe(); err != nil {
		t.Skip(err)
	}
	if _, err := Boot(t.Context(), Machine{Init: "/bin/false", Limit: 2 * time.Minute}, func(string) {}); err == nil || !strings.Contains(err.Error(), "no exit status") {
		t.Errorf("a guest that died: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	// It is cut off once it speaks: a shell that waits for its input.
	_, err := Boot(ctx, Machine{Init: "/bin/cat"}, func(string) { cancel() })
	if err == nil || !strings.Contains(err.Error(), "did not end") {
		t.Errorf("a guest that does not end: %v", err)
	}
}
