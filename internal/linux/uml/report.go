package uml

import (
	"regexp"
	"strings"
	"sync"
	"testing"
)

// report is what a guest's tests print, read line by line.
type report struct {
	mu      sync.Mutex
	lines   []string
	results map[string]*result
	order   []string
	current string
}

// result is what became of one test.
type result struct {
	status string // PASS, FAIL or SKIP; empty: it did not end
	took   string // as in (0.10s)
	output []string
}

func newReport() *report { return &report{results: map[string]*result{}} }

var (
	began = regexp.MustCompile(`^=== (RUN|CONT|NAME|PAUSE) +(\S+)$`)
	ended = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) (\([0-9.]+s\))$`)
)

func (r *report) line(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, text)
	if m := began.FindStringSubmatch(text); m != nil {
		r.current = m[2]
		r.of(m[2])
		return
	}
	if m := ended.FindStringSubmatch(text); m != nil {
		r.current = m[2]
		r.of(m[2]).status, r.of(m[2]).took = m[1], m[3]
		return
	}
	if text == "PASS" || text == "FAIL" {
		r.current = "" // the kernel's own words follow
	}
	if r.current != "" && strings.TrimSpace(text) != "" {
		result := r.of(r.current)
		result.output = append(result.output, text)
	}
}

func (r *report) of(name string) *result {
	if r.results[name] == nil {
		r.results[name] = &result{}
		r.order = append(r.order, name)
	}
	return r.results[name]
}

func (r *report) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// parent returns the test that a test is a subtest of. Names may have slashes of
// their own.
func (r *report) parent(name string) string {
	for i := strings.LastIndex(name, "/"); i > 0; i = strings.LastIndex(name, "/") {
		name = name[:i]
		if r.results[name] != nil {
			return name
		}
	}
	return ""
}

// mirror makes subtests of t of the results below the named one.
func (r *report) mirror(t *testing.T, name string) {
	own, ok := r.results[name]
	if !ok {
		t.Fatalf("the guest did not run %s:\n%s", name, r.text())
	}
	var children []string
	for _, other := range r.order {
		if r.parent(other) == name {
			children = append(children, strings.TrimPrefix(other, name+"/"))
		}
	}
	for _, child := range children {
		t.Run(child, func(t *testing.T) { r.mirror(t, name+"/"+child) })
	}
	t.Logf("in the guest %s:\n%s", own.took, strings.Join(own.output, "\n"))
	switch own.status {
	case "PASS":
	case "SKIP":
		t.SkipNow()
	case "FAIL":
		t.Fail()
	default:
		t.Errorf("did not end in the guest; its last output:\n%s", r.text())
	}
}
