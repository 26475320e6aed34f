package fib

import (
	"strings"
	"testing"

	"github.com/pharoslb/pharos/rib"
)

// bucketsOf lists which next hop each bucket of the only resilient group leads to.
func (b *bench) bucketsOf() []string {
	b.t.Helper()
	out, err := b.Output(b.t.Context(), "ip", "nexthop", "bucket", "list")
	must(b.t, err)
	byID := map[string]string{}
	list, err := b.Output(b.t.Context(), "ip", "nexthop", "list")
	must(b.t, err)
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) > 4 && f[2] == "via" {
			byID[f[1]] = f[3]
		}
	}
	var hops []string
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		for i := range f {
			if f[i] == "nhid" {
				hops = append(hops, byID[f[i+1]])
			}
		}
	}
	return hops
}

func count(list []string) map[string]int {
	out := map[string]int{}
	for _, s := range list {
		out[s]++
	}
	return out
}

// A next hop that is lost gives up its own buckets, and no flow of the others moves; one
// that comes takes over no more than its share.
func TestResilientGroupsMoveFewFlows(t *testing.T) {
	b := newBench(t)
	f := b.open()
	must(t, f.Resilient(true), f.Apply([]rib.Route{b.route("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114")}))
	before := b.bucketsOf()
	if n := count(before); len(before) != buckets || len(n) != 3 || n["10.10.2.112"] < buckets/3 || n["10.10.2.112"] > buckets/3+1 {
		t.Fatalf("%d buckets: %v", len(before), n)
	}
	moved := func(what string, before, after []string, allowed func(from, to string) bool) int {
		n := 0
		for i := range after {
			if after[i] != before[i] {
				if n++; !allowed(before[i], after[i]) {
					t.Errorf("%s: bucket %d moved from %s to %s", what, i, before[i], after[i])
				}
			}
		}
		return n
	}
	must(t, f.Avoid(b.set("10.10.2.112").Hops()))
	lost := b.bucketsOf()
	if n := moved("one is lost", before, lost, func(from, _ string) bool { return from == "10.10.2.112" }); n != count(before)["10.10.2.112"] {
		t.Errorf("%d buckets moved", n)
	}
	must(t, f.Apply([]rib.Route{b.route("172.19.100.1/32", "10.10.2.113", "10.10.2.114")}))
	if f.sent != 0 {
		t.Errorf("what was avoided took %d messages more", f.sent)
	}
	must(t, f.Apply([]rib.Route{b.route("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114")}))
	back := b.bucketsOf()
	if n := moved("one is back", lost, back, func(_, to string) bool { return to == "10.10.2.112" }); n > buckets/3+1 {
		t.Errorf("%d buckets moved", n)
	}

	// A restart adopts the group as it is.
	f.Close()
	f = b.open()
	must(t, f.Resilient(true), f.Apply([]rib.Route{b.route("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114")}))
	if f.sent != 0 {
		t.Errorf("adopting took %d messages", f.sent)
	}
	if n, err := f.Verify(); n != 0 || err != nil {
		t.Errorf("Verify mended %d, %v", n, err)
	}
}

// The kernel does not let a group become one of the other kind: the routes move.
func TestKindOfGroupsChanges(t *testing.T) {
	b := newBench(t)
	f := b.open()
	routes := []rib.Route{
		b.route("172.19.100.1/32", "10.10.2.112", "10.10.2.113"),
		b.route("172.19.100.2/32", "10.10.2.112"),
		b.route("2001:db8:100::1/128", "2001:db8::112", "2001:db8::113"),
	}
	want := map[string]string{
		"172.19.100.1/32":     "10.10.2.112 10.10.2.113",
		"172.19.100.2/32":     "10.10.2.112",
		"2001:db8:100::1/128": "2001:db8::112 2001:db8::113",
	}
	must(t, f.Apply(routes))
	for _, on := range []bool{true, false, true} {
		must(t, f.Resilient(on))
		b.want(Protocol, want)
		if got := len(b.bucketsOf()); got != map[bool]int{true: 3 * buckets}[on] {
			t.Errorf("resilient %v: %d buckets", on, got)
		}
		if n, err := f.Verify(); n != 0 || err != nil {
			t.Errorf("resilient %v: Verify mended %d, %v", on, n, err)
		}
	}
	// A run without the option adopts what one with it left.
	f.Close()
	f = b.open()
	must(t, f.Apply(routes), f.Sweep())
	b.want(Protocol, want)
	if got := len(b.bucketsOf()); got != 0 {
		t.Errorf("%d buckets are left", got)
	}
	must(t, f.Flush())
	if out, err := b.Output(t.Context(), "ip", "nexthop"); err != nil || out != "" {
		t.Errorf("next hops are left: %q, %v", out, err)
	}
}
