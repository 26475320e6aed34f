package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// group is a set of rows that one measurement yields.
type group struct {
	name    string
	rows    []row
	bridged bool // its sites
	times   int  // how many measurements a round has; 0: one
	// takes says which engines can be measured.
	takes func(*engine) bool
	// measure returns a figure for each row, NaN where there is none.
	measure func(ctx context.Context, s *site, e *engine) ([]float64, error)
}

// row is one line of the result.
type row struct {
	work, goal string
	unit       string  // of the figures, shown in the work's column
	quantile   float64 // of the measurements; 0: the median
	// apart says that an engine's figure is shown and not compared with.
	apart func(*engine) bool
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// run measures every engine in turn, as often as asked for, so that what else the
// machine does meets all of them alike. Engines that fail are left out and told of.
func (g *group) run(ctx context.Context, w *world, opt options, using []*engine) ([][]string, error) {
	figures := map[*engine][][]float64{} // by row
	failed := map[*engine]error{}
	rounds := opt.rounds * max(1, g.times)
	for round := range rounds {
		for _, e := range using {
			if failed[e] != nil || ctx.Err() != nil {
				continue
			}
			values, err := g.once(ctx, w, opt, e)
			if ctx.Err() != nil {
				break // interrupted: what there is counts
			}
			if err != nil {
				failed[e] = fmt.Errorf("%s, %s: %w", g.name, e.name, err)
				progress("%v", failed[e])
				continue
			}
			progress("%-44s %d/%d  %-8s %s", g.name, round+1, rounds, e.name, g.show(values))
			if figures[e] == nil {
				figures[e] = make([][]float64, len(g.rows))
			}
			for i, v := range values {
				figures[e][i] = append(figures[e][i], v)
			}
		}
	}
	var lines [][]string
	for i := range g.rows {
		lines = append(lines, g.line(i, figures, failed))
	}
	var errs []error
	for _, e := range engines {
		errs = append(errs, failed[e])
	}
	return lines, errors.Join(errs...)
}

// once measures one engine once, in a site of its own.
func (g *group) once(ctx context.Context, w *world, opt options, e *engine) ([]float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, opt.patience, fmt.Errorf("not done within %v", opt.patience))
	defer cancel()
	if err := e.installed(); err != nil {
		return nil, err
	}
	s, err := w.newSite(e.name, g.bridged)
	if err != nil {
		return nil, err
	}
	defer s.close()
	values, err := g.measure(ctx, s, e)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, s.logs())
	}
	return values, nil
}

func (g *group) show(values []float64) string {
	var parts []string
	for i, v := range values {
		if !math.IsNaN(v) {
			parts = append(parts, strings.TrimSpace(figure(v)+" "+g.rows[i].unit))
		}
	}
	return strings.Join(parts, ", ")
}

// head is the table's first line: ours, the others, and the ratio.
func head() []string {
	cells := []string{"work", "goal"}
	for _, e := range engines {
		cells = append(cells, e.name)
	}
	return append(cells, "best other ÷ ours")
}

func (g *group) line(i int, figures map[*engine][][]float64, failed map[*engine]error) []string {
	r := g.rows[i]
	work := r.work
	if r.unit != "" {
		work += ", " + r.unit
	}
	cells := []string{work, r.goal}
	ours, best := math.NaN(), math.NaN()
	for _, e := range engines {
		v := math.NaN()
		if len(figures[e]) > 0 {
			v = quantile(figures[e][i], cmp.Or(r.quantile, 0.5))
		}
		switch {
		case failed[e] != nil:
			cells = append(cells, "failed")
			continue
		case math.IsNaN(v):
			cells = append(cells, "–")
			continue
		case r.apart != nil && r.apart(e):
			cells = append(cells, "("+figure(v)+")")
			continue
		}
		cells = append(cells, figure(v))
		if e == engines[0] {
			ours = v
		} else if math.IsNaN(best) || v < best {
			best = v
		}
	}
	ratio := "–"
	if r := best / ours; !math.IsNaN(r) && !math.IsInf(r, 0) {
		ratio = figure(r)
	}
	return append(cells, ratio)
}

// quantile of the figures that there are, between two of them by their distance; NaN
// of none.
func quantile(values []float64, q float64) float64 {
	values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(values) == 0 {
		return math.NaN()
	}
	slices.SortFunc(values, cmp.Compare[float64])
	below, part := math.Modf(q * float64(len(values)-1))
	v := values[int(below)]
	if part > 0 {
		v += part * (values[int(below)+1] - v)
	}
	return v
}

// figure writes a number with three digits that count.
func figure(v float64) string {
	switch {
	case math.Abs(v) >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
