package main

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/bench/report"
	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func main() {
	if os.Getenv(nodeMark) != "" {
		exit(node())
	}
	opt := options{settle: 8 * time.Second}
	flag.IntVar(&opt.nodes, "nodes", 3, "how many there are")
	flag.IntVar(&opt.vips, "addresses", 30, "how many there are to announce")
	flag.IntVar(&opt.rounds, "rounds", 5, "how often each is measured")
	flag.DurationVar(&opt.idle, "idle", 0, "measure nothing, and count for so long how often a speaker is taken for dead")
	flag.IntVar(&opt.busy, "busy", 0, "how many threads keep the processors busy meanwhile")
	flag.StringVar(&opt.run, "run", "", "measure only the rows that match this regular `EXPRESSION`")
	flag.BoolVar(&opt.verbose, "v", false, "print what the nodes log")
	flag.Parse()
	exit(run(opt))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "layer2:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

type options struct {
	nodes, vips, rounds, busy int
	settle                    time.Duration // before the owner dies: beginners' announcements, and BFD's slow start
	idle                      time.Duration
	verbose                   bool
	run                       string
}

// row is one way in which an address loses its owner.
type row struct {
	name string
	bfd  time.Duration
	sig  syscall.Signal
	cut  bool
}

func run(opt options) error {
	if opt.nodes < 2 || opt.nodes > 90 || opt.vips < 1 || opt.vips > 100 || opt.rounds < 1 {
		return fmt.Errorf("there are 2 to 90 nodes, 1 to 100 addresses, and at least one round")
	}
	rows, err := regexp.Compile(opt.run)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if err := sandbox.Enter(); err != nil {
		return err
	}
	for range opt.busy {
		go func() {
			runtime.LockOSThread()
			for {
			}
		}()
	}
	if opt.idle > 0 {
		for _, bfd := range []time.Duration{0, 100 * time.Millisecond, 50 * time.Millisecond} {
			if err := idle(opt, bfd); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Printf("%s, %d nodes, %d addresses, %d rounds\n\n", report.Machine(), opt.nodes, opt.vips, opt.rounds)
	fmt.Println("| the owner | first answer of another: median | longest | longest time without an answer before it |\n| --- | --- | --- | --- |")
	for _, r := range []row{
		{"loses power, memberlist alone", 0, syscall.SIGKILL, true},
		{"loses power, BFD 100 ms × 3", 100 * time.Millisecond, syscall.SIGKILL, true},
		{"loses power, BFD 50 ms × 3", 50 * time.Millisecond, syscall.SIGKILL, true},
		{"is told to end", 0, syscall.SIGTERM, false},
	} {
		if !rows.MatchString(r.name) {
			continue
		}
		var took, gaps []time.Duration
		for range opt.rounds {
			d, gap, err := measure(opt, r)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			took, gaps = append(took, d), append(gaps, gap)
		}
		slices.Sort(took)
		fmt.Printf("| %s | %v | %v | %v |\n", r.name, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), slices.Max(gaps).Round(time.Millisecond))
	}
	return nil
}

// begin brings a world up in which everybody knows who owns what.
func begin(opt options, bfd time.Duration) (w *world, owner map[netip.Addr]string, err error) {
	if w, err = newWorld(opt.nodes); err != nil {
		return nil, nil, err
	}
	var candidates []election.Candidate
	for name := range w.nodes {
		candidates = append(candidates, election.Candidate{Node: name})
	}
	owner = map[netip.Addr]string{}
	var addrs []netip.Addr
	for a := vips.Addr().Next(); len(addrs) < opt.vips; a = a.Next() {
		addrs = append(addrs, a)
		owner[a] = election.Elect(a, candidates, "")
	}
	if err := w.start(addrs, bfd); err != nil {
		w.close()
		return nil, nil, err
	}
	return w, owner, nil
}

func measure(opt options, r row) (took, gap time.Duration, err error) {
	w, owner, err := begin(opt, r.bfd)
	if err != nil {
		return 0, 0, err
	}
	defer w.close()
	defer func() {
		if err != nil || opt.verbose {
			for _, m := range w.nodes {
				fmt.Fprint(os.Stderr, m.log.String())
			}
		}
	}()
	vip := vips.Addr().Next()
	victim := w.nodes[owner[vip]]
	p, err := w.probe(vip)
	if err != nil {
		return 0, 0, err
	}
	defer p.close()
	if _, err = p.until(time.Time{}, 30*time.Second, func(n string) bool { return n == victim.name }); err != nil {
		return 0, 0, err
	}
	time.Sleep(opt.settle)
	if _, err = p.until(time.Now(), 10*time.Second, func(n string) bool { return n == victim.name }); err != nil {
		return 0, 0, fmt.Errorf("%s has lost the address before it was to: %w", victim.name, err)
	}
	start := time.Now()
	if r.cut {
		if err = w.bridge.Down(victim.name); err != nil {
			return 0, 0, err
		}
	}
	if err = victim.cmd.Process.Signal(r.sig); err != nil {
		return 0, 0, err
	}
	a, err := p.until(start, 30*time.Second, func(n string) bool { return n != victim.name })
	if err != nil {
		return 0, 0, err
	}
	return a.at.Sub(start), p.gap(a), nil
}

// idle counts how often a speaker that lives is taken for dead.
func idle(opt options, bfd time.Duration) error {
	w, _, err := begin(opt, bfd)
	if err != nil {
		return err
	}
	defer w.close()
	time.Sleep(3*time.Second + opt.idle)
	dead, paths := 0, 0
	for _, m := range w.nodes {
		dead += strings.Count(m.log.String(), `msg="speaker left or died"`)
		paths += strings.Count(m.log.String(), `msg="path to speaker failed"`)
	}
	fmt.Printf("%d nodes, %v, %d busy threads, BFD %v: taken for dead %d times by memberlist, %d times by BFD\n", opt.nodes, opt.idle, opt.busy, bfd, dead, paths)
	return nil
}
