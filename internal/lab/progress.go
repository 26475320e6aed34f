package lab

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Progress prints what long work is at, with the seconds since it began: a
// line for each phase. On a terminal the last line goes on counting, and shows
// each detail; elsewhere a phase's further details are printed only when it
// takes long.
type Progress struct {
	w        io.Writer
	terminal bool
	begin    time.Time

	mu            sync.Mutex
	phase, detail string
	spoke         time.Time // when something was printed latest
	stopped       bool

	stop chan struct{}
	done chan struct{}
}

// silence is how long a Progress that writes to no terminal says nothing of a
// phase that it has named.
const silence = 10 * time.Second

// longest is the length of a detail that fits a terminal's line, in bytes.
const longest = 80

// NewProgress starts to count. The caller ends it with Stop.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{w: w, begin: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	go p.tick()
	return p
}

// Report says what is done now. It may be called from any goroutine.
func (p *Progress) Report(phase, detail string) {
	if len(detail) > longest {
		detail = detail[:longest] + "…"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	same := phase == p.phase
	if p.terminal && !same && p.phase != "" {
		fmt.Fprintln(p.w)
	}
	p.phase, p.detail = phase, detail
	if p.terminal || !same {
		p.print()
	}
}

// Stop ends the counting; reports that come later are not printed.
func (p *Progress) Stop() {
	close(p.stop)
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.terminal && p.phase != "" {
		fmt.Fprintln(p.w)
	}
}

func (p *Progress) tick() {
	defer close(p.done)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
		p.mu.Lock()
		if p.phase != "" && (p.terminal || time.Since(p.spoke) >= silence) {
			p.print()
		}
		p.mu.Unlock()
	}
}

// print prints the line under way; on a terminal, over the one that is there.
func (p *Progress) print() {
	p.spoke = time.Now()
	line := fmt.Sprintf("%6.1f s  %-24s %s", time.Since(p.begin).Seconds(), p.phase, p.detail)
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K", line)
		return
	}
	fmt.Fprintln(p.w, line)
}
