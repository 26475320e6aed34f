package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

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
		{1, "strictARP", "arp_ignore=1, arp_announce=2; wrong values reported, with the fix", nil, d.strictARP},
		{2, "Install", "1 controller, 1 speaker a node; TCP 7472, TCP+UDP 7946; gossip encrypted", []int{1}, d.install},
		{3, "Configure BGP", "bgp.yaml in force at every speaker", []int{2}, d.configureBGP},
		{4, "Configure the switch", "switch.conf in force, both ports up", nil, d.configureSwitch},
		{5, "Sessions", "3 neighbors up, from ephemeral ports to :179", []int{3, 4}, d.sessions},
		{6, "A Service", "EXTERNAL-IP 172.19.100.1, announced by every node", []int{3}, d.service},
		{7, "The switch routes it", "172.19.100.1/32 with 3 next hops, in BGP and in the kernel", []int{5, 6}, d.routes},
		{8, "The client reaches pods", "200 of 200 requests answered, by a pod on every node", []int{7}, d.requests},
		{9, "The node's data plane", "VIP and cluster IP lead to all 3 pods, on every node", []int{6}, d.dataplane},
		{10, "A node reboots", "path gone, client served; path back when the node is", []int{8}, d.reboot},
	}
}

// Perform performs one step, unless one that it needs failed, and prints its
// evidence.
func (d *Demo) Perform(ctx context.Context, s Step) Result {
	fmt.Fprintf(d.out, "\n── Step %d: %s %s\n   wanted: %s\n", s.Number, s.Title, strings.Repeat("─", max(0, 68-len(s.Title))), s.Want)
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
	fmt.Fprintln(d.out)
	var err error
	t := tabwriter.NewWriter(d.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "STEP\t\tEXPECTED\tSEEN\tTOOK\t")
	for _, r := range d.results {
		verdict, seen := "ok", r.Seen
		if r.Err != nil {
			verdict, err = "FAILED", errFailed
			seen, _, _ = strings.Cut(r.Err.Error(), "\n")
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%.1f s\t%s\n", r.Number, r.Title, r.Want, seen, r.Took.Seconds(), verdict)
	}
	t.Flush()
	return err
}
