package lab

import (
	"regexp"
	"strings"
	"testing"
)

// Where nobody watches a terminal, a phase is one line.
func TestProgress(t *testing.T) {
	var out buffer
	p := NewProgress(&out)
	p.Report("etcd", "started")
	p.Report("etcd", "waiting")
	p.Report("nodes", strings.Repeat("x", 2*longest))
	p.Stop()
	want := regexp.MustCompile(`^ +\d+\.\d s  etcd +started\n +\d+\.\d s  nodes +x{80}…\n$`)
	if !want.MatchString(out.String()) {
		t.Errorf("got %q", out.String())
	}
}
