// Package report is what the benchmarks have in common: the machine's name and
// tables in Markdown. It measures nothing. Start reading at Table.
package report

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Table writes rows as a Markdown table with columns of equal width. The first row
// is the head.
func Table(w io.Writer, rows ...[]string) {
	var width []int
	for _, cells := range rows {
		for i, cell := range cells {
			if i == len(width) {
				width = append(width, 3) // of the rule
			}
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for n, cells := range rows {
		line(w, width, cells, " ")
		if n == 0 {
			line(w, width, nil, "-")
		}
	}
}

func line(w io.Writer, width []int, cells []string, fill string) {
	for i, width := range width {
		cell := ""
		if i < len(cells) {
			cell = cells[i]
		}
		fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(fill, width-len([]rune(cell))))
	}
	fmt.Fprintln(w, "|")
}

// Machine names the machine that the figures are of.
func Machine() string {
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
