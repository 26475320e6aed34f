package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/bench/report"
	"github.com/pharoslb/pharos/internal/lab/kubelet"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func main() {
	kubelet.Init()
	var opt options
	flag.IntVar(&opt.rounds, "rounds", 15, "how often each is measured")
	flag.IntVar(&opt.packets, "packets", 30000, "how many packets a measurement has")
	flag.IntVar(&opt.services, "services", 10000, "among how many Services a change is measured")
	run := flag.String("run", "", "measure only what matches this regular `EXPRESSION` of packets, changes and survival")
	flag.Parse()
	var err error
	if opt.run, err = regexp.Compile(*run); err == nil {
		err = measure(opt)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dataplane:", err)
		os.Exit(1)
	}
}

// options are the command's flags.
type options struct {
	rounds, packets, services int
	run                       *regexp.Regexp
}

// only leaves a measurement out that was not asked for.
func only(opt options, name string, run func(b *testing.B)) func(b *testing.B) {
	if !opt.run.MatchString(name) {
		return func(*testing.B) {}
	}
	return run
}

func measure(opt options) error {
	if opt.rounds < 1 || opt.packets < 1 || opt.services < 1 {
		return errors.New("-rounds, -packets and -services: there must be one")
	}
	if err := sandbox.Enter(); err != nil {
		return err
	}
	fmt.Printf("%s, %d rounds, load average %s", report.Machine(), opt.rounds, load())
	defer func() { fmt.Printf("\nLoad average at the end: %s", load()) }()
	fmt.Print("\n")
	return errors.Join(
		within(only(opt, "packets", func(b *testing.B) { packets(b, opt) })),
		within(only(opt, "changes", func(b *testing.B) { changes(b, opt) })),
		within(only(opt, "survival", survival)),
	)
}

// load is the machine's load of the last 1, 5 and 15 minutes, with a line's end.
func load() string {
	all, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(all))[:min(3, len(strings.Fields(string(all))))], " ") + "\n"
}

// within runs something once that takes a test's world: the suite's fleets are made for tests.
func within(run func(b *testing.B)) error {
	testing.Init()
	if err := flag.Set("test.benchtime", "1x"); err != nil {
		return err
	}
	failed := true
	testing.Benchmark(func(b *testing.B) {
		failed = true
		run(b)
		failed = b.Failed()
	})
	if failed {
		return errors.New("a measurement failed")
	}
	return nil
}
