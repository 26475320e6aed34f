package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/bench/report"
	"github.com/pharoslb/pharos/internal/lab/kubelet"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func main() {
	kubelet.Init()
	run := flag.String("run", "", "measure only the groups that match this regular expression")
	many := flag.Int("services", 1000, "Services of the burst")
	most := flag.Int("most", 5000, "Services of the large burst; 0 leaves it out")
	binary := flag.String("pharos", "bin/pharos", "the product's binary")
	keep := flag.String("logs", "", "copy the lab's logs to this directory afterwards")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, *run, *binary, *many, *most, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, pattern, binary string, many, most int, keep string) error {
	only, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if err := sandbox.Enter(); err != nil {
		return err
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	fmt.Println(report.Machine())
	w, err := newWorld(ctx, binary)
	if err != nil {
		return err
	}
	defer w.close()
	var rows []row
	start := time.Now()
	for _, g := range plan(many, most) {
		if !only.MatchString(g.name) && !g.always {
			continue
		}
		progress("%6.1fs  %s", time.Since(start).Seconds(), g.name)
		more, err := g.measure(ctx, w)
		rows = append(rows, more...)
		if err != nil {
			printTable(rows)
			if keep != "" {
				w.keepLogs(keep)
			}
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	printTable(rows)
	if keep != "" {
		return w.keepLogs(keep)
	}
	return nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// row is one line of the result.
type row struct{ work, goal, metallb, measured string }

func printTable(rows []row) {
	cells := [][]string{{"work", "goal", "MetalLB", "measured"}}
	for _, r := range rows {
		cells = append(cells, []string{r.work, r.goal, r.metallb, r.measured})
	}
	report.Table(os.Stdout, cells...)
}
