package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pharoslb/pharos/internal/lab"
)

// Step is one of the walk-through's.
type Step struct {
	Number int
	Title  string
	Want   string // in a few words
	Needs  []int  // the steps without which this one makes no sense
	run    func(ctx context.Context) (seen string, err error)
}

// Result is what became of a step.
type Result struct {
	Step
	Seen string        // in a few words
	Err  error         // how it differs from what was wanted; nil: it does not
	Took time.Duration // wall time
}

// Demo performs the walk-through in one lab.
type Demo struct {
	lab     *lab.Lab
	out     io.Writer
	results []Result
}

// New prepares the walk-through in a lab brought up as far as the cluster.
// Evidence is written to out.
func New(l *lab.Lab, out io.Writer) *Demo { return &Demo{lab: l, out: out} }

// Steps are the walk-through's ten, in order.
func (d *Demo) Steps() []Step {
	return []Step{
		{1, "strictARP", "arp_ignore=1, arp_announce=2; wrong values reported with the fix", nil, d.strictARP},
		{2, "Install", "1 controller, a speaker a node; TCP 7472, TCP+UDP 7946, encrypted", []int{1}, d.install},
		{3, "Configure BGP", "bgp.yaml in force at every speaker", []int{2}, d.configureBGP},
		{4, "Configure the switch", "switch.conf in force, both ports up", nil, d.configureSwitch},
		{5, "Sessions", "3 neighbors up, from ephemeral ports to :179", []int{3, 4}, d.sessions},
		{6, "A Service", "EXTERNAL-IP 172.19.100.1, announced by every node", []int{3}, d.service},
		{7, "The switch routes it", "3 equal next hops, in BGP and in the kernel", []int{5, 6}, d.routes},
		{8, "The client reaches pods", "200 of 200 requests answered, by a pod on every node", []int{7}, d.requests},
		{9, "The node's data plane", "VIP and cluster IP lead to all 3 pods, on every node", []int{6}, d.dataplane},
		{10, "A node reboots", "path gone, client served; path back with the node", []int{8}, d.reboot},
	}
}

// Perform performs one step, unless one that it needs failed, and prints its
// evidence.
func (d *Demo) Perform(ctx context.Context, s Step) Result {
	fmt.Fprintf(d.out, "\n── Step %d: %s %s\n   wanted: %s\n", s.Number, s.Title, strings.Repeat("─", max(0, 66-len(s.Title)-len(fmt.Sprint(s.Number)))), s.Want)
	begin := time.Now()
	r := Result{Step: s}
	for _, earlier := range d.results {
		if earlier.Err != nil && slices.Contains(s.Needs, earlier.Number) {
			r.Err = fmt.Errorf("not tried: step %d failed", earlier.Number)
		}
	}
	if r.Err == nil {
		r.Seen, r.Err = s.run(ctx)
	}
	r.Took = time.Since(begin)
	d.results = append(d.results, r)
	if r.Err != nil {
		fmt.Fprintf(d.out, "\n   FAILED after %.1f s: %v\n", r.Took.Seconds(), r.Err)
	} else {
		fmt.Fprintf(d.out, "\n   ok, %.1f s: %s\n", r.Took.Seconds(), r.Seen)
	}
	return r
}

// errFailed says that the table above tells more.
var errFailed = errors.New("a step of the walk-through failed")

// Run performs all steps and ends with a table. The error says that a step
// failed.
func (d *Demo) Run(ctx context.Context) error {
	for _, s := range d.Steps() {
		d.Perform(ctx, s)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	failed := slices.ContainsFunc(d.results, func(r Result) bool { return r.Err != nil })
	d.table()
	if failed {
		return errFailed
	}
	return nil
}

// columns are the table's: a heading, a width in characters, a step's cell.
var columns = []struct {
	heading string
	width   int
	cell    func(Result) string
}{
	{"STEP", 4, func(r Result) string { return fmt.Sprint(r.Number) }},
	{"", 23, func(r Result) string { return r.Title }},
	{"EXPECTED", 36, func(r Result) string { return r.Want }},
	{"SEEN", 42, func(r Result) string {
		if r.Err != nil {
			first, _, _ := strings.Cut(r.Err.Error(), "\n")
			return first
		}
		return r.Seen
	}},
	{"TOOK", 7, func(r Result) string { return fmt.Sprintf("%.1f s", r.Took.Seconds()) }},
	{"", 6, func(r Result) string {
		if r.Err != nil {
			return "FAILED"
		}
		return "ok"
	}},
}

// table prints what became of each step, in lines that fit a terminal.
func (d *Demo) table() {
	row := func(cell func(column int) string) {
		var lines [][]string
		for i, c := range columns {
			for n, text := range wrap(cell(i), c.width) {
				if n == len(lines) {
					lines = append(lines, make([]string, len(columns)))
				}
				lines[n][i] = text
			}
		}
		for _, line := range lines {
			text := ""
			for i, c := range columns {
				text += fmt.Sprintf("%-*s  ", c.width, line[i])
			}
			fmt.Fprintln(d.out, strings.TrimRight(text, " "))
		}
	}
	fmt.Fprintln(d.out)
	row(func(i int) string { return columns[i].heading })
	for _, r := range d.results {
		row(func(i int) string { return columns[i].cell(r) })
	}
}

// wrap breaks a text between words into lines of at most so many characters;
// longer words get a line of their own.
func wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
