package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"

	"github.com/pharoslb/pharos/bench/report"
)

var benchmark = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op(?:\s+[\d.]+ MB/s)?.*?\s(\d+) B/op\s+(\d+) allocs/op`)

// codec runs the codec's own benchmarks and prints what they say.
func codec(ctx context.Context) error {
	progress("codec")
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", ".", "-benchmem", "./bgp/wire")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("codec: %w: %s", err, out)
	}
	rows := [][]string{{"codec", "ns", "octets allocated", "allocations"}}
	for _, m := range benchmark.FindAllStringSubmatch(string(out), -1) {
		rows = append(rows, m[1:])
	}
	fmt.Println()
	report.Table(os.Stdout, rows...)
	return nil
}
