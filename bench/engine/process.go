package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// process is a daemon with the children it has.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file of what it says
	done chan struct{} // closed when it has ended
}

// start runs a program in a namespace; it ends with the site.
func (s *site) start(ns *netns.NS, env []string, name string, args ...string) (*process, error) {
	p := &process{name: filepath.Base(name), cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.log = filepath.Join(s.dir, fmt.Sprintf("%d-%s.log", len(s.running), p.name))
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = s.dir, out, out
	p.cmd.Env = append(os.Environ(), env...)
	if err := ns.Start(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	s.running = append(s.running, p)
	return p, nil
}

// stop ends the process and its children, without asking.
func (p *process) stop() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// signal reaches the children too.
func (p *process) signal(sig syscall.Signal) {
	for _, pid := range p.pids() {
		syscall.Kill(pid, sig)
	}
}

// pids are the process and all that descend from it, while it runs.
func (p *process) pids() []int {
	select {
	case <-p.done:
		return nil
	default:
	}
	family := []int{p.cmd.Process.Pid}
	for i := 0; i < len(family); i++ {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", family[i]))
		for _, list := range lists {
			text, _ := os.ReadFile(list)
			for _, field := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil {
					family = append(family, pid)
				}
			}
		}
	}
	return family
}

// peak is the most memory that has been resident, in MiB, summed over the family.
func (p *process) peak() float64 {
	kib := 0.0
	for _, pid := range p.pids() {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				kib += n
			}
		}
	}
	return kib / 1024
}

// tail returns the last lines of the log.
func (p *process) tail() string {
	text, _ := os.ReadFile(p.log)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}

// until asks again, after a pause each time, until there is no error.
func until(ctx context.Context, what string, pause time.Duration, ask func() error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), err)
		}
	}
}
