package demo

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
)

// patience bounds how long one thing is waited for.
var patience = lab.Patience(90 * time.Second)

// show prints a command and what it answered, as a terminal would have it.
func (d *Demo) show(prompt, command, output string) {
	fmt.Fprintf(d.out, "\n   %s %s\n", prompt, command)
	for line := range strings.Lines(output) {
		fmt.Fprintf(d.out, "   %s\n", strings.TrimRight(line, "\n"))
	}
}

// asked is a command that can be put again and again.
type asked struct {
	prompt, command string
	ask             func(ctx context.Context) (string, error)
}

// in is a program run in a place of the lab, as a shell reads it.
func (d *Demo) in(place, script string) asked {
	return asked{place + "#", script, func(ctx context.Context) (string, error) {
		return d.lab.Output(ctx, place, "sh", "-c", script)
	}}
}

// kubectl is a command line as users type it, with kubectl as administrator.
func (d *Demo) kubectl(script string) asked {
	return asked{"$", script, func(ctx context.Context) (string, error) { return d.lab.Shell(ctx, script) }}
}

// onSwitch is a command on the switch's command line.
func (d *Demo) onSwitch(line string) asked {
	return asked{"switch#", line, func(ctx context.Context) (string, error) { return d.lab.SwitchExec(ctx, line) }}
}

// once runs a command and prints it with its answer.
func (d *Demo) once(ctx context.Context, a asked) (string, error) {
	out, err := a.ask(ctx)
	d.show(a.prompt, a.command, out)
	return out, err
}

// must runs a command, prints it with its answer, and checks that.
func (d *Demo) must(ctx context.Context, a asked, holds func(output string) error) error {
	out, err := d.once(ctx, a)
	if err != nil {
		return err
	}
	return holds(out)
}

// until runs a command until its answer holds what is wanted, and prints the
// last one. The error says how it differed.
func (d *Demo) until(ctx context.Context, a asked, holds func(output string) error) error {
	last, err := d.await(ctx, a, holds)
	d.show(a.prompt, a.command, last)
	return err
}

// await runs a command until its answer holds what is wanted, and returns the
// last one.
func (d *Demo) await(ctx context.Context, a asked, holds func(output string) error) (last string, differs error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		out, err := a.ask(ctx)
		if ctx.Err() != nil { // the answer is that of a command cut short
			return last, cmp.Or(differs, ctx.Err())
		}
		last, differs = out, err
		if err == nil {
			differs = holds(out)
		}
		if differs == nil {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return last, differs
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// nodes calls f for each node until one fails.
func (d *Demo) nodes(f func(node lab.NodePlan) error) error {
	for _, node := range d.lab.Topology().Nodes {
		if err := f(node); err != nil {
			return fmt.Errorf("%s: %w", node.Name, err)
		}
	}
	return nil
}
