// Command report reads what `make test TESTFLAGS=-json` prints, shows progress
// by package and the output of what failed or was skipped, and closes with
// 'N passed, N failed'. A skipped test has failed: it proved nothing.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

type event struct {
	Action, Package, Test, Output string
	ImportPath                    string
	Elapsed                       float64
}

func main() {
	passed, failed := 0, 0
	output := map[string][]string{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	start := time.Now()
	for lines.Scan() {
		var e event
		if !strings.HasPrefix(lines.Text(), "{") || json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			if strings.HasPrefix(lines.Text(), "make: ***") || strings.Contains(lines.Text(), "] Error ") {
				failed++ // a step outside go test
			}
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output":
			output[key] = append(output[key], e.Output)
		case "build-output":
			fmt.Print(e.Output)
		case "pass":
			if e.Test != "" {
				passed++
			} else {
				fmt.Printf("%6.1fs  ok      %s (%.1fs)\n", time.Since(start).Seconds(), e.Package, e.Elapsed)
			}
			delete(output, key)
		case "skip":
			if e.Test == "" {
				continue // a package without tests
			}
			fallthrough
		case "fail":
			failed++
			fmt.Printf("%6.1fs  %-7s %s (%.1fs)\n%s", time.Since(start).Seconds(), strings.ToUpper(e.Action), key, e.Elapsed, strings.Join(output[key], ""))
			delete(output, key)
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if err := lines.Err(); err != nil || failed > 0 || passed == 0 {
		os.Exit(1)
	}
}
