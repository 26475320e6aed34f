package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

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
	fmt.Println(machine())
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
	rows = append([]row{{"work", "goal", "MetalLB", "measured"}, {"---", "---", "---", "---"}}, rows...)
	var width [4]int
	for _, r := range rows {
		for i, cell := range r.cells() {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for _, r := range rows {
		fmt.Print("|")
		for i, cell := range r.cells() {
			fmt.Printf(" %s%s |", cell, strings.Repeat(" ", width[i]-len([]rune(cell))))
		}
		fmt.Println()
	}
}

func (r row) cells() [4]string { return [4]string{r.work, r.goal, r.metallb, r.measured} }

// machine names the machine that the figures are of.
func machine() string {
	cpu, cores := "unknown processor", 0
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			cpu = strings.TrimSpace(value)
			cores++
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d × %s, Linux %s", cores, cpu, strings.TrimSpace(string(release)))
}
