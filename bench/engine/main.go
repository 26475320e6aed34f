package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/bench/report"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func main() {
	if os.Getenv(receiverMark) != "" {
		exit(receive(os.Args[1:]))
	}
	var opt options
	flag.StringVar(&opt.run, "run", "", "measure only the groups of rows that match this regular `EXPRESSION`")
	flag.StringVar(&opt.engines, "engines", "", "measure only the engines that match this regular `EXPRESSION`")
	flag.IntVar(&opt.rounds, "rounds", 5, "how often each is measured; the median is printed")
	flag.DurationVar(&opt.patience, "patience", 2*time.Minute, "how long one measurement may take")
	flag.BoolVar(&opt.list, "list", false, "list the groups and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	exit(measure(ctx, opt))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// options are the command's flags.
type options struct {
	run, engines string
	rounds       int
	patience     time.Duration
	list         bool
}

func measure(ctx context.Context, opt options) error {
	groups, err := regexp.Compile("(?i)" + opt.run)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	names, err := regexp.Compile("(?i)" + opt.engines)
	if err != nil {
		return fmt.Errorf("-engines: %w", err)
	}
	if opt.rounds < 1 {
		return errors.New("-rounds: there must be one")
	}
	if opt.list {
		for _, g := range plan() {
			fmt.Println(g.name)
		}
		fmt.Println("codec")
		return nil
	}
	if err := sandbox.Enter(); err != nil {
		return err
	}
	if sandbox.Rootless() {
		return errors.New("the daemons change their user, which takes root")
	}
	w, err := newWorld(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s, medians of %d\n\n", report.Machine(), opt.rounds)
	rows := [][]string{head()}
	var failures []error
	for _, g := range plan() {
		if !groups.MatchString(g.name) {
			continue
		}
		var using []*engine
		for _, e := range engines {
			if names.MatchString(e.name) && g.takes(e) {
				using = append(using, e)
			}
		}
		more, err := g.run(ctx, w, opt, using)
		rows = append(rows, more...)
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
	}
	report.Table(os.Stdout, rows...)
	if groups.MatchString("codec") && ctx.Err() == nil {
		failures = append(failures, codec(ctx))
	}
	return errors.Join(failures...)
}

// progress tells whoever waits what is going on.
func progress(format string, args ...any) {
	fmt.Fprintln(os.Stderr, strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}
